"""Confine names from metadata to the folder that the user named."""

from pathlib import Path, PurePosixPath

from phonolake.errors import UsageError


def below(folder: Path, name: str, said_by: Path) -> Path:
    """The path of `name` below `folder`.

    Links are not checked here, but when the file is opened (`stages.ingest_files`).

    Parameters
    ----------
    name : str
        A relative path from the metadata, with ``/`` between its parts, or ``\\`` as Windows writes it.
    said_by : Path
        The file that gives it, for the message.

    Raises
    ------
    UsageError
        For an absolute path, one that climbs with ``..``, an empty one, or one with a NUL.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
        raise UsageError(f"{said_by} names {name!r}, which is not below {folder}: remove that line")
    return folder.joinpath(*path.parts)


def component(name: str, said_by: Path) -> str:
    """`name` if it is a valid file or folder name; raises a `UsageError` otherwise."""
    if name in ("", ".", "..") or any(c in name for c in "/\\\0"):
        raise UsageError(f"{said_by} names {name!r}, which is not a file name: remove that line")
    return name
