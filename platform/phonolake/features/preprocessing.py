"""The preprocessing grid of Choi et al. 2018, Sec. IV-D: magnitudes, weights over frequency, and scale.

The same few lines run on numpy arrays and on torch tensors of any device, one spectrogram or a batch of them: the last
two axes are mel bands and frames.
"""

from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

import numpy as np

from phonolake.errors import UsageError
from phonolake.features.spectral import mel_edges

Values = TypeVar("Values")  # np.ndarray or torch.Tensor

Magnitude = Literal["decibel", "linear"]
Frequency = Literal["per-frequency", "a-weighted", "bypass"]
SCALES = (1.0, 10.0)
TINY = 1e-8  # deviations below this count as constant
QUIETEST = -80.0  # the A-weight of a band that reaches down to 0 Hz, in decibels


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """One cell of the grid, for log-mel spectrograms in decibels.

    Parameters
    ----------
    magnitude : {"decibel", "linear"}
        Leave decibels, or go back to power.
    frequency : {"per-frequency", "a-weighted", "bypass"}
        Standardise each band over time, weigh the bands as the ear does (IEC 61672), or leave them.
    scale : {1, 10}
        Factor after the last step, which is always to standardise each spectrogram.
    sr, fmin, fmax : float
        Sampling rate in hertz and range of the mel bands, for the A-weights.
    """

    magnitude: Magnitude = "decibel"
    frequency: Frequency = "bypass"
    scale: float = 1.0
    sr: int = 12_000
    fmin: float = 0.0
    fmax: float | None = None

    def __post_init__(self) -> None:
        for name, known in (
            ("magnitude", get_args(Magnitude)),
            ("frequency", get_args(Frequency)),
            ("scale", SCALES),
        ):
            if getattr(self, name) not in known:
                raise UsageError(f"{name} must be one of {known}; received {getattr(self, name)!r}")

    @property
    def name(self) -> str:
        """Such as ``decibel/bypass/x1``."""
        return f"{self.magnitude}/{self.frequency}/x{self.scale:g}"

    def __call__(self, decibels_FT: Values) -> Values:
        """Preprocess log-mel spectrograms of shape (..., F, T); shape, type and device stay."""
        x: Any = decibels_FT
        if self.frequency == "a-weighted":
            x = x + _like(a_weights(x.shape[-2], sr=self.sr, fmin=self.fmin, fmax=self.fmax)[:, None], x)
        if self.magnitude == "linear":
            x = 10.0 ** (x / 10.0)
        if self.frequency == "per-frequency":
            x = standardise(x, axes=(-1,))
        x = standardise(x, axes=(-2, -1))
        return x * self.scale if self.scale != 1.0 else x


def grid(**options: Any) -> dict[str, Preprocessing]:
    """All twelve points by their names; `options` are sr, fmin and fmax."""
    points = [
        Preprocessing(magnitude, frequency, scale, **options)
        for magnitude in get_args(Magnitude)
        for frequency in get_args(Frequency)
        for scale in SCALES
    ]
    return {point.name: point for point in points}


def standardise(x: Values, *, axes: tuple[int, ...]) -> Values:
    """Subtract the mean over some axes and divide by the standard deviation; what is constant becomes zero."""
    values: Any = x
    centred = values - values.mean(axis=axes, keepdims=True)
    deviation = (centred * centred).mean(axis=axes, keepdims=True) ** 0.5
    result: Values = centred / (deviation + (deviation < TINY))
    return result


def a_weights(n_mels: int, *, sr: int, fmin: float = 0.0, fmax: float | None = None) -> np.ndarray:
    """A-weights at the centres of mel bands in decibels (IEC 61672-1): shape (n_mels,).

    Examples
    --------
    1 kHz is weighed with 0 dB, 100 Hz with -19.1 dB.
    """
    return a_weighting(mel_edges(sr=sr, n_mels=n_mels, fmin=fmin, fmax=fmax)[1:-1])


def a_weighting(hertz: np.ndarray) -> np.ndarray:
    """A-weight of frequencies in decibels, not below -80."""
    squared = np.asarray(hertz, np.float64) ** 2
    low, first, second, high = np.array([20.598997, 107.65265, 737.86223, 12194.217]) ** 2
    gain = high * squared**2 / ((squared + low) * np.sqrt((squared + first) * (squared + second)) * (squared + high))
    return np.maximum(20 * np.log10(np.maximum(gain, 1e-300)) + 2.0, QUIETEST)


def _like(values: np.ndarray, x: Any) -> Any:
    """The values as the same kind of array, with the type and on the device of `x`."""
    if isinstance(x, np.ndarray):
        return values.astype(x.dtype)
    return x.new_tensor(values)
