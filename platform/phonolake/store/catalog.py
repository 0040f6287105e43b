"""`catalog.duckdb`: views over the published shards of every table, and the table macros.

It is built beside and renamed over, so that no reader is ever locked out by a writer, and it can always be built again:
it holds nothing but views.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from phonolake.files import replacing
from phonolake.lineage import digest
from phonolake.store import instance, remote, views
from phonolake.store import schema as schemas
from phonolake.store.schema import Column, TableSchema, literal, quote
from phonolake.store.shards import Shard
from phonolake.store.views import PublishedTables

FILE = "catalog.duckdb"
# Plain clients open the catalog too, and those of DuckDB 1 none of a later storage.
STORAGE = "v1.2.0"
FEATURES = "features"
SET_PREFIX = FEATURES + "_"
ATTACHED = "lake"
COPY = f"copied-{FILE}"


def build(lake: PublishedTables, *, anew: bool = False) -> None:
    """Write the catalog of the published versions in place of the old one; the caller holds the lake's lock.

    Parameters
    ----------
    anew : bool
        Look at all tables, also at those that are as the old one shows them.
    """
    # Written elsewhere and copied, since DuckDB misplaces the write-ahead log of a path with a question mark.
    with replacing(lake.root / FILE) as temporary, TemporaryDirectory() as scratch:
        shutil.copyfile(_written(lake, Path(scratch), anew=anew), temporary)


def _written(lake: PublishedTables, scratch: Path, *, anew: bool = False) -> Path:
    """Write the catalog of a lake into a folder."""
    with suppress(duckdb.Error, OSError):
        # What a commit did not change stays as it is.
        if not anew and (written := _continued(lake, scratch / f"continued-{FILE}")) is not None:
            return written
    try:
        return _write(lake, scratch / FILE, check=False)
    except duckdb.Error:
        # Something cannot be read, and an error ends a transaction: each table is looked at before it is shown.
        return _write(lake, scratch / f"checked-{FILE}", check=True)


def _continued(lake: PublishedTables, written: Path) -> Path | None:
    """Write the catalog of a lake from the one that is there; None where that is of another lake or code."""
    if not lake.is_whole or not (lake.root / FILE).is_file():
        return None
    shutil.copyfile(lake.root / FILE, written)
    with _changing(lake, written) as connection:
        before = _said(lake, _comment(connection))
        if before is None or before.versions.keys() - lake.versions().keys():
            return None
        _fill(connection, lake, before, check=False)
    return written


def _write(lake: PublishedTables, written: Path, *, check: bool) -> Path:
    written.write_bytes(_blank(schemas.fingerprint()))
    with _changing(lake, written) as connection:
        _fill(connection, lake, Shown({}, {}), check=check)
    return written


@contextmanager
def _changing(lake: PublishedTables, written: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that changes a catalog which nobody has open."""
    if lake.place.is_remote:
        # It gets a file system, which an instance has as a whole.
        with duckdb.connect(str(written)) as connection:
            yield connection
    else:
        with instance.connection() as (connection, name):
            connection.execute(f"ATTACH {literal(str(written))} AS {name}")
            connection.execute(f"USE {name}")
            yield connection
            connection.execute(f"CHECKPOINT {name}")


def _fill(connection: duckdb.DuckDBPyConnection, lake: PublishedTables, before: "Shown", *, check: bool) -> None:
    """Let a catalog show what is published in place of what it showed before."""
    # Read once, so that all views show the same moment even while a job commits.
    versions = lake.versions()
    changed = {name for name, version in versions.items() if before.versions.get(name) != version}
    if any(name.startswith(SET_PREFIX) for name in changed):
        # The view over all sets looks at each of them.
        changed |= {name for name in versions if name.startswith(SET_PREFIX)}
    if lake.place.is_remote:
        # Views look at what they are made over; they are made over shards without rows, which cost no request.
        hollow = {lake.place.named(lake.name(table, "")): _hollow(lake, table) for table in sorted(changed)}
        connection.register_filesystem(remote.Hollow(lake.place, hollow))
    connection.begin()
    _show(connection, lake, versions, changed, before.sets, check=check)
    connection.commit()


@cache
def _blank(_: str) -> bytes:
    """The catalog of a lake that has nothing in it, by the fingerprint of what is declared.

    Every commit starts from it: to comment on some 400 columns takes longer than all the rest, and most tables of a
    lake are empty.
    """
    with TemporaryDirectory() as scratch:
        written = Path(scratch) / FILE
        with duckdb.connect() as connection:
            connection.execute(f"ATTACH {literal(str(written))} AS {ATTACHED} (STORAGE_VERSION '{STORAGE}')")
            connection.execute(f"USE {ATTACHED}")
            connection.begin()
            _declare(connection)
            connection.commit()
        return written.read_bytes()


def _hollow(lake: PublishedTables, table: str) -> bytes:
    """A shard of a table without any rows."""
    buffer = pa.BufferOutputStream()
    pq.write_table(lake.published_schema(table).empty_table(), buffer)
    return buffer.getvalue().to_pybytes()


def publish(lake: PublishedTables) -> None:
    """Write the catalog of what is published on object storage, and put it beside for plain clients of DuckDB."""
    lake.root.mkdir(parents=True, exist_ok=True)
    build(lake)
    lake.place.send(FILE)


@contextmanager
def connect(lake: PublishedTables) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the catalog for a question of our own, which changes no setting and keeps nothing after the block.

    It is built again when the lake was moved or a publication was cut short. When the lake lies on a read-only disk,
    shows an earlier moment, or not all that is published, the same views come from a file of this connection alone.
    """
    if lake.place.is_remote:
        with alone(lake) as connection:
            yield connection
    else:
        with instance.connection() as (connection, name):
            _use(connection, lake, name)
            yield connection


def alone(lake: PublishedTables) -> duckdb.DuckDBPyConnection:
    """Open the catalog in an instance of its own, for what people ask, and for what has settings or functions."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    if lake.place.is_remote:
        connection.register_filesystem(remote.Objects(lake.place))
    _use(connection, lake, ATTACHED)
    return connection


def _use(connection: duckdb.DuckDBPyConnection, lake: PublishedTables, name: str) -> None:
    """Attach a catalog that shows what is published."""
    with TemporaryDirectory() as scratch:
        # A copy: no other program can hold it, and it stays readable until it is let go, although it has no name then.
        copy = Path(scratch) / COPY
        try:
            attached = lake.is_whole and attach(connection, lake, name, copy)
            if not attached and lake.is_whole and not lake.is_pinned:
                lake.build_catalog()
                attached = attach(connection, lake, name, copy)
        except (duckdb.Error, OSError):
            attached = False
        if not attached:
            connection.execute(f"ATTACH {literal(str(_written(lake, Path(scratch))))} AS {name} (READ_ONLY)")
    connection.execute(f"USE {name}")


def attach(connection: duckdb.DuckDBPyConnection, lake: PublishedTables, name: str, copy: Path) -> bool:
    """Attach a copy of the catalog if it is there and shows what is published."""
    if not (lake.root / FILE).is_file():
        return False
    shutil.copyfile(lake.root / FILE, copy)
    connection.execute(f"ATTACH {literal(str(copy))} AS {name} (READ_ONLY)")
    said = _said(lake, _comment(connection, name))
    if said is not None and said.versions == lake.versions():
        return True
    connection.execute(f"DETACH {name}")
    return False


def _comment(connection: duckdb.DuckDBPyConnection, name: str | None = None) -> str | None:
    """What a catalog, that in use without a name, says of what it shows."""
    found = connection.execute(
        "SELECT comment FROM duckdb_views() "
        "WHERE view_name = 'lake_tables' AND database_name = coalesce($1, current_database())",
        [name],
    ).fetchone()
    return found[0] if found else None


class Shown(NamedTuple):
    """What a catalog shows: versions of tables, and what stands for the columns of the views of feature sets."""

    versions: dict[str, int]
    sets: dict[str, str]


def _stamp(lake: PublishedTables, shown: Shown) -> str:
    # A catalog that another version of Phonolake built may lack tables, columns and macros.
    return json.dumps([str(lake.place), schemas.fingerprint(), *shown], sort_keys=True)


def _said(lake: PublishedTables, stamp: str | None) -> Shown | None:
    """What a catalog of this place and code shows; None for another one, or one with a refusal in it."""
    try:
        place, declared, *shown = json.loads(stamp or "")
        said = Shown(*shown)
    except (TypeError, ValueError):
        return None
    return said if (place, declared) == (str(lake.place), schemas.fingerprint()) else None


def _declare(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the view of every declared table, with no rows, and the macros."""
    for table in schemas.tables().values():
        views.let_read(connection, table, views.no_rows(table))
        views.create_view(connection, table)
    connection.execute(schemas.macros_sql())


def _show(
    connection: duckdb.DuckDBPyConnection,
    lake: PublishedTables,
    versions: dict[str, int],
    changed: set[str],
    known: dict[str, str],
    *,
    check: bool,
) -> None:
    """Let the views of some tables show what is published; with `check`, one that cannot be made says why instead.

    Parameters
    ----------
    known : dict of str to str
        What stands for the columns of the views of feature sets that there are.
    """
    declared = schemas.tables()
    sets = [published_set(lake, name, versions[name]) for name in sorted(changed) if name.startswith(SET_PREFIX)]
    broken = False
    facts = {}
    for table in [*(declared[name] for name in sorted(changed) if name in declared), *sets]:
        found = list(lake.shards(table.name, versions[table.name]).values())
        facts[table.name] = _Facts(
            versions[table.name], len(found), sum(s.rows for s in found), sum(s.bytes for s in found)
        )
        stored = set(lake.published_schema(table.name, versions[table.name]).names)
        select = views.select_from(lake, table, found, stored)
        gone = _changed(lake, table.name, found)
        error = _unreadable(connection, f"SELECT * FROM {views.reading(lake, table.name, gone)}") if gone else None
        if check:
            error = error or _unreadable(connection, select)
        if error:
            broken, select = True, _refusal(table, error)
        views.let_read(connection, table, select)
    made = {table.name: digest([[c.name, c.type, c.comment] for c in table.columns], length=12) for table in sets}
    for table in sets:
        if made[table.name] != known.get(table.name):
            views.create_view(connection, table)
    if sets and made != known:
        both = _union(declared[FEATURES], sets)
        union = " UNION ALL BY NAME ".join(f"SELECT * FROM {quote(table.name)}" for table in sets)
        views.let_read(connection, both, union)
        views.create_view(connection, both)
    # A catalog with a refusal in it never counts as up to date: it heals as soon as the file is back.
    _create_summary(connection, facts, "broken" if broken else _stamp(lake, Shown(versions, made or known)))


def published_set(lake: PublishedTables, name: str, version: int) -> TableSchema:
    """Schema of a feature set's table, with the columns that the set brought."""
    base = schemas.table(FEATURES)
    keys = {c.name for c in base.columns}
    extra = tuple(
        Column(f.name, "DOUBLE", True, (f.metadata or {}).get(b"comment", b"").decode())
        for f in lake.published_schema(name, version)
        if f.name not in keys
    )
    return base.extended(name, f"Hand-crafted features of one set ({name})", extra)


def _union(base: TableSchema, sets: list[TableSchema]) -> TableSchema:
    columns = {c.name: c for table in sets for c in table.columns}
    return base.extended(
        base.name, base.comment, tuple(columns[n] for n in columns.keys() - {c.name for c in base.columns})
    )


def _changed(lake: PublishedTables, table: str, shards: list[Shard]) -> list[str]:
    """Shards that are gone, or have another size than the log says: what is to be looked at before others read it."""
    if lake.place.is_remote:
        return []
    folder = lake.root / lake.name(table, "")
    sizes = {entry.name: entry.stat().st_size for entry in os.scandir(folder)} if folder.is_dir() else {}
    return [shard.file for shard in shards if sizes.get(shard.file) != shard.bytes]


def _unreadable(connection: duckdb.DuckDBPyConnection, select: str) -> str | None:
    """DuckDB's complaint about a SELECT, asked on another cursor since an error ends a transaction."""
    try:
        connection.cursor().execute(f"DESCRIBE {select}")
    except duckdb.Error as error:
        return str(error).splitlines()[0]
    return None


def _refusal(table: TableSchema, error: str) -> str:
    """A view that says what is wrong with its table, so that one damaged shard does not close the others."""
    said = f"{table.name} cannot be read ({error}): `phonolake verify` names the damaged shards"
    return views.no_rows(table, where=f"error({literal(said)})")


class _Facts(NamedTuple):
    """What the catalog says of a table."""

    version: int | None = None
    shards: int = 0
    rows: int = 0
    bytes: int = 0


def _create_summary(connection: duckdb.DuckDBPyConnection, changed: dict[str, _Facts], stamp: str) -> None:
    """The view `lake_tables`: version, shards, rows and bytes of every table, without opening a shard."""
    known = {name: _Facts() for name in schemas.tables() if name != FEATURES}
    if _comment(connection):
        known |= {name: _Facts(*facts) for name, *facts in connection.execute("FROM lake_tables").fetchall()}
    rows = []
    for name, facts in (known | changed).items():
        rows.append(f"({literal(name)}, {', '.join('NULL' if value is None else str(value) for value in facts)})")
    counts = ("version", "shards", "n_rows", "n_bytes")
    connection.execute(
        f'CREATE OR REPLACE VIEW lake_tables AS SELECT "table", {", ".join(f"{n}::BIGINT AS {n}" for n in counts)} '
        f'FROM (VALUES {", ".join(rows)}) AS t("table", {", ".join(counts)})'
    )
    connection.execute(f"COMMENT ON VIEW lake_tables IS {literal(stamp)}")
