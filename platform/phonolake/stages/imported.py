"""Imported tables: labels, splits and predictions, each by its name in shards of its own.

A second import of a name replaces the first, and a name is removed as a whole. The shards survive when a file is
ingested again, because they are about the track and not about its bytes.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from phonolake.audio.encoded import OnDisk, sha256
from phonolake.errors import UsageError, unknown
from phonolake.lineage import digest
from phonolake.sources import contract
from phonolake.sources.contract import Source
from phonolake.sources.label_sheets import Keyed
from phonolake.sources.names import Named, Names
from phonolake.stages import source_root
from phonolake.store import catalog, jobs, schema
from phonolake.store.attempts import attempts
from phonolake.store.lake import Change, Lake, Reads
from phonolake.store.naming import TOMBSTONES
from phonolake.store.outcomes import Outcome, finish, now, versions
from phonolake.store.rewrite import without
from phonolake.store.shards import SEPARATOR, describe, writing

FAMILY = "import" + SEPARATOR
EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A row without a recording in the lake, or a recording without a row; `line` is 0 for the latter."""

    what: str
    name: str
    line: int


@dataclass(slots=True)
class Report:
    """The readable report of an import.

    Parameters
    ----------
    understood : list of str
        How the columns were interpreted, a line for each table.
    unmatched : list of Unmatched
    rows, matched : int
        Rows that name a recording, and those whose recording is in the lake.
    """

    understood: list[str] = field(default_factory=list)
    unmatched: list[Unmatched] = field(default_factory=list)
    rows: int = 0
    matched: int = 0

    @property
    def said(self) -> str:
        """Rows and recordings without a counterpart, with examples."""
        counts = Counter(u.what for u in self.unmatched)
        parts = []
        for what, n in counts.items():
            some = [u.name for u in self.unmatched if u.what == what][:EXAMPLES]
            parts.append(f"{n} {what} (such as {', '.join(some)})")
        return "; ".join(parts)


class Matcher:
    """The recordings of a lake by their names, to match rows of tables.

    Parameters
    ----------
    dataset : str, optional
        Only recordings of this dataset.
    """

    def __init__(self, lake: Lake, dataset: str | None = None) -> None:
        with catalog.connect(lake) as connection:
            rows = connection.execute(
                "SELECT t.track_id, t.dataset, t.source_id, coalesce(a.source_path, '') FROM tracks t "
                "LEFT JOIN audio a ON a.track_id = t.track_id AND coalesce(a.piece, 0) = 0 "
                "WHERE $1 IS NULL OR t.dataset = $1 ORDER BY t.track_id",
                [dataset],
            ).fetchall()
            rejected = connection.execute("SELECT track_id, source_path FROM rejects WHERE stage = 'ingest'").fetchall()
        if not rows:
            where = f"of the dataset {dataset!r} " if dataset else ""
            raise UsageError(f"the lake has no recordings {where}that a table could name: ingest them first")
        self.datasets = {track_id: dataset for track_id, dataset, *_ in rows}
        self.names = Names(Named(track_id, source_id, path) for track_id, _, source_id, path in rows)
        self._rejects = Names(Named(track_id, track_id.partition(":")[2], path or "") for track_id, path in rejected)

    def match(self, keyed: Keyed, report: Report) -> dict[str, str]:
        """Track by its name in a table; rows without one are noted."""
        found: dict[str, str] = {}
        for line, name, _ in keyed.named():
            report.rows += 1
            match = keyed.matches[name]
            if match is not None and len(match.track_ids) == 1:
                found[name] = match.track_ids[0]
                report.matched += 1
            elif match is not None:
                report.unmatched.append(Unmatched("rows that name several recordings", name, line))
            elif self._rejects.find(name):
                report.unmatched.append(Unmatched("rows of rejected recordings", name, line))
            else:
                report.unmatched.append(Unmatched("rows without audio in the lake", name, line))
        return found

    def without_row(self, track_ids: Collection[str], report: Report) -> None:
        """Note recordings without a row, of the datasets that the rows name."""
        met = {self.datasets[track_id] for track_id in track_ids}
        for track_id, dataset in self.datasets.items():
            if dataset in met and track_id not in track_ids:
                report.unmatched.append(Unmatched("recordings without a row", track_id, 0))


def planned(source: Source, root: str, options: Collection[str]) -> Names:
    """The names of the recordings that a source would ingest."""
    with source_root.opened(root, source) as folder:
        listed = contract.recordings(source, folder.path, tuple(options))
        return Names(Named(r.source_id, r.source_id, folder.named(r.path)) for r in listed)


def check_name(name: str, kind: str, reserved: Collection[str]) -> str:
    """The name of an import; raises a `UsageError` for an invalid or used one."""
    if not name.strip() or not name.isprintable() or ":" in name:
        raise UsageError(f"{kind} {name!r} must not be empty or contain colons or control characters")
    if name in reserved:
        raise UsageError(f"{kind} {name!r} is not that of an imported table: choose another name")
    return name


def prefix(name: str) -> str:
    """Prefix of the shards of an import, which is unique for each name."""
    return f"{FAMILY}{re.sub(r'[^A-Za-z0-9_]+', '-', name)[:40]}-{digest(name, length=8)}{SEPARATOR}"


def files(lake: Lake, table: str, name: str) -> list[str]:
    """Published shards of an import."""
    return [file for file in lake.shards(table) if file.startswith(prefix(name))]


def replacing(lake: Lake, table: str, rows: Mapping[str, Iterable[dict[str, Any]]], version: str) -> Change:
    """Write the rows of some imports, each as one shard that replaces the earlier one.

    Parameters
    ----------
    rows : mapping of str
        Rows by the name of the import.
    version : str
        Hash of everything that determines the rows.
    """
    change = Change(schema.table(table))
    for name, listed in rows.items():
        path = lake.path(table, prefix(name) + version)
        if path.name not in lake.shards(table) or not path.exists():
            with writing(path, change.schema.arrow) as append:
                for row in listed:
                    append(row)
        change.add.append(describe(path))
        change.remove += [file for file in files(lake, table, name) if file != path.name]
    return change


def removing(lake: Lake, table: str, column: str, name: str) -> Change:
    """Remove an import; raises a `UsageError` that lists the imports for an unknown name."""
    gone = files(lake, table, name)
    if not gone:
        imported = [lake.opened(table, file) for file in lake.shards(table) if file.startswith(FAMILY)]
        known = {value for path in imported for value in pq.read_table(path, columns=[column])[column].to_pylist()}
        raise unknown(f"imported {column}", name, known)
    return Change(schema.table(table), remove=gone)


def without_replaced(lake: Lake, table: schema.TableSchema, replaced: Collection[str], tracks: Iterable[str]) -> Change:
    """Remove the rows of files that were ingested again from a table; imported rows stay as long as the track.

    Parameters
    ----------
    tracks : iterable of str
        Shards of `tracks` with the new rows.
    """
    own = [file for file in lake.shards(table.name) if not file.startswith(FAMILY)]
    change = without(lake, table, replaced, among=own)
    imported = [file for file in lake.shards(table.name) if file.startswith(FAMILY)] if replaced else []
    if imported:
        tables = (pq.read_table(lake.opened("tracks", file), columns=["track_id"]) for file in tracks)
        alive = {track_id for table in tables for track_id in table["track_id"].to_pylist()}
        lost = without(lake, table, set(replaced) - alive, among=imported)
        change.add += lost.add
        change.remove += lost.remove
        change.replaces |= lost.replaces
    return change


def publish(
    lake: Lake,
    make: Callable[[Lake], tuple[Mapping[str, Change], Outcome, Any]],
    *,
    reads: Collection[str],
    what: str,
    started: datetime,
) -> Outcome:
    """Commit a change of one state of the lake, and make it again if another job published in between.

    Parameters
    ----------
    make : callable
        From a fixed state of the lake to the changes of its tables, the outcome, and the record for the table of runs.
    reads : collection of str
        Tables on which the changes depend, besides those that name recordings.
    what : str
        Name of the job.
    """
    with jobs.working(lake.place, what):
        for attempt in attempts(lake):
            with attempt as seen:
                changes, outcome, said = make(seen)
                rests_on = Reads(versions(seen, *reads, "tracks", "rejects", TOMBSTONES))
                lake.commit({**changes, "runs": finish(seen, said, [outcome], started)}, rests_on)
                return outcome
    raise AssertionError("the last attempt raises")


@dataclass(frozen=True, slots=True)
class RemovedImport:
    """The record of a removal in the table of runs."""

    lake: str
    name: str


def remove(lake_path: str, tables: Sequence[str], column: str, name: str) -> Outcome:
    """Remove all rows of an import from some tables; `column` of the first has its name.

    Raises
    ------
    UsageError
        For a name that was not imported; the message lists those that were.
    """
    started = now()

    def make(seen: Lake) -> tuple[Mapping[str, Change], Outcome, RemovedImport]:
        changes = {table: removing(seen, table, column, name) for table in tables[:1]}
        changes |= {table: Change(schema.table(table), remove=files(seen, table, name)) for table in tables[1:]}
        n = sum(seen.shards(table)[file].rows for table, change in changes.items() for file in change.remove)
        gone = [file for change in changes.values() for file in change.remove]
        run_id = f"{tables[0]}-remove-{digest([name, gone, seen.versions()])}"
        note = f"rows of the {column} {name!r}"
        return changes, Outcome(f"{tables[0]} remove", run_id, n, n, 0, note), RemovedImport(lake_path, name)

    return publish(Lake.open(lake_path), make, reads=tables, what="remove", started=started)


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with OnDisk(path) as data:
        return sha256(data)
