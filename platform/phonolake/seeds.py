"""Reproducible randomness: one random generator for each track in each epoch."""

from hashlib import blake2b

import numpy as np


def track_rng(seed: int, epoch: int, track_id: str, purpose: str = "") -> np.random.Generator:
    """Make the random generator of one track in one epoch.

    It depends only on the arguments, so a track gets the same random values in any order, on any worker and in any
    process.

    Parameters
    ----------
    seed : int
        Seed of the training run.
    epoch : int
        Epoch as the loop counts it.
    track_id : str
        Such as ``"fma:000002"``.
    purpose : str
        The use of the random values; different purposes are independent.
    """
    digest = blake2b(f"{seed}/{epoch}/{track_id}{purpose and '/'}{purpose}".encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))
