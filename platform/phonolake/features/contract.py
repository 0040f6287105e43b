"""What a feature set and a spectrogram configuration say about themselves."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np

from phonolake import registry
from phonolake.records import Hertz


@dataclass(frozen=True, slots=True)
class Spectrogram:
    """A spectrogram configuration.

    Parameters
    ----------
    name : str
        Name in the registry, such as ``mel-96-12k``.
    version : int
        Raised when the same audio would give other values: another version is another set of shards.
    sr : Hertz
        Sampling rate of the audio that `compute` takes.
    n_bands : int
        Frequency bands of the result.
    frames_per_second : float
        Frames in one second of audio.
    unit : str
        Unit of the values.
    source : str
        Paper or definition.
    compute : callable
        Audio of shape (n,) to float32 of shape (n_bands, n_frames).
    """

    name: str
    version: int
    sr: Hertz
    n_bands: int
    frames_per_second: float
    unit: str
    source: str
    compute: Callable[[np.ndarray], np.ndarray]

    @property
    def identity(self) -> tuple:
        """What decides about the values."""
        return (self.name, self.version, self.sr, self.n_bands)


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """A hand-crafted feature set: named columns with their meaning and unit.

    Parameters
    ----------
    name : str
        Name in the registry, such as ``mfcc-120``.
    version : int
        Raised when the same audio would give other values.
    sr : Hertz
        Sampling rate of the audio that `compute` takes.
    columns : tuple of (name, description)
        One entry for each value that `compute` returns, in its order.
    source : str
        Paper or definition.
    compute : callable
        Audio of shape (n,) to float64 of shape (len(columns),). An `AudioError` makes the track a reject.
    """

    name: str
    version: int
    sr: Hertz
    columns: tuple[tuple[str, str], ...]
    source: str
    compute: Callable[[np.ndarray], np.ndarray]

    @property
    def identity(self) -> tuple:
        """What decides about the values."""
        return (self.name, self.version, self.sr, [name for name, _ in self.columns])


def feature_sets() -> dict[str, FeatureSet]:
    """Every feature set by name."""
    return {n: m.FEATURES for n, m in registry.modules("phonolake.features", "FEATURES").items()}


def spectrograms() -> dict[str, Spectrogram]:
    """Every spectrogram configuration by name."""
    return {n: m.SPECTROGRAM for n, m in registry.modules("phonolake.features", "SPECTROGRAM").items()}


def feature_set(name: str) -> FeatureSet:
    """The feature set called `name`; an unknown name raises a `UsageError` that lists the known ones."""
    return cast(FeatureSet, registry.module("phonolake.features", "FEATURES", "feature set", name).FEATURES)


def spectrogram(name: str) -> Spectrogram:
    """The spectrogram called `name`; an unknown name raises a `UsageError` that lists the known ones."""
    return cast(Spectrogram, registry.module("phonolake.features", "SPECTROGRAM", "spectrogram", name).SPECTROGRAM)
