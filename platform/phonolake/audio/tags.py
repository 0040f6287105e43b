"""Title, artist, album, year and genre from the tags inside a file."""

import re
from dataclasses import dataclass

import mutagen
from mutagen.id3 import ID3

from phonolake.audio import containers
from phonolake.audio.encoded import Encoded, opened

# Inside WAV and AIFF mutagen has no easy names for the frames of ID3.
FRAMES = {"title": "TIT2", "artist": "TPE1", "album": "TALB", "date": "TDRC", "genre": "TCON"}


@dataclass(frozen=True, slots=True)
class FileTags:
    """What the file says about itself; None where it says nothing."""

    title: str | None = None
    artist: str | None = None
    album: str | None = None
    year: int | None = None
    genre: str | None = None


def read_tags(data: Encoded) -> FileTags:
    """Read the tags of a file; a file without tags, or with broken ones, says nothing."""
    if not _may_have_tags(data):
        return FileTags()
    try:
        # Closed at once, since some of mutagen's objects refer to each other and would keep the bytes for a while.
        with opened(data) as stream:
            file = mutagen.File(stream, easy=True)
    except Exception:
        # Of broken headers mutagen lets out whatever its code stumbles over: struct.error, IndexError, its own.
        file = None
    if file is None or not file.tags:
        return FileTags()

    def first(key: str) -> str | None:
        try:
            values = _frame(file.tags, key) if isinstance(file.tags, ID3) else file.get(key)
        except ValueError:  # a format whose tags do not know the key
            return None
        text = str(values[0]).strip() if values else ""
        return text or None

    year = re.match(r"\d{4}", first("date") or "")
    return FileTags(first("title"), first("artist"), first("album"), int(year[0]) if year else None, first("genre"))


def _frame(tags: ID3, key: str) -> list:
    """Values of the ID3 frame that a key stands for; genres by name, also where a number stands for one."""
    frame = tags.get(FRAMES[key])
    if frame is None:
        return []
    return list(frame.genres if key == "genre" else frame.text)


def _may_have_tags(data: Encoded) -> bool:
    """Whether it is worth asking: to see that a short WAV has no tags takes mutagen longer than decoding takes."""
    container = containers.sniff(data)
    if container in ("WAV", "AIFF"):
        return any(name.upper() == b"ID3 " for name in containers.chunks(data, container))
    return container not in ("AU", "MATROSKA")
