"""The Delta log of a table: which shards each of its versions has, and the commit of another one."""

import json
import time

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction, RemoveAction

from phonolake.errors import PhonolakeError
from phonolake.store.changes import Change
from phonolake.store.objects import TakenError
from phonolake.store.place import Place
from phonolake.store.schema import shape
from phonolake.store.shards import Shard

FOLDER = "tables"
# Entries of a log are some hundred bytes, and tell which shards earlier versions had: they are kept, not cleaned up.
KEEP_LOG = {"delta.enableExpiredLogCleanup": "false"}


def folder(table: str) -> str:
    """Name of the folder of a table."""
    return f"{FOLDER}/{table}"


def schema(place: Place, table: str, version: int) -> pa.Schema:
    """Arrow schema of a version of a table, with its column comments."""
    return _arrow_schema(_open(place, table, version))


def shards(place: Place, table: str, version: int | None = None) -> dict[str, Shard]:
    """Shards of a version of a table (the newest) by file name, in order of their names.

    Raises
    ------
    PhonolakeError
        When the log cannot be read.
    """
    return _shards(_open(place, table, version))


def commit(place: Place, table: str, change: Change, kept: dict[str, Shard], published: int) -> int:
    """Make the newest version of a table's log one that has the shards `kept`, with the change; returns its number.

    Raises
    ------
    TakenError
        On object storage, when another job writes to the log at the same time.
    """
    wanted = {f: s for f, s in kept.items() if f not in change.remove} | {s.file: s for s in change.add}
    arrow = change.schema.arrow
    try:
        log = DeltaTable.create(place.uri(folder(table)), arrow, mode="ignore", configuration=KEEP_LOG)
        if shape(_arrow_schema(log)) != shape(arrow):
            # A feature set with other columns. Only an overwrite changes a log's schema, and it empties the table.
            log.create_write_transaction([], mode="overwrite", schema=arrow)
            log = _open(place, table)
        present = _shards(log)
        now = int(time.time() * 1000)
        adds = [
            AddAction(s.file, s.bytes, {}, now, True, json.dumps({"numRecords": s.rows}))
            for s in wanted.values()
            if present.get(s.file) != s
        ]
        removes = [RemoveAction(f, True, now, present[f].bytes, {}) for f in sorted(present.keys() - wanted.keys())]
        if adds or removes:
            log.create_write_transaction(adds + removes, mode="append", schema=arrow)
    except DeltaError as error:
        kind = TakenError if place.is_remote else PhonolakeError
        raise kind(f"{table} could not be committed ({error}): run the command again") from error
    newest = _open(place, table)
    return _version_with(place, table, newest, wanted, published) if place.is_remote else newest.version()


def _version_with(place: Place, table: str, log: DeltaTable, wanted: dict[str, Shard], published: int) -> int:
    """The newest version behind the published one that has these shards: others may write to the log at once."""
    for version in range(log.version(), max(published, -1), -1):
        if (_shards(log) if version == log.version() else shards(place, table, version)) == wanted:
            return version
    if published >= 0 and shards(place, table, published) == wanted:
        return published
    raise TakenError(f"{table} is written by another job at the same time: run the command again")


def _open(place: Place, table: str, version: int | None = None) -> DeltaTable:
    try:
        return DeltaTable(place.uri(folder(table)), version=version)
    except (DeltaError, OSError) as error:
        where = place.named(f"{folder(table)}/_delta_log")
        said = str(error).split("\n")[0]
        raise PhonolakeError(f"the log of {table} cannot be read ({said}): restore {where} from a copy") from error


def _shards(log: DeltaTable) -> dict[str, Shard]:
    actions = pa.table(log.get_add_actions(flatten=True))
    rows = actions.select(["path", "num_records", "size_bytes"]).to_pylist()
    found = sorted((Shard(r["path"], r["num_records"], r["size_bytes"]) for r in rows), key=lambda s: s.file)
    return {shard.file: shard for shard in found}


def _arrow_schema(log: DeltaTable) -> pa.Schema:
    return pa.schema(
        pa.field(f.name, f.type, f.nullable, metadata=f.metadata) for f in pa.schema(log.schema().to_arrow())
    )
