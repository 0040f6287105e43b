"""Find the recording of a name in a table: an id, a path of another machine, or a file name."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from phonolake.audio.containers import EXTENSIONS

# How a name matched: exactly, with another file extension, in other letters or as a number.
AS_IT_STANDS, ANOTHER_ENDING, LOOSELY = range(3)
# Markers of smaller copies before the file extension: MTG-Jamendo's, and previews of the Million Song Dataset.
COPIES = (".low", ".clip")


@dataclass(frozen=True, slots=True)
class Named:
    """A recording: its track id, its id inside the dataset, and where its file lay."""

    track_id: str
    source_id: str
    path: str


@dataclass(frozen=True, slots=True)
class Match:
    """The matches of a name: one track, or several equally good ones; and how it matched."""

    track_ids: tuple[str, ...]
    level: int = AS_IT_STANDS


class Names:
    """The names of some recordings.

    A name with folders matches a recording whose folders are the same from the end, as far as both go, because tables
    come from other machines with other roots.
    """

    def __init__(self, recordings: Iterable[Named]) -> None:
        self._known: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = []
        self._ids: dict[str, list[int]] = {}
        self._index: tuple[dict[str, list[int]], ...] = ({}, {}, {})
        for recording in recordings:
            place = len(self._known)
            inside, outside = _parts(recording.source_id), _parts(recording.path)
            self._known.append((recording.track_id, inside[:-1], outside[:-1]))
            for name in {recording.track_id, _plain(recording.source_id)}:
                self._ids.setdefault(name, []).append(place)
            for level in (AS_IT_STANDS, ANOTHER_ENDING, LOOSELY):
                for key in {_key(parts[-1], level) for parts in (inside, outside) if parts}:
                    self._index[level].setdefault(key, []).append(place)

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[str]:
        """The track ids."""
        return (track_id for track_id, *_ in self._known)

    def find(self, text: str) -> Match | None:
        """The recording of a name; None if there is none."""
        if exact := self._ids.get(_plain(text)):
            return Match(tuple(self._known[place][0] for place in exact))
        parts = _parts(text)
        if not parts:
            return None
        for level, index in enumerate(self._index):
            scores = {place: self._common(place, parts[:-1]) for place in index.get(_key(parts[-1], level), ())}
            fitting = {place: score for place, score in scores.items() if score is not None}
            if fitting:
                best = max(fitting.values())
                return Match(tuple(self._known[place][0] for place, score in fitting.items() if score == best), level)
        return None

    def _common(self, place: int, folders: tuple[str, ...]) -> tuple[int, bool] | None:
        """How many folders a name shares with a recording, from the end, and whether these are all of both.

        None where they contradict each other.
        """
        _, inside, outside = self._known[place]
        if inside and folders and not _shared(inside, folders):
            return None
        return max((_shared(own, folders), len(own) == len(folders)) for own in (inside, outside))


def _shared(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    n = 0
    while n < min(len(one), len(other)) and one[-1 - n].casefold() == other[-1 - n].casefold():
        n += 1
    return n


def _plain(text: str) -> str:
    """A text in one form of Unicode: file systems of Macs decompose letters with accents."""
    return unicodedata.normalize("NFC", text.strip())


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part for part in re.split(r"[\\/]+", _plain(text)) if part not in ("", "."))


def _key(name: str, level: int) -> str:
    if level == AS_IT_STANDS:
        return name
    stem, _, ending = name.rpartition(".")
    stem = stem if stem and ending.lower() in EXTENSIONS else name
    if level == ANOTHER_ENDING:
        return stem
    for copy in COPIES:
        stem = stem.removesuffix(copy)
    # Spreadsheets treat 000002 as a number.
    stem = re.sub(r"^(\d+)\.0+$", r"\1", stem)
    return (stem.lstrip("0") or "0") if stem.isdigit() else stem.casefold()
