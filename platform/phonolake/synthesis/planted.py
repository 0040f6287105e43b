"""Planted effects in a corpus, so that the outcome of an experiment on it is known.

Tags that depend on each other and are wrong at a known rate; and a burst in every clip that is so much louder than the
music that a linear spectrogram shows nothing else, while one in decibels shows both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phonolake.errors import UsageError
from phonolake.records import Hertz

BURST_SECONDS, BURST_HERTZ, PEAK = 0.05, (300.0, 3_000.0), 0.9


@dataclass(frozen=True, slots=True)
class Planted:
    """Rates and levels of the planted effects.

    Parameters
    ----------
    missing : float
        Share of the true tags that are not given, in [0, 1).
    false : float
        Wrong tags that are given for each true one, in the mean, in [0, 1).
    together : float
        Share of the tracks with the first tag of a kind that have each of its others, in (0, 1].
    peaks : float
        Decibels by which a burst of 50 ms is louder than the music around it, 0 (none) to 60.

    Raises
    ------
    UsageError
        If a value is out of its range.
    """

    missing: float = 0.0
    false: float = 0.0
    together: float = 1.0
    peaks: float = 0.0

    def __post_init__(self) -> None:
        allowed = {
            "missing": (0 <= self.missing < 1, "at least 0 and below 1"),
            "false": (0 <= self.false < 1, "at least 0 and below 1"),
            "together": (0 < self.together <= 1, "above 0 and at most 1"),
            "peaks": (0 <= self.peaks <= 60, "0 to 60 dB"),
        }
        for name, (is_allowed, what) in allowed.items():
            if not is_allowed:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be {what}.")

    @property
    def about_tags(self) -> bool:
        """Whether tags are changed."""
        return (self.missing, self.false, self.together) != (0.0, 0.0, 1.0)


def tags(
    kind: Sequence[str], pool: Sequence[str], planted: Planted, *, seed: int, number: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """True and given tags of the clip of this number, whose kind has these tags, out of the pool of all.

    More noise keeps the wrong tags of less noise.
    """
    if not planted.about_tags:
        return tuple(kind), tuple(kind)
    rng = np.random.default_rng([seed, number, 41])
    with_it, dropped, added = rng.random(len(kind)), rng.random(len(kind)), rng.random(len(pool))
    true = tuple(tag for n, tag in enumerate(kind) if n == 0 or with_it[n] < planted.together)
    kept = tuple(tag for n, tag in enumerate(kind) if tag in true and dropped[n] >= planted.missing)
    rate = planted.false * len(true) / max(len(pool) - len(true), 1)
    wrong = tuple(tag for n, tag in enumerate(pool) if tag not in true and added[n] < rate)
    return true, kept + wrong


def with_burst(samples: np.ndarray, sr: Hertz, decibels: float, rng: np.random.Generator) -> np.ndarray:
    """The samples, lowered, with a tone burst somewhere that is so much louder than they are; float32."""
    n = min(len(samples), max(1, round(BURST_SECONDS * sr)))
    place = int(rng.integers(0, len(samples) - n + 1))
    hertz = rng.uniform(BURST_HERTZ[0], min(BURST_HERTZ[1], 0.4 * sr))
    burst = PEAK * np.hanning(n) * np.sin(2 * np.pi * hertz * np.arange(n) / sr)
    loudness = float(np.sqrt(np.mean(np.square(samples)))) or 1.0
    lowered = samples * (np.sqrt(np.mean(burst**2)) * 10 ** (-decibels / 20) / loudness)
    lowered[place : place + n] += burst
    return np.clip(lowered, -1, 1).astype(np.float32)
