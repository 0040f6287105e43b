"""Series over the frames of a clip: level, zero crossings, shape of the spectrum, cepstrum.

Definitions and defaults are those of librosa 0.11, so that frames, windows and edges agree with it.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from phonolake.features import kernels, spectral
from phonolake.features.clip import Clip

ZERO = np.float32(1e-10)  # what is nearer to zero than this has no sign


def zero_crossing_rate(clip: Clip, *, frame_length: int, hop_length: int, offset: float = 0.0) -> np.ndarray:
    """Part of the samples of each frame of y + `offset` whose sign differs from that of the sample before: (T,)."""
    negative = clip.y + np.float32(offset) < -ZERO
    half, n = frame_length // 2, len(clip.y)
    # Before the first and after the last sample the signal goes on as it is there, and crosses nothing.
    crossed = np.zeros(n + 2 * half + 1, np.int32)
    np.not_equal(negative[1:], negative[:-1], out=crossed[half + 2 : half + n + 1])
    before = np.cumsum(crossed, out=crossed)
    starts = np.arange(spectral.frame_count(n, hop_length)) * hop_length
    return (before[starts + frame_length] - before[starts + 1]) / frame_length


def rms(clip: Clip, *, frame_length: int, hop_length: int, offset: float = 0.0) -> np.ndarray:
    """Root of the mean square of each frame of y + `offset`, with zeros beyond the ends: (T,).

    A frame must be an even number of hops.
    """
    assert frame_length % (2 * hop_length) == 0
    per_frame, n_frames = frame_length // hop_length, spectral.frame_count(len(clip.y), hop_length)
    padded = np.zeros(n_frames * hop_length, np.float32)
    np.add(clip.y, np.float32(offset), out=padded[: len(clip.y)])
    blocks = padded.reshape(n_frames, hop_length)
    energy = np.zeros(n_frames + per_frame)
    energy[per_frame // 2 : per_frame // 2 + n_frames] = np.einsum("th,th->t", blocks, blocks)
    frames = np.lib.stride_tricks.sliding_window_view(energy, per_frame)[:n_frames]
    return np.sqrt(frames.sum(axis=1) / frame_length)


@dataclass(frozen=True, slots=True)
class SpectralShape:
    """Where the magnitudes of each frame's spectrum lie, in hertz; all of shape (T,)."""

    centroid: np.ndarray
    bandwidth_2: np.ndarray
    bandwidth_3: np.ndarray
    bandwidth_4: np.ndarray
    rolloff: np.ndarray


def shape(
    clip: Clip, *, n_fft: int, hop_length: int, sr: int | None = None, roll_percent: float = 0.85, offset: float = 0.0
) -> SpectralShape:
    """Centroid, bandwidths of order 2, 3 and 4, and roll-off of y + `offset`; `sr` only scales the result."""

    def compute() -> SpectralShape:
        power_TF = clip.power(n_fft=n_fft, hop_length=hop_length, offset=offset)
        out_T5 = np.empty((len(power_TF), 5))
        kernels.shape(power_TF, roll_percent, out_T5)
        return SpectralShape(*(out_T5.T * ((sr or clip.sr) / n_fft)))

    return clip.once(("shape", n_fft, hop_length, sr or clip.sr, roll_percent, offset), compute)


def contrast(
    clip: Clip, *, n_fft: int, hop_length: int, sr: int | None = None, n_bands: int = 6, fmin: float = 200.0
) -> np.ndarray:
    """Difference in decibels between the loudest and the quietest fiftieth of the bins of each octave.

    Returns
    -------
    np.ndarray of float64, shape (T, n_bands + 1)
        Bands from 0, `fmin`, 2 fmin ... on; the last one goes up to half the sampling rate.
    """
    key = ("contrast", n_fft, hop_length, sr or clip.sr, n_bands, fmin)
    edges_B3 = _octaves(sr or clip.sr, n_fft, n_bands, fmin)
    return clip.once(key, lambda: _contrast(clip.power(n_fft=n_fft, hop_length=hop_length), edges_B3))


def _contrast(power_TF: np.ndarray, edges_B3: np.ndarray) -> np.ndarray:
    n_bands = len(edges_B3) - 1
    valley_TB, peak_TB = np.empty((2, len(power_TF), n_bands + 1))
    for b, (low, high, n) in enumerate(edges_B3):
        # numpy sorts in vector registers: no loop that keeps a list of extremes is faster.
        ordered = np.sort(power_TF[:, low:high], axis=1)
        valley_TB[:, b] = np.sqrt(ordered[:, :n], dtype=np.float64).mean(axis=1)
        peak_TB[:, b] = np.sqrt(ordered[:, -n:], dtype=np.float64).mean(axis=1)
    return spectral.decibels(peak_TB) - spectral.decibels(valley_TB)


def _octaves(sr: int, n_fft: int, n_bands: int, fmin: float, quantile: float = 0.02) -> np.ndarray:
    """First bin, the one after the last, and the number of extreme bins of each band: int64 of shape (n_bands + 1, 3).

    A band begins one bin before its lower edge, and all but the last leave their last bin to the next.
    """
    frequencies = np.arange(1 + n_fft // 2) * (sr / n_fft)
    octaves = [0.0, *(fmin * 2.0**k for k in range(n_bands + 1))]
    rows = []
    for b, (low, high) in enumerate(pairwise(octaves)):
        inside = np.flatnonzero((frequencies >= low) & (frequencies <= high))
        first = inside[0] - (b > 0)
        stop = len(frequencies) if b == n_bands else inside[-1] + 1
        rows.append((first, stop if b == n_bands else stop - 1, max(1, np.rint(quantile * (stop - first)))))
    return np.array(rows, np.int64)


def mfcc(clip: Clip, *, n_mfcc: int, n_fft: int, hop_length: int, n_mels: int = 128) -> np.ndarray:
    """Cepstral coefficients of the log-mel spectrum (orthonormal DCT-II of decibels): float64 of shape (T, n_mfcc)."""

    def compute() -> np.ndarray:
        log_mel_TM = clip.mel_decibels(n_fft=n_fft, hop_length=hop_length, n_mels=n_mels)
        return log_mel_TM @ spectral.cosine_basis(n_mfcc, n_mels).T

    return clip.once(("mfcc", n_mfcc, n_fft, hop_length, n_mels), compute)
