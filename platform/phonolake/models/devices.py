"""Devices of networks."""

import torch

from phonolake.errors import UsageError


def find_device(name: str) -> torch.device:
    """Turn a name such as ``"cpu"``, ``"cuda"`` or ``"cuda:1"`` into a PyTorch device.

    Raises
    ------
    UsageError
        If there is no such kind of device, or a GPU is requested and PyTorch sees none.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"no such device: {name!r}; try 'cpu' or 'cuda'.") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"device {name!r} was asked for, but PyTorch sees {torch.cuda.device_count()} GPUs; try 'cpu'."
        )
    return device
