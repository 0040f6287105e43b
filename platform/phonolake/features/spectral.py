"""Short-time Fourier analysis in float32: power spectra, mel bands, decibels, cosine transform.

Definitions follow librosa 0.11 (McFee et al. 2015): centred frames with zeros beyond the ends, a periodic Hann window,
Slaney's mel scale with area-normalised triangles.
"""

from functools import cache

import numpy as np

# Frames transformed at once: enough to keep the FFT busy, and memory does not grow with the length of a recording.
FRAMES_AT_ONCE = 2048


def mel_power(y: np.ndarray, *, sr: int, n_fft: int, hop_length: int, n_mels: int) -> np.ndarray:
    """Power in mel bands.

    Parameters
    ----------
    y : np.ndarray of float32, shape (n,)
        Audio, at least one sample.
    sr : int
        Sampling rate in hertz; the bands reach from 0 to sr / 2.
    n_fft, hop_length : int
        Window and hop in samples.
    n_mels : int
        Number of bands.

    Returns
    -------
    np.ndarray of float32, shape (n_mels, 1 + n // hop_length)
    """
    assert y.ndim == 1
    padded = np.pad(np.asarray(y, np.float32), n_fft // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop_length]
    window = _hann(n_fft)
    basis = mel_filterbank(sr=sr, n_fft=n_fft, n_mels=n_mels)
    power = np.empty((n_mels, len(frames)), np.float32)
    for start in range(0, len(frames), FRAMES_AT_ONCE):
        spectrum = np.fft.rfft(frames[start : start + FRAMES_AT_ONCE] * window, axis=1)
        power[:, start : start + FRAMES_AT_ONCE] = basis @ (spectrum.real**2 + spectrum.imag**2).T
    return power


def decibels(power: np.ndarray, *, amin: float = 1e-10, top_db: float | None = 80.0) -> np.ndarray:
    """10 log10 of power relative to 1, not below `amin`, and at most `top_db` below the loudest value."""
    db = 10.0 * np.log10(np.maximum(amin, power))
    return db if top_db is None else np.maximum(db, db.max() - top_db)


@cache
def mel_filterbank(*, sr: int, n_fft: int, n_mels: int) -> np.ndarray:
    """Slaney's mel filters (Auditory Toolbox, 1998): triangles of equal area.

    Returns
    -------
    np.ndarray of float32, shape (n_mels, 1 + n_fft // 2)
        Multiply with a power spectrum in that number of bins.
    """
    edges = _mel_to_hertz(np.linspace(0.0, _hertz_to_mel(sr / 2), n_mels + 2))
    bins = np.linspace(0.0, sr / 2, 1 + n_fft // 2)
    widths = np.diff(edges)
    rising = (bins[None, :] - edges[:-2, None]) / widths[:-1, None]
    falling = (edges[2:, None] - bins[None, :]) / widths[1:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


@cache
def cosine_basis(n_coefficients: int, n_bands: int) -> np.ndarray:
    """First rows of the orthonormal DCT-II, shape (n_coefficients, n_bands)."""
    k, n = np.arange(n_coefficients)[:, None], np.arange(n_bands)[None, :]
    basis = np.sqrt(2.0 / n_bands) * np.cos(np.pi * k * (2 * n + 1) / (2 * n_bands))
    basis[0] /= np.sqrt(2.0)
    return basis


@cache
def _hann(n: int) -> np.ndarray:
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)).astype(np.float32)


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
