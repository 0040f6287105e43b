"""The vectors of a segment that a filter lets through, with what many questions under the same filter need of them."""

import numpy as np


class Allowed:
    """Vectors that may be found.

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
        """Where those of each cell begin among them, and their number; the bounds are those of the one segment."""
        if self._cells is None or self._cells[0] is not bounds:
            self._cells = bounds, np.searchsorted(self.numbers, bounds)
        return self._cells[1]

    def keep(self, numbers: np.ndarray) -> np.ndarray:
        """Those of some numbers that are among them."""
        if not len(self):
            return numbers[:0]
        place = np.minimum(np.searchsorted(self.numbers, numbers), len(self) - 1)
        return numbers[self.numbers[place] == numbers]
