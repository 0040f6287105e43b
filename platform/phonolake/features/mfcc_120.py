"""The MFCC baseline of Pons & Serra 2019: 20 coefficients, their first two differences, mean and deviation of each."""

import numpy as np

from phonolake.errors import AudioError
from phonolake.features.contract import FeatureSet
from phonolake.features.spectral import cosine_basis, decibels, mel_power
from phonolake.records import Hertz

SR = Hertz(12_000)
N_MFCC, N_MELS, N_FFT, HOP_LENGTH = 20, 128, 2048, 512


def compute(y: np.ndarray) -> np.ndarray:
    """Means and standard deviations over time of the MFCC, then of their first, then of their second plain difference.

    Parameters
    ----------
    y : np.ndarray of float32, shape (n,)
        Audio at 12 kHz.

    Returns
    -------
    np.ndarray of float64, shape (120,)

    Raises
    ------
    AudioError
        ``too-short`` below three frames (1,024 samples), which have no second difference.
    """
    if len(y) < 2 * HOP_LENGTH:
        raise AudioError("too-short", f"{len(y)} samples at {SR} Hz, and {2 * HOP_LENGTH} are needed")
    log_mel = decibels(mel_power(y, sr=SR, n_fft=N_FFT, hop_length=HOP_LENGTH, n_mels=N_MELS))
    mfcc = cosine_basis(N_MFCC, N_MELS) @ log_mel.astype(np.float64)
    series = [mfcc, np.diff(mfcc), np.diff(mfcc, n=2)]
    return np.concatenate([statistic for s in series for statistic in (s.mean(axis=1), s.std(axis=1))])


def _columns() -> tuple[tuple[str, str], ...]:
    columns = []
    for order, what in enumerate(("", "first difference of ", "second difference of ")):
        for statistic in ("mean", "std"):
            for k in range(1, N_MFCC + 1):
                name = f"mfcc{k:02d}_{'d' * order}{'_' if order else ''}{statistic}".replace("__", "_")
                columns.append((name, f"{statistic} over frames of the {what}MFCC {k} (dB, orthonormal DCT-II)"))
    return tuple(columns)


FEATURES = FeatureSet(
    name="mfcc-120",
    version=1,
    sr=SR,
    columns=_columns(),
    source="Pons & Serra 2019, Sec. 3 (baseline); librosa defaults at 12 kHz, plain differences",
    compute=compute,
)
