"""What the compiled kernels compute, in plain numpy: written apart from them, to hold them against."""

import numpy as np


def windowed(y_N: np.ndarray, start: int, hop_length: int, window_L: np.ndarray, out_TL: np.ndarray) -> None:
    n_frames, length = out_TL.shape
    first = start * hop_length - length // 2
    last = first + (n_frames - 1) * hop_length + length
    part = y_N[max(0, first) : max(0, last)]
    before = max(0, -first)
    part = np.pad(part, (before, last - first - before - len(part)))
    np.multiply(np.lib.stride_tricks.sliding_window_view(part, length)[::hop_length], window_L, out=out_TL)


def power(spectrum_TF: np.ndarray, power_TF: np.ndarray) -> None:
    np.multiply(spectrum_TF.real, spectrum_TF.real, out=power_TF)
    power_TF += spectrum_TF.imag * spectrum_TF.imag


def bands(power_TF: np.ndarray, basis_MF: np.ndarray, _: np.ndarray, out_TM: np.ndarray) -> None:
    np.matmul(power_TF, basis_MF.T, out=out_TM)


def shape(power_TF: np.ndarray, roll_percent: float, out_T5: np.ndarray) -> None:
    bins = np.arange(power_TF.shape[1], dtype=np.float64)
    for start in range(0, len(power_TF), 256):
        part = slice(start, start + 256)
        magnitude = np.sqrt(power_TF[part]).astype(np.float64)
        total = magnitude.sum(axis=1)
        total[total == 0] = 1.0
        centroid = magnitude @ bins / total
        out_T5[part, 0] = centroid
        deviation = np.abs(bins - centroid[:, None])
        for column, p in enumerate((2, 3, 4), start=1):
            out_T5[part, column] = ((magnitude * deviation**p).sum(axis=1) / total) ** (1 / p)
        cumulative = magnitude.astype(np.float32).cumsum(axis=1)
        out_T5[part, 4] = (cumulative < np.float32(roll_percent) * cumulative[:, -1:]).sum(axis=1)


def pitches(values_TF: np.ndarray, low: int, high: int, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    near = values_TF[:, low - 1 : high + 1]
    loud = near * (near > threshold * values_TF.max(axis=1, keepdims=True))
    before, at, after = near[:, :-2], near[:, 1:-1], near[:, 2:]
    t, k = np.nonzero((loud[:, 1:-1] > loud[:, :-2]) & (loud[:, 1:-1] >= loud[:, 2:]))
    before, at, after = (x[t, k].astype(np.float64) for x in (before, at, after))
    curvature, slope = after + before - 2 * at, (after - before) / 2
    inside = np.abs(slope) < np.abs(curvature)
    shift = np.where(inside, -slope / np.where(inside, curvature, 1.0), 0.0)
    return k + low + shift, at + 0.5 * slope * shift


def moments(y_N: np.ndarray) -> np.ndarray:
    rows = []
    for y in (y_N.astype(np.float64), np.abs(y_N).astype(np.float64)):
        deviation = y - y.mean()
        squared = deviation * deviation
        rows.append([y.mean(), squared.mean(), (squared * deviation).mean(), (squared * squared).mean()])
    return np.array(rows)
