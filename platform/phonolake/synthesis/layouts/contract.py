"""The contract of a layout: the files of a small corpus, and its tables.

A module in this folder is a layout when it defines ``LAYOUT``. Its music is made by `synthesis.music`: a clip's label
says how it sounds, so that models can learn it. The same settings give the same bytes.
"""

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import soundfile as sf

from phonolake import registry
from phonolake.errors import UsageError
from phonolake.files import write
from phonolake.records import Hertz, Seconds
from phonolake.synthesis.music import GENRES, compose
from phonolake.synthesis.planted import Planted, with_burst

SUBTYPES = {"WAV": "PCM_16", "AU": "PCM_16", "MP3": "MPEG_LAYER_III"}
LARGEST = 10_000


@dataclass(frozen=True, slots=True)
class Config:
    """What corpus to make.

    Parameters
    ----------
    layout : str
        Name of a layout.
    n_tracks : int
        Clips in all, 1 to 10,000.
    seed : int
        Determines everything random.
    duration : Seconds
        Of each clip, above 0.
    planted : Planted
        Planted effects; tags for layouts with tags, bursts for all.

    Raises
    ------
    UsageError
        If a value is out of its range.
    """

    layout: str
    n_tracks: int
    seed: int = 0
    duration: Seconds = Seconds(1.0)  # noqa: RUF009 (a NewType call is the float itself)
    planted: Planted = Planted()  # noqa: RUF009 (it is frozen)

    def __post_init__(self) -> None:
        if not 1 <= self.n_tracks <= LARGEST:
            raise UsageError(f"n_tracks is {self.n_tracks}; it must lie between 1 and {LARGEST}.")
        if self.seed < 0:
            raise UsageError(f"seed is {self.seed}; it must be 0 or above.")
        if not 0 < self.duration < math.inf:
            raise UsageError(f"duration is {self.duration} s; it must be above 0 s.")


@dataclass(frozen=True, slots=True)
class PlannedClip:
    """One file to make.

    Parameters
    ----------
    path : str
        Below the corpus, with ``/`` between its parts.
    label : str
        Its label in the dataset's words.
    kind : int
        Number of the label: clips of one kind sound alike.
    number : int
        Place in the corpus, from 0.
    container : str
        ``WAV``, ``AU`` or ``MP3``.
    said : tuple of (name, value)
        Its other values in the tables.
    """

    path: str
    label: str
    kind: int
    number: int
    container: str
    sr: Hertz
    said: tuple[tuple[str, Any], ...] = ()

    def __getitem__(self, name: str) -> Any:
        """Its value in the tables under a name."""
        return dict(self.said)[name]


@dataclass(frozen=True, slots=True)
class DatasetLayout:
    """The layout of a dataset on disk.

    Parameters
    ----------
    n_tracks, duration
        Size of a corpus unless another is asked for, and length of its clips (s) as in the dataset.
    clips : callable
        Lists the audio files of a corpus.
    files : callable
        Makes the other files, by their path: tables, lists, annotations.
    truth : callable, optional
        Of a layout with tags: the lake's id of a clip, whose true tags ``clip["true"]`` holds.
    """

    name: str
    n_tracks: int
    duration: float
    clips: Callable[[Config], list[PlannedClip]]
    files: Callable[[Sequence[PlannedClip], Config], dict[str, bytes]]
    truth: Callable[[PlannedClip], str] | None = None


def layouts() -> dict[str, DatasetLayout]:
    """Every layout by name."""
    return {name: module.LAYOUT for name, module in registry.modules("phonolake.synthesis.layouts", "LAYOUT").items()}


def get(name: str) -> DatasetLayout:
    """The layout called `name`; an unknown name raises a `UsageError` that lists the known ones."""
    module = registry.module("phonolake.synthesis.layouts", "LAYOUT", "layout", name)
    return cast(DatasetLayout, module.LAYOUT)


def plan(config: Config) -> list[PlannedClip]:
    """The audio files of a corpus, in a fixed order."""
    return get(config.layout).clips(config)


def audio_path(clip: PlannedClip, root: Path) -> Path:
    """Where a clip lies below `root`."""
    return root.joinpath(*clip.path.split("/"))


def write_track(clip: PlannedClip, config: Config, root: Path) -> int:
    """Make a clip and write it to its place, whole or not at all; returns its bytes."""
    rng = np.random.default_rng([config.seed, clip.number])
    samples = compose(GENRES[clip.kind % len(GENRES)], rng=rng, duration=config.duration, sr=clip.sr)
    if config.planted.peaks:
        samples = with_burst(samples, clip.sr, config.planted.peaks, rng)
    buffer = io.BytesIO()
    sf.write(buffer, samples, clip.sr, format=clip.container, subtype=SUBTYPES[clip.container])
    data = buffer.getvalue()
    write(audio_path(clip, root), data)
    return len(data)


def write_metadata(clips: Sequence[PlannedClip], config: Config, root: Path) -> None:
    """Write all files except audio; with planted tags also their truth, for `phonolake labels import`.

    ``truth.csv`` has the columns `track_id` and `tag`.
    """
    layout = get(config.layout)
    for name, data in layout.files(clips, config).items():
        write(root.joinpath(*name.split("/")), data)
    if layout.truth is not None and config.planted.about_tags:
        lines = [f"{layout.truth(clip)},{tag}" for clip in clips for tag in clip["true"]]
        write(root / "truth.csv", "\n".join(["track_id,tag", *lines, ""]).encode())


def parts(n: int) -> list[str]:
    """Parts of a split for clips in turn: of ten one is for validation and two are for the test."""
    return [{3: "valid", 6: "test", 9: "test"}.get(i % 10, "train") for i in range(n)]
