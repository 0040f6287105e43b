"""Loops over frames, compiled by numba on their first call.

Compiled code is kept in the cache of numba, so that one worker compiles and the others read. All take power spectra of
shape (T, F), one frame after the other in memory, and take the root of a power where a magnitude is wanted.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

# Sums may be taken in another order, which lets them run in vector registers. A clip holds no NaN, so none comes up.
FASTMATH = {"reassoc", "contract", "nsz", "arcp", "nnan"}


class Kernel:
    """A function with loops that numba compiles at the first call, so that listing features does not need numba."""

    def __init__(self, loops: Callable[..., Any]) -> None:
        self.loops = loops
        self.__doc__ = loops.__doc__

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)

    @cached_property
    def function(self) -> Callable[..., Any]:
        """The compiled loops."""
        from numba import njit

        options: dict[str, Any] = {"nogil": True, "fastmath": FASTMATH}
        try:
            compiled = njit(self.loops, cache=True, **options)
        except RuntimeError:  # nowhere on this machine may the cache be written
            compiled = njit(self.loops, **options)
        return compiled


# -- windows ----------------------------------------------------------------------------------------------------------


@Kernel
def windowed(y_N: np.ndarray, start: int, hop_length: int, window_L: np.ndarray, out_TL: np.ndarray) -> None:
    """Write centred frames of a recording, from number `start` on, times a window; beyond its ends are zeros."""
    n_frames, length = out_TL.shape
    n = len(y_N)
    for t in range(n_frames):
        first = (start + t) * hop_length - length // 2
        if first >= 0 and first + length <= n:
            for k in range(length):
                out_TL[t, k] = window_L[k] * y_N[first + k]
        else:
            for k in range(length):
                out_TL[t, k] = window_L[k] * y_N[first + k] if 0 <= first + k < n else 0.0


# -- power of complex spectra -----------------------------------------------------------------------------------------


@Kernel
def power(spectrum_TF: np.ndarray, power_TF: np.ndarray) -> None:
    """Write the squared magnitudes of a complex spectrum."""
    n_frames, n_bins = spectrum_TF.shape
    for t in range(n_frames):
        for k in range(n_bins):
            x = spectrum_TF[t, k]
            power_TF[t, k] = x.real * x.real + x.imag * x.imag


# -- bands ------------------------------------------------------------------------------------------------------------


# Frames side by side fill a vector register, however few bins a band has.
LANES = 8


@Kernel
def bands(power_TF: np.ndarray, basis_MF: np.ndarray, spans_M2: np.ndarray, out_TM: np.ndarray) -> None:
    """Write the weighted sums over bands; `spans_M2` says from which bin up to which a band has weights."""
    n_frames, n_bins = power_TF.shape
    n_bands = len(basis_MF)
    bins_FL, sums_ML = np.zeros((n_bins, LANES), np.float32), np.zeros((n_bands, LANES), np.float32)
    for start in range(0, n_frames, LANES):
        n = min(LANES, n_frames - start)
        if n == LANES:  # a number that the compiler knows is half as fast again
            for k in range(n_bins):
                for j in range(LANES):
                    bins_FL[k, j] = power_TF[start + j, k]
        else:
            for k in range(n_bins):
                for j in range(n):
                    bins_FL[k, j] = power_TF[start + j, k]
        for m in range(n_bands):
            total_L = sums_ML[m]
            total_L[:] = 0.0
            for k in range(spans_M2[m, 0], spans_M2[m, 1]):
                weight = basis_MF[m, k]
                for j in range(LANES):
                    total_L[j] += weight * bins_FL[k, j]
        for j in range(n):
            for m in range(n_bands):
                out_TM[start + j, m] = sums_ML[m, j]


# -- centre and spread of a spectrum ----------------------------------------------------------------------------------


@Kernel
def shape(power_TF: np.ndarray, roll_percent: float, out_T5: np.ndarray) -> None:
    """Write centroid, bandwidths of order 2, 3 and 4, and roll-off of each frame, in bins."""
    n_frames, n_bins = power_TF.shape
    magnitude = np.empty(n_bins, np.float64)
    cumulative = np.empty(n_bins, np.float32)
    for t in range(n_frames):
        total, moment = 0.0, 0.0
        for k in range(n_bins):
            magnitude[k] = np.sqrt(power_TF[t, k])
            total += magnitude[k]
            moment += magnitude[k] * k
        divisor = total if total > 0.0 else 1.0
        centroid = moment / divisor
        second, third, fourth = 0.0, 0.0, 0.0
        for k in range(n_bins):
            deviation = np.abs(k - centroid)
            squared = deviation * deviation * magnitude[k]
            second += squared
            third += squared * deviation
            fourth += squared * deviation * deviation
        out_T5[t, 0] = centroid
        out_T5[t, 1] = np.sqrt(second / divisor)
        out_T5[t, 2] = (third / divisor) ** (1.0 / 3.0)
        out_T5[t, 3] = np.sqrt(np.sqrt(fourth / divisor))
        # In single precision and in order, as librosa adds up: a tie between two bins is decided as there.
        cumulative[0] = magnitude[0]
        for k in range(1, n_bins):
            cumulative[k] = cumulative[k - 1] + np.float32(magnitude[k])
        threshold = np.float32(roll_percent) * cumulative[n_bins - 1]
        out_T5[t, 4] = np.searchsorted(cumulative, threshold)


# -- pitches ----------------------------------------------------------------------------------------------------------


@Kernel
def pitches(values_TF: np.ndarray, low: int, high: int, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Positions in bins (low <= k < high) and heights of the spectral peaks above a part of each frame's maximum.

    A parabola through a peak and its neighbours gives both.
    """
    n_frames, n_bins = values_TF.shape
    positions = np.empty(n_frames * (high - low), np.float64)
    heights = np.empty(n_frames * (high - low), np.float64)
    found = 0
    for t in range(n_frames):
        loudest = values_TF[t, 0]
        for k in range(n_bins):
            loudest = max(loudest, values_TF[t, k])
        reference = np.float32(threshold) * loudest
        for k in range(low, high):
            at = values_TF[t, k]
            if not at > reference:
                continue
            before, after = values_TF[t, k - 1], values_TF[t, k + 1]
            if (before > reference and before >= at) or (after > reference and after > at):
                continue
            curvature = np.float64(after) + np.float64(before) - 2.0 * np.float64(at)
            slope = (np.float64(after) - np.float64(before)) / 2.0
            shift = -slope / curvature if abs(slope) < abs(curvature) else 0.0
            positions[found] = k + shift
            heights[found] = at + 0.5 * slope * shift
            found += 1
    return positions[:found].copy(), heights[:found].copy()


# -- moments ----------------------------------------------------------------------------------------------------------


@Kernel
def moments(y_N: np.ndarray) -> np.ndarray:
    """Mean and central moments of order 2, 3 and 4, of y (first row) and of |y|: shape (2, 4)."""
    n = len(y_N)
    total, rectified = 0.0, 0.0
    for k in range(n):
        total += np.float64(y_N[k])
        rectified += np.float64(abs(y_N[k]))
    out = np.zeros((2, 4))
    out[0, 0], out[1, 0] = total / n, rectified / n
    s2, s3, s4, r2, r3, r4 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(n):
        s, r = np.float64(y_N[k]) - out[0, 0], np.float64(abs(y_N[k])) - out[1, 0]
        ss, rr = s * s, r * r
        s2, s3, s4 = s2 + ss, s3 + ss * s, s4 + ss * ss
        r2, r3, r4 = r2 + rr, r3 + rr * r, r4 + rr * rr
    out[0, 1], out[0, 2], out[0, 3] = s2 / n, s3 / n, s4 / n
    out[1, 1], out[1, 2], out[1, 3] = r2 / n, r3 / n, r4 / n
    return out
