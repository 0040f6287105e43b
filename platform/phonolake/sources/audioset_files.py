"""AudioSet's own tables: the segments, their labels and how many labels the owners checked."""

import csv
import io
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from phonolake.errors import UsageError
from phonolake.records import Seconds
from phonolake.sources import tables

SEGMENTS = {
    "balanced": "balanced_train_segments.csv",
    "eval": "eval_segments.csv",
    "unbalanced": "unbalanced_train_segments.csv",
}
COLUMNS = "YTID, start_seconds, end_seconds, positive_labels"
YTID = re.compile(r"[A-Za-z0-9_-]{11}")
HEADER = re.compile(r"[\"'# ]*(ytid|youtube_id|video_id)\b", re.IGNORECASE)
STATED = re.compile(r"num_segs=(\d+)")


@dataclass(frozen=True, slots=True)
class VideoSegment:
    """A part of a video.

    Parameters
    ----------
    ytid : str
        The video: 11 letters, digits, ``-`` and ``_``; it may begin with ``-``.
    start, end : Seconds
        Where the segment lies in the video.
    labels : tuple of str
        Display names.
    file : str
        ``balanced``, ``eval`` or ``unbalanced``.
    """

    ytid: str
    start: Seconds
    end: Seconds
    labels: tuple[str, ...]
    file: str


def locate(root: Path, name: str) -> Path:
    """The path of a table: in the folder itself, or in ``metadata`` below it."""
    inner = root / "metadata" / name
    return inner if inner.is_file() and not (root / name).is_file() else root / name


def read_segments(root: Path, wanted: Sequence[str], names: Mapping[str, str]) -> list[VideoSegment]:
    """Segments of the wanted files (of all that are there, when none are named), in their order.

    A video that stands in two files is taken from the first of them.

    Parameters
    ----------
    names : mapping
        Display name of every label id.

    Raises
    ------
    UsageError
        If a file is missing or damaged.
    """
    chosen = [name for name in SEGMENTS if name in (wanted or present(root))]
    found: dict[str, VideoSegment] = {}
    for name in chosen:
        for segment in _read(locate(root, SEGMENTS[name]), name, names):
            before = found.setdefault(segment.ytid, segment)
            if before is not segment and before.file == name:
                raise UsageError(
                    f"{SEGMENTS[name]} names the video {segment.ytid} twice: fetch the official file again"
                )
    return list(found.values())


def present(root: Path) -> list[str]:
    """Names of the segment tables that are there."""
    return [name for name, file in SEGMENTS.items() if locate(root, file).is_file()]


def _read(path: Path, file: str, names: Mapping[str, str]) -> list[VideoSegment]:
    # The largest table has two million lines: they are read one by one, never into a list.
    lines = io.StringIO(tables.text(path, "AudioSet's segments"), newline=None)
    # Comments and the names of the columns stand above the segments, or neither does. An id of Excel's own, #NAME?,
    # looks like a comment.
    head = list(itertools.takewhile(_is_above, filter(str.strip, lines)))
    lines.seek(0)
    found = []
    # Most segments share their labels with many others: each combination is looked up, and stored, once.
    known: dict[str, tuple[str, ...]] = {}
    rows = itertools.islice(filter(str.strip, lines), len(head), None)
    first = next(rows, "")
    delimiter = max((",", "\t", ";"), key=lambda d: (len(next(csv.reader([first], delimiter=d), [])) == 4, d == ","))
    reader = csv.reader(itertools.chain([first], rows), delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        for cells in reader:
            if any(cells):
                found.append(_segment(cells, file, names, known, path))
    except csv.Error as error:
        raise UsageError(f"{path} is not AudioSet's segments: {error}") from error
    stated = STATED.search(" ".join(head))
    if not found and not head:
        raise UsageError(f"{path} is not AudioSet's segments: it is empty")
    if stated and int(stated[1]) != len(found):
        raise UsageError(f"{path} says num_segs={stated[1]} and holds {len(found)}: fetch the official file again")
    return found


def _is_above(line: str) -> bool:
    """Whether a line stands above the segments: a comment, or the names of the columns in any form."""
    return (line.lstrip('"').startswith("#") and "#NAME?" not in line) or bool(HEADER.match(line))


def _segment(
    cells: list[str], file: str, names: Mapping[str, str], known: dict[str, tuple[str, ...]], path: Path
) -> VideoSegment:
    if cells[0] == "#NAME?":
        raise UsageError(f"{path} holds #NAME?, which Excel makes of ids that begin with a dash: fetch the file again")
    if len(cells) != 4 or not YTID.fullmatch(cells[0]):
        raise UsageError(f"{path}: a segment is {COLUMNS}; received {', '.join(cells)[:80]!r}")
    where = f"{path}, {cells[0]!r}"
    start, end = (tables.number(cell, float, where) for cell in cells[1:3])
    if not 0 <= start < end:
        raise UsageError(f"{where}: a segment cannot last from {start:g} to {end:g} s")
    if cells[3] not in known:
        ids = cells[3].split(",")
        unknown = [i for i in ids if i not in names]
        if unknown:
            raise UsageError(f"{where}: the label {unknown[0]!r} does not stand in class_labels_indices.csv")
        known[cells[3]] = tuple(dict.fromkeys(names[i] for i in ids))
    return VideoSegment(cells[0], Seconds(start), Seconds(end), known[cells[3]], file)


def read_quality(root: Path) -> dict[str, tuple[int, int]]:
    """How many uses of a label id were checked and how many were right; empty where the table is not there."""
    path = locate(root, "qa_true_counts.csv")
    if not path.is_file():
        return {}
    found = {}
    for row in tables.rows(path, ("num_rated", "num_true"), "AudioSet's quality counts"):
        label = next(iter(row.values())).strip()
        rated, true = (tables.whole(row[name], f"{path}, {label}: {name}") for name in ("num_rated", "num_true"))
        found[label] = rated, true
    return found
