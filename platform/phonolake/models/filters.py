"""Filters of a sample-level network: waveforms that excite one filter most, found by gradient ascent.

References
----------
.. [1] J. Lee, J. Park, K. L. Kim, J. Nam, "Sample-level Deep Convolutional Neural Networks for Music Auto-tagging Using
       Raw Waveforms", SMC 2017, Sec. 5.5 and Fig. 2: 729 samples, noise at the start, normalised gradients.

Shape suffixes: C filters of a layer, S samples, T frames, Q Fourier bins.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from phonolake.models import initial
from phonolake.models.sample_level import SampleCNN

N_SAMPLES = 729
_NOISE, _STEP = 0.1, 0.1  # deviation of the noise, and of one step


@dataclass(frozen=True)
class Layer:
    """The filters of one layer.

    Parameters
    ----------
    number : int
        From 1, the first convolution.
    activation : ndarray, shape (C,)
        Mean of each filter's map for its waveform behind the ReLU; where that is silent, the highest value before it.
    magnitude : ndarray, shape (C, Q)
        Magnitude spectrum of each filter's waveform, bins from 0 to half the sampling rate, the loudest bin 1.
    """

    number: int
    activation: np.ndarray
    magnitude: np.ndarray

    def order(self) -> np.ndarray:
        """Filters by the frequency of their peak, as the paper's figure shows them."""
        return np.argsort(self.magnitude.argmax(axis=1), kind="stable")


def listen(network: SampleCNN, *, steps: int, seed: int) -> Iterator[Layer]:
    """Find the waveforms of every filter, layer by layer, as far as 729 samples reach through the pools.

    Parameters
    ----------
    network : SampleCNN
        Left in evaluation mode.
    steps : int
        Steps of gradient ascent.
    seed : int
        Decides the noise that each ascent starts from.
    """
    network.eval()
    weights = list(network.parameters())
    wanted_gradients = [weight.requires_grad for weight in weights]
    network.requires_grad_(False)
    try:
        with torch.inference_mode():
            widths = [maps.shape[1] for maps in network.layers(torch.zeros(1, N_SAMPLES))]
        for number, n_filters in enumerate(widths, start=1):
            with initial.seeded(seed):
                x_CS = _NOISE * torch.randn(n_filters, N_SAMPLES)
            x_CS, activation_C = _ascend(network, x_CS, number - 1, steps)
            magnitude_CQ = np.abs(np.fft.rfft(x_CS.numpy(), axis=1))
            magnitude_CQ /= np.maximum(magnitude_CQ.max(axis=1, keepdims=True), np.finfo(float).tiny)
            yield Layer(number, activation_C.numpy(), magnitude_CQ)
    finally:
        for weight, wanted in zip(weights, wanted_gradients, strict=True):
            weight.requires_grad_(wanted)


def _ascend(network: SampleCNN, x_CS: Tensor, layer: int, steps: int) -> tuple[Tensor, Tensor]:
    """Waveform number c climbs towards filter number c."""
    for _ in range(steps):
        x_CS = x_CS.detach().requires_grad_(True)
        (gradient_CS,) = torch.autograd.grad(_activation(network, x_CS, layer).sum(), x_CS)
        rms_C1 = gradient_CS.square().mean(1, keepdim=True).sqrt()
        x_CS = x_CS + _STEP * gradient_CS / rms_C1.clamp_min(torch.finfo(torch.float32).tiny)
    with torch.no_grad():
        return x_CS.detach(), _activation(network, x_CS, layer)


def _activation(network: SampleCNN, x_CS: Tensor, layer: int) -> Tensor:
    before_TC = network.layers(x_CS)[layer].diagonal(dim1=0, dim2=1)
    loudness_C = before_TC.relu().mean(0)
    # A silent filter has no gradient after its ReLU; use its highest value before it.
    return torch.where(loudness_C > 0, loudness_C, before_TC.amax(0))
