"""Write Parquet shards atomically, with the same bytes for the same rows."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import repeat
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from phonolake.errors import PhonolakeError
from phonolake.files import creating, replacing

SUFFIX = ".parquet"
SEPARATOR = "--"  # between the parts of a name: product, version, source
LARGE = 32 << 20  # size of a row group above which copies are avoided
# The last character of Unicode.
HIGHEST = "\U0010ffff"
# Missing values are counted in the first columns of a table, up to this number; no table about tracks has more.
COUNTED = 16
LOGGED = ("path", "num_records", "size_bytes", "modification_time", "min.track_id", "max.track_id")
NULLS = "null_count."
# Columns of which one is NULL if a track has a single row in a shard.
SINGLE = ("piece", "start_seconds")


@dataclass(frozen=True, slots=True)
class Shard:
    """A finished shard: its file name, rows and bytes, and its statistics in the log.

    Parameters
    ----------
    first, last : str, optional
        Bounds of its track ids. They are halves of ids: a log is never rewritten, so it must not name a track that is
        forgotten later.
    nulls : mapping of str to int
        Number of missing values in columns that may be NULL; empty for older shards.
    published : int, optional
        Time of its log entry, in milliseconds since 1970; None without one.
    """

    file: str
    rows: int
    bytes: int
    first: str | None = field(default=None, compare=False)
    last: str | None = field(default=None, compare=False)
    nulls: Mapping[str, int] = field(default_factory=dict, compare=False)
    published: int | None = field(default=None, compare=False)

    @property
    def tracks(self) -> int | None:
        """Its number of tracks, if known without reading it."""
        return self.rows if any(self.nulls.get(name) == self.rows for name in SINGLE) else None

    @property
    def statistics(self) -> str:
        """Rows and statistics in the form of a Delta log."""
        found: dict[str, Any] = {"numRecords": self.rows}
        if self.first is not None:
            found |= {"minValues": {"track_id": self.first}, "maxValues": {"track_id": self.last}, "tightBounds": False}
        if self.nulls:
            found["nullCount"] = dict(self.nulls)
        # Not escaped: readers of logs misread escaped characters from U+20000 on.
        return json.dumps(found, ensure_ascii=False)

    @classmethod
    def stated(cls, file: str, size: int, statistics: str) -> "Shard":
        """A shard from its size and its `statistics`."""
        found = json.loads(statistics)
        first, last = (found.get(kind, {}).get("track_id") for kind in ("minValues", "maxValues"))
        return cls(file, found["numRecords"], size, first, last, found.get("nullCount", {}))

    @classmethod
    def logged(cls, actions: pa.Table) -> "Iterator[Shard]":
        """The shards of a table from `DeltaTable.get_add_actions(flatten=True)`."""
        there = set(actions.column_names)
        columns = [actions[name].to_pylist() if name in there else repeat(None) for name in LOGGED]
        counted = [name for name in actions.column_names if name.startswith(NULLS)]
        names = [name.removeprefix(NULLS) for name in counted]
        # Column by column: a lake may have ten thousand shards.
        missing = zip(*(actions[name].to_pylist() for name in counted), strict=True) if counted else repeat(())
        # Most shards lack the same values: share these dictionaries.
        known: dict[tuple[int | None, ...], dict[str, int]] = {}
        for file, rows, size, when, first, last, nulls in zip(*columns, missing, strict=False):
            if nulls not in known:
                known[nulls] = {name: n for name, n in zip(names, nulls, strict=True) if n is not None}
            yield cls(file, rows, size, first, last, known[nulls], _milliseconds(when))


def _milliseconds(when: int | datetime) -> int:
    """Time of a shard's log entry, which readers return as a number or as a time."""
    return int(when.timestamp() * 1000) if isinstance(when, datetime) else int(when)


class ShardWriter:
    """Collect rows and write them in row groups of bounded size, so that memory does not grow with the shard.

    Parameters
    ----------
    schema : pa.Schema
        Schema of the rows.
    group_bytes : int
        A row group ends when its payload columns (binary and lists) reach this many bytes: with small groups one track
        can be read without the rest of the shard.
    group_rows : int
        A row group also ends at this many rows.
    """

    def __init__(self, path: Path, schema: pa.Schema, *, group_bytes: int = 4 << 20, group_rows: int = 16_384) -> None:
        self.schema = schema
        self.group_bytes = group_bytes
        self.group_rows = group_rows
        self._rows: list[dict[str, Any]] = []
        self._pending = 0
        blobs = [f.name for f in schema if pa.types.is_binary(f.type)]
        # Encoded audio does not compress further; everything else does. Checksums let `verify` find damaged pages.
        codec = {f.name: "NONE" if f.name in blobs else "ZSTD" for f in schema}
        self._writer = pq.ParquetWriter(
            path,
            schema,
            compression=codec,
            write_page_checksum=True,
            use_dictionary=[f.name for f in schema if pa.types.is_string(f.type)],
            write_statistics=[f.name for f in schema if f.name not in blobs],
        )

    def append(self, row: dict[str, Any]) -> None:
        """Add one row; missing columns are NULL."""
        self._rows.append(row)
        self._pending += sum(_payload(value) for value in row.values())
        if self._pending >= self.group_bytes or len(self._rows) >= self.group_rows:
            self._flush()

    def append_table(self, rows: pa.Table) -> None:
        """Add a table of rows, as separate row groups."""
        self._flush()
        self._writer.write_table(rows, row_group_size=self.group_rows)

    def _flush(self) -> None:
        if self._rows:
            large = self._pending >= LARGE
            self._writer.write_table(
                _view(self._rows, self.schema) if large else pa.Table.from_pylist(self._rows, self.schema)
            )
        self._rows, self._pending = [], 0

    def close(self) -> None:
        """Write the rest."""
        self._flush()
        self._writer.close()


def _view(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """The rows as a table without copies of binary values, so that large files are not copied."""
    columns = []
    for column in schema:
        values = [row.get(column.name) for row in rows]
        if column.type == pa.binary():
            columns.append(pa.chunked_array([_lying(value) for value in values], column.type))
        else:
            columns.append(pa.chunked_array([pa.array(values, column.type)]))
    return pa.table(columns, schema=schema)


def _lying(value: bytes | None) -> pa.Array:
    """An array of one binary value, without a copy."""
    if value is None:
        return pa.nulls(1, pa.binary())
    ends = pa.array([0, len(value)], pa.int32()).buffers()[1]
    return pa.Array.from_buffers(pa.binary(), 1, [None, ends, pa.py_buffer(value)])


def _payload(value: Any) -> int:
    """Approximate bytes of a binary value or of a list of numbers; other values are small."""
    if isinstance(value, bytes):
        return len(value)
    return 4 * len(value) if isinstance(value, list) else 0


@contextmanager
def writing(path: Path, schema: pa.Schema, **options: int) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Open a shard for writing rows; it appears under `path` only when the block ends well."""
    with replacing(path) as temporary:
        writer = ShardWriter(temporary, schema, **options)
        try:
            yield writer.append
        finally:
            writer.close()


def write_rows(path: Path, schema: pa.Schema, rows: list[dict[str, Any]]) -> Shard:
    """Write a small shard at once."""
    with writing(path, schema) as append:
        for row in rows:
            append(row)
    return describe(path)


def keep_rows(path: Path, schema: pa.Schema, rows: list[dict[str, Any]]) -> Shard:
    """Write a small shard unless it exists: of two jobs that write the same one the first wins."""
    if not path.exists():
        with creating(path) as temporary:
            writer = ShardWriter(temporary, schema)
            for row in rows:
                writer.append(row)
            writer.close()
    return describe(path)


class GoneError(PhonolakeError):
    """A shard is no longer there: another job may have removed it."""


def describe(path: Path) -> Shard:
    """Read the facts of a finished shard from its footer.

    Raises
    ------
    GoneError
        When it is not there.
    PhonolakeError
        When it cannot be read.
    """
    try:
        metadata = pq.read_metadata(path)
    except (pa.ArrowInvalid, OSError) as error:
        kind = GoneError if isinstance(error, FileNotFoundError) else PhonolakeError
        raise kind(
            f"{path} is not a readable shard ({error}): `phonolake verify --mend` removes it, then run the stage again"
        ) from error
    return Shard(path.name, metadata.num_rows, path.stat().st_size, *_limits(metadata), _nulls(metadata))


def bounds(smallest: str, largest: str) -> tuple[str, str]:
    """Bounds of all ids from the smallest to the largest, made of half of their names."""
    half = _half(largest)
    return smallest[: _half(smallest)], largest[:half] + HIGHEST * (len(largest) - half)


def _half(track_id: str) -> int:
    """Start of the second half of a track's name in its dataset."""
    begin = track_id.find(":") + 1
    return begin + (len(track_id) - begin) // 2


def _limits(metadata: pq.FileMetaData) -> tuple[str | None, str | None]:
    """Bounds of the track ids, if every row group has the smallest and the largest."""
    found = _statistics(metadata, "track_id")
    if not found or not all(s is not None and s.has_min_max for s in found):
        return None, None
    return bounds(min(s.min for s in found), max(s.max for s in found))


def _nulls(metadata: pq.FileMetaData) -> dict[str, int]:
    """Numbers of NULL in the first nullable columns with counts."""
    schema = metadata.schema.to_arrow_schema()
    found = {}
    for column in [f for n, f in enumerate(schema) if n < COUNTED and f.nullable and not pa.types.is_nested(f.type)]:
        counts = _statistics(metadata, column.name)
        if all(s is not None and s.has_null_count for s in counts):
            found[column.name] = sum(s.null_count for s in counts)
    return found


def _statistics(metadata: pq.FileMetaData, name: str) -> list[Any]:
    """Statistics of a column in each row group; empty if it does not exist."""
    if metadata.num_row_groups == 0 or name not in metadata.schema.names:
        return []
    place = metadata.schema.names.index(name)
    return [metadata.row_group(group).column(place).statistics for group in range(metadata.num_row_groups)]
