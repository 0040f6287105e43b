"""Rows of a table that name a track, and rows that name a forgotten one."""

from pathlib import Path
from typing import IO, TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from phonolake.store.lake import Lake

# Columns that name a track: a row about several tracks is removed with any of them.
NAMING = ("track_id", "other_id", "first_id", "second_id")
# The table of removed tracks.
TOMBSTONES = "forgotten"


def naming(columns: pa.Schema) -> list[str]:
    """The columns of a table that name tracks."""
    return [name for name in NAMING if name in columns.names]


def holding(rows: pa.Table, track_ids: pa.Array) -> pa.ChunkedArray:
    """For each row, whether it names any of these tracks."""
    found = [pc.fill_null(pc.is_in(rows[name], track_ids), False) for name in naming(rows.schema)]
    held = found[0]
    for more in found[1:]:
        held = pc.or_(held, more)
    return held


def holds(shard: Path | IO[bytes], track_ids: pa.Array) -> bool:
    """Whether a shard has rows of these tracks; True for an unreadable one.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    """
    try:
        rows = names(shard)
        return bool(rows.column_names) and bool(pc.any(holding(rows, track_ids)).as_py())
    except FileNotFoundError:
        raise
    except (pa.ArrowInvalid, OSError):
        return True


def names(shard: Path | IO[bytes]) -> pa.Table:
    """The columns of a shard that name tracks."""
    with pq.ParquetFile(shard) as file:
        return file.read(columns=naming(file.schema_arrow))


def buried(lake: "Lake") -> pa.Array:
    """Ids of the forgotten tracks of a lake."""
    ids: set[str] = set()
    for file in lake.shards(TOMBSTONES):
        ids.update(names(lake.opened(TOMBSTONES, file))["track_id"].to_pylist())
    return pa.array(sorted(ids), pa.string())
