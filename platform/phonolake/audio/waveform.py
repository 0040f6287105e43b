"""The outline of a sound, for drawing: the extremes of each of a few pieces.

Shape suffixes: T samples, P pieces.
"""

import numpy as np


def outline(x_T: np.ndarray, n_pieces: int) -> np.ndarray:
    """Least and greatest sample of each of `n_pieces` pieces of equal length.

    Parameters
    ----------
    x_T : ndarray
        Mono samples.
    n_pieces : int
        At least 1; a sound of fewer samples has one piece for each.

    Returns
    -------
    ndarray of float32, shape (P, 2)
        Least and greatest; between them lies every sample of the piece.
    """
    edges = np.unique(np.linspace(0, len(x_T), min(n_pieces, len(x_T)) + 1).astype(np.int64))[:-1]
    if not len(edges):
        return np.zeros((0, 2), np.float32)
    least_P, greatest_P = np.minimum.reduceat(x_T, edges), np.maximum.reduceat(x_T, edges)
    return np.column_stack([least_P, greatest_P]).astype(np.float32)
