"""Bootstrap intervals of figures on a sample of tracks, and of differences of two figures on the same tracks.

Whole clusters of tracks are drawn with replacement [1]_: tracks of one artist are similar, so that a sample has less
information than its size suggests. Two models are compared on the same draws, which removes the variance that is common
to both. Draws are kept as how often each track counts, so that one pass over the sorted scores serves all of them.

Shape suffixes: N tracks, K classes, R draws, T distinct scores.

References
----------
.. [1] A. Davison, D. Hinkley, "Bootstrap Methods and their Application", Cambridge University Press 1997, sections 2.4
       (percentiles) and 3.8 (clusters).
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from phonolake.errors import UsageError
from phonolake.metrics import classification
from phonolake.metrics.intervals import CONFIDENCE

DRAWS = 1000
# Numbers of one pass over the draws: some 32 MB.
AT_ONCE = 1 << 22


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with the bounds of its interval; all three are NaN if it is undefined."""

    value: float
    low: float
    high: float


def draws(clusters: Sequence[Hashable], *, n_draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """Draw as many clusters as there are, with replacement, again and again.

    Parameters
    ----------
    clusters : sequence
        The cluster of each of the N tracks, such as its artist.
    n_draws : int
        R.
    seed : int
        The same seed and clusters give the same draws.

    Returns
    -------
    W_RN : ndarray of float32
        How often each track counts in each draw.

    Raises
    ------
    UsageError
        If there are no tracks, or no draws are requested.
    """
    if not len(clusters) or n_draws < 1:
        raise UsageError(f"draws need tracks and a number; received {len(clusters)} tracks and {n_draws} draws")
    numbers: dict[Hashable, int] = {}
    of_track_N = np.array([numbers.setdefault(cluster, len(numbers)) for cluster in clusters])
    rng = np.random.default_rng(seed)
    n = len(numbers)
    times_RC = np.stack([np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(n_draws)])
    W_RN: np.ndarray = times_RC[:, of_track_N].astype(np.float32)
    return W_RN


def mean(values_N: np.ndarray, W_RN: np.ndarray) -> np.ndarray:
    """The mean over the tracks of each draw, (R,): with 1 for right and 0 for wrong it is the accuracy."""
    drawn_R: np.ndarray = W_RN @ np.asarray(values_N, np.float64) / W_RN.sum(axis=1, dtype=np.float64)
    return drawn_R


def roc_auc(y_true: np.ndarray, scores: np.ndarray, W_RN: np.ndarray) -> np.ndarray:
    """The macro ROC-AUC of each draw, (R,); arguments and errors are those of `classification.roc_auc`.

    A class without positives or without negatives in a draw is left out of its mean.
    """
    return _macro(_roc_auc_of_one, y_true, scores, W_RN)


def average_precision(y_true: np.ndarray, scores: np.ndarray, W_RN: np.ndarray) -> np.ndarray:
    """The macro average precision of each draw, (R,); as `roc_auc`."""
    return _macro(_average_precision_of_one, y_true, scores, W_RN)


def estimate(value: float, drawn_R: np.ndarray, *, confidence: float = CONFIDENCE) -> Estimate:
    """A figure with its percentile interval.

    Parameters
    ----------
    value : float
        On the tracks as they are.
    drawn_R : ndarray
        The same figure of each draw; for the difference of two figures, their difference on the same draws.
    confidence : float
        Share of the draws between the bounds, in (0, 1).
    """
    if not 0 < confidence < 1:
        raise UsageError(f"confidence lies between 0 and 1, received {confidence}")
    defined = drawn_R[~np.isnan(drawn_R)]
    if not defined.size:
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(value, float(low), float(high))


def _macro(
    of_one: Callable[[np.ndarray, np.ndarray], np.ndarray],
    y_true: np.ndarray,
    scores: np.ndarray,
    W_RN: np.ndarray,
) -> np.ndarray:
    Y_NK = classification.one_against_rest(y_true, scores)
    chunk = max(1, AT_ONCE // max(1, len(Y_NK)))
    total_R, n_R = np.zeros(len(W_RN)), np.zeros(len(W_RN))
    for k in range(scores.shape[1]):
        order = np.argsort(scores[:, k], kind="stable")[::-1]
        positive_N, score_N = Y_NK[order, k], scores[order, k]
        # Equal scores are accepted together.
        first_T = np.flatnonzero(np.append(True, score_N[1:] != score_N[:-1]))
        for start in range(0, len(W_RN), chunk):
            rows = slice(start, start + chunk)
            W = W_RN[rows][:, order].astype(np.float64)
            hits_RT = np.add.reduceat(W * positive_N, first_T, axis=1)
            values_R = of_one(hits_RT, np.add.reduceat(W, first_T, axis=1))
            defined = ~np.isnan(values_R)
            total_R[rows] += np.where(defined, values_R, 0.0)
            n_R[rows] += defined
    with np.errstate(invalid="ignore"):
        drawn_R: np.ndarray = total_R / n_R
    return drawn_R


def _roc_auc_of_one(hits_RT: np.ndarray, all_RT: np.ndarray) -> np.ndarray:
    misses_RT = all_RT - hits_RT
    higher_RT = np.cumsum(hits_RT, axis=1) - hits_RT / 2
    pairs_R = hits_RT.sum(axis=1) * misses_RT.sum(axis=1)
    with np.errstate(invalid="ignore"):
        auc_R: np.ndarray = (higher_RT * misses_RT).sum(axis=1) / np.where(pairs_R > 0, pairs_R, np.nan)
    return auc_R


def _average_precision_of_one(hits_RT: np.ndarray, all_RT: np.ndarray) -> np.ndarray:
    accepted_RT = np.cumsum(all_RT, axis=1)
    precision_RT = np.cumsum(hits_RT, axis=1) / np.maximum(accepted_RT, 1)
    n_R = hits_RT.sum(axis=1)
    with np.errstate(invalid="ignore"):
        ap_R: np.ndarray = (hits_RT * precision_RT).sum(axis=1) / np.where(n_R > 0, n_R, np.nan)
    return ap_R
