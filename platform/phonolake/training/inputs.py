"""What networks read: spectrograms as they are stored, and audio, decoded on the fly.

Audio is read as waveforms, or as the stretches of samples that the frames of a spectrogram are computed of on the
device (see `phonolake.training.intake`).

Shape suffixes: C channels, F bands, T steps in time, N samples of a window.
"""

import os
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from phonolake.audio.decode import decode
from phonolake.errors import AudioError, PhonolakeError, UsageError
from phonolake.features import device
from phonolake.features.configuration import Configuration
from phonolake.records import Hertz
from phonolake.store import pieces
from phonolake.store.pieces import Pieces

# Makes another take of samples.
Change = Callable[[np.ndarray], np.ndarray]
# A value of each column; encoded bytes that lie in pieces are read when they are decoded.
Row = dict[str, Any]


class TrackInput(Protocol):
    """A kind of input: which columns of a shard it needs, and how a row becomes an array whose last axis is time."""

    @property
    def columns(self) -> list[str]:
        """Columns to read."""

    @property
    def threads(self) -> int:
        """Threads that are worth their while for `array`; 0 where it costs nothing."""

    @property
    def sr(self) -> int:
        """Sampling rate of the audio that is decoded, in hertz; 0 where none is."""

    def array(self, row: Row, change: Change | None = None) -> np.ndarray:
        """The whole track of a row; where it is audio, `change` is applied to its samples first."""


@dataclass(frozen=True, slots=True)
class Spectrograms:
    """Rows of the table `spectrograms`: float16 of shape (F, T), or (C, F, T) for those with several channels."""

    @property
    def columns(self) -> list[str]:
        return ["track_id", "n_bands", "n_frames", "data"]

    @property
    def threads(self) -> int:
        return 0

    @property
    def sr(self) -> int:
        return 0

    def array(self, row: Row, change: Change | None = None) -> np.ndarray:
        if change is not None:
            raise UsageError("stored spectrograms have no samples to change: train with --from-audio")
        n_bands, n_frames = row["n_bands"].as_py(), row["n_frames"].as_py()
        values = np.frombuffer(row["data"].as_buffer(), "<f2")
        n_channels = values.size // (n_bands * n_frames)
        return values.reshape((n_bands, n_frames) if n_channels == 1 else (n_channels, n_bands, n_frames))


@dataclass(frozen=True, slots=True)
class Waveforms:
    """Rows of the table `audio`: mono float32 of shape (T,) at `sr` Hz."""

    sr: int

    @property
    def columns(self) -> list[str]:
        return ["track_id", "bytes", pieces.NUMBER]

    @property
    def threads(self) -> int:
        return min(8, len(os.sched_getaffinity(0)))

    def array(self, row: Row, change: Change | None = None) -> np.ndarray:
        try:
            data = row["bytes"]
            y = decode(data if isinstance(data, Pieces) else data.as_py(), sr=Hertz(self.sr))
        except AudioError as error:
            raise PhonolakeError(f"{row['track_id']} cannot be decoded any more: {error}") from error
        return y if change is None else change(y)


@dataclass(frozen=True, slots=True)
class Frames:
    """Rows of the table `audio`: mono float32 of shape (N, T), one column for each frame of a spectrogram."""

    config: Configuration

    @property
    def columns(self) -> list[str]:
        return self._waveforms.columns

    @property
    def threads(self) -> int:
        return self._waveforms.threads

    @property
    def sr(self) -> int:
        return self.config.sr

    @property
    def _waveforms(self) -> Waveforms:
        return Waveforms(self.config.sr)

    def array(self, row: Row, change: Change | None = None) -> np.ndarray:
        return device.frames(self._waveforms.array(row, change), self.config)


def of(model_input: str) -> TrackInput:
    """What a network reads: ``spectrogram:NAME``, ``audio:SR``, or ``computed:NAME`` for a spectrogram from audio."""
    kind, _, name = model_input.partition(":")
    if kind == "computed":
        return Frames(device.configuration(name))
    return Waveforms(int(name)) if kind == "audio" else Spectrograms()


def first_rows(reader: pq.ParquetFile, group: int) -> list[tuple[int, str]]:
    """Number and track of each row of a row group that a track is read from: a further piece of its audio is none."""
    found = reader.read_row_group(group, ["track_id", pieces.NUMBER])
    track_ids = found["track_id"].to_pylist()
    if pieces.NUMBER not in found.column_names:
        return list(enumerate(track_ids))
    numbers = found[pieces.NUMBER].to_pylist()
    return [(n, track_id) for n, track_id in enumerate(track_ids) if not numbers[n]]


def row(table: pa.Table, n: int, file: Path) -> Row:
    """One of the `first_rows` of a table that was read from `file`; its values are not copied."""
    found = {name: table[name][n] for name in table.column_names}
    if pieces.NUMBER in found and found[pieces.NUMBER].is_valid:
        found["bytes"] = Pieces(file, found["track_id"].as_py())
    return found


def tracks(
    file: Path, group: int, kind: TrackInput, wanted: Set[str] | None = None
) -> Iterator[tuple[str, np.ndarray]]:
    """Track ids and whole arrays of one row group, or of the `wanted` tracks in it."""
    reader = pq.ParquetFile(file)
    held = [(n, track_id) for n, track_id in first_rows(reader, group) if wanted is None or track_id in wanted]
    if not held:
        return
    table = reader.read_row_group(group, kind.columns)
    for n, track_id in held:
        yield track_id, kind.array(row(table, n, file))
