"""The identity of a recording independent of its file: a hash of its decoded samples."""

import hashlib
from collections.abc import Iterable

import numpy as np

from phonolake.audio.decode import open_blocks
from phonolake.audio.encoded import Encoded


def digest(data: Encoded) -> str:
    """SHA-256 of sampling rate, channels and decoded samples; lossless files of one recording have the same.

    Parameters
    ----------
    data : Encoded
        The file as received, in memory or not.

    Raises
    ------
    AudioError
        ``not-audio`` or ``corrupt``.
    """
    header, blocks = open_blocks(data)
    return digest_of(header.sr, blocks)


def digest_of(sr: int, blocks: Iterable[np.ndarray]) -> str:
    """`digest` of blocks of shape (n, channels), float32, however they are cut."""
    found = hashlib.sha256()
    channels = 0
    for x_TC in blocks:
        channels = x_TC.shape[1]
        # Adding zero makes one of the two zeros of floating point.
        found.update(np.ascontiguousarray(x_TC + np.float32(0), "<f4").tobytes())
    found.update(f"{sr} {channels}".encode())
    return found.hexdigest()
