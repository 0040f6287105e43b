"""Count how many tracks have each two labels: exactly, fast, and with memory independent of the number of tracks.

Shape suffixes: N tracks, L labels.

The matrix is taken block by block of rows. A block with few labels to a track is counted pair by pair (a sparse
product), one with many by a matrix product in single precision, which is exact as long as no count in a block passes
2^24. Only one block at a time is converted, so a memory-mapped file works as well as an array.
"""

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from scipy import sparse

from phonolake.errors import UsageError

LabelArray: TypeAlias = np.ndarray | sparse.sparray | sparse.spmatrix

BLOCK_BYTES = 32 << 20
_LARGEST = 4 << 30
# Counting one pair of a sparse block takes as long as some hundred multiplications of a matrix product.
PAIR_COST = 100


def cooccurrence_counts(Y_NL: LabelArray) -> np.ndarray:
    """#(i and j) for all pairs of labels.

    Parameters
    ----------
    Y_NL : ndarray or sparse array
        1 where a track has a label, else 0; of booleans, integers or floats.

    Returns
    -------
    both_LL : ndarray of int64
        Symmetric; the diagonal is the number of tracks of each label.

    Raises
    ------
    UsageError
        If the matrix is not two-dimensional, holds other values than 0 and 1, or has so many labels that the counts
        would take more than 4 GiB.
    """
    if Y_NL.ndim != 2:
        raise UsageError(f"labels are a matrix (tracks, labels), received shape {Y_NL.shape}")
    n_labels = Y_NL.shape[1]
    if 8 * n_labels**2 > _LARGEST:
        raise UsageError(
            f"counts of {n_labels:,} x {n_labels:,} labels would take {8 * n_labels**2 / 2**30:,.0f} GiB: "
            "leave out the rare labels"
        )
    both_LL = np.zeros((n_labels, n_labels), np.int64)
    if n_labels:
        for block in _sparse_blocks(Y_NL) if sparse.issparse(Y_NL) else _dense_blocks(Y_NL):
            _add(block, both_LL)
    return both_LL


def _rows(n_labels: int) -> int:
    return max(1, min(1 << 24, BLOCK_BYTES // (4 * n_labels)))


def _dense_blocks(Y_NL: np.ndarray) -> Iterator[np.ndarray | sparse.csr_array]:
    step = _rows(Y_NL.shape[1])
    for start in range(0, len(Y_NL), step):
        block = np.ascontiguousarray(Y_NL[start : start + step])
        held = block if block.dtype == bool else block != 0
        if held is not block and not np.array_equal(block, held):
            raise UsageError("labels are 0 or 1, received other values")
        per_track = np.count_nonzero(held, axis=1)
        if _is_sparse(per_track, held.shape[1]):
            column = np.flatnonzero(held) % held.shape[1]
            yield _csr(column, per_track, held.shape[1])
        else:
            yield held.astype(np.float32)


def _sparse_blocks(Y_NL: sparse.sparray) -> Iterator[np.ndarray | sparse.csr_array]:
    Y = sparse.csr_array(Y_NL)
    if not Y.has_canonical_format:
        # Entries that stand twice add up; the caller's matrix stays as it is.
        Y = Y.copy()
        Y.sum_duplicates()
    if not ((Y.data == 0) | (Y.data == 1)).all():
        raise UsageError("labels are 0 or 1, received other values")
    step = _rows(Y.shape[1])
    for start in range(0, Y.shape[0], step):
        block = Y[start : start + step]
        per_track = np.diff(block.indptr)
        yield block.astype(np.int64) if _is_sparse(per_track, Y.shape[1]) else block.toarray().astype(np.float32)


def _is_sparse(per_track: np.ndarray, n_labels: int) -> bool:
    return PAIR_COST * float(np.square(per_track, dtype=np.float64).sum()) < len(per_track) * float(n_labels) ** 2


def _csr(column: np.ndarray, per_track: np.ndarray, n_labels: int) -> sparse.csr_array:
    starts = np.concatenate([[0], np.cumsum(per_track)])
    return sparse.csr_array((np.ones(len(column), np.int64), column, starts), shape=(len(per_track), n_labels))


def _add(block: np.ndarray | sparse.csr_array, both_LL: np.ndarray) -> None:
    if isinstance(block, np.ndarray):
        both_LL += (block.T @ block).astype(np.int64)
        return
    found = (block.T @ block).tocoo()
    both_LL[found.row, found.col] += found.data
