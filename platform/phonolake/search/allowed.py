"""The vectors of a segment that pass a filter, with data that many queries with the same filter share."""

import numpy as np


class Allowed:
    """Allowed vectors.

    Parameters
    ----------
    numbers : ndarray of int64
        Their numbers within the segment, in order, each once.
    """

    def __init__(self, numbers: np.ndarray) -> None:
        self.numbers = np.ascontiguousarray(numbers, np.int64)
        self._cells: tuple[np.ndarray, np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    def by_cell(self, bounds: np.ndarray) -> np.ndarray:
        """The start of each cell among them, and their number; the bounds are those of the segment."""
        if self._cells is None or self._cells[0] is not bounds:
            self._cells = bounds, np.searchsorted(self.numbers, bounds)
        return self._cells[1]

    def keep(self, numbers: np.ndarray) -> np.ndarray:
        """Those of some numbers that are allowed."""
        if not len(self):
            return numbers[:0]
        place = np.minimum(np.searchsorted(self.numbers, numbers), len(self) - 1)
        return numbers[self.numbers[place] == numbers]
