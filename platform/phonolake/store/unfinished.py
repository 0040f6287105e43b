"""Folders of unfinished trainings: whether they are still needed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from phonolake.files import is_locked, locked

TRAINING = ".training"
LOCK = "lock"
# A killed training can be continued for this long after its last checkpoint.
KEPT_SECONDS = 24 * 3600


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder while the block runs; the workers of one training share it.

    The system releases it when the process ends in any way.
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
