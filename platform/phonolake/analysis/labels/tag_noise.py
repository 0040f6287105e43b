"""Estimate how many positives of a tag are false and how many are missing, separately from errors of the models.

Of a tag that a track may have beside others, the chance that it was given, by the held-out probability p, is

    q(p) = f + (1 - f - m) eta(p),    eta(p) = 1 / (1 + exp(-a - b logit p))

where eta is the probability recalibrated (of several models with a slope b each), f the share of tracks without the tag
that were given it and m the share of those with it that lack it: a logistic curve that ends at f and at 1 - m, as of
observers who now and then press the wrong key (Wichmann and Hill, "The psychometric function", Perception &
Psychophysics 63, 2001). The ends are what confident models leave unexplained. Everything is fitted by maximum
likelihood, with intervals from the profile likelihood.

Shape suffixes: M models, N tracks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Trial values of f and of m; a curve is laid through the likelihoods between them.
FALSE_TRIALS = (0, 0.003, 0.01, 0.02, 0.04, 0.07, 0.12, 0.2, 0.35)
MISSING_TRIALS = (0, 0.01, 0.03, 0.06, 0.1, 0.16, 0.24, 0.34, 0.46, 0.6, 0.75)
DROP = 1.92
MOST_TRACKS = 4000
FLOOR = 0.005
# Weak priors: offset near 0, slope near 1.
PRIOR_OFFSET, PRIOR_SLOPE = 0.02, 0.2
# The largest f and m, and places of the parameters.
MOST = {"false": 0.5, "missing": 0.9}
FALSE, MISSING, OFFSET, SLOPES = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Share:
    """A share with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class TagNoise:
    """The noise of one tag.

    Parameters
    ----------
    false, missing : Share
        f, of the tracks without the tag, and m, of those with it.
    true_N, low_N, high_N : ndarray of float64
        Probability that a track should have the tag, given what the models say and whether it has; the same at the
        lower ends of the intervals, and at the upper ones: of f for tracks that have it, of m for others.
    """

    false: Share
    missing: Share
    true_N: np.ndarray  # noqa: N815
    low_N: np.ndarray  # noqa: N815
    high_N: np.ndarray  # noqa: N815


def fit(y_N: np.ndarray, by_model: Sequence[np.ndarray]) -> TagNoise:
    """Estimate the shares of false and of missing positives.

    Parameters
    ----------
    y_N : ndarray of bool
        Whether a track was given the tag; some were and some were not.
    by_model : sequence of ndarray, each of shape (N,)
        Held-out probabilities of each model.
    """
    p_MN = np.stack(by_model)
    logit_MN = np.log(p_MN + FLOOR) - np.log(1 - p_MN + FLOOR)
    kept_N = np.sort(np.random.default_rng(0).permutation(len(y_N))[:MOST_TRACKS])
    curve = _Curve(y_N[kept_N], logit_MN[:, kept_N])
    best = curve.best()
    false = curve.profile(best, FALSE, FALSE_TRIALS)
    missing = curve.profile(best, MISSING, MISSING_TRIALS)

    def true_at(f: float, m: float, **held: float) -> np.ndarray:
        eta_N = _logistic(curve.best(best, **held) if held else best, logit_MN)
        with_N = np.where(y_N, 1 - m, m) * eta_N
        without_N = np.where(y_N, f, 1 - f) * (1 - eta_N)
        true_N: np.ndarray = with_N / np.maximum(with_N + without_N, np.finfo(float).tiny)
        return true_N

    ends = [
        np.where(
            y_N, true_at(f, missing.value, false=f, missing=missing.value),
            true_at(false.value, m, false=false.value, missing=m),
        )
        for f, m in ((false.low, missing.low), (false.high, missing.high))
    ]  # fmt: skip
    return TagNoise(false, missing, true_at(false.value, missing.value), *ends)


def _logistic(theta: np.ndarray, logit_MN: np.ndarray) -> np.ndarray:
    """eta of each track."""
    return 1 / (1 + np.exp(-np.clip(theta[OFFSET] + (np.exp(theta[SLOPES:])[:, None] * logit_MN).sum(axis=0), -50, 50)))


class _Curve:
    """The likelihood of whether a tag was given, under f, m, the offset and the logarithm of each slope."""

    def __init__(self, y_N: np.ndarray, logit_MN: np.ndarray) -> None:
        self._y_N, self._logit_MN = y_N, logit_MN
        self._slope = -np.log(len(logit_MN))

    def best(self, start: np.ndarray | None = None, **held: float) -> np.ndarray:
        """Where the likelihood is greatest, from `start` or from two places; with f or m held, where one is named."""
        from scipy.optimize import minimize

        n_models = len(self._logit_MN)
        ends = [(held[name], held[name]) if name in held else (0.0, most) for name, most in MOST.items()]
        bounds = [*ends, (-20.0, 20.0), *[(-6.0, 4.0)] * n_models]
        starts = [np.array([f, m, 0.0, *[self._slope] * n_models]) for f, m in ((0.01, 0.05), (0.05, 0.4))]
        found = [
            minimize(
                self._loss, np.clip(one, *np.array(bounds).T), jac=True, method="L-BFGS-B", bounds=bounds,
                options={"maxiter": 80},
            )
            for one in (starts if start is None else [start])
        ]  # fmt: skip
        return min(found, key=lambda one: float(one.fun)).x

    def profile(self, best: np.ndarray, place: int, trials: tuple[float, ...]) -> Share:
        """f or m with its interval."""
        from scipy.interpolate import PchipInterpolator

        name = list(MOST)[place]
        tried = sorted({*trials, float(best[place])})
        reached, theta = {}, best
        for trial in tried:
            theta = self.best(theta, **{name: trial})
            reached[trial] = -self._loss(theta)[0]
        fine = np.linspace(0, tried[-1], 1501)
        profile = PchipInterpolator(tried, [reached[trial] for trial in tried])(fine)
        value = max(reached, key=reached.__getitem__)
        inside = fine[profile >= reached[value] - DROP]
        return Share(value, min(value, float(inside[0])), max(value, float(inside[-1])))

    def _loss(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        f, m = theta[FALSE], theta[MISSING]
        eta_N = _logistic(theta, self._logit_MN)
        q_N = np.clip(f + (1 - f - m) * eta_N, 1e-12, 1 - 1e-12)
        dq_N = np.where(self._y_N, 1 / q_N, -1 / (1 - q_N))
        da_N = dq_N * (1 - f - m) * eta_N * (1 - eta_N)
        off_M = theta[SLOPES:] - self._slope
        value = np.log(np.where(self._y_N, q_N, 1 - q_N)).sum()
        value -= PRIOR_OFFSET * theta[OFFSET] ** 2 + PRIOR_SLOPE * (off_M**2).sum()
        slopes_M = np.exp(theta[SLOPES:]) * (self._logit_MN * da_N).sum(axis=1) - 2 * PRIOR_SLOPE * off_M
        ends = [(dq_N * (1 - eta_N)).sum(), -(dq_N * eta_N).sum()]
        return -float(value), -np.array([*ends, da_N.sum() - 2 * PRIOR_OFFSET * theta[OFFSET], *slopes_M])
