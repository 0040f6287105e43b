"""Read some seconds of a remote stream, without downloading the rest.

PyAV's FFmpeg seeks in a stream over HTTP by byte ranges, as yt-dlp does for sections with an ffmpeg program. Servers
that close connections or do not support ranges may confuse it; then a whole download is cut in the same way.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
import soundfile as sf

from phonolake.audio import samples
from phonolake.audio.ffmpeg import OPTIONS, Interleaver
from phonolake.errors import AudioError
from phonolake.records import Hertz, Seconds

# Without one lasting connection FFmpeg loses its place in short files.
STREAMING = {"protocol_whitelist": "http,https,httpproxy,tcp,tls,crypto", "multiple_requests": "1"}
STATUS = {
    av.error.HTTPUnauthorizedError: 401,
    av.error.HTTPForbiddenError: 403,
    av.error.HTTPNotFoundError: 404,
    av.error.HTTPTooManyRequestsError: 429,
    av.error.HTTPServerError: 500,
}


class StreamError(Exception):
    """A stream that could not be read to the end of what was wanted; `status` is the server's HTTP status, if any."""

    def __init__(self, detail: str, status: int | None = None) -> None:
        super().__init__(detail)
        self.status = status


@dataclass(frozen=True, slots=True)
class Cut:
    """Samples of shape (n, channels), float32, and their sampling rate."""

    x_TC: np.ndarray  # noqa: N815
    sr: Hertz

    @property
    def duration(self) -> Seconds:
        return Seconds(len(self.x_TC) / self.sr)


def read_seconds(
    source: str | BinaryIO,
    *,
    start: Seconds,
    end: Seconds,
    headers: Mapping[str, str] | None = None,
    timeout: float = 30.0,
) -> Cut:
    """Decode the audio of a stream from `start` up to `end`.

    Parameters
    ----------
    source : str or file
        An http or https address (FFmpeg opens nothing else), or an open file.
    start, end : Seconds
        Counted from the stream's own beginning.
    headers : mapping, optional
        HTTP headers of the request.
    timeout : float
        Seconds without a byte after which reading ends.

    Returns
    -------
    Cut
        Shorter than wanted where the recording ends before `end`.

    Raises
    ------
    StreamError
        When the server refuses, or the connection fails or ends before the recording does.
    AudioError
        ``not-audio`` or ``corrupt``, when what comes cannot be decoded.
    """
    options = OPTIONS if not isinstance(source, str) else STREAMING | {"rw_timeout": str(int(timeout * 1e6))}
    if headers:
        options = options | {"headers": "".join(f"{name}: {value}\r\n" for name, value in headers.items())}
    try:
        container = av.open(source, mode="r", options=options, timeout=(timeout, timeout), metadata_errors="ignore")
    except (av.FFmpegError, ValueError) as error:
        raise _understood(error) from error
    with closing(container):
        if not container.streams.audio:
            raise AudioError("not-audio", "there is no audio stream inside")
        stream = container.streams.audio[0]
        sr = Hertz(stream.codec_context.sample_rate)
        try:
            pieces = list(_pieces(container, stream, sr, float(start), float(end)))
        except (av.FFmpegError, ValueError) as error:
            raise _understood(error) from error
        channels = stream.codec_context.channels
        x_TC = np.concatenate(pieces) if pieces else np.zeros((0, channels), np.float32)
        known_end = _end_of(container, stream)
    reached = float(start) + len(x_TC) / sr
    if known_end is not None and reached < min(float(end), known_end) - 0.25:
        raise StreamError(f"the stream ended at {reached:.2f} s, and the recording lasts {known_end:.2f} s")
    return Cut(x_TC, sr)


def _pieces(
    container: av.container.InputContainer, stream: av.AudioStream, sr: Hertz, start: float, end: float
) -> Iterator[np.ndarray]:
    base = stream.time_base
    assert base is not None
    origin = float((stream.start_time or 0) * base)
    if start > 0:
        container.seek(int((origin + start) / float(base)), stream=stream, backward=True)
    interleave = Interleaver()
    for frame in container.decode(stream):
        if frame.sample_rate != sr:
            raise AudioError("corrupt", f"the sampling rate changes from {sr} Hz on the way")
        first = round(((frame.time if frame.time is not None else 0.0) - origin) * sr)
        if first >= round(end * sr):
            return
        for part_TC in interleave(frame):
            low, high = max(0, round(start * sr) - first), min(len(part_TC), round(end * sr) - first)
            if high > low:
                yield part_TC[low:high]
            first += len(part_TC)


def _end_of(container: av.container.InputContainer, stream: av.AudioStream) -> float | None:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None


def _understood(error: Exception) -> Exception:
    for kind, status in STATUS.items():
        if isinstance(error, kind):
            return StreamError(f"HTTP {status}", status)
    said = getattr(error, "strerror", None) or str(error)
    if isinstance(error, av.error.InvalidDataError):
        return AudioError("not-audio", f"FFmpeg cannot read it: {said}")
    return StreamError(f"{type(error).__name__}: {said}")


def write_flac(cut: Cut, path: Path) -> str:
    """Write 16-bit FLAC; returns the SHA-256 of its rate, channels and samples, the same as `samples.digest` gives."""
    x_TC = np.round(np.clip(cut.x_TC, -1.0, 1 - 2**-15) * 2**15).astype(np.int16)
    sf.write(path, x_TC, cut.sr, format="FLAC", subtype="PCM_16")
    return samples.digest_of(cut.sr, [x_TC.astype(np.float32) / 2**15])
