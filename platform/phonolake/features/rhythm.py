"""Onset strength and tempo, as librosa 0.11 defines them (Ellis 2007; Grosche, Müller, Kurth 2010)."""

from functools import cache

import numpy as np

from phonolake.features import kernels, spectral
from phonolake.features.clip import Clip

START_BPM, FASTEST_BPM = 120.0, 320.0
SECONDS = 8.0  # length of the window in which periods are looked for


def onset_strength(clip: Clip, *, n_fft: int, hop_length: int) -> np.ndarray:
    """Mean rise of the log-mel spectrum from frame to frame, 128 bands: float32 of shape (T,)."""
    log_mel_TM = clip.mel_decibels(n_fft=n_fft, hop_length=hop_length, n_mels=128)
    rise = np.maximum(np.diff(log_mel_TM, axis=0), 0.0).mean(axis=1)
    late = 1 + n_fft // (2 * hop_length)
    return np.concatenate([np.zeros(late, rise.dtype), rise])[: len(log_mel_TM)]


def tempo(clip: Clip, *, n_fft: int = 2048, hop_length: int = 512) -> float:
    """The most likely tempo in beats per minute, near 120 where nothing speaks for another one.

    The autocorrelations of all windows are divided by their own maximum, which is the one at lag zero, and averaged;
    since the transform is linear it is their weighted power spectra that are averaged, and transformed back once.
    """
    onsets = onset_strength(clip, n_fft=n_fft, hop_length=hop_length)
    length = int(SECONDS * clip.sr / hop_length)
    window, bpm, log_prior = _prior(clip.sr, hop_length, length)
    padded = np.pad(onsets, length // 2, mode="linear_ramp", end_values=0.0)
    frames_TW = np.lib.stride_tricks.sliding_window_view(padded, length)[: len(onsets)]
    size = _fast_size(2 * length)
    spectrum_F = np.zeros(1 + size // 2)
    at_once = max(1, spectral.SAMPLES_AT_ONCE // length)
    for start in range(0, len(onsets), at_once):
        windowed_TW = frames_TW[start : start + at_once] * window
        energy_T = np.einsum("tw,tw->t", windowed_TW, windowed_TW)
        spectra_TF = np.fft.rfft(windowed_TW, n=size, axis=1)
        power_TF = np.empty(spectra_TF.shape, np.float32)
        kernels.power(spectra_TF, power_TF)
        # A window without an onset has no period: its spectrum is zero, and stays so.
        spectrum_F += (1 / np.where(energy_T > 0, energy_T, 1)) @ power_TF
    strength = np.fft.irfft(spectrum_F, n=size)[:length] / len(onsets)
    likelihood = np.log1p(1e6 * np.maximum(strength, 0.0)) + log_prior
    return float(bpm[np.argmax(likelihood)])


@cache
def _prior(sr: int, hop_length: int, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Window, tempo of each lag and the logarithm of its likelihood beforehand: all of shape (length,)."""
    window = spectral.hann(length).astype(np.float32)
    bpm = np.full(length, np.inf)
    bpm[1:] = 60.0 * sr / (hop_length * np.arange(1, length))
    log_prior = np.full(length, -np.inf)
    slow = bpm < FASTEST_BPM
    log_prior[slow] = -0.5 * np.log2(bpm[slow] / START_BPM) ** 2
    return window, bpm, log_prior


@cache
def _fast_size(n: int) -> int:
    """The next number with no prime factor above 5, for which a Fourier transform is fast."""
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1
