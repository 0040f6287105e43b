"""Several drivers at once, stopped, killed and resubmitted anywhere between planning and publication: as one by one.

A driver is a thread that runs a stage as it is; it stops at every place where others may be at work (before and after
each shard, and before it reads and commits) and goes on when the machine below says so. One that is killed changes
nothing on the disk from there on, not even what `finally` would clean up; its locks are let go, as the kernel does.
When all have ended, the commands are run once more one after another, and the lake must be what it would be by then.
"""

import csv
import hashlib
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from phonolake import execution
from phonolake.annotation import exchange, journal, publication
from phonolake.annotation.journal import Answer
from phonolake.errors import UsageError
from phonolake.search import index as searching
from phonolake.stages import extract, forget, index, ingest, score, train
from phonolake.store import catalog
from phonolake.store.lake import Lake
from phonolake.store.verify import verify

from .in_process import write_track

FEATURES, MODEL = "mfcc-120", "scaled-mfcc"
WAIT_SECONDS = 60.0
# Where there is one, a disk that takes no time: a kill loses nothing of what was written, on any disk.
IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
SEQUENCES = int(os.environ.get("PHONOLAKE_SEQUENCES", "2000"))


class KilledError(BaseException):
    """The process is gone."""


class Driver:
    """A command in a thread that stops wherever `stop` is called, until somebody calls `go`."""

    by_thread: ClassVar[dict[int, "Driver"]] = {}
    CHANGES = frozenset({"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate"})

    def __init__(self, name: str, command: Callable[[], object]) -> None:
        self.name, self.command = name, command
        self.may_go, self.stopped = threading.Semaphore(0), threading.Semaphore(0)
        self.dead, self.ended, self.holds = False, False, False
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        assert self.stopped.acquire(timeout=WAIT_SECONDS)

    def _run(self) -> None:
        Driver.by_thread[threading.get_ident()] = self
        try:
            self._stop()
            self.command()
        except KilledError:
            pass
        except BaseException as error:
            self.failure = None if self.dead else error
        finally:
            del Driver.by_thread[threading.get_ident()]
            self.ended = True
            self.stopped.release()

    def _stop(self) -> None:
        self.stopped.release()
        assert self.may_go.acquire(timeout=WAIT_SECONDS)
        if self.dead:
            raise KilledError

    def go(self) -> None:
        """Let it run to its next stop, or to its end."""
        self.may_go.release()
        assert self.stopped.acquire(timeout=WAIT_SECONDS), f"{self.name} hangs"

    def kill(self) -> None:
        """End it where it stands."""
        self.dead = True
        self.go()
        while not self.ended:
            self.go()

    @staticmethod
    def stop() -> None:
        driver = Driver.by_thread.get(threading.get_ident())
        if driver is not None and not driver.holds:
            driver._stop()

    @staticmethod
    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        """Nothing that a dead process does reaches the disk; what it reads does not matter."""
        driver = Driver.by_thread.get(threading.get_ident()) if Driver.by_thread else None
        if driver is None or not driver.dead or event not in Driver.CHANGES:
            return
        if event == "open" and isinstance(arguments[1], str) and arguments[1] in ("r", "rb"):
            return
        raise KilledError


sys.addaudithook(Driver.hear)


@contextmanager
def stops() -> Iterator[None]:
    """Do the work of the stages here, and stop around each shard, and before a state is read or committed."""

    def imap(function: Callable[[Any], Any], payloads: Sequence[Any], **_: Any) -> Iterator[tuple[Any, Any]]:
        for payload in payloads:
            Driver.stop()
            yield payload, function(payload)
        Driver.stop()

    def amap(make: Callable[[], Callable[[Any], Any]], payloads: Sequence[Any], **_: Any) -> Iterator[tuple[Any, Any]]:
        return imap(make(), payloads)

    commit, pinned = Lake.commit, Lake.pinned

    def stopping_commit(self: Lake, *arguments: Any, **options: Any) -> dict[str, int]:
        Driver.stop()
        return commit(self, *arguments, **options)

    def stopping_pinned(self: Lake, *versions: Mapping[str, int]) -> Lake:
        Driver.stop()
        return pinned(self, *versions)

    publish = publication.publish

    def holding_publish(lake: Lake) -> int:
        """Two publications of answers take turns: to stop in the middle of one would stop the others for good."""
        Driver.stop()
        driver = Driver.by_thread.get(threading.get_ident())
        if driver is None:
            return publish(lake)
        driver.holds = True
        try:
            return publish(lake)
        finally:
            driver.holds = False

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publication, "publish", holding_publish)
        # The machine stays up: what a loss of power takes is the matter of other tests.
        patch.setattr(os, "fsync", lambda handle: None)
        patch.setattr(execution, "imap", imap)
        patch.setattr(execution, "amap", amap)
        patch.setattr(execution, "gpus", lambda: 0)
        patch.setattr(execution, "cores", lambda: 1)
        patch.setattr(execution, "all_cores", lambda: 1)
        patch.setattr(Lake, "commit", stopping_commit)
        patch.setattr(Lake, "pinned", stopping_pinned)
        yield


class Writers(RuleBasedStateMachine):
    """Up to three drivers on one lake, and a folder of music that changes under them."""

    start: Path  # a lake of four tracks that was extracted and scored, with its music
    folder: Path  # where that was made, and is laid for every sequence: a lake that was moved is looked at anew

    def __init__(self) -> None:
        super().__init__()
        shutil.copytree(self.start, self.folder)
        self.music, self.root = self.folder / "m", self.folder / "lake"
        self.drivers: list[Driver] = []
        self.seed = 1000
        self.forgotten: set[str] = set()
        self.half_forgotten: list[Callable[[], object]] = []
        self.said: dict[tuple[str, str], int] = {}
        (self.run,) = Lake.open(self.root).shards_by_family("embeddings")

    # -- what a user may do --------------------------------------------------------------------------------------------

    def begin(self, name: str, command: Callable[[], object]) -> None:
        self.drivers.append(Driver(name, command))

    def commands(self) -> dict[str, Callable[[], object]]:
        lake = str(self.root)
        return {
            "ingest": lambda: ingest.run(ingest.Config(lake, str(self.music), dataset="m")),
            "ingest in small shards": lambda: ingest.run(
                ingest.Config(lake, str(self.music), dataset="m", shard_bytes=20_000)
            ),
            "extract": lambda: extract.run(extract.Config(lake, (FEATURES,))),
            "score": lambda: score.run(score.Config(lake, (self.run,))),
            "index": lambda: index.run(index.Config(lake)),
        }

    @precondition(lambda self: len(self.drivers) < 3)
    @rule(name=st.sampled_from(["ingest", "ingest in small shards", "extract", "score", "index"]))
    def submit(self, name: str) -> None:
        self.begin(name, self.commands()[name])

    @precondition(lambda self: len(self.drivers) < 3)
    # One of the first tracks always stays: there is nothing to score in a lake without any, and that is said.
    @rule(n=st.sampled_from([0, 1, 2, 4, 5, 6, 7]))
    def forget(self, n: int) -> None:
        track_id = f"m:a/{n}.wav"

        def command() -> None:
            try:
                forget.run(forget.Config(str(self.root), (track_id,)))
            except UsageError:
                return  # the lake never heard of it
            self.forgotten.add(track_id)

        self.begin("forget", command)

    @rule(n=st.integers(0, 7))
    def change_or_add(self, n: int) -> None:
        self.seed += 1
        write_track(self.music / "a" / f"{n}.wav", self.seed)

    @rule(n=st.integers(0, 7), value=st.sampled_from([0, 1]), rater=st.sampled_from(["anna", "bea"]))
    def annotate(self, n: int, value: int, rater: str) -> None:
        answer = Answer(f"m:a/{n}.wav", "a", value, rater, datetime.now(UTC))
        journal.record(Lake.open(self.root), [answer])
        self.said[rater, answer.track_id] = value

    @precondition(lambda self: len(self.drivers) < 3)
    @rule(n=st.integers(0, 3))
    def import_answers(self, n: int) -> None:
        path = self.folder / "answers.csv"
        track_id = f"m:a/{n}.wav"
        with open(path, "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["track_id", "label", "value", "rater"], [track_id, "a", "1", "carl"]])

        self.begin("import", lambda: exchange.read_csv(Lake.open(self.root), path))

    @precondition(lambda self: len(self.drivers) < 3)
    @rule()
    def publish(self) -> None:
        self.begin("publish", lambda: publication.publish(Lake.open(self.root)))

    # -- what may happen then ------------------------------------------------------------------------------------------

    @precondition(lambda self: self.drivers)
    @rule(n=st.integers(0, 2), steps=st.integers(1, 6))
    def go_on(self, n: int, steps: int) -> None:
        driver = self.drivers[n % len(self.drivers)]
        for _ in range(steps):
            if not driver.ended:
                driver.go()
        if driver.ended:
            self.drivers.remove(driver)
            if driver.failure is not None:
                raise driver.failure
            self.look()

    @precondition(lambda self: self.drivers)
    @rule(n=st.integers(0, 2), again=st.booleans())
    def kill(self, n: int, again: bool) -> None:
        driver = self.drivers.pop(n % len(self.drivers))
        self.end(driver)
        if again:
            self.begin(driver.name, driver.command)

    def end(self, driver: Driver) -> None:
        driver.kill()
        if driver.name == "forget":
            # Who asked for it asks again: the answers may be gone, and the tracks not yet.
            self.half_forgotten.append(driver.command)

    # -- what must hold ------------------------------------------------------------------------------------------------

    def rows(self, sql: str) -> list[tuple]:
        with catalog.connect(Lake.open(self.root)) as connection:
            return connection.execute(sql).fetchall()

    def look(self) -> None:
        """At any moment a reader sees whole tracks, each once, and nobody who was forgotten."""
        seen: dict[str, list[str]] = {table: [] for table in ("tracks", "features_mfcc_120", "embeddings", "audio")}
        for table, track_id in self.rows(" UNION ALL ".join(f"SELECT '{t}', track_id FROM {t}" for t in seen)):
            seen[table].append(track_id)
        for table, ids in seen.items():
            assert len(ids) == len(set(ids)), f"{table} has doubles"
            assert not self.forgotten & set(ids), f"{table} brings back who was forgotten"
        assert sorted(seen["tracks"]) == sorted(seen["audio"])

    def teardown(self) -> None:
        try:
            for driver in self.drivers:
                self.end(driver)
            self.check()
        finally:
            shutil.rmtree(self.folder)

    def check(self) -> None:
        """Run everything once more, one after another: the outcome is that of the files as they are."""
        self.look()
        before = {track_id for (track_id,) in self.rows("SELECT track_id FROM tracks")}
        for command in self.half_forgotten:
            command()
        for name in ("ingest", "extract", "score", "index"):
            self.commands()[name]()
        lake = Lake.open(self.root)
        publication.publish(lake)
        expected = {f"m:a/{path.name}": path.read_bytes() for path in self.music.glob("a/*.wav")}
        for track_id in self.forgotten:
            expected.pop(track_id, None)
        assert before <= expected.keys() | self.forgotten
        with catalog.connect(lake) as connection:
            taken = connection.execute("SELECT track_id, source_bytes, sha256 FROM audio").fetchall()
            tables = ("tracks", "labels", "metadata", "features_mfcc_120", "embeddings")
            ids = {t: connection.execute(f"SELECT track_id FROM {t} ORDER BY 1").fetchall() for t in tables}
            answered = connection.execute("SELECT rater, track_id, value FROM annotations").fetchall()
        facts = {i: facts for i, *facts in taken}
        # Not their times: a file that changes while it is read is known by its content from then on.
        assert facts == {i: [len(data), hashlib.sha256(data).hexdigest()] for i, data in expected.items()}
        every = [(track_id,) for track_id in sorted(expected)]
        assert [table for table in tables if ids[table] != every] == []
        said = {(r, t): v for r, t, v in answered}
        kept = [answer for answer in exchange.export(lake) if answer.track_id not in self.forgotten]
        assert said == {(answer.rater, answer.track_id): answer.value for answer in kept}
        # What was imported is in the journals, or the import was killed; what was recorded is there in any case.
        recorded = {key: v for key, v in self.said.items() if key[1] not in self.forgotten}
        assert recorded == {key: v for key, v in said.items() if key[0] != "carl"}
        found = searching.load(self.root / "indexes" / self.run)
        assert sorted(found.track_ids()) == sorted(expected)
        left = [f for f in verify(lake) if "no published version" not in f.problem]
        assert left == [], left
        forgotten = forget.verify(lake, tuple(self.forgotten))
        assert [path for path in forgotten if "annotations" not in path] == []


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[type[Writers]]:
    folder, start = Path(tempfile.mkdtemp(prefix="writers-", dir=IN_MEMORY)), tmp_path_factory.mktemp("start") / "kept"
    for n in range(4):
        write_track(folder / "m" / "a" / f"{n}.wav", n)
    lake = str(folder / "lake")
    with stops():
        ingest.run(ingest.Config(lake, str(folder / "m"), dataset="m"))
        extract.run(extract.Config(lake, (FEATURES,)))
        train.run(train.Config(lake, MODEL))
        score.run(score.Config(lake))
        index.run(index.Config(lake))
        shutil.move(folder, start)
        yield type("WritersHere", (Writers,), {"start": start, "folder": folder})


def run_sequences(machine: type[Writers], n: int, steps: int, seed: int | None = None) -> None:
    checked = settings(
        max_examples=n,
        stateful_step_count=steps,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        derandomize=seed is None,
        suppress_health_check=list(HealthCheck),
    )
    test = hypothesis.seed(seed)(machine) if seed is not None else machine
    run_state_machine_as_test(test, settings=checked)


@pytest.mark.long
def test_some_sequences(machine: type[Writers]) -> None:
    run_sequences(machine, 2, 10)


@pytest.mark.slow
@pytest.mark.timeout(6 * 3600)
def test_many_sequences(machine: type[Writers]) -> None:
    run_sequences(machine, SEQUENCES, 20, seed=int(os.environ.get("PHONOLAKE_SEED", "1")))
