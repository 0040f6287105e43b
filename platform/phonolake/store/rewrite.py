"""Take rows out of a table: the shards that hold them are written again without them."""

from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from phonolake.files import replacing
from phonolake.lineage import digest
from phonolake.store.lake import Change, Lake
from phonolake.store.schema import TableSchema
from phonolake.store.shards import SUFFIX, ShardWriter, describe

# Columns that name a track: a row about two tracks goes with either of them.
NAMING = ("track_id", "other_id")


def without(
    lake: Lake, schema: TableSchema, track_ids: Collection[str], *, files: Collection[str] | None = None
) -> Change:
    """Write the shards of a published table that hold any of `track_ids` again without those rows.

    Parameters
    ----------
    files : collection of str, optional
        Only these shards.

    Returns
    -------
    Change
        To be committed with whatever takes the rows' place. A shard that would be empty is only removed.
    """
    change = Change(schema)
    if not track_ids:
        return change
    unwanted = pa.array(sorted(track_ids), pa.string())
    for file in lake.shards(schema.name) if files is None else files:
        path = lake.folder(schema.name) / file
        held = holding(pq.read_table(path, columns=naming(pq.read_schema(path))), unwanted)
        if not pc.any(held).as_py():
            continue
        change.remove.append(file)
        if pc.all(held).as_py():
            continue
        stem = f"{file.removesuffix(SUFFIX)[:80]}-{digest([file, unwanted.to_pylist()], length=8)}"
        target = lake.path(schema.name, stem)
        with replacing(target) as temporary:
            writer = ShardWriter(temporary, schema.arrow)
            source = pq.ParquetFile(path)
            # Group by group: a reader over several of them keeps what it has read until its end.
            for group in range(source.num_row_groups):
                rows = source.read_row_group(group)
                for row in rows.filter(pc.invert(holding(rows, unwanted))).to_pylist():
                    writer.append(row)
            writer.close()
        change.add.append(describe(target))
        change.replaces[target.name] = file
    return change


def naming(columns: pa.Schema) -> list[str]:
    """The columns of a table that name tracks."""
    return [name for name in NAMING if name in columns.names]


def holding(rows: pa.Table, track_ids: pa.Array) -> pa.ChunkedArray:
    """For each row whether it names any of these tracks."""
    found = [pc.fill_null(pc.is_in(rows[name], track_ids), False) for name in naming(rows.schema)]
    held = found[0]
    for more in found[1:]:
        held = pc.or_(held, more)
    return held
