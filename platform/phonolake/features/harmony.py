"""Tuning, chroma and tonal centroids, as librosa 0.11 defines them (Ellis 2007; Harte, Sandler, Gasser 2006)."""

from functools import lru_cache

import numpy as np

from phonolake.features import kernels

N_CHROMA = 12
LOWEST, HIGHEST = 150.0, 4000.0  # hertz in between which pitches are looked for
TINY = np.finfo(np.float32).tiny


def tuning(values_TF: np.ndarray, *, sr: int, n_fft: int) -> float:
    """Deviation from 440 Hz, in semitones within [-0.5, 0.5), that most spectral peaks agree on.

    Parameters
    ----------
    values_TF : np.ndarray of float32, shape (T, 1 + n_fft // 2)
        Power or magnitudes. The louder half of the peaks votes, in steps of 0.01 semitones.
    """
    frequencies = np.arange(1 + n_fft // 2) * (sr / n_fft)
    low, high = np.searchsorted(frequencies, [LOWEST, min(HIGHEST, sr / 2)])
    positions, heights = kernels.pitches(values_TF, max(1, int(low)), min(int(high), n_fft // 2), 0.1)
    if not len(positions):
        return 0.0
    loud = heights >= np.median(heights)
    pitches = (positions[loud] * (sr / n_fft)).astype(np.float32)
    residual = np.mod(N_CHROMA * np.log2(pitches / np.float32(440.0 / 16)), np.float32(1.0))
    residual[residual >= 0.5] -= 1.0
    votes, edges = np.histogram(residual, np.linspace(-0.5, 0.5, 101))
    return float(edges[votes.argmax()])


def chroma(power_TF: np.ndarray, *, sr: int, n_fft: int) -> np.ndarray:
    """Energy in the pitch classes from C on, relative to the strongest of the frame: float32 of shape (T, 12)."""
    weights_KF = chroma_filters(sr, n_fft, tuning(power_TF, sr=sr, n_fft=n_fft))
    raw_TK = power_TF @ weights_KF.T
    strongest = raw_TK.max(axis=1, keepdims=True, initial=0.0)
    return raw_TK / np.where(strongest < TINY, np.float32(1.0), strongest)


@lru_cache(maxsize=256)
def chroma_filters(sr: int, n_fft: int, offset: float) -> np.ndarray:
    """Weights of the bins in each pitch class, for a tuning in semitones: float32 of shape (12, 1 + n_fft // 2).

    Gaussians of one semitone or one bin, whichever is wider, under a wide Gaussian around the fifth octave.
    """
    frequencies = np.arange(1, n_fft) * (sr / n_fft)
    a440 = 440.0 * 2.0 ** (offset / N_CHROMA)
    semitones = N_CHROMA * np.log2(frequencies / (a440 / 16))
    semitones = np.concatenate([[semitones[0] - 1.5 * N_CHROMA], semitones])
    widths = np.concatenate([np.maximum(np.diff(semitones), 1.0), [1.0]])
    distance = np.remainder(semitones - np.arange(N_CHROMA)[:, None] + 6 + 10 * N_CHROMA, N_CHROMA) - 6
    weights = np.exp(-0.5 * (2 * distance / widths) ** 2)
    weights /= np.sqrt((weights**2).sum(axis=0))
    weights *= np.exp(-0.5 * ((semitones / N_CHROMA - 5.0) / 2.0) ** 2)
    # Pitch classes are counted from C, and 440 Hz is an A.
    weights = np.roll(weights, -3, axis=0)
    return np.ascontiguousarray(weights[:, : 1 + n_fft // 2], dtype=np.float32)


def tonal_centroids(chroma_TK: np.ndarray) -> np.ndarray:
    """Chroma on the circles of fifths, minor and major thirds, two coordinates each: shape (T, 6)."""
    steps = np.array([7 / 6, 7 / 6, 3 / 2, 3 / 2, 2 / 3, 2 / 3])
    angles = steps[:, None] * np.arange(12.0)
    angles[::2] -= 0.5
    basis = np.array([1, 1, 1, 1, 0.5, 0.5])[:, None] * np.cos(np.pi * angles)
    total = np.abs(chroma_TK).sum(axis=1, keepdims=True)
    return chroma_TK / np.where(total < TINY, 1.0, total) @ basis.T
