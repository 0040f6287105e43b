"""Transforms of a batch on the device before the network reads it, in training and in every later use.

Spectrograms of audio and the preprocessing belong to the network and are on its card.

Shape suffixes: B batch, F bands, T frames, N samples of a window.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from phonolake.errors import UsageError, unknown
from phonolake.features import device
from phonolake.features.configuration import Configuration
from phonolake.features.preprocessing import Preprocessing, grid

if TYPE_CHECKING:  # who says what a model reads need not wait for it
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Transforms:
    """Steps from a batch of crops to the network's input.

    Parameters
    ----------
    computed : Configuration, optional
        Spectrogram to compute from windows of samples (B, N, T).
    preprocessing : Preprocessing, optional
        Applied to spectrograms in decibels.
    """

    computed: Configuration | None = None
    preprocessing: Preprocessing | None = None

    def __call__(self, x: "Tensor") -> "Tensor":
        """The network's input, float32; `x` is on the device."""
        if self.computed is not None:
            x = device.of_frames(x.transpose(1, 2), self.computed)
        return x if self.preprocessing is None else self.preprocessing(x)


def preprocessing(name: str, config: Configuration | None) -> Preprocessing:
    """The cell of the grid called `name`, such as ``decibel/bypass/x1``, for spectrograms of these parameters.

    Raises
    ------
    UsageError
        For an unknown name, or if the input is not a mel spectrogram in decibels.
    """
    if config is None or config.scale != "decibel" or config.n_mels is None or config.picture:
        raise UsageError("preprocessing is for mel spectrograms in decibels, but this network reads something else")
    known = grid(sr=config.sr, fmin=config.fmin, fmax=config.fmax)
    if name not in known:
        raise unknown("preprocessing", name, known)
    return known[name]
