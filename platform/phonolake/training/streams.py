"""Labelled tracks as a torch dataset, streamed from the shards: memory holds a few row groups, however many tracks.

Shape suffixes: N tracks, D numbers, X any axes, T steps in time.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch.utils.data import IterableDataset, TensorDataset, get_worker_info

from phonolake.training.batches import Target, TrackBatches


class TrackStream(IterableDataset[tuple[torch.Tensor, torch.Tensor]]):
    """Crops (x_XT, y) of labelled tracks: float32, and a class number or a multi-hot row of float32.

    Each pass over it is a new epoch, with another order and other crops. The workers of a `DataLoader` share the
    tracks.

    Parameters
    ----------
    batches : TrackBatches
        The source of the crops.
    classes : tuple of str
        Names of the classes, by number.
    shuffled : bool
        Whether crops are random; otherwise they come from the middle of each track, in the order of the shards.
    """

    def __init__(self, batches: TrackBatches, *, classes: tuple[str, ...], shuffled: bool) -> None:
        self.batches = batches
        self.classes = classes
        self.shuffled = shuffled
        self.epoch = 0

    def __len__(self) -> int:
        """Number of crops in an epoch: one for each track."""
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        worker = get_worker_info()
        part, of = (0, 1) if worker is None else (worker.id, worker.num_workers)
        self.epoch += 1
        found = self.batches.training(self.epoch) if self.shuffled else self.batches.validation()
        for n, (x_BXT, y_B) in enumerate(found):
            if n % of == part:
                for x_XT, y in zip(x_BXT, y_B, strict=True):
                    yield torch.from_numpy(x_XT), torch.as_tensor(y)


def of_rows(track_ids: list[str], x_ND: np.ndarray, targets: Mapping[str, Target]) -> TensorDataset:
    """Rows (x_D, y) of those tracks that have a target: float32, and targets as those of `TrackStream`."""
    kept = [n for n, track_id in enumerate(track_ids) if track_id in targets]
    y = np.array([targets[track_ids[n]] for n in kept])
    return TensorDataset(torch.from_numpy(x_ND[kept].astype(np.float32)), torch.from_numpy(y))
