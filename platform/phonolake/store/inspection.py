"""Look at the bytes of shards: side by side, and where somebody was cut short from there on.

    LAKE/scans/inspected.txt       a line for each shard that was in order: when it was looked at, its name, its commit

The notes are those of an inspection that has not come to its end; it removes them then. They count for a day: what has
rotted since is found by the next inspection at the latest. On object storage they lie on the machine that looks.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from phonolake.files import sha256
from phonolake.store import checksums, delta
from phonolake.store.lake import Lake
from phonolake.store.objects import StorageError
from phonolake.store.place import Place
from phonolake.store.schema import shape
from phonolake.store.shards import Shard

NOTES = "scans/inspected.txt"
SECONDS_THAT_COUNT = 24 * 3600
# What a worker looks at before it tells.
BATCH_SHARDS, BATCH_BYTES = 64, 64 << 20


@dataclass(frozen=True, slots=True)
class Check:
    """One shard that is to be looked at, and the checksum that its bytes should have."""

    place: Place
    table: str
    shard: Shard
    columns: pa.Schema
    checksum: str | None

    @property
    def name(self) -> str:
        """What it is called in the notes: another one when it was written again."""
        return f"{self.table}/{self.shard.file} {self.shard.published}"

    def problem(self) -> str | None:
        """What is wrong with it."""
        try:
            with _as_it_lies(self.place, f"{delta.folder(self.table)}/{self.shard.file}") as path:
                return self._problem(path)
        except (OSError, StorageError, pa.ArrowException) as error:
            return f"unreadable ({str(error).splitlines()[0]})"

    def _problem(self, path: Path) -> str | None:
        if not path.is_file():
            return "missing"
        # Bytes that are those that were written need not be read a second time to be understood.
        same = self.checksum is not None and sha256(path) == self.checksum
        changed = None if same or self.checksum is None else "its bytes changed since it was written"
        return _read_through(path, self.shard.rows, self.columns, pages=not same) or changed


Batch = tuple[Check, ...]
# Runs a function over batches, wherever; pairs of a batch and its result come as they finish.
Mapper = Callable[[Callable[[Batch], list[str | None]], list[Batch]], Iterable[tuple[Batch, list[str | None]]]]


def checks(lake: Lake, wanted: Callable[[Shard], bool]) -> Iterator[Check]:
    """What is to be looked at of a lake."""
    for table in lake.versions():
        columns, expected = lake.published_schema(table), checksums.kept(lake.place, delta.folder(table))
        for shard in filter(wanted, lake.shards(table).values()):
            yield Check(lake.place, table, shard, columns, expected.get(shard.file))


def look(batch: Batch) -> list[str | None]:
    """What is wrong with each of some shards."""
    return [check.problem() for check in batch]


def by_threads(function: Callable[[Batch], list[str | None]], batches: list[Batch]) -> Iterator[tuple[Batch, list]]:
    """Look at as many batches at once as there are cores: to hash holds no lock."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from zip(batches, pool.map(function, batches), strict=True)


def inspect(wanted: Iterable[Check], notes: "Notes | None", over: Mapper) -> Iterator[tuple[Check, str]]:
    """The shards with which something is wrong, and what.

    Parameters
    ----------
    notes : Notes, optional
        Of an inspection that was cut short: what was in order then is passed over.
    over : callable
        What runs `look` over batches: `by_threads`, or something that hands them to other machines.
    """
    todo = [check for check in wanted if notes is None or check.name not in notes.known]
    for batch, problems in over(look, list(_batches(todo))):
        found = list(zip(batch, problems, strict=True))
        if notes is not None:
            notes.add(check.name for check, problem in found if problem is None)
        yield from ((check, problem) for check, problem in found if problem is not None)


class Notes:
    """What an inspection has found in order so far."""

    def __init__(self, lake: Lake) -> None:
        self._path = lake.root / NOTES
        self.known: set[str] = set()
        oldest = time.time() - SECONDS_THAT_COUNT
        with suppress(OSError):
            # A line that was half-written names no shard.
            for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
                when, _, name = line.partition(" ")
                if when.isdigit() and int(when) > oldest:
                    self.known.add(name)

    def add(self, names: Iterable[str]) -> None:
        """Note that shards are in order; where nothing can be written, nothing is noted."""
        lines = "".join(f"{int(time.time())} {name}\n" for name in names)
        with suppress(OSError):
            self._path.parent.mkdir(exist_ok=True)
            with open(self._path, "a", encoding="utf-8") as notes:
                # It begins with the end of a line that somebody who was killed may have left half-written.
                notes.write("\n" + lines)

    def remove(self) -> None:
        """Begin anew the next time."""
        with suppress(OSError):
            self._path.unlink()


def _batches(todo: list[Check]) -> Iterator[Batch]:
    batch: list[Check] = []
    n_bytes = 0
    for check in todo:
        batch.append(check)
        n_bytes += check.shard.bytes
        if len(batch) == BATCH_SHARDS or n_bytes >= BATCH_BYTES:
            yield tuple(batch)
            batch, n_bytes = [], 0
    if batch:
        yield tuple(batch)


@contextmanager
def _as_it_lies(place: Place, name: str) -> Iterator[Path]:
    """A shard, whatever copy of it this machine has."""
    if not place.is_remote:
        yield place.root / name
        return
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / name.rpartition("/")[2]
        with suppress(FileNotFoundError):
            place.bring(name, path, place.size(name))
        yield path


def _read_through(path: Path, rows: int, columns: pa.Schema, *, pages: bool) -> str | None:
    file = pq.ParquetFile(path, page_checksum_verification=True)
    # Checksums guard the pages but not the footer, which names the columns.
    # A shard that is older than a column of its table lacks it, and is read with NULL in its place.
    found_names = set(file.schema_arrow.names)
    if shape(file.schema_arrow) != shape(pa.schema(f for f in columns if f.name in found_names or not f.nullable)):
        return f"columns {', '.join(file.schema_arrow.names)}, and the log says {', '.join(columns.names)}"
    for group in range(file.num_row_groups if pages else 0):
        file.read_row_group(group)
    found = file.metadata.num_rows
    return None if found == rows else f"{found} rows, and the log says {rows}"
