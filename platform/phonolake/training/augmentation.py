"""Augmentation of training tracks: of their audio before it is cut, and of batches on the device.

SpecAugment and mixup draw from PyTorch's random state, which every epoch seeds, so that a resumed training draws the
same.

Shape suffixes: B batch, F bands, T frames.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from phonolake.audio.augment import Augmentation
from phonolake.errors import UsageError, unknown
from phonolake.features.augment import mixup, spec_augment

if TYPE_CHECKING:  # the loop needs nothing that reads tables
    from phonolake.inference.model_input import ModelInput

# Ranges of the random changes of a recording, by the name of the augmentation.
AUDIO: dict[str, dict[str, tuple[float, float]]] = {
    "pitch-shift": {"semitones": (-2.0, 2.0)},
    "time-stretch": {"rate": (0.8, 1.25)},
    "gain": {"gain_db": (-6.0, 6.0)},
    "noise": {"snr_db": (10.0, 40.0)},
}
SPEC_AUGMENT, MIXUP = "spec-augment", "mixup"
AUGMENTATIONS = (*AUDIO, SPEC_AUGMENT, MIXUP)


@dataclass(frozen=True, slots=True)
class Mixup:
    """The share of each example in its mix, and the number of its partner, (B,)."""

    share: float
    partners: np.ndarray


@dataclass(frozen=True, slots=True)
class BatchAugmentation:
    """Augmentation of training batches, after the transforms of the network."""

    spec_augment: bool = False
    mixup: bool = False

    def __call__(self, x: Tensor) -> tuple[Tensor, Mixup | None]:
        """An augmented batch, and which examples were mixed."""
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
        return x, Mixup(share, partners)


def of_batches(names: tuple[str, ...]) -> BatchAugmentation:
    """The batch augmentation of these names."""
    return BatchAugmentation(SPEC_AUGMENT in names, MIXUP in names)


def of_audio(names: tuple[str, ...]) -> Augmentation | None:
    """The ranges of the changes of recordings; None if none of the names changes audio."""
    ranges = {key: bounds for name in names for key, bounds in AUDIO.get(name, {}).items()}
    return Augmentation(**ranges) if ranges else None  # type: ignore[arg-type]


def check(names: tuple[str, ...], model_input: "ModelInput") -> None:
    """Raise a `UsageError` for unknown names, and for augmentations that do not fit the input.

    `AUDIO` needs audio, SpecAugment spectrograms.
    """
    for wanted in names:
        if wanted not in AUGMENTATIONS:
            raise unknown("augmentation", wanted, AUGMENTATIONS)
        if wanted in AUDIO and not model_input.is_decoded:
            raise UsageError(f"{wanted} changes audio, but the network reads stored spectrograms: add --from-audio")
        if wanted == SPEC_AUGMENT and not model_input.is_spectrogram:
            raise UsageError(f"{wanted} masks parts of spectrograms, but this network reads audio")
