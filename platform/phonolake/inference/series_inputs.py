"""Inputs with a time axis: stored spectrograms, spectrograms computed from the stored audio, and the audio.

Shape suffixes: N rows, C channels, F bands, T steps in time, X any axes before time.
"""

import os
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import duckdb
import numpy as np

from phonolake.audio.decode import decode, stream
from phonolake.audio.encoded import Encoded
from phonolake.errors import AudioError, PhonolakeError, UsageError
from phonolake.features import contract, device
from phonolake.features.configuration import Configuration
from phonolake.features.contract import Spectrogram
from phonolake.inference.crops import windows
from phonolake.inference.model_input import Change, ModelInput, Row, point
from phonolake.inference.outside import OutsideRecording
from phonolake.inference.products import product
from phonolake.inference.recordings import LONGEST, Samples
from phonolake.inference.transforms import Transforms
from phonolake.records import Hertz
from phonolake.store import pieces, tracks
from phonolake.store.lake import Lake
from phonolake.store.pieces import Pieces

# Published training length of the 29-second clips of Choi et al. 2017, in frames of 21 ms, and the same in seconds.
LONGEST_FRAMES, LONGEST_SECONDS = 1360, 29.0
# A single requested track is decoded as a whole, up to this file size.
MOST_BYTES = 64 << 20


class SeriesInput(ModelInput):
    """Arrays whose last axis is time; a model reads windows of them."""

    # Waveforms are cut side by side, as published; the rest of a spectrogram gets a window of its own.
    whole_windows: ClassVar[bool] = False

    @property
    def sr(self) -> int:
        """Sampling rate of decoded audio, in hertz; 0 without audio."""
        return 0

    @property
    def threads(self) -> int:
        """Useful number of threads for `array`; 0 if it costs nothing."""
        return 0

    @property
    @abstractmethod
    def steps_per_second(self) -> float:
        """Steps of the last axis in a second of audio."""

    @abstractmethod
    def array(self, row: Row, change: Change | None = None) -> np.ndarray:
        """The whole track of a row, of shape (..., T); for audio, `change` is applied to its samples first."""

    @abstractmethod
    def of_track(self, connection: duckdb.DuckDBPyConnection, track_id: str) -> np.ndarray:
        """The whole of one track of a lake, without reading the rest of its shard.

        Raises
        ------
        UsageError
            For a track that the lake does not have.
        PhonolakeError
            For a track without this input, or a too large one.
        """

    @abstractmethod
    def crop_length(self, connection: duckdb.DuckDBPyConnection) -> int:
        """Length of a training crop in steps: that of the median track of the lake, at most half a minute."""


@dataclass(frozen=True)
class StoredSpectrogram(SeriesInput):
    """Rows of the table `spectrograms`, float16 of shape (F, T), or (C, F, T): ``spectrogram:NAME``.

    A user's own configuration may replace the name, as for `contract.spectrogram`.
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
        return Transforms(None, point(preprocessing, self.recipe.config))

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
    """Inputs that are computed from the stored audio while it is read."""

    table: ClassVar[str] = "audio"
    is_decoded: ClassVar[bool] = True
    made_by: ClassVar[str] = "phonolake ingest"

    @property
    def columns(self) -> list[str]:
        return ["track_id", "bytes", "n_samples", "sr", pieces.NUMBER]

    @property
    def threads(self) -> int:
        return min(8, len(os.sched_getaffinity(0)))

    def files(self, lake: Lake) -> list[str]:
        if found := list(lake.shards(self.table)):
            return found
        raise PhonolakeError("the lake has no audio yet: run `phonolake ingest` first")

    def array(self, row: Row, change: Change | None = None) -> np.ndarray:
        try:
            y = decode(_encoded(row), sr=Hertz(self.sr))
        except AudioError as error:
            raise PhonolakeError(f"{row['track_id']} cannot be decoded any more: {error}") from error
        return self.of_samples(y if change is None else change(y))

    def blocks(self, row: Row) -> Iterator[np.ndarray]:
        """The samples of a row, mono float32 at `sr`, in consecutive blocks."""
        try:
            yield from stream(_encoded(row), sr=Hertz(self.sr))
        except AudioError as error:
            raise PhonolakeError(f"{row['track_id']} cannot be decoded any more: {error}") from error

    def is_long(self, row: Row) -> bool:
        """Whether the recording of a row is too long to be in memory as a whole."""
        return bool(row["n_samples"].as_py() > LONGEST * row["sr"].as_py())

    def windows(self, blocks: Iterable[np.ndarray], length: int, *, whole: bool) -> Iterator[tuple[int, np.ndarray]]:
        """The windows of `crops.windows` for a whole recording, each with its first step; two are in memory.

        Parameters
        ----------
        blocks : iterable of ndarray
            The samples at `sr`, in consecutive blocks.
        length : int
            Of a window, in steps.
        whole : bool
            Whether the rest after the last whole window is discarded.
        """
        samples, first = Samples(blocks), 0
        while True:
            # The last window ends with the recording, and may overlap the one before.
            held = max(0, first - length)
            x_XT = self._steps(samples, held, first + length)
            n = x_XT.shape[-1] - (first - held)
            if n < length:
                break
            yield first, x_XT[..., first - held :]
            first += length
        if first == 0:
            yield 0, windows(x_XT, length)[0]
        elif n > 0 and not whole:
            yield first + n - length, x_XT[..., n:]

    @property
    def width(self) -> int:
        """Values of a step."""
        return 1

    @abstractmethod
    def _steps(self, samples: Samples, first: int, stop: int) -> np.ndarray:
        """Steps from one up to another of a recording, or to its end; `first` is never less than before."""

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
        """The input from mono samples at `sr`."""


@dataclass(frozen=True)
class ComputedSpectrogram(DecodedInput):
    """A spectrogram that is computed on the network's device: ``computed:NAME``.

    Windows are cut from its frames: samples of shape (n_fft, T), one column for each frame.
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
        """Parameters of the spectrogram; a `UsageError` for one that no device can compute."""
        return device.configuration(self.name)

    @property
    def sr(self) -> int:
        return self.config.sr

    @property
    def steps_per_second(self) -> float:
        return contract.spectrogram(self.name).frames_per_second

    def transforms(self, preprocessing: str | None = None) -> Transforms:
        return Transforms(self.config, point(preprocessing, self.config))

    def of_samples(self, y: np.ndarray) -> np.ndarray:
        return device.frames(y, self.config)

    @property
    def width(self) -> int:
        return self.config.n_fft

    def _steps(self, samples: Samples, first: int, stop: int) -> np.ndarray:
        n_fft, hop = self.config.n_fft, self.config.hop_length
        # Frames that do not touch the cut ends of these samples; pre-emphasis uses the previous sample.
        around = -(-(n_fft // 2 + 1) // hop)
        before = min(first, around)
        begin = (first - before) * hop
        y = samples.read(begin, stop * hop + n_fft)
        return device.frames(y, self.config)[:, before : before + stop - first]

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

    def _steps(self, samples: Samples, first: int, stop: int) -> np.ndarray:
        return samples.read(first, stop)

    def crop_length(self, connection: duckdb.DuckDBPyConnection) -> int:
        return int(min(LONGEST_SECONDS, _median_seconds(connection)) * self.sr)


def _encoded(row: Row) -> Encoded:
    data = row["bytes"]
    return data if isinstance(data, Pieces) else data.as_py()


def _median_seconds(connection: duckdb.DuckDBPyConnection) -> float:
    ((median,),) = connection.execute("SELECT median(duration_seconds) FROM tracks").fetchall()
    return float(median or 0)
