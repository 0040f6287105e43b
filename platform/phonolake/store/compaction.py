"""Small shards of small tables become larger ones, so that a lake to which little is added often stays quick to ask.

An ingest writes shards of audio, and beside each one for every table that says what its files are. Where little comes
at a time, these have a handful of rows. When a table has more than `MOST` small shards of a dataset, they are put
together, in order of their tracks, into shards of up to `FULL_ROWS` rows. Audio and what was computed of it stay as
they are, and so do shards that are looked for by their names, which have parts (`shards.SEPARATOR`).

Rows stay the same. The old shards stay on the disk for readers that are open, until `phonolake verify --mend`.
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
# A shard is full at so many rows, which are one row group, or so many bytes; one of half as many is no longer small.
FULL_ROWS, FULL_BYTES = 16_384, 8 << 20
MOST = 64
# At once, or as many as an ingest has added: what it takes does not follow from the size of the lake.
AT_ONCE = 1_024
PARALLEL = 8
# What an ingest writes, DATASET-00000-DIGEST, with a digest more each time that it was written again without some rows;
# or what has been put together.
_NAME = re.compile(r"(?P<dataset>[A-Za-z0-9_]+(-[A-Za-z0-9_]+)*?)-(\d{5}|merged)-[0-9a-f]{12}(-[0-9a-f]{8})*\.parquet")


def compact(lake: Lake, *, at_once: int | None = AT_ONCE) -> dict[str, int]:
    """Put small shards together where a table has too many of them.

    Parameters
    ----------
    lake : Lake
        As somebody has seen it (`Lake.pinned`): where another job has changed these tables since, nothing is done.
    at_once : int, optional
        Shards of a table and dataset that are put together, all by default of None.

    Returns
    -------
    dict of str to int
        The versions that are published then; those that `lake` shows where nothing was to be done or could be. The next
        ingest tries again then.
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
        # What was asked for is done already; `phonolake verify` names a shard that cannot be read.
        return seen.versions()


def _groups(lake: Lake, table: str, at_once: int | None) -> Iterator[list[Shard]]:
    """Small shards that become one, by dataset and in order of their tracks."""
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
    """Whether tracks stand there twice: `phonolake verify --mend` tells by the names of shards which row has to go."""
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
    """The rows of a shard with all columns that are declared; one that is older than a column has NULL there."""
    # What is rotten must not get a checksum of its own.
    with pq.ParquetFile(lake.opened(table.name, shard.file), page_checksum_verification=True) as file:
        found = file.read()
    if len(found) != shard.rows:
        raise pa.ArrowInvalid(f"{shard.file} has {len(found)} rows, and its log says {shard.rows}")
    columns = [
        found[field.name].cast(field.type) if field.name in found.column_names else pa.nulls(len(found), field.type)
        for field in table.arrow
    ]
    return pa.table(columns, schema=table.arrow)
