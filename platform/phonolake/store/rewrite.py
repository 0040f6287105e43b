"""Remove rows from a table by rewriting their shards."""

from collections.abc import Collection
from contextlib import suppress

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from phonolake.files import replacing
from phonolake.lineage import digest
from phonolake.store.lake import Change, Lake
from phonolake.store.naming import TOMBSTONES, holding, holds, names
from phonolake.store.schema import TableSchema
from phonolake.store.shards import SUFFIX, ShardWriter, describe


def without(
    lake: Lake, schema: TableSchema, track_ids: Collection[str], *, among: Collection[str] | None = None
) -> Change:
    """Rewrite the shards of a published table without the rows of `track_ids`.

    Parameters
    ----------
    among : collection of str, optional
        Only these shards.

    Returns
    -------
    Change
        To be committed with the replacement of the rows. A shard that would be empty is only removed.
    """
    change = Change(schema)
    if not track_ids:
        return change
    unwanted = pa.array(sorted(track_ids), pa.string())
    for file in lake.shards(schema.name) if among is None else among:
        held = holding(names(lake.opened(schema.name, file)), unwanted)
        if not pc.any(held).as_py():
            continue
        change.remove.append(file)
        if pc.all(held).as_py():
            continue
        target = lake.folder(schema.name) / renamed(file, unwanted)
        with replacing(target) as temporary:
            writer = ShardWriter(temporary, schema.arrow)
            source = pq.ParquetFile(lake.local(schema.name, file))
            # Group by group, because a reader over several keeps them in memory until its end.
            for group in range(source.num_row_groups):
                rows = source.read_row_group(group)
                for row in rows.filter(pc.invert(holding(rows, unwanted))).to_pylist():
                    writer.append(row)
            writer.close()
        change.add.append(describe(target))
        change.replaces[target.name] = file
    return change


def renamed(file: str, unwanted: pa.Array) -> str:
    """The name of a shard rewritten without some tracks, whose ids are in order."""
    return f"{file.removesuffix(SUFFIX)[:80]}-{digest([file, unwanted.to_pylist()], length=8)}{SUFFIX}"


def purge(lake: Lake, track_ids: pa.Array) -> dict[str, int]:
    """Delete unpublished shards with rows of these tracks; their number by table.

    They are not needed: a commit with rows of a forgotten track is refused.
    """
    gone = {}
    for table, ready in lake.ready_shards().items():
        if table == TOMBSTONES:
            continue
        gone[table] = 0
        for file in sorted(ready - lake.shards(table).keys()):
            with suppress(FileNotFoundError):
                if holds(lake.opened(table, file), track_ids):
                    lake.place.delete([lake.name(table, file)])
                    gone[table] += 1
    return gone
