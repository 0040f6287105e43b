"""Trained networks ready to score.

Shape suffixes: B batch, N examples, C channels, F mel bands, T frames, S samples, K classes, E embedding values.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from phonolake.errors import UsageError, unknown
from phonolake.models.loaded import EMBEDDING
from phonolake.models.network import Network

# An imported network may return probabilities itself.
ACTIVATIONS = {
    "softmax": lambda logits_BK: logits_BK.softmax(dim=1),
    "sigmoid": torch.sigmoid,
    "identity": lambda probabilities_BK: probabilities_BK,
}

# Inputs per forward pass: 16 half-minute clips take some 300 MB per layer of k2c2.
CHUNK = 16


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
