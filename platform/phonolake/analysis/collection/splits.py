"""List splits, and check whether an artist, an album or a recording is on both sides of one."""

from collections.abc import Iterable
from dataclasses import dataclass

import duckdb

from phonolake.errors import unknown
from phonolake.lineage import fingerprint
from phonolake.lookup import kinship


@dataclass(frozen=True, slots=True)
class SplitFacts:
    """One split: its sides with their number of tracks, and a fingerprint that changes with any of its rows."""

    split: str
    datasets: str
    n_tracks: int
    sides: str
    fingerprint: str
    version: int


@dataclass(frozen=True, slots=True)
class Leak:
    """An artist, an album or a duplicate on more than one side of a split, with two of its tracks."""

    split: str
    kind: str
    what: str
    sides: str
    n_tracks: int
    track_id: str
    other_id: str


# A side is a part, or a fold if the split has folds.
SIDES = """
    CREATE OR REPLACE TEMP TABLE sided AS
    SELECT s.split, coalesce(s.part, 'fold ' || s.fold) AS side, a.*
    FROM splits AS s JOIN artist_of AS a USING (track_id)
    WHERE coalesce(s.part, 'fold ' || s.fold) IS NOT NULL AND ($1 IS NULL OR s.split = $1)
"""
# For a group on several sides: the first track, and the first one on another side.
GROUPS = """
    SELECT split, '{kind}' AS kind, min({kind}_name) AS what, string_agg(DISTINCT side, ', ' ORDER BY side) AS sides,
        count(*) AS n, min(track_id) AS one, min(track_id) FILTER (side <> first_side) AS two
    FROM (SELECT *, first(side) OVER (PARTITION BY split, {kind} ORDER BY track_id) AS first_side
          FROM sided WHERE {kind} IS NOT NULL)
    GROUP BY split, {kind} HAVING count(DISTINCT side) > 1
"""
PAIRS = """
    SELECT a.split, 'duplicate' AS kind, d.kind || ', similarity ' || round(d.similarity, 3) AS what,
        least(a.side, b.side) || ', ' || greatest(a.side, b.side) AS sides, 2 AS n, a.track_id, b.track_id
    FROM alike AS d JOIN sided AS a ON a.track_id = d.one
    JOIN sided AS b ON b.track_id = d.two AND b.split = a.split AND b.side <> a.side
"""


def listing(connection: duckdb.DuckDBPyConnection, version: int | None) -> list[SplitFacts]:
    """Every split, with the version of the table that it was read from."""
    rows = connection.execute(
        "SELECT split, track_id, coalesce(part, 'fold ' || fold, 'none') AS side FROM splits ORDER BY split, track_id"
    ).fetchall()
    found: dict[str, list[tuple[str, str]]] = {}
    for split, track_id, side in rows:
        found.setdefault(split, []).append((track_id, side))
    return [_facts(split, members, version or 0) for split, members in found.items()]


def _facts(split: str, members: list[tuple[str, str]], version: int) -> SplitFacts:
    counts: dict[str, int] = {}
    for _, side in members:
        counts[side] = counts.get(side, 0) + 1
    datasets = ", ".join(sorted({track_id.partition(":")[0] for track_id, _ in members}))
    sides = ", ".join(f"{side}: {n}" for side, n in sorted(counts.items()))
    mark = fingerprint(f"{track_id}\t{side}" for track_id, side in members)
    return SplitFacts(split, datasets, len(members), sides, mark, version)


def check(connection: duckdb.DuckDBPyConnection, split: str | None = None) -> list[Leak]:
    """Find everything on both sides of a split (of every split by default); an empty list means no leaks.

    Raises
    ------
    UsageError
        For an unknown split.
    """
    known = [name for (name,) in connection.execute("SELECT DISTINCT split FROM splits ORDER BY split").fetchall()]
    if split is not None and split not in known:
        raise unknown("split", split, known)
    kinship.relate(connection)
    connection.execute(SIDES, [split])
    parts: Iterable[str] = (GROUPS.format(kind="artist"), GROUPS.format(kind="album"), PAIRS)
    rows = connection.execute(" UNION ALL ".join(f"({part})" for part in parts) + " ORDER BY ALL").fetchall()
    return [Leak(*row) for row in rows]


def unknown_artists(connection: duckdb.DuckDBPyConnection, split: str | None = None) -> int:
    """Number of tracks in a split without a known artist, for which only duplicates can be found."""
    kinship.relate(connection)
    ((n,),) = connection.execute(
        "SELECT count(DISTINCT track_id) FROM splits JOIN artist_of USING (track_id) "
        "WHERE artist IS NULL AND ($1 IS NULL OR split = $1)",
        [split],
    ).fetchall()
    return int(n)
