"""Which rows of a table name a track, and which of them name one that was forgotten."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

# Columns that name a track: a row about two tracks goes with either of them.
NAMING = ("track_id", "other_id")
# The table of those that were taken down.
TOMBSTONES = "forgotten"


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


def holds(path: Path, track_ids: pa.Array) -> bool:
    """Whether a shard has rows of these tracks; one that cannot be read may have some.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    """
    try:
        columns = naming(pq.read_schema(path))
        return bool(columns) and bool(pc.any(holding(pq.read_table(path, columns=columns), track_ids)).as_py())
    except FileNotFoundError:
        raise
    except (pa.ArrowInvalid, OSError):
        return True


def buried(folder: Path, files: Iterable[str]) -> pa.Array:
    """Ids of the forgotten tracks in some shards of the table of tombstones."""
    ids: set[str] = set()
    for file in files:
        ids.update(pq.read_table(folder / file, columns=["track_id"])["track_id"].to_pylist())
    return pa.array(sorted(ids), pa.string())
