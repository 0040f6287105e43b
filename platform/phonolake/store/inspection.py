"""Check the bytes of shards: in parallel, and resumable after an interruption.

    LAKE/scans/inspected.txt       a line for each intact shard: time of the check, name, commit

The notes belong to an unfinished inspection, which removes them at its end. They are valid for a day: later damage is
found by the next inspection at the latest. On object storage they are on the machine that runs the inspection.
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
# Bytes that a worker checks before it reports.
BATCH_SHARDS, BATCH_BYTES = 64, 64 << 20


@dataclass(frozen=True, slots=True)
class Check:
    """One shard to check, and its expected checksum."""

    place: Place
    table: str
    shard: Shard
    columns: pa.Schema
    checksum: str | None

    @property
    def name(self) -> str:
        """Its name in the notes, which changes when it is rewritten."""
        return f"{self.table}/{self.shard.file} {self.shard.published}"

    def problem(self) -> str | None:
        """Its fault."""
        try:
            with _as_it_lies(self.place, f"{delta.folder(self.table)}/{self.shard.file}") as path:
                return self._problem(path)
        except (OSError, StorageError, pa.ArrowException) as error:
            return f"unreadable ({str(error).splitlines()[0]})"

    def _problem(self, path: Path) -> str | None:
        if not path.is_file():
            return "missing"
        # Unchanged bytes need not be parsed.
        same = self.checksum is not None and sha256(path) == self.checksum
        changed = None if same or self.checksum is None else "its bytes changed since it was written"
        return _read_through(path, self.shard.rows, self.columns, pages=not same) or changed


Batch = tuple[Check, ...]
# Runs a function over batches; pairs of a batch and its result come as they finish.
Mapper = Callable[[Callable[[Batch], list[str | None]], list[Batch]], Iterable[tuple[Batch, list[str | None]]]]


def checks(lake: Lake, wanted: Callable[[Shard], bool]) -> Iterator[Check]:
    """The shards of a lake to check."""
    for table in lake.versions():
        columns, expected = lake.published_schema(table), checksums.kept(lake.place, delta.folder(table))
        for shard in filter(wanted, lake.shards(table).values()):
            yield Check(lake.place, table, shard, columns, expected.get(shard.file))


def look(batch: Batch) -> list[str | None]:
    """The faults of some shards."""
    return [check.problem() for check in batch]


def by_threads(function: Callable[[Batch], list[str | None]], batches: list[Batch]) -> Iterator[tuple[Batch, list]]:
    """Check as many batches at once as there are cores: hashing releases the interpreter's lock."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from zip(batches, pool.map(function, batches), strict=True)


def inspect(wanted: Iterable[Check], notes: "Notes | None", over: Mapper) -> Iterator[tuple[Check, str]]:
    """The faulty shards, and their faults.

    Parameters
    ----------
    notes : Notes, optional
        Notes of an interrupted inspection: its intact shards are skipped.
    over : callable
        Runs `look` over batches: `by_threads`, or a function that distributes them to other machines.
    """
    todo = [check for check in wanted if notes is None or check.name not in notes.known]
    for batch, problems in over(look, list(_batches(todo))):
        found = list(zip(batch, problems, strict=True))
        if notes is not None:
            notes.add(check.name for check, problem in found if problem is None)
        yield from ((check, problem) for check, problem in found if problem is not None)


class Notes:
    """Shards that an inspection has found intact so far."""

    def __init__(self, lake: Lake) -> None:
        self._path = lake.root / NOTES
        self.known: set[str] = set()
        oldest = time.time() - SECONDS_THAT_COUNT
        with suppress(OSError):
            # A half-written line names no shard.
            for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
                when, _, name = line.partition(" ")
                if when.isdigit() and int(when) > oldest:
                    self.known.add(name)

    def add(self, names: Iterable[str]) -> None:
        """Note intact shards; without write access there are no notes."""
        lines = "".join(f"{int(time.time())} {name}\n" for name in names)
        with suppress(OSError):
            self._path.parent.mkdir(exist_ok=True)
            with open(self._path, "a", encoding="utf-8") as notes:
                # Start with a line end, in case a killed process left a half-written line.
                notes.write("\n" + lines)

    def remove(self) -> None:
        """Start from the beginning the next time."""
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
    """A shard from the storage, even if this machine has a copy."""
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
    # Checksums cover the pages but not the footer with the columns.
    # A shard may lack newer columns of its table, which are read as NULL.
    found_names = set(file.schema_arrow.names)
    if shape(file.schema_arrow) != shape(pa.schema(f for f in columns if f.name in found_names or not f.nullable)):
        return f"columns {', '.join(file.schema_arrow.names)}, and the log says {', '.join(columns.names)}"
    for group in range(file.num_row_groups if pages else 0):
        file.read_row_group(group)
    found = file.metadata.num_rows
    return None if found == rows else f"{found} rows, and the log says {rows}"
