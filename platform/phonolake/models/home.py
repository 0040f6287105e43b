"""The model home: stored models outside lakes, such as those with published weights.

It is the folder in the environment variable ``PHONOLAKE_MODELS``, by default ``~/.local/share/phonolake/models``.
"""

import os
from pathlib import Path
from typing import Any

from phonolake.errors import PhonolakeError, UsageError
from phonolake.models import storage
from phonolake.models.loaded import LoadedModel

VARIABLE = "PHONOLAKE_MODELS"
ADVICE = f"name another folder in {VARIABLE}"
DEFAULT = "~/.local/share/phonolake/models"


def folder() -> Path:
    """The folder of the models; it need not exist yet."""
    try:
        return Path(os.environ.get(VARIABLE) or DEFAULT).expanduser()
    except RuntimeError as error:
        raise UsageError(f"this user has no home folder: name one for models in {VARIABLE}") from error


def place(name: str) -> Path:
    """Folder of the model called `name`, whether or not it exists."""
    return folder() / name


def check_writable() -> None:
    """Check whether models can be stored, without creating anything.

    Raises
    ------
    PhonolakeError
        If the home cannot be made, or nothing can be written there.
    """
    home = folder()
    there = next(path for path in (home, *home.parents) if path.exists())
    if not there.is_dir():
        raise PhonolakeError(f"models cannot be stored in {home} ({there} is not a folder): {ADVICE}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PhonolakeError(f"models cannot be stored in {home} ({there} is not writable): {ADVICE}")


def has(name: str) -> bool:
    """Whether a model called `name` is stored here."""
    return (place(name) / storage.CARD_FILE).is_file()


def card(name: str) -> dict[str, Any]:
    """The card of the model called `name`; the errors are those of `load`."""
    _check_there(name)
    return storage.read_card(place(name))


def load(name: str, *, device: str = "cpu") -> LoadedModel:
    """Load the model called `name`.

    Raises
    ------
    UsageError
        If there is none.
    PhonolakeError
        If its files are damaged.
    """
    _check_there(name)
    return storage.load(place(name), device=device)


def _check_there(name: str) -> None:
    if not has(name):
        raise UsageError(
            f"there is no {name!r} in {folder()}: `phonolake models fetch {name}` downloads it, "
            f"`phonolake models import {name} FILE` takes a file that you have"
        )
