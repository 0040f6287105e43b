"""Annotations as CSV: export and lossless import."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from phonolake.annotation import journal, publication
from phonolake.annotation.journal import Answer
from phonolake.errors import UsageError
from phonolake.store import catalog, mirror
from phonolake.store.lake import Lake

COLUMNS = ("track_id", "label", "value", "rater", "annotated_at", "sample")
REQUIRED = COLUMNS[:4]
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


def read_csv(lake: Lake, file: str | Path) -> Imported:
    """Import the answers of a CSV file with a header; bad lines are skipped and reported.

    Parameters
    ----------
    file : str or Path
        A path or an address. Columns track_id, label, value (1, 0, or empty if the rater skipped it) and rater;
        optionally annotated_at (ISO 8601, UTC if it names no zone; now by default) and sample. The same file again
        changes nothing, and an answer never replaces a newer one.

    Raises
    ------
    UsageError
        If the file does not exist, is not UTF-8 text, or lacks a column.
    """
    with mirror.brought(file) as path:
        lines = _read(path)
    now = datetime.now(UTC)
    with catalog.connect(lake) as connection:
        known_tracks = {t for (t,) in connection.execute("SELECT track_id FROM tracks").fetchall()}
        known_labels = {t for (t,) in connection.execute("SELECT DISTINCT label FROM labels").fetchall()}
    answers, rejected = [], []
    for number, row in lines:
        try:
            answers.append(answer_of(row, now, known_tracks, known_labels))
        except UsageError as error:
            rejected.append(Rejected(number, str(error)))
    new = _new(lake, answers)
    journal.record(lake, new)
    publication.publish(lake)
    return Imported(len(new), len(answers) - len(new), rejected)


def _read(path: Path) -> list[tuple[int, dict[str, str | None]]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return list(_lines(file, path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read as CSV ({error})") from error


def _lines(file: Iterator[str], path: Path) -> Iterator[tuple[int, dict[str, str | None]]]:
    reader = csv.DictReader(file, strict=True)
    lacking = [name for name in REQUIRED if name not in (reader.fieldnames or ())]
    if lacking:
        raise UsageError(f"{path} lacks the column {lacking[0]}: its first line names {', '.join(REQUIRED)}")
    for row in reader:
        yield reader.line_num, row


def answer_of(row: dict[str, str | None], now: datetime, tracks: set[str], labels: set[str]) -> Answer:
    """The answer in a row of the file."""
    if None in row or None in row.values():
        raise UsageError("the line has another number of values than the first line has names")
    values = {name: (row.get(name) or "").strip() for name in COLUMNS}
    if values["track_id"] not in tracks:
        raise UsageError(f"no track {values['track_id']!r} in the lake")
    if values["label"] not in labels:
        raise UsageError(f"no track of the lake has the label {values['label']!r}")
    if values["value"] not in READ_AS:
        raise UsageError(f"a value is 1, 0 or nothing, received {values['value']!r}")
    rater, at = journal.check_rater(values["rater"]), now
    if values["annotated_at"]:
        try:
            at = datetime.fromisoformat(values["annotated_at"])
        except ValueError as error:
            raise UsageError(f"annotated_at is not an ISO 8601 time: {values['annotated_at']!r}") from error
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return Answer(values["track_id"], values["label"], READ_AS[values["value"]], rater, at, values["sample"] or None)


def _new(lake: Lake, answers: list[Answer]) -> list[Answer]:
    """The answers that change something; of several about the same question, the newest."""
    standing = {_key(a): a for a in export(lake)}
    newest: dict[tuple[str, str, str], Answer] = {}
    for answer in sorted(answers, key=lambda a: a.annotated_at):
        newest[_key(answer)] = answer
    return [a for k, a in newest.items() if k not in standing or _replaces(a, standing[k])]


def _replaces(new: Answer, old: Answer) -> bool:
    """Whether it is newer and different: a file without times is not newer when it is read again."""
    return new.annotated_at > old.annotated_at and (new.value, new.sample) != (old.value, old.sample)


def _key(answer: Answer) -> tuple[str, str, str]:
    return answer.rater, answer.track_id, answer.label
