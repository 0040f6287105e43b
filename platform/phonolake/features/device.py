"""Spectrograms of batches of audio on the device that trains, equal to those of `configuration` within rounding.

Shape suffixes: B batch, N samples, F bands, T frames.
"""

from functools import cache
from typing import TYPE_CHECKING

from phonolake.errors import UsageError
from phonolake.features import spectral
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
    if config.picture or config.duration is not None:
        raise UsageError("pictures and parts of recordings are not computed on a device: extract them")
    if config.pre_emphasis:
        earlier_BN = y_BN.roll(1, dims=1)
        earlier_BN[:, 0] = 0
        y_BN = y_BN - config.pre_emphasis * earlier_BN
    values_BFT = _power(y_BN, config.n_fft, config.hop_length)
    if config.power == 1.0:
        values_BFT = values_BFT.sqrt()
    if config.n_mels is not None:
        basis_MF = _filters(config.sr, config.n_fft, config.n_mels, config.fmin, config.fmax, y_BN.device)
        values_BFT = basis_MF @ values_BFT
    if config.scale == "log":
        return (config.gain * values_BFT).log1p()
    if config.scale == "linear":
        return values_BFT
    return _decibels(values_BFT if config.power == 2.0 else values_BFT.square(), config)


def _power(y_BN: "Tensor", n_fft: int, hop_length: int) -> "Tensor":
    import torch

    half = n_fft // 2
    # Enough for a window of odd length, too; frames beyond the last centre are not taken.
    padded_BN = torch.nn.functional.pad(y_BN, (half, half + n_fft))
    n_frames = spectral.frame_count(y_BN.shape[1], hop_length)
    frames_BTN = padded_BN.unfold(1, n_fft, hop_length)[:, :n_frames]
    window = torch.hann_window(n_fft, periodic=True, device=y_BN.device)
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
