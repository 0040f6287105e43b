"""The 97 features of Korosteleva & Gerstner's music role classification, their reductions, and corrected variants.

The published extraction adds small constants to the signal before some features, holds the bandwidth of order 3 in the
columns of order 4, and rounds to three decimals: so do the sets as published. Those called ``-corrected`` add nothing,
hold order 4 where they say so, and round nothing. Columns are named and ordered as in the authors' tables.
"""

from functools import partial

import numpy as np

from phonolake.features import descriptors, harmony, kernels, rhythm
from phonolake.features.clip import Clip
from phonolake.features.contract import FeatureSet
from phonolake.features.pooling import Pooling
from phonolake.features.statistics import standardised
from phonolake.records import Hertz

SR = Hertz(22_050)
N_FFT, HOP_LENGTH, CHROMA_HOP = 2048, 512, 1024
LEVEL_OFFSET, SHAPE_OFFSET = 1e-4, 1e-2
SOURCE = "Korosteleva & Gerstner 2018, Sec. 4.2 (features of Bahuleyan 2018), "

# Name of the set: number of MFCC, and whether moments, level, tempo and chroma are in it.
SETS = {
    "music-role-97": (20, True),
    "music-role-83": (13, True),
    "music-role-71": (7, True),
    "music-role-52": (13, False),
    "music-role-40": (7, False),
}


def series(clip: Clip, *, corrected: bool) -> dict[str, np.ndarray]:
    """Series over the frames by name, each of shape (T,) or (T, K)."""
    frames = {"hop_length": HOP_LENGTH}
    level, brightness = (0.0, 0.0) if corrected else (LEVEL_OFFSET, SHAPE_OFFSET)
    shape = descriptors.shape(clip, n_fft=N_FFT, offset=brightness, **frames)
    return {
        "zcr": descriptors.zero_crossing_rate(clip, frame_length=N_FFT, offset=level, **frames),
        "rmse": descriptors.rms(clip, frame_length=N_FFT, offset=level, **frames),
        "spectral_centroid": shape.centroid,
        "spectral_bandwidth_2": shape.bandwidth_2,
        "spectral_bandwidth_3": shape.bandwidth_3,
        "spectral_bandwidth_4": shape.bandwidth_4 if corrected else shape.bandwidth_3,
        "spectral_contrast": descriptors.contrast(clip, n_fft=N_FFT, **frames),
        "spectral_rolloff": shape.rolloff,
        "mfccs": descriptors.mfcc(clip, n_mfcc=20, n_fft=N_FFT, **frames),
        "chroma_stft": _chroma(clip),
    }


def _chroma(clip: Clip) -> np.ndarray:
    """Every second frame of the transform that all share is one with twice the hop."""
    power_TF = clip.power(n_fft=N_FFT, hop_length=HOP_LENGTH)[:: CHROMA_HOP // HOP_LENGTH]
    compute = partial(harmony.chroma, np.ascontiguousarray(power_TF), sr=clip.sr, n_fft=N_FFT)
    return clip.once(("chroma", CHROMA_HOP), compute)


def everything(clip: Clip, *, corrected: bool) -> dict[str, float]:
    """All 97 values by the names of their columns."""
    clip.require(N_FFT)
    names = ("signal_mean", "signal_std", "signal_skew", "signal_kurtosis")
    found = dict(zip(names, clip.once(("signal",), lambda: _signal(clip)), strict=True))
    found["tempo"] = clip.once(("tempo",), lambda: rhythm.tempo(clip, n_fft=N_FFT, hop_length=HOP_LENGTH))
    for name, values in series(clip, corrected=corrected).items():
        for statistic, of in (("mean", np.mean), ("std", np.std)):
            result = np.asarray(of(values, axis=0, dtype=np.float64))
            if result.ndim == 0:
                found[f"{name}_{statistic}"] = float(result)
            else:
                found |= {f"{name}_{k}_{statistic}": float(x) for k, x in enumerate(result, start=1)}
    return found


def _signal(clip: Clip) -> tuple[float, ...]:
    """Mean of |y|, deviation of y, skewness of |y| and excess kurtosis of y."""
    straight, rectified = kernels.moments(clip.y)
    values = rectified[0], np.sqrt(straight[1]), standardised(rectified)[0], standardised(straight)[1]
    return tuple(map(float, values))


def compute(clip: Clip, *, columns: tuple[str, ...], corrected: bool) -> np.ndarray:
    """The values of these columns, computed once for all sets of the family.

    Raises
    ------
    AudioError
        ``too-short`` for less than one window (2,048 samples at 22,050 Hz).
    """
    found = clip.once(("music-role", corrected), lambda: everything(clip, corrected=corrected))
    values = np.array([found[name] for name in columns])
    return values if corrected else np.round(values, 3)


def _columns(n_mfcc: int, whole: bool, corrected: bool) -> tuple[tuple[str, str], ...]:
    level, shape = ("", "") if corrected else (" of y + 0.0001", " of y + 0.01")
    pair = ("mean", "std")
    columns = []
    if whole:
        columns += [
            ("signal_mean", "mean of |y| (full scale 1)"),
            ("signal_std", "standard deviation of y (full scale 1)"),
            ("signal_skew", "skewness of |y|"),
            ("signal_kurtosis", "excess kurtosis of y"),
        ]
    columns += [(f"zcr_{s}", f"{s} over frames of the zero-crossing rate{level} (per sample)") for s in pair]
    if whole:
        columns += [(f"rmse_{s}", f"{s} over frames of the root mean square{level} (full scale 1)") for s in pair]
        columns += [("tempo", "most likely tempo (beats per minute)")]
    columns += [(f"spectral_centroid_{s}", f"{s} over frames of the spectral centroid{shape} (Hz)") for s in pair]
    for p in (2, 3, 4):
        again = ", in truth of order 3, as published" if p == 4 and not corrected else ""
        what = f"spectral bandwidth of order {p}{again}{shape} (Hz)"
        columns += [(f"spectral_bandwidth_{p}_{s}", f"{s} over frames of the {what}") for s in pair]
    for s in pair:
        what = "spectral contrast in octave band"
        columns += [(f"spectral_contrast_{b}_{s}", f"{s} over frames of the {what} {b} (dB)") for b in range(1, 8)]
    columns += [(f"spectral_rolloff_{s}", f"{s} over frames of the 85 % roll-off{shape} (Hz)") for s in pair]
    for s in pair:
        columns += [(f"mfccs_{k}_{s}", f"{s} over frames of MFCC {k} (dB)") for k in range(1, n_mfcc + 1)]
    if whole:
        for s in pair:
            what = "energy in pitch class"
            columns += [(f"chroma_stft_{k}_{s}", f"{s} over frames of the {what} {k} (C is 1)") for k in range(1, 13)]
    return tuple(columns)


def _set(name: str, n_mfcc: int, whole: bool, corrected: bool) -> FeatureSet:
    columns = _columns(n_mfcc, whole, corrected)
    names = {column for column, _ in columns}
    # The deviation of the signal too stands beside the mean of its magnitude, as the authors chose them.
    deviations = {column: column.removesuffix("std") + "mean" for column in names if column.endswith("_std")}
    return FeatureSet(
        name=name + "-corrected" * corrected,
        version=1,
        sr=SR,
        columns=columns,
        source=SOURCE + ("without offsets, duplicate and rounding" if corrected else "as published"),
        compute=partial(compute, columns=tuple(n for n, _ in columns), corrected=corrected),
        pooling=Pooling(medians=frozenset({"tempo"} & names), deviations=deviations),
    )


FEATURES = tuple(_set(name, *what, corrected) for corrected in (False, True) for name, what in SETS.items())
