"""Folders of trainings that are not finished: whether somebody still needs what they hold."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from phonolake.files import is_locked, locked

TRAINING = ".training"
LOCK = "lock"
# A training that was killed may be gone on with for so long after its last checkpoint.
KEPT_SECONDS = 24 * 3600


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder while the block runs; the workers of one training hold it together.

    The system lets go of it when the process ends, however it ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / LOCK, shared=True):
        yield


def is_needed(folder: Path, *, finished: bool) -> bool:
    """Whether a process of this machine holds the folder, or an unfinished training wrote to it within the last day."""
    if is_locked(folder / LOCK):
        return True
    newest = max((path.stat().st_mtime for path in folder.glob("*") if path.name != LOCK), default=0.0)
    return not finished and time.time() - newest < KEPT_SECONDS
