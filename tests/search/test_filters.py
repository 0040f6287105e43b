"""Filters: what they let through is found, however little it is and wherever it lies."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from phonolake.search import building, kinds, tracks
from phonolake.search.allowed import Allowed
from phonolake.search.building import Block, BuildPlan
from phonolake.search.segment import Segment

K, QUERIES = 10, 50
SHARES = (1.0, 0.5, 0.1, 0.01, 0.001, 0.0001)
GROUPS = 40


def uniform(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors in all directions; their groups say nothing."""
    rng = np.random.default_rng(3)
    return rng.normal(size=(n, d)).astype(np.float32), rng.integers(0, GROUPS, n)


def clustered(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors around forty centres, as tracks lie around genres, which are their groups."""
    rng = np.random.default_rng(3)
    group_N = rng.integers(0, GROUPS, n)
    return (rng.normal(size=(GROUPS, d))[group_N] + 0.5 * rng.normal(size=(n, d))).astype(np.float32), group_N


MADE = {"uniform": uniform, "clustered": clustered}


def nothing(track_ids: pa.ChunkedArray) -> Iterator[pa.RecordBatch]:
    """Nothing is shown of any track."""
    for chunk in track_ids.chunks:
        yield pa.record_batch([pa.nulls(len(chunk), pa.string())] * 3, names=list(tracks.SHOWN))


def segment(folder: Path, kind: str, x_ND: np.ndarray) -> Segment:
    """A segment of any size, indexed."""
    ids = pa.array([str(n) for n in range(len(x_ND))])
    card = building.build(folder, [Block(ids, x_ND, 0)], len(x_ND), x_ND.shape[1], nothing, BuildPlan(kind))
    assert card["kind"] == kind
    return Segment.read(folder, card)


def recall(index: Segment, allowed: Callable[[int], np.ndarray]) -> float:
    """Share of the nearest allowed vectors that are found, over queries that are vectors themselves."""
    hits, wanted = 0, 0
    unit_ND = np.asarray(index.vectors)
    for query in range(0, len(unit_ND), len(unit_ND) // QUERIES):
        among = allowed(query)
        found, _ = index.search(unit_ND[query], K, among=Allowed(among))
        similarity_M = unit_ND[among] @ unit_ND[query]
        best = among[np.argpartition(-similarity_M, min(K, len(among)) - 1)[:K]]
        assert len(set(found.tolist())) == len(found) == len(best)
        hits += len(set(found.tolist()) & set(best.tolist()))
        wanted += len(best)
    return hits / wanted


def check(folder: Path, kind: str, made: str, n: int, d: int) -> None:
    x_ND, group_N = MADE[made](n, d)
    index = segment(folder, kind, x_ND)
    # Vectors are numbered cell by cell.
    group_N = group_N[np.array([int(track_id) for track_id in index.tracks.ids().to_pylist()])]
    rng = np.random.default_rng(5)
    found = {}
    for share in SHARES:
        among = np.sort(rng.choice(n, max(1, int(n * share)), replace=False))
        found[f"{share:.2%}"] = recall(index, lambda _, among=among: among)
    # Filters that have to do with where the vectors lie.
    found["own group"] = recall(index, lambda q: np.flatnonzero(group_N == group_N[q]))
    found["all other groups"] = recall(index, lambda q: np.flatnonzero(group_N != group_N[q]))
    found["one other group"] = recall(index, lambda q: np.flatnonzero(group_N == (group_N[q] + 1) % GROUPS))
    found["half of the groups"] = recall(index, lambda _: np.flatnonzero(group_N % 2))
    print(kind, made, {name: round(value, 3) for name, value in found.items()}, index.plan)
    assert {name: value for name, value in found.items() if value < 0.97} == {}


@pytest.fixture(autouse=True)
def any_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "FLAT_LIMIT", 0)


@pytest.mark.parametrize("made", MADE)
def test_what_a_filter_lets_through_is_found(made: str, tmp_path: Path) -> None:
    check(tmp_path, "ivf-sq8", made, 12_000, 32)


@pytest.mark.slow
@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("kind", ["ivf-sq8", "rabitq", "ivf-pq-refine", "hnsw"])
def test_what_a_filter_lets_through_is_found_among_many(kind: str, made: str, tmp_path: Path) -> None:
    check(tmp_path, kind, made, 200_000, 32)
