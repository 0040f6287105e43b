"""Six kinds of unusable files in a collection, each as the bytes to store."""

import io
from collections.abc import Callable

import numpy as np
import soundfile as sf

from phonolake.errors import unknown
from phonolake.records import Hertz

KINDS = ("empty", "truncated", "text", "wrong-extension", "silent", "too-short")
KEPT = 0.4  # fraction of a truncated file that arrived
TOO_SHORT = 0.05  # seconds
NOT_FOUND = b"""<!DOCTYPE html>
<html>
<head><title>404 Not Found</title></head>
<body><h1>Not Found</h1><p>The requested file was not found on this server.</p></body>
</html>
"""


def damage(kind: str, samples: np.ndarray, sr: Hertz, encode: Callable[[np.ndarray, Hertz], bytes]) -> bytes:
    """Make the bytes of a broken file that claims to be an MP3.

    Parameters
    ----------
    kind : str
        One of `KINDS`: ``empty`` (no byte), ``truncated`` (the download stopped: the header promises more frames than
        there are), ``text`` (a server's error page), ``wrong-extension`` (a sound RIFF/WAVE file), ``silent`` (a sound
        MP3 of zeros, as long as `samples`), ``too-short`` (a sound MP3 of 0.05 s).
    samples : np.ndarray, shape (n,), float32
        The recording as it should have been, mono, within [-1, 1].
    sr : Hertz
        Its sampling rate.
    encode : callable
        Makes an MP3 of samples and their rate.

    Raises
    ------
    UsageError
        If the kind is unknown.
    """
    match kind:
        case "empty":
            return b""
        case "truncated":
            whole = encode(samples, sr)
            return whole[: int(KEPT * len(whole))]
        case "text":
            return NOT_FOUND
        case "wrong-extension":
            buffer = io.BytesIO()
            sf.write(buffer, samples, sr, format="WAV", subtype="PCM_16")
            return buffer.getvalue()
        case "silent":
            return encode(np.zeros_like(samples), sr)
        case "too-short":
            return encode(samples[: round(TOO_SHORT * sr)], sr)
        case _:
            raise unknown("damage", kind, KINDS)
