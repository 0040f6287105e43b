"""The cost of a network independent of the machine: its weights, and the values that it holds for an example.

Shape suffixes: B batch.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

BYTES_PER_VALUE = 4


@dataclass(frozen=True, slots=True)
class Cost:
    """Parameters, those of them in convolutions and dense layers, and bytes of all layers' outputs for one example.

    Training holds the outputs until the gradient has come back to them.
    """

    parameters: int
    in_weights: int
    activation_bytes: int


def cost(network: nn.Module, x_B: np.ndarray) -> Cost:
    """Count for one example (a batch of one), in float32; the network is left in evaluation mode."""
    found = 0

    def add(_: nn.Module, __: object, output: object) -> None:
        nonlocal found
        for value in output if isinstance(output, tuple) else (output,):
            if isinstance(value, torch.Tensor):
                found += value.numel() * BYTES_PER_VALUE

    leaves = [module for module in network.modules() if not any(module.children())]
    hooks = [leaf.register_forward_hook(add) for leaf in leaves]
    try:
        with torch.inference_mode():
            network.eval()(torch.from_numpy(np.ascontiguousarray(x_B, np.float32)))
    finally:
        for hook in hooks:
            hook.remove()
    heavy = [leaf for leaf in leaves if getattr(leaf, "weight", None) is not None and leaf.weight.ndim > 1]  # type: ignore[operator]
    in_weights = sum(weights.numel() for leaf in heavy for weights in leaf.parameters())
    return Cost(sum(weights.numel() for weights in network.parameters()), in_weights, found)
