"""The Delta log of a table: the shards of each version, and commits."""

import os
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NamedTuple

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction, RemoveAction

from phonolake.errors import PhonolakeError
from phonolake.store import history, objects
from phonolake.store.changes import Change
from phonolake.store.objects import TakenError
from phonolake.store.place import Place
from phonolake.store.schema import shape
from phonolake.store.shards import Shard

FOLDER = "tables"
# Entries of a log have some hundred bytes and list the shards of earlier versions: they are kept until those shards
# are removed (`shorten`). Opening a log reads a checkpoint and the entries after it.
INTERVAL = 20
# The newest version of each table in a folder that this process has read or written, with the facts of its entry. It
# never changes, and opening a log again for each question took a fifth of the time of short jobs. Old ones are dropped.
_newest: dict[tuple[Place, str], tuple["_Entry", "Version"]] = {}
MOST_KEPT = 256
SETTINGS = {"delta.enableExpiredLogCleanup": "false", "delta.checkpointInterval": str(INTERVAL)}


def folder(table: str) -> str:
    """Name of the folder of a table."""
    return f"{FOLDER}/{table}"


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a table: its number, its Arrow schema with the comments of columns, and its shards by file name."""

    number: int
    schema: pa.Schema
    shards: dict[str, Shard]


class _Entry(NamedTuple):
    """What tells the entry of a version from that of another lake which lies there by now."""

    inode: int
    modified: int
    size: int


def version(place: Place, table: str, number: int | None = None) -> Version:
    """A version of a table, the newest by default; its shards are in order of their names.

    Raises
    ------
    PhonolakeError
        When the log cannot be read.
    """
    entry = None if number is None else _entry(place, table, number)
    seen, known = _newest.get((place, table), (None, None))
    if known is not None and entry is not None and (entry, number) == (seen, known.number):
        return known
    log = _open(place, table, number)
    found = Version(log.version(), _arrow_schema(log), _shards(log))
    _keep(place, table, found, entry)
    return found


def forget(place: Place) -> None:
    """Read the logs of a place again, also where they should be as they were."""
    for kept in [kept for kept in _newest if kept[0] == place]:
        _newest.pop(kept, None)


def _entry(place: Place, table: str, number: int) -> _Entry | None:
    """The entry of a version in a folder; None where there is none, as behind a checkpoint, and on object storage."""
    if place.is_remote:
        return None
    try:
        facts = os.stat(history.entry(place.root / folder(table), number))
    except OSError:
        return None
    return _Entry(facts.st_ino, facts.st_mtime_ns, facts.st_size)


def _keep(place: Place, table: str, found: Version, entry: _Entry | None) -> None:
    if entry is None:
        return
    # Behind the others, so that the first is the one that was read longest ago.
    _newest.pop((place, table), None)
    _newest[place, table] = entry, found
    while len(_newest) > MOST_KEPT:
        with suppress(StopIteration, KeyError, RuntimeError):  # another thread was faster
            del _newest[next(iter(_newest))]


def commit(place: Place, table: str, change: Change, kept: dict[str, Shard], published: int) -> Version:
    """Commit a version with the shards `kept` and the change as the newest of a table's log.

    Raises
    ------
    TakenError
        On object storage, when another job writes to the log at the same time.
    """
    wanted = {f: s for f, s in kept.items() if f not in change.remove} | {s.file: s for s in change.add}
    arrow = change.schema.arrow
    try:
        log = _opened_for(place, table, arrow, published)
        if shape(_arrow_schema(log)) != shape(arrow):
            # A feature set with other columns. Only an overwrite changes a log's schema, and it empties the table.
            log.create_write_transaction([], mode="overwrite", schema=arrow)
            log = _open(place, table)
        present = kept if log.version() == published else _shards(log)
        now = int(time.time() * 1000)
        adds = [
            AddAction(s.file, s.bytes, {}, now, True, s.statistics) for s in wanted.values() if present.get(s.file) != s
        ]
        removes = [RemoveAction(f, True, now, present[f].bytes, {}) for f in sorted(present.keys() - wanted.keys())]
        if adds or removes:
            log.create_write_transaction(adds + removes, mode="append", schema=arrow)
    except DeltaError as error:
        if place.is_remote and objects.is_of_storage(error):
            raise objects.failure(place.named(folder(table)), error) from None
        kind = TakenError if place.is_remote else PhonolakeError
        raise kind(f"{table} could not be committed ({error}): run the command again") from error
    except OSError as error:
        if place.is_remote:
            raise objects.failure(place.named(folder(table)), error) from None
        raise
    if not place.is_remote:
        # No other job writes there meanwhile.
        log.update_incremental()
        then = {s.file: replace(s, published=now) for s in change.add if s.file not in kept}
        made = Version(log.version(), _arrow_schema(log), dict(sorted((wanted | then).items())))
        _keep(place, table, made, _entry(place, table, made.number))
        return made
    found = version(place, table)
    # Another job may have written to it, after this commit or at the same time.
    while found.shards != wanted:
        if found.number <= max(published, 0):
            raise TakenError(f"{table} is written by another job at the same time: run the command again")
        found = version(place, table, found.number - 1)
    return found


def shorten(place: Place, table: str, number: int) -> None:
    """Truncate a long log to start at one of its versions; earlier ones can then no longer be opened."""
    if len(history.before(place, folder(table), number)) > INTERVAL:
        _open(place, table, number).create_checkpoint()
        if not place.is_remote:
            history.force(place.root / folder(table), number)
        place.delete(history.before(place, folder(table), number))


def _opened_for(place: Place, table: str, arrow: pa.Schema, published: int) -> DeltaTable:
    """The log of a table with a published version; without one (-1) a new log if necessary.

    Raises
    ------
    PhonolakeError
        When the published version is missing: a lost log is not started again.
    """
    if published < 0:
        where, options = place.uri(folder(table)), objects.options(place.address)
        return DeltaTable.create(where, arrow, mode="ignore", configuration=SETTINGS, storage_options=options)
    log = _open(place, table)
    if log.version() < published:
        where = place.named(f"{folder(table)}/_delta_log")
        raise PhonolakeError(f"the log of {table} lacks version {published}: restore {where} from a copy")
    return log


def _open(place: Place, table: str, version: int | None = None) -> DeltaTable:
    def ask() -> DeltaTable:
        where, options = place.uri(folder(table)), objects.options(place.address)
        return DeltaTable(where, version=version, storage_options=options)

    try:
        return objects.again(place.address, folder(table), ask, DeltaError) if place.is_remote else ask()
    except DeltaError as error:
        where = place.named(f"{folder(table)}/_delta_log")
        said = str(error).split("\n")[0]
        raise PhonolakeError(f"the log of {table} cannot be read ({said}): restore {where} from a copy") from error


def _shards(log: DeltaTable) -> dict[str, Shard]:
    found = Shard.logged(pa.table(log.get_add_actions(flatten=True)))
    return {shard.file: shard for shard in sorted(found, key=lambda shard: shard.file)}


def _arrow_schema(log: DeltaTable) -> pa.Schema:
    return pa.schema(
        pa.field(f.name, f.type, f.nullable, metadata=f.metadata) for f in pa.schema(log.schema().to_arrow())
    )
