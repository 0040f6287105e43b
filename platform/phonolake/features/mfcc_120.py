"""The MFCC baseline of Pons & Serra 2019: 20 coefficients, their first two differences, mean and deviation of each.

Published with plain differences from frame to frame; ``mfcc-120-delta`` has the slopes that librosa calls deltas.
"""

import numpy as np

from phonolake.features import descriptors
from phonolake.features.clip import Clip
from phonolake.features.contract import FeatureSet
from phonolake.features.pooling import Pooling
from phonolake.records import Hertz

SR = Hertz(12_000)
N_MFCC, N_FFT, HOP_LENGTH = 20, 2048, 512
WIDTH = 9  # frames that a delta is fitted to


def compute(clip: Clip) -> np.ndarray:
    """Means and standard deviations over time of the MFCC, then of their first, then of their second plain difference.

    Parameters
    ----------
    clip : Clip
        Audio at 12 kHz.

    Returns
    -------
    np.ndarray of float64, shape (120,)

    Raises
    ------
    AudioError
        ``too-short`` below three frames (1,024 samples), which have no second difference.
    """
    clip.require(2 * HOP_LENGTH)
    mfcc_TK = _mfcc(clip)
    return _statistics(mfcc_TK, np.diff(mfcc_TK, axis=0), np.diff(mfcc_TK, n=2, axis=0))


def compute_delta(clip: Clip) -> np.ndarray:
    """As `compute`, with deltas: slope and curvature of a polynomial of degree 1 and 2 fitted to nine frames.

    Raises
    ------
    AudioError
        ``too-short`` below nine frames (4,096 samples).
    """
    clip.require((WIDTH - 1) * HOP_LENGTH)
    mfcc_TK = _mfcc(clip)
    return _statistics(mfcc_TK, delta(mfcc_TK, order=1), delta(mfcc_TK, order=2))


def delta(series_TK: np.ndarray, *, order: int) -> np.ndarray:
    """Derivative of the polynomial of degree `order` that fits nine frames best (Savitzky & Golay 1964).

    In the first and last four frames it is that of the first and last nine.
    """
    half = WIDTH // 2
    offsets = np.arange(-half, half + 1.0)
    # Least squares: row `order` of the pseudo-inverse gives the coefficient, and differentiation a factor of order!.
    weights = np.linalg.pinv(np.vander(offsets, order + 1, increasing=True))[order] * (1, 1, 2)[order]
    windows_TKW = np.lib.stride_tricks.sliding_window_view(series_TK, WIDTH, axis=0)
    middle = windows_TKW @ weights
    return np.concatenate([np.repeat(middle[:1], half, axis=0), middle, np.repeat(middle[-1:], half, axis=0)])


def _mfcc(clip: Clip) -> np.ndarray:
    return descriptors.mfcc(clip, n_mfcc=N_MFCC, n_fft=N_FFT, hop_length=HOP_LENGTH)


def _statistics(*series: np.ndarray) -> np.ndarray:
    return np.concatenate([statistic for s in series for statistic in (s.mean(axis=0), s.std(axis=0))])


def _name(k: int, order: int, statistic: str) -> str:
    return f"mfcc{k:02d}_{'d' * order}{'_' if order else ''}{statistic}"


def _columns(change: str) -> tuple[tuple[str, str], ...]:
    columns = []
    for order, what in enumerate(("", f"first {change} of ", f"second {change} of ")):
        for statistic in ("mean", "std"):
            for k in range(1, N_MFCC + 1):
                columns.append(
                    (
                        _name(k, order, statistic),
                        f"{statistic} over frames of the {what}MFCC {k} (dB, orthonormal DCT-II)",
                    )
                )
    return tuple(columns)


POOLING = Pooling(
    deviations={_name(k, order, "std"): _name(k, order, "mean") for order in range(3) for k in range(1, N_MFCC + 1)}
)
FEATURES = (
    FeatureSet(
        name="mfcc-120",
        version=1,
        sr=SR,
        columns=_columns("difference"),
        source="Pons & Serra 2019, Sec. 3 (baseline); librosa defaults at 12 kHz, plain differences",
        compute=compute,
        pooling=POOLING,
    ),
    FeatureSet(
        name="mfcc-120-delta",
        version=1,
        sr=SR,
        columns=_columns("delta"),
        source="Pons & Serra 2019, Sec. 3 (baseline); librosa defaults at 12 kHz, deltas over nine frames",
        compute=compute_delta,
        pooling=POOLING,
    ),
)
