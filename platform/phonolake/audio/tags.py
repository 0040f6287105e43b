"""Title, artist, album, year and genres from the tags inside a file."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

import av
import mutagen
from mutagen.aiff import AIFF
from mutagen.apev2 import APETextValue, APEv2
from mutagen.asf import ASFBaseAttribute
from mutagen.id3 import ID3, TCON, Frames, Frames_2_2, TextFrame
from mutagen.wave import WAVE

from phonolake.audio import containers
from phonolake.audio.encoded import Encoded, opened
from phonolake.audio.ffmpeg import OPTIONS

# Names of the fields in ID3, Vorbis comments and APEv2, MP4, ASF, and as FFmpeg calls those of RIFF, AIFF and Matroska.
KEYS = {
    "title": ("tit2", "title", "\xa9nam"),
    "artist": ("tpe1", "artist", "\xa9art", "author"),
    "album": ("talb", "album", "\xa9alb", "wm/albumtitle"),
    "date": ("tdrc", "tyer", "tdrl", "date", "year", "\xa9day", "wm/year"),
    "genre": ("tcon", "genre", "\xa9gen", "wm/genre"),
}
# 2003, 2003-05-01, 200305, 20030501, 03/05/2003: a year that stands alone, or begins digits of a month and a day.
YEAR = re.compile(r"(?<!\d)([12]\d{3})(?:(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])?)?(?!\d)")
# Mutagen changes or drops dates that do not follow ID3, so dates are kept as texts.
AS_WRITTEN: Any = {
    "known_frames": Frames | Frames_2_2 | {name: type(name, (TextFrame,), {}) for name in ("TDRC", "TDRL")},
    "translate": False,
}
SEPARATORS = re.compile(r"[;/,|\\]")

# Texts by the name of their field, in lower case.
Tags = Mapping[str, list[str]]


@dataclass(frozen=True, slots=True)
class FileTags:
    """The metadata in a file; None for missing values.

    Parameters
    ----------
    year : int, optional
        From 1000 to 2999.
    genres : tuple of str
        Every separately stored value, unchanged: ``"Rock; Pop / Indie"`` is one.
    """

    title: str | None = None
    artist: str | None = None
    album: str | None = None
    year: int | None = None
    genres: tuple[str, ...] = ()


def read_tags(data: Encoded) -> FileTags:
    """Read the tags of a file; empty for a file without tags, or with broken ones."""
    found = [_texts(tags) for tags in _tags_of(data) if tags]

    def said(field: str) -> list[str]:
        """Values of the first name that has any; where a file has tags of two kinds, of the first kind that does."""
        for tags in found:
            for key in KEYS[field]:
                values = [text for value in tags.get(key, ()) if (text := value.strip(" \t\r\n\0"))]
                if values:
                    return values
        return []

    def first(field: str) -> str | None:
        return next(iter(said(field)), None)

    dates = (value for tags in found for key in KEYS["date"] for value in tags.get(key, ()))
    year = next((match for date in dates if (match := YEAR.search(date))), None)
    genres = tuple(dict.fromkeys(said("genre")))
    return FileTags(first("title"), first("artist"), first("album"), int(year[1]) if year else None, genres)


def split_genres(genres: tuple[str, ...]) -> tuple[str, ...]:
    """The genres that values such as ``"Rock; Pop / Indie"`` list between ``;``, ``/``, ``,``, ``|`` or backslashes."""
    parts = (part.strip() for genre in genres for part in SEPARATORS.split(genre))
    return tuple(dict.fromkeys(part for part in parts if part))


def _tags_of(data: Encoded) -> list[Any]:
    """All kinds of tags in the file, from mutagen or FFmpeg, in order of precedence."""
    container = containers.sniff(data)
    if container in ("WAV", "AIFF"):
        # To see that a short WAV has no tags takes mutagen longer than decoding takes.
        names = {name.upper() for name in containers.chunks(data, container)}
        kind = WAVE if container == "WAV" else AIFF
        id3 = _read(data, lambda stream: kind(stream, **AS_WRITTEN).tags) if b"ID3 " in names else None
        return [id3, _read(data, _by_ffmpeg) if names & {b"LIST", b"NAME", b"AUTH"} else None]
    if container == "MATROSKA":
        return [_read(data, _by_ffmpeg)]
    if container is None:
        id3, ape = _read(data, lambda stream: ID3(stream, **AS_WRITTEN)), _read(data, APEv2)
        # ID3v1 cuts its texts off after thirty letters.
        return [ape, id3] if id3 and id3.version < (2,) else [id3, ape]
    return [_read(data, lambda stream: getattr(mutagen.File(stream), "tags", None))] if container != "AU" else []


def _read(data: Encoded, read: Callable[[BinaryIO], Any]) -> Any:
    """What a library finds in the file; None where it finds nothing, or fails."""
    # With broken headers mutagen raises arbitrary errors: struct.error, IndexError, its own.
    # Closed at once, since some of its objects refer to each other and would keep the bytes for a while.
    with suppress(Exception), opened(data) as stream:
        return read(stream)
    return None


def _by_ffmpeg(stream: BinaryIO) -> dict[str, str]:
    """What FFmpeg reads: RIFF's LIST of INFO, text chunks of AIFF, tags of Matroska."""
    with av.open(stream, metadata_errors="surrogateescape", options=OPTIONS) as container:
        return {key: _decoded(value) for key, value in container.metadata.items()}


def _decoded(text: str) -> str:
    """RIFF does not say how its letters are written: where it is not UTF-8, as Windows wrote them in the West."""
    written = text.encode("utf-8", "surrogateescape")
    try:
        return written.decode("utf-8")
    except UnicodeDecodeError:
        return written.decode("cp1252", "replace")


def _texts(tags: Mapping[str, Any]) -> Tags:
    return {key.lower(): list(_values(value)) for key, value in tags.items()}


def _values(value: Any) -> Iterator[str]:
    """The texts of one tag: of a frame, an attribute, or a list of either."""
    if isinstance(value, TCON):
        # By name, also where a number stands for one.
        yield from value.genres
    elif isinstance(value, TextFrame):
        yield from map(str, value.text)  # type: ignore[attr-defined]
    elif isinstance(value, str):
        yield value
    elif isinstance(value, ASFBaseAttribute):
        yield str(value)
    elif isinstance(value, list | APETextValue):
        for item in value:
            yield from _values(item)
