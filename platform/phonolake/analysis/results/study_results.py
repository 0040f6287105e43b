"""Stored results of studies in a lake: published figures beside ours, and claims with their verdicts."""

from dataclasses import dataclass
from itertools import groupby

import duckdb


@dataclass(frozen=True, slots=True)
class StudyRun:
    """One request of a study, with its rows and claims that are kept."""

    study_run: str
    study: str
    parts: tuple[str, ...]
    n_rows: int
    n_claims: int
    n_holding: int


@dataclass(frozen=True, slots=True)
class StudyFigure:
    """A figure of a paper beside ours; None where there is none."""

    row_name: str
    model: str
    metric: str
    paper: float | None
    ours: float | None
    std: float | None
    n: int


@dataclass(frozen=True, slots=True)
class StudyTable:
    """The figures of one table of one part that share a metric."""

    part: str
    table_name: str
    metric: str
    figures: tuple[StudyFigure, ...]


@dataclass(frozen=True, slots=True)
class StudyClaim:
    """A sentence of a paper, the difference that tests it, and whether it holds."""

    part: str
    claim: str
    verdict: str
    difference: float | None
    low: float | None
    high: float | None
    n: int
    n_tracks: int
    data: str


def study_runs(connection: duckdb.DuckDBPyConnection) -> list[StudyRun]:
    """Every request whose rows are kept, by study."""
    rows = connection.execute(
        "SELECT r.study_run, any_value(r.study), list(r.part ORDER BY r.position), count(*), "
        "(SELECT count(*) FROM study_claims c WHERE c.study_run = r.study_run), "
        "(SELECT count(*) FROM study_claims c WHERE c.study_run = r.study_run AND c.verdict = 'holds') "
        "FROM study_rows r GROUP BY r.study_run ORDER BY 2, 1"
    ).fetchall()
    return [StudyRun(run, study, tuple(dict.fromkeys(parts)), *counts) for run, study, parts, *counts in rows]


def tables(connection: duckdb.DuckDBPyConnection, study_run: str) -> list[StudyTable]:
    """The tables of a request, in the order in which they were printed."""
    rows = connection.execute(
        "SELECT part, table_name, row_name, model, metric, paper, ours, std, n FROM study_rows WHERE study_run = $1 "
        "ORDER BY position",
        [study_run],
    ).fetchall()
    return [
        StudyTable(*key, tuple(StudyFigure(*row[2:]) for row in group))
        for key, group in groupby(rows, lambda row: (row[0], row[1], row[4]))
    ]


def claims(connection: duckdb.DuckDBPyConnection, study_run: str) -> list[StudyClaim]:
    """The claims of a request, in the order in which they were judged."""
    rows = connection.execute(
        "SELECT part, claim, verdict, difference, low, high, n, n_tracks, data FROM study_claims WHERE study_run = $1 "
        "ORDER BY position",
        [study_run],
    ).fetchall()
    return [StudyClaim(*row) for row in rows]
