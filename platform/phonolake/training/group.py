"""The workers that train one model together; with a single worker, this process is rank 0 of 1.

The code that starts the workers joins them in a process group of PyTorch; this module does not depend on it.
"""

from typing import Any

import numpy as np
import torch
from torch import distributed, nn


def rank() -> int:
    """Number of this worker, from 0."""
    return distributed.get_rank() if _together() else 0


def size() -> int:
    """Number of workers."""
    return distributed.get_world_size() if _together() else 1


def gather(value: Any) -> list[Any]:
    """The values of all workers, in order of their ranks."""
    if size() == 1:
        return [value]
    brought: list[Any] = [None] * size()
    distributed.all_gather_object(brought, value)
    return brought


def total(value: float, device: torch.device) -> float:
    """The sum over all workers."""
    if size() == 1:
        return value
    summed = torch.tensor(float(value), dtype=torch.float64, device=device)
    distributed.all_reduce(summed)
    return float(summed)


def share_gradients(model: nn.Module, device: torch.device) -> nn.Module:
    """Wrap a model so that backward averages the gradients of all workers; alone, the model itself.

    Batch normalisation uses the statistics of all workers on GPUs. PyTorch cannot do so on a CPU: there each worker
    normalises by its own share of the batch.
    """
    if size() == 1:
        return model
    if device.type == "cuda":
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    return nn.parallel.DistributedDataParallel(model, device_ids=[device] if device.type == "cuda" else None)


def agree(model: nn.Module) -> None:
    """Give all workers the buffers of rank 0, such as running means, which each of them updates separately."""
    if size() > 1:
        for buffer in model.buffers():
            distributed.broadcast(buffer, src=0)


def own_part(values: np.ndarray) -> np.ndarray:
    """This worker's part of a sequence that is split in order into parts of nearly equal size."""
    return np.array_split(values, size())[rank()]


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized()
