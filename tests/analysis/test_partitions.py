"""Partitions answer as one process over the same segments: the same tracks, and similarities to the last bit."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonolake.analysis.collection.neighbours import Searcher
from phonolake.errors import PhonolakeError
from phonolake.lookup.partitions import Filter, Found, Partition, SegmentQuestion, shares
from phonolake.lookup.searched import Hit, Searched
from phonolake.search import kinds
from phonolake.search.vectors import unit
from phonolake.stages import forget, index
from phonolake.store import schema
from phonolake.store.lake import Change, Lake

from .made_vectors import RUN, D, add, build, nearest


class Threads:
    """Partitions in threads of this process; they share nothing."""

    def __init__(self, lake: Lake, n: int) -> None:
        self.partitions = [Partition(lake.place) for _ in range(n)]
        self.pool = ThreadPoolExecutor(n)
        self.asked: list[list[str]] = []

    def __len__(self) -> int:
        return len(self.partitions)

    def ask(
        self, question: SegmentQuestion, names: Sequence[list[str]], among: Sequence[list[Filter]]
    ) -> Callable[[], Sequence[list[Found]]]:
        self.asked = [list(own) for own in names]
        waiting = [
            self.pool.submit(partition.find, question, own, allowed)
            for partition, own, allowed in zip(self.partitions, names, among, strict=False)
        ]
        return lambda: [future.result() for future in waiting]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Segments of two kinds, of which one has lost a shard, and vectors outside."""
    lake = Lake.create(tmp_path_factory.mktemp("lakes") / "lake")
    for start in range(0, 480, 60):
        add(lake, range(start, start + 60))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kinds, "FLAT_LIMIT", 100)
        index.run(index.Config(str(lake.root), partition=120))
        add(lake, range(1000, 1030))
        build(lake)
    add(lake, range(2000, 2030))
    embeddings = schema.table("embeddings")
    lake.commit({"embeddings": Change(embeddings, [], [f"{RUN}--60.parquet"])})
    return lake


def facts(hits: list[Hit]) -> list[tuple[float, str, int]]:
    return [(hit.distance, hit.track_id, hit.number) for hit in hits]


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 40),
    st.integers(2, 9),
    st.one_of(st.none(), st.floats(0, 1)),
    st.integers(0, 3),
)
@pytest.mark.long
def test_partitions_find_what_one_process_finds(
    lake: Lake, seed: int, k: int, n: int, share: float | None, excluded: int
) -> None:
    rng = np.random.default_rng(seed)
    here, there = opened(lake, 1), opened(lake, n)
    query_QD = unit(rng.normal(size=(3, D)))
    query_QD[2] = here.pieces[0].segment.vectors[rng.integers(len(here.pieces[0].segment))]
    numbers = None if share is None else np.flatnonzero(rng.random(len(here)) < share)
    exclude = [f"m:{number}" for number in rng.integers(0, 480, excluded)]
    for query_D in query_QD:
        one, many = (s.nearest(query_D, k, among=s.among(numbers), exclude=exclude) for s in (here, there))
        assert facts(one) == facts(many)
    one_by_one, together = (s.nearest_many(query_QD, k, s.among(numbers), ["m:1"] * 3) for s in (here, there))
    assert list(map(facts, one_by_one)) == list(map(facts, together))


OPENED: dict[tuple[str, int], Searched] = {}


def opened(lake: Lake, n: int) -> Searched:
    """The embeddings, searched by so many partitions."""
    known = str(lake.root), n
    if known not in OPENED:
        OPENED[known] = Searched(lake.pinned(), RUN, partitions=Threads(lake, n) if n > 1 else None)
    return OPENED[known]


def test_the_lake_has_all_sorts_of_segments(lake: Lake) -> None:
    """Else the test above would show less than it says."""
    pieces = opened(lake, 1).pieces
    assert {piece.segment.kind for piece in pieces} == {"flat", "ivf-sq8"}
    assert len(pieces) == 6
    assert any(piece.alive is not None for piece in pieces)
    assert pieces[-1].part is None
    assert all(piece.segment.faiss is None for piece in opened(lake, 2).pieces), "that is for the partitions"


@given(st.lists(st.integers(1, 1000), max_size=30), st.integers(1, 8))
def test_each_segment_has_one_partition_and_none_has_much_more(sizes: list[int], n: int) -> None:
    found = shares(sizes, n)
    assert sorted(place for share in found for place in share) == list(range(len(sizes)))
    assert len(found) == min(n, len(sizes))
    loads = [sum(sizes[place] for place in share) for share in found]
    assert max(loads, default=0) <= sum(sizes) / n + max(sizes, default=0)


@pytest.mark.long
def test_what_is_published_and_forgotten_holds_at_once(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake")
    for start in range(0, 30, 10):
        add(lake, range(start, start + 10))
    index.run(index.Config(str(lake.root), partition=10))
    partitions = Threads(lake, 2)
    with Searcher(lake, partitions=partitions) as searcher:
        assert found(searcher) == nearest(7, range(30), 100)
        assert sorted(map(len, partitions.asked)) == [1, 2]
        gone = nearest(7, range(30), 1)
        forget.run(forget.Config(str(lake.root), tuple(gone)))
        rest = [n for n in range(30) if f"m:{n}" not in gone]
        assert found(searcher) == nearest(7, rest, 100)
        add(lake, range(30, 35))
        assert found(searcher) == nearest(7, [*rest, *range(30, 35)], 100)
        build(lake)
        searcher.close()
        assert found(searcher) == nearest(7, [*rest, *range(30, 35)], 100)
        assert sum(map(len, partitions.asked)) == 4


def found(searcher: Searcher) -> list[str]:
    return [neighbour.track_id for neighbour in searcher.similar("m:7", k=100)]


def test_a_segment_that_is_gone_is_said(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake")
    add(lake, range(10))
    build(lake)
    question = SegmentQuestion(RUN, "candidates", np.zeros(D, np.float32), 3)
    with pytest.raises(PhonolakeError, match=r"was replaced just now .*: ask again"):
        Partition(lake.place).find(question, ["gone"], [None])
