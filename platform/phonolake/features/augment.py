"""Augmentation of spectrograms: SpecAugment (Park et al. 2019) and mixup (Zhang et al. 2018).

Both run on numpy arrays and on torch tensors; random values come from a generator of the caller.
"""

from typing import Any, TypeVar

import numpy as np

from phonolake.errors import UsageError

Values = TypeVar("Values")  # np.ndarray or torch.Tensor


def spec_augment(
    spec_FT: Values,
    rng: np.random.Generator,
    *,
    frequency_masks: int = 2,
    widest_band: int = 8,
    time_masks: int = 2,
    longest_time: int = 40,
    fill: float | None = None,
) -> Values:
    """Mask bands of frequency and stretches of time.

    Parameters
    ----------
    spec_FT : array or tensor, shape (..., F, T)
        Left alone: the result is a copy.
    frequency_masks, time_masks : int
        How many of each.
    widest_band, longest_time : int
        Each mask is 0 ... this many bands or frames wide, all widths and places being equally likely; never all of
        the spectrogram.
    fill : float, optional
        Value of the mask; the mean by default.
    """
    spec: Any = spec_FT
    result: Any = spec.copy() if isinstance(spec, np.ndarray) else spec.clone()
    n_bands, n_frames = spec.shape[-2:]
    value = spec.mean() if fill is None else fill
    for start, stop in _masks(rng, frequency_masks, widest_band, n_bands):
        result[..., start:stop, :] = value
    for start, stop in _masks(rng, time_masks, longest_time, n_frames):
        result[..., start:stop] = value
    return result


def _masks(rng: np.random.Generator, number: int, widest: int, size: int) -> list[tuple[int, int]]:
    if number < 0 or widest < 0:
        raise UsageError(f"masks are counted from 0 on; received {number} of up to {widest}")
    found = []
    for _ in range(number):
        width = int(rng.integers(min(widest, size - 1) + 1))
        start = int(rng.integers(size - width + 1))
        found.append((start, start + width))
    return found


def mixup(
    x: Values, y: Values, partner_x: Values, partner_y: Values, rng: np.random.Generator, *, alpha: float = 0.2
) -> tuple[Values, Values, float]:
    """Mix two examples and their targets in the same proportion, drawn from Beta(alpha, alpha).

    Returns
    -------
    x, y : as they came
        lam * first + (1 - lam) * second.
    lam : float
        The proportion, in [0, 1].
    """
    if not alpha > 0:
        raise UsageError(f"alpha of a mixup is above 0; received {alpha}")
    lam = float(rng.beta(alpha, alpha))
    (x1, y1), (x2, y2) = _pair(x, y), _pair(partner_x, partner_y)
    return lam * x1 + (1 - lam) * x2, lam * y1 + (1 - lam) * y2, lam


def _pair(*values: Any) -> tuple[Any, ...]:
    """Arrays or tensors, both of which know arithmetic."""
    return values
