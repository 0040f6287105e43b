"""Paths through the neighbour graph: from one track to another by steps between tracks that sound alike."""

from dataclasses import dataclass

import duckdb
import numpy as np

from phonolake.errors import PhonolakeError, UsageError
from phonolake.lookup import runs
from phonolake.store import tracks

# Distance of identical steps, because zeros would mean no edge.
LEAST = 1e-9


@dataclass(frozen=True, slots=True)
class PathStep:
    """One track of a path, with its cosine similarity to the one before; None for the first."""

    step: int
    track_id: str
    similarity: float | None
    title: str | None
    artist: str | None


def path(
    connection: duckdb.DuckDBPyConnection, start: str, end: str, *, model_or_run: str | None = None
) -> list[PathStep]:
    """The path along the table `neighbours` with the smallest sum of angles between vectors.

    Raises
    ------
    UsageError
        For an unknown track or model.
    PhonolakeError
        When there is no graph yet, or it does not connect the two.
    """
    # Late: SciPy takes most of a second to import, and neighbours need none of it.
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import dijkstra

    for track_id in (start, end):
        tracks.check_known(connection, track_id)
    run_id = _graph(connection, model_or_run)
    table = connection.sql(
        "SELECT track_id, other_id, similarity FROM neighbours WHERE run_id = $1", params=[run_id]
    ).to_arrow_table()
    named: list[np.ndarray] = [table[name].to_numpy(zero_copy_only=False) for name in ("track_id", "other_id")]
    ids, places = np.unique(np.concatenate(named).astype(str), return_inverse=True)
    ends = [int(np.searchsorted(ids, track_id)) for track_id in (start, end)]
    if any(place >= len(ids) or ids[place] != name for place, name in zip(ends, (start, end), strict=True)):
        raise PhonolakeError(f"{start} or {end} has no neighbours by {run_id}: run `phonolake neighbours graph`")
    one, two = np.split(places, 2)
    angle = np.maximum(np.arccos(np.clip(table["similarity"].to_numpy(), -1, 1)), LEAST)
    graph = csr_array((angle, (one, two)), shape=(len(ids), len(ids)))
    _, before = dijkstra(graph.maximum(graph.T), directed=False, indices=ends[0], return_predecessors=True)
    places_of = _walk(before, *ends)
    if not places_of:
        raise PhonolakeError(f"there is no path from {start} to {end}: make a graph with more neighbours, -k")
    return _told(connection, [str(ids[place]) for place in places_of], run_id)


def _graph(connection: duckdb.DuckDBPyConnection, model_or_run: str | None) -> str:
    """The run of the graph."""
    rows = connection.execute("SELECT DISTINCT run_id FROM neighbours").fetchall()
    known = [run for run in runs.model_runs(connection) if (run.run_id,) in rows]
    found = runs.find(known, model_or_run, what="model with a neighbour graph")
    if found is None:
        if model_or_run is not None and rows:
            raise UsageError(f"{model_or_run} has no neighbour graph: run `phonolake neighbours graph --model`")
        raise PhonolakeError("the lake has no neighbour graph yet: run `phonolake neighbours graph`")
    return found.run_id


def _walk(before: np.ndarray, start: int, end: int) -> list[int]:
    """The places from start to end; none where the end was not reached."""
    found = [end]
    while found[-1] != start:
        if before[found[-1]] < 0:
            return []
        found.append(int(before[found[-1]]))
    return found[::-1]


def _told(connection: duckdb.DuckDBPyConnection, track_ids: list[str], run_id: str) -> list[PathStep]:
    rows = connection.execute(
        "SELECT p.n, p.track_id, (SELECT max(g.similarity) FROM neighbours AS g WHERE g.run_id = $2 AND "
        "(g.track_id = p.track_id AND g.other_id = p.last OR g.track_id = p.last AND g.other_id = p.track_id)), "
        "t.title, t.artist FROM (SELECT unnest($1) AS track_id, unnest(range(1, len($1) + 1)) AS n, "
        "unnest(list_prepend(NULL, $1[:-2])) AS last) AS p LEFT JOIN tracks AS t USING (track_id) ORDER BY p.n",
        [track_ids, run_id],
    ).fetchall()
    return [PathStep(*row) for row in rows]
