"""Find unchanged files of a tree by digests of runs of its files.

    LAKE/scans/DIGEST.parquet      a row for each run of files: what it is called, its digest, what the lake knows of it

Comparing two million files one by one takes minutes; `stat` calls take seconds. So the files of each folder are grouped
into runs, in order of their names, and a digest of their names, sizes and times is stored. It is valid as long as no
other job has changed the dataset in the lake. If it is lost, all files are compared. It does not contain names of
folders or files.
"""

import hashlib
import os
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from phonolake.errors import PhonolakeError
from phonolake.lineage import CODE_VERSION, digest
from phonolake.records import Recording
from phonolake.sources import contract
from phonolake.sources.contract import Folder
from phonolake.stages.ingest_files import METADATA_ONLY, slug
from phonolake.store import naming
from phonolake.store.lake import Lake
from phonolake.store.naming import TOMBSTONES

FOLDER = "scans"
# What is kept rests on these tables of the lake.
RESTS_ON = ("tracks", "rejects", TOMBSTONES)
# Average number of files in a run; the ends depend on the names only, so that a new file changes one run.
RUN = 512
# Beyond this share of the runs all files are compared: the lake is read as a whole then.
FEW = 0.25
# What is kept beside them: digests of the versions of tables that they rest on, and of their shards.
VERSIONS, SHARDS, FORGOTTEN = b"versions", b"shards", b"forgotten"
SCHEMA = pa.schema([("name", pa.string()), ("digest", pa.binary(16)), ("known", pa.int32()), ("forgotten", pa.int32())])


@dataclass(frozen=True, slots=True)
class FileRun:
    """Some files of a folder: those from one name up to the next run.

    Parameters
    ----------
    prefix : str
        How the source ids of its recordings begin.
    low, high : str
        The ids of its recordings lie in [low, high) behind the prefix; without bounds where they are None.
    """

    prefix: str
    low: str | None
    high: str | None
    folder: Folder

    @property
    def name(self) -> str:
        """What it is called where it is kept."""
        return _name(self.prefix, self.low)

    def spans(self, rest: str) -> bool:
        """Whether an id that begins with its prefix goes on like those of its recordings."""
        return (self.low is None or self.low <= rest) and (self.high is None or rest < self.high)

    def bounds(self, dataset: str) -> tuple[str, str]:
        """Track ids between which those of its recordings lie."""
        first = f"{dataset}:{self.prefix}"
        return first + (self.low or ""), first + (self.high or "\U0010ffff")


@dataclass(frozen=True, slots=True)
class Answered:
    """What is kept of a run: the digest of its files, and how many of them the lake knows and has forgotten."""

    digest: bytes
    known: int
    forgotten: int


class Scan:
    """The files of a tree, and which of its runs are unchanged.

    Parameters
    ----------
    lake : Lake, optional
        As it stands still.
    fingerprint : str
        Of the configuration of the ingest.
    """

    def __init__(self, source: contract.Source, root: Path, dataset: str, fingerprint: str, lake: Lake | None) -> None:
        self._source, self._root, self.dataset, self._fingerprint = source, root, dataset, fingerprint
        self.others: list[Path] = []
        self.changed: list[FileRun] = []
        self.known = self.forgotten = 0
        self._found: dict[str, Answered] = {}
        # Where the runs of a folder begin, but the first.
        self._lows: dict[str, list[str]] = {}
        self._forgotten: dict[str, list[str]] = {}
        for track_id in naming.buried(lake).to_pylist() if lake else ():
            if track_id.startswith(f"{dataset}:"):
                prefix, rest = self._parts(track_id)
                self._forgotten.setdefault(prefix, []).append(rest)
        self._rested_on: dict[bytes, bytes] = {}
        self._kept = self._read(lake) if lake else {}
        if self._kept:
            self._settle()

    @property
    def is_partial(self) -> bool:
        """Whether some unchanged runs are left out."""
        return bool(self._kept)

    def recordings(self) -> Iterator[Recording]:
        """The recordings of all runs that have changed."""
        if self.is_partial:
            runs: Iterable[FileRun] = self.changed
        else:
            runs = (run for run, _ in self._look())
        for run in runs:
            yield from contract.recordings_in(self._source, self._root, run.folder)

    def keep(self, lake: Lake, versions: Mapping[str, int], retried: Iterable[str] = ()) -> None:
        """Store the digests, once the lake has processed all files.

        Parameters
        ----------
        versions : mapping of str to int
            Versions of the tables of the lake that do.
        retried : iterable of str
            Tracks that the next ingest tries again: their runs are compared.
        """
        again = set(map(self._name_of, retried))
        found = {name: answered for name, answered in self._found.items() if name not in again}
        if found == self._kept and self._rested_on.get(VERSIONS) == self._versions(versions):
            return
        columns = [list(found), *([getattr(a, f) for a in found.values()] for f in ("digest", "known", "forgotten"))]
        arrays = [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)]
        buffer = BytesIO()
        rows = pa.table(arrays, SCHEMA.with_metadata(self._rests_on(lake, versions)))
        pq.write_table(rows, buffer, compression="zstd", use_dictionary=False, write_statistics=False)
        # Where nothing can be written, all are compared again.
        with suppress(OSError, PhonolakeError):
            lake.place.put(self._path, buffer.getvalue())

    # -- inside -------------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Find the runs that have changed."""
        n = 0
        for run, answered in self._look():
            n += 1
            if self._kept.get(run.name) == answered:
                self.known += answered.known
                self.forgotten += answered.forgotten
            else:
                self.changed.append(run)
        # A run that is gone may have been any: the lake is asked for all that is no longer there.
        if self._kept.keys() - self._found.keys() or len(self.changed) > max(1, FEW * n):
            self.changed, self._kept, self.known, self.forgotten = [], {}, 0, 0

    def _look(self) -> Iterator[tuple[FileRun, Answered]]:
        """All runs, with what the file system says of them now."""
        self._found, self._lows, self.others = {}, {}, []
        for folder in contract.folders(self._source, self._root) or ():
            self.others += [Path(folder.path, name) for name in folder.others]
            said = _said(folder)
            for run, first, last in _runs(folder):
                found = hashlib.blake2b("\n".join(said[first:last]).encode("utf-8", "surrogatepass"), digest_size=16)
                forgotten = self._n_forgotten(run)
                answered = Answered(found.digest(), last - first - forgotten, forgotten)
                self._found[run.name] = answered
                if run.low is not None:
                    self._lows.setdefault(run.prefix, []).append(run.low)
                yield run, answered

    def _n_forgotten(self, run: FileRun) -> int:
        """How many of the files of a run the lake has forgotten."""
        ids = [rest for rest in self._forgotten.get(run.prefix, ()) if run.spans(rest)]
        listed = contract.recordings_in(self._source, self._root, run.folder) if ids else ()
        return len({recording.source_id for recording in listed} & {run.prefix + rest for rest in ids})

    def _name_of(self, track_id: str) -> str:
        """Name of the run that a track is in."""
        prefix, rest = self._parts(track_id)
        lows = self._lows.get(prefix, [])
        before = bisect_right(lows, rest)
        return _name(prefix, lows[before - 1] if before else None)

    def _parts(self, track_id: str) -> tuple[str, str]:
        """What the ids of a folder begin with, and the rest."""
        source_id = track_id.removeprefix(f"{self.dataset}:")
        cut = source_id.rfind("/") + 1
        return source_id[:cut], source_id[cut:]

    @property
    def _path(self) -> str:
        return f"{FOLDER}/{digest([self.dataset, self._source.CARD.name, os.fspath(self._root)])}.parquet"

    def _read(self, lake: Lake) -> dict[str, Answered]:
        """The stored digests, if still valid."""
        with suppress(OSError, pa.ArrowException, PhonolakeError):
            rows = pq.read_table(BytesIO(lake.place.read(self._path)))
            self._rested_on = rows.schema.metadata or {}
            if self._counts(lake):
                listed = zip(*(rows[name].to_pylist() for name in SCHEMA.names), strict=True)
                return {name: Answered(*facts) for name, *facts in listed}
        return {}

    def _counts(self, lake: Lake) -> bool:
        """Whether what was kept rests on what the lake knows now of the files; logs are opened where others wrote."""
        versions, kept = lake.versions(), self._rested_on
        if kept.get(VERSIONS) == self._versions(versions):
            return True
        return kept.get(FORGOTTEN) == _forgotten(versions) and kept.get(SHARDS) == self._shards(lake, versions)

    def _rests_on(self, lake: Lake, versions: Mapping[str, int]) -> dict[bytes, bytes]:
        return {
            VERSIONS: self._versions(versions),
            SHARDS: self._shards(lake, versions),
            FORGOTTEN: _forgotten(versions),
        }

    def _versions(self, versions: Mapping[str, int]) -> bytes:
        rests_on = [versions.get(table, -1) for table in RESTS_ON]
        return digest([rests_on, self._fingerprint, CODE_VERSION, RUN]).encode()

    def _shards(self, lake: Lake, versions: Mapping[str, int]) -> bytes:
        """A digest of the shards with answers about the dataset: other datasets may grow beside it."""
        own = (f"{slug(self.dataset)}-", METADATA_ONLY)
        tables = [table for table in RESTS_ON if table != TOMBSTONES and table in versions]
        shards = [[file for file in lake.shards(table, versions[table]) if file.startswith(own)] for table in tables]
        return digest([shards, self._fingerprint, CODE_VERSION, RUN]).encode()


def _forgotten(versions: Mapping[str, int]) -> bytes:
    return str(versions.get(TOMBSTONES, -1)).encode()


def _name(prefix: str, low: str | None) -> str:
    return digest([prefix, low], length=16)


def _said(folder: Folder) -> list[str]:
    """What the file system says of each file of a folder."""
    found = []
    try:
        handle = os.open(folder.path, os.O_RDONLY)
    except OSError:  # it was deleted during the scan
        return [f"{name} -" for name in folder.names]
    try:
        for name in folder.names:
            try:
                facts = os.stat(name, dir_fd=handle)
                found.append(f"{name} {facts.st_size} {facts.st_mtime_ns} {facts.st_mode >> 12}")
            except (OSError, ValueError):
                found.append(f"{name} -")
    finally:
        os.close(handle)
    return found


def _runs(folder: Folder) -> Iterator[tuple[FileRun, int, int]]:
    """The runs of a folder, each with the numbers of its files, from one and up to another."""
    names = folder.names
    if len(names) <= RUN or not all(name.isascii() and "\\" not in name for name in names):
        # Where ids are not the names, neither are they in the same order.
        if names:
            yield FileRun(folder.prefix, None, None, folder), 0, len(names)
        return
    begins = [0, *(n for n, name in enumerate(names) if n and zlib.crc32(name.encode()) % RUN == 0), len(names)]
    for first, last in pairwise(begins):
        low = names[first] if first else None
        high = names[last] if last < len(names) else None
        yield FileRun(folder.prefix, low, high, replace(folder, names=names[first:last])), first, last
