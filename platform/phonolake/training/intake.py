"""What batches go through on the device before the network reads them, in training and wherever it is used later.

Spectrograms of audio and the preprocessing belong to the network: they come with its card. SpecAugment and mixup belong
to its training. The latter draw from PyTorch's random state, which every epoch seeds, so that a training that was
killed goes on with the same chance.

Shape suffixes: B batch, F bands, T frames, N samples of a window.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from phonolake.audio.augment import Augmentation
from phonolake.errors import UsageError, unknown
from phonolake.features import contract, device
from phonolake.features.augment import mixup, spec_augment
from phonolake.features.configuration import Configuration
from phonolake.features.preprocessing import Preprocessing, grid

# Ranges from which the takes of a recording are drawn, by the name of the augmentation.
AUDIO: dict[str, dict[str, tuple[float, float]]] = {
    "pitch-shift": {"semitones": (-2.0, 2.0)},
    "time-stretch": {"rate": (0.8, 1.25)},
    "gain": {"gain_db": (-6.0, 6.0)},
    "noise": {"snr_db": (10.0, 40.0)},
}
SPEC_AUGMENT, MIXUP = "spec-augment", "mixup"
AUGMENTATIONS = (*AUDIO, SPEC_AUGMENT, MIXUP)


@dataclass(frozen=True, slots=True)
class Mix:
    """Each example was mixed with a partner: its share, and the partner's number, (B,)."""

    share: float
    partners: np.ndarray


@dataclass(frozen=True, slots=True)
class Intake:
    """Steps from a batch as it was cut to what the network reads.

    Parameters
    ----------
    computed : Configuration, optional
        Spectrogram to compute, of windows of samples (B, N, T).
    preprocessing : Preprocessing, optional
        Applied to spectrograms in decibels.
    spec_augment, mixup : bool
        Whether `vary` does either.
    """

    computed: Configuration | None = None
    preprocessing: Preprocessing | None = None
    spec_augment: bool = False
    mixup: bool = False

    def read(self, x: Tensor) -> Tensor:
        """What the network reads, float32; `x` lies on the device."""
        if self.computed is not None:
            x = device.of_frames(x.transpose(1, 2), self.computed)
        return x if self.preprocessing is None else self.preprocessing(x)

    def vary(self, x: Tensor) -> tuple[Tensor, Mix | None]:
        """Another take of what `read` gave, for training."""
        if not (self.spec_augment or self.mixup):
            return x, None
        rng = np.random.default_rng(int(torch.randint(2**62, ()).item()))
        if self.spec_augment:
            x = torch.stack([spec_augment(example, rng) for example in x])
        if not self.mixup:
            return x, None
        partners = rng.permutation(len(x))
        # The labels are mixed in the loss, which is linear in them.
        x, _, share = mixup(x, x, x[partners], x[partners], rng)
        return x, Mix(share, partners)


def of(model_input: str, preprocessing: str | None = None, augment: tuple[str, ...] = ()) -> Intake:
    """The intake of a network.

    Parameters
    ----------
    model_input : str
        See `phonolake.training.inputs.of`.
    preprocessing : str, optional
        Name of a point of the grid, such as ``decibel/bypass/x1``.
    augment : tuple of str
        Names of `AUGMENTATIONS`.

    Raises
    ------
    UsageError
        For unknown names, and for what does not fit the input: preprocessing is for mel spectrograms in decibels,
        `AUDIO` for audio, SpecAugment for spectrograms.
    """
    kind, _, name = model_input.partition(":")
    for wanted in augment:
        if wanted not in AUGMENTATIONS:
            raise unknown("augmentation", wanted, AUGMENTATIONS)
        if wanted in AUDIO and kind == "spectrogram":
            raise UsageError(f"{wanted} changes audio, and stored spectrograms are read: add --from-audio")
        if wanted == SPEC_AUGMENT and kind == "audio":
            raise UsageError(f"{wanted} blanks out parts of spectrograms, and this network reads audio")
    return Intake(
        device.configuration(name) if kind == "computed" else None,
        None if preprocessing is None else _preprocessing(preprocessing, model_input),
        SPEC_AUGMENT in augment,
        MIXUP in augment,
    )


def of_card(card: Mapping[str, Any]) -> Intake:
    """The intake of a stored model, from its card; cards of imported and older models name nothing of the kind."""
    return of(card.get("input", "audio:"), card.get("preprocessing"))


def augmentation(names: tuple[str, ...]) -> Augmentation | None:
    """The ranges that takes of recordings are drawn from; None where none of the names is about audio."""
    ranges = {key: bounds for name in names for key, bounds in AUDIO.get(name, {}).items()}
    return Augmentation(**ranges) if ranges else None  # type: ignore[arg-type]


def _preprocessing(name: str, model_input: str) -> Preprocessing:
    kind, _, spectrogram = model_input.partition(":")
    config = contract.spectrogram(spectrogram).config if kind in ("spectrogram", "computed") else None
    if config is None or config.scale != "decibel" or config.n_mels is None or config.picture:
        raise UsageError(f"preprocessing is for mel spectrograms in decibels, and this network reads {model_input}")
    known = grid(sr=config.sr, fmin=config.fmin, fmax=config.fmax)
    if name not in known:
        raise unknown("preprocessing", name, known)
    return known[name]
