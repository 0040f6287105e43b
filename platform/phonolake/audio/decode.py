"""Decode audio from bytes in memory, block by block, so that memory does not grow with the length of a recording.

libsndfile (soundfile) reads WAV, FLAC, Ogg, MP3, AIFF and AU; PyAV reads the rest (m4a, wma, webm). Channels are
averaged: FFmpeg's own down-mix to mono is 3 dB louder.
"""

import io
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import av
import numpy as np
import soundfile as sf
import soxr

from phonolake.audio import containers
from phonolake.errors import AudioError
from phonolake.records import Hertz, Seconds

BLOCK = 1 << 18
BY_PYAV = {"MP4", "ASF", "MATROSKA", "AAC"}
FLOOR_DBFS = -200.0


@dataclass(frozen=True, slots=True)
class AudioFacts:
    """What decoding a recording to its end showed.

    Levels are in dB relative to full scale over all channels; digital silence is -200.
    """

    container: str
    codec: str
    sr: Hertz
    channels: int
    n_samples: int
    peak_dbfs: float
    rms_dbfs: float

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


def probe(data: bytes, *, extension: str = "") -> AudioFacts:
    """Decode a whole recording and measure it.

    Parameters
    ----------
    data : bytes
        The file as received.
    extension : str
        Ending of the file name without the dot, to be held against the content.

    Raises
    ------
    AudioError
        ``empty``, ``not-audio``, ``wrong-extension``, ``truncated`` (fewer samples than the container promises),
        ``corrupt`` (a frame cannot be decoded) or ``not-finite`` (NaN or infinite samples).
    """
    containers.check_container(data, extension)
    if containers.sniff(data) == "WAV":
        containers.check_riff_length(data)
    if containers.sniff(data) == "OGG":
        containers.check_ogg_ends(data)
    header, blocks = _open(data)
    n_samples, peak, energy = 0, 0.0, 0.0
    for x_TC in blocks:
        n_samples += len(x_TC)
        peak = max(peak, float(np.abs(x_TC).max()))
        energy += float(np.square(x_TC, dtype=np.float64).sum())
    if not np.isfinite(energy):
        raise AudioError("not-finite", "the recording holds NaN or infinite samples")
    if header.expected and n_samples < header.expected - header.sr // 10:
        found, promised = n_samples / header.sr, header.expected / header.sr
        raise AudioError("truncated", f"{found:.2f} s of {promised:.2f} s could be decoded")
    rms = np.sqrt(energy / max(1, n_samples * header.channels))
    return AudioFacts(
        header.container, header.codec, header.sr, header.channels, n_samples, _decibels(peak), _decibels(float(rms))
    )


def decode(data: bytes, *, sr: Hertz) -> np.ndarray:
    """Decode to mono at a sampling rate.

    Parameters
    ----------
    data : bytes
        The file as received.
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
    header, blocks = _open(data)
    mono = (x_TC.mean(axis=1, dtype=np.float32) for x_TC in blocks)
    if header.sr == sr:
        pieces = list(mono)
    else:
        stream = soxr.ResampleStream(header.sr, sr, 1, dtype="float32", quality="HQ")
        pieces = [stream.resample_chunk(x_T) for x_T in mono]
        pieces.append(stream.resample_chunk(np.zeros(0, np.float32), last=True))
    return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)


def _open(data: bytes) -> tuple[Header, Iterator[np.ndarray]]:
    """Header and an iterator over blocks of shape (n, channels), float32."""
    if containers.sniff(data) in BY_PYAV:
        return _open_pyav(data)
    try:
        file = sf.SoundFile(io.BytesIO(data))
    except sf.LibsndfileError:
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


def _open_pyav(data: bytes) -> tuple[Header, Iterator[np.ndarray]]:
    try:
        container = av.open(io.BytesIO(data), mode="r", metadata_errors="ignore")
        streams = container.streams.audio
    except (av.FFmpegError, ValueError) as error:
        raise AudioError("not-audio", "no decoder recognises the content") from error
    if not streams or not streams[0].codec_context.sample_rate:
        container.close()
        raise AudioError("not-audio", "there is no audio stream inside")
    stream = streams[0]
    sr = Hertz(stream.codec_context.sample_rate)
    seconds = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None
    header = Header(
        container.format.name.split(",")[0].upper(),
        stream.codec_context.name.upper(),
        sr,
        stream.codec_context.channels,
        None if seconds is None else round(seconds * sr),
    )
    return header, _blocks_pyav(container, stream)


def _blocks_pyav(container: av.container.InputContainer, stream: av.AudioStream) -> Iterator[np.ndarray]:
    with closing(container):
        resampler = av.AudioResampler(format="fltp")
        try:
            for frame in container.decode(stream):
                for planar in resampler.resample(frame):
                    yield planar.to_ndarray().T
        except av.FFmpegError as error:
            raise AudioError("corrupt", f"decoding stopped: {error.strerror}") from error


def _decibels(amplitude: float) -> float:
    return float(20 * np.log10(amplitude)) if amplitude > 10 ** (FLOOR_DBFS / 20) else FLOOR_DBFS
