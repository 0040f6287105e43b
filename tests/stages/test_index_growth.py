"""Indexes that grow: whatever happens to a lake, neighbours are those of exact search over what is published."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonolake import files
from phonolake.analysis.collection.neighbours import Searcher
from phonolake.errors import PhonolakeError, UsageError
from phonolake.search import kinds
from phonolake.search.index import Card, read_card, write_card
from phonolake.stages import forget, index
from phonolake.store import schema
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import write_rows

RUN, D = "made-1", 6
FILLED = {"code_version": "v", "config_hash": "c", "source_shard": "s", "model": "made", "run_id": RUN}
FILLED |= {"dataset": "m", "duration_seconds": 1.0, "input": "features:made", "labels": [], "split": "", "card": "{}"}


class Killed(BaseException):
    """Stands for kill -9: nothing after it runs."""


class Made:
    """A lake whose vectors are known."""

    def __init__(self, root: Path, partition: int | None = None) -> None:
        self.lake, self.partition = Lake.create(root), partition
        self.vectors: dict[int, np.ndarray] = {}
        self.shards: dict[str, list[int]] = {}
        self.titles: dict[int, str] = {}
        self.forgotten: set[int] = set()
        self.n = 0

    def add(self, numbers: Iterable[int]) -> None:
        """Publish tracks with vectors of their own."""
        numbers = [n for n in numbers if n not in self.vectors and n not in self.forgotten]
        if numbers:
            self._publish(numbers, {})

    def change(self, shard: int) -> None:
        """Put other vectors and titles in the place of all of a shard."""
        if self.shards:
            name = sorted(self.shards)[shard % len(self.shards)]
            self._publish(self.shards.pop(name), {"tracks": name, "embeddings": name})

    def _publish(self, numbers: list[int], replaced: dict[str, str]) -> None:
        self.n += 1
        name = f"{RUN}--{self.n}"
        rows = []
        for n in numbers:
            self.vectors[n] = np.random.default_rng([n, self.n]).normal(size=D).astype(np.float32)
            self.titles[n] = f"title {n} of {self.n}"
            facts = {"track_id": f"m:{n}", "source_id": str(n), "title": self.titles[n], "year": 2000 + n % 3}
            rows.append(FILLED | facts | {"embedding": self.vectors[n].tolist()})
        changes = {}
        for table, found in {"tracks": rows, "embeddings": rows, "models": [FILLED]}.items():
            declared = schema.table(table)
            kept = [{column: row.get(column) for column in declared.arrow.names} for row in found]
            path = self.lake.path(table, RUN if table == "models" else name)
            gone = [f"{replaced[table]}.parquet"] if table in replaced else []
            changes[table] = Change(declared, [write_rows(path, declared.arrow, kept)], self._now(table, gone))
        self.lake.commit(changes)
        self.shards[name] = numbers

    def _now(self, table: str, gone: list[str]) -> list[str]:
        """Shards by the names that they have since some of their tracks were forgotten."""
        stems = [file.removesuffix(".parquet") for file in gone]
        return [
            f for f in self.lake.shards(table) if any(f in (f"{s}.parquet",) or f.startswith(f"{s}-") for s in stems)
        ]

    def forget(self, number: int) -> None:
        """Take a track down."""
        if self.vectors:
            n = sorted(self.vectors)[number % len(self.vectors)]
            forget.run(forget.Config(str(self.lake.root), (f"m:{n}",)))
            assert forget.verify(self.lake, (f"m:{n}",)) == []
            del self.vectors[n]
            self.forgotten.add(n)
            self.shards = {name: [m for m in ns if m != n] for name, ns in self.shards.items()}
            self.shards = {name: ns for name, ns in self.shards.items() if ns}

    def index(self) -> None:
        """Bring the index up to date."""
        if self.lake.shards("embeddings"):
            index.run(index.Config(str(self.lake.root), partition=self.partition))

    def card(self) -> Card:
        """What the index is of."""
        card = read_card(self.lake.root / "indexes" / RUN)
        assert card is not None
        return card

    def check(self, searcher: Searcher, query: int) -> None:
        """What is found is what is nearest, filtered and not, and is shown as it is published."""
        if not self.vectors:
            with pytest.raises((UsageError, PhonolakeError)):
                searcher.similar("m:0")
            return
        asked = sorted(self.vectors)[query % len(self.vectors)]
        unit = {n: v.astype(float) / np.linalg.norm(v.astype(float)) for n, v in self.vectors.items()}
        for where, allowed in (
            (None, set(unit)),
            ("year = 2001", {n for n in unit if n % 3 == 1}),
            ("false", set()),
        ):
            found = searcher.similar(f"m:{asked}", k=5, where=where)
            wanted = sorted(allowed - {asked}, key=lambda n: -float(unit[n] @ unit[asked]))[:5]
            assert [f.track_id for f in found] == [f"m:{n}" for n in wanted], where
            np.testing.assert_allclose(
                [f.similarity for f in found], [unit[n] @ unit[asked] for n in wanted], atol=1e-6
            )
            assert [f.title for f in found] == [self.titles[n] for n in wanted]


def killed_at(made: Made, step: int) -> None:
    """Kill the indexing before one of its changes of the disk."""
    left = step

    def stopping(call):
        def stopped(*arguments: object, **named: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return call(*arguments, **named)

        return stopped

    with pytest.MonkeyPatch.context() as patch:
        for name in ("sync", "take_place", "_take_place"):
            patch.setattr(files, name, stopping(getattr(files, name)))
        try:
            made.index()
        except Killed:
            return
        except PhonolakeError as error:
            # Several segments are built in processes of their own, each of which was killed again and again.
            assert "a worker was lost" in str(error)  # noqa: PT017


STEPS = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 8)),
    st.tuples(st.just("change"), st.integers(0, 3)),
    st.tuples(st.just("forget"), st.integers(0, 20)),
    st.tuples(st.just("index"), st.just(0)),
    st.tuples(st.just("kill"), st.integers(0, 12)),
)


PARTITIONS = st.sampled_from([None, 7])


def run_steps(steps: list[tuple[str, int]], partition: int | None) -> None:
    with TemporaryDirectory() as scratch:
        made = Made(Path(scratch) / "lake", partition)
        made.add(range(6))
        with Searcher(made.lake) as searcher:
            for number, (what, value) in enumerate(steps):
                if what == "add":
                    made.add(range(value * 3, value * 3 + 4))
                elif what == "kill":
                    killed_at(made, value)
                elif what == "index":
                    made.index()
                else:
                    getattr(made, what)(value)
                made.check(searcher, number)
        if made.vectors:
            made.index()
            parts = made.card().parts
            assert sum(part.n for part in parts) == len(made.vectors)
            assert partition is None or all(part.n <= partition or len(part.shards) == 1 for part in parts)
            folder = made.lake.root / "indexes" / RUN
            assert {path.name for path in folder.iterdir()} == {"card.json", *(part.name for part in parts)}


@pytest.mark.long
@settings(max_examples=4)
@given(st.lists(STEPS, min_size=4, max_size=6), PARTITIONS)
def test_whatever_happened_neighbours_are_those_of_exact_search(
    steps: list[tuple[str, int]], partition: int | None
) -> None:
    run_steps(steps, partition)


@pytest.mark.slow
@settings(max_examples=150)
@given(st.lists(STEPS, min_size=5, max_size=25), PARTITIONS)
def test_whatever_happens_for_long_neighbours_are_those_of_exact_search(
    steps: list[tuple[str, int]], partition: int | None
) -> None:
    run_steps(steps, partition)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Forty tracks, indexed."""
    made = Made(tmp_path / "lake")
    made.add(range(40))
    made.index()
    return made


def test_what_is_new_becomes_a_segment_that_takes_up_small_ones(made: Made) -> None:
    first = made.card().parts
    for start in (100, 102, 104):
        made.add(range(start, start + 2))
        made.index()
    assert sorted(part.n for part in made.card().parts) == [6, 40]
    assert first[0].name in {part.name for part in made.card().parts}, "a large one stays as it is"
    made.add(range(200, 230))
    made.index()
    assert [part.n for part in made.card().parts] == [76]
    folder = made.lake.root / "indexes" / RUN
    assert sorted(path.name for path in folder.iterdir()) == sorted(["card.json", made.card().parts[0].name])


def test_nothing_is_done_where_nothing_changed(made: Made) -> None:
    folder = made.lake.root / "indexes" / RUN
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    made.index()
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_other_wishes_build_it_anew_and_stay(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "FLAT_LIMIT", 0)
    lake = str(made.lake.root)
    index.run(index.Config(lake, kind="hnsw", recall=0.9, seed=3))
    assert made.card().kinds == "hnsw"
    assert made.card().settings == {"kind": "hnsw", "recall": 0.9, "seed": 3, "partition": index.PARTITION}
    card = made.card()
    made.index()
    assert made.card() == card
    with Searcher(made.lake) as searcher:
        made.check(searcher, 3)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kind": "ivf"}, "unknown kind of index 'ivf'"),
        ({"recall": 1.0}, "recall is a share"),
        ({"recall": 0.0}, "recall"),
        ({"partition": 0}, "at least 1 vector; received 0"),
    ],
)
def test_wishes_that_cannot_be_are_refused(made: Made, wrong: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        index.run(index.Config(str(made.lake.root), **wrong))


# -- partitions --------------------------------------------------------------------------------------------------------


def sizes(made: Made) -> list[int]:
    """Vectors of each segment."""
    return sorted(part.n for part in made.card().parts)


@pytest.mark.long
def test_no_segment_grows_beyond_a_partition(tmp_path: Path) -> None:
    made = Made(tmp_path / "lake", 10)
    for start in range(0, 24, 4):
        made.add(range(start, start + 4))
    made.index()
    assert sizes(made) == [8, 8, 8]
    first = {part.name for part in made.card().parts}
    made.partition = None
    made.add(range(30, 35))
    made.index()
    assert sizes(made) == [5, 8, 8, 8], "with a full one it would be more than ten"
    made.add(range(40, 43))
    made.index()
    assert sizes(made) == [8, 8, 8, 8], "the index knows its partitions"
    assert first < {part.name for part in made.card().parts}
    made.add(range(50, 75))
    made.index()
    assert sizes(made) == [8, 8, 8, 8, 25], "a shard is not split"
    with Searcher(made.lake) as searcher:
        made.check(searcher, 3)


def test_large_segments_are_cut_up_only_when_that_is_asked_for(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    made.add(range(100, 130))
    made.index()
    card = made.card()
    old = {name: value for name, value in card.settings.items() if name != "partition"}
    write_card(made.lake.root / "indexes" / RUN, replace(card, settings=old))
    monkeypatch.setattr(index, "PARTITION", 50)
    made.index()
    assert made.card().parts == card.parts, "an index of before stays as it is"
    index.run(index.Config(str(made.lake.root), partition=50))
    assert sizes(made) == [30, 40]
    index.run(index.Config(str(made.lake.root), partition=200))
    assert (sizes(made), made.card().settings["partition"]) == ([30, 40], 200), "there is nothing to build"


@pytest.mark.long
def test_forgotten_tracks_leave_every_partition(tmp_path: Path) -> None:
    made = Made(tmp_path / "lake", 6)
    for start in range(0, 20, 4):
        made.add(range(start, start + 4))
    made.index()
    with Searcher(made.lake) as searcher:
        for number in (0, 9, 13):
            made.forget(number)
            made.check(searcher, 1)
    assert sizes(made) == [3, 3, 3, 4, 4]


@pytest.mark.long
@pytest.mark.timeout(300)
def test_segments_are_built_on_ray_as_they_are_in_one_process(
    ray_session: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Made(tmp_path / "lake", 8)
    for start in range(0, 24, 6):
        made.add(range(start, start + 6))
    made.index()
    folder = made.lake.root / "indexes" / RUN
    written = {path.relative_to(folder): path.read_bytes() for path in folder.glob("*/*")}
    assert len(made.card().parts) == 4
    monkeypatch.setattr(index, "SECONDS_PER_VECTOR", 1e6)
    index.run(index.Config(str(made.lake.root), again=True))
    assert {path.relative_to(folder): path.read_bytes() for path in folder.glob("*/*")} == written
