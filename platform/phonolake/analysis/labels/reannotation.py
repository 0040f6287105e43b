"""Answers of raters beside the given labels: from `annotations`, or from CSV files."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from phonolake.errors import PhonolakeError, UsageError, unknown
from phonolake.lookup.label_matrix import check_source
from phonolake.store import mirror


@dataclass(frozen=True, slots=True)
class Answers:
    """One entry for each answered pair of track and label.

    Parameters
    ----------
    track_id, label : tuple of str
    given : ndarray of float64
        1 where the track was given the label, else 0; NaN where it is not known.
    answer : ndarray of float64
        1 if the label is right, 0 if it is wrong.
    """

    track_id: tuple[str, ...]
    label: tuple[str, ...]
    given: np.ndarray
    answer: np.ndarray


@dataclass(frozen=True, slots=True)
class CollectionCounts:
    """Tracks of a collection that were given each label, and all of its tracks."""

    given: dict[str, int]
    n_tracks: int


def raters(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Everyone who answered."""
    return [name for (name,) in connection.execute("SELECT DISTINCT rater FROM annotations ORDER BY 1").fetchall()]


def read_answers(
    connection: duckdb.DuckDBPyConnection, *, source: str, rater: str | None = None, dataset: str | None = None
) -> Answers:
    """Answers of one rater, or of most of them.

    A rater's last answer about a track and a label counts, and a later skip undoes it. If raters disagree, the majority
    decides; ties are left out.

    Raises
    ------
    UsageError
        For an unknown source, or a rater who did not answer.
    PhonolakeError
        When nobody answered.
    """
    check_source(connection, source, resolved=False)
    known = raters(connection)
    if rater is not None and rater not in known:
        raise unknown("annotator", rater, known)
    rows = connection.execute(
        """
        WITH said AS (
            SELECT track_id, label, rater, arg_max_null(value, annotated_at) AS value FROM annotations
            WHERE ($1 IS NULL OR rater = $1)
            AND ($2 IS NULL OR track_id IN (SELECT track_id FROM tracks WHERE dataset = $2)) GROUP BY ALL
        ), decided AS (
            SELECT track_id, label, avg(value) AS mean FROM said WHERE value IS NOT NULL GROUP BY ALL HAVING mean <> 0.5
        ), given AS (SELECT DISTINCT track_id, label FROM labels WHERE source = $3 AND value = 1)
        SELECT d.track_id, d.label, (g.track_id IS NOT NULL)::DOUBLE, (d.mean > 0.5)::DOUBLE
        FROM decided d LEFT JOIN given g ON g.track_id = d.track_id AND g.label = d.label
        ORDER BY d.label, d.track_id
        """,
        [rater, dataset, source],
    ).fetchall()
    if not rows:
        raise PhonolakeError("nobody has listened again yet: annotate in `phonolake dashboard`, page Re-annotate")
    return _columns(rows)


def read_counts(connection: duckdb.DuckDBPyConnection, *, source: str, dataset: str | None = None) -> CollectionCounts:
    """How many tracks of the lake were given each label by a source, and how many tracks there are."""
    ((n_tracks,),) = connection.execute(
        "SELECT count(*) FROM tracks WHERE $1 IS NULL OR dataset = $1", [dataset]
    ).fetchall()
    rows = connection.execute(
        "SELECT l.label, count(DISTINCT l.track_id) FROM labels l JOIN tracks t USING (track_id) "
        "WHERE l.source = $1 AND l.value = 1 AND ($2 IS NULL OR t.dataset = $2) GROUP BY l.label",
        [source, dataset],
    ).fetchall()
    return CollectionCounts(dict(rows), n_tracks)


def read_answers_csv(path: str | Path) -> Answers:
    """Answers from a CSV file with the columns label and answer, and where they are known track_id and given.

    Raises
    ------
    UsageError
        If the file is missing, lacks a column, or has a value that is neither 0 nor 1 (empty: nobody said).
    """
    found = []
    for line, row in _read_csv(path, ("label", "answer")):
        answer = _bit(row["answer"], path, line)
        if not np.isnan(answer):
            given = _bit(row.get("given") or "", path, line)
            found.append((row.get("track_id") or f"line {line}", row["label"], given, answer))
    if not found:
        raise UsageError(f"{path} holds no answers")
    return _columns(found)


def read_counts_csv(path: str | Path, n_tracks: int) -> CollectionCounts:
    """Tracks with each label from a CSV file with the columns label and count."""
    given = {}
    for line, row in _read_csv(path, ("label", "count")):
        if not row["count"].strip().isdecimal():
            raise UsageError(f"{path}, line {line}: a count is a whole number, received {row['count']!r}")
        given[row["label"]] = int(row["count"])
    return CollectionCounts(given, n_tracks)


def _read_csv(path: str | Path, needed: tuple[str, ...]) -> Iterable[tuple[int, dict[str, str]]]:
    with mirror.brought(path) as brought:
        try:
            text = brought.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} cannot be read ({error})") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if missing := [name for name in needed if name not in (reader.fieldnames or ())]:
        raise UsageError(f"{path} lacks the column {missing[0]!r}; it has {', '.join(reader.fieldnames or ('none',))}")
    for line, row in enumerate(reader, start=2):
        yield line, {name: value or "" for name, value in row.items() if isinstance(name, str)}


def _bit(text: str, path: str | Path, line: int) -> float:
    if text.strip() not in ("", "0", "1"):
        raise UsageError(f"{path}, line {line}: an answer is 0, 1 or empty, received {text!r}")
    return float(text) if text.strip() else float("nan")


def _columns(rows: list[tuple[str, str, float, float]]) -> Answers:
    track_id, label, given, answer = zip(*rows, strict=True)
    return Answers(track_id, label, np.array(given, np.float64), np.array(answer, np.float64))
