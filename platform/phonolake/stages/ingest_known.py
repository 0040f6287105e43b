"""Compare the known files of a dataset with the actual ones: in batches, in DuckDB.

Neither the files nor the rows of the lake are ever all in Python at once, because strings of two million tracks take
most of the memory of an ingest, and loops over them most of its time.
"""

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import Any

import duckdb
import pyarrow as pa

from phonolake.audio.encoded import sha256
from phonolake.errors import AudioError, UsageError
from phonolake.stages.ingest_files import METADATA_ONLY, File, encoded
from phonolake.stages.ingest_scan import FileRun
from phonolake.store import catalog, views
from phonolake.store.lake import Lake
from phonolake.store.shards import Shard

# Placeholder for the configuration of a reject that may succeed next time.
TRY_AGAIN = ""
# Placeholder for a track without audio.
WITHOUT_AUDIO = "without audio"
# Files per comparison.
BATCH = 1 << 16
COLUMNS = pa.schema(
    [
        pa.field("n", pa.int32()),
        pa.field("track_id", pa.string()),
        pa.field("size", pa.int64()),
        pa.field("mtime", pa.int64()),
        pa.field("said", pa.string()),
    ]
)
# Rows that say something of a file: the columns of the table `known`.
KNOWN = """
    SELECT track_id, source_bytes, source_mtime, NULL, metadata_hash
    FROM {audio} LEFT JOIN {metadata} USING (track_id)
    WHERE starts_with(track_id, $1 || ':') AND coalesce(piece, 0) = 0
    UNION ALL
    SELECT track_id, source_bytes, source_mtime,
        CASE WHEN retryable AND source_bytes IS NOT NULL THEN $2 ELSE config_hash END, NULL
    FROM {rejects} WHERE dataset = $1 AND stage = 'ingest'
"""
# What is known of without its audio gives way to it.
ALONE = "SELECT track_id, NULL, NULL, $2, NULL FROM {shards} WHERE dataset = $1 AND duration_seconds = 0"
# A file that vanished after its ingest is not lost; with new thresholds a reject is tried again.
CHANGED = """
    SELECT f.track_id, k.track_id IS NOT NULL, k.size, k.mtime, k.rejected_by, k.said
    FROM found f LEFT JOIN known k USING (track_id)
    WHERE k.track_id IS NULL OR NOT (
        (k.rejected_by IS NULL AND f.size IS NULL)
        OR (
            f.size IS NOT DISTINCT FROM k.size AND f.mtime IS NOT DISTINCT FROM k.mtime
            AND (k.rejected_by IS NULL OR k.rejected_by = $1) AND (k.said IS NULL OR k.said = f.said)
        )
    )
    ORDER BY f.n
"""
# Of these all but those of some runs of files.
OTHERS = """
    DELETE FROM known WHERE track_id NOT IN (
        SELECT track_id FROM (
            SELECT track_id, track_id[1:length(track_id) - length(rest)] AS prefix, rest
            FROM (SELECT track_id, regexp_extract(track_id[length($1) + 2:], '[^/]*$') AS rest FROM known)
        ) JOIN runs USING (prefix) WHERE (low IS NULL OR rest >= low) AND (high IS NULL OR rest < high)
    )
"""
COLUMNS_OF_KNOWN = "track_id VARCHAR, size BIGINT, mtime BIGINT, rejected_by VARCHAR, said VARCHAR"
# Every known file, once.
FILES = """
    FROM (
        SELECT track_id, source_path, source_bytes FROM audio WHERE coalesce(piece, 0) = 0
        UNION ALL SELECT track_id, source_path, source_bytes FROM rejects WHERE stage = 'ingest'
    ) WHERE source_path IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class KnownFile:
    """The lake's record of a file: size and mtime, the configuration that rejected it, and the hash of its metadata.

    `said` is None for a reject, and for a track from before such hashes were kept.
    """

    size: int | None
    mtime: int | None
    rejected_by: str | None
    said: str | None


class KnownFiles:
    """The known files of one dataset, in the table `known` of a connection to the lake's tables.

    Parameters
    ----------
    fingerprint : str
        Fingerprint of the configuration: a reject of another one is tried again.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, dataset: str, fingerprint: str) -> None:
        self._connection, self._dataset, self._fingerprint = connection, dataset, fingerprint
        self._forgotten = {track_id for (track_id,) in self._rows("SELECT track_id FROM forgotten")}
        ((self._n,),) = self._rows("SELECT count(DISTINCT track_id) FROM known")
        self._seen: set[str] = set()
        self._missing: list[str] = []
        self._n_met = 0
        self.n_unchanged = self.n_forgotten = 0

    def changed(self, files: Iterable[File]) -> Iterator[tuple[File, KnownFile | None]]:
        """New and changed files, with the lake's record of them; the others are counted.

        Raises
        ------
        UsageError
            When two files have the same id.
        """
        listed = iter(files)
        while batch := list(islice(listed, BATCH)):
            named = {f"{self._dataset}:{file.recording.source_id}": file for file in batch}
            n_before = len(self._seen)
            self._seen.update(named)
            if len(self._seen) != n_before + len(batch):
                raise self._twice(files)
            for track_id in self._forgotten & named.keys():
                del named[track_id]
                self.n_forgotten += 1
            self._missing += [track_id for track_id, file in named.items() if file.size is None]
            differing = self._differing(named) if self._n else dict.fromkeys(named)
            copies = self._copies({i: named[i] for i, before in differing.items() if _may_be_copy(named[i], before)})
            changed = {track_id: before for track_id, before in differing.items() if track_id not in copies}
            self.n_unchanged += len(named) - len(changed)
            self._n_met += len(named) - sum(before is None for before in changed.values())
            for track_id, before in changed.items():
                yield named[track_id], before

    def gone(self, exists: Callable[[str], bool]) -> list[str]:
        """Tracks and rejects whose files no longer exist, neither at their place nor elsewhere.

        Parameters
        ----------
        exists : callable
            Whether a path or an address exists.
        """
        away: set[str] = set()
        if self._missing and self._n:
            self._connection.register("missing", pa.table({"track_id": self._missing}))
            away.update(i for (i,) in self._rows("SELECT track_id FROM known JOIN missing USING (track_id)"))
        if self._n_met < self._n:
            away.update(i for (i,) in self._rows("SELECT track_id FROM known") if i not in self._seen)
        paths = self._of(away, f"SELECT track_id, source_path {FILES} AND source_bytes IS NOT NULL")
        return sorted(track_id for track_id, path in paths.items() if not exists(path))

    def check_same(self, files: Iterable[File], root: str) -> None:
        """Raise a `UsageError` if the lake has another dataset of this name, with other files from elsewhere."""
        inside = f"{root}/"
        own = f"SELECT source_path {FILES} AND starts_with(track_id, $1 || ':')"
        example = self._rows(f"{own} LIMIT 1", [self._dataset]) if self._n else []
        if not example or self._rows(f"{own} AND starts_with(source_path, $2) LIMIT 1", [self._dataset, inside]):
            return
        found = {f"{self._dataset}:{file.recording.source_id}": file for file in files}
        if not found:
            return
        paths = {file.where for file in found.values()}
        known = dict(self._rows(f"SELECT track_id, source_path {FILES}"))
        if not paths.isdisjoint(known.values()):
            return
        sizes = dict(self._rows("SELECT track_id, size FROM known"))
        alike = sum(i in known and sizes[i] == file.size for i, file in found.items() if i in sizes)
        if 2 * alike <= min(len(found), len(known)):
            raise UsageError(
                f"the lake has another dataset {self._dataset!r}, of {len(known)} files such as {example[0][0]}: "
                "choose another name (--name), or add these files to it (--join)"
            )

    def check_ids(self, files: Iterable[File]) -> None:
        """Raise a `UsageError` if the dataset has one of these files under another id."""
        if self._n_met >= self._n:
            return
        unnamed = [i for (i,) in self._rows("SELECT track_id FROM known") if i not in self._seen]
        ids = {path: track_id for track_id, path in self._of(unnamed, f"SELECT track_id, source_path {FILES}").items()}
        for file in files:
            if (before := ids.get(file.where)) is not None:
                raise UsageError(
                    f"{file.where} is {before} in the lake, and would be "
                    f"{self._dataset}:{file.recording.source_id} besides: another reader took it in, or from another "
                    "folder; do as then, choose another name (--name), or have it twice (--join)"
                )

    def _rows(self, sql: str, values: list[Any] | None = None) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, values).fetchall()

    def _of(self, track_ids: Collection[str], sql: str) -> dict[str, str]:
        """What a question for two columns says of these tracks."""
        if not track_ids:
            return {}
        self._connection.register("asked", pa.table({"track_id": sorted(track_ids)}))
        return dict(self._rows(f"SELECT * FROM ({sql}) SEMI JOIN asked USING (track_id)"))

    def _differing(self, named: dict[str, File]) -> dict[str, KnownFile | None]:
        """Those of some files that may have changed, with their records, in their order."""
        files = named.values()
        found = {
            "n": range(len(named)),
            "track_id": named.keys(),
            "size": [file.size for file in files],
            "mtime": [file.mtime for file in files],
            "said": [file.said for file in files],
        }
        arrays = [pa.array(list(found[column.name]), column.type) for column in COLUMNS]
        self._connection.register("found", pa.table(arrays, schema=COLUMNS))
        rows = self._rows(CHANGED, [self._fingerprint])
        return {track_id: KnownFile(*facts) if is_known else None for track_id, is_known, *facts in rows}

    def _copies(self, named: dict[str, File]) -> set[str]:
        """Those of some files with exactly the ingested bytes, because a tree may have been copied."""
        known = self._of(named, "SELECT track_id, sha256 FROM audio WHERE coalesce(piece, 0) = 0")
        return {track_id for track_id, digest in known.items() if _digest(named[track_id]) == digest}

    def _twice(self, files: Iterable[File]) -> UsageError:
        """The message about the first two files with the same id."""
        met: dict[str, File] = {}
        for file in files:
            before = met.setdefault(file.recording.source_id, file)
            if before is not file:
                paths = " and ".join(f.where for f in (before, file))
                stands = f"{self._dataset}:{file.recording.source_id} stands for two files, {paths}"
                return UsageError(f"{stands}: remove one of them")
        raise AssertionError("the files are others when they are gone through again")


@contextmanager
def known_files(
    lake: Lake | None, dataset: str, fingerprint: str, runs: Sequence[FileRun] | None = None
) -> Iterator[KnownFiles]:
    """The known files of a dataset, or only those of some runs; empty if there is no lake."""
    with catalog.connect(lake) if lake is not None else duckdb.connect() as connection:
        connection.execute(f"CREATE TEMP TABLE known ({COLUMNS_OF_KNOWN})")
        if lake is None:
            connection.execute("CREATE TEMP TABLE forgotten (track_id VARCHAR)")
        else:
            _insert(connection, lake, dataset, runs)
        yield KnownFiles(connection, dataset, fingerprint)


def _insert(connection: duckdb.DuckDBPyConnection, lake: Lake, dataset: str, runs: Sequence[FileRun] | None) -> None:
    """Fill the table `known`."""
    tables = {name: name for name in ("audio", "metadata", "rejects")}
    alone = [file for file in lake.shards("tracks") if file.startswith(METADATA_ONLY)]
    if runs is not None:
        spans = [run.bounds(dataset) for run in runs]
        tables = {name: f"({views.selecting(lake, name, _about(lake, name, spans))}) AS {name}" for name in tables}
    connection.execute(f"INSERT INTO known {KNOWN.format(**tables)}", [dataset, TRY_AGAIN])
    if alone:
        shards = views.reading(lake, "tracks", alone)
        connection.execute(f"INSERT INTO known {ALONE.format(shards=shards)}", [dataset, WITHOUT_AUDIO])
    if runs is not None:
        columns = {
            "prefix": [f"{dataset}:{run.prefix}" for run in runs],
            "low": [run.low for run in runs],
            "high": [run.high for run in runs],
        }
        connection.register("runs", pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()}))
        connection.execute(OTHERS, [dataset])


def _about(lake: Lake, table: str, spans: Sequence[tuple[str, str]]) -> list[Shard]:
    """The shards of a table that may have tracks between any of these bounds."""
    ordered = sorted(spans)
    lows = [low for low, _ in ordered]
    # The largest bound of all spans up to each: some hold others.
    highs = list(accumulate((high for _, high in ordered), max))
    found = []
    for shard in lake.shards(table).values():
        before = len(spans) if shard.last is None else bisect_right(lows, shard.last)
        if before and (shard.first is None or highs[before - 1] >= shard.first):
            found.append(shard)
    return found


def _may_be_copy(file: File, before: KnownFile | None) -> bool:
    """Whether only the time of a file differs, so that its bytes must be compared."""
    if before is None or before.rejected_by is not None or file.size is None:
        return False
    return file.size == before.size and before.said in (None, file.said)


def _digest(file: File) -> str | None:
    try:
        with encoded(file) as data:
            return sha256(data)
    except AudioError:
        return None
