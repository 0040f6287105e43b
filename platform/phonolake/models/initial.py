"""Initial weights: drawn from a seed, by the rules of Keras and TensorFlow that the papers used."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from `seed` inside; PyTorch's own random state is restored."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def he_normal(layer: nn.Module) -> None:
    """Variance 2 / fan-in (He et al., 2015), not truncated; zero bias."""
    weight, bias = _parts(layer)
    nn.init.kaiming_normal_(weight, nonlinearity="relu")
    _zero(bias)


def he_uniform(layer: nn.Module) -> None:
    """Uniform with variance 2 / fan-in (He et al., 2015); zero bias."""
    weight, bias = _parts(layer)
    nn.init.kaiming_uniform_(weight, nonlinearity="relu")
    _zero(bias)


def glorot_uniform(layer: nn.Module) -> None:
    """Uniform with variance 2 / (fan-in + fan-out) (Glorot and Bengio, 2010), Keras's default; zero bias."""
    weight, bias = _parts(layer)
    nn.init.xavier_uniform_(weight)
    _zero(bias)


def variance_scaling(layer: nn.Module) -> None:
    """TensorFlow-contrib's rule: normal of variance 1.3 * 2 / fan-in, cut off at two deviations; zero bias."""
    weight, bias = _parts(layer)
    fan_in = weight[0].numel()
    std = math.sqrt(1.3 * 2.0 / fan_in)
    nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)
    _zero(bias)


def keras_gru(gru: nn.GRU) -> None:
    """Keras's rule: Glorot-uniform input weights, orthogonal recurrent ones, zero biases."""
    for name, weight in gru.named_parameters():
        if name.startswith("weight_ih"):
            nn.init.xavier_uniform_(weight)
        elif name.startswith("weight_hh"):
            nn.init.orthogonal_(weight)
        else:
            nn.init.zeros_(weight)


def _parts(layer: nn.Module) -> tuple[torch.Tensor, torch.Tensor | None]:
    assert isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Linear), type(layer)
    return layer.weight, layer.bias


def _zero(bias: torch.Tensor | None) -> None:
    if bias is not None:
        nn.init.zeros_(bias)
