"""Answers as CSV, about labels and of triplets: out for other tools and people, and in again without loss."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from phonolake.annotation import journal, publication
from phonolake.annotation.journal import Answer, Reply, TripletAnswer
from phonolake.errors import UsageError
from phonolake.store import query
from phonolake.store.lake import Lake

SAID = ("value", "rater", "annotated_at", "sample")
COLUMNS = (*Answer.ABOUT, *SAID)
COMPARED = (*TripletAnswer.ABOUT, *SAID)
OPTIONAL = SAID[2:]
READ_AS = {"1": 1, "0": 0, "": None}


@dataclass(frozen=True, slots=True)
class Rejected:
    """One line of a file that was not taken in, and why."""

    line: int
    problem: str


@dataclass(frozen=True, slots=True)
class Imported:
    """How many answers were new, how many were there already (or replaced since), and what was rejected."""

    new: int
    known: int
    rejected: list[Rejected]


def export(lake: Lake) -> list[Answer]:
    """Every standing answer, by rater, in the order of the columns of a CSV file."""
    return [answer for answers in journal.everyone(lake).values() for answer in answers]


def compared(lake: Lake) -> list[TripletAnswer]:
    """Every standing answer to a triplet, likewise."""
    return [r for replies in journal.everything(lake).values() for r in replies if isinstance(r, TripletAnswer)]


def read_csv(lake: Lake, path: Path) -> Imported:
    """Take in the answers of a CSV file with a header; a bad line is left out and named, the others are taken.

    Parameters
    ----------
    path : Path
        Columns track_id, label, value (1, 0, or nothing where it was passed over) and rater; annotated_at (ISO 8601,
        UTC where it names no zone; now by default) and sample may be there. Where first_id and second_id stand in place
        of label these are answers to triplets: 1 the first sounds more like the track, 0 the second. The same file
        again changes nothing, and an answer never replaces a newer one.

    Raises
    ------
    UsageError
        If there is no such file, it is no UTF-8 text, or it lacks a column.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            kind, lines = _lines(file, path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read as CSV ({error})") from error
    now = datetime.now(UTC)
    with query.connect(lake) as connection:
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


def _lines(
    file: Iterator[str], path: Path
) -> tuple[type[Answer] | type[TripletAnswer], list[tuple[int, dict[str, str | None]]]]:
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
    """What a line of a file says."""
    if None in row or None in row.values():
        raise UsageError("the line has not as many values as the first line has names")
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
            raise UsageError(f"annotated_at is no time as in ISO 8601: {values['annotated_at']!r}") from error
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    said: dict[str, Any] = {"value": READ_AS[values["value"]], "rater": rater, "sample": values["sample"] or None}
    return kind(**about, **said, annotated_at=at)


def _new(lake: Lake, answers: list[Reply]) -> list[Reply]:
    """The answers that change something, of several about the same the newest."""
    standing = {_key(a): a for replies in journal.everything(lake).values() for a in replies}
    newest: dict[tuple[str, ...], Reply] = {}
    for answer in sorted(answers, key=lambda a: a.annotated_at):
        newest[_key(answer)] = answer
    return [a for k, a in newest.items() if k not in standing or _replaces(a, standing[k])]


def _replaces(new: Reply, old: Reply) -> bool:
    """Whether it is newer and says something else: a file without times is no newer for being read again."""
    return new.annotated_at > old.annotated_at and (new.value, new.sample) != (old.value, old.sample)


def _key(answer: Reply) -> tuple[str, ...]:
    return answer.rater, *(getattr(answer, name) for name in answer.ABOUT)
