"""Keep to the tree: a name that metadata gives must lie below the folder that the user named."""

from pathlib import Path, PurePosixPath

from phonolake.errors import UsageError


def below(folder: Path, name: str, said_by: Path) -> Path:
    """The path of `name` below `folder`.

    Links are not looked at here: whoever opens the file sees where they lead (`stages.ingest_files`).

    Parameters
    ----------
    name : str
        A relative path as metadata give it, with ``/`` between its parts, or ``\\`` as Windows writes it.
    said_by : Path
        The file that gives it, for the message.

    Raises
    ------
    UsageError
        For an absolute path, one that climbs with ``..``, an empty one, or one with a NUL.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
        raise UsageError(f"{said_by} names {name!r}, which does not lie below {folder}: take that line out")
    return folder.joinpath(*path.parts)


def component(name: str, said_by: Path) -> str:
    """`name` where it can be one file or folder name, and nothing else; raises a `UsageError` otherwise."""
    if name in ("", ".", "..") or any(c in name for c in "/\\\0"):
        raise UsageError(f"{said_by} names {name!r}, which is no file name: take that line out")
    return name
