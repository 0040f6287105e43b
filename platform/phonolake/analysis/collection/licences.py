"""The licences of the tracks of a lake."""

from dataclasses import dataclass

import duckdb

from phonolake.errors import unknown


@dataclass(frozen=True, slots=True)
class LicenceCount:
    """Tracks under one licence; `licence` is None if the dataset states none."""

    dataset: str
    licence: str | None
    n_tracks: int
    hours: float
    share: float


def listing(
    connection: duckdb.DuckDBPyConnection, *, pattern: str | None = None, dataset: str | None = None
) -> list[LicenceCount]:
    """Licences by number of tracks, the most frequent first; `share` is of the tracks of the dataset.

    Parameters
    ----------
    pattern : str, optional
        Only licences with this text in them, whatever its case; ``%`` and ``_`` are SQL's wildcards.

    Raises
    ------
    UsageError
        For a dataset without tracks in the lake.
    """
    _check(connection, dataset)
    rows = connection.execute(
        """
        SELECT dataset, licence, n, hours, share FROM (
            SELECT dataset, licence, count(*) AS n, sum(duration_seconds) / 3600 AS hours,
                count(*) / sum(count(*)) OVER (PARTITION BY dataset) AS share
            FROM tracks WHERE $2 IS NULL OR dataset = $2 GROUP BY dataset, licence
        ) WHERE $1 IS NULL OR licence ILIKE '%' || $1 || '%' ORDER BY n DESC, dataset, licence NULLS LAST
        """,
        [pattern, dataset],
    ).fetchall()
    return [LicenceCount(*row) for row in rows]


def tracks(
    connection: duckdb.DuckDBPyConnection, pattern: str, *, dataset: str | None = None
) -> list[tuple[str, str | None, str | None, str]]:
    """Id, title, artist and licence of the tracks whose licence fits `pattern` (see `listing`), by their ids."""
    _check(connection, dataset)
    return connection.execute(
        "SELECT track_id, title, artist, licence FROM tracks WHERE licence ILIKE '%' || $1 || '%' "
        "AND ($2 IS NULL OR dataset = $2) ORDER BY track_id",
        [pattern, dataset],
    ).fetchall()


def _check(connection: duckdb.DuckDBPyConnection, dataset: str | None) -> None:
    known = [name for (name,) in connection.execute("SELECT DISTINCT dataset FROM tracks").fetchall()]
    if dataset is not None and dataset not in known:
        raise unknown("dataset", dataset, known)
