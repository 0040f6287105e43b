"""Recordings outside the lake: a file on this machine, or an upload."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from phonolake.audio.confined import decode_confined
from phonolake.audio.decode import decode, probe, stream
from phonolake.audio.encoded import Encoded, OnDisk
from phonolake.errors import AudioError, PhonolakeError, UsageError
from phonolake.inference import recordings
from phonolake.inference.recordings import Recipe
from phonolake.records import Hertz, Seconds
from phonolake.store import mirror

# The default of `ingest`: recordings below it are silent.
SILENCE_DBFS = -70.0


class OutsideRecording(Protocol):
    """Something that can be decoded; every method may raise an `AudioError`."""

    def samples(self, sr: Hertz) -> np.ndarray:
        """All of it, mono float32 of shape (T,) at `sr`."""

    def blocks(self, sr: Hertz) -> Iterable[np.ndarray]:
        """The same in consecutive blocks of some length."""

    def computed(self, recipe: Recipe) -> np.ndarray:
        """The values that `extract` would store."""


@dataclass(frozen=True, slots=True)
class RecordingFile:
    """A file that was probed already."""

    data: Encoded
    duration: Seconds

    def samples(self, sr: Hertz) -> np.ndarray:
        return decode(self.data, sr=sr)

    def blocks(self, sr: Hertz) -> Iterable[np.ndarray]:
        return stream(self.data, sr=sr)

    def computed(self, recipe: Recipe) -> np.ndarray:
        found = recordings.describe([recipe], self.data, self.duration)[recipe.name]
        if isinstance(found, AudioError):
            raise found
        return found[0].values


@dataclass(frozen=True, slots=True)
class Upload:
    """Uploaded bytes, which a process with limits of its own decodes; `extension` is without the dot."""

    data: bytes
    extension: str

    def samples(self, sr: Hertz) -> np.ndarray:
        y = decode_confined(self.data, sr=sr, extension=self.extension)
        if np.abs(y).max(initial=0.0) < 10 ** (SILENCE_DBFS / 20):
            raise AudioError("silent", "there is nothing to hear")
        return y

    def blocks(self, sr: Hertz) -> Iterable[np.ndarray]:
        return [self.samples(sr)]

    def computed(self, recipe: Recipe) -> np.ndarray:
        return recordings.of_samples(recipe, self.samples(recipe.sr))


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A part of a recording, from `start` to `end`, which may be after its end."""

    recording: OutsideRecording
    start: Seconds
    end: Seconds

    def samples(self, sr: Hertz) -> np.ndarray:
        whole = self.recording.samples(sr)
        y = whole[round(self.start * sr) : round(min(self.end, len(whole) / sr) * sr)]
        if not y.size:
            raise AudioError("too-short", f"it ends before {self.start:g} s")
        return y

    def blocks(self, sr: Hertz) -> Iterable[np.ndarray]:
        return [self.samples(sr)]

    def computed(self, recipe: Recipe) -> np.ndarray:
        return recordings.of_samples(recipe, self.samples(recipe.sr))


@contextmanager
def opened(file: str) -> Iterator[RecordingFile]:
    """The recording in a file, named by a path or an address, while the block runs.

    Raises
    ------
    UsageError
        When there is no such file.
    PhonolakeError
        When it cannot be decoded, here or in the block, or is silent.
    """
    with mirror.brought(file) as path:
        if not path.is_file():
            raise UsageError(f"there is no file {file}")
        try:
            with OnDisk(path) as data:
                facts = probe(data, extension=path.suffix[1:])
                if facts.peak_dbfs < SILENCE_DBFS:
                    raise AudioError("silent", f"peak {facts.peak_dbfs:.1f} dBFS: there is nothing to hear")
                yield RecordingFile(data, facts.duration)
        except AudioError as error:
            raise PhonolakeError(f"{file} cannot be used ({error})") from error
