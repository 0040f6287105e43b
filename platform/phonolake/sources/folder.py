"""Any tree of audio files: the folder that a file lies in is its label."""

import os
from collections.abc import Iterator
from pathlib import Path

from phonolake.audio.containers import EXTENSIONS
from phonolake.records import Recording
from phonolake.sources.contract import SourceCard

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
# It is the user's own tree: what it links to belongs to it.
FOLLOWS_LINKS = True


def recordings(root: Path) -> Iterator[Recording]:
    """Audio files below `root` by the ending of their names, in order of their paths; hidden ones are passed over."""
    for path in _files(root):
        if _is_audio(path):
            yield Recording(
                # Backslashes are doubled, so that no name looks like another one's escapes.
                source_id=_text(path.relative_to(root).as_posix().replace("\\", r"\\")),
                path=path,
                labels=(_text(path.parent.resolve().name),),
            )


def passed_over(root: Path) -> Iterator[Path]:
    """Files below `root` that are no recordings by the ending of their names; hidden ones do not count."""
    return (path for path in _files(root) if not _is_audio(path))


def _is_audio(path: Path) -> bool:
    return path.suffix[1:].lower() in EXTENSIONS


def _files(root: Path) -> Iterator[Path]:
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield Path(folder, name)


def _text(name: str) -> str:
    """A file name as valid Unicode: bytes that are no UTF-8 show as escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
