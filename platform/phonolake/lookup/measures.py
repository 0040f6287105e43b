"""Measures to filter, sort and show tracks: duration, year, loudness, and every value of a feature set."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from phonolake.errors import UsageError, unknown
from phonolake.store.schema import quote

# Round widths of bins for an axis.
STEPS = (1, 2, 5, 10)
MOST_BINS = 24
FEATURES = "features_"
# Columns of feature sets that are not values.
KEYS = ("start_seconds", "end_seconds")


@dataclass(frozen=True, slots=True)
class Measure:
    """A number that tracks have.

    Parameters
    ----------
    name : str
        Its name in addresses and in Python; for a feature set the name of its view, a dot, and the column.
    title : str
        Display name, with the unit.
    sql : str
        A SELECT of `track_id` and `value`; for several rows of a track their mean counts.
    whole : bool
        Whether it is a whole number, such as a year.
    """

    name: str
    title: str
    sql: str
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Range:
    """Tracks whose measure lies between two numbers, both included; None is no bound."""

    measure: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Bin:
    """How many tracks have a value from `low` up to `high`; of numbers that are not whole the last includes its end."""

    low: float
    high: float
    n_tracks: int


OWN = (
    Measure("duration", "Duration (s)", "SELECT track_id, duration_seconds AS value FROM tracks"),
    Measure("year", "Year", "SELECT track_id, year AS value FROM tracks", whole=True),
    Measure("loudness", "Loudness (dBFS, RMS)", "SELECT track_id, rms_dbfs AS value FROM audio"),
    Measure("peak", "Peak (dBFS)", "SELECT track_id, peak_dbfs AS value FROM audio"),
)


def measures(connection: duckdb.DuckDBPyConnection) -> dict[str, Measure]:
    """By name, every available measure, whether tracks have it or not."""
    rows = connection.execute(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE starts_with(table_name, $1) "
        "AND data_type IN ('DOUBLE', 'FLOAT') AND NOT list_contains($2, column_name) ORDER BY ALL",
        [FEATURES, list(KEYS)],
    ).fetchall()
    found = [
        Measure(
            f"{table}.{column}",
            f"{column} ({table.removeprefix(FEATURES).replace('_', '-')})",
            f"SELECT track_id, {quote(column)} AS value FROM {quote(table)}",
        )
        for table, column in rows
    ]
    return {measure.name: measure for measure in (*OWN, *found)}


def find(connection: duckdb.DuckDBPyConnection, name: str) -> Measure:
    """A measure by its name; a `UsageError` if there is none."""
    known = measures(connection)
    if name not in known:
        raise unknown("measure", name, known)
    return known[name]


def condition(connection: duckdb.DuckDBPyConnection, wanted: Range) -> str:
    """An SQL condition over `track_id`: the measure lies in a range.

    Raises
    ------
    UsageError
        For an unknown measure, or a bound that is not a number.
    """
    bounds = [(sign, bound) for sign, bound in ((">=", wanted.low), ("<=", wanted.high)) if bound is not None]
    if any(not math.isfinite(bound) for _, bound in bounds):
        raise UsageError(f"a range of {wanted.measure} needs numbers as its bounds")
    said = " AND ".join(["value IS NOT NULL", *(f"value {sign} {float(bound)!r}" for sign, bound in bounds)])
    return f"track_id IN (SELECT track_id FROM ({_means(find(connection, wanted.measure))}) WHERE {said})"


def values(connection: duckdb.DuckDBPyConnection, name: str, track_ids: Sequence[str]) -> dict[str, float]:
    """The values of a measure for some tracks; tracks without one are left out."""
    sql = _means(find(connection, name), "track_id IN (SELECT unnest($1::VARCHAR[]))")
    return dict(connection.execute(f"SELECT track_id, value FROM ({sql})", [list(track_ids)]).fetchall())


def order(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    """An SQL expression over the rows of `tracks`, by which they are sorted."""
    return f"(SELECT m.value FROM ({_means(find(connection, name))}) AS m WHERE m.track_id = t.track_id)"


def histogram(connection: duckdb.DuckDBPyConnection, name: str, among: str | None = None) -> list[Bin]:
    """Tracks by a measure, in at most 24 bins of one width; the bins do not depend on the counted tracks.

    Parameters
    ----------
    among : str, optional
        SQL condition over `tracks`: count these alone.

    Returns
    -------
    list of Bin
        In order, including empty ones; none if no track has the measure.
    """
    measure = find(connection, name)
    sql = _means(measure)
    low, high = connection.execute(f"SELECT min(value), max(value) FROM ({sql}) WHERE isfinite(value)").fetchall()[0]
    if low is None:
        return []
    width = max(1.0, _width(low, high)) if measure.whole else _width(low, high)
    first, last = math.floor(low / width), max(math.floor(low / width) + 1, math.ceil(high / width))
    if measure.whole:
        last = math.floor(high / width) + 1
    chosen = "" if among is None else f" AND track_id IN (SELECT track_id FROM tracks WHERE (\n{among}\n))"
    rows = connection.execute(
        f"SELECT least(floor(value / $1)::BIGINT, $2::BIGINT), count(*) FROM ({sql}) WHERE isfinite(value){chosen} "
        "GROUP BY 1",
        [width, last - 1],
    ).fetchall()
    counts = dict(rows)
    return [Bin(_round(k * width), _round((k + 1) * width), counts.get(k, 0)) for k in range(first, last)]


def _means(measure: Measure, among: str = "true") -> str:
    return f"SELECT track_id, avg(value)::DOUBLE AS value FROM ({measure.sql}) WHERE {among} GROUP BY track_id"


def _width(low: float, high: float) -> float:
    """The smallest round width that needs no more than this number of bins."""
    least = max((high - low) / (MOST_BINS - 2), abs(high) * 1e-9, 1e-12)
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in STEPS if step * power >= least * (1 - 1e-9))


def _round(value: float) -> float:
    """Without the noise of multiples of a tenth."""
    return float(f"{value:.10g}")
