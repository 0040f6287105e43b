"""The index of the embeddings of one model: segments in a folder, and a card that lists the valid ones.

    INDEX/card.json     the segments, their shards, and measurements; replaced in one rename
    INDEX/SEGMENT/      `phonolake.search.segment`: never changed except for the metadata of its tracks

Cosine similarity is the inner product of vectors of length one.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from phonolake.errors import PhonolakeError
from phonolake.files import standing, write
from phonolake.search import earlier
from phonolake.search.segment import Segment

CARD = "card.json"
# Format of the folder. The first had its ids in JSON, the second was one FAISS file with ids in Arrow (until December
# 2026).
FORMAT = 3
# If the card is replaced this often while the index is opened, another process must be faulty.
OPENINGS = 20


@dataclass(frozen=True, slots=True)
class SourceShard:
    """A shard of embeddings or of a table of metadata, as it was when it was read.

    Parameters
    ----------
    rows, bytes : int, optional
        None if an earlier index did not store them.
    """

    file: str
    rows: int | None = None
    bytes: int | None = None

    def is_in(self, published: "dict[str, SourceShard]") -> bool:
        """Whether it is still published, with the same content."""
        found = published.get(self.file)
        return found is not None and (self.rows is None or found == self)


@dataclass(frozen=True, slots=True)
class IndexSegment:
    """A segment as the card names it.

    Parameters
    ----------
    name : str
        Its folder.
    shards : tuple of Source
        The shards of its vectors, in the order in which its tracks number them.
    shown : dict of str to tuple of Source
        By table, the shards of title, artist and labels.
    facts : dict
        Kind, n, and measurements: see `phonolake.search.recall`.
    """

    name: str
    shards: tuple[SourceShard, ...]
    shown: dict[str, tuple[SourceShard, ...]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, card: dict[str, Any]) -> "IndexSegment":
        """From an entry of a card."""
        shown = {table: _sources(rows) for table, rows in card["shown"].items()}
        return cls(str(card["name"]), _sources(card["shards"]), shown, dict(card["facts"]))

    @property
    def n(self) -> int:
        """Number of its vectors."""
        return int(self.facts["n"])

    def card(self) -> dict[str, Any]:
        """The entry that `of` reads."""
        return {
            "name": self.name,
            "shards": _rows(self.shards),
            "shown": {table: _rows(sources) for table, sources in sorted(self.shown.items())},
            "facts": self.facts,
        }


@dataclass(frozen=True, slots=True)
class Card:
    """The description of an index.

    Parameters
    ----------
    settings : dict
        ``kind``, ``recall`` and ``seed`` as requested.
    format : int
        Format of the folder.
    """

    run_id: str
    parts: tuple[IndexSegment, ...]
    settings: dict[str, Any]
    format: int = FORMAT

    @property
    def n(self) -> int:
        """Number of vectors in all segments."""
        return sum(part.n for part in self.parts)

    @property
    def recall(self) -> float | None:
        """Measured share of the 10 nearest that are found; None for an earlier index."""
        found = [part.facts.get("recall") for part in self.parts]
        if not self.n or None in found:
            return None
        return sum(float(part.facts["recall"]) * part.n for part in self.parts) / self.n

    @property
    def kinds(self) -> str:
        """Kinds of its segments, largest segment first."""
        parts = sorted(self.parts, key=lambda part: -part.n)
        return ", ".join(dict.fromkeys(str(part.facts["kind"]) for part in parts))


@dataclass(frozen=True, slots=True)
class Index:
    """An open index: its card, and its segments in the same order."""

    card: Card
    segments: tuple[Segment, ...]

    def track_ids(self) -> list[str]:
        """All its tracks, segment by segment."""
        return [track_id for segment in self.segments for track_id in segment.tracks.ids().to_pylist()]


def read_card(folder: Path) -> Card | None:
    """The card of the index in a folder; None if there is none, or an unreadable one."""
    try:
        card = json.loads((standing(folder) / CARD).read_text(encoding="utf-8"))
        if int(card.get("format", 1)) < FORMAT:
            facts = earlier.facts(card)
            shards = tuple(SourceShard(str(file)) for file in card["files"])
            return Card(
                str(card.get("run_id", "")), (IndexSegment(".", shards, {}, facts),), {}, int(card.get("format", 1))
            )
        parts = tuple(IndexSegment.of(part) for part in card["segments"])
        return Card(str(card["run_id"]), parts, dict(card["settings"]), int(card["format"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_card(folder: Path, card: Card) -> None:
    """Make these segments the valid ones; earlier ones are deleted when the folder is `swept`."""
    facts = {
        "format": card.format,
        "run_id": card.run_id,
        "settings": card.settings,
        "segments": [part.card() for part in card.parts],
    }
    write(folder / CARD, (json.dumps(facts, indent=1, sort_keys=True) + "\n").encode())


def load(folder: Path, *, searched: bool = True) -> Index:
    """Open an index; the vectors stay on disk until they are read.

    Parameters
    ----------
    searched : bool
        As for `Segment.read`; indexes of earlier formats are always opened whole.

    Raises
    ------
    PhonolakeError
        When there is none, or it is damaged.
    """
    for _ in range(OPENINGS):
        before = stamp(folder)
        card = read_card(folder)
        if card is None:
            raise PhonolakeError(f"no index at {folder}: run `phonolake index`")
        try:
            return Index(card, tuple(_open(standing(folder), card, part, searched) for part in card.parts))
        except (RuntimeError, OSError, ValueError, KeyError, TypeError) as error:
            # Another job may have replaced its segments.
            if stamp(folder) == before:
                raise PhonolakeError(
                    f"the index at {folder} cannot be read ({error}): run `phonolake index --again`"
                ) from error
    raise PhonolakeError(f"{folder} is replaced again and again while it is read: wait for the jobs that do so")


def load_some(folder: Path, names: Sequence[str]) -> list[Segment]:
    """Open some segments of an index, by their names.

    Raises
    ------
    PhonolakeError
        When one is not there, or damaged.
    """
    card = read_card(folder)
    try:
        facts = {part.name: part.facts for part in card.parts} if card else {}
        return [Segment.read(standing(folder) / name, facts[name]) for name in names]
    except (RuntimeError, OSError, ValueError, KeyError, TypeError) as error:
        raise PhonolakeError(
            f"the index at {folder} is damaged, or was replaced just now ({error}): ask again"
        ) from error


def _open(folder: Path, card: Card, part: IndexSegment, searched: bool) -> Segment:
    if card.format < FORMAT:
        return earlier.segment(folder, part.facts)
    return Segment.read(folder / part.name, part.facts, searched=searched)


def stamp(folder: Path) -> tuple[int, int] | None:
    """A value that changes whenever the card is replaced; None if there is none."""
    try:
        # Called before each query: check the usual place first.
        facts = os.stat(f"{folder}/{CARD}")
    except OSError:
        try:
            facts = os.stat(standing(folder) / CARD)
        except OSError:
            return None
    return facts.st_ino, facts.st_mtime_ns


def _sources(rows: list[list[Any]]) -> tuple[SourceShard, ...]:
    return tuple(SourceShard(str(file), n, size) for file, n, size in rows)


def _rows(sources: tuple[SourceShard, ...]) -> list[list[Any]]:
    return [[source.file, source.rows, source.bytes] for source in sources]
