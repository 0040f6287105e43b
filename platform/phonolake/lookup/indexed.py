"""Indexes as parts of a lake: folders, the shards of their segments, and the metadata of their tracks."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from phonolake.search import index as faiss_index
from phonolake.search.building import Block, Show
from phonolake.search.index import IndexSegment, SourceShard
from phonolake.search.tracks import ROWS
from phonolake.store import catalog, folders
from phonolake.store.lake import Lake
from phonolake.store.schema import literal
from phonolake.store.shards import SEPARATOR

FOLDER, VECTORS = "indexes", "embeddings"
# Tables with title, artist and labels.
SHOWN = ("tracks", "labels")
INDEXED = "indexed_tracks"
# DuckDB's memory limit for looking up the metadata of many tracks; beyond, it uses the disk.
MEMORY = "384MB"
# Tracks per lookup: DuckDB cannot move groups of texts to the disk.
AT_ONCE = 1 << 16
# Vectors per read.
BATCH = 8192


def folder(lake: Lake, run_id: str) -> Path:
    """The local folder of the current index of a run."""
    return folders.fetch(lake.place, f"{FOLDER}/{run_id}")


def send(lake: Lake, run_id: str) -> None:
    """Publish an index that was written or changed on this machine; one without files is removed."""
    if any((lake.root / FOLDER / run_id).glob("[!.]*")):
        folders.send(lake.place, f"{FOLDER}/{run_id}")
    elif lake.place.is_remote:
        folders.remove(lake.place, f"{FOLDER}/{run_id}")


def runs(lake: Lake) -> list[str]:
    """Runs with embeddings, in order of their ids."""
    return sorted({file.split(SEPARATOR)[0] for file, shard in lake.shards(VECTORS).items() if shard.rows})


def published(lake: Lake, run_id: str) -> dict[str, SourceShard]:
    """The shards of embeddings of a run, by their names."""
    found = _sources(lake, VECTORS)
    return {file: source for file, source in found.items() if file.split(SEPARATOR)[0] == run_id and source.rows}


def shown(lake: Lake) -> dict[str, tuple[SourceShard, ...]]:
    """The shards with title, artist and labels, by their tables."""
    return {table: tuple(_sources(lake, table).values()) for table in SHOWN}


def _sources(lake: Lake, table: str) -> dict[str, SourceShard]:
    return {file: SourceShard(file, shard.rows, shard.bytes) for file, shard in lake.shards(table).items()}


def states(lake: Lake) -> list[tuple[str, None, int, int, int]]:
    """For each index: run, kind and recall; no version; segments, vectors and bytes."""
    found = []
    for run_id in runs(lake):
        card = faiss_index.read_card(folder(lake, run_id))
        if card is not None:
            recall = "recall not measured" if card.recall is None else f"recall@10 {card.recall:.3f}"
            lacking = sum(source.rows or 0 for source in missing(card.parts, published(lake, run_id)))
            late = f", lacks {lacking} tracks" if lacking else ""
            size = sum(path.stat().st_size for path in folder(lake, run_id).rglob("*") if path.is_file())
            found.append((f"{run_id}: {card.kinds}, {recall}{late}", None, len(card.parts), card.n, size))
    return found


def missing(parts: Iterable[IndexSegment], now: dict[str, SourceShard]) -> tuple[SourceShard, ...]:
    """Published shards that no segment contains, in order of their names."""
    held = {source.file for part in parts for source in part.shards if source.is_in(now)}
    return tuple(now[file] for file in sorted(now.keys() - held))


def dead_rows(part: IndexSegment, now: dict[str, SourceShard]) -> int:
    """Vectors of a segment from shards that are no longer published."""
    return sum(source.rows or 0 for source in part.shards if not source.is_in(now))


def touched(lake: Lake, part: IndexSegment) -> pa.Array | None:
    """Tracks whose metadata may differ from that in the segment; None if it may be any."""
    ids: list[pa.Array] = []
    for table in SHOWN:
        now, before = _sources(lake, table), part.shown.get(table)
        if before is None or not all(source.is_in(now) for source in before):
            return None
        for file in sorted(now.keys() - {source.file for source in before}):
            ids += pq.read_table(lake.opened(table, file), columns=["track_id"])["track_id"].chunks
    return pa.concat_arrays(ids).unique() if ids else pa.array([], pa.string())


def blocks(lake: Lake, sources: Iterable[SourceShard]) -> Iterator[Block]:
    """The vectors of some shards."""
    for number, source in enumerate(sources):
        with pq.ParquetFile(lake.local(VECTORS, source.file)) as file:
            for batch in file.iter_batches(BATCH, columns=["track_id", "embedding"]):
                values = batch.column("embedding").flatten().to_numpy(zero_copy_only=False)
                yield Block(batch.column("track_id"), values.reshape(len(batch), -1), number)


def values(lake: Lake, source: SourceShard) -> int:
    """The dimension of the vectors of a shard."""
    with pq.ParquetFile(lake.local(VECTORS, source.file)) as file:
        first = next(file.iter_batches(1, columns=["embedding"]))
    return len(first.column("embedding").flatten())


@contextmanager
def showing(lake: Lake) -> Iterator[Show]:
    """A function that looks up title, artist and labels of tracks, while the block runs."""
    with catalog.alone(lake) as connection:
        connection.execute(f"SET memory_limit = '{MEMORY}'")

        def show(track_ids: pa.ChunkedArray) -> Iterator[pa.RecordBatch]:
            for start in range(0, len(track_ids), AT_ONCE):
                yield from _shown(connection, track_ids.slice(start, AT_ONCE))

        yield show


def _shown(connection: duckdb.DuckDBPyConnection, track_ids: pa.ChunkedArray) -> Iterator[pa.RecordBatch]:
    """Title, artist and labels of some tracks, in their order."""
    connection.register(INDEXED, pa.table({"track_id": track_ids, "number": pa.array(np.arange(len(track_ids)))}))
    # Read only the parts of tables with these tracks; as a rule those of an index are in order.
    limits = pc.min_max(track_ids).as_py()
    there = f"track_id BETWEEN {literal(limits['min'])} AND {literal(limits['max'])}"
    there += f" AND track_id IN (SELECT track_id FROM {INDEXED})"
    relation = connection.sql(
        f"""
        WITH named AS (
            SELECT track_id, any_value(title) AS title, any_value(artist) AS artist FROM tracks
            WHERE {there} GROUP BY track_id
        ), said AS (
            SELECT track_id, string_agg(DISTINCT label, ', ' ORDER BY label) AS labels FROM labels
            WHERE value = 1 AND source = 'dataset' AND {there} GROUP BY track_id
        )
        SELECT n.title, n.artist, s.labels FROM {INDEXED} AS i
        LEFT JOIN named AS n USING (track_id) LEFT JOIN said AS s USING (track_id) ORDER BY i.number
        """
    )
    yield from relation.to_arrow_reader(ROWS)
    # Otherwise the ids stay in memory until the next lookup.
    del relation
    connection.unregister(INDEXED)
