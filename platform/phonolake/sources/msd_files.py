"""The Million Song Dataset's HDF5 files: one song each, or many in one."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from phonolake.errors import UsageError

CHUNK = 4096  # songs read at once out of an aggregate file
GROUPS = ("metadata/songs", "analysis/songs", "musicbrainz/songs")
FIELDS = {
    "metadata/songs": ("song_id", "title", "artist_name", "artist_id", "release", "track_7digitalid"),
    "analysis/songs": ("track_id", "duration", "tempo", "key", "mode", "time_signature", "loudness"),
    "musicbrainz/songs": ("year",),
}


@dataclass(frozen=True, slots=True)
class SongFile:
    """What the dataset says of a track.

    Parameters
    ----------
    year : int or None
        Of release; the dataset writes 0 where it does not know.
    number_7digital : int
        Number of the preview clip at 7digital, by which collections of audio are named; 0 or below where there is none.
    duration : float
        Of the whole song, in seconds.
    facts : dict
        Tempo (beats a minute), key (0 = C), mode (1 = major), time signature and loudness (dB), as estimated.
    """

    track_id: str
    song_id: str
    title: str
    artist: str
    artist_id: str
    album: str
    year: int | None
    number_7digital: int
    duration: float
    facts: dict[str, float]


def songs(path: Path, names: Collection[str] | None = None) -> Iterator[SongFile]:
    """Songs of a file, whether it holds one or is an aggregate or summary file of many.

    Parameters
    ----------
    names : collection of str, optional
        Only songs with one of these as track id or as 7digital's number; all of them by default.

    Raises
    ------
    UsageError
        If it is no HDF5 file, or not one of this dataset.
    """
    try:
        with h5py.File(path, "r") as file:
            tables = [_table(file, group) for group in GROUPS]
            sizes = {len(table) for table in tables}
            if len(sizes) != 1:
                raise UsageError(f"{path} is damaged: its tables have {sorted(sizes)} songs")
            for start in range(0, sizes.pop(), CHUNK):
                part = [table[start : start + CHUNK] for table in tables]
                yield from (_song(*(rows[i] for rows in part)) for i in _chosen(part[0], part[1], names))
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise UsageError(f"{path} is no HDF5 file of the Million Song Dataset: {error}") from error


def _table(file: h5py.File, group: str) -> h5py.Dataset:
    table = file.get(group)
    names = table.dtype.names if isinstance(table, h5py.Dataset) else None
    missing = [name for name in FIELDS[group] if name not in (names or ())]
    if missing:
        raise ValueError(f"{group} has no {missing[0]!r}")
    return table


def _chosen(metadata: np.ndarray, analysis: np.ndarray, names: Collection[str] | None) -> Iterable[int]:
    """Rows of the songs that are asked for."""
    if names is None:
        return range(len(metadata))
    named = zip(analysis["track_id"].tolist(), metadata["track_7digitalid"].tolist(), strict=True)
    return [i for i, (track, number) in enumerate(named) if _text(track) in names or str(number) in names]


def _song(metadata: np.void, analysis: np.void, musicbrainz: np.void) -> SongFile:
    return SongFile(
        track_id=_text(analysis["track_id"]),
        song_id=_text(metadata["song_id"]),
        title=_text(metadata["title"]),
        artist=_text(metadata["artist_name"]),
        artist_id=_text(metadata["artist_id"]),
        album=_text(metadata["release"]),
        year=int(musicbrainz["year"]) or None,
        number_7digital=int(metadata["track_7digitalid"]),
        duration=float(analysis["duration"]),
        facts={name: float(analysis[name]) for name in ("tempo", "key", "mode", "time_signature", "loudness")},
    )


def _text(value: Any) -> str:
    """Texts are stored as bytes, cut at a fixed length that may lie inside a letter."""
    return bytes(value).decode("utf-8", "ignore").strip()
