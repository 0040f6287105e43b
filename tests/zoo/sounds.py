"""Recordings whose every second has a tone of its own, in files of every kind, and what FFmpeg makes of files."""

import io
from collections.abc import Iterator
from functools import lru_cache

import av
import numpy as np
import soundfile as sf

# FFmpeg's names of a format and a codec, by the ending of the file's name.
FFMPEG = {
    "aac": ("adts", "aac"),
    "m4a": ("ipod", "aac"),
    "m4b": ("ipod", "aac"),
    "alac": ("ipod", "alac"),
    "wma": ("asf", "wmav2"),
    "webm": ("webm", "libopus"),
    "mka": ("matroska", "aac"),
    "ac3": ("ac3", "ac3"),
    "eac3": ("eac3", "eac3"),
    "wv": ("wv", "wavpack"),
    "tta": ("tta", "tta"),
    "opus": ("ogg", "libopus"),
    "oggflac": ("ogg", "flac"),
    "mp2": ("mp2", "mp2"),
    "mp3": ("mp3", "libmp3lame"),
    "mp3-bare": ("mp3", "libmp3lame"),
    "caf-alac": ("caf", "alac"),
    "wav-mp3": ("wav", "libmp3lame"),
    "wav-adpcm": ("wav", "adpcm_ms"),
}
SNDFILE = {
    "wav": ("WAV", "PCM_16"),
    "wav-float": ("WAV", "FLOAT"),
    "rf64": ("RF64", "PCM_16"),
    "w64": ("W64", "PCM_16"),
    "aiff": ("AIFF", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
}
# Endings that others than the kind's own first part have.
ENDINGS = {"alac": "m4a", "oggflac": "oga", "rf64": "wav"}
LOWEST, STEP = 400, 150


def ending(kind: str) -> str:
    """Ending of the name of a file of some kind."""
    return ENDINGS.get(kind, kind.partition("-")[0])


def tones(seconds: int, *, first: int = 0, sr: int = 44_100, channels: int = 2) -> np.ndarray:
    """Second k is a tone of 400 + 150 (first + k) Hz: no part can be missing, and none come twice, unnoticed."""
    t = np.arange(sr) / sr
    pieces = [0.4 * np.sin(2 * np.pi * (LOWEST + STEP * (first + k)) * t) for k in range(seconds)]
    x_T = np.concatenate(pieces).astype(np.float32)
    return np.stack([x_T * (1 - 0.2 * c) for c in range(channels)], axis=1)


@lru_cache(maxsize=200)
def encoded(kind: str, seconds: int = 2, *, first: int = 0, sr: int = 44_100, channels: int = 2) -> bytes:
    """The tones as a file of some kind."""
    x_TC = tones(seconds, first=first, sr=sr, channels=channels)
    buffer = io.BytesIO()
    if kind in SNDFILE:
        format_, subtype = SNDFILE[kind]
        # libsndfile overflows its stack when it is handed much Vorbis at once.
        with sf.SoundFile(buffer, "w", sr, channels, format=format_, subtype=subtype) as file:
            for start in range(0, len(x_TC), 4096):
                file.write(x_TC[start : start + 4096])
        return buffer.getvalue()
    format_, codec = FFMPEG[kind]
    options = {"write_xing": "0", "id3v2_version": "0"} if kind == "mp3-bare" else {}
    with av.open(buffer, "w", format=format_, options=options) as container:
        stream = container.add_stream(codec, rate=sr, layout={1: "mono", 2: "stereo"}[channels])
        if codec not in ("alac", "wavpack", "tta", "flac", "adpcm_ms"):
            stream.bit_rate = 128_000
        for part in _frames(x_TC, sr, stream):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def _frames(x_TC: np.ndarray, sr: int, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
    layout = stream.layout.name
    resampler = av.AudioResampler(
        format=stream.format.name, layout=layout, rate=sr, frame_size=stream.frame_size or 4096
    )
    for start in range(0, len(x_TC), 4096):
        interleaved = np.ascontiguousarray(x_TC[start : start + 4096]).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(interleaved, format="flt", layout=layout)
        frame.sample_rate, frame.pts = sr, start
        yield from resampler.resample(frame)
    yield from resampler.resample(None)


def by_ffmpeg(data: bytes) -> float | None:
    """Seconds that FFmpeg decodes of a file, whatever fails on the way; None where it opens nothing."""
    try:
        with av.open(io.BytesIO(data), metadata_errors="ignore") as container:
            stream = container.streams.audio[0]
            seconds = 0.0
            for packet in container.demux(stream):
                try:
                    seconds += sum(frame.samples / frame.sample_rate for frame in stream.decode(packet))
                except av.FFmpegError:
                    continue
            return seconds
    except (av.FFmpegError, IndexError, ValueError):
        return None


def heard(y_T: np.ndarray, sr: int, n: int) -> list[int]:
    """Which tone sounds in the middle of each of n equal parts."""
    found = []
    for k in range(n):
        middle = int((k + 0.5) * len(y_T) / n)
        part_T = y_T[max(0, middle - sr // 8) : middle + sr // 8]
        spectrum = np.abs(np.fft.rfft(part_T * np.hanning(len(part_T))))
        hertz = float(np.argmax(spectrum)) * sr / max(1, len(part_T))
        found.append(round((hertz - LOWEST) / STEP))
    return found
