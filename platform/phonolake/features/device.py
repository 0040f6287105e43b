"""Spectrograms of batches of audio on the training device, equal to those of `configuration` within rounding.

Shape suffixes: B batch, N samples, F bands, T frames.
"""

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from phonolake.errors import UsageError
from phonolake.features import contract, spectral
from phonolake.features.configuration import Configuration

if TYPE_CHECKING:  # who calls this has torch; who lists the recipes need not wait for it
    import torch
    from torch import Tensor


def spectrogram(y_BN: "Tensor", config: Configuration) -> "Tensor":
    """Compute spectrograms_BFT of clips of equal length, on whatever device they are.

    Parameters
    ----------
    y_BN : Tensor of float32
        Mono audio at `config.sr`.
    config : Configuration
        Any that is neither a picture nor a part of a recording: cut the audio before.

    Returns
    -------
    Tensor of float32, shape (B, n_bands, 1 + N // hop_length)
        Floor and reference are those of each clip. Above the floor decibels are those of `Configuration.compute` to
        0.001 on a CPU, and to 0.01 on CUDA.
    """
    check(config)
    if config.pre_emphasis:
        earlier_BN = y_BN.roll(1, dims=1)
        earlier_BN[:, :1] = 0
        y_BN = y_BN - config.pre_emphasis * earlier_BN
    return of_frames(_frames(y_BN, config), config)


def configuration(name: str) -> Configuration:
    """The parameters of a spectrogram of the registry that is computed here.

    Raises
    ------
    UsageError
        For an unknown one, a picture, or a part of each recording.
    """
    recipe = contract.spectrogram(name)
    if recipe.config is None or recipe.segments:
        raise UsageError(f"{name} cannot be computed on a device: extract it")
    check(recipe.config)
    return recipe.config


def check(config: Configuration) -> None:
    """Raise a `UsageError` for a spectrogram that cannot be computed here."""
    if config.picture or config.duration is not None:
        raise UsageError("pictures and parts of recordings cannot be computed on a device: extract them")


def frames(y: np.ndarray, config: Configuration) -> np.ndarray:
    """Cut one recording into the stretches of samples that its frames are computed of: a view of shape (n_fft, T).

    Any run of columns gives the same frames as the whole recording, apart from floor and reference.
    """
    check(config)
    if config.pre_emphasis:
        y = np.append(y[:1], y[1:] - np.float32(config.pre_emphasis) * y[:-1])
    n_frames, half = spectral.frame_count(len(y), config.hop_length), config.n_fft // 2
    if config.pad_mode == "reflect" and len(y):
        y, half = y[spectral.reflected(len(y), half, config.n_fft - half)], 0
    padded = np.pad(y, (half, half + config.n_fft))
    return np.lib.stride_tricks.sliding_window_view(padded, config.n_fft)[:: config.hop_length][:n_frames].T


def of_frames(frames_BTN: "Tensor", config: Configuration) -> "Tensor":
    """Compute spectrograms_BFT of stretches of n_fft samples each."""
    values_BFT = _power(frames_BTN)
    if config.power == 1.0:
        values_BFT = values_BFT.sqrt()
    if config.n_mels is not None:
        basis_MF = _filters(config.sr, config.n_fft, config.n_mels, config.fmin, config.fmax, values_BFT.device)
        values_BFT = basis_MF @ values_BFT
    if config.scale == "linear":
        return values_BFT
    if config.scale != "decibel":
        logarithm_BFT = (config.gain * values_BFT).log1p()
        return logarithm_BFT if config.scale == "log" else logarithm_BFT / float(np.log(10.0))
    return _decibels(values_BFT if config.power == 2.0 else values_BFT.square(), config)


def _frames(y_BN: "Tensor", config: Configuration) -> "Tensor":
    import torch

    n, half = y_BN.shape[1], config.n_fft // 2
    n_frames = spectral.frame_count(n, config.hop_length)
    if config.pad_mode == "reflect" and n:
        y_BN, half = y_BN[:, torch.from_numpy(spectral.reflected(n, half, config.n_fft - half))], 0
    # Enough for a window of odd length, too; frames beyond the last centre are not taken.
    padded_BN = torch.nn.functional.pad(y_BN, (half, half + config.n_fft))
    return padded_BN.unfold(1, config.n_fft, config.hop_length)[:, :n_frames]


def _power(frames_BTN: "Tensor") -> "Tensor":
    import torch

    window = torch.hann_window(frames_BTN.shape[-1], periodic=True, device=frames_BTN.device)
    spectrum_BTF = torch.fft.rfft(frames_BTN * window)
    return (spectrum_BTF.real.square() + spectrum_BTF.imag.square()).transpose(1, 2)


def _decibels(power_BFT: "Tensor", config: Configuration) -> "Tensor":
    decibels_BFT = 10.0 * power_BFT.clamp_min(1e-10).log10()
    loudest_B = decibels_BFT.amax(dim=(1, 2), keepdim=True)
    if config.ref == "max":
        decibels_BFT, loudest_B = decibels_BFT - loudest_B, loudest_B - loudest_B
    return decibels_BFT if config.top_db is None else decibels_BFT.maximum(loudest_B - config.top_db)


@cache
def _filters(sr: int, n_fft: int, n_mels: int, fmin: float, fmax: float | None, device: "torch.device") -> "Tensor":
    import torch

    basis_MF = spectral.mel_filterbank(sr=sr, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax)
    return torch.from_numpy(basis_MF).to(device)
