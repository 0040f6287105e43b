"""Chance that can be repeated: one random generator for each track in each epoch, whatever came before."""

from hashlib import blake2b

import numpy as np


def track_rng(seed: int, epoch: int, track_id: str, purpose: str = "") -> np.random.Generator:
    """Make the random generator of one track in one epoch.

    It depends on the arguments alone, so a track meets the same chance whatever stands before it, on whichever worker,
    in whichever process.

    Parameters
    ----------
    seed : int
        Seed of the training run.
    epoch : int
        Epoch as the loop counts it.
    track_id : str
        Such as ``"fma:000002"``.
    purpose : str
        What the chance decides about: other purposes are independent of each other.
    """
    digest = blake2b(f"{seed}/{epoch}/{track_id}{purpose and '/'}{purpose}".encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))
