"""Merge small shards of small tables, so that a lake with many small ingests stays fast to query.

An ingest writes shards of audio, and with each one a shard of every table of metadata. With small ingests these have a
handful of rows. If a table has more than `MOST` small shards of a dataset, they are merged, in order of their tracks,
into shards of up to `FULL_ROWS` rows. Audio and its products stay unchanged, and so do shards that are found by their
names, which have parts (`shards.SEPARATOR`).

Rows do not change. The old shards stay on the disk for open readers, until `phonolake verify --mend`.
"""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from phonolake.files import replacing
from phonolake.lineage import digest
from phonolake.store import catalog, schema
from phonolake.store.changes import Change, Reads
from phonolake.store.lake import Lake, OvertakenError
from phonolake.store.objects import StorageError
from phonolake.store.schema import TableSchema
from phonolake.store.shards import Shard, ShardWriter, describe

TABLES = ("tracks", "labels", "splits", "official_splits", "metadata", "rejects")
# A shard is full at this many rows, which are one row group, or bytes; one of half as many is not small.
FULL_ROWS, FULL_BYTES = 16_384, 8 << 20
MOST = 64
# Limit per ingest, or as many as it has added: the cost does not depend on the size of the lake.
AT_ONCE = 1_024
PARALLEL = 8
# Names by an ingest, DATASET-00000-DIGEST, with one more digest for each time it was rewritten without some rows;
# or names of merged shards.
_NAME = re.compile(r"(?P<dataset>[A-Za-z0-9_]+(-[A-Za-z0-9_]+)*?)-(\d{5}|merged)-[0-9a-f]{12}(-[0-9a-f]{8})*\.parquet")


def compact(lake: Lake, *, at_once: int | None = AT_ONCE) -> dict[str, int]:
    """Merge small shards if a table has too many of them.

    Parameters
    ----------
    lake : Lake
        A pinned state (`Lake.pinned`): if another job has changed these tables since, nothing is done.
    at_once : int, optional
        Maximum number of shards to merge per table and dataset; None for all.

    Returns
    -------
    dict of str to int
        The versions that are published then; those of `lake` if there was nothing to do or it failed. Then the next
        ingest tries again.
    """
    seen = lake.pinned()
    groups = {table: list(_groups(seen, table, at_once)) for table in TABLES}
    if not any(groups.values()):
        return seen.versions()
    reads = Reads({table: version for table, version in seen.versions().items() if table in TABLES})
    try:
        if _has_doubles(seen):
            return seen.versions()
        changes = {table: _together(seen, schema.table(table), found) for table, found in groups.items() if found}
        return seen.commit(changes, reads)
    except (OvertakenError, OSError, StorageError, pa.ArrowException, duckdb.Error):
        # The main work is already done; `phonolake verify` reports unreadable shards.
        return seen.versions()


def _groups(lake: Lake, table: str, at_once: int | None) -> Iterator[list[Shard]]:
    """Groups of small shards to merge, by dataset and in order of their tracks."""
    small: dict[str, list[Shard]] = {}
    for shard in lake.shards(table).values():
        if 2 * shard.rows <= FULL_ROWS and 2 * shard.bytes <= FULL_BYTES and (named := _NAME.fullmatch(shard.file)):
            small.setdefault(named["dataset"], []).append(shard)
    for shards in small.values():
        if len(shards) > MOST:
            yield from _filled(sorted(shards, key=lambda shard: (shard.first or "", shard.file))[:at_once])


def _filled(shards: list[Shard]) -> Iterator[list[Shard]]:
    group: list[Shard] = []
    for shard in shards:
        full = sum(s.rows for s in group) + shard.rows > FULL_ROWS or sum(s.bytes for s in group) > FULL_BYTES
        if group and full:
            yield group
            group = []
        group.append(shard)
    if len(group) > 1:
        yield group


def _has_doubles(lake: Lake) -> bool:
    """Whether there are duplicate tracks: `phonolake verify --mend` chooses by the names of their shards."""
    with catalog.connect(lake) as connection:
        rows = connection.execute("SELECT count(*) > count(DISTINCT track_id) FROM tracks").fetchall()
    return bool(rows[0][0])


def _together(lake: Lake, table: TableSchema, groups: list[list[Shard]]) -> Change:
    """Write the shards of each group as one."""
    change = Change(table)
    for group in groups:
        files = [shard.file for shard in group]
        dataset = _NAME.fullmatch(files[0])
        assert dataset is not None
        path = lake.path(table.name, f"{dataset['dataset']}-merged-{digest(sorted(files))}")
        with ThreadPoolExecutor(PARALLEL) as pool:
            parts = list(pool.map(partial(_rows, lake, table), group))
        rows = pa.concat_tables(parts).sort_by("track_id")
        change.remove += files
        if rows.num_rows == 0:
            continue
        with replacing(path) as temporary:
            writer = ShardWriter(temporary, table.arrow)
            writer.append_table(rows)
            writer.close()
        change.add.append(describe(path))
    return change


def _rows(lake: Lake, table: TableSchema, shard: Shard) -> pa.Table:
    """The rows of a shard with all declared columns; NULL for columns newer than the shard."""
    # A damaged shard must not get a new checksum.
    with pq.ParquetFile(lake.opened(table.name, shard.file), page_checksum_verification=True) as file:
        found = file.read()
    if len(found) != shard.rows:
        raise pa.ArrowInvalid(f"{shard.file} has {len(found)} rows, and its log says {shard.rows}")
    columns = [
        found[field.name].cast(field.type) if field.name in found.column_names else pa.nulls(len(found), field.type)
        for field in table.arrow
    ]
    return pa.table(columns, schema=table.arrow)
