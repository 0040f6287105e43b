"""How many cells of an inverted file to look at, and when to look at the allowed vectors themselves instead.

A filter that lets through a share s of the vectors makes the k nearest of them those that lie among the k / s nearest
of all. How many cells hold the k nearest is measured when an index is built, for several k; a filter is served by
the entry for k / s. Where the cells around a query hold fewer allowed vectors than that share, as when the filter has
to do with how tracks sound, it no longer follows, and all cells are looked at.

Looking at an allowed vector by its number takes as long as passing over several in FAISS's order. So allowed vectors
are looked at one by one where they are fewer than a half (inverted file) or an eighth (flat) of those that FAISS would
pass over: `python tests/bench/search.py --switch` measures both.

Shape suffixes: N vectors, C cells, M allowed vectors, Q queries, K neighbours, P probed cells, D values.
"""

from typing import Any

import numpy as np

# Neighbours for which the number of cells is measured, the queries that it is measured with, and what is wanted.
DEPTHS = (10, 20, 50, 100, 200, 500, 1000)
QUERIES, RECALL = 256, 0.985
# An allowed vector read by its number costs as much as so many that are passed over.
READ = {"ivf": 2, "flat": 8}
# With less than so much of its share around a query, a filter has to do with where the query lies.
SPARSE = 0.5


def measure(faiss: Any, index: Any, vectors_ND: np.ndarray, *, seed: int = 0) -> list[tuple[int, int]]:
    """For several k how many cells are to be looked at so that the mean recall of the k nearest reaches `RECALL`.

    Parameters
    ----------
    index : faiss.IndexIVF
        With its vectors and an array as direct map.
    vectors_ND : ndarray
        The same vectors, of length one. Some of them are the queries, which do not count as their own neighbours.

    Returns
    -------
    list of (k, cells)
    """
    n = len(vectors_ND)
    rows_Q = np.sort(np.random.default_rng(seed).choice(n, min(QUERIES, n), replace=False))
    deepest = min(DEPTHS[-1], n - 1)
    _, nearest_QK = faiss.knn(vectors_ND[rows_Q], vectors_ND, deepest + 1, faiss.METRIC_INNER_PRODUCT)
    others_QK = nearest_QK != rows_Q[:, None]
    # Where a query has many doubles it may not be among its own nearest: then the last one goes.
    others_QK[others_QK.all(axis=1), -1] = False
    nearest_QK = nearest_QK[others_QK].reshape(len(rows_Q), deepest)
    _, order_QC = index.quantizer.search(vectors_ND[rows_Q], index.nlist)
    rank_QC = np.empty_like(order_QC)
    np.put_along_axis(rank_QC, order_QC, np.arange(index.nlist)[None], axis=1)
    rank_QK = np.take_along_axis(rank_QC, cells_of(faiss, index)[nearest_QK], axis=1)
    return [(k, _enough(rank_QK[:, :k])) for k in DEPTHS if k <= deepest]


def _enough(rank_QK: np.ndarray) -> int:
    """The fewest cells that hold the wanted share of neighbours, by the ranks of their cells."""
    return int(np.sort(rank_QK, axis=None)[int(np.ceil(RECALL * rank_QK.size)) - 1]) + 1


def cells_of(faiss: Any, index: Any) -> np.ndarray:
    """The cell of each vector, by its number."""
    return np.asarray(faiss.vector_to_array(index.direct_map.array) >> 32)


def wanted(measured: list[tuple[int, int]], n_cells: int, k: float) -> int:
    """How many cells to look at for k neighbours: all of them beyond what was measured."""
    return next((cells for depth, cells in measured if k <= depth), n_cells)


def under_filter(
    measured: list[tuple[int, int]], k: int, cell_N: np.ndarray, among_M: np.ndarray, order_C: np.ndarray
) -> int:
    """How many cells to look at for the k nearest of some vectors.

    Parameters
    ----------
    cell_N : ndarray
        Cell of each vector.
    among_M : ndarray
        Numbers of those that may be found.
    order_C : ndarray
        All cells, the nearest to the query first.
    """
    share = len(among_M) / len(cell_N)
    cells = wanted(measured, len(order_C), k / share)
    near_P = order_C[:cells]
    all_P, allowed_P = (
        np.bincount(cell, minlength=len(order_C))[near_P].cumsum() for cell in (cell_N, cell_N[among_M])
    )
    # Most neighbours lie in the very nearest cells, so that the share must hold from the first one on.
    lowest = float((allowed_P / np.maximum(all_P, 1))[all_P > 0].min(initial=share))
    return len(order_C) if lowest < SPARSE * share else wanted(measured, len(order_C), k / lowest)
