"""Trained models ready to score: estimators and embedders, with the interface that networks share.

Shape suffixes: N examples, F mel bands, T frames, D features, K classes, E embedding values.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from phonolake.models import registry
from phonolake.models.registry import EmbedderCard, EstimatorCard

# The layer that is a network's own embedding.
EMBEDDING = "embedding"


class LoadedModel(Protocol):
    """A stored model, ready to score; the common interface of networks and estimators."""

    @property
    def card(self) -> Mapping[str, Any]:
        """The card of `save`."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the columns."""

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Compute P_NK, float32 probabilities in [0, 1], from x_NFT (networks) or x_ND (estimators)."""

    def embed(self, x: np.ndarray) -> np.ndarray | None:
        """Compute E_NE, float32; None if the model has no embedding."""

    def predict_and_embed(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Compute both in one pass."""


@dataclass(frozen=True)
class LoadedEstimator:
    """A stored scikit-learn classifier. Inputs are x_ND."""

    card: Mapping[str, Any]
    classes: tuple[str, ...]
    estimator: Any

    def predict(self, x_ND: np.ndarray) -> np.ndarray:
        """Compute P_NK; rows sum to 1, and classes that were absent from the training data get 0."""
        P_NK = np.zeros((len(x_ND), len(self.classes)), np.float32)
        P_NK[:, self.estimator.classes_] = self.estimator.predict_proba(x_ND)
        return P_NK

    def embed(self, x_ND: np.ndarray) -> None:
        """Return None: an estimator has no embedding."""
        return None

    def predict_and_embed(self, x_ND: np.ndarray) -> tuple[np.ndarray, None]:
        """Return P_NK and None."""
        return self.predict(x_ND), None


@dataclass(frozen=True)
class LoadedEmbedder:
    """A stored scikit-learn transformer. Inputs are x_ND."""

    card: Mapping[str, Any]
    classes: tuple[str, ...]
    transformer: Any

    def predict(self, x_ND: np.ndarray) -> np.ndarray:
        """Return probabilities of no classes, of shape (N, 0)."""
        return np.zeros((len(x_ND), 0), np.float32)

    def embed(self, x_ND: np.ndarray) -> np.ndarray:
        """Compute E_NE."""
        return np.asarray(self.transformer.transform(x_ND), np.float32)

    def predict_and_embed(self, x_ND: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the results of `predict` and `embed`."""
        return self.predict(x_ND), self.embed(x_ND)


def wrap(model: Any, card: Mapping[str, Any], *, device: str = "cpu") -> LoadedModel:
    """Wrap a trained model in memory like a stored one."""
    known, classes = registry.get(card["model"]).CARD, tuple(card["classes"])
    if isinstance(known, EstimatorCard):
        return LoadedEstimator(card, classes, model)
    if isinstance(known, EmbedderCard):
        return LoadedEmbedder(card, classes, model)
    from phonolake.models.devices import find_device  # late: only networks wait for torch
    from phonolake.models.loaded_network import LoadedNetwork

    target = find_device(device)
    return LoadedNetwork(card, classes, model.to(target).eval(), target)
