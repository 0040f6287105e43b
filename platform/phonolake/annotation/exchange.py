"""Answers about labels and to triplets as CSV: export and lossless import."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from phonolake.annotation import journal, publication
from phonolake.annotation.journal import Answer, Reply, TripletAnswer
from phonolake.errors import UsageError
from phonolake.store import catalog, mirror
from phonolake.store.lake import Lake

SAID = ("value", "rater", "annotated_at", "sample")
COLUMNS = (*Answer.ABOUT, *SAID)
COMPARED = (*TripletAnswer.ABOUT, *SAID)
OPTIONAL = SAID[2:]
READ_AS = {"1": 1, "0": 0, "": None}


@dataclass(frozen=True, slots=True)
class Rejected:
    """One rejected line of a file, and why."""

    line: int
    problem: str


@dataclass(frozen=True, slots=True)
class Imported:
    """How many answers were new, how many were there already (or replaced since), and what was rejected."""

    new: int
    known: int
    rejected: list[Rejected]


def export(lake: Lake) -> list[Answer]:
    """Every current answer, by rater, in the order of the columns of a CSV file."""
    return [answer for answers in journal.everyone(lake).values() for answer in answers]


def compared(lake: Lake) -> list[TripletAnswer]:
    """All current answers to triplets, likewise."""
    return [r for replies in journal.everything(lake).values() for r in replies if isinstance(r, TripletAnswer)]


def read_csv(lake: Lake, file: str | Path) -> Imported:
    """Import the answers of a CSV file with a header; bad lines are skipped and reported.

    Parameters
    ----------
    file : str or Path
        A path or an address. Columns track_id, label, value (1, 0, or empty if the rater skipped it) and rater;
        optionally annotated_at (ISO 8601, UTC if it names no zone; now by default) and sample. With first_id and
        second_id in place of label these are answers to triplets: 1 if the first sounds more like the track, 0 if the
        second does. The same file again changes nothing, and an answer never replaces a newer one.

    Raises
    ------
    UsageError
        If the file does not exist, is not UTF-8 text, or lacks a column.
    """
    with mirror.brought(file) as path:
        kind, lines = _read(path)
    now = datetime.now(UTC)
    with catalog.connect(lake) as connection:
        known_tracks = {t for (t,) in connection.execute("SELECT track_id FROM tracks").fetchall()}
        known_labels = {t for (t,) in connection.execute("SELECT DISTINCT label FROM labels").fetchall()}
    answers: list[Reply] = []
    rejected = []
    for number, row in lines:
        try:
            answers.append(answer_of(row, now, known_tracks, known_labels, kind=kind))
        except UsageError as error:
            rejected.append(Rejected(number, str(error)))
    new = _new(lake, answers)
    journal.record(lake, new)
    publication.publish(lake)
    return Imported(len(new), len(answers) - len(new), rejected)


Lines = tuple[type[Answer] | type[TripletAnswer], list[tuple[int, dict[str, str | None]]]]


def _read(path: Path) -> Lines:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return _lines(file, path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read as CSV ({error})") from error


def _lines(file: Iterator[str], path: Path) -> Lines:
    reader = csv.DictReader(file, strict=True)
    there = reader.fieldnames or ()
    kind = TripletAnswer if "first_id" in there else Answer
    required = [name for name in (*kind.ABOUT, *SAID) if name not in OPTIONAL]
    lacking = [name for name in required if name not in there]
    if lacking:
        raise UsageError(f"{path} lacks the column {lacking[0]}: its first line names {', '.join(required)}")
    return kind, [(reader.line_num, row) for row in reader]


def answer_of(
    row: dict[str, str | None],
    now: datetime,
    tracks: set[str],
    labels: set[str],
    *,
    kind: type[Answer] | type[TripletAnswer] = Answer,
) -> Reply:
    """The answer in a row of the file."""
    if None in row or None in row.values():
        raise UsageError("the line has another number of values than the first line has names")
    values = {name: (row.get(name) or "").strip() for name in (*kind.ABOUT, *SAID)}
    about: dict[str, Any] = {name: values[name] for name in kind.ABOUT}
    for name, value in about.items():
        if name != "label" and value not in tracks:
            raise UsageError(f"no track {value!r} in the lake")
        if name == "label" and value not in labels:
            raise UsageError(f"no track of the lake has the label {value!r}")
    if kind is TripletAnswer and len(set(about.values())) < len(about):
        raise UsageError("a triplet is of three tracks")
    if values["value"] not in READ_AS:
        raise UsageError(f"a value is 1, 0 or nothing, received {values['value']!r}")
    rater, at = journal.check_rater(values["rater"]), now
    if values["annotated_at"]:
        try:
            at = datetime.fromisoformat(values["annotated_at"])
        except ValueError as error:
            raise UsageError(f"annotated_at is not an ISO 8601 time: {values['annotated_at']!r}") from error
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    said: dict[str, Any] = {"value": READ_AS[values["value"]], "rater": rater, "sample": values["sample"] or None}
    return kind(**about, **said, annotated_at=at)


def _new(lake: Lake, answers: list[Reply]) -> list[Reply]:
    """The answers that change something; of several about the same question, the newest."""
    standing = {_key(a): a for replies in journal.everything(lake).values() for a in replies}
    newest: dict[tuple[str, ...], Reply] = {}
    for answer in sorted(answers, key=lambda a: a.annotated_at):
        newest[_key(answer)] = answer
    return [a for k, a in newest.items() if k not in standing or _replaces(a, standing[k])]


def _replaces(new: Reply, old: Reply) -> bool:
    """Whether it is newer and different: a file without times is not newer when it is read again."""
    return new.annotated_at > old.annotated_at and (new.value, new.sample) != (old.value, old.sample)


def _key(answer: Reply) -> tuple[str, ...]:
    return answer.rater, *(getattr(answer, name) for name in answer.ABOUT)
