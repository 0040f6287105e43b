"""Other versions of the tracks to learn from: of their audio before it is cut, and of batches on the device.

SpecAugment and mixup draw from PyTorch's random state, which every epoch seeds, so that a training that was killed goes
on with the same chance.

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

# Ranges that other versions of a recording are drawn from, by the name of the augmentation.
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
    """Each example was mixed with a partner: its share, and the partner's number, (B,)."""

    share: float
    partners: np.ndarray


@dataclass(frozen=True, slots=True)
class BatchAugmentation:
    """What happens to batches of a training, after the transforms of the network."""

    spec_augment: bool = False
    mixup: bool = False

    def __call__(self, x: Tensor) -> tuple[Tensor, Mixup | None]:
        """Another version of a batch, and which examples were mixed."""
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
    """What the `AUGMENTATIONS` of these names do to batches."""
    return BatchAugmentation(SPEC_AUGMENT in names, MIXUP in names)


def of_audio(names: tuple[str, ...]) -> Augmentation | None:
    """The ranges that versions of recordings are drawn from; None where none of the names is about audio."""
    ranges = {key: bounds for name in names for key, bounds in AUDIO.get(name, {}).items()}
    return Augmentation(**ranges) if ranges else None  # type: ignore[arg-type]


def check(names: tuple[str, ...], model_input: "ModelInput") -> None:
    """Raise a `UsageError` for unknown names, and for what does not fit the input.

    `AUDIO` needs audio, SpecAugment spectrograms.
    """
    for wanted in names:
        if wanted not in AUGMENTATIONS:
            raise unknown("augmentation", wanted, AUGMENTATIONS)
        if wanted in AUDIO and not model_input.is_decoded:
            raise UsageError(f"{wanted} changes audio, and stored spectrograms are read: add --from-audio")
        if wanted == SPEC_AUGMENT and not model_input.is_spectrogram:
            raise UsageError(f"{wanted} blanks out parts of spectrograms, and this network reads audio")
