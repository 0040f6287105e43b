"""Augmentation of a recording: crops, pitch, tempo, gain and noise.

All take and give mono float32 of shape (n,). Random values come from a generator of the caller, such as that of
`phonolake.seeds.track_rng`, so that a run can be repeated.
"""

from dataclasses import dataclass

import numpy as np

from phonolake.errors import UsageError
from phonolake.records import Hertz
from phonolake.seeds import track_rng


def crop(y: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Cut `n` samples at a random place; a recording that is shorter is repeated from its beginning."""
    if n < 1 or not len(y):
        raise UsageError(f"a crop has at least 1 sample, of a recording that has some; received {n} of {len(y)}")
    if len(y) < n:
        return np.resize(y, n)
    start = int(rng.integers(len(y) - n + 1))
    return y[start : start + n]


def pitch_shift(y: np.ndarray, *, sr: int, semitones: float) -> np.ndarray:
    """Move all frequencies by a number of semitones; the length stays."""
    if not semitones:
        return y
    from librosa.effects import pitch_shift as shift  # a second to import

    return shift(y, sr=sr, n_steps=semitones).astype(np.float32)


def time_stretch(y: np.ndarray, *, rate: float) -> np.ndarray:
    """Play `rate` times as fast at the same pitch (a phase vocoder): round(n / rate) samples."""
    if not rate > 0:
        raise UsageError(f"rate is a factor of speed above 0; received {rate}")
    if rate == 1.0:
        return y
    from librosa.effects import time_stretch as stretch

    return stretch(y, rate=rate).astype(np.float32)


def gain(y: np.ndarray, *, decibels: float) -> np.ndarray:
    """Make it louder by a number of decibels, or softer."""
    return y * np.float32(10 ** (decibels / 20))


def add_noise(y: np.ndarray, *, snr_db: float, rng: np.random.Generator) -> np.ndarray:
    """Add white noise `snr_db` decibels below the root mean square of the recording; silence stays silent."""
    level = np.sqrt(np.mean(np.square(y, dtype=np.float64))) if len(y) else 0.0
    noise = rng.standard_normal(len(y), dtype=np.float32)
    return y + noise * np.float32(level * 10 ** (-snr_db / 20))


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Ranges of uniformly drawn changes; the default changes nothing.

    Parameters
    ----------
    semitones : (float, float)
        Pitch, up or down.
    rate : (float, float)
        Factor of speed.
    gain_db : (float, float)
        Gain in decibels.
    snr_db : (float, float), optional
        Noise below the signal, in decibels; none by default.
    n : int, optional
        Length of the final crop in samples, all by default.
    """

    semitones: tuple[float, float] = (0.0, 0.0)
    rate: tuple[float, float] = (1.0, 1.0)
    gain_db: tuple[float, float] = (0.0, 0.0)
    snr_db: tuple[float, float] | None = None
    n: int | None = None

    def __post_init__(self) -> None:
        for name in ("semitones", "rate", "gain_db", "snr_db"):
            bounds = getattr(self, name)
            if bounds is not None and not (len(bounds) == 2 and bounds[0] <= bounds[1]):
                raise UsageError(f"{name} is a range (low, high); received {bounds}")
        if self.rate[0] <= 0:
            raise UsageError(f"rate is a range of factors above 0; received {self.rate}")

    def take(self, y: np.ndarray, *, sr: Hertz, track_id: str, epoch: int, seed: int = 0) -> np.ndarray:
        """The augmented track for an epoch, always the same one."""
        rng = track_rng(seed, epoch, track_id, "augment")
        # All are drawn, also those that change nothing: the chance of one does not hang on the ranges of another.
        semitones, rate, decibels, snr, place = (float(x) for x in rng.random(5))
        y = pitch_shift(y, sr=sr, semitones=_within(self.semitones, semitones))
        y = time_stretch(y, rate=_within(self.rate, rate))
        y = gain(y, decibels=_within(self.gain_db, decibels))
        if self.snr_db is not None:
            y = add_noise(y, snr_db=_within(self.snr_db, snr), rng=rng)
        return y if self.n is None else crop(y, self.n, np.random.default_rng(int(place * 2**53)))


def _within(bounds: tuple[float, float], share: float) -> float:
    return bounds[0] + share * (bounds[1] - bounds[0])
