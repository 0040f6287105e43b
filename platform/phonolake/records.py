"""Small value types that every layer shares. Units are types: a `Hertz` is not a `Seconds`."""

import base64
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NewType

Seconds = NewType("Seconds", float)
Hertz = NewType("Hertz", int)

TRAIN, VALID, TEST = "train", "valid", "test"


@dataclass(frozen=True, slots=True)
class Recording:
    """One input that a source names, whether or not its audio is usable.

    Parameters
    ----------
    source_id : str
        Name inside its dataset, such as ``"000002"``; with the dataset it makes the track id ``fma:000002``.
    path : Path
        Where the encoded audio should be.
    labels : tuple of str
        Its classes in the source: a genre, the name of its folder.
    tags : tuple of str
        Its free-form tags in the source, separate from its classes.
    splits : tuple of (split, part, fold)
        Membership in the dataset's own splits: ``("official", "train", None)`` or ``("folds", None, 3)``.
    artist_id, album_id : str, optional
        The dataset's own numbers for them, because names have several spellings.
    attributes : tuple of (name, value)
        Other metadata: numbers, strings, or lists of them.
    fault : str, optional
        Why what the dataset says of it cannot be read, where `path` names the file that should say it.
    """

    source_id: str
    path: Path
    title: str | None = None
    artist: str | None = None
    album: str | None = None
    year: int | None = None
    licence: str | None = None
    labels: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    splits: tuple[tuple[str, str | None, int | None], ...] = ()
    artist_id: str | None = None
    album_id: str | None = None
    attributes: tuple[tuple[str, Any], ...] = ()
    fault: str | None = None


def plain(value: Any) -> Any:
    """A value as JSON can hold it: bytes as base64, NaN and infinite numbers as null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value
