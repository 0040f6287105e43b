"""What a model reads: a closed set, each told by a text such as ``spectrogram:mel-96-12k``.

Two kinds are rows of numbers (a feature set, the embeddings of another run), three go on in time (a stored spectrogram,
a spectrogram computed from the stored audio, the audio itself). Each alone knows its table and columns, how a row
becomes an array, how the same is made of a recording that no lake holds, and what to say when it is missing.

Shape suffixes: N rows, D numbers, C channels, F bands, T steps in time, X any axes before time.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from phonolake.audio.decode import decode
from phonolake.errors import AudioError, PhonolakeError, UsageError, unknown
from phonolake.features import contract, device
from phonolake.features.configuration import Configuration
from phonolake.features.contract import FeatureSet, Spectrogram
from phonolake.features.preprocessing import Preprocessing
from phonolake.inference import transforms
from phonolake.inference.extractors import feature_set
from phonolake.inference.outside import OutsideRecording
from phonolake.inference.products import product
from phonolake.inference.transforms import Transforms
from phonolake.records import Hertz
from phonolake.store import pieces, tracks
from phonolake.store.lake import Lake
from phonolake.store.pieces import Pieces
from phonolake.store.shards import SEPARATOR

# Makes another version of samples.
Change = Callable[[np.ndarray], np.ndarray]
# A value of each column; encoded bytes that lie in pieces are read when they are decoded.
Row = dict[str, Any]

# Published training length of the 29-second clips of Choi et al. 2017, in frames of 21 ms, and the same in seconds.
LONGEST_FRAMES, LONGEST_SECONDS = 1360, 29.0
# A single track that is asked for is decoded as a whole: up to this size of its file.
MOST_BYTES = 64 << 20


class ModelInput(ABC):
    """What a model reads."""

    kind: ClassVar[str]

    @property
    @abstractmethod
    def name(self) -> str:
        """What stands behind the kind in `text`."""

    @property
    def text(self) -> str:
        """What `parse` turns into the same; cards and the table `models` hold it."""
        return f"{self.kind}:{self.name}"

    @property
    @abstractmethod
    def table(self) -> str:
        """Name of the table whose shards are read."""

    @property
    @abstractmethod
    def columns(self) -> list[str]:
        """Columns to read, besides those that every table has."""

    @abstractmethod
    def files(self, lake: Lake) -> list[str]:
        """Published shards to read, in order of their names.

        Raises
        ------
        PhonolakeError
            When there are none; it says which command makes them.
        """

    def paths(self, lake: Lake, files: tuple[str, ...] | list[str]) -> list[Path]:
        """Where these shards lie."""
        return [lake.folder(self.table) / file for file in files]

    @property
    @abstractmethod
    def made_by(self) -> str:
        """The command that gives it to tracks that lack it."""

    # Whether it is made of samples while it is read, so that they can be changed first.
    is_decoded: ClassVar[bool] = False
    # Whether a network gets spectrograms in the end.
    is_spectrogram: ClassVar[bool] = False

    def transforms(self, preprocessing: str | None = None) -> Transforms:
        """What windows of it go through before a network reads them.

        Parameters
        ----------
        preprocessing : str, optional
            Name of a point of the grid, such as ``decibel/bypass/x1``.

        Raises
        ------
        UsageError
            For an unknown name, and where the input is no mel spectrogram in decibels.
        """
        return Transforms(preprocessing=_point(preprocessing, None))

    @abstractmethod
    def of(self, recording: OutsideRecording) -> np.ndarray:
        """The same, to the bit, of a recording that no lake holds.

        Raises
        ------
        AudioError
            When the recording has none, as extraction would find.
        UsageError
            Where it cannot be made of one recording.
        """


# -- rows of numbers ---------------------------------------------------------------------------------------------------


class VectorInput(ModelInput):
    """Rows of numbers: one for each track, or several, one for each segment of it."""

    def read(self, path: Path) -> tuple[list[str], np.ndarray]:
        """Track ids and x_ND of one shard, row by row; a column of lists gives as many numbers as they hold."""
        table = pq.read_table(path, columns=["track_id", *self.columns])
        x_ND = np.column_stack([_numbers(table[name].combine_chunks()) for name in self.columns])
        return table["track_id"].to_pylist(), x_ND


@dataclass(frozen=True)
class Features(VectorInput):
    """A feature set: ``features:NAME``."""

    recipe: FeatureSet
    kind: ClassVar[str] = "features"
    made_by: ClassVar[str] = "phonolake extract"

    @property
    def name(self) -> str:
        return self.recipe.name

    @property
    def table(self) -> str:
        return product(self.recipe).table.name

    @cached_property
    def columns(self) -> list[str]:
        return [name for name, _ in self.recipe.columns]

    def files(self, lake: Lake) -> list[str]:
        if found := product(self.recipe).published(lake):
            return found
        raise PhonolakeError(f"the lake has no {self.name} yet: run `phonolake extract --features {self.name}` first")

    def of(self, recording: OutsideRecording) -> np.ndarray:
        if self.recipe.segments:
            raise UsageError(
                f"the model reads segments ({self.name}) of the tracks of a lake: it cannot be asked about a file"
            )
        return recording.computed(self.recipe)


@dataclass(frozen=True)
class Embeddings(VectorInput):
    """The vectors that a network of the lake gave: ``embeddings:RUN_ID``."""

    run_id: str
    kind: ClassVar[str] = "embeddings"
    table: ClassVar[str] = "embeddings"
    made_by: ClassVar[str] = "phonolake score"

    @property
    def name(self) -> str:
        return self.run_id

    @property
    def columns(self) -> list[str]:
        return ["embedding"]

    def files(self, lake: Lake) -> list[str]:
        if found := [file for file in lake.shards(self.table) if file.startswith(self.run_id + SEPARATOR)]:
            return found
        raise PhonolakeError(
            f"the lake has no embeddings of {self.run_id}: run `phonolake score --run {self.run_id}` first"
        )

    def of(self, recording: OutsideRecording) -> np.ndarray:
        raise UsageError(f"its input are vectors of {self.run_id}, a model of a lake: ask about the file in that lake")


# -- what goes on in time ----------------------------------------------------------------------------------------------


class SeriesInput(ModelInput):
    """Arrays whose last axis is time; a model is asked about windows of them."""

    # Waveforms are cut as they were published, side by side; the rest of a spectrogram gets a window of its own.
    whole_windows: ClassVar[bool] = False

    @property
    def sr(self) -> int:
        """Sampling rate of the audio that is decoded, in hertz; 0 where none is."""
        return 0

    @property
    def threads(self) -> int:
        """Threads that are worth their while for `array`; 0 where it costs nothing."""
        return 0

    @property
    @abstractmethod
    def steps_per_second(self) -> float:
        """Steps of the last axis in a second of audio."""

    @abstractmethod
    def array(self, row: Row, change: Change | None = None) -> np.ndarray:
        """The whole track of a row, of shape (..., T); where it is audio, `change` is applied to its samples first."""

    @abstractmethod
    def of_track(self, connection: duckdb.DuckDBPyConnection, track_id: str) -> np.ndarray:
        """The whole of one track of a lake, without reading the rest of its shard.

        Raises
        ------
        UsageError
            For a track that the lake does not have.
        PhonolakeError
            For one that has nothing of the kind, or is too large for it.
        """

    @abstractmethod
    def crop_length(self, connection: duckdb.DuckDBPyConnection) -> int:
        """Length of a training crop in steps: what the median track of the lake has, at most half a minute."""


@dataclass(frozen=True)
class StoredSpectrogram(SeriesInput):
    """Rows of the table `spectrograms`, float16 of shape (F, T), or (C, F, T): ``spectrogram:NAME``.

    In the place of the name may stand a configuration of the user's own, as `contract.spectrogram` takes it.
    """

    given: str
    kind: ClassVar[str] = "spectrogram"
    is_spectrogram: ClassVar[bool] = True
    table: ClassVar[str] = "spectrograms"
    made_by: ClassVar[str] = "phonolake extract"

    @property
    def name(self) -> str:
        return self.given

    @cached_property
    def recipe(self) -> Spectrogram:
        return contract.spectrogram(self.name)

    def transforms(self, preprocessing: str | None = None) -> Transforms:
        return Transforms(None, _point(preprocessing, self.recipe.config))

    @property
    def columns(self) -> list[str]:
        return ["track_id", "n_bands", "n_frames", "data"]

    @property
    def steps_per_second(self) -> float:
        return self.recipe.frames_per_second

    def files(self, lake: Lake) -> list[str]:
        if found := product(self.recipe).published(lake):
            return found
        option = "--spectrogram" if self.recipe.version else "--spectrogram-config"
        raise PhonolakeError(
            f"the lake has no {self.recipe.name} yet: run `phonolake extract {option} {self.name}` first, or train a "
            "network with --from-audio"
        )

    def array(self, row: Row, change: Change | None = None) -> np.ndarray:
        if change is not None:
            raise UsageError("stored spectrograms have no samples to change: train with --from-audio")
        n_bands, n_frames = row["n_bands"].as_py(), row["n_frames"].as_py()
        values = np.frombuffer(row["data"].as_buffer(), "<f2")
        n_channels = values.size // (n_bands * n_frames)
        return values.reshape((n_bands, n_frames) if n_channels == 1 else (n_channels, n_bands, n_frames))

    def of_track(self, connection: duckdb.DuckDBPyConnection, track_id: str) -> np.ndarray:
        found = tracks.read_spectrogram(connection, track_id, self.recipe.name)
        if found is None:
            tracks.check_known(connection, track_id)
            raise PhonolakeError(
                f"{track_id} has no {self.recipe.name}: `phonolake extract --spectrogram {self.recipe.name}` makes it"
            )
        return found

    def crop_length(self, connection: duckdb.DuckDBPyConnection) -> int:
        sql = "SELECT median(n_frames) FROM spectrograms WHERE spectrogram = $1"
        ((median,),) = connection.execute(sql, [self.recipe.name]).fetchall()
        return min(LONGEST_FRAMES, int(median or 0))

    def of(self, recording: OutsideRecording) -> np.ndarray:
        return recording.computed(self.recipe)


class DecodedInput(SeriesInput):
    """What is made of the stored audio while it is read."""

    table: ClassVar[str] = "audio"
    is_decoded: ClassVar[bool] = True
    made_by: ClassVar[str] = "phonolake ingest"

    @property
    def columns(self) -> list[str]:
        return ["track_id", "bytes", pieces.NUMBER]

    @property
    def threads(self) -> int:
        return min(8, len(os.sched_getaffinity(0)))

    def files(self, lake: Lake) -> list[str]:
        if found := list(lake.shards(self.table)):
            return found
        raise PhonolakeError("the lake has no audio yet: run `phonolake ingest` first")

    def array(self, row: Row, change: Change | None = None) -> np.ndarray:
        try:
            data = row["bytes"]
            y = decode(data if isinstance(data, Pieces) else data.as_py(), sr=Hertz(self.sr))
        except AudioError as error:
            raise PhonolakeError(f"{row['track_id']} cannot be decoded any more: {error}") from error
        return self.of_samples(y if change is None else change(y))

    def of_track(self, connection: duckdb.DuckDBPyConnection, track_id: str) -> np.ndarray:
        try:
            found = tracks.read_audio(connection, track_id, most_bytes=MOST_BYTES)
            return self.of_samples(decode(found.data, sr=Hertz(self.sr)))
        except AudioError as error:
            raise PhonolakeError(f"{track_id} cannot be shown ({error})") from error

    def of(self, recording: OutsideRecording) -> np.ndarray:
        return self.of_samples(recording.samples(Hertz(self.sr)))

    @abstractmethod
    def of_samples(self, y: np.ndarray) -> np.ndarray:
        """What is read of mono samples at `sr`."""


@dataclass(frozen=True)
class ComputedSpectrogram(DecodedInput):
    """A spectrogram that is computed where the network computes: ``computed:NAME``.

    What is cut into windows are its frames: samples of shape (n_fft, T), one column for each frame.
    """

    given: str
    kind: ClassVar[str] = "computed"
    is_spectrogram: ClassVar[bool] = True

    @property
    def name(self) -> str:
        return self.given

    def __post_init__(self) -> None:
        _ = self.config

    @cached_property
    def config(self) -> Configuration:
        """Parameters of the spectrogram; a `UsageError` for one that is not computed on a device."""
        return device.configuration(self.name)

    @property
    def sr(self) -> int:
        return self.config.sr

    @property
    def steps_per_second(self) -> float:
        return contract.spectrogram(self.name).frames_per_second

    def transforms(self, preprocessing: str | None = None) -> Transforms:
        return Transforms(self.config, _point(preprocessing, self.config))

    def of_samples(self, y: np.ndarray) -> np.ndarray:
        return device.frames(y, self.config)

    def crop_length(self, connection: duckdb.DuckDBPyConnection) -> int:
        return min(LONGEST_FRAMES, int(_median_seconds(connection) * self.steps_per_second + 1))


@dataclass(frozen=True)
class Audio(DecodedInput):
    """Mono float32 samples of shape (T,): ``audio:SR``."""

    hertz: Hertz
    kind: ClassVar[str] = "audio"
    whole_windows: ClassVar[bool] = True

    @property
    def name(self) -> str:
        return str(self.hertz)

    @property
    def sr(self) -> int:
        return self.hertz

    @property
    def steps_per_second(self) -> float:
        return self.sr

    def of_samples(self, y: np.ndarray) -> np.ndarray:
        return y

    def crop_length(self, connection: duckdb.DuckDBPyConnection) -> int:
        return int(min(LONGEST_SECONDS, _median_seconds(connection)) * self.sr)


# -- from text ---------------------------------------------------------------------------------------------------------

_KINDS: dict[str, Callable[[str], ModelInput]] = {
    Features.kind: lambda name: Features(feature_set(name)),
    Embeddings.kind: Embeddings,
    StoredSpectrogram.kind: StoredSpectrogram,
    ComputedSpectrogram.kind: ComputedSpectrogram,
    Audio.kind: lambda name: Audio(Hertz(int(name))),
}


def parse(text: str) -> ModelInput:
    """What a model reads, from a text ``KIND:NAME`` as cards and the table `models` hold it.

    Raises
    ------
    UsageError
        For an unknown kind, feature set or spectrogram, and for what is not computed on a device.
    """
    kind, _, name = text.partition(":")
    if kind not in _KINDS:
        raise unknown("kind of input", kind, _KINDS)
    return _KINDS[kind](name)


def series(text: str) -> SeriesInput:
    """As `parse`, of what goes on in time; a `UsageError` for what does not."""
    found = parse(text)
    if not isinstance(found, SeriesInput):
        raise UsageError(f"{text} are single vectors, and this needs something that goes on in time")
    return found


def vectors(text: str) -> VectorInput:
    """As `parse`, of rows of numbers; a `UsageError` for what goes on in time."""
    found = parse(text)
    if not isinstance(found, VectorInput):
        raise UsageError(f"{text} goes on in time, and this needs single vectors")
    return found


def _point(name: str | None, config: Configuration | None) -> Preprocessing | None:
    return None if name is None else transforms.preprocessing(name, config)


def _median_seconds(connection: duckdb.DuckDBPyConnection) -> float:
    ((median,),) = connection.execute("SELECT median(duration_seconds) FROM tracks").fetchall()
    return float(median or 0)


def _numbers(column: pa.Array) -> np.ndarray:
    if not pa.types.is_list(column.type):
        values: np.ndarray = column.to_numpy(zero_copy_only=False)
        return values
    return column.flatten().to_numpy().reshape(len(column), -1) if len(column) else np.zeros((0, 0))
