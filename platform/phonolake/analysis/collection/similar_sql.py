"""Neighbours in SQL: ``FROM similar('fma:000002', k := 10)``, answered by the index.

A function that returns a list of structs is unnested by a table macro, so that it takes a constant, a subquery, or the
ids of a table beside it (lateral); those of a table are asked together.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, TypeAlias

import duckdb
import pyarrow as pa

from phonolake.analysis.collection.neighbours import COMBINATIONS, Neighbour, Searcher, SimilarityQuestion
from phonolake.errors import UsageError
from phonolake.store import query
from phonolake.store.lake import Lake

ROW = pa.struct(
    [
        ("rank", pa.int32()),
        ("track_id", pa.string()),
        ("similarity", pa.float64()),
        ("title", pa.string()),
        ("artist", pa.string()),
        ("labels", pa.string()),
    ]
)
ROWS_SQL = "STRUCT(rank INTEGER, track_id VARCHAR, similarity DOUBLE, title VARCHAR, artist VARCHAR, labels VARCHAR)[]"
MACROS = """
CREATE TEMP MACRO "similar"(track_id, k := 10, "where" := NULL, model := NULL, per_artist := NULL) AS TABLE
SELECT unnest(
    similar_list([track_id], []::VARCHAR[], k, "where", model, per_artist, 'centroid', NULL), recursive := true
);
CREATE TEMP MACRO similar_to_part(
    track_id, start_seconds, end_seconds, k := 10, "where" := NULL, model := NULL, per_artist := NULL
) AS TABLE
SELECT unnest(
    similar_list(
        [track_id], []::VARCHAR[], k, "where", model, per_artist, 'centroid', [start_seconds, end_seconds]::DOUBLE[]
    ),
    recursive := true
);
CREATE TEMP MACRO similar_to_all(
    track_ids, "unlike" := []::VARCHAR[], k := 10, "where" := NULL, model := NULL, per_artist := NULL,
    combine := 'centroid'
) AS TABLE
SELECT unnest(similar_list(track_ids, "unlike", k, "where", model, per_artist, combine, NULL), recursive := true);
CREATE TEMP MACRO similar_to_text(description, k := 10, "where" := NULL, model := NULL, per_artist := NULL) AS TABLE
SELECT unnest(similar_text_list(description, k, "where", model, per_artist), recursive := true);
CREATE TEMP MACRO similar_to_file(path, k := 10, "where" := NULL, model := NULL, per_artist := NULL) AS TABLE
SELECT unnest(similar_file_list(path, k, "where", model, per_artist), recursive := true);
CREATE TEMP MACRO neighbour_path(start_id, end_id, model := NULL) AS TABLE
SELECT unnest(path_list(start_id, end_id, model), recursive := true);
"""
STEP = pa.struct(
    [
        ("step", pa.int32()),
        ("track_id", pa.string()),
        ("similarity", pa.float64()),
        ("title", pa.string()),
        ("artist", pa.string()),
    ]
)
STEPS_SQL = "STRUCT(step INTEGER, track_id VARCHAR, similarity DOUBLE, title VARCHAR, artist VARCHAR)[]"
C: TypeAlias = pa.ChunkedArray


@contextmanager
def connecting(lake: Lake, *, files: bool = True) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to a lake with these functions, while the block runs; see `install`."""
    with query.connect(lake) as connection, Searcher(lake, files=files) as searcher:
        install(connection, searcher)
        yield connection


def install(connection: duckdb.DuckDBPyConnection, searcher: Searcher) -> None:
    """Add `similar`, its kin (`similar_to_all`, `_part`, `_text`, `_file`) and `neighbour_path` to a connection.

    Parameters
    ----------
    searcher : Searcher
        Answers; it must stay open as long as the connection.
    """

    def by_track(like: C, unlike: C, k: C, where: C, model: C, per_artist: C, combine: C, span: C) -> pa.Array:
        rows = _rows(like, unlike, k, where, model, per_artist, combine, span)
        return pa.array(_many(searcher, rows), pa.list_(ROW))

    def by_file(path: C, depth: C, conditions: C, models: C, per_artist: C) -> pa.Array:
        if not searcher.files:
            raise UsageError("files cannot be read here: use `phonolake sql` or `phonolake similar FILE`")
        rows = _rows(path, depth, conditions, models, per_artist)
        found = [
            _one(searcher, [file], [], k, where, model, most, "centroid", None) for file, k, where, model, most in rows
        ]
        return pa.array(found, pa.list_(ROW))

    def by_text(text: C, depth: C, conditions: C, models: C, per_artist: C) -> pa.Array:
        found = []
        for said, k, where, model, most in _rows(text, depth, conditions, models, per_artist):
            question = SimilarityQuestion((), (), k or 0, where, model, per_artist=most, text=said)
            found.append(None if said is None or k is None else _structs(searcher.ask(question)))
        return pa.array(found, pa.list_(ROW))

    def path(start: C, end: C, models: C) -> pa.Array:
        found = [
            None if a is None or b is None else list(map(asdict, searcher.path(a, b, model_or_run=model)))
            for a, b, model in _rows(start, end, models)
        ]
        return pa.array(found, pa.list_(STEP))

    options = ["BIGINT", "VARCHAR", "VARCHAR", "BIGINT"]
    functions: list[tuple[str, Any, Any, str]] = [
        ("similar_list", by_track, ["VARCHAR[]", "VARCHAR[]", *options, "VARCHAR", "DOUBLE[]"], ROWS_SQL),
        ("similar_file_list", by_file, ["VARCHAR", *options], ROWS_SQL),
        ("similar_text_list", by_text, ["VARCHAR", *options], ROWS_SQL),
        ("path_list", path, ["VARCHAR", "VARCHAR", "VARCHAR"], STEPS_SQL),
    ]
    for name, function, types, result in functions:
        # What a lake holds may change: an answer is no constant.
        how: dict[str, Any] = {"type": "arrow", "null_handling": "special", "side_effects": True}
        connection.create_function(name, function, types, result, **how)
    connection.execute(MACROS)


def _rows(*columns: C) -> list[Any]:
    return list(zip(*(column.to_pylist() for column in columns), strict=True))


def _many(searcher: Searcher, rows: list[tuple]) -> list[list[dict] | None]:
    """The results of some queries; those that differ only in one track run together."""
    alike: dict[tuple, list[int]] = {}
    found: list[list[dict] | None] = [None] * len(rows)
    for place, (like, unlike, k, where, model, per_artist, combine, span) in enumerate(rows):
        simple = like and len(like) == 1 and not unlike and per_artist is None and combine in COMBINATIONS and not span
        if simple and like[0] is not None and k is not None:
            alike.setdefault((k, where, model), []).append(place)
        else:
            found[place] = _one(searcher, like, unlike, k, where, model, per_artist, combine, span)
    for (k, where, model), places in alike.items():
        ids = [rows[place][0][0] for place in places]
        answers = searcher.similar_many(ids, k=k, where=where, model_or_run=model)
        for place, answer in zip(places, answers, strict=True):
            found[place] = _structs(answer)
    return found


def _one(
    searcher: Searcher,
    like: list[str | None] | None,
    unlike: list[str | None] | None,
    k: int | None,
    where: str | None,
    model: str | None,
    per_artist: int | None,
    combine: str,
    span: list[float] | None,
) -> list[dict] | None:
    """The result of one query; empty for NULL."""
    named = [track_id for track_id in like or [] if track_id is not None]
    if not named or k is None:
        return None
    others = tuple(track_id for track_id in unlike or [] if track_id is not None)
    part = None if span is None else (span[0], span[1])
    return _structs(searcher.ask(SimilarityQuestion(tuple(named), others, k, where, model, combine, per_artist, part)))


def _structs(found: list[Neighbour]) -> list[dict]:
    return [{name: getattr(neighbour, name) for name in ROW.names} for neighbour in found]
