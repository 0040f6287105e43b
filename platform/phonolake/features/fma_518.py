"""The 518 features that come with the FMA dataset: seven statistics over frames of 74 series.

As published: the frequency axis of centroid, bandwidth, roll-off, contrast and chroma is that of 22,050 Hz although the
audio has 44,100, so that hertz are half of what they seem; the level is the root of the mean power over the bins of the
spectrum; tonal centroids are those of the smoothed chroma. The constant-Q transform is librosa's: this set needs it.
"""

from typing import Any

import numpy as np

from phonolake.features import descriptors, harmony
from phonolake.features.clip import Clip
from phonolake.features.contract import FeatureSet
from phonolake.features.pooling import Pooling
from phonolake.features.statistics import seven
from phonolake.records import Hertz

SR = Hertz(44_100)
ASSUMED_SR = 22_050
N_FFT, HOP_LENGTH = 2048, 512
N_OCTAVES = 7
# A window of the lowest octave of the constant-Q transform.
SHORTEST = 1 << 15

SERIES = {
    "chroma_cens": (12, "smoothed energy in pitch class {k} (C is 1; constant-Q)"),
    "chroma_cqt": (12, "energy in pitch class {k} (C is 1; constant-Q)"),
    "chroma_stft": (12, "energy in pitch class {k} (C is 1; Fourier)"),
    "mfcc": (20, "MFCC {k} (dB)"),
    "rmse": (1, "root of the mean power over the bins of the spectrum"),
    "spectral_bandwidth": (1, "spectral bandwidth (half hertz)"),
    "spectral_centroid": (1, "spectral centroid (half hertz)"),
    "spectral_contrast": (7, "spectral contrast in octave band {k} (dB)"),
    "spectral_rolloff": (1, "85 % roll-off (half hertz)"),
    "tonnetz": (6, "tonal centroid {k}"),
    "zcr": (1, "zero-crossing rate (per sample)"),
}
STATISTICS = ("kurtosis", "max", "mean", "median", "min", "skew", "std")


def series(clip: Clip) -> dict[str, np.ndarray]:
    """The series over frames, each of shape (T, K)."""
    options = {"n_fft": N_FFT, "hop_length": HOP_LENGTH}
    power_TF = clip.power(**options)
    shape = descriptors.shape(clip, sr=ASSUMED_SR, **options)
    cqt_TK, cens_TK = _constant_q(clip)
    return {
        "chroma_cens": cens_TK,
        "chroma_cqt": cqt_TK,
        "chroma_stft": harmony.chroma(power_TF, sr=ASSUMED_SR, n_fft=N_FFT),
        "mfcc": descriptors.mfcc(clip, n_mfcc=20, **options),
        "rmse": np.sqrt(power_TF.mean(axis=1, keepdims=True)),
        "spectral_bandwidth": shape.bandwidth_2[:, None],
        "spectral_centroid": shape.centroid[:, None],
        "spectral_contrast": descriptors.contrast(clip, sr=ASSUMED_SR, **options),
        "spectral_rolloff": shape.rolloff[:, None],
        "tonnetz": harmony.tonal_centroids(cens_TK),
        "zcr": descriptors.zero_crossing_rate(clip, frame_length=N_FFT, hop_length=HOP_LENGTH)[:, None],
    }


def _constant_q(clip: Clip) -> tuple[np.ndarray, np.ndarray]:
    """Chroma of the constant-Q transform, plain and smoothed: each of shape (T, 12)."""
    import librosa

    offset = harmony.tuning(np.sqrt(clip.power(n_fft=N_FFT, hop_length=HOP_LENGTH)), sr=clip.sr, n_fft=N_FFT)
    classes: dict[str, Any] = {"bins_per_octave": harmony.N_CHROMA, "n_octaves": N_OCTAVES}
    bins = harmony.N_CHROMA * N_OCTAVES
    transform_KT = np.abs(
        librosa.cqt(
            clip.y, sr=clip.sr, hop_length=HOP_LENGTH, bins_per_octave=harmony.N_CHROMA, n_bins=bins, tuning=offset
        )
    )
    plain_KT = librosa.feature.chroma_cqt(C=transform_KT, **classes)
    return plain_KT.T, librosa.feature.chroma_cens(C=transform_KT, **classes).T


def compute(clip: Clip) -> np.ndarray:
    """Seven statistics of each series: float64 of shape (518,).

    Raises
    ------
    AudioError
        ``too-short`` for less than 0.74 s.
    """
    clip.require(SHORTEST)
    return np.concatenate([np.concatenate(list(seven(x).values())) for x in series(clip).values()])


def _columns() -> tuple[tuple[str, str], ...]:
    columns = []
    for name, (size, what) in SERIES.items():
        for statistic in STATISTICS:
            columns += [
                (f"{name}_{statistic}_{k:02d}", f"{statistic} over frames of the {what.format(k=k)}")
                for k in range(1, size + 1)
            ]
    return tuple(columns)


def _all(statistic: str) -> list[str]:
    return [f"{name}_{statistic}_{k:02d}" for name, (size, _) in SERIES.items() for k in range(1, size + 1)]


FEATURES = FeatureSet(
    name="fma-518",
    version=1,
    sr=SR,
    columns=_columns(),
    source="Defferrard, Benzi, Vandergheynst, Bresson 2017, Sec. 3.3, and their feature extraction",
    compute=compute,
    pooling=Pooling(
        minima=frozenset(_all("min")),
        maxima=frozenset(_all("max")),
        deviations=dict(zip(_all("std"), _all("mean"), strict=True)),
    ),
)
