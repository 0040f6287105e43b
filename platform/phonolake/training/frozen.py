"""Networks with frozen convolutions: their features are computed once, and only the head is trained.

Such a network has a method `frozen(x) -> features` and an attribute `head`, a module from features to logits, with
``head(frozen(x)) == network(x)``.

Shape suffixes: B batch, N tracks, W windows of a track, D features.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from phonolake.inference.prefetch import prefetched
from phonolake.training.batches import TrackBatches


def is_frozen(network: nn.Module) -> bool:
    """Whether only the head of a network is trained."""
    return hasattr(network, "frozen")


class HeadOf(nn.Module):
    """The trained part of a frozen network, from features to logits."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.head = network.head
        self.penalty = network.penalty

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits_BK: torch.Tensor = self.head(x)
        return logits_BK


class FrozenBatches:
    """Batches of stored features, which are read from a file beside the checkpoint.

    Parameters
    ----------
    network : nn.Module
        Has `frozen`; on the device, and left in evaluation mode.
    source : TrackBatches
        The features are computed from its validation windows, `crops` for each track.
    path : Path
        Target; a temporary file, rewritten each time.
    """

    def __init__(self, network: Any, source: TrackBatches, path: Path) -> None:
        self._batch_size, self._seed, self._windows = source.batch_size, source.seed, source.crops
        self._n_tracks = len(source)
        path.parent.mkdir(parents=True, exist_ok=True)
        network.eval()
        device = next(network.parameters()).device
        stored: np.ndarray | None = None
        labels: list[np.ndarray] = []
        done = 0
        with torch.inference_mode():
            for x, y in prefetched(source.validation(), _tensor):
                x_BD = network.frozen(x.to(device).float()).float().cpu().numpy()
                if stored is None:
                    shape = (self._n_tracks * self._windows, *x_BD.shape[1:])
                    stored = np.lib.format.open_memmap(path, "w+", np.float32, shape)
                stored[done : done + len(x_BD)] = x_BD
                done += len(x_BD)
                labels.append(y)
        self._x = stored if stored is not None else np.zeros((0, 0), np.float32)
        self._y = np.concatenate(labels) if labels else np.zeros(0, np.int64)

    def __len__(self) -> int:
        """Number of tracks."""
        return self._n_tracks

    def training(self, epoch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Batches (x_BD, y) in the epoch's own order."""
        shuffled = np.random.default_rng([self._seed, epoch]).permutation(len(self._y))
        for part in self._parts(shuffled):
            yield self._x[np.sort(part)], self._y[np.sort(part)]

    def validation(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Batches in the order of the tracks."""
        for part in self._parts(np.arange(len(self._y))):
            yield self._x[part], self._y[part]

    def _parts(self, rows: np.ndarray) -> list[np.ndarray]:
        return np.array_split(rows, max(1, -(-len(rows) // self._batch_size)))


def _tensor(batch: tuple[np.ndarray, np.ndarray]) -> tuple[torch.Tensor, np.ndarray]:
    return torch.from_numpy(batch[0]), batch[1]
