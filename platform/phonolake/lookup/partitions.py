"""Partitions: processes that each search some segments of an index, so that all answer one question side by side.

Who asks merges their answers as those of its own segments (`phonolake.lookup.searched`), so that the results are the
same. A partition keeps nothing but open files: whatever it is asked about, it opens, and a new one can replace it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import numpy as np

from phonolake.lookup import indexed
from phonolake.search import gpu
from phonolake.search import index as faiss_index
from phonolake.search.allowed import Allowed
from phonolake.search.segment import Segment
from phonolake.store.lake import Lake
from phonolake.store.place import Place

# Numbers within a segment, and similarities.
Found: TypeAlias = tuple[np.ndarray, np.ndarray]
# The allowed vectors of a segment; None: all.
Filter: TypeAlias = Allowed | None
# Methods of a segment.
Way = Literal["candidates", "search_many"]


@dataclass(frozen=True, slots=True)
class SegmentQuestion:
    """What segments are asked.

    Parameters
    ----------
    run_id : str
        Of the index.
    way, query, k
        The method of a segment, and its arguments.
    """

    run_id: str
    way: Way
    query: np.ndarray
    k: int

    def of(self, segment: Segment, among: Filter) -> Found:
        """What a segment finds."""
        found: Found = getattr(segment, self.way)(self.query, self.k, among=among)
        return found


class Partitions(Protocol):
    """Partitions, wherever they are."""

    def __len__(self) -> int: ...

    def ask(
        self, question: SegmentQuestion, names: Sequence[list[str]], among: Sequence[list[Filter]]
    ) -> Callable[[], Sequence[list[Found]]]:
        """Ask the first partitions without waiting; the result waits for their answers.

        Parameters
        ----------
        names, among : sequence of list
            For each partition its segments, and the allowed vectors of each.
        """
        ...


class Partition:
    """Some segments of the indexes of a lake, on a GPU if there is one; it is asked one question at a time."""

    def __init__(self, place: Place) -> None:
        self._lake = Lake(place)
        self._opened: dict[str, dict[str, Segment]] = {}

    def find(self, question: SegmentQuestion, names: list[str], among: Sequence[Filter]) -> list[Found]:
        """What each of these segments finds: see `Partitions.ask`.

        Raises
        ------
        PhonolakeError
            When one cannot be opened.
        """
        run_id = question.run_id
        opened = self._opened.get(run_id, {})
        if list(opened) != names:
            lacking = [name for name in names if name not in opened]
            new = faiss_index.load_some(indexed.folder(self._lake, run_id), lacking)
            opened = opened | dict(zip(lacking, gpu.placed(new), strict=True))
            # Segments that are no longer asked about are gone, or another partition has them.
            opened = self._opened[run_id] = {name: opened[name] for name in names}
        return [question.of(segment, allowed) for segment, allowed in zip(opened.values(), among, strict=True)]


def shares(sizes: Sequence[int], n: int) -> list[list[int]]:
    """Which segments each of n partitions gets, by their places: the largest first, to the one that has least.

    Partitions that would get none are left out.
    """
    found: list[list[int]] = [[] for _ in range(n)]
    for place in sorted(range(len(sizes)), key=lambda place: -sizes[place]):
        min(found, key=lambda share: sum(sizes[i] for i in share)).append(place)
    return [share for share in found if share]
