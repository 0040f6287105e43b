"""Leaf through the tracks: filters, one page at a time, and what is known about one track."""

from dataclasses import dataclass

import duckdb

from phonolake.store import tracks


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
    """

    dataset: str | None = None
    label: str | None = None
    text: str | None = None
    min_seconds: float | None = None
    max_seconds: float | None = None

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


def count(connection: duckdb.DuckDBPyConnection, wanted: Filter) -> int:
    """How many tracks pass a filter."""
    sql = f"SELECT count(*) FROM tracks AS t WHERE {_WHERE}"
    return int(connection.execute(sql, wanted._parameters).fetchall()[0][0])


def page(connection: duckdb.DuckDBPyConnection, wanted: Filter, *, limit: int, offset: int = 0) -> list[TrackLine]:
    """One page of the tracks that pass a filter, in order of their ids; only its rows are brought.

    A track without a title shows its name inside the dataset.
    """
    rows = connection.execute(
        f"""
        WITH page AS (
            SELECT t.track_id, coalesce(t.title, t.source_id) AS title, t.artist, t.duration_seconds
            FROM tracks AS t WHERE {_WHERE} ORDER BY t.track_id LIMIT $6 OFFSET $7
        ), said AS (
            SELECT track_id, string_agg(DISTINCT label, ', ' ORDER BY label) AS labels FROM labels
            WHERE value = 1 AND source = 'dataset' AND track_id IN (SELECT track_id FROM page) GROUP BY track_id
        )
        SELECT p.track_id, p.title, p.artist, s.labels, p.duration_seconds
        FROM page AS p LEFT JOIN said AS s USING (track_id) ORDER BY p.track_id
        """,
        [*wanted._parameters, limit, offset],
    ).fetchall()
    return [TrackLine(*row) for row in rows]


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
        "WHERE t.track_id = $1 LIMIT 1",
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
