"""Extreme learning machine: a hidden layer that is drawn, an output layer that is solved.

References
----------
.. [1] G.-B. Huang, Q.-Y. Zhu, C.-K. Siew, "Extreme learning machine: Theory and applications", Neurocomputing 70, 2006.
.. [2] J. Pons, X. Serra, "Randomly weighted CNNs for (music) audio classification", ICASSP 2019, Sec. 2.2.

Shape suffixes: N examples, D features, H hidden units, K classes.
"""

from typing import Any

import numpy as np

from phonolake.models.registry import EstimatorCard

CARD = EstimatorCard(
    name="elm",
    input="features:mfcc-120",
    summary="1,000 rectified random projections and the least-squares output layer over them.",
    source="Pons and Serra, Randomly weighted CNNs for (music) audio classification, 2019, Sec. 2.2",
    recipe={"n_hidden": 1000},
    deviations=(
        "Seeded; the published machine drew new weights at every fit.",
        "The published number of hidden units was chosen among 100 to 2,500 for each input, and is not recorded.",
        "The hidden biases are those of the authors' code; the paper's formula has none.",
        "The outputs, which regress on -1 and 1, become probabilities by softmax: only their order is published.",
    ),
    trusted_types=("phonolake.models.elm.ExtremeLearningMachine",),
)


class ExtremeLearningMachine:
    """A random hidden layer and a linear output fitted by pseudo-inverse.

    Parameters
    ----------
    seed : int
        Decides the hidden weights and biases, which are standard normal.
    n_hidden : int
        H.

    Attributes
    ----------
    classes_ : ndarray of int, shape (K,)
        Class numbers that occurred, in increasing order.
    """

    def __init__(self, *, seed: int = 0, n_hidden: int = 1000) -> None:
        self.seed = seed
        self.n_hidden = n_hidden

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Settings by name, as scikit-learn asks for them."""
        return {"seed": self.seed, "n_hidden": self.n_hidden}

    def fit(self, x_ND: np.ndarray, y_N: np.ndarray) -> "ExtremeLearningMachine":
        """Draw the hidden layer and solve for the output layer, with no penalty, bias or scaled features [2]_."""
        self.classes_ = np.unique(y_N)
        rng = np.random.default_rng(self.seed)
        self.weights_DH = rng.standard_normal((x_ND.shape[1], self.n_hidden))
        self.biases_H = rng.standard_normal(self.n_hidden)
        targets_NK = np.where(np.asarray(y_N)[:, None] == self.classes_, 1.0, -1.0)
        self.outputs_HK = np.linalg.pinv(self._hidden(x_ND)) @ targets_NK
        return self

    def decision_function(self, x_ND: np.ndarray) -> np.ndarray:
        """Compute the outputs (N, K); the class of the largest is named."""
        scores_NK: np.ndarray = self._hidden(x_ND) @ self.outputs_HK
        return scores_NK

    def predict_proba(self, x_ND: np.ndarray) -> np.ndarray:
        """Compute P_NK, the softmax of the outputs; rows sum to 1."""
        scores_NK = self.decision_function(x_ND)
        e_NK = np.exp(scores_NK - scores_NK.max(axis=1, keepdims=True))
        P_NK: np.ndarray = e_NK / e_NK.sum(axis=1, keepdims=True)
        return P_NK

    def predict(self, x_ND: np.ndarray) -> np.ndarray:
        """Name the class of the largest output."""
        named_N: np.ndarray = self.classes_[self.decision_function(x_ND).argmax(axis=1)]
        return named_N

    def _hidden(self, x_ND: np.ndarray) -> np.ndarray:
        activations_NH: np.ndarray = np.maximum(np.asarray(x_ND, np.float64) @ self.weights_DH + self.biases_H, 0)
        return activations_NH


def build(*, seed: int) -> ExtremeLearningMachine:
    """Build the unfitted machine; `seed` decides its hidden layer."""
    return ExtremeLearningMachine(seed=seed, **CARD.recipe)
