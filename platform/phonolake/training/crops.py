"""Pieces of one length out of spectrograms of any length.

Shape suffixes: W windows, F bands, T frames.
"""

from hashlib import blake2b

import numpy as np

from phonolake.errors import UsageError


def crop_rng(seed: int, epoch: int, track_id: str) -> np.random.Generator:
    """Make the random generator of one track in one epoch.

    It depends on the three arguments alone, so a track gets the same crop whatever stands before it, on whichever
    worker, in whichever process.

    Parameters
    ----------
    seed : int
        Seed of the training run.
    epoch : int
        Epoch as the loop counts it.
    track_id : str
        Such as ``"fma:000002"``.
    """
    digest = blake2b(f"{seed}/{epoch}/{track_id}".encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))


def random_crop(spec_FT: np.ndarray, n_frames: int, rng: np.random.Generator) -> np.ndarray:
    """Cut a piece at a random place, all places being equally likely.

    Parameters
    ----------
    spec_FT : ndarray
        Spectrogram. One that is shorter than `n_frames` is repeated [1]_ and begins at its own beginning.
    n_frames : int
        Length of the piece in frames, >= 1.
    rng : numpy Generator
        For instance that of `crop_rng`.

    Returns
    -------
    crop_FT : ndarray, shape (F, n_frames)
        A view of the input where that is long enough.

    Raises
    ------
    UsageError
        If the spectrogram is not two-dimensional or has no frames, or `n_frames` is below 1.

    References
    ----------
    .. [1] J. Pons, X. Serra, "Randomly Weighted CNNs for (Music) Audio Classification", ICASSP 2019.
    """
    spec_FT = _at_least(spec_FT, n_frames)
    start = int(rng.integers(spec_FT.shape[1] - n_frames + 1))
    return spec_FT[:, start : start + n_frames]


def windows(spec_FT: np.ndarray, n_frames: int) -> np.ndarray:
    """Cover a clip with windows side by side; the last one ends where the clip ends, so it may overlap its neighbour.

    Parameters
    ----------
    spec_FT : ndarray
        Spectrogram. One that is shorter than `n_frames` is repeated to make one window.
    n_frames : int
        Length of a window in frames, >= 1.

    Returns
    -------
    windows_WFT : ndarray, shape (W, F, n_frames)
        In order of time, W = ceil(T / n_frames).

    Raises
    ------
    UsageError
        If the spectrogram is not two-dimensional or has no frames, or `n_frames` is below 1.
    """
    spec_FT = _at_least(spec_FT, n_frames)
    last = spec_FT.shape[1] - n_frames
    starts = [*range(0, last, n_frames), last]
    return np.stack([spec_FT[:, start : start + n_frames] for start in starts])


def _at_least(spec_FT: np.ndarray, n_frames: int) -> np.ndarray:
    if n_frames < 1:
        raise UsageError(f"a crop needs at least 1 frame, received n_frames={n_frames}.")
    if spec_FT.ndim != 2 or spec_FT.shape[1] == 0:
        raise UsageError(f"crops are cut from spectrograms (bands, frames > 0), received shape {spec_FT.shape}.")
    n_received = spec_FT.shape[1]
    return spec_FT if n_received >= n_frames else spec_FT[:, np.arange(n_frames) % n_received]
