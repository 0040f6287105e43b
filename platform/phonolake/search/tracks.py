"""The tracks of an index: ids and metadata in the order of its vectors, memory-mapped."""

import zlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from phonolake.files import replacing
from phonolake.search.vectors import mapped

TRACKS, ORDER = "tracks.arrow", "by_id.npy"
# Rows of each batch of the file except the last, so that the position of a row follows from its number.
ROWS = 65_536
IDENTITY = pa.schema([pa.field("track_id", pa.string(), False), pa.field("shard", pa.int32(), False)])
SHOWN = ("title", "artist", "labels")
SCHEMA = pa.schema([*IDENTITY, *(pa.field(name, pa.string()) for name in SHOWN)])


class _Texts:
    """A column of strings, read from the buffers directly: Arrow's scalars take ten times as long."""

    def __init__(self, column: pa.StringArray) -> None:
        valid, ends, data = column.buffers()
        self._start = column.offset
        self._valid = memoryview(valid) if valid is not None and column.null_count else None
        self.ends = memoryview(ends or b"").cast("i")[self._start :]
        self.data = memoryview(data or b"")

    def __getitem__(self, row: int) -> str | None:
        place = self._start + row
        if self._valid is not None and not self._valid[place >> 3] >> (place & 7) & 1:
            return None
        return str(self.data[self.ends[row] : self.ends[row + 1]], "utf-8")


@dataclass(frozen=True)
class Tracks:
    """Tracks by the numbers of their vectors, and numbers by ids.

    Parameters
    ----------
    batches : sequence of pa.RecordBatch
        Columns track_id, shard (an index into the shards of the segment), title, artist and labels; each of `ROWS` rows
        but the last. Tracks outside the index have only the first two.
    by_id : ndarray of uint32, optional
        Checksums of the ids in order, and below them the numbers of their tracks; without it all ids are compared.
    """

    batches: Sequence[pa.RecordBatch]
    by_id: np.ndarray | None = None

    @classmethod
    def of(cls, track_ids: pa.Array | pa.ChunkedArray, shards: np.ndarray) -> "Tracks":
        """Tracks in memory."""
        return cls(list(_batches(track_ids, shards)))

    @classmethod
    def read(cls, folder: Path) -> "Tracks":
        """The tracks of the segment in a folder.

        Raises
        ------
        OSError, ValueError
            When they are missing or damaged.
        """
        with pa.memory_map(str(folder / TRACKS)) as file:
            reader = pa.ipc.open_file(file)
            if reader.schema != SCHEMA:
                raise ValueError(f"{folder / TRACKS} has the columns {', '.join(reader.schema.names)}")
            batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
        if any(len(batch) != ROWS for batch in batches[:-1]):
            raise ValueError(f"the batches of {folder / TRACKS} are not of {ROWS} rows")
        by_id = np.asarray(mapped(folder / ORDER))
        if by_id.shape != (2, sum(map(len, batches))) or by_id.dtype != np.uint32:
            raise ValueError(f"{folder / ORDER} is not that of {folder / TRACKS}")
        return cls(batches, by_id)

    def __len__(self) -> int:
        return ROWS * (len(self.batches) - 1) + len(self.batches[-1]) if self.batches else 0

    def id(self, number: int) -> str:
        """Id of a track."""
        ends, data = self._ids[number // ROWS]
        row = number % ROWS
        return str(data[ends[row] : ends[row + 1]], "utf-8")

    def shown(self, number: int) -> tuple[str | None, ...]:
        """Title, artist and labels of a track."""
        title, artist, labels = self._shown[number // ROWS]
        row = number % ROWS
        return title[row], artist[row], labels[row]

    def number(self, track_id: str) -> int | None:
        """The number of a track; None when it is not among them."""
        if self.by_id is None:
            found = pc.index(self.ids(), track_id).as_py()
            return None if found < 0 else int(found)
        checksums, numbers = self._order
        wanted = _checksum(track_id)
        place = bisect_left(checksums, wanted)
        while place < len(checksums) and checksums[place] == wanted:
            if self.id(numbers[place]) == track_id:
                return numbers[place]
            place += 1
        return None

    def ids(self) -> pa.ChunkedArray:
        """All ids, in order of the numbers."""
        return pa.chunked_array([batch.column("track_id") for batch in self.batches], pa.string())

    def shards(self) -> np.ndarray:
        """For each track the shard of its vector, int32."""
        found = [batch.column("shard").to_numpy() for batch in self.batches]
        return np.concatenate(found) if found else np.zeros(0, np.int32)

    def numbers_of(self, track_ids: pa.Array) -> np.ndarray:
        """Numbers of those of these tracks that are among them, in order."""
        return np.flatnonzero(pc.is_in(self.ids(), track_ids).to_numpy())

    @cached_property
    def _ids(self) -> list[tuple[memoryview, memoryview]]:
        """Of each batch where its ids end, and their bytes, without `_Texts`, because all queries read ids."""
        found = [_Texts(batch.column("track_id")) for batch in self.batches]
        return [(texts.ends, texts.data) for texts in found]

    @cached_property
    def _shown(self) -> list[list[_Texts]]:
        """Title, artist and labels of each batch."""
        return [[_Texts(batch.column(name)) for name in SHOWN] for batch in self.batches]

    @cached_property
    def _order(self) -> tuple[memoryview, memoryview]:
        """Both rows of `by_id`; Python reads a few values of them faster than NumPy."""
        assert self.by_id is not None
        return memoryview(self.by_id[0]), memoryview(self.by_id[1])


def write(folder: Path, track_ids: pa.ChunkedArray, shards: np.ndarray, shown: Iterable[pa.RecordBatch]) -> None:
    """Write the tracks of a segment in order of their numbers.

    Parameters
    ----------
    shown : iterable of pa.RecordBatch
        Title, artist and labels, in that order.
    """
    with (
        replacing(folder / TRACKS) as temporary,
        pa.OSFile(str(temporary), "wb") as file,
        pa.ipc.new_file(file, SCHEMA) as writer,
    ):
        for known, more in zip(_batches(track_ids, shards), _of_size(shown), strict=True):
            writer.write_batch(pa.record_batch([*known.columns, *more.columns], schema=SCHEMA))
    with replacing(folder / ORDER) as temporary, open(temporary, "wb") as file:
        checksums = np.empty(len(track_ids), np.uint32)
        for start in range(0, len(track_ids), ROWS):
            part = track_ids.slice(start, ROWS)
            checksums[start : start + len(part)] = list(map(_checksum, part.to_pylist()))
        order = np.argsort(checksums, kind="stable")
        np.save(file, np.stack([checksums[order], order.astype(np.uint32)]))


def _checksum(track_id: str) -> int:
    return zlib.crc32(track_id.encode("utf-8", "surrogatepass"))


def _batches(track_ids: pa.Array | pa.ChunkedArray, shards: np.ndarray) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(track_ids), ROWS):
        part = track_ids.slice(start, ROWS)
        whole = pa.concat_arrays(part.chunks) if isinstance(part, pa.ChunkedArray) else part
        columns = [whole.cast(pa.string()), pa.array(shards[start : start + ROWS], pa.int32())]
        yield pa.record_batch(columns, schema=IDENTITY)


def _of_size(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of `ROWS`."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        while sum(map(len, waiting)) >= ROWS:
            table = pa.Table.from_batches(waiting)
            yield _one(table.slice(0, ROWS))
            waiting = table.slice(ROWS).to_batches()
    if sum(map(len, waiting)):
        yield _one(pa.Table.from_batches(waiting))


def _one(table: pa.Table) -> pa.RecordBatch:
    return table.combine_chunks().to_batches()[0]
