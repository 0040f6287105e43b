"""Sub-fingerprints that stay the same when a recording is encoded again, made louder or shifted a little [1]_.

Each frame of 0.37 s becomes 32 bits, one every 11.6 ms: whether the difference of the energies of two neighbouring
bands grew since the frame before. Signs of differences do not change with the gain, and neighbouring frames share
31 / 32 of their samples, so that a shift by part of a hop changes few of them.

References
----------
.. [1] J. Haitsma, T. Kalker, "A Highly Robust Audio Fingerprinting System", ISMIR 2002.
"""

from collections.abc import Iterator

import numpy as np

from phonolake.records import Hertz

VERSION = 1
SR = Hertz(5512)
N_FFT, HOP = 2048, 64
FRAMES_PER_SECOND = SR / HOP
# 33 bands from 300 to 2,000 Hz, equal on a logarithmic scale, give 32 differences.
N_BITS = 32
FMIN, FMAX = 300.0, 2000.0
# Frames so far below the loudest one are silence: their bits are those of noise that every encoder changes.
FLOOR_DB = 50.0
QUIETEST = 1e-9
FRAMES_AT_ONCE = 1024
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
    n_frames = 1 + (len(y) - N_FFT) // HOP
    if n_frames < 2:
        return np.zeros(0, np.uint32)
    loud_T, value_T = np.empty(n_frames), np.empty(n_frames - 1, np.uint32)
    weights = np.uint32(1) << np.arange(N_BITS - 1, -1, -1, dtype=np.uint32)
    last_TB = np.empty((0, N_BITS))
    for start, energy_TB in _band_energies(np.asarray(y, np.float32), n_frames):
        loud_T[start : start + len(energy_TB)] = energy_TB.sum(axis=1)
        step_TB = np.concatenate([last_TB, energy_TB[:, :-1] - energy_TB[:, 1:]])
        bits_TB = (step_TB[1:] - step_TB[:-1]) > 0
        first = start - len(last_TB)
        value_T[first : first + len(bits_TB)] = (bits_TB * weights).sum(axis=1, dtype=np.uint32)
        last_TB = step_TB[-1:]
    sounds_T = loud_T > max(float(loud_T.max()) * 10 ** (-FLOOR_DB / 10), QUIETEST)
    # A frame of sound whose bits are all 0 is one in four thousand million: it is taken for the neighbouring pattern.
    value_T[value_T == NOTHING] = 1
    return np.where(sounds_T[1:] & sounds_T[:-1], value_T, np.uint32(NOTHING))


def _band_energies(y: np.ndarray, n_frames: int) -> Iterator[tuple[int, np.ndarray]]:
    """Number of a frame, and the energy of the frames from there on in each band, float64 of shape (T, 33)."""
    frames = np.lib.stride_tricks.sliding_window_view(y, N_FFT)[::HOP][:n_frames]
    window = np.hanning(N_FFT + 1)[:-1].astype(np.float32)
    edges = FMIN * (FMAX / FMIN) ** (np.arange(N_BITS + 2) / (N_BITS + 1))
    bins = np.round(edges * N_FFT / SR).astype(int)
    for start in range(0, n_frames, FRAMES_AT_ONCE):
        spectrum = np.fft.rfft(frames[start : start + FRAMES_AT_ONCE] * window, axis=1)
        power = spectrum.real.astype(np.float64) ** 2 + spectrum.imag.astype(np.float64) ** 2
        yield start, np.add.reduceat(power[:, : bins[-1]], bins[:-1], axis=1)


def compare(a: np.ndarray, b: np.ndarray, offset: int) -> tuple[float, int]:
    """Hold two recordings against each other.

    Parameters
    ----------
    a, b : np.ndarray of uint32
        Sub-fingerprints.
    offset : int
        Frame of `a` that is held against the first frame of `b`; negative where `b` begins earlier.

    Returns
    -------
    similarity : float
        Share of equal bits in [0, 1] over the frames where both sound; about 0.5 for unrelated recordings.
    overlap : int
        Number of those frames.
    """
    low, high = max(0, offset), min(len(a), len(b) + offset)
    if high <= low:
        return 0.0, 0
    x, y = a[low:high], b[low - offset : high - offset]
    both = (x != NOTHING) & (y != NOTHING)
    overlap = int(both.sum())
    if not overlap:
        return 0.0, 0
    different = int(np.bitwise_count(x[both] ^ y[both]).sum())
    return 1 - different / (N_BITS * overlap), overlap
