"""Decode audio from bytes, block by block, so that memory does not grow with the length of a recording.

libsndfile (soundfile) reads WAV, FLAC, Ogg, MP3, AIFF and AU; PyAV reads the rest (m4a, wma, webm), and streams that
do not state their length, where libsndfile stops at its guess. Channels are averaged: FFmpeg's own down-mix to mono is
3 dB louder.
"""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain

import av
import numpy as np
import soundfile as sf
import soxr

from phonolake.audio import containers
from phonolake.audio.encoded import Encoded, opened
from phonolake.errors import AudioError
from phonolake.records import Hertz, Seconds

BLOCK = 1 << 18
NO_LENGTH = 1 << 62  # libsndfile's way of saying so is the largest number
BY_PYAV = {"MP4", "ASF", "MATROSKA", "AAC"}
# FFmpeg also knows playlists, which name other files and hosts: what is called music must not make it open them.
OPTIONS = {
    "format_whitelist": "aac,aiff,asf,au,caf,flac,matroska,mov,mp3,ogg,w64,wav",
    "protocol_whitelist": "none",
}
# Bare streams, whose length FFmpeg guesses from their first bit rate.
GUESSED = {"AAC", "MP3"}
LOWEST_SR, HIGHEST_SR = 1_000, 1_000_000
FLOOR_DBFS = -200.0
# Eight steps of 16 bits below 1: what an encoder leaves of samples that were cut off at full scale.
FULL_SCALE = 1 - 2**-12


@dataclass(frozen=True, slots=True)
class AudioFacts:
    """What decoding a recording to its end showed.

    Levels are in dB relative to full scale over all channels; digital silence is -200. `clipped` is the share of
    samples at full scale, in [0, 1].
    """

    container: str
    codec: str
    sr: Hertz
    channels: int
    n_samples: int
    peak_dbfs: float
    rms_dbfs: float
    clipped: float = 0.0

    @property
    def duration(self) -> Seconds:
        return Seconds(self.n_samples / self.sr)


@dataclass(frozen=True, slots=True)
class Header:
    """What the container claims; `expected` is its number of samples per channel, or None where it does not tell."""

    container: str
    codec: str
    sr: Hertz
    channels: int
    expected: int | None


def probe(data: Encoded, *, extension: str = "") -> AudioFacts:
    """Decode a whole recording and measure it.

    Parameters
    ----------
    data : Encoded
        The file as received, in memory or not.
    extension : str
        Ending of the file name without the dot, to be held against the content.

    Raises
    ------
    AudioError
        ``empty``, ``not-audio``, ``wrong-extension``, ``truncated`` (fewer samples than the container promises),
        ``corrupt`` (a frame cannot be decoded) or ``not-finite`` (NaN or infinite samples).
    """
    containers.check_container(data, extension)
    containers.check_complete(data)
    header, blocks = open_blocks(data)
    containers.check_promise(header.container, extension)
    n_samples, n_values, n_clipped, peak, energy = 0, 0, 0, 0.0, 0.0
    for x_TC in blocks:
        n_samples += len(x_TC)
        n_values += x_TC.size
        level_TC = np.abs(x_TC)
        peak = max(peak, float(level_TC.max()))
        if peak >= FULL_SCALE:
            n_clipped += int(np.count_nonzero(level_TC >= FULL_SCALE))
        energy += float(np.square(x_TC, dtype=np.float64).sum())
    if not np.isfinite(energy):
        raise AudioError("not-finite", "the recording holds NaN or infinite samples")
    if header.expected and n_samples < header.expected - header.sr // 10:
        found, promised = n_samples / header.sr, header.expected / header.sr
        raise AudioError("truncated", f"{found:.2f} s of {promised:.2f} s could be decoded")
    rms = np.sqrt(energy / max(1, n_values))
    return AudioFacts(
        header.container,
        header.codec,
        header.sr,
        header.channels,
        n_samples,
        _decibels(peak),
        _decibels(float(rms)),
        n_clipped / max(1, n_values),
    )


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
    resamplers: dict[Hertz, _Resampler] = {}
    pieces: dict[Hertz, list[np.ndarray]] = {sr: [] for sr in rates}
    header, blocks = open_blocks(data)
    for x_T in chain(_mono(blocks), [None]):
        for sr, found in pieces.items():
            resampler = resamplers.setdefault(sr, _Resampler(header.sr, sr))
            found.append(resampler(x_T))
    return {sr: np.concatenate(found) for sr, found in pieces.items()}


def stream(data: Encoded, *, sr: Hertz) -> Iterator[np.ndarray]:
    """Give what `decode` gives in pieces of float32, so that a recording of any length fits into memory."""
    header, blocks = open_blocks(data)
    resampler = _Resampler(header.sr, sr)
    for x_T in _mono(blocks):
        yield resampler(x_T)
    yield resampler(None)


def _mono(blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Mean of the channels, in blocks that are worth the calls that follow: some decoders give a thousand samples."""
    held: list[np.ndarray] = []
    n = 0
    for x_TC in blocks:
        # What is infinite here is found where the samples are used.
        with np.errstate(over="ignore", invalid="ignore"):
            held.append(_mean(x_TC))
        n += len(x_TC)
        if n >= BLOCK:
            yield np.concatenate(held)
            held, n = [], 0
    if held:
        yield np.concatenate(held)


def _mean(x_TC: np.ndarray) -> np.ndarray:
    """Mean over channels; numpy's own is slow where there are only one or two."""
    if x_TC.shape[1] == 1:
        return x_TC[:, 0]
    total_T = x_TC[:, 0] + x_TC[:, 1]
    for c in range(2, x_TC.shape[1]):
        total_T += x_TC[:, c]
    return total_T / np.float32(x_TC.shape[1])


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
    """Header and an iterator over blocks of shape (n, channels), float32."""
    header, blocks = _open_any(data)
    if not LOWEST_SR <= header.sr <= HIGHEST_SR:
        # Resampling from 1 Hz would make gigabytes out of a few bytes.
        raise AudioError("corrupt", f"the header claims a sampling rate of {header.sr} Hz")
    return header, blocks


def _open_any(data: Encoded) -> tuple[Header, Iterator[np.ndarray]]:
    if containers.sniff(data) in BY_PYAV:
        return _open_pyav(data)
    try:
        file = sf.SoundFile(opened(data))
    except sf.LibsndfileError:
        return _open_pyav(data)
    if file.frames >= NO_LENGTH or (file.format == "MP3" and not containers.mp3_states_length(data)):
        file.close()
        return _open_pyav(data)
    header = Header(file.format, file.subtype, Hertz(file.samplerate), file.channels, file.frames or None)
    return header, _blocks_soundfile(file)


def _blocks_soundfile(file: sf.SoundFile) -> Iterator[np.ndarray]:
    with file:
        while True:
            try:
                block = file.read(BLOCK, dtype="float32", always_2d=True)
            except sf.LibsndfileError as error:
                raise AudioError("corrupt", f"decoding stopped at sample {file.tell()}: {error}") from error
            if not len(block):
                return
            yield block


def _open_pyav(data: Encoded) -> tuple[Header, Iterator[np.ndarray]]:
    try:
        container = av.open(opened(data), mode="r", metadata_errors="ignore", options=OPTIONS)
        streams = container.streams.audio
    except (av.FFmpegError, ValueError) as error:
        raise AudioError("not-audio", "no decoder recognises the content") from error
    # FFmpeg lists streams of codecs that it cannot decode, too: they have no context.
    context = streams[0].codec_context if streams else None
    if context is None or not context.sample_rate:
        container.close()
        raise AudioError("not-audio", "there is no audio stream inside that can be decoded")
    name = container.format.name.split(",")[0].upper()
    sr = Hertz(context.sample_rate)
    header = Header(
        "MP4" if name == "MOV" else name,
        context.codec.canonical_name.upper(),
        sr,
        context.channels,
        None if name in GUESSED else _expected(container, streams[0], sr),
    )
    return header, _blocks_pyav(container, streams[0], sr, forgiving=name == "MP3")


def _expected(container: av.container.InputContainer, stream: av.AudioStream, sr: Hertz) -> int | None:
    if stream.duration and stream.time_base:
        return round(float(stream.duration * stream.time_base) * sr)
    return round(container.duration / av.time_base * sr) if container.duration else None


def _blocks_pyav(
    container: av.container.InputContainer, stream: av.AudioStream, sr: Hertz, *, forgiving: bool
) -> Iterator[np.ndarray]:
    """Decode packet by packet; `forgiving` passes over those that cannot be decoded, such as tags behind an MP3."""
    with closing(container):
        interleave = Interleaver()
        for packet in _reading(container.demux(stream)):
            try:
                frames = stream.decode(packet)
                if any(frame.sample_rate != sr for frame in frames):
                    raise AudioError("corrupt", f"the sampling rate changes from {sr} Hz on the way")
                blocks = [block_TC for frame in frames for block_TC in interleave(frame)]
            except av.InvalidDataError as error:
                if forgiving:
                    continue
                raise _stopped(error) from error
            except (av.FFmpegError, ValueError) as error:
                raise _stopped(error) from error
            yield from blocks


class Interleaver:
    """Frames to float32 of shape (n, channels); the number of channels may change on the way.

    Frames are interleaved by FFmpeg, since PyAV reads past the end of the planes of more than 8 channels.
    """

    def __init__(self) -> None:
        self._resamplers: dict[tuple[str, str], av.AudioResampler] = {}

    def __call__(self, frame: av.AudioFrame) -> Iterator[np.ndarray]:
        kind = frame.format.name, frame.layout.name
        if kind not in self._resamplers:
            self._resamplers[kind] = av.AudioResampler(format="flt")
        for part in self._resamplers[kind].resample(frame):
            if part.samples:
                yield part.to_ndarray().reshape(-1, part.layout.nb_channels)


def _reading(packets: Iterator[av.Packet]) -> Iterator[av.Packet]:
    try:
        yield from packets
    except av.FFmpegError as error:
        raise _stopped(error) from error


def _stopped(error: Exception) -> AudioError:
    return AudioError("corrupt", f"decoding stopped: {getattr(error, 'strerror', None) or error}")


def _decibels(amplitude: float) -> float:
    return float(20 * np.log10(amplitude)) if amplitude > 10 ** (FLOOR_DBFS / 20) else FLOOR_DBFS
