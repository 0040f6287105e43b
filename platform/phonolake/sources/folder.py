"""Any tree of audio files: the folder of a file is its label."""

import os
from collections.abc import Iterator
from pathlib import Path

from phonolake.audio.containers import EXTENSIONS
from phonolake.records import Recording
from phonolake.sources.contract import Folder, SourceCard

CARD = SourceCard(
    name="folder",
    summary="Any tree of audio files; the parent folder is the label, tags are read from the files",
    homepage="",
    licence="as the files say",
    citation="",
    layout="DIR/LABEL/anything.mp3 (wav, flac, ogg, opus, m4a, m4b, aiff, au, caf, w64, wma, webm, ac3, ape, mpc, tak, "
    "tta, wv); deeper trees are fine",
    labels="names of the folders; the genre in a file's own tags stands beside them",
)
# It is the user's own tree: link targets belong to it.
FOLLOWS_LINKS = True
READS = ()


def recordings(root: Path) -> Iterator[Recording]:
    """Audio files below `root` by file extension, in order of their paths; hidden ones are skipped."""
    return (recording for folder in folders(root) for recording in recordings_in(root, folder))


def folders(root: Path) -> Iterator[Folder]:
    """Every folder below `root` that is not hidden. Links to folders are not followed, except for the root itself."""
    top = os.fspath(root)
    for path, names in _folders(root):
        below = path.removeprefix(top).lstrip("/")
        audio = [name for name in names if _is_audio(name)]
        others = [name for name in names if not _is_audio(name)] if len(audio) < len(names) else []
        yield Folder(path, _source_id(below) + "/" if below else "", audio, others)


def recordings_in(root: Path, folder: Folder) -> Iterator[Recording]:
    """The recordings of one folder."""
    # Values that are common to a folder are computed once.
    named = os.path.basename(folder.path if folder.prefix else os.path.realpath(root))
    labels, parent = (_text(named),), Path(folder.path)
    for name in folder.names:
        yield Recording(source_id=folder.prefix + _source_id(name), path=parent / name, labels=labels)


def passed_over(root: Path) -> Iterator[Path]:
    """Files below `root` without an audio file extension; hidden ones do not count."""
    return (Path(folder.path, name) for folder in folders(root) for name in folder.others)


def _is_audio(name: str) -> bool:
    stem, dot, ending = name.rpartition(".")
    return bool(stem and dot) and ending.lower() in EXTENSIONS


def _folders(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Every folder below `root` that is not hidden, with the names of its files that are not."""
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        yield folder, sorted(name for name in files if not name.startswith("."))


def _source_id(name: str) -> str:
    """A relative path as an id: backslashes are doubled, so that no name looks like another one's escapes."""
    return _text(name.replace("\\", r"\\"))


def _text(name: str) -> str:
    """A file name as valid Unicode: bytes that are no UTF-8 show as escapes."""
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "backslashreplace")
