"""Trained models ready to score: networks, estimators and embedders with one interface.

Shape suffixes: B batch, N examples, F mel bands, T frames, D features, K classes, E embedding values.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from phonolake.errors import UsageError, unknown
from phonolake.models import registry
from phonolake.models.devices import find_device
from phonolake.models.registry import EmbedderCard, EstimatorCard, Network

# An imported network may return probabilities itself.
ACTIVATIONS = {
    "softmax": lambda logits_BK: logits_BK.softmax(dim=1),
    "sigmoid": torch.sigmoid,
    "identity": lambda probabilities_BK: probabilities_BK,
}

# The layer that is a network's own embedding.
EMBEDDING = "embedding"

# Inputs per forward pass: 16 half-minute clips take some 300 MB per layer of k2c2.
CHUNK = 16


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
class LoadedNetwork:
    """A stored network. Inputs are x_BFT, x_BCFT or x_BS, float32; any number of them, in small batches."""

    card: Mapping[str, Any]
    classes: tuple[str, ...]
    network: Network
    device: torch.device

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Compute P_NK; rows sum to 1 under softmax."""
        return self.predict_and_embed(x)[0]

    def embed(self, x: np.ndarray) -> np.ndarray:
        """Compute E_NE."""
        return self.predict_and_embed(x)[1]

    def predict_and_embed(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute P_NK and E_NE in one pass."""
        if len(x) == 0:
            raise UsageError(f"no inputs to score: received shape {x.shape}.")
        activation = ACTIVATIONS[self.card["activation"]]
        scored, embedded = [], []
        with torch.inference_mode():
            for start in range(0, len(x), CHUNK):
                chunk = np.require(x[start : start + CHUNK], np.float32, ["C", "W"])
                embedding_BE, logits_BK = self.network.answer(torch.from_numpy(chunk).to(self.device))
                embedded.append(embedding_BE.cpu().numpy())
                scored.append(activation(logits_BK).cpu().numpy())
        return np.concatenate(scored), np.concatenate(embedded)

    @contextmanager
    def listening(self, layer: str) -> Iterator[list[np.ndarray]]:
        """Collect the output of a layer for each chunk of inputs, while the block runs.

        Parameters
        ----------
        layer : str
            Name of a module of the network, such as ``convs.3``.

        Yields
        ------
        heard : list of ndarray
            Grows by an array (n, channels) for each chunk: means over time and frequency.

        Raises
        ------
        UsageError
            If the network has no such layer.
        """
        named = {name: module for name, module in self.network.named_modules() if name}
        if layer not in named:
            raise unknown("layer", layer, [EMBEDDING, *named])
        heard: list[np.ndarray] = []
        hook = named[layer].register_forward_hook(lambda _, __, output: heard.append(_means(output)))
        try:
            yield heard
        finally:
            hook.remove()


def _means(output: Tensor | tuple[Tensor, ...]) -> np.ndarray:
    """Means (B, channels) over the places of a layer's output; recurrent layers give a tuple, and time before width."""
    if isinstance(output, tuple):
        output = output[0].transpose(1, -1)
    means_BC = output.float().flatten(2).mean(dim=2) if output.ndim > 2 else output.float()
    values: np.ndarray = means_BC.cpu().numpy()
    return values


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
    target = find_device(device)
    return LoadedNetwork(card, classes, model.to(target).eval(), target)
