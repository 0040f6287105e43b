"""Estimate how many labels are wrong if each track has one, separately from errors of the models.

A held-out prediction differs from the label for two reasons: the label is wrong, or the model is. The model's own
errors occur where its probabilities are unsure, near the border of two classes; a wrong label can occur anywhere. So a
track with true class k and held-out probabilities p was given label y with probability

    q(y | p) = sum over k of eta_k(p) T_ky,    eta(p) = softmax(b log p + a),    T = (1 - e) I + e R

where eta are the probabilities recalibrated (temperature and class offsets; Guo et al., "On calibration of modern
neural networks", ICML 2017; of several models with a temperature each), e is the share of labels that are wrong, and R
says which label stands instead: any other alike, or for each true class mostly one. All of it is fitted by maximum
likelihood, a mixture of noise as in Mnih and Hinton, "Learning to label aerial images from noisy data", ICML 2012; each
e is as likely as its profile likelihood says.

What this rests on: whether a label is wrong does not depend on how the track sounds beyond its class, and models err
less where they are surer. The second is tested, and if it does not hold, the interval covers everything.

How much of e is noise is not known to the last track: now and then a model errs where it is sure, which looks the same.
Such blunders are a share d of the tracks that the labels cannot tell from e. It is taken to be exponential, with a mean
that grows with what the model errs anyway, so that of all that looks wrong (e - d) / e is. `scenarios` are what may be
the case, by e and by d; counts of wrong labels among a few tracks come of them.

Shape suffixes: M models, N tracks, K classes, E trial shares, D blunders.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phonolake.metrics.intervals import wilson

# Trial shares of wrong labels; a curve is laid through the likelihoods between them.
TRIALS = (0, 0.005, 0.012, 0.02, 0.03, 0.045, 0.06, 0.08, 0.1, 0.12, 0.14, 0.17, 0.2, 0.23, 0.26, 0.29, 0.32, 0.36, 0.4,
          0.45, 0.5, 0.56)  # fmt: skip
# Half the chi-squared of one degree of freedom at 95 %; outside of such an interval, on either side.
DROP, TAIL = 1.92, 0.025
# Trials end where the log-likelihood has fallen by this much.
HOPELESS = 15
# Of the likelihoods of all trials together.
NEGLIGIBLE = 1e-3
# More tracks than this make the interval hardly narrower.
MOST_TRACKS = 2500
# Keeps what a forest says of a class that no tree named from being taken for certain.
FLOOR = 0.02
# Weak priors: offsets near 0, temperature near 1.
PRIOR_OFFSET, PRIOR_TEMPERATURE = 0.05, 0.02
# How often the usual other label is sought anew, and the least share of the noise that is anywhere else.
ROUNDS, LEAST_ELSEWHERE = 3, 0.05
# The surest tracks of each class, how often models may err there, of how often they do anywhere, and from how many
# other answers there it is judged.
SUREST, MOST_ERRORS_THERE, FEWEST_ERRORS = 0.2, 0.45, 5
# Blunders by what a model errs: so many cover planted corpora of 100 to 400 tracks, of real recordings too.
BLUNDERS, N_BLUNDERS = 0.075, 8


@dataclass(frozen=True, slots=True)
class Scenario:
    """One possible explanation of the data.

    Parameters
    ----------
    weight : float
        How probable it is; those of all scenarios add up to 1.
    real_D : ndarray of float64
        Of what looks wrong, the share that is; each of them as probable as the others.
    wrong : ndarray of float32
        Probability that a label looks wrong; of the shape of the labels.
    """

    weight: float
    real_D: np.ndarray  # noqa: N815
    wrong: np.ndarray


@dataclass(frozen=True, slots=True)
class ClassNoise:
    """The noise of classes.

    Parameters
    ----------
    share, low, high : float
        Share of labels that are wrong, and its 95 % interval.
    errs_when_sure : bool
        Whether the models err about as often where they are surest, so that nothing can be told.
    scenarios : tuple of Scenario
        What may be the case, by the shares of wrong labels, each as likely as it is; `wrong` has the shape (N, K).
    """

    share: float
    low: float
    high: float
    errs_when_sure: bool
    scenarios: tuple[Scenario, ...]


def fit(y_N: np.ndarray, by_model: Sequence[np.ndarray]) -> ClassNoise:
    """Estimate the share of wrong labels.

    Parameters
    ----------
    y_N : ndarray of int
        Given class numbers.
    by_model : sequence of ndarray, each of shape (N, K)
        Held-out probabilities of each model.
    """
    from scipy.interpolate import CubicSpline  # late: a page without this question does without it

    P_MNK = np.stack([P / np.maximum(P.sum(axis=1, keepdims=True), np.finfo(float).tiny) for P in by_model])
    kept_N = np.sort(np.random.default_rng(0).permutation(len(y_N))[:MOST_TRACKS])
    model = _Mixture(y_N[kept_N], P_MNK[:, kept_N])
    profile = _profile(model)
    trials_E, profile_E = np.array(TRIALS[: len(profile)]), np.array(profile)
    share_G = np.linspace(0, trials_E[-1], 1121)
    profile_G = CubicSpline(trials_E, profile_E)(share_G)
    looks_wrong = float(share_G[profile_G.argmax()])
    inside_G = share_G[profile_G >= profile_G.max() - DROP]
    whole = model if len(kept_N) == len(y_N) else model.of(y_N, P_MNK)
    likelihood_E = np.exp(profile_E - profile_E.max()) * np.gradient(trials_E)
    likelihood_E = np.where(likelihood_E > NEGLIGIBLE * likelihood_E.sum(), likelihood_E, 0)
    likelihood_E /= likelihood_E.sum()
    weights = zip(trials_E.tolist(), likelihood_E.tolist(), strict=True)
    scenarios = tuple(_scenario(whole, y_N, trial, weight) for trial, weight in weights if weight)
    wrong_E = [trial for trial, weight in zip(trials_E.tolist(), likelihood_E.tolist(), strict=True) if weight]
    # At least what blunders leave, and less than half a track is none; at most all that looks wrong.
    low, high = min(float(inside_G[0]), quantile(scenarios, wrong_E, TAIL)), float(inside_G[-1])
    low = low if low * len(y_N) >= 0.5 else 0.0
    # By all models together, each with the weight that it has earned.
    eta_NK = whole.calibrated(looks_wrong)
    sure_N, other_N = _surest(eta_NK), eta_NK.argmax(axis=1) != y_N
    n_there = int(other_N[sure_N].sum())
    at_least, at_most = (float(end) for end in wilson(n_there, int(sure_N.sum())))
    own, there = other_N.mean() - looks_wrong, other_N[sure_N].mean() - looks_wrong
    errs = n_there >= FEWEST_ERRORS and at_least > looks_wrong and there > MOST_ERRORS_THERE * own
    if errs:
        low, high = 0.0, max(high, at_most)
    return ClassNoise(looks_wrong, low, high, bool(errs), scenarios)


def quantile(
    scenarios: Sequence[Scenario], looks_wrong: Sequence[float], asked: float, *, all_real: bool = False
) -> float:
    """A quantile of how much is wrong, over all that may be the case.

    Parameters
    ----------
    looks_wrong : sequence of float
        How much looks wrong in each scenario: a number of labels, or a share.
    asked : float
        Which quantile, in [0, 1].
    all_real : bool
        Whether all that looks wrong is taken to be.
    """
    reals = [np.ones(1) if all_real else one.real_D for one in scenarios]
    values = np.concatenate([real_D * value for real_D, value in zip(reals, looks_wrong, strict=True)])
    weights = np.concatenate(
        [np.full(len(real_D), one.weight / len(real_D)) for one, real_D in zip(scenarios, reals, strict=True)]
    )
    order = np.argsort(values)
    below = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][min(int(np.searchsorted(below, asked - 1e-12)), len(values) - 1)])


def _scenario(model: "_Mixture", y_N: np.ndarray, trial: float, weight: float) -> Scenario:
    """The scenario in which a given share of the labels looks wrong."""
    true_NK = model.posterior(trial)
    given_NK = y_N[:, None] == np.arange(true_NK.shape[1])
    wrong_NK = np.where(given_NK, 1 - true_NK, true_NK).astype(np.float32)
    own = 1 - model.calibrated(trial).max(axis=1).mean()
    return Scenario(weight, _real(trial, BLUNDERS * own), wrong_NK)


def _real(looks_wrong: float, blunders: float) -> np.ndarray:
    """Of a share that looks wrong, what is: with blunders that are exponential, and no more than it."""
    if looks_wrong <= 0 or blunders <= 0:
        return np.ones(1)
    middle_D = (np.arange(N_BLUNDERS) + 0.5) / N_BLUNDERS
    d_D = -blunders * np.log1p(-middle_D * -np.expm1(-looks_wrong / blunders))
    real_D: np.ndarray = np.clip(1 - d_D / looks_wrong, 0, 1)
    return real_D


def _profile(model: "_Mixture") -> list[float]:
    """The greatest log-likelihood of each trial, up to where no larger share can be the true one."""
    found: list[float] = []
    for trial in TRIALS:
        found.append(model.at(trial))
        if found[-1] < max(found) - HOPELESS:
            break
    return found


class _Mixture:
    """The likelihood of given labels under a share of noise, and where it was greatest for each that was tried."""

    def __init__(self, y_N: np.ndarray, P_MNK: np.ndarray) -> None:
        n_models, _, n_classes = P_MNK.shape
        self._y_N = y_N
        self._log_MNK = np.log((P_MNK + FLOOR / n_classes) / (1 + FLOOR))
        self._anywhere_KK = (1 - np.eye(n_classes)) / max(1, n_classes - 1)
        # The temperature of the mean of their logarithms is 1.
        self._first = np.concatenate([np.full(n_models, -np.log(n_models)), np.zeros(n_classes - 1)])
        self._start = self._first
        self._found: dict[float, tuple[np.ndarray, np.ndarray]] = {}

    def of(self, y_N: np.ndarray, P_MNK: np.ndarray) -> "_Mixture":
        """The same solutions for other tracks."""
        other = _Mixture(y_N, P_MNK)
        other._found = self._found
        return other

    def at(self, share: float) -> float:
        """The greatest log-likelihood under a share of wrong labels."""
        n_classes = len(self._anywhere_KK)
        self._start, reached = self._maximum(self._start, share, self._anywhere_KK)
        self._found[share] = self._start, self._anywhere_KK
        if share == 0 or n_classes < 3:
            return reached
        # One usual other label for each class costs the choice among K - 1, and how often it is that one.
        usual, instead_KK, value = self._usual(share)
        value -= n_classes * np.log(n_classes - 1) + 1
        if value > reached:
            self._found[share] = usual, instead_KK
        return float(np.logaddexp(reached, value))

    def posterior(self, share: float) -> np.ndarray:
        """Probability of each true class of each track, by the solution nearest to a share."""
        *_, true_NK = self._likelihood(self._nearest(share)[0], share, self._nearest(share)[1])
        return true_NK

    def calibrated(self, share: float) -> np.ndarray:
        """The recalibrated probabilities of each track, by the solution nearest to a share."""
        return self._eta(self._nearest(share)[0])

    def _nearest(self, share: float) -> tuple[np.ndarray, np.ndarray]:
        return self._found[min(self._found, key=lambda tried: abs(tried - share))]

    def _eta(self, theta: np.ndarray) -> np.ndarray:
        n_models = len(self._log_MNK)
        b_M, a_K = _exp(theta[:n_models]), np.concatenate([[0.0], theta[n_models:]])
        Z_NK = np.einsum("m,mnk->nk", b_M, self._log_MNK) + a_K
        eta_NK: np.ndarray = np.exp(Z_NK - Z_NK.max(axis=1, keepdims=True))
        return eta_NK / np.einsum("nk->n", eta_NK)[:, None]

    def _usual(self, share: float) -> tuple[np.ndarray, np.ndarray, float]:
        theta, instead_KK, value = self._start, self._anywhere_KK, -np.inf
        classes, n_classes = np.arange(len(instead_KK)), len(instead_KK)
        for _ in range(ROUNDS):
            *_, true_NK = self._likelihood(theta, share, instead_KK)
            flips_KK = np.stack([true_NK[self._y_N == k].sum(axis=0) for k in classes], axis=1)
            np.fill_diagonal(flips_KK, 0)
            most = flips_KK.argmax(axis=1)
            off = 1 - flips_KK[classes, most].sum() / max(flips_KK.sum(), np.finfo(float).tiny)
            elsewhere = float(np.clip(off * (n_classes - 1) / (n_classes - 2), LEAST_ELSEWHERE, 1))
            instead_KK = elsewhere * self._anywhere_KK
            instead_KK[classes, most] += 1 - elsewhere
            theta, value = self._maximum(theta, share, instead_KK)
        return theta, instead_KK, value

    def _maximum(self, start: np.ndarray, share: float, instead_KK: np.ndarray) -> tuple[np.ndarray, float]:
        from scipy.optimize import minimize

        def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient, _ = self._likelihood(theta, share, instead_KK)
            return -value, -gradient

        found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 60})
        return found.x, -float(found.fun)

    def _likelihood(
        self, theta: np.ndarray, share: float, instead_KK: np.ndarray
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Log-likelihood with its gradient, and the probability of each true class given the label.

        `theta` is log b of each model, then the offsets of all classes but the first, which is 0.
        """
        n_models, eta_NK = len(self._log_MNK), self._eta(theta)
        T_KK = (1 - share) * np.eye(len(instead_KK)) + share * instead_KK
        given_NK = T_KK.T[self._y_N]
        q_N = np.maximum(np.einsum("nk,nk->n", eta_NK, given_NK), np.finfo(float).tiny)
        true_NK = eta_NK * given_NK / q_N[:, None]
        dZ_NK = true_NK - eta_NK
        off = theta - self._first
        weight = np.where(np.arange(len(theta)) < n_models, PRIOR_TEMPERATURE, PRIOR_OFFSET)
        value = np.log(q_N).sum() - (weight * off**2).sum()
        db_M = _exp(theta[:n_models]) * np.einsum("mnk,nk->m", self._log_MNK, dZ_NK)
        return float(value), np.concatenate([db_M, dZ_NK.sum(axis=0)[1:]]) - 2 * weight * off, true_NK


def _exp(x_M: np.ndarray) -> np.ndarray:
    """exp, finite also where a search for a maximum steps far out."""
    found: np.ndarray = np.exp(np.minimum(x_M, 50))
    return found


def _surest(P_NK: np.ndarray) -> np.ndarray:
    """Of the tracks that models take for each class, the fifth of whose class they are surest."""
    called_N = P_NK.argmax(axis=1)
    two_N2 = np.partition(P_NK, -2, axis=1)[:, -2:]
    margin_N = two_N2[:, 1] - two_N2[:, 0]
    sure_N = np.zeros(len(P_NK), bool)
    for k in np.unique(called_N):
        own = np.flatnonzero(called_N == k)
        sure_N[own[np.argsort(-margin_N[own], kind="stable")[: max(1, round(SUREST * len(own)))]]] = True
    return sure_N
