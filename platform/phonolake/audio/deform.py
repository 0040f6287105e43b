"""Deformations of a recording for robustness tests, each in one strength.

All take and return mono float32 of shape (n,), and draw only from the given generator.
"""

import io
from collections.abc import Callable

import av
import numpy as np
import soxr

from phonolake.audio.augment import add_noise, gain
from phonolake.audio.decode import decode
from phonolake.records import Hertz

GAIN_DB, SNR_DB, CUT_OFF, FASTER = -10.0, 20.0, 4_000, 1.01
MP3_BITS, MP3_SR = 64_000, Hertz(44_100)
# Of the beginning: seconds, at most this share.
TRIMMED_SECONDS, TRIMMED_SHARE = 0.5, 0.1

Deformation = Callable[[np.ndarray, Hertz, np.random.Generator], np.ndarray]


def softer(y: np.ndarray, sr: Hertz, rng: np.random.Generator) -> np.ndarray:
    """Ten decibels softer."""
    return gain(y, decibels=GAIN_DB)


def noisy(y: np.ndarray, sr: Hertz, rng: np.random.Generator) -> np.ndarray:
    """White noise twenty decibels below the recording."""
    return add_noise(y, snr_db=SNR_DB, rng=rng)


def low_passed(y: np.ndarray, sr: Hertz, rng: np.random.Generator) -> np.ndarray:
    """Nothing above 4 kHz: through twice that sampling rate and back."""
    if sr <= 2 * CUT_OFF:
        return y
    return _as_long(soxr.resample(soxr.resample(y, sr, 2 * CUT_OFF), 2 * CUT_OFF, sr), len(y))


def higher(y: np.ndarray, sr: Hertz, rng: np.random.Generator) -> np.ndarray:
    """Played one per cent faster, and so one per cent higher."""
    return np.asarray(soxr.resample(y, sr * FASTER, sr), np.float32)


def trimmed(y: np.ndarray, sr: Hertz, rng: np.random.Generator) -> np.ndarray:
    """Without its first half second, or tenth if that is less."""
    return y[min(int(TRIMMED_SECONDS * sr), int(TRIMMED_SHARE * len(y))) :]


def mp3(y: np.ndarray, sr: Hertz, rng: np.random.Generator) -> np.ndarray:
    """Through an MP3 of 64 kbit/s and back; including the encoder's delay."""
    file = io.BytesIO()
    at_44100 = np.asarray(soxr.resample(y, sr, MP3_SR), np.float32)
    with av.open(file, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=MP3_SR, layout="mono", format="fltp")
        stream.bit_rate = MP3_BITS
        frame = av.AudioFrame.from_ndarray(at_44100[None], format="fltp", layout="mono")
        frame.sample_rate = MP3_SR
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return decode(file.getvalue(), sr=sr)


# By the names that tables have for them.
DEFORMATIONS: dict[str, Deformation] = {
    "gain": softer,
    "mp3": mp3,
    "noise": noisy,
    "low-pass": low_passed,
    "pitch": higher,
    "trim": trimmed,
}


def _as_long(y: np.ndarray, n: int) -> np.ndarray:
    found: np.ndarray = np.zeros(n, np.float32)
    found[: min(n, len(y))] = y[:n]
    return found
