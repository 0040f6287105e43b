"""Filters: what they let through is found, however little it is and wherever it lies."""

from collections.abc import Callable

import numpy as np
import pytest

from phonolake.search import index as searching
from phonolake.search.index import Index, build, search

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


def inverted(x_ND: np.ndarray, cells: int) -> Index:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searching, "FLAT_LIMIT", 0)
        patch.setattr(searching, "CELLS", cells)
        return build(x_ND, [str(n) for n in range(len(x_ND))], {})


def recall(index: Index, x_ND: np.ndarray, allowed: Callable[[int], np.ndarray]) -> float:
    """Share of the nearest allowed vectors that are found, over queries that are vectors themselves."""
    unit_ND = x_ND / np.linalg.norm(x_ND, axis=1, keepdims=True)
    hits, wanted = 0, 0
    for query in range(0, len(x_ND), len(x_ND) // QUERIES):
        among = allowed(query)
        found = search(index, x_ND[query], K, among=among)
        similarity_M = unit_ND[among] @ unit_ND[query]
        best = among[np.argpartition(-similarity_M, min(K, len(among)) - 1)[:K]]
        assert len({n for n, _ in found}) == len(found) == len(best)
        hits += len({n for n, _ in found} & set(best.tolist()))
        wanted += len(best)
    return hits / wanted


def check(kind: str, n: int, d: int, cells: int) -> None:
    x_ND, group_N = MADE[kind](n, d)
    index = inverted(x_ND, cells)
    rng = np.random.default_rng(5)
    found = {}
    for share in SHARES:
        among = np.sort(rng.choice(n, max(1, int(n * share)), replace=False))
        found[f"{share:.2%}"] = recall(index, x_ND, lambda _, among=among: among)
    # Filters that have to do with where the vectors lie.
    found["own group"] = recall(index, x_ND, lambda q: np.flatnonzero(group_N == group_N[q]))
    found["all other groups"] = recall(index, x_ND, lambda q: np.flatnonzero(group_N != group_N[q]))
    found["one other group"] = recall(index, x_ND, lambda q: np.flatnonzero(group_N == (group_N[q] + 1) % GROUPS))
    found["half of the groups"] = recall(index, x_ND, lambda _: np.flatnonzero(group_N % 2))
    print(kind, {name: round(value, 3) for name, value in found.items()}, index.card.get("probes"))
    assert {name: value for name, value in found.items() if value < 0.97} == {}


@pytest.mark.parametrize("kind", MADE)
def test_what_a_filter_lets_through_is_found(kind: str) -> None:
    check(kind, 20_000, 32, 128)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MADE)
def test_what_a_filter_lets_through_is_found_among_many(kind: str) -> None:
    check(kind, 200_000, 32, 1024)
