"""Search depth: how many cells of an inverted file, or candidates of a graph, for the k nearest.

If a filter passes a share s of the vectors, the k nearest allowed ones are among the k / s nearest of all. The build of
an index measures how many cells contain the k nearest (`phonolake.search.recall`), for several k; a filter uses the
entry for k / s. If the cells around a query contain fewer allowed vectors than that share, because the filter depends
on the sound, this does not hold, and all cells are searched.

Shape suffixes: C cells, P probed cells.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

# With less than this part of its share around a query, a filter depends on the position of the query.
SPARSE = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """The measured search depths.

    Parameters
    ----------
    measured : tuple of (int, int)
        For several numbers of neighbours, in order, how many cells (candidates of a graph) contain them.
    refine : int
        How many times k candidates FAISS's codes give, to be reranked by the vectors.
    """

    measured: tuple[tuple[int, int], ...] = ()
    refine: int = 1

    @classmethod
    def of(cls, card: dict[str, Any]) -> "Plan":
        """The plan on a card."""
        return cls(tuple((int(k), int(n)) for k, n in card.get("probes", [])), int(card.get("refine", 1)))

    def probes(self, depth: float, most: int) -> int:
        """The search depth for a number of neighbours: everything beyond the measured range."""
        return next((min(probes, most) for k, probes in self.measured if depth <= k), most)


UNKNOWN = Plan()


def under_filter(
    plan: Plan, k: int, size_C: np.ndarray, allowed_C: np.ndarray, nearest: Callable[[int], np.ndarray]
) -> np.ndarray:
    """The cells to search for the k nearest allowed vectors, the nearest first; all cells in any order.

    Parameters
    ----------
    size_C, allowed_C : ndarray
        Number of vectors, and of allowed vectors, in each cell.
    nearest : callable
        Gives a number of cells around the query, the nearest first.
    """
    everywhere_C = np.arange(len(size_C))
    share = allowed_C.sum() / size_C.sum()
    cells = plan.probes(k / share, len(size_C))
    if cells == len(size_C):
        return everywhere_C
    near_P = nearest(cells)
    all_P, allowed_P = size_C[near_P].cumsum(), allowed_C[near_P].cumsum()
    # Most neighbours are in the very nearest cells, so that the share must hold from the first one on.
    lowest = float((allowed_P / np.maximum(all_P, 1))[all_P > 0].min(initial=share))
    if lowest < SPARSE * share:
        return everywhere_C
    wider = plan.probes(k / lowest, len(size_C))
    if wider > cells:
        near_P = nearest(wider)
    return near_P if allowed_C[near_P].sum() >= k else everywhere_C
