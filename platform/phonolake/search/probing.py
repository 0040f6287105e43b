"""How far to look: how many cells of an inverted file, or candidates of a graph, for the k nearest.

A filter that lets through a share s of the vectors makes the k nearest of them those that lie among the k / s nearest
of all. How many cells hold the k nearest is measured when an index is built (`phonolake.search.recall`), for several
k; a filter is served by the entry for k / s. Where the cells around a query hold fewer allowed vectors than that
share, as when the filter has to do with how tracks sound, it no longer follows, and all cells are looked at.

Shape suffixes: C cells, P probed cells.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

# With less than so much of its share around a query, a filter has to do with where the query lies.
SPARSE = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """What was measured.

    Parameters
    ----------
    measured : tuple of (int, int)
        For several depths, in order, how many cells (candidates of a graph) hold the so many nearest.
    refine : int
        How many times k are taken from FAISS's codes, to be ranked by the vectors themselves.
    """

    measured: tuple[tuple[int, int], ...] = ()
    refine: int = 1

    @classmethod
    def of(cls, card: dict[str, Any]) -> "Plan":
        """The plan on a card."""
        return cls(tuple((int(k), int(n)) for k, n in card.get("probes", [])), int(card.get("refine", 1)))

    def probes(self, depth: float, most: int) -> int:
        """How far to look for so many neighbours: everywhere beyond what was measured."""
        return next((min(probes, most) for k, probes in self.measured if depth <= k), most)


UNKNOWN = Plan()


def under_filter(
    plan: Plan, k: int, size_C: np.ndarray, allowed_C: np.ndarray, nearest: Callable[[int], np.ndarray]
) -> np.ndarray:
    """The cells to look at for the k nearest of some vectors, the nearest first; all in any order.

    Parameters
    ----------
    size_C, allowed_C : ndarray
        Vectors of each cell, and those of them that may be found.
    nearest : callable
        So many cells around the query, the nearest first.
    """
    everywhere_C = np.arange(len(size_C))
    share = allowed_C.sum() / size_C.sum()
    cells = plan.probes(k / share, len(size_C))
    if cells == len(size_C):
        return everywhere_C
    near_P = nearest(cells)
    all_P, allowed_P = size_C[near_P].cumsum(), allowed_C[near_P].cumsum()
    # Most neighbours lie in the very nearest cells, so that the share must hold from the first one on.
    lowest = float((allowed_P / np.maximum(all_P, 1))[all_P > 0].min(initial=share))
    if lowest < SPARSE * share:
        return everywhere_C
    wider = plan.probes(k / lowest, len(size_C))
    if wider > cells:
        near_P = nearest(wider)
    return near_P if allowed_C[near_P].sum() >= k else everywhere_C
