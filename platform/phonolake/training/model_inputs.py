"""What a model reads, by its name, and how that is made of a recording."""

from dataclasses import dataclass

import numpy as np

from phonolake.features import contract, device
from phonolake.features.configuration import Configuration
from phonolake.features.contract import FeatureSet, Spectrogram
from phonolake.records import Hertz
from phonolake.training.extractors import feature_set


@dataclass(frozen=True, slots=True)
class StoredAudio:
    """The audio that every lake holds, as samples at one rate, or cut into the frames of a spectrogram."""

    sr: Hertz
    frames_of: Configuration | None = None

    def of(self, y: np.ndarray) -> np.ndarray:
        """The samples as they are, or the stretches that frames are computed of."""
        return y if self.frames_of is None else device.frames(y, self.frames_of)


@dataclass(frozen=True, slots=True)
class Embeddings:
    """The vectors that a run of the lake gave."""

    run_id: str


def recipe_of(model_input: str) -> FeatureSet | Spectrogram | StoredAudio | Embeddings:
    """What a model reads: spectrogram:NAME, computed:NAME, features:NAME, audio:SR or embeddings:RUN_ID.

    In the place of a spectrogram's name may stand a configuration, as `contract.spectrogram` takes it.
    """
    kind, _, name = model_input.partition(":")
    if kind == "computed":
        config = device.configuration(name)
        return StoredAudio(Hertz(config.sr), config)
    if kind == "embeddings":
        return Embeddings(name)
    if kind == "audio":
        return StoredAudio(Hertz(int(name)))
    return contract.spectrogram(name) if kind == "spectrogram" else feature_set(name)


def columns_of(model_input: str) -> list[str]:
    """Names of the columns of numbers that a model reads; none for spectrograms and audio."""
    recipe = recipe_of(model_input)
    if isinstance(recipe, Embeddings):
        return ["embedding"]
    return [name for name, _ in recipe.columns] if isinstance(recipe, FeatureSet) else []
