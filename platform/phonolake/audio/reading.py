"""A recording during decoding: the claims of its container, its samples, and missing parts."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import soxr

from phonolake.errors import AudioError
from phonolake.records import Hertz

# Tolerated difference to the length that a container claims, in seconds.
FORGIVEN = 10


@dataclass(frozen=True, slots=True)
class Header:
    """The claims of the container; `expected` is its number of samples per channel, or None if unknown."""

    container: str
    codec: str
    sr: Hertz
    channels: int
    expected: int | None


@dataclass(slots=True)
class Reading:
    """Samples on their way out of a file.

    Parameters
    ----------
    header : Header
        What the container claims of the first recording in the file.
    pieces : iterator of (Hertz, ndarray)
        Blocks of shape (n, channels), float32, each with its sampling rate.
    fault : AudioError or None
        The first thing that shows to be missing; final when all blocks are read.
    stop, n_bytes, n_lost : int
        Where the last packet ends, the size of all of them, and of those that could not be decoded, where the decoder
        tells.
    n_streams : int
        Streams in the container, those without sound included.
    """

    header: Header
    pieces: Iterable[tuple[Hertz, np.ndarray]] = ()
    fault: AudioError | None = None
    stop: int = 0
    n_bytes: int = 0
    n_lost: int = 0
    n_streams: int = 1
    n_samples: int = field(default=0, init=False)

    def counted(self) -> Iterator[tuple[Hertz, np.ndarray]]:
        """The pieces; at their end it is known whether there were as many as the container claims."""
        for sr, x_TC in self.pieces:
            self.n_samples += len(x_TC) if sr == self.header.sr else round(len(x_TC) * self.header.sr / sr)
            yield sr, x_TC
        expected, sr = self.header.expected, self.header.sr
        if expected and self.n_samples < expected - sr // FORGIVEN:
            found, promised = self.n_samples / sr, expected / sr
            self.blame(AudioError("truncated", f"{found:.2f} s of {promised:.2f} s could be decoded"))

    def blame(self, fault: AudioError | None) -> None:
        """Keep the first fault."""
        self.fault = self.fault or fault

    def blocks(self) -> Iterator[np.ndarray]:
        """All samples at the rate of the header; parts at other rates are resampled."""
        resampler: _PartResampler | None = None
        for sr, x_TC in self.counted():
            if resampler and (resampler.sr, resampler.channels) != (sr, x_TC.shape[1]):
                yield from resampler.end()
                resampler = None
            if sr == self.header.sr:
                yield x_TC
                continue
            resampler = resampler or _PartResampler(sr, self.header.sr, x_TC.shape[1])
            yield from resampler.give(x_TC)
        if resampler:
            yield from resampler.end()


class _PartResampler:
    """A part of a recording on its way to another rate."""

    def __init__(self, sr: Hertz, wanted: Hertz, channels: int) -> None:
        self.sr, self.channels = sr, channels
        self._stream = soxr.ResampleStream(sr, wanted, channels, dtype="float32", quality="HQ")

    def give(self, x_TC: np.ndarray, *, last: bool = False) -> Iterator[np.ndarray]:
        y_TC = self._stream.resample_chunk(x_TC if self.channels > 1 else x_TC[:, 0], last=last)
        if len(y_TC):
            yield y_TC.reshape(-1, self.channels)

    def end(self) -> Iterator[np.ndarray]:
        yield from self.give(np.zeros((0, self.channels), np.float32), last=True)
