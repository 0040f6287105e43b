"""Short-time Fourier analysis, kept in float32: power spectra, mel bands, decibels, cosine transform.

Definitions follow librosa 0.11 (McFee et al. 2015): centred frames with zeros beyond the ends, a periodic Hann window,
Slaney's mel scale with area-normalised triangles.
"""

from functools import cache

import numpy as np

from phonolake.features import kernels

# Samples transformed at once: few enough for frames and spectra to stay in a processor's cache, and enough for calls to
# cost nothing.
SAMPLES_AT_ONCE = 1 << 17


def frame_count(n: int, hop_length: int) -> int:
    """Centred frames of a recording of `n` samples."""
    return 1 + n // hop_length


def reflected(n: int, before: int, after: int) -> np.ndarray:
    """Numbers of the samples of a recording of `n` >= 1 that is mirrored beyond its ends: int64, before + n + after.

    The samples at the ends themselves are not repeated; what is short is mirrored as often as needed.
    """
    period = max(1, 2 * (n - 1))
    place = np.arange(-before, n + after) % period
    return np.minimum(place, period - place) if n > 1 else np.zeros_like(place)


def power_spectrum(y: np.ndarray, *, n_fft: int, hop_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Squared magnitudes of the short-time Fourier transform.

    They are kept in single precision, and transformed in double: spectral contrast looks at the quietest bins, and
    decibels go 80 below the loudest ones, where a transform in single precision shows little but its own rounding.

    Parameters
    ----------
    y : np.ndarray of float32, shape (n,)
        Audio.
    n_fft, hop_length : int
        Window and hop in samples.

    Returns
    -------
    power_TF : np.ndarray of float32, shape (1 + n // hop_length, 1 + n_fft // 2)
    low_T2 : np.ndarray of complex64, shape (1 + n // hop_length, 2)
        The spectrum itself in the two lowest bins, where a constant offset would be heard.
    """
    assert y.ndim == 1
    y = np.ascontiguousarray(y, np.float32)
    n_frames = frame_count(len(y), hop_length)
    window = hann(n_fft)
    power_TF = np.empty((n_frames, 1 + n_fft // 2), np.float32)
    low_T2 = np.empty((n_frames, 2), np.complex64)
    at_once = max(1, SAMPLES_AT_ONCE // n_fft)
    windowed_TN = np.empty((at_once, n_fft))
    spectra_TF = np.empty((at_once, 1 + n_fft // 2), np.complex128)
    for start in range(0, n_frames, at_once):
        n = min(at_once, n_frames - start)
        kernels.windowed(y, start, hop_length, window, windowed_TN[:n])
        # Written over those before, so that no block asks for fresh memory.
        spectrum = np.fft.rfft(windowed_TN[:n], axis=1, out=spectra_TF[:n])
        kernels.power(spectrum, power_TF[start : start + n])
        low_T2[start : start + n] = spectrum[:, :2]
    return power_TF, low_T2


def mel_power(
    y: np.ndarray, *, sr: int, n_fft: int, hop_length: int, n_mels: int, fmin: float = 0.0, fmax: float | None = None
) -> np.ndarray:
    """Power in mel bands.

    Parameters
    ----------
    y : np.ndarray of float32, shape (n,)
        Audio.
    sr : int
        Sampling rate in hertz.
    n_fft, hop_length : int
        Window and hop in samples.
    n_mels : int
        Number of bands.
    fmin, fmax : float
        Where they begin and end, in hertz; up to sr / 2 by default.

    Returns
    -------
    np.ndarray of float32, shape (n_mels, 1 + n // hop_length)
    """
    power_TF, _ = power_spectrum(y, n_fft=n_fft, hop_length=hop_length)
    return in_bands(power_TF, sr=sr, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax).T


def in_bands(
    values_TF: np.ndarray, *, sr: int, n_fft: int, n_mels: int, fmin: float = 0.0, fmax: float | None = None
) -> np.ndarray:
    """Sum up power (or magnitudes) in mel bands: float32 of shape (T, n_mels)."""
    basis_MF = mel_filterbank(sr=sr, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax)
    out_TM = np.empty((len(values_TF), n_mels), np.float32)
    spans_M2 = _spans(sr=sr, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax)
    kernels.bands(values_TF, basis_MF, spans_M2, out_TM)
    return out_TM


def decibels(
    power: np.ndarray, *, amin: float = 1e-10, top_db: float | None = 80.0, ref: float | None = 1.0
) -> np.ndarray:
    """10 log10 of power relative to `ref` (None: the loudest value), at most `top_db` below the loudest value."""
    db = np.maximum(power, amin)
    loudest = db.max(initial=amin)
    np.log10(db, out=db)
    db *= 10.0
    if ref is None or ref != 1.0:
        db -= 10.0 * np.log10(loudest if ref is None else max(ref, amin))
    return db if top_db is None or not db.size else np.maximum(db, db.max() - db.dtype.type(top_db), out=db)


@cache
def mel_filterbank(*, sr: int, n_fft: int, n_mels: int, fmin: float = 0.0, fmax: float | None = None) -> np.ndarray:
    """Slaney's mel filters (Auditory Toolbox, 1998): triangles of equal area.

    Returns
    -------
    np.ndarray of float32, shape (n_mels, 1 + n_fft // 2)
        Multiply with a power spectrum in that number of bins.
    """
    edges = mel_edges(sr=sr, n_mels=n_mels, fmin=fmin, fmax=fmax)
    bins = np.arange(1 + n_fft // 2) * (sr / n_fft)
    widths = np.diff(edges)
    rising = (bins[None, :] - edges[:-2, None]) / widths[:-1, None]
    falling = (edges[2:, None] - bins[None, :]) / widths[1:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


def mel_edges(*, sr: int, n_mels: int, fmin: float = 0.0, fmax: float | None = None) -> np.ndarray:
    """Frequencies in hertz where the triangles begin, peak and end: shape (n_mels + 2,)."""
    top = sr / 2 if fmax is None else fmax
    return _mel_to_hertz(np.linspace(_hertz_to_mel(fmin), _hertz_to_mel(top), n_mels + 2))


@cache
def cosine_basis(n_coefficients: int, n_bands: int) -> np.ndarray:
    """First rows of the orthonormal DCT-II, shape (n_coefficients, n_bands)."""
    k, n = np.arange(n_coefficients)[:, None], np.arange(n_bands)[None, :]
    basis = np.sqrt(2.0 / n_bands) * np.cos(np.pi * k * (2 * n + 1) / (2 * n_bands))
    basis[0] /= np.sqrt(2.0)
    return basis


@cache
def hann(n: int) -> np.ndarray:
    """Periodic Hann window, float64 of shape (n,)."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)


@cache
def _spans(*, sr: int, n_fft: int, n_mels: int, fmin: float, fmax: float | None) -> np.ndarray:
    """First bin with a weight in each mel band, and the one after the last: int64 of shape (n_mels, 2)."""
    weighs = mel_filterbank(sr=sr, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax) > 0
    first, last = weighs.argmax(axis=1), weighs.shape[1] - weighs[:, ::-1].argmax(axis=1)
    return np.stack([first, np.where(weighs.any(axis=1), last, first)], axis=1).astype(np.int64)


# Slaney's scale: linear up to 1 kHz (15 mel), then logarithmic with 27 mel for each factor of 6.4.
_LINEAR = 200.0 / 3
_BREAK_HERTZ, _BREAK_MEL = 1000.0, 15.0
_LOG_STEP = np.log(6.4) / 27.0


def _hertz_to_mel(hertz: float) -> float:
    if hertz < _BREAK_HERTZ:
        return hertz / _LINEAR
    return _BREAK_MEL + float(np.log(hertz / _BREAK_HERTZ)) / _LOG_STEP


def _mel_to_hertz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < _BREAK_MEL, mel * _LINEAR, _BREAK_HERTZ * np.exp(_LOG_STEP * (mel - _BREAK_MEL)))
