"""Co-occurrence of labels (Choi et al. 2018, Sec. III).

Shape suffixes: N tracks, L labels.
"""

from dataclasses import dataclass

import duckdb
import numpy as np
from scipy import sparse

from phonolake.errors import UsageError


@dataclass(frozen=True, slots=True)
class LabelMatrix:
    """Which track has which label: sparse Y_NL of 0 and 1, with the names of rows and columns."""

    track_ids: tuple[str, ...]
    labels: tuple[str, ...]
    Y_NL: sparse.csr_array


@dataclass(frozen=True, slots=True)
class Pair:
    """Two labels: how many tracks have both, and the share C(i, j) of those with the first that have the second."""

    label_i: str
    label_j: str
    n_both: int
    n_i: int
    n_j: int
    c: float


def normalized_cooccurrence(Y_NL: np.ndarray | sparse.sparray) -> np.ndarray:
    """C(i, j) = #(i and j) / #i (Choi et al. 2018, Eq. 1).

    Parameters
    ----------
    Y_NL : ndarray or sparse array
        1 where a track has a label, else 0.

    Returns
    -------
    ndarray of float64, shape (L, L)
        In [0, 1]; not symmetric. The row of a label that no track has is NaN.

    Raises
    ------
    UsageError
        If the matrix is not two-dimensional or holds other values than 0 and 1.
    """
    if Y_NL.ndim != 2:
        raise UsageError(f"labels are a matrix (tracks, labels), received shape {Y_NL.shape}")
    Y = sparse.csr_array(Y_NL, dtype=np.float64)
    if not np.isin(Y.data, (0, 1)).all():
        raise UsageError("labels are 0 or 1, received other values")
    both_LL = (Y.T @ Y).toarray()
    with np.errstate(invalid="ignore"):
        return both_LL / np.diag(both_LL)[:, None]


def read_labels(connection: duckdb.DuckDBPyConnection) -> LabelMatrix:
    """The positive labels of every source as one matrix."""
    rows = connection.execute(
        "SELECT DISTINCT track_id, label FROM labels WHERE value = 1 ORDER BY track_id, label"
    ).fetchnumpy()
    track_ids, row_N = np.unique(rows["track_id"].astype(str), return_inverse=True)
    labels, column_N = np.unique(rows["label"].astype(str), return_inverse=True)
    ones = np.ones(len(row_N))
    Y_NL = sparse.csr_array((ones, (row_N, column_N)), shape=(len(track_ids), len(labels)))
    return LabelMatrix(tuple(track_ids.tolist()), tuple(labels.tolist()), Y_NL)


def top_pairs(connection: duckdb.DuckDBPyConnection, top: int) -> list[Pair]:
    """The ordered pairs with the highest C, of those that occur."""
    rows = connection.execute("SELECT * FROM cooccurrence() LIMIT $1", [top]).fetchall()
    return [Pair(*row) for row in rows]
