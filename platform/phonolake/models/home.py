"""The model home: stored models that belong to no lake, such as those with weights that others have published.

It is the folder in the environment variable ``PHONOLAKE_MODELS``, by default ``~/.local/share/phonolake/models``.
"""

import os
from pathlib import Path

from phonolake.errors import UsageError
from phonolake.models import storage
from phonolake.models.loaded import LoadedModel

VARIABLE = "PHONOLAKE_MODELS"


def folder() -> Path:
    """Where the models lie; it need not exist yet."""
    chosen = os.environ.get(VARIABLE)
    return Path(chosen).expanduser() if chosen else Path.home() / ".local" / "share" / "phonolake" / "models"


def place(name: str) -> Path:
    """Folder of the model called `name`, whether or not it exists."""
    return folder() / name


def has(name: str) -> bool:
    """Whether a model called `name` is stored here."""
    return (place(name) / storage.CARD_FILE).is_file()


def load(name: str, *, device: str = "cpu") -> LoadedModel:
    """Load the model called `name`.

    Raises
    ------
    UsageError
        If there is none.
    PhonolakeError
        If its files are damaged.
    """
    if not has(name):
        raise UsageError(
            f"there is no {name!r} in {folder()}: `phonolake models fetch {name}` downloads it, "
            f"`phonolake models import {name} FILE` takes a file that you have"
        )
    return storage.load(place(name), device=device)
