"""Taking tracks down: nothing of them is left, the others are as they were, and a kill in the middle heals."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from phonolake.annotation import journal, publication
from phonolake.cli.main import main
from phonolake.errors import PhonolakeError, UsageError
from phonolake.stages import forget
from phonolake.store import query, schema
from phonolake.store.lake import Change, Lake
from phonolake.store.rewrite import without
from phonolake.store.shards import write_rows
from phonolake.store.verify import kept, verify


@pytest.fixture
def lake(demo: Path, tmp_path: Path) -> Lake:
    shutil.copytree(demo / "lake", tmp_path / "lake")
    return Lake.open(tmp_path / "lake")


def ids_of(lake: Lake, table: str = "tracks") -> list[str]:
    with query.connect(lake) as connection:
        return [t for (t,) in connection.execute(f"SELECT DISTINCT track_id FROM {table} ORDER BY 1").fetchall()]


def tables(lake: Lake) -> list[str]:
    return [t for t in lake.versions() if "track_id" in lake.published_schema(t).names and t != "forgotten"]


@pytest.mark.long
def test_nothing_is_left_of_a_track_and_all_else_stays(lake: Lake) -> None:
    gone = ids_of(lake)[3]
    before = {table: ids_of(lake, table) for table in tables(lake)}
    with query.connect(lake) as connection:
        kept = connection.execute("SELECT * FROM audio WHERE track_id <> $1 ORDER BY track_id", [gone]).fetchall()
    assert sum(gone in ids for ids in before.values()) >= 6
    removed = {r.where: r for r in forget.run(forget.Config(str(lake.root), (gone,), "asked by the artist"))}
    assert removed["models"].files >= 2
    assert removed["indexes"].files >= 1
    for table, ids in before.items():
        assert ids_of(lake, table) == [t for t in ids if t != gone]
    assert forget.verify(lake, (gone,)) == []
    assert not any(gone.encode() in p.read_bytes() for p in lake.root.rglob("*.json"))
    with query.connect(lake) as connection:
        assert connection.execute("SELECT track_id, why FROM forgotten").fetchall() == [(gone, "asked by the artist")]
        assert connection.execute("SELECT * FROM audio ORDER BY track_id").fetchall() == kept
        assert connection.execute(f"SELECT * FROM neighbors('{gone}', 5)").fetchall() == []
        other = ids_of(lake)[0]
        assert len(connection.execute(f"SELECT * FROM neighbors('{other}', 5)").fetchall()) == 5
    assert verify(lake) == []


def test_old_versions_hold_no_file_of_it(lake: Lake) -> None:
    gone = ids_of(lake)[3]
    forget.run(forget.Config(str(lake.root), (gone,)))
    for path in lake.root.rglob("*.parquet"):
        columns = pq.read_schema(path).names
        if "track_id" in columns and path.parent.name != "forgotten":
            assert gone not in pq.read_table(path, columns=["track_id"])["track_id"].to_pylist(), path


def test_a_search_still_answers(lake: Lake, capsys: pytest.CaptureFixture) -> None:
    gone, other = ids_of(lake)[3], ids_of(lake)[0]
    forget.run(forget.Config(str(lake.root), (gone,)))
    assert main(["similar", other, "-k", "200", "--lake", str(lake.root), "--format", "json"]) == 0
    found = [row["track_id"] for row in json.loads(capsys.readouterr().out)]
    assert gone not in found
    assert len(found) > 50


def test_an_ingest_after_it_skips_the_track(lake: Lake, demo: Path, ray_session: None) -> None:
    from phonolake.stages import ingest

    gone = ids_of(lake)[3]
    forget.run(forget.Config(str(lake.root), (gone,)))
    outcome = ingest.run(ingest.Config(str(lake.root), str(demo / "music"), "fma"))
    assert gone not in ids_of(lake)
    assert outcome.note.endswith("1 forgotten")
    assert verify(lake) == []


def test_rejects_can_be_forgotten_and_duplicates_go_with_either_track(lake: Lake) -> None:
    rejected = ids_of(lake, "rejects")[0]
    one, two, three = ids_of(lake)[:3]
    table = schema.table("duplicates")
    facts = {"kind": "near", "similarity": 0.9, "offset_seconds": 0.0, "config_hash": "c", "code_version": "v"}
    pairs = [{"track_id": one, "other_id": two} | facts, {"track_id": two, "other_id": three} | facts]
    lake.commit({"duplicates": Change(table, [write_rows(lake.path("duplicates", "p"), table.arrow, pairs)])})
    forget.run(forget.Config(str(lake.root), (rejected, three)))
    assert rejected not in ids_of(lake, "rejects")
    assert ids_of(lake, "duplicates") == [one]
    assert forget.verify(lake, (rejected, three)) == []


class Killed(BaseException):
    """Stands for kill -9: nothing after it runs."""


STEPS = ["purge_tables", "purge_models", "purge_indexes"]


@pytest.mark.long
@pytest.mark.parametrize("step", STEPS)
def test_a_kill_between_the_steps_heals(lake: Lake, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = ids_of(lake)[3]
    config = forget.Config(str(lake.root), (gone,))

    def die(*_: object) -> list:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(forget, step, die)
        with pytest.raises(Killed):
            forget.run(config)
    assert gone not in ids_of(lake), "readers do not see it from the commit on"
    assert forget.verify(lake, (gone,))
    forget.run(config)
    assert forget.verify(lake, (gone,)) == []
    assert verify(lake) == []


@pytest.mark.long
def test_what_is_kept_for_readers_of_earlier_versions_goes_too(lake: Lake) -> None:
    """Shards that a commit replaced stay for a while: those that hold the track must not."""
    gone, other = ids_of(lake)[3], ids_of(lake)[5]
    lake.commit({"labels": without(lake, schema.table("labels"), [other])})
    (replaced,) = kept(lake)
    assert replaced.table == "labels"
    assert verify(lake) == []
    forget.run(forget.Config(str(lake.root), (gone,)))
    assert forget.verify(lake, (gone,)) == []
    assert verify(lake) == []
    assert all(gone not in pq.read_table(shard.path)["track_id"].to_pylist() for shard in kept(lake))


@pytest.mark.long
def test_a_kill_before_the_commit_changes_nothing(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = ids_of(lake)[3]

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Lake, "commit", die)
        with pytest.raises(Killed):
            forget.run(forget.Config(str(lake.root), (gone,)))
    assert gone in ids_of(lake)
    forget.run(forget.Config(str(lake.root), (gone,)))
    assert forget.verify(lake, (gone,)) == []


def test_an_unknown_id_forgets_nothing(lake: Lake) -> None:
    known = ids_of(lake)[0]
    with pytest.raises(UsageError, match="never heard of 'fma:nope'"):
        forget.run(forget.Config(str(lake.root), (known, "fma:nope")))
    assert known in ids_of(lake)
    assert "forgotten" not in lake.versions()


def test_the_command_says_what_went_and_can_be_repeated(lake: Lake, capsys: pytest.CaptureFixture) -> None:
    gone = ids_of(lake)[3]
    words = ["forget", gone, "--lake", str(lake.root), "--format", "json"]
    assert main([*words, "--dry-run"]) == 0
    assert {row["where"] for row in json.loads(capsys.readouterr().out)} >= {"tracks", "audio", "labels"}
    assert gone in ids_of(lake)
    assert main(words) == 0
    assert {row["where"] for row in json.loads(capsys.readouterr().out)} >= {"tracks", "audio", "models"}
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_two_jobs_that_write_the_same_shard_again_do_not_both_win(lake: Lake) -> None:
    """Else the shard would be there twice, each time with other rows missing."""
    labels = schema.table("labels")
    file = next(iter(lake.shards("labels")))
    first, second, *_ = pq.read_table(lake.folder("labels") / file)["track_id"].unique().to_pylist()
    one, two = without(lake, labels, [first]), without(lake, labels, [second])
    lake.commit({"labels": one})
    with pytest.raises(PhonolakeError, match="changed labels meanwhile: run the command again"):
        lake.commit({"labels": two})
    lake.commit({"labels": one})
    assert first not in ids_of(lake, "labels")
    assert second in ids_of(lake, "labels")


def answers(lake: Lake, gone: str, other: str) -> None:
    """Two raters, one of whom spoke of both tracks and took an answer back; published twice."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for rater, track in (("anna", gone), ("anna", other), ("bea", gone)):
        journal.record(lake, [journal.Answer(track, "rock", 1, rater, at)])
        publication.publish(lake)
    journal.record(lake, [journal.Answer(gone, "folk", 0, "anna", at)])
    journal.undo(lake, "anna")
    publication.publish(lake)


def traces(lake: Lake, track_id: str) -> list[str]:
    """Files with a track's id in their bytes, or in any value that Parquet has packed; tombstones apart."""
    found = []
    for path in lake.root.rglob("*"):
        if not path.is_file() or path.parent.name == "forgotten":
            continue
        packed = path.suffix == ".parquet" and "_delta_log" not in path.parts
        rows = str(pq.read_table(path).drop_columns(_payload(path)).to_pylist()) if packed else ""
        if track_id.encode() in path.read_bytes() or track_id in rows:
            found.append(str(path.relative_to(lake.root)))
    return found


def _payload(path: Path) -> list[str]:
    """Columns that hold no text: arrays and sound."""
    return [f.name for f in pq.read_schema(path) if "string" not in str(f.type)]


@pytest.mark.long
def test_what_raters_said_is_forgotten_too(lake: Lake) -> None:
    gone, other = ids_of(lake)[3], ids_of(lake)[5]
    answers(lake, gone, other)
    assert any(trace.startswith("annotations/") for trace in traces(lake, gone))
    removed = {r.where: r for r in forget.run(forget.Config(str(lake.root), (gone,)))}
    assert (removed["journals"].rows, removed["journals"].files) == (3, 2)
    assert traces(lake, gone) == []
    assert forget.verify(lake, (gone,)) == []
    assert verify(lake) == []
    publication.publish(lake)
    with query.connect(lake) as connection:
        assert connection.execute("SELECT track_id, rater FROM annotations").fetchall() == [(other, "anna")]


def test_an_answer_that_came_back_is_seen(lake: Lake) -> None:
    gone = ids_of(lake)[3]
    forget.run(forget.Config(str(lake.root), (gone,)))
    journal.record(lake, [journal.Answer(gone, "rock", 1, "anna", datetime(2026, 1, 1, tzinfo=UTC))])
    assert [path.partition("/")[0] for path in forget.verify(lake, (gone,))] == ["annotations"]
    forget.run(forget.Config(str(lake.root), (gone,)))
    assert forget.verify(lake, (gone,)) == []


FORGETTING = """
import sys
from phonolake.stages import forget
print("begins", flush=True)
forget.run(forget.Config(sys.argv[1], (sys.argv[2],)))
"""


def kill_while_forgetting(source: Path, folder: Path, delay: float) -> bool:
    """Kill a run after some seconds, run it again, and hold the lake against an undisturbed one; True if it was hit."""
    shutil.copytree(source, folder)
    lake = Lake.open(folder)
    gone, other = ids_of(lake)[3], ids_of(lake)[5]
    answers(lake, gone, other)
    before = {table: ids_of(lake, table) for table in tables(lake)}
    process = subprocess.Popen(
        [sys.executable, "-c", FORGETTING, str(folder), gone], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with process:
        process.stdout.readline()
        time.sleep(delay)
        os.kill(process.pid, signal.SIGKILL)
    seen = {table: gone in ids_of(lake, table) for table, ids in before.items() if gone in ids}
    assert len(set(seen.values())) == 1, "all tables change at once"
    forget.run(forget.Config(str(folder), (gone,)))
    assert {table: ids_of(lake, table) for table in before} == {
        t: [i for i in ids if i != gone] for t, ids in before.items()
    }
    assert traces(lake, gone) == []
    assert verify(lake) == []
    return process.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_a_kill_somewhere_heals(demo: Path, tmp_path: Path) -> None:
    kill_while_forgetting(demo / "lake", tmp_path / "lake", 0.3)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kills_anywhere_heal(demo: Path, tmp_path: Path) -> None:
    dice = random.Random(0)
    hit = [kill_while_forgetting(demo / "lake", tmp_path / str(n), dice.uniform(0, 2)) for n in range(20)]
    assert sum(hit) >= 5
