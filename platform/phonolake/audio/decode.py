"""Decode audio from bytes, block by block, so that memory does not grow with the length of a recording.

libsndfile (soundfile) reads WAV, FLAC, Ogg, MP3, AIFF, AU and CAF; FFmpeg (PyAV) reads the rest (m4a, wma, webm), and
MP3 whose header does not state its length, or states it wrong. The structure of a file is found in its bytes, because
both decoders trust headers and stop where these say. Channels are averaged: FFmpeg's own down-mix to mono is 3 dB
louder.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, pairwise
from typing import BinaryIO

import numpy as np
import soundfile as sf
import soxr

from phonolake.audio import asides, boxes, containers, ffmpeg, flac, layout, mpeg
from phonolake.audio.encoded import Encoded, EncodedPart, opened
from phonolake.audio.levels import Levels
from phonolake.audio.reading import Header, Reading
from phonolake.errors import AudioError
from phonolake.records import Hertz, Seconds

BLOCK = 1 << 18
NO_LENGTH = 1 << 62  # libsndfile's way of saying so is the largest number
BY_FFMPEG = {"MP4", "ASF", "MATROSKA", "AAC"}
LOWEST_SR, HIGHEST_SR = 1_000, 1_000_000
FLOATING = {"FLOAT", "DOUBLE", "PCM_F32LE", "PCM_F32BE", "PCM_F64LE", "PCM_F64BE"}
# Maximum read-ahead of libFLAC.
READ_AHEAD = 1 << 16
# Unknown bytes after the last packet to tolerate, and their limit as sound.
FOREIGN, FOREIGN_SECONDS = 1 << 12, 0.5


@dataclass(frozen=True, slots=True)
class AudioFacts:
    """Facts from decoding a recording to its end.

    Levels are in dB relative to full scale over all channels; digital silence is -200. `clipped` is the share of
    samples at full scale in peaks of at most 1.5 ms, in [0, 1]; `mix_dbfs` is the root mean square of the mean of the
    channels, from which everything except the stored bytes is computed.
    """

    container: str
    codec: str
    sr: Hertz
    channels: int
    n_samples: int
    peak_dbfs: float
    rms_dbfs: float
    clipped: float = 0.0
    mix_dbfs: float = 0.0

    @property
    def duration(self) -> Seconds:
        return Seconds(self.n_samples / self.sr)


def probe(data: Encoded, *, extension: str = "") -> AudioFacts:
    """Decode a whole recording and measure it.

    Parameters
    ----------
    data : Encoded
        The file as received, in memory or not.
    extension : str
        The file extension without the dot, to compare with the content.

    Raises
    ------
    AudioError
        ``empty``, ``not-audio``, ``wrong-extension``, ``truncated`` (fewer samples than the container promises),
        ``corrupt`` (a part is damaged or cannot be decoded), ``undecoded`` (bytes that may be samples are in no part
        that the decoder reads) or ``not-finite`` (NaN or infinite samples).
    """
    return probe_and_decode(data, (), longest=Seconds(0.0), extension=extension)[0]


def probe_and_decode(
    data: Encoded,
    rates: Iterable[Hertz],
    *,
    longest: Seconds,
    extension: str = "",
    max_seconds: float | None = None,
) -> tuple[AudioFacts, dict[Hertz, np.ndarray]]:
    """`probe` and `decode_rates` in one pass; errors and values are theirs.

    Parameters
    ----------
    longest : Seconds
        Of a longer recording there are only the facts, and its samples are never in memory as a whole.
    max_seconds : float, optional
        A longer recording is an `AudioError` (``too-long``) as soon as so much of it is decoded.
    """
    containers.check_container(data, extension)
    found = layout.examine(data, check=True)
    if found.fault:
        raise found.fault
    reading = _open(found)
    header = reading.header
    containers.check_promise(header.container, extension)
    levels = Levels(header.sr, floating=header.codec in FLOATING)
    blocks = _measured(reading.blocks(), levels, None if max_seconds is None else max_seconds * header.sr)
    decoded = _resampled(header.sr, blocks, rates, most=longest * header.sr)
    # Of what is too long, or wanted at no rate, the rest is only measured.
    for _ in blocks:
        pass
    if not levels.is_finite:
        raise AudioError("not-finite", "the recording contains NaN or infinite samples")
    if reading.fault:
        raise reading.fault
    facts = AudioFacts(
        header.container,
        header.codec,
        header.sr,
        header.channels,
        levels.n_samples,
        levels.peak_dbfs,
        levels.rms_dbfs,
        levels.clipped,
        levels.mix_dbfs,
    )
    return facts, decoded


def _measured(blocks: Iterable[np.ndarray], levels: Levels, most: float | None) -> Iterator[np.ndarray]:
    """The mean of the channels of each block, which is measured."""
    for x_TC in blocks:
        mean_T = _mean(x_TC)
        levels.add(x_TC, mean_T)
        if most is not None and levels.n_samples > most:
            raise AudioError("too-long", f"more than {most / levels.sr:g} s (--max-seconds)")
        yield mean_T


def decode(data: Encoded, *, sr: Hertz) -> np.ndarray:
    """Decode to mono at a sampling rate.

    Parameters
    ----------
    data : Encoded
        The file as received, in memory or not.
    sr : Hertz
        Sampling rate wanted; resampled by soxr at high quality where the file has another.

    Returns
    -------
    np.ndarray of float32, shape (n,)
        Mean of the channels, nominally in [-1, 1].

    Raises
    ------
    AudioError
        ``not-audio`` or ``corrupt``.
    """
    return decode_rates(data, [sr])[sr]


def decode_rates(data: Encoded, rates: Iterable[Hertz]) -> dict[Hertz, np.ndarray]:
    """Decode once, and resample to each of several rates; errors and values are those of `decode`."""
    header, blocks = open_blocks(data)
    return _resampled(header.sr, map(_mean, blocks), rates)


def _resampled(
    sr: Hertz, means: Iterator[np.ndarray], rates: Iterable[Hertz], *, most: float = np.inf
) -> dict[Hertz, np.ndarray]:
    """The mean of the channels at several rates; nothing where there are more than so many samples at `sr`."""
    resamplers = {rate: _Resampler(sr, rate) for rate in rates}
    pieces: dict[Hertz, list[np.ndarray]] = {rate: [] for rate in resamplers}
    n = 0
    for x_T in chain(_gathered(means), [None]) if resamplers else ():
        n += 0 if x_T is None else len(x_T)
        if n > most:
            return {}
        for rate, found in pieces.items():
            found.append(resamplers[rate](x_T))
    return {rate: np.concatenate(found) for rate, found in pieces.items()}


def stream(data: Encoded, *, sr: Hertz) -> Iterator[np.ndarray]:
    """Give what `decode` gives in pieces of float32, so that a recording of any length fits into memory."""
    header, blocks = open_blocks(data)
    resampler = _Resampler(header.sr, sr)
    for x_T in _gathered(map(_mean, blocks)):
        yield resampler(x_T)
    yield resampler(None)


def _gathered(means: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Samples in blocks that are worth the calls that follow: some decoders give a thousand."""
    held: list[np.ndarray] = []
    n = 0
    for x_T in means:
        held.append(x_T)
        n += len(x_T)
        if n >= BLOCK:
            yield np.concatenate(held)
            held, n = [], 0
    if held:
        yield np.concatenate(held)


def _mean(x_TC: np.ndarray) -> np.ndarray:
    """Mean over channels; numpy's own is slow where there are only one or two."""
    if x_TC.shape[1] == 1:
        return x_TC[:, 0]
    # Infinite values are detected where the samples are used.
    with np.errstate(over="ignore", invalid="ignore"):
        total_T = x_TC[:, 0] + x_TC[:, 1]
        for c in range(2, x_TC.shape[1]):
            total_T += x_TC[:, c]
        total_T /= np.float32(x_TC.shape[1])
    return total_T


class _Resampler:
    """Pieces of a signal from one rate to another; None ends the signal."""

    def __init__(self, source: Hertz, target: Hertz) -> None:
        same = source == target
        self._stream = None if same else soxr.ResampleStream(source, target, 1, dtype="float32", quality="HQ")

    def __call__(self, x_T: np.ndarray | None) -> np.ndarray:
        last = x_T is None
        x_T = np.zeros(0, np.float32) if x_T is None else x_T
        return x_T if self._stream is None else self._stream.resample_chunk(x_T, last=last)


def open_blocks(data: Encoded) -> tuple[Header, Iterator[np.ndarray]]:
    """Header and an iterator over blocks of shape (n, channels), float32; the number of channels may change."""
    reading = _open(layout.examine(data))
    return reading.header, reading.blocks()


def _open(found: layout.FileLayout) -> Reading:
    reading = _open_part(found.container, found.parts[0])
    if len(found.parts) > 1:
        reading = _chained(reading, [partial(_open_part, found.container, part) for part in found.parts[1:]])
    if not LOWEST_SR <= reading.header.sr <= HIGHEST_SR:
        # Resampling from 1 Hz would make gigabytes out of a few bytes.
        raise AudioError("corrupt", f"the header claims a sampling rate of {reading.header.sr} Hz")
    return reading


def _open_part(container: str | None, data: Encoded) -> Reading:
    if container in BY_FFMPEG:
        return _open_ffmpeg(data)
    try:
        file = sf.SoundFile(source := opened(data))
    except sf.LibsndfileError:
        return _open_ffmpeg(data)
    if file.frames >= NO_LENGTH:
        file.close()
        return _open_ffmpeg(data)
    if file.format == "MP3" and not (stream := mpeg.examine(data)).stated:
        file.close()
        return ffmpeg.open_songs(data, stream)
    reading = Reading(Header(file.format, file.subtype, Hertz(file.samplerate), file.channels, file.frames or None))
    reading.pieces = _pieces(file)
    if file.format == "FLAC":
        # Only now is it known where the decoder stopped; there another recording may begin.
        return _chained(reading, (partial(_open_part, container, part) for part in _behind(data, source)))
    return reading


def _behind(data: Encoded, source: BinaryIO) -> Iterator[Encoded]:
    """Recordings behind the place up to which a decoder has read a FLAC file."""
    begins = flac.begins(data, max(4, source.tell() - READ_AHEAD))
    for start, stop in pairwise([*begins, len(data)]):
        yield flac.put_right(EncodedPart(data, start, stop))[0]


def _pieces(file: sf.SoundFile) -> Iterator[tuple[Hertz, np.ndarray]]:
    sr = Hertz(file.samplerate)
    with file:
        while True:
            try:
                block = file.read(BLOCK, dtype="float32", always_2d=True)
            except sf.LibsndfileError as error:
                raise AudioError("corrupt", f"decoding stopped at sample {file.tell()}: {error}") from error
            if not len(block):
                return
            yield sr, block


def _chained(first: Reading, others: Iterable[Callable[[], Reading]]) -> Reading:
    """One reading of several recordings, each opened when those before it are read."""
    whole = Reading(replace(first.header, expected=None))

    def pieces() -> Iterator[tuple[Hertz, np.ndarray]]:
        yield from first.counted()
        whole.blame(first.fault)
        for open_next in others:
            reading = open_next()
            yield from reading.counted()
            whole.blame(reading.fault)

    whole.pieces = pieces()
    return whole


def _open_ffmpeg(data: Encoded) -> Reading:
    reading = ffmpeg.open_file(data)
    if reading.header.container == "MP3":
        return reading
    whole = Reading(replace(reading.header, expected=None))

    def pieces() -> Iterator[tuple[Hertz, np.ndarray]]:
        yield from reading.counted()
        whole.blame(reading.fault or _undecoded(data, reading))

    whole.pieces = pieces()
    return whole


def _undecoded(data: Encoded, reading: Reading) -> AudioError | None:
    """What FFmpeg, which stops where a container says, left in a file that holds sound and little else."""
    if reading.header.container == "MP4" and reading.n_streams == 1:
        left, where = boxes.samples_bytes(data) - reading.n_bytes, "of the media data belong to no sample"
    elif reading.header.container in ffmpeg.BARE:
        left = len(data) - asides.skip(data, reading.stop, len(data)) + reading.n_lost
        where = "are neither frames nor tags"
    else:
        return None
    per_second = max(1.0, reading.n_bytes * reading.header.sr / max(1, reading.n_samples))
    if left <= max(FOREIGN, FOREIGN_SECONDS * per_second):
        return None
    return AudioError("undecoded", f"{left} bytes {where} ({left / per_second:.2f} s, if samples)")
