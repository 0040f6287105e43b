"""Intervals of a share that was counted on a sample.

References
----------
.. [1] E. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927, p. 209.
"""

from statistics import NormalDist

import numpy as np

from phonolake.errors import UsageError

CONFIDENCE = 0.95


def wilson(
    hits: np.ndarray | float, trials: np.ndarray | float, *, confidence: float = CONFIDENCE
) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's score interval of a share [1]_.

    Unlike the usual plus-minus it stays within [0, 1] and has a width even for no hits or all hits.

    Parameters
    ----------
    hits, trials : array of numbers, 0 <= hits <= trials
        Of any shapes that broadcast.
    confidence : float
        Probability that the interval covers the true share, in (0, 1).

    Returns
    -------
    low, high : ndarray of float64
        0 and 1 where there were no trials.

    Raises
    ------
    UsageError
        If hits are not between 0 and trials, or the confidence is not between 0 and 1.
    """
    k, n = np.broadcast_arrays(np.asarray(hits, np.float64), np.asarray(trials, np.float64))
    if not ((k >= 0) & (k <= n)).all():
        raise UsageError("an interval needs 0 <= hits <= trials; received other counts")
    z2 = normal_quantile(confidence) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        middle = (k + z2 / 2) / (n + z2)
        half = np.sqrt(z2) / (n + z2) * np.sqrt(k * (n - k) / n + z2 / 4)
    low = np.where(n > 0, np.where(k == 0, 0.0, middle - half), 0.0)
    high = np.where(n > 0, np.where(k == n, 1.0, middle + half), 1.0)
    return low, high


def normal_quantile(confidence: float) -> float:
    """Half the width of the interval that holds this share of a standard normal variable: 1.96 for 0.95."""
    if not 0 < confidence < 1:
        raise UsageError(f"confidence lies between 0 and 1, received {confidence}")
    return NormalDist().inv_cdf(0.5 + confidence / 2)
