"""Co-occurrence of labels (Choi et al. 2018, Sec. III-A [1]_).

Shape suffixes: N tracks, L labels.

References
----------
.. [1] K. Choi, G. Fazekas, K. Cho, M. Sandler, "The Effects of Noisy Labels on Deep Convolutional Neural Networks for
       Music Tagging", IEEE TETCI 2(2), 2018 (preprint: "On the Robustness of Deep Convolutional Neural Networks for
       Music Classification", 2017).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np

from phonolake.analysis.labels.counting import LabelArray, cooccurrence_counts
from phonolake.lookup.label_matrix import LabelMatrix, read_labels
from phonolake.metrics.intervals import CONFIDENCE, wilson

__all__ = [
    "LabelMatrix",
    "LabelPair",
    "PairCounts",
    "cooccurrence_counts",
    "lift",
    "normalize",
    "normalized_cooccurrence",
    "ranked_pairs",
    "read_counts",
    "read_labels",
    "top_pairs",
]


@dataclass(frozen=True, slots=True)
class LabelPair:
    """Two labels, in this order.

    Parameters
    ----------
    n_both, n_i, n_j : int
        Tracks with both, with the first, with the second.
    c : float
        C(i, j), the share of the tracks with the first that have the second; `c_low` and `c_high` are its Wilson
        interval.
    lift : float
        How many times commoner the second is among tracks with the first than among all.
    """

    label_i: str
    label_j: str
    n_both: int
    n_i: int
    n_j: int
    c: float
    c_low: float
    c_high: float
    lift: float


@dataclass(frozen=True, slots=True)
class PairCounts:
    """How many of `n_tracks` tracks that have any label have each two labels.

    Parameters
    ----------
    pairs : ndarray
        (L, L), the result of `cooccurrence_counts`.
    """

    labels: tuple[str, ...]
    pairs: np.ndarray
    n_tracks: int

    @property
    def tracks(self) -> np.ndarray:
        """Tracks with each label, (L,)."""
        return np.diag(self.pairs)


def read_counts(connection: duckdb.DuckDBPyConnection, *, source: str | None = None) -> PairCounts:
    """Count the positive labels of a lake, of one source or of all."""
    found = read_labels(connection, source=source)
    return PairCounts(found.labels, cooccurrence_counts(found.Y_NL), found.Y_NL.shape[0])


def normalized_cooccurrence(Y_NL: LabelArray) -> np.ndarray:
    """C(i, j) = #(i and j) / #i (Choi et al. 2018, Eq. 1).

    Parameters
    ----------
    Y_NL : ndarray or sparse array
        1 where a track has a label, else 0; of booleans, integers or floats.

    Returns
    -------
    ndarray of float64, shape (L, L)
        In [0, 1]; not symmetric. The row of a label that no track has is NaN.

    Raises
    ------
    UsageError
        If the matrix is not two-dimensional or holds other values than 0 and 1.
    """
    return normalize(cooccurrence_counts(Y_NL))


def normalize(both_LL: np.ndarray) -> np.ndarray:
    """C(i, j) from the counts of `cooccurrence_counts`."""
    with np.errstate(invalid="ignore"):
        return both_LL / np.diag(both_LL)[:, None]


def lift(both_LL: np.ndarray, n_tracks: int) -> np.ndarray:
    """How many times commoner j is among tracks with i than among all: N #(i and j) / (#i #j).

    Symmetric; 1 for labels that are independent, NaN where a label has no track.
    """
    n_L = np.diag(both_LL).astype(np.float64)
    with np.errstate(invalid="ignore"):
        return n_tracks * both_LL / np.outer(n_L, n_L)


def ranked_pairs(
    labels: Sequence[str],
    both_LL: np.ndarray,
    n_tracks: int,
    *,
    min_count: int = 1,
    confidence: float = CONFIDENCE,
    top: int | None = None,
) -> list[LabelPair]:
    """The ordered pairs that occur, the highest C first; of equal ones the commoner first, then by name.

    Parameters
    ----------
    both_LL : ndarray
        Counts of `cooccurrence_counts`.
    n_tracks : int
        Tracks that were counted.
    min_count : int
        Tracks that the first label must have: shares of a handful of tracks say little.
    """
    n_L = np.diag(both_LL)
    occurs = (both_LL > 0) & (n_L >= min_count)[:, None]
    np.fill_diagonal(occurs, False)
    i, j = np.nonzero(occurs)
    both = both_LL[i, j]
    c = both / n_L[i]
    place_L = np.argsort(np.argsort(np.asarray(labels), kind="stable"))
    order = np.lexsort((place_L[j], place_L[i], -both, -c))[:top]
    i, j, both, c = i[order], j[order], both[order], c[order]
    low, high = wilson(both, n_L[i], confidence=confidence)
    lifted = n_tracks * both / (n_L[i].astype(np.float64) * n_L[j])
    columns = (both, n_L[i], n_L[j], c, low, high, lifted)
    rows = zip(i, j, *(column.tolist() for column in columns), strict=True)
    return [LabelPair(labels[a], labels[b], *values) for a, b, *values in rows]


def top_pairs(connection: duckdb.DuckDBPyConnection, top: int) -> list[LabelPair]:
    """The ordered pairs with the highest C, of those that occur, counted by the macro of the lake."""
    rows = connection.execute("SELECT * FROM cooccurrence() LIMIT $1", [top]).fetchall()
    return [LabelPair(*row) for row in rows]
