"""Probes: small models that evaluate frozen vectors on labels. They are fitted and used, but not stored.

Each has a grid of hyper-parameters, to be chosen on validation tracks, the simplest first; all read vectors that are
standardised by the mean and deviation of the training tracks.

Shape suffixes: N tracks, D numbers, K classes.

References
----------
.. [1] G. Alain, Y. Bengio, "Understanding intermediate layers using linear classifier probes", ICLR workshop 2017.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

# From vectors x_ND to scores P_NK.
Ask = Callable[[np.ndarray], np.ndarray]
Fit = Callable[[np.ndarray, np.ndarray, bool, Mapping[str, Any], int], Ask]


@dataclass(frozen=True, slots=True)
class Probe:
    """A kind of small model.

    Parameters
    ----------
    grid : tuple of mapping
        Hyper-parameters to choose from.
    draws : bool
        Whether another seed gives another model.
    learn : callable
        Fits standardised vectors x_ND to labels Y_NK of 0 and 1.
    """

    grid: tuple[Mapping[str, Any], ...]
    draws: bool
    learn: Fit

    def fit(self, x_ND: np.ndarray, Y_NK: np.ndarray, *, many: bool, chosen: Mapping[str, Any], seed: int) -> Ask:
        """Fit the probe to vectors.

        Parameters
        ----------
        Y_NK : ndarray of 0 and 1
            One 1 in each row, unless `many`.
        chosen : mapping
            One of `grid`.

        Returns
        -------
        callable
            From vectors to scores in [0, 1], of the columns of `Y_NK`; those that were never 1 get 0.
        """
        mean_D, deviation_D = x_ND.mean(axis=0), x_ND.std(axis=0)
        scale_D = np.where(deviation_D > 0, deviation_D, 1.0)
        ask = self.learn((x_ND - mean_D) / scale_D, Y_NK, many, chosen, seed)
        return lambda x: ask((x - mean_D) / scale_D)


def _logistic(x_ND: np.ndarray, Y_NK: np.ndarray, many: bool, chosen: Mapping[str, Any], seed: int) -> Ask:
    from sklearn.linear_model import LogisticRegression

    def fitted(y_N: np.ndarray) -> Any:
        with warnings.catch_warnings():
            # A regression that stops before convergence is a valid probe, too.
            warnings.simplefilter("ignore")
            return LogisticRegression(C=chosen["C"], max_iter=500).fit(x_ND, y_N)

    if not many:
        return _in_columns(fitted(Y_NK.argmax(axis=1)), Y_NK.shape[1])
    learnt = {k: fitted(Y_NK[:, k]) for k in range(Y_NK.shape[1]) if 0 < Y_NK[:, k].sum() < len(Y_NK)}
    always_K = Y_NK.all(axis=0).astype(float)

    def ask(x: np.ndarray) -> np.ndarray:
        P_NK = np.tile(always_K, (len(x), 1))
        for k, model in learnt.items():
            P_NK[:, k] = model.predict_proba(x)[:, 1]
        return P_NK

    return ask


def _neighbours(x_ND: np.ndarray, Y_NK: np.ndarray, many: bool, chosen: Mapping[str, Any], seed: int) -> Ask:
    from sklearn.neighbors import NearestNeighbors

    index = NearestNeighbors(n_neighbors=min(chosen["k"], len(x_ND)), metric="cosine", algorithm="brute").fit(x_ND)

    def ask(x: np.ndarray) -> np.ndarray:
        distance_Nk, neighbour_Nk = index.kneighbors(x)
        # Nearer ones count more, so that there are hardly any ties.
        weight_Nk = np.maximum(2.0 - distance_Nk, 1e-6)
        weight_Nk /= weight_Nk.sum(axis=1, keepdims=True)
        P_NK: np.ndarray = np.einsum("nk,nkc->nc", weight_Nk, Y_NK[neighbour_Nk].astype(np.float64))
        return P_NK

    return ask


def _perceptron(x_ND: np.ndarray, Y_NK: np.ndarray, many: bool, chosen: Mapping[str, Any], seed: int) -> Ask:
    from sklearn.neural_network import MLPClassifier

    y = Y_NK if many else Y_NK.argmax(axis=1)
    network = MLPClassifier(
        (chosen["units"],), alpha=chosen["alpha"], max_iter=100, batch_size=min(64, len(x_ND)), random_state=seed
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.fit(x_ND, y)
    if not many:
        return _in_columns(network, Y_NK.shape[1])

    def ask(x: np.ndarray) -> np.ndarray:
        P_NK: np.ndarray = network.predict_proba(x)
        return P_NK

    return ask


def _in_columns(model: Any, n_classes: int) -> Ask:
    """Scores in the columns of all classes, because a model knows only those of its training."""

    def ask(x: np.ndarray) -> np.ndarray:
        P_NK = np.zeros((len(x), n_classes))
        P_NK[:, model.classes_] = model.predict_proba(x)
        return P_NK

    return ask


PROBES: dict[str, Probe] = {
    "logistic-regression": Probe(tuple({"C": c} for c in (0.001, 0.01, 0.1, 1.0)), False, _logistic),
    "knn": Probe(tuple({"k": k} for k in (20, 10, 5, 3, 1)), False, _neighbours),
    "mlp": Probe(tuple({"units": u, "alpha": a} for u in (64, 256) for a in (0.1, 1e-4)), True, _perceptron),
}
