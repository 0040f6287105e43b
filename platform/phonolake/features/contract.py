"""The contracts of feature sets and spectrogram configurations."""

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar, cast

import numpy as np

from phonolake import registry
from phonolake.errors import UsageError, unknown
from phonolake.features.clip import Clip
from phonolake.features.configuration import Configuration, from_text
from phonolake.features.pooling import Pooling
from phonolake.records import Hertz


@dataclass(frozen=True, slots=True)
class Segments:
    """Segments of equal length, consecutive or overlapping.

    Parameters
    ----------
    milliseconds : int
        Length of a segment.
    hop : int
        From the start of one to the start of the next, in milliseconds.
    """

    milliseconds: int
    hop: int

    def __post_init__(self) -> None:
        if self.milliseconds < 1 or self.hop < 1:
            raise UsageError(f"segments and their hop last at least 1 ms; received {self.milliseconds} and {self.hop}")

    @property
    def suffix(self) -> str:
        """The suffix of segments in the name of a recipe: ``-per-3000ms`` or ``-per-3000ms-by-1500ms``."""
        overlap = "" if self.hop == self.milliseconds else f"-by-{self.hop}ms"
        return f"-per-{self.milliseconds}ms{overlap}"

    def spans(self, sr: int) -> Iterator[tuple[int, int]]:
        """First sample, and the one after the last, of each segment, without end."""
        length = round(self.milliseconds * sr / 1000)
        for k in itertools.count():
            start = round(k * self.hop * sr / 1000)
            yield start, start + length


@dataclass(frozen=True, slots=True)
class Spectrogram:
    """A spectrogram configuration.

    Parameters
    ----------
    name : str
        Name in the registry, such as ``mel-96-12k``.
    version : int
        Raised when the same audio would give other values: another version is another set of shards. 0 for a user's
        own, which all its parameters identify.
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
        A `Clip` at `sr` to float32 of shape (n_bands, n_frames), or (n_channels, n_bands, n_frames) where there are
        several channels. An `AudioError` makes the track a reject.
    n_channels : int
        Channels of the result: three for a picture in colours.
    n_frames : int, optional
        Where it is the same whatever the length of the audio.
    config : Configuration, optional
        The parameters of `compute`, where it is one of `configuration`. Recordings that are too long to be transformed
        in one piece are refused without it.
    segments : Segments, optional
        Where each piece of a recording gets a spectrogram of its own.
    """

    name: str
    version: int
    sr: Hertz
    n_bands: int
    frames_per_second: float
    unit: str
    source: str
    compute: Callable[[Clip], np.ndarray]
    n_channels: int = 1
    n_frames: int | None = None
    config: Configuration | None = None
    segments: Segments | None = None

    @property
    def identity(self) -> tuple:
        """What decides about the values."""
        given = (self.config.identity,) if self.version == 0 and self.config else ()
        return (self.name, self.version, self.sr, self.n_bands, *given)

    @property
    def parameters(self) -> dict[str, Any]:
        """All that is known of how it is computed, for the rows that hold it."""
        return asdict(self.config) if self.config else {"sr": self.sr, "version": self.version}

    def of(self, y: np.ndarray) -> np.ndarray:
        """Compute it for samples at `sr`."""
        return self.compute(Clip(y, self.sr))


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
        A `Clip` at `sr` to float64 of shape (len(columns),). An `AudioError` makes the track a reject.
    pooling : Pooling
        How to combine the values of parts of a recording that is too long for one piece.
    segments : Segments, optional
        Where each piece of a recording gets values of its own.
    """

    name: str
    version: int
    sr: Hertz
    columns: tuple[tuple[str, str], ...]
    source: str
    compute: Callable[[Clip], np.ndarray]
    pooling: Pooling = field(default_factory=Pooling)
    segments: Segments | None = None

    @property
    def identity(self) -> tuple:
        """What decides about the values."""
        return (self.name, self.version, self.sr, [name for name, _ in self.columns])

    def of(self, y: np.ndarray) -> np.ndarray:
        """Compute it for samples at `sr`."""
        return self.compute(Clip(y, self.sr))


Recipe = TypeVar("Recipe", bound=FeatureSet | Spectrogram)


def feature_sets() -> dict[str, FeatureSet]:
    """Every feature set by name."""
    return cast(dict[str, FeatureSet], _parts("FEATURES"))


def spectrograms() -> dict[str, Spectrogram]:
    """Every spectrogram configuration by name."""
    return cast(dict[str, Spectrogram], _parts("SPECTROGRAM"))


def feature_set(name: str) -> FeatureSet:
    """The feature set called `name`, which may end in segments; an unknown name raises a `UsageError`."""
    return _find("feature set", name, feature_sets())


def spectrogram(name: str) -> Spectrogram:
    """The spectrogram called `name`, which may end in segments, or that of a user's own configuration.

    The latter is given by all of its parameters, as in ``mine:sr=16000,n_fft=512,hop_length=256``. An unknown name, and
    invalid parameters, raise a `UsageError`.
    """
    if ":" in name:
        return given(name)
    return _find("spectrogram", name, spectrograms())


def from_configuration(name: str, config: Configuration, source: str, *, version: int = 1) -> Spectrogram:
    """Make a spectrogram of its parameters."""
    return Spectrogram(
        name=name,
        version=version,
        sr=Hertz(config.sr),
        n_bands=config.n_bands,
        # A picture has its columns whatever the length; the paper's clips last ten seconds.
        frames_per_second=config.picture / 10 if config.picture else config.sr / config.hop_length,
        unit=config.unit,
        source=source,
        compute=config.compute,
        n_channels=3 if config.picture else 1,
        n_frames=config.n_frames,
        config=config,
    )


def given(text: str) -> Spectrogram:
    """The spectrogram of a user's own configuration (see `configuration.from_text`).

    Raises
    ------
    UsageError
        For an invalid configuration, or a name that is used or cannot be part of a file name.
    """
    name, config = from_text(text)
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) or "-per-" in name:
        raise UsageError(f"a spectrogram's name has small letters, digits and single hyphens; received {name!r}")
    if name in spectrograms():
        raise UsageError(f"there is a spectrogram called {name!r} already: give yours another name")
    return from_configuration(name, config, "a configuration of the user's own", version=0)


def per_segment(recipe: Recipe, segments: Segments) -> Recipe:
    """The same recipe for each segment of a recording."""
    if recipe.segments is not None:
        raise UsageError(f"{recipe.name} already has segments")
    return replace(recipe, name=recipe.name + segments.suffix, segments=segments)


def _find(kind: str, name: str, known: dict[str, Recipe]) -> Recipe:
    found = re.fullmatch(r"(.+?)-per-(\d+)ms(?:-by-(\d+)ms)?", name)
    plain = found[1] if found else name
    if plain not in known:
        raise unknown(kind, plain, known)
    if not found:
        return known[plain]
    return per_segment(known[plain], Segments(int(found[2]), int(found[3] or found[2])))


def _parts(attribute: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for module in dict.fromkeys(registry.modules("phonolake.features", attribute).values()):
        value = getattr(module, attribute)
        found |= {part.name: part for part in (value if isinstance(value, tuple) else (value,))}
    return dict(sorted(found.items()))
