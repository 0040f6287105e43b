"""Levels of a recording: loudness, clipping, and the level of its mono mix.

Shape suffixes: T samples, C channels.
"""

import numpy as np

# Eight steps of 16 bits below 1, because encoders change clipped samples slightly.
FULL_SCALE = 1 - 2**-12
# Floating-point samples may exceed 1; clipped ones do not.
CUT_OFF = 1 + 2**-12
# Values that are squared at once: few enough to stay in a processor's cache.
AT_ONCE = 1 << 14
# A longer peak belongs to a low sound, such as a bass drum with intended saturation.
LONGEST_TOP_SECONDS = 0.0015
FLOOR_DBFS = -200.0


class Levels:
    """Levels over all blocks of a recording.

    Parameters
    ----------
    sr : int
        Sampling rate in hertz.
    floating : bool
        Whether the samples are stored as floating-point numbers, of which those well above 1 are no damage.
    """

    def __init__(self, sr: int, *, floating: bool = False) -> None:
        self.sr = sr
        self.n_samples = 0
        self._longest = LONGEST_TOP_SECONDS * sr
        self._most = CUT_OFF if floating else np.inf
        self._n_values, self._n_clipped, self._peak, self._energy, self._mix_energy = 0, 0, 0.0, 0.0, 0.0

    def add(self, x_TC: np.ndarray, mean_T: np.ndarray) -> None:
        """Take in a block of shape (n, channels), float32, at least one sample long, and the mean of its channels."""
        self.n_samples += len(x_TC)
        self._n_values += x_TC.size
        peak = max(float(x_TC.max()), -float(x_TC.min()))
        self._peak = max(self._peak, peak)
        if peak >= FULL_SCALE:
            self._n_clipped += sum(self._clipped(x_TC[:, c]) for c in range(x_TC.shape[1]))
        energy = _energy(np.ascontiguousarray(x_TC).reshape(-1))
        self._energy += energy
        self._mix_energy += energy if x_TC.shape[1] == 1 else _energy(mean_T) * x_TC.shape[1]

    def _clipped(self, x_T: np.ndarray) -> int:
        """Samples of a channel that are at full scale, but for those of long tops."""
        n = 0
        for at_T in (x_T >= FULL_SCALE, x_T <= -FULL_SCALE):
            # Only few samples are so loud, so work with their positions.
            places = np.flatnonzero(at_T)
            if self._most < np.inf:
                places = places[np.abs(x_T[places]) <= self._most]
            first = np.flatnonzero(np.diff(places, prepend=-2) > 1)
            tops = np.diff(first, append=len(places))
            n += int(tops[tops <= self._longest].sum())
        return n

    @property
    def is_finite(self) -> bool:
        """Whether all samples were numbers."""
        return bool(np.isfinite(self._energy))

    @property
    def clipped(self) -> float:
        """Share of samples at full scale in tops of at most 1.5 ms, in [0, 1]."""
        return self._n_clipped / max(1, self._n_values)

    @property
    def peak_dbfs(self) -> float:
        """Loudest sample of any channel in dB relative to full scale."""
        return decibels(self._peak)

    @property
    def rms_dbfs(self) -> float:
        """Root mean square over all channels, in dB relative to full scale."""
        return decibels(float(np.sqrt(self._energy / max(1, self._n_values))))

    @property
    def mix_dbfs(self) -> float:
        """Root mean square of the mean of the channels, in dB relative to full scale."""
        return decibels(float(np.sqrt(self._mix_energy / max(1, self._n_values))))


def _energy(x_N: np.ndarray) -> float:
    """The sum of squares, in double precision."""
    total, piece = 0.0, np.empty(AT_ONCE)
    for start in range(0, len(x_N), AT_ONCE):
        part = x_N[start : start + AT_ONCE]
        # A dot product needs no memory for the squares.
        held = piece[: len(part)]
        held[:] = part
        total += float(np.dot(held, held))
    return total


def decibels(amplitude: float) -> float:
    """An amplitude in dB relative to 1; -200 for silence."""
    return float(20 * np.log10(amplitude)) if amplitude > 10 ** (FLOOR_DBFS / 20) else FLOOR_DBFS
