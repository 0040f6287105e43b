"""Crops of fixed length from spectrograms and waveforms of any length. Time is the last axis.

Shape suffixes: W windows, X any axes (bands; channels and bands; none), T steps in time (frames or samples).
"""

import numpy as np

from phonolake.errors import UsageError


def random_crop(x_XT: np.ndarray, n_steps: int, rng: np.random.Generator) -> np.ndarray:
    """Cut a crop at a random position; all positions are equally likely.

    Parameters
    ----------
    x_XT : ndarray
        Spectrogram or waveform. One that is shorter than `n_steps` is repeated [1]_ and begins at its own beginning.
    n_steps : int
        Length of the crop, >= 1.
    rng : numpy Generator
        For instance that of `phonolake.seeds.track_rng`.

    Returns
    -------
    crop_XT : ndarray, shape (..., n_steps)
        A view of the input where that is long enough.

    Raises
    ------
    UsageError
        If the input has no steps, or `n_steps` is below 1.

    References
    ----------
    .. [1] J. Pons, X. Serra, "Randomly Weighted CNNs for (Music) Audio Classification", ICASSP 2019.
    """
    x_XT = _at_least(x_XT, n_steps)
    start = int(rng.integers(x_XT.shape[-1] - n_steps + 1))
    return x_XT[..., start : start + n_steps]


def windows(x_XT: np.ndarray, n_steps: int, *, whole: bool = False, hop: int | None = None) -> np.ndarray:
    """Cover a clip with windows side by side; the last one ends where the clip ends, so it may overlap its neighbour.

    Parameters
    ----------
    x_XT : ndarray
        Spectrogram or waveform. One that is shorter than `n_steps` is repeated to make one window.
    n_steps : int
        Length of a window, >= 1.
    whole : bool
        Discard the rest after the last whole window instead, as Lee et al. do with waveforms.
    hop : int, optional
        Steps from one window to the next, instead of side by side.

    Returns
    -------
    windows_WXT : ndarray, shape (W, ..., n_steps)
        In order of time; side by side, W = ceil(T / n_steps), or max(1, T // n_steps) of whole ones.

    Raises
    ------
    UsageError
        If the input has no steps, or `n_steps` is below 1.
    """
    x_XT = _at_least(x_XT, n_steps)
    starts = window_starts(x_XT.shape[-1], n_steps, whole=whole, hop=hop)
    return np.stack([x_XT[..., start : start + n_steps] for start in starts])


def window_starts(n_received: int, n_steps: int, *, whole: bool = False, hop: int | None = None) -> list[int]:
    """First step of each window of a clip of `n_received` steps; see `windows`."""
    last, step = max(0, n_received - n_steps), hop or n_steps
    return list(range(0, last + 1, step)) if whole else [*range(0, last, step), last]


def spread(x_XT: np.ndarray, n_steps: int, n_windows: int) -> list[np.ndarray]:
    """Cut `n_windows` windows, evenly spaced from the first step to the last; a single one from the middle."""
    x_XT = _at_least(x_XT, n_steps)
    last = x_XT.shape[-1] - n_steps
    starts = np.linspace(0, last, n_windows).round().astype(int) if n_windows > 1 else [last // 2]
    return [x_XT[..., start : start + n_steps] for start in starts]


def _at_least(x_XT: np.ndarray, n_steps: int) -> np.ndarray:
    if n_steps < 1:
        raise UsageError(f"a crop needs at least 1 step, received n_steps={n_steps}.")
    if x_XT.ndim == 0 or x_XT.size == 0:
        raise UsageError(f"crops are cut from arrays with steps in time, received shape {x_XT.shape}.")
    n_received = x_XT.shape[-1]
    return x_XT if n_received >= n_steps else x_XT[..., np.arange(n_steps) % n_received]
