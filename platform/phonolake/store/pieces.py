"""Encoded recordings from the shards of `audio`: in one row each, or, if large, in a row for each piece.

Arrow holds about three copies of a binary value while it reads or writes it. In pieces, a recording of any length takes
no more memory than one of them.
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from phonolake.records import Seconds

# Larger recordings are stored in pieces of this size; the last one has the rest.
PIECE = 32 << 20
# The column with their numbers; shards of older lakes lack it.
NUMBER = "piece"


class Pieces:
    """A recording in several rows of a shard: it has a length and slices, like `bytes`.

    One piece is in memory at a time.

    Parameters
    ----------
    path : Path
        The shard.
    track_id : str
        A track whose rows have a number in the column ``piece``.
    """

    def __init__(self, path: Path, track_id: str) -> None:
        self._file = pq.ParquetFile(path)
        # Row group, and row in it, of each piece.
        self._places: list[tuple[int, int]] = []
        self._size = 0
        for group in range(self._file.num_row_groups):
            rows = self._file.read_row_group(group, columns=["track_id", "source_bytes"]).to_pylist()
            own = [n for n, row in enumerate(rows) if row["track_id"] == track_id]
            self._places += [(group, n) for n in own]
            self._size = rows[own[0]]["source_bytes"] if own else self._size
        self._held: tuple[int, bytes] = (-1, b"")
        # All but the last are as long as the first.
        self._length = len(self._piece(0))

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _ = part.indices(self._size)
        found = []
        while start < stop:
            number, first = divmod(start, self._length)
            found.append(self._piece(number)[first : first + stop - start])
            start += len(found[-1])
        return found[0] if len(found) == 1 else b"".join(found)

    def _piece(self, number: int) -> bytes:
        if self._held[0] != number:
            self._held = (-1, b"")
            group, row = self._places[number]
            self._held = (number, encoded(self._file, group, row))
        return self._held[1]


def stored(path: Path) -> Iterator[tuple[str, bytes | Pieces, Seconds]]:
    """Track ids, recordings and durations of an audio shard, a row group or a piece in memory at a time."""
    file = pq.ParquetFile(path)
    for group in range(file.num_row_groups):
        rows = file.read_row_group(group, columns=["track_id", "n_samples", "sr", NUMBER]).to_pylist()
        whole = [n for n, row in enumerate(rows) if row.get(NUMBER) is None]
        data = dict(zip(whole, _encoded(file, group, whole), strict=True)) if whole else {}
        for n, row in enumerate(rows):
            if not row.get(NUMBER):
                found = data[n] if n in data else Pieces(path, row["track_id"])
                yield row["track_id"], found, Seconds(row["n_samples"] / row["sr"])


def cut(size: int) -> Iterator[tuple[int | None, slice]]:
    """The rows of a recording of that many bytes: number and part of each; None if it is not split."""
    if size <= PIECE:
        yield None, slice(0, size)
        return
    for number, start in enumerate(range(0, size, PIECE)):
        yield number, slice(start, start + PIECE)


def encoded(file: pq.ParquetFile, group: int, row: int) -> bytes:
    """The bytes in one row."""
    return _encoded(file, group, [row])[0]


def _encoded(file: pq.ParquetFile, group: int, rows: list[int]) -> list[bytes]:
    table = file.read_row_group(group, columns=["bytes"])
    buffers = [table["bytes"][row].as_buffer() for row in rows]
    del table
    # Reading takes three times the size of a file: free it before the file is copied and decoded.
    pa.default_memory_pool().release_unused()
    found = [buffer.to_pybytes() for buffer in buffers]
    del buffers
    pa.default_memory_pool().release_unused()
    return found
