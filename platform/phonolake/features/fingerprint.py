"""Sub-fingerprints that stay the same when a recording is encoded again, made louder or shifted a little [1]_.

Each frame of 0.37 s becomes 32 bits, one every 11.6 ms: whether the difference of the energies of two neighbouring
bands grew since the frame before. Signs of differences do not change with the gain, and neighbouring frames share
31 / 32 of their samples, so that a shift by part of a hop changes few of them.

References
----------
.. [1] J. Haitsma, T. Kalker, "A Highly Robust Audio Fingerprinting System", ISMIR 2002.
"""

from collections.abc import Sequence

import numpy as np

from phonolake.records import Hertz

VERSION = 2
SR = Hertz(5512)
N_FFT, HOP = 2048, 64
FRAMES_PER_SECOND = SR / HOP
# 33 bands from 300 to 2,000 Hz, equal on a logarithmic scale, give 32 differences.
N_BITS = 32
FMIN, FMAX = 300.0, 2000.0
# Frames this far below the loudest one count as silence: their bits are noise that every encoder changes.
FLOOR_DB = 50.0
QUIETEST = 1e-9
FRAMES_AT_ONCE = 1024
# Copies that play a little faster or slower agree in few whole sub-fingerprints, as their bands lie elsewhere. They are
# found by those of other speeds, of which every fourth will do.
SPEEDS, EVERY = (0.99, 1.01), 4
# Stands where there is nothing to compare; no frame of sound gets it.
NOTHING = 0


def sub_fingerprints(y: np.ndarray) -> np.ndarray:
    """Compute the sub-fingerprints of a recording.

    Parameters
    ----------
    y : np.ndarray of float32, shape (n,)
        Audio at `SR`, in any scale.

    Returns
    -------
    np.ndarray of uint32, shape (max(0, (n - 2048) // 64),)
        One value for each frame after the first; `NOTHING` (0) in silence.
    """
    return at_speeds(y, (1.0,))[1.0]


def at_speeds(y: np.ndarray, speeds: Sequence[float] = (1.0, *SPEEDS)) -> dict[float, np.ndarray]:
    """Compute the sub-fingerprints of a recording at other playback speeds.

    Bands and frames are then shifted; both are computed from the original spectra, with interpolation between frames.

    Parameters
    ----------
    y : np.ndarray of float32, shape (n,)
        Audio at `SR`, in any scale.
    speeds : sequence of float
        Above 1 it is faster, and shorter.

    Returns
    -------
    dict of np.ndarray of uint32
        By the speed; at 1 one for each frame after the first, else one for every fourth.
    """
    y = np.asarray(y, np.float32)
    n_frames = 1 + (len(y) - N_FFT) // HOP
    strands = [_Strand(speed, 1 if speed == 1 else EVERY, max(0, n_frames)) for speed in speeds]
    frames = np.lib.stride_tricks.sliding_window_view(y, N_FFT)[::HOP] if n_frames > 1 else np.empty((0, N_FFT))
    window = np.hanning(N_FFT + 1)[:-1].astype(np.float32)
    for start in range(0, n_frames if n_frames > 1 else 0, FRAMES_AT_ONCE):
        spectrum = np.fft.rfft(frames[start : start + FRAMES_AT_ONCE] * window, axis=1)
        power_TF = spectrum.real.astype(np.float64) ** 2 + spectrum.imag.astype(np.float64) ** 2
        for strand in strands:
            strand.add(power_TF)
    return {strand.speed: strand.words() for strand in strands}


class _Strand:
    """The sub-fingerprints at one speed, as the spectra of a recording come in."""

    def __init__(self, speed: float, every: int, n_frames: int) -> None:
        self.speed, self._every, self._n_frames = speed, every, n_frames
        edges = FMIN * (FMAX / FMIN) ** (np.arange(N_BITS + 2) / (N_BITS + 1)) / speed
        self._bins = np.round(edges * N_FFT / SR).astype(int)
        # Frames at this speed, from the second on, for which there are two frames as it is.
        self._at = np.arange(1, max(1, int((n_frames - 1) / speed) + 1), every)
        self._value, self._loud = np.empty(len(self._at), np.uint32), np.empty((len(self._at), 2))
        self._done, self._first, self._loudest = 0, 0, 0.0
        self._energy_TB = np.empty((0, N_BITS + 1))

    def add(self, power_TF: np.ndarray) -> None:
        """Take the power spectra of the next frames."""
        energy_TB = np.add.reduceat(power_TF[:, : self._bins[-1]], self._bins[:-1], axis=1)
        self._energy_TB = np.concatenate([self._energy_TB, energy_TB])
        loud_T = self._energy_TB.sum(axis=1)
        self._loudest = max(self._loudest, float(loud_T.max()))
        last = self._first + len(self._energy_TB) - 1
        stop = int(np.searchsorted(self._at * self.speed, last, side="right"))
        at = self._at[self._done : stop]
        now_TB, before_TB = self._between(at), self._between(at - 1)
        step_TB = (now_TB[:, :-1] - now_TB[:, 1:]) - (before_TB[:, :-1] - before_TB[:, 1:])
        weights = np.uint32(1) << np.arange(N_BITS - 1, -1, -1, dtype=np.uint32)
        self._value[self._done : stop] = ((step_TB > 0) * weights).sum(axis=1, dtype=np.uint32)
        self._loud[self._done : stop] = np.stack([now_TB.sum(axis=1), before_TB.sum(axis=1)], axis=1)
        self._done = stop
        # What later ones lie between, with the frame before.
        kept = min(len(self._energy_TB), 2 * self._every)
        self._energy_TB, self._first = self._energy_TB[-kept:], self._first + len(self._energy_TB) - kept

    def _between(self, at: np.ndarray) -> np.ndarray:
        """Energies at frames of this speed."""
        place = at * self.speed - self._first
        low = np.minimum(place.astype(int), len(self._energy_TB) - 1)
        share = (place - low)[:, None]
        if not share.any():
            return self._energy_TB[low]
        return (1 - share) * self._energy_TB[low] + share * self._energy_TB[
            np.minimum(low + 1, len(self._energy_TB) - 1)
        ]

    def words(self) -> np.ndarray:
        """All of them, `NOTHING` in silence."""
        value, loud = self._value[: self._done], self._loud[: self._done]
        sounds = (loud > max(self._loudest * 10 ** (-FLOOR_DB / 10), QUIETEST)).all(axis=1)
        # One in four thousand million frames of sound has only 0 bits: it gets a neighbouring pattern.
        value[value == NOTHING] = 1
        return np.where(sounds, value, np.uint32(NOTHING))


def compare(a: np.ndarray, b: np.ndarray, offset: int, speed: float = 1.0) -> tuple[float, int]:
    """Compare two recordings.

    Parameters
    ----------
    a, b : np.ndarray of uint32
        Sub-fingerprints.
    offset : int
        Frame of `a` that is aligned with the first frame of `b`; negative if `b` begins earlier.
    speed : float
        How many times faster `b` has to be played to sound like `a`.

    Returns
    -------
    similarity : float
        Share of equal bits in [0, 1] over the frames where both sound; about 0.5 for unrelated recordings.
    overlap : int
        Number of those frames.
    """
    frame = np.arange(len(b))
    place = offset + (frame if speed == 1 else np.round(frame / speed).astype(int))
    low, high = np.searchsorted(place, [0, len(a)])
    x, y = a[place[low:high]], b[low:high]
    both = (x != NOTHING) & (y != NOTHING)
    overlap = int(both.sum())
    if not overlap:
        return 0.0, 0
    different = int(np.bitwise_count(x[both] ^ y[both]).sum())
    return 1 - different / (N_BITS * overlap), overlap
