"""Leaf through the tracks: filters, one page at a time, and what is known about one track."""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from phonolake.errors import unknown
from phonolake.store import query, tracks


@dataclass(frozen=True, slots=True)
class Filter:
    """Which tracks to list; what is None does not restrict.

    Parameters
    ----------
    dataset : str, optional
        Tracks of this dataset.
    label : str, optional
        Tracks that have this label, whoever says so.
    text : str, optional
        Tracks whose id, title, artist or album contains this, in any case.
    min_seconds, max_seconds : float, optional
        Least and greatest duration, both included.
    where : str, optional
        SQL condition over `tracks`, such as ``year > 2000``; other tables by subqueries on `track_id`. See `check`.
    """

    dataset: str | None = None
    label: str | None = None
    text: str | None = None
    min_seconds: float | None = None
    max_seconds: float | None = None
    where: str | None = None

    @property
    def _parameters(self) -> list[str | float | None]:
        return [self.dataset, self.label, (self.text or "").strip() or None, self.min_seconds, self.max_seconds]


@dataclass(frozen=True, slots=True)
class TrackLine:
    """One line of a list of tracks."""

    track_id: str
    title: str
    artist: str | None
    labels: str | None
    duration_seconds: float


@dataclass(frozen=True, slots=True)
class TrackFacts:
    """Everything that is said about one track.

    Parameters
    ----------
    labels : dict of str to list of str
        Positive labels by who says so.
    splits : dict of str to str
        The part or fold that the track has in each split.
    """

    track_id: str
    title: str | None
    artist: str | None
    album: str | None
    year: int | None
    licence: str | None
    duration_seconds: float
    container: str | None
    codec: str | None
    sr: int | None
    channels: int | None
    peak_dbfs: float | None
    rms_dbfs: float | None
    labels: dict[str, list[str]]
    splits: dict[str, str]


_WHERE = """
    ($1 IS NULL OR t.dataset = $1)
    AND ($2 IS NULL OR t.track_id IN (SELECT track_id FROM labels WHERE label = $2 AND value = 1))
    AND ($3 IS NULL OR contains(lower(concat_ws(' ', t.track_id, t.title, t.artist, t.album)), lower($3)))
    AND ($4 IS NULL OR t.duration_seconds >= $4) AND ($5 IS NULL OR t.duration_seconds <= $5)
"""


def check(connection: duckdb.DuckDBPyConnection, wanted: Filter) -> None:
    """Raise a `UsageError` for a condition that is no SQL."""
    if wanted.where:
        # On its own first: with a statement of ours around it, text that closes the bracket could be one too.
        query.select(connection, f"SELECT track_id FROM tracks WHERE (\n{wanted.where}\n)")


def _where(wanted: Filter) -> str:
    if not wanted.where:
        return _WHERE
    return f"{_WHERE} AND t.track_id IN (SELECT track_id FROM tracks WHERE (\n{wanted.where}\n))"


def count(connection: duckdb.DuckDBPyConnection, wanted: Filter) -> int:
    """How many tracks pass a filter."""
    sql = f"SELECT count(*) FROM tracks AS t WHERE {_where(wanted)}"
    return int(connection.execute(sql, wanted._parameters).fetchall()[0][0])


def page(connection: duckdb.DuckDBPyConnection, wanted: Filter, *, limit: int, offset: int = 0) -> list[TrackLine]:
    """One page of the tracks that pass a filter, in order of their ids; only its rows are brought.

    A track without a title shows its name inside the dataset.
    """
    chosen = f"FROM tracks AS t WHERE {_where(wanted)} ORDER BY t.track_id LIMIT $6 OFFSET $7"
    return _lines(connection, chosen, [*wanted._parameters, limit, offset])


def _lines(connection: duckdb.DuckDBPyConnection, chosen: str, parameters: list) -> list[TrackLine]:
    rows = connection.execute(
        f"""
        WITH page AS (
            SELECT t.track_id, coalesce(t.title, t.source_id) AS title, t.artist, t.duration_seconds {chosen}
        ), said AS (
            SELECT track_id, string_agg(DISTINCT label, ', ' ORDER BY label) AS labels FROM labels
            WHERE value = 1 AND source = 'dataset' AND track_id IN (SELECT track_id FROM page) GROUP BY track_id
        )
        SELECT p.track_id, p.title, p.artist, s.labels, p.duration_seconds
        FROM page AS p LEFT JOIN said AS s USING (track_id) ORDER BY p.track_id
        """,
        parameters,
    ).fetchall()
    return [TrackLine(*row) for row in rows]


def lines(connection: duckdb.DuckDBPyConnection, track_ids: Sequence[str]) -> list[TrackLine]:
    """Lines of some tracks, in order of their ids; unknown ones are left out."""
    return _lines(connection, "FROM tracks AS t WHERE t.track_id IN (SELECT unnest($1::VARCHAR[]))", [list(track_ids)])


def labels_among(
    connection: duckdb.DuckDBPyConnection, track_ids: Sequence[str], *, source: str | None = None
) -> dict[str, int]:
    """How many of some tracks have each label; by what one source says, or all."""
    rows = connection.execute(
        "SELECT label, count(DISTINCT track_id) FROM labels WHERE value = 1 AND ($2 IS NULL OR source = $2) "
        "AND track_id IN (SELECT unnest($1::VARCHAR[])) GROUP BY label",
        [list(track_ids), source],
    ).fetchall()
    return dict(rows)


def of_pair(
    connection: duckdb.DuckDBPyConnection,
    label_i: str,
    label_j: str,
    *,
    which: str = "both",
    source: str | None = None,
    most: int = 50,
) -> list[str]:
    """Tracks with two labels, or with the first or the second alone.

    Parameters
    ----------
    which : {"both", "first", "second"}
    source : str, optional
        By labels of this source only.
    most : int
        At most this many, in order of their ids.
    """
    wanted = {"both": "i AND j", "first": "i AND NOT j", "second": "j AND NOT i"}
    if which not in wanted:
        raise unknown("choice", which, wanted)
    rows = connection.execute(
        "WITH said AS (SELECT track_id, bool_or(label = $1) AS i, bool_or(label = $2) AS j FROM labels "
        "WHERE value = 1 AND label IN ($1, $2) AND ($4 IS NULL OR source = $4) GROUP BY track_id) "
        f"SELECT track_id FROM said WHERE {wanted[which]} ORDER BY track_id LIMIT $3",
        [label_i, label_j, most, source],
    ).fetchall()
    return [track_id for (track_id,) in rows]


def facts(connection: duckdb.DuckDBPyConnection, track_id: str) -> TrackFacts:
    """What is known about one track.

    Raises
    ------
    UsageError
        For a track that the lake does not have.
    """
    tracks.check_known(connection, track_id)
    row = connection.execute(
        "SELECT t.track_id, t.title, t.artist, t.album, t.year, t.licence, t.duration_seconds, a.container, a.codec, "
        "a.sr, a.channels, a.peak_dbfs, a.rms_dbfs FROM tracks t LEFT JOIN audio a USING (track_id) "
        "WHERE t.track_id = $1 AND coalesce(a.piece, 0) = 0 LIMIT 1",
        [track_id],
    ).fetchall()[0]
    labels = connection.execute(
        "SELECT source, list(DISTINCT label ORDER BY label) FROM labels WHERE track_id = $1 AND value = 1 "
        "GROUP BY source ORDER BY source <> 'dataset', source",
        [track_id],
    ).fetchall()
    splits = connection.execute(
        "SELECT split, any_value(coalesce(part, 'fold ' || fold)) FROM splits WHERE track_id = $1 "
        "GROUP BY split ORDER BY split",
        [track_id],
    ).fetchall()
    return TrackFacts(*(*row, dict(labels), dict(splits)))
