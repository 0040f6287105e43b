"""Browse tracks: filters, pages, and the metadata of one track."""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from phonolake.errors import unknown
from phonolake.lookup import measures
from phonolake.lookup.measures import Range
from phonolake.store import query, tracks
from phonolake.store.schema import literal


@dataclass(frozen=True, slots=True)
class Filter:
    """Which tracks to list; None does not restrict.

    Parameters
    ----------
    dataset : str, optional
        Tracks of this dataset.
    label : str, optional
        Tracks that have this label by any source.
    text : str, optional
        Tracks whose id, title, artist and album contain each of these words, in any case and without accents.
    ranges : tuple of Range
        Tracks whose measures lie in all of these: see `phonolake.lookup.measures`.
    where : str, optional
        SQL condition over `tracks`, such as ``year > 2000``; other tables by subqueries on `track_id`. See `check`.
    """

    dataset: str | None = None
    label: str | None = None
    text: str | None = None
    ranges: tuple[Range, ...] = ()
    where: str | None = None


@dataclass(frozen=True, slots=True)
class TrackLine:
    """One line of a list of tracks."""

    track_id: str
    title: str
    artist: str | None
    album: str | None
    year: int | None
    labels: str | None
    duration_seconds: float


@dataclass(frozen=True, slots=True)
class TrackFacts:
    """All metadata of one track.

    Parameters
    ----------
    labels : dict of str to list of str
        Positive labels by source.
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


# Sort orders of a list, as SQL; ties are broken by the id.
ORDERS = {
    "id": "t.track_id",
    "title": "strip_accents(lower(coalesce(t.title, t.source_id)))",
    "artist": "strip_accents(lower(t.artist))",
    "album": "strip_accents(lower(t.album))",
    "year": "t.year",
    "duration": "t.duration_seconds",
}


def check(connection: duckdb.DuckDBPyConnection, wanted: Filter) -> None:
    """Raise a `UsageError` for an invalid SQL condition."""
    if wanted.where:
        # Check it on its own first: inside our statement, text that closes the bracket could be valid, too.
        query.select(connection, f"SELECT track_id FROM tracks WHERE (\n{wanted.where}\n)")


def condition(connection: duckdb.DuckDBPyConnection, wanted: Filter) -> str:
    """A filter as one self-contained SQL condition over `tracks`: for SQL, for neighbours, and other uses.

    Raises
    ------
    UsageError
        For a range of an unknown measure.
    """
    parts = []
    if wanted.dataset is not None:
        parts.append(f"dataset = {literal(wanted.dataset)}")
    if wanted.label is not None:
        parts.append(f"track_id IN (SELECT track_id FROM labels WHERE label = {literal(wanted.label)} AND value = 1)")
    names = "strip_accents(lower(concat_ws(' ', track_id, title, artist, album)))"
    parts += [f"contains({names}, strip_accents(lower({literal(word)})))" for word in (wanted.text or "").split()]
    parts += [measures.condition(connection, one) for one in wanted.ranges]
    if wanted.where:
        parts.append(f"(\n{wanted.where}\n)")
    return "\nAND ".join(parts) or "true"


def count(connection: duckdb.DuckDBPyConnection, wanted: Filter) -> int:
    """How many tracks pass a filter."""
    return int(connection.execute(f"SELECT count(*) FROM {_passing(connection, wanted)}").fetchall()[0][0])


def _passing(connection: duckdb.DuckDBPyConnection, wanted: Filter) -> str:
    return f"(FROM tracks WHERE {condition(connection, wanted)})"


def page(
    connection: duckdb.DuckDBPyConnection,
    wanted: Filter,
    *,
    limit: int,
    offset: int = 0,
    order: str = "id",
    descending: bool = False,
) -> list[TrackLine]:
    """One page of the tracks that pass a filter; only its rows are read.

    A track without a title shows its name inside the dataset.

    Parameters
    ----------
    order : str
        One of `ORDERS`, or the name of a measure; tracks without a value come last.

    Raises
    ------
    UsageError
        For an unknown order.
    """
    known = measures.measures(connection)
    if order not in ORDERS and order not in known:
        raise unknown("order", order, ORDERS | known)
    value = ORDERS.get(order) or measures.order(connection, order)
    by = f"{value} {'DESC' if descending else 'ASC'} NULLS LAST, t.track_id"
    chosen = f"FROM {_passing(connection, wanted)} AS t ORDER BY {by} LIMIT $1 OFFSET $2"
    return _lines(connection, chosen, [limit, offset], by)


def _lines(connection: duckdb.DuckDBPyConnection, chosen: str, parameters: list, by: str) -> list[TrackLine]:
    rows = connection.execute(
        f"""
        WITH page AS (
            SELECT t.track_id, coalesce(t.title, t.source_id) AS title, t.artist, t.album, t.year, t.duration_seconds,
                row_number() OVER (ORDER BY {by}) AS place {chosen}
        ), said AS (
            SELECT track_id, string_agg(DISTINCT label, ', ' ORDER BY label) AS labels FROM labels
            WHERE value = 1 AND source = 'dataset' AND track_id IN (SELECT track_id FROM page) GROUP BY track_id
        )
        SELECT p.track_id, p.title, p.artist, p.album, p.year, s.labels, p.duration_seconds
        FROM page AS p LEFT JOIN said AS s USING (track_id) ORDER BY p.place
        """,
        parameters,
    ).fetchall()
    return [TrackLine(*row) for row in rows]


def table(connection: duckdb.DuckDBPyConnection, wanted: Filter) -> pa.Table:
    """All tracks that pass a filter, in order of their ids, with the dataset's labels and the path of each file."""
    return connection.sql(
        f"""
        WITH chosen AS {_passing(connection, wanted)}, said AS (
            SELECT track_id, string_agg(DISTINCT label, ', ' ORDER BY label) AS labels FROM labels
            WHERE value = 1 AND source = 'dataset' AND track_id IN (SELECT track_id FROM chosen) GROUP BY track_id
        ), stored AS (
            SELECT track_id, any_value(source_path) AS source_path FROM audio
            WHERE track_id IN (SELECT track_id FROM chosen) GROUP BY track_id
        )
        SELECT c.track_id, c.dataset, c.title, c.artist, c.album, c.year, c.licence, c.duration_seconds, s.labels,
            a.source_path
        FROM chosen AS c LEFT JOIN said AS s USING (track_id) LEFT JOIN stored AS a USING (track_id) ORDER BY c.track_id
        """
    ).to_arrow_table()


def playlist(tracks: pa.Table) -> str:
    """An extended M3U of the rows of `table` with known files, for players on the machine that has them."""
    lines = ["#EXTM3U"]
    for row in tracks.select(["track_id", "title", "artist", "duration_seconds", "source_path"]).to_pylist():
        path = row["source_path"]
        if path and path.isprintable():
            name = " - ".join(part for part in (row["artist"], row["title"] or row["track_id"]) if part)
            lines += [f"#EXTINF:{round(row['duration_seconds'])},{' '.join(name.split())}", path]
    return "\n".join(lines) + "\n"


def ids(connection: duckdb.DuckDBPyConnection, wanted: Filter) -> list[str]:
    """Ids of all tracks that pass a filter, in order."""
    sql = f"SELECT track_id FROM {_passing(connection, wanted)} ORDER BY track_id"
    return [track_id for (track_id,) in connection.execute(sql).fetchall()]


def lines(connection: duckdb.DuckDBPyConnection, track_ids: Sequence[str]) -> list[TrackLine]:
    """Lines of some tracks, in order of their ids; unknown ones are skipped."""
    chosen = "FROM tracks AS t WHERE t.track_id IN (SELECT unnest($1::VARCHAR[]))"
    return _lines(connection, chosen, [list(track_ids)], "t.track_id")


def labels_among(
    connection: duckdb.DuckDBPyConnection, track_ids: Sequence[str], *, source: str | None = None
) -> dict[str, int]:
    """How many of some tracks have each label, by one source or all."""
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
    """The metadata of one track.

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
