"""The answers of each rater, line by line in an append-only file.

An answer is safe when `record` returns: it was appended under a lock and flushed to disk. One file for each rater,
`LAKE/annotations/RATER.jsonl`, so that raters never wait for each other; two windows of one rater take turns. The lines
are the whole history, including undone answers; `standing` gives the current ones. A line that a power failure left
half-written is closed by the next answer and skipped by readers: it was never reported as safe.

A file for each answer, or a publication for each answer, would be as safe. But a thousand answers would be a thousand
shards, or a Delta log that takes too long to read: `publication` merges the journal into one shard.
"""

import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from phonolake.annotation import batches
from phonolake.errors import PhonolakeError, UsageError
from phonolake.files import lock, sync
from phonolake.lineage import digest
from phonolake.store.lake import Lake
from phonolake.store.naming import NAMING

FOLDER = "annotations"
SUFFIX = ".jsonl"
LONGEST_NAME = 60
VALUES = (1, 0, None)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one rater says about one label of one track.

    Parameters
    ----------
    value : {1, 0, None}
        1 the label is right, 0 it is wrong, None the rater skipped it.
    annotated_at : datetime
        When, in UTC.
    sample : str, optional
        Sample of the question; None for an answer from elsewhere.
    """

    ABOUT: ClassVar = ("track_id", "label")

    track_id: str
    label: str
    value: int | None
    rater: str
    annotated_at: datetime
    sample: str | None = None


@dataclass(frozen=True, slots=True)
class TripletAnswer:
    """Which of two tracks sounds more like a third to one rater.

    Parameters
    ----------
    value : {1, 0, None}
        1 the first of the two, 0 the second, None the rater skipped it.
    annotated_at, sample
        As of `Answer`.
    """

    ABOUT: ClassVar = ("track_id", "first_id", "second_id")

    track_id: str
    first_id: str
    second_id: str
    value: int | None
    rater: str
    annotated_at: datetime
    sample: str | None = None


Reply = Answer | TripletAnswer


def record(lake: Lake, answers: Iterable[Reply]) -> None:
    """Append answers, each to its rater's journal; they are on the disk when this returns.

    Raises
    ------
    UsageError
        For a rater without a name, or a value other than 1, 0 and None.
    PhonolakeError
        When they could not be written; then none of that rater's answers is.
    """
    by_rater: dict[str, list[dict[str, Any]]] = {}
    for answer in answers:
        by_rater.setdefault(answer.rater, []).append(_line(answer))
    for rater, lines in by_rater.items():
        if lake.place.is_remote:
            batches.append(lake.place, _folder(rater), _text(lines))
            continue
        with _open(lake, rater) as journal:
            _append(journal, lines)


def reply(lake: Lake, answer: Reply, *, before: Reply | None) -> None:
    """Append the answer to a question that was shown with `before` as its answer; it is on the disk when this returns.

    Raises
    ------
    UsageError
        When the rater answered the question in another window meanwhile; nothing is appended. Otherwise as `record`.
    """
    line = _line(answer)

    def said(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        held = _newest(entries).get(_key(line))
        if (None if held is None else _answer(held)) != before:
            raise UsageError(
                f"{answer.rater} answered this question in another window meanwhile: what you just said"
                f"{f' about {answer.label!r}' if isinstance(answer, Answer) else ''} was not kept"
            )
        return [line]

    _add(lake, check_rater(answer.rater), said)


def undo(lake: Lake, rater: str, sample: str | None = None, *, expected: Reply | None = None) -> Reply | None:
    """Undo the newest current answer of a rater (to a sample, if given).

    Parameters
    ----------
    expected : Answer or TripletAnswer, optional
        The answer to undo; those of the other kind are skipped.

    Returns
    -------
    Answer, TripletAnswer or None
        The undone answer; None if there was none. The answer that it had replaced is current again.

    Raises
    ------
    UsageError
        When the newest is no longer the expected one; nothing is undone.
    """
    back: list[dict[str, Any]] = []

    def said(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        asked = [e for e in _alive(entries) if sample is None or e["sample"] == sample]
        back[:] = [e for e in asked if expected is None or _kind(e) is type(expected)][-1:]
        if expected is not None and (not back or _answer(back[0]) != expected):
            raise UsageError(f"{rater} went on in another window meanwhile: nothing was taken back")
        return [{"undo": e["n"], "rater": rater, "at": datetime.now(UTC).isoformat()} for e in back]

    _add(lake, check_rater(rater), said)
    return _answer(back[0]) if back else None


def standing(lake: Lake, rater: str) -> list[Answer]:
    """The current answers of a rater: the newest for each track and label, in the order in which they were given."""
    return [reply for reply in _standing(lake, rater) if isinstance(reply, Answer)]


def compared(lake: Lake, rater: str) -> list[TripletAnswer]:
    """The current comparisons of a rater, likewise."""
    return [reply for reply in _standing(lake, rater) if isinstance(reply, TripletAnswer)]


def _standing(lake: Lake, rater: str) -> list[Reply]:
    check_rater(rater)
    if lake.place.is_remote:
        return _fold(_entries(batches.read(lake.place, _folder(rater))[0]))
    path = _path(lake, rater)
    return _fold(_entries(path.read_bytes())) if path.is_file() else []


def everyone(lake: Lake) -> dict[str, list[Answer]]:
    """Current answers by rater, in order of their names; including raters who have undone all of theirs."""
    return {rater: [r for r in held if isinstance(r, Answer)] for rater, held in everything(lake).items()}


def everything(lake: Lake) -> dict[str, list[Reply]]:
    """All current answers and comparisons, as `everyone`."""
    found: dict[str, list[Reply]] = {}
    for data in _all(lake):
        entries = _entries(data)
        if entries:
            found[entries[0]["rater"]] = _fold(entries)
    return dict(sorted(found.items()))


def forget(lake: Lake, track_ids: Collection[str]) -> Iterator[tuple[str, int]]:
    """Wipe the answers about some tracks from the journals; yields each changed journal, and its number of lines.

    Lines are overwritten with spaces in place, because an undo names a line by its number and raters may be writing;
    readers skip them. The same happens to lines that a power failure left half-written.

    Raises
    ------
    PhonolakeError
        When a journal cannot be written to.
    """
    for folder in _folders(lake):
        if n := batches.wipe(lake.place, folder, lambda data: _about(data, track_ids)):
            yield folder, n
    for path in () if lake.place.is_remote else _journals(lake):
        try:
            with open(path, "r+b", buffering=0) as journal:
                lock(journal)
                spans = list(_about(_whole(journal), track_ids))
                for start, length in spans:
                    os.pwrite(journal.fileno(), b" " * length, start)
                os.fsync(journal.fileno())
        except OSError as error:
            raise PhonolakeError(f"{path} could not be cleared ({error}): make it writable and forget again") from error
        if spans:
            yield path.name, len(spans)


def naming(lake: Lake, track_ids: Collection[str]) -> list[str]:
    """Names of the journals in the lake that still contain lines about some tracks."""
    whole = {folder: batches.read(lake.place, folder)[0] for folder in _folders(lake)}
    if not lake.place.is_remote:
        whole = {f"{FOLDER}/{path.name}": path.read_bytes() for path in _journals(lake)}
    return [name for name, data in whole.items() if any(True for _ in _about(data, track_ids))]


def has_any(lake: Lake) -> bool:
    """Whether anybody has ever answered."""
    return bool(_folders(lake)) if lake.place.is_remote else (lake.root / FOLDER).is_dir()


def check_rater(name: str) -> str:
    """The rater's name unchanged; a `UsageError` for an invalid one."""
    if not name.strip() or name != name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise UsageError(f"a rater's name is 1 to {LONGEST_NAME} printable characters, received {name!r}")
    return name


def stem(rater: str) -> str:
    """Name of the files of a rater: readable, and unique for each name."""
    readable = re.sub(r"[^a-z0-9]+", "-", rater.lower()).strip("-")[:20]
    return f"{readable or 'rater'}-{digest(rater, length=8)}"


# -- the file ---------------------------------------------------------------------------------------------------------


def _journals(lake: Lake) -> list[Path]:
    return sorted((lake.root / FOLDER).glob(f"*{SUFFIX}"))


def _folders(lake: Lake) -> list[str]:
    """The folder of each rater's batches on object storage."""
    if not lake.place.is_remote:
        return []
    return sorted({entry.name.rpartition("/")[0] + "/" for entry in lake.place.list(f"{FOLDER}/")})


def _folder(rater: str) -> str:
    return f"{FOLDER}/{stem(rater)}/"


def _all(lake: Lake) -> Iterator[bytes]:
    """Every journal."""
    if lake.place.is_remote:
        yield from (batches.read(lake.place, folder)[0] for folder in _folders(lake))
    else:
        yield from (path.read_bytes() for path in _journals(lake))


def _about(data: bytes, track_ids: Collection[str]) -> Iterator[tuple[int, int]]:
    """Start and length in bytes of the lines about some tracks, and of unreadable ones."""
    start = 0
    for line in data.split(b"\n"):
        entry = _entry(line)
        if line.strip() and (entry is None or any(entry.get(name) in track_ids for name in NAMING)):
            yield start, len(line)
        start += len(line) + 1


def _path(lake: Lake, rater: str) -> Path:
    return lake.root / FOLDER / (stem(rater) + SUFFIX)


@contextmanager
def _open(lake: Lake, rater: str) -> Iterator[BinaryIO]:
    """The journal of a rater, locked for this process; a failure to write is a one-line error."""
    path = _path(lake, rater)
    try:
        path.parent.mkdir(exist_ok=True)
        new = not path.exists()
        with open(path, "a+b", buffering=0) as journal:
            lock(journal)
            if new:
                sync(path.parent)
            yield journal
    except OSError as error:
        raise PhonolakeError(f"the answer was not kept ({error}): make {path} writable and answer again") from error


def _add(lake: Lake, rater: str, say: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    """Append entries that depend on the existing ones; nobody appends in between."""
    while lake.place.is_remote:
        data, last = batches.read(lake.place, _folder(rater))
        lines = say(_entries(data))
        if not lines or batches.append(lake.place, _folder(rater), _text(lines), after=last):
            return
    with _open(lake, rater) as journal:
        if lines := say(_entries(_whole(journal))):
            _append(journal, lines)


def _text(lines: Sequence[dict[str, Any]]) -> bytes:
    text = "".join(json.dumps(line, ensure_ascii=False, sort_keys=True) + "\n" for line in lines)
    return text.encode("utf-8", "surrogatepass")


def _append(journal: BinaryIO, lines: Sequence[dict[str, Any]]) -> None:
    end = journal.seek(0, os.SEEK_END)
    data = _text(lines)
    if end and os.pread(journal.fileno(), 1, end - 1) != b"\n":
        data = b"\n" + data
    try:
        while data:
            data = data[journal.write(data) :]
        os.fsync(journal.fileno())
    except OSError:
        # A full disk accepted a part of it: all or nothing.
        journal.truncate(end)
        raise


def _whole(journal: BinaryIO) -> bytes:
    journal.seek(0)
    return journal.read()


def _entries(data: bytes) -> list[dict[str, Any]]:
    """The whole lines of a journal, numbered; an undo refers to `n`."""
    entries = []
    for n, line in enumerate(data.split(b"\n")):
        entry = _entry(line)
        if entry is not None:
            entries.append(entry | {"n": n})
    return entries


def _entry(line: bytes) -> dict[str, Any] | None:
    """The entry of a line; None for an empty or half-written one."""
    try:
        entry = json.loads(line.decode("utf-8", "surrogatepass"))
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and "rater" in entry else None


def _alive(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries that were not undone."""
    undone = {entry["undo"] for entry in entries if "undo" in entry}
    return [entry for entry in entries if "undo" not in entry and entry["n"] not in undone]


def _kind(entry: dict[str, Any]) -> type[Answer] | type[TripletAnswer]:
    return Answer if "label" in entry else TripletAnswer


def _key(entry: dict[str, Any]) -> tuple[str, ...]:
    """The question of an entry."""
    return tuple(entry[name] for name in _kind(entry).ABOUT)


def _newest(entries: Sequence[dict[str, Any]]) -> dict[tuple[str, ...], dict[str, Any]]:
    """The current answer to each question, in the order in which they were given."""
    newest: dict[tuple[str, ...], dict[str, Any]] = {}
    for entry in _alive(entries):
        newest.pop(_key(entry), None)
        newest[_key(entry)] = entry
    return newest


def _fold(entries: Sequence[dict[str, Any]]) -> list[Reply]:
    return [_answer(entry) for entry in _newest(entries).values()]


def _line(answer: Reply) -> dict[str, Any]:
    if answer.value not in VALUES or isinstance(answer.value, bool):
        raise UsageError(f"an answer is 1, 0 or None (skipped), received {answer.value!r}")
    said = {name: getattr(answer, name) for name in answer.ABOUT} | {"value": answer.value, "sample": answer.sample}
    return said | {"rater": check_rater(answer.rater), "at": answer.annotated_at.astimezone(UTC).isoformat()}


def _answer(entry: dict[str, Any]) -> Reply:
    about: dict[str, Any] = {name: entry[name] for name in _kind(entry).ABOUT}
    said = {"value": entry["value"], "rater": entry["rater"], "sample": entry["sample"]}
    return _kind(entry)(**about, **said, annotated_at=datetime.fromisoformat(entry["at"]))
