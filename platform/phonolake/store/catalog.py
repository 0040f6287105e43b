"""`catalog.duckdb`: views over the published shards of every table, and the table macros.

It is built under another name and then renamed, so that a writer never locks out readers. It contains only views, so it
can always be rebuilt.
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
from phonolake.store import instance, views
from phonolake.store import schema as schemas
from phonolake.store.schema import Column, TableSchema, literal, quote
from phonolake.store.shards import Shard
from phonolake.store.views import PublishedTables

FILE = "catalog.duckdb"
# Plain clients open the catalog too, and DuckDB 1 cannot open later storage versions.
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
        Rebuild the views of all tables, also of unchanged ones.
    """
    # Written elsewhere and copied, because DuckDB misplaces the write-ahead log for a path with a question mark.
    with replacing(lake.root / FILE) as temporary, TemporaryDirectory() as scratch:
        shutil.copyfile(_written(lake, Path(scratch), anew=anew), temporary)


def _written(lake: PublishedTables, scratch: Path, *, anew: bool = False) -> Path:
    """Write the catalog of a lake into a folder."""
    with suppress(duckdb.Error, OSError):
        # Views of unchanged tables stay.
        if not anew and (written := _continued(lake, scratch / f"continued-{FILE}")) is not None:
            return written
    try:
        return _write(lake, scratch / FILE, check=False)
    except duckdb.Error:
        # Something is unreadable, and an error ends a transaction: check each table before making its view.
        return _write(lake, scratch / f"checked-{FILE}", check=True)


def _continued(lake: PublishedTables, written: Path) -> Path | None:
    """Update the existing catalog of a lake; None if it belongs to another lake or code."""
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
    """A connection that changes a catalog that nobody has open."""
    if lake.place.is_remote:
        # It registers a file system, which belongs to the whole instance.
        with duckdb.connect(str(written)) as connection:
            yield connection
    else:
        with instance.connection() as (connection, name):
            connection.execute(f"ATTACH {literal(str(written))} AS {name}")
            connection.execute(f"USE {name}")
            yield connection
            connection.execute(f"CHECKPOINT {name}")


def _fill(connection: duckdb.DuckDBPyConnection, lake: PublishedTables, before: "Shown", *, check: bool) -> None:
    """Update a catalog from what it showed before to the published versions."""
    # Read once, so that all views show the same state even while a job commits.
    versions = lake.versions()
    changed = {name for name, version in versions.items() if before.versions.get(name) != version}
    if any(name.startswith(SET_PREFIX) for name in changed):
        # The view over all sets reads each of them.
        changed |= {name for name in versions if name.startswith(SET_PREFIX)}
    if lake.place.is_remote:
        # Creating a view reads its shards; use shards without rows, which cost no request.
        hollow = {lake.place.named(lake.name(table, "")): _hollow(lake, table) for table in sorted(changed)}
        from phonolake.store import remote  # late: lakes on the disk need no fsspec

        connection.register_filesystem(remote.Hollow(lake.place, hollow))
    connection.begin()
    _show(connection, lake, versions, changed, before.sets, check=check)
    connection.commit()


@cache
def _blank(_: str) -> bytes:
    """The catalog of an empty lake, by the fingerprint of the declarations.

    Every commit starts from it, because commenting on some 400 columns takes longer than all the rest, and most tables
    of a lake are empty.
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
    """Write the catalog of the published versions on object storage, and upload it for plain clients of DuckDB."""
    lake.root.mkdir(parents=True, exist_ok=True)
    build(lake)
    lake.place.send(FILE)


@contextmanager
def connect(lake: PublishedTables) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the catalog for an internal query, which changes no setting and keeps nothing after the block.

    It is rebuilt if the lake was moved or a publication was interrupted. If the lake is on a read-only disk, or shows
    an earlier state or only a part, the same views come from a private file of this connection.
    """
    if lake.place.is_remote:
        with alone(lake) as connection:
            yield connection
    else:
        with instance.connection() as (connection, name):
            _use(connection, lake, name)
            yield connection


def alone(lake: PublishedTables) -> duckdb.DuckDBPyConnection:
    """Open the catalog in a separate instance, for users' queries, and for queries with settings or functions."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    if lake.place.is_remote:
        from phonolake.store import remote  # late: lakes on the disk need no fsspec

        connection.register_filesystem(remote.Objects(lake.place))
    _use(connection, lake, ATTACHED)
    return connection


def _use(connection: duckdb.DuckDBPyConnection, lake: PublishedTables, name: str) -> None:
    """Attach a catalog of the published versions."""
    with TemporaryDirectory() as scratch:
        # A copy: no other program can lock it, and it stays readable until it is closed, although it is already
        # deleted.
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
    """Attach a copy of the catalog if it exists and is up to date."""
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
    """The comment of a catalog about its versions; without a name, of the one in use."""
    found = connection.execute(
        "SELECT comment FROM duckdb_views() "
        "WHERE view_name = 'lake_tables' AND database_name = coalesce($1, current_database())",
        [name],
    ).fetchone()
    return found[0] if found else None


class Shown(NamedTuple):
    """What a catalog shows: versions of tables, and digests of the columns of the views of feature sets."""

    versions: dict[str, int]
    sets: dict[str, str]


def _stamp(lake: PublishedTables, shown: Shown) -> str:
    # A catalog built by another version of Phonolake may lack tables, columns and macros.
    return json.dumps([str(lake.place), schemas.fingerprint(), *shown], sort_keys=True)


def _said(lake: PublishedTables, stamp: str | None) -> Shown | None:
    """What a catalog of this place and code shows; None for another one, or one with an unreadable table."""
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
    """Update the views of some tables; with `check`, a view that cannot be made reports the reason instead.

    Parameters
    ----------
    known : dict of str to str
        Digests of the columns of the existing views of feature sets.
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
    # A catalog with an unreadable table never counts as up to date: it is rebuilt as soon as the file is back.
    _create_summary(connection, facts, "broken" if broken else _stamp(lake, Shown(versions, made or known)))


def published_set(lake: PublishedTables, name: str, version: int) -> TableSchema:
    """Schema of a feature set's table, with the columns of the set."""
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
    """Shards that are missing, or have another size than in the log: check these before others read them."""
    if lake.place.is_remote:
        return []
    folder = lake.root / lake.name(table, "")
    sizes = {entry.name: entry.stat().st_size for entry in os.scandir(folder)} if folder.is_dir() else {}
    return [shard.file for shard in shards if sizes.get(shard.file) != shard.bytes]


def _unreadable(connection: duckdb.DuckDBPyConnection, select: str) -> str | None:
    """DuckDB's error for a SELECT, run on another cursor because an error ends a transaction."""
    try:
        connection.cursor().execute(f"DESCRIBE {select}")
    except duckdb.Error as error:
        return str(error).splitlines()[0]
    return None


def _refusal(table: TableSchema, error: str) -> str:
    """A view that reports the error of its table, so that one damaged shard does not block the others."""
    said = f"{table.name} cannot be read ({error}): `phonolake verify` names the damaged shards"
    return views.no_rows(table, where=f"error({literal(said)})")


class _Facts(NamedTuple):
    """The catalog's facts about a table."""

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
