"""Write one Parquet shard so that a reader sees all of it or nothing, and the same rows give the same bytes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from phonolake.errors import PhonolakeError
from phonolake.files import creating, replacing

SUFFIX = ".parquet"
SEPARATOR = "--"  # between the parts of a name: what the rows are, its version, what they were made of
LARGE = 32 << 20  # bytes of a row group that are worth not being copied


@dataclass(frozen=True, slots=True)
class Shard:
    """A finished shard: its file name, rows and bytes."""

    file: str
    rows: int
    bytes: int


class ShardWriter:
    """Collect rows and write them in row groups of bounded size, so that memory does not grow with the shard.

    Parameters
    ----------
    schema : pa.Schema
        Schema of the rows.
    group_bytes : int
        A row group ends when its payload columns (binary and lists) reach this many bytes: small groups let one
        track be read without the rest of the shard.
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
        # Encoded audio does not compress further; everything else does. Checksums let `verify` find rotten pages.
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

    def _flush(self) -> None:
        if self._rows:
            large = self._pending >= LARGE
            self._writer.write_table(
                _view(self._rows, self.schema) if large else pa.Table.from_pylist(self._rows, self.schema)
            )
        self._rows, self._pending = [], 0

    def close(self) -> None:
        """Write what is left."""
        self._flush()
        self._writer.close()


def _view(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """The rows as a table whose binary values lie where they are: a file of many megabytes is not copied."""
    columns = []
    for field in schema:
        values = [row.get(field.name) for row in rows]
        if field.type == pa.binary():
            columns.append(pa.chunked_array([_lying(value) for value in values], field.type))
        else:
            columns.append(pa.chunked_array([pa.array(values, field.type)]))
    return pa.table(columns, schema=schema)


def _lying(value: bytes | None) -> pa.Array:
    """An array of one binary value, without a copy."""
    if value is None:
        return pa.nulls(1, pa.binary())
    ends = pa.array([0, len(value)], pa.int32()).buffers()[1]
    return pa.Array.from_buffers(pa.binary(), 1, [None, ends, pa.py_buffer(value)])


def _payload(value: Any) -> int:
    """Bytes of a binary value or of a list of numbers, about; other values are small."""
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
    """Write a small shard in one go."""
    with writing(path, schema) as append:
        for row in rows:
            append(row)
    return describe(path)


def keep_rows(path: Path, schema: pa.Schema, rows: list[dict[str, Any]]) -> Shard:
    """Write a small shard unless it is there: of two jobs that write the same one the first wins."""
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
    return Shard(path.name, metadata.num_rows, path.stat().st_size)
