"""`catalog.duckdb`: views over the published shards of every table, and the table macros.

It is built beside and renamed over, so that no reader is ever locked out by a writer, and it can always be built again:
it holds nothing but views.
"""

import json
import math
import os
import shutil
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, Protocol

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from phonolake.files import replacing
from phonolake.store import remote
from phonolake.store import schema as schemas
from phonolake.store.place import Place
from phonolake.store.schema import Column, TableSchema, literal, quote
from phonolake.store.shards import COUNTED, Shard

FILE = "catalog.duckdb"
# Plain clients open the catalog too, and those of DuckDB 1 none of a later storage.
STORAGE = "v1.2.0"
FEATURES = "features"
SET_PREFIX = FEATURES + "_"
ATTACHED = "lake"
# To look at a part takes some five times as long as to open a shard; a few shards are not worth being told apart.
PARTS, LEAST_IN_PART = 0.45, 32
PATTERNS = str.maketrans({c: f"[{c}]" for c in "*?["})


class PublishedTables(Protocol):
    """What the catalog asks of a lake; `phonolake.store.lake` imports this module, and says what each of these does."""

    place: Place

    @property
    def root(self) -> Path: ...

    def versions(self) -> dict[str, int]: ...

    def shards(self, table: str, version: int | None = None) -> dict[str, Shard]: ...

    def published_schema(self, table: str, version: int | None = None) -> pa.Schema: ...

    def name(self, table: str, file: str) -> str: ...

    def build_catalog(self) -> None: ...

    @property
    def is_pinned(self) -> bool: ...

    @property
    def is_whole(self) -> bool: ...


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
    with duckdb.connect(str(written)) as connection:
        found = connection.execute("SELECT comment FROM duckdb_views() WHERE view_name = 'lake_tables'").fetchone()
        before = _stamped(lake, found[0]) if found else None
        if before is None or before.keys() - lake.versions().keys():
            return None
        _fill(connection, lake, before, check=False)
    return written


def _write(lake: PublishedTables, written: Path, *, check: bool) -> Path:
    written.write_bytes(_blank(schemas.fingerprint()))
    with duckdb.connect(str(written)) as connection:
        _fill(connection, lake, {}, check=check)
    return written


def _fill(connection: duckdb.DuckDBPyConnection, lake: PublishedTables, before: dict[str, int], *, check: bool) -> None:
    """Let a catalog that shows the versions `before` show what is published."""
    # Read once, so that all views show the same moment even while a job commits.
    versions = lake.versions()
    changed = {name for name, version in versions.items() if before.get(name) != version}
    if any(name.startswith(SET_PREFIX) for name in changed):
        # The view over all sets looks at each of them.
        changed |= {name for name in versions if name.startswith(SET_PREFIX)}
    if lake.place.is_remote:
        # Views look at what they are made over; they are made over shards without rows, which cost no request.
        hollow = {lake.place.named(lake.name(table, "")): _hollow(lake, table) for table in sorted(changed)}
        connection.register_filesystem(remote.Hollow(lake.place, hollow))
    connection.begin()
    _show(connection, lake, versions, changed, check=check)
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


def connect(lake: PublishedTables) -> duckdb.DuckDBPyConnection:
    """Open the catalog for reading; it is built again when the lake was moved or a publication was cut short.

    When another program holds the file, the lake lies on a read-only disk, shows an earlier moment, or not all that is
    published, the same views come from a file of this connection alone. Every connection is an instance of its own:
    DuckDB would hand out an open one for the same file, and with it old views.
    """
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    if lake.place.is_remote:
        connection.register_filesystem(remote.Objects(lake.place))
    try:
        attached = lake.is_whole and attach(connection, lake)
        if not attached and lake.is_whole and not lake.is_pinned:
            lake.build_catalog()
            attached = attach(connection, lake)
    except (duckdb.Error, OSError):
        attached = False
    if not attached:
        with TemporaryDirectory() as scratch:
            # It stays readable until the connection is closed, although it has no name by then.
            connection.execute(f"ATTACH {literal(str(_written(lake, Path(scratch))))} AS {ATTACHED} (READ_ONLY)")
    connection.execute(f"USE {ATTACHED}")
    return connection


def attach(connection: duckdb.DuckDBPyConnection, lake: PublishedTables) -> bool:
    """Attach the catalog if it is there and shows what is published."""
    path = lake.root / FILE
    if not path.is_file():
        return False
    connection.execute(f"ATTACH {literal(str(path))} AS {ATTACHED} (READ_ONLY)")
    rows = connection.execute(
        "SELECT comment FROM duckdb_views() WHERE view_name = 'lake_tables' AND database_name = $1", [ATTACHED]
    ).fetchall()
    if rows == [(_stamp(lake, lake.versions()),)]:
        return True
    connection.execute(f"DETACH {ATTACHED}")
    return False


def _stamp(lake: PublishedTables, versions: dict[str, int]) -> str:
    # A catalog that another version of Phonolake built may lack tables, columns and macros.
    return json.dumps([str(lake.place), schemas.fingerprint(), dict(sorted(versions.items()))])


def _stamped(lake: PublishedTables, stamp: str) -> dict[str, int] | None:
    """The versions that a catalog of this place and code shows; None for another one, or one with a refusal in it."""
    try:
        place, declared, versions = json.loads(stamp)
    except (TypeError, ValueError):
        return None
    return versions if (place, declared) == (str(lake.place), schemas.fingerprint()) else None


def _declare(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the view of every declared table, with no rows, and the macros."""
    for table in schemas.tables().values():
        create_view(connection, table, _empty(table))
    connection.execute(schemas.macros_sql())


def _show(
    connection: duckdb.DuckDBPyConnection,
    lake: PublishedTables,
    versions: dict[str, int],
    changed: set[str],
    *,
    check: bool,
) -> None:
    """Let the views of some tables show what is published; with `check`, one that cannot be made says why instead."""
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
        select = _select(lake, table, found, stored)
        gone = _changed(lake, table.name, found)
        error = _unreadable(connection, f"SELECT * FROM {reading(lake, table.name, gone)}") if gone else None
        if check:
            error = error or _unreadable(connection, select)
        if error:
            broken, select = True, _refusal(table, error)
        create_view(connection, table, select)
    if sets:
        union = " UNION ALL BY NAME ".join(f"SELECT * FROM {quote(table.name)}" for table in sets)
        create_view(connection, _union(declared[FEATURES], sets), union)
    # A catalog with a refusal in it never counts as up to date: it heals as soon as the file is back.
    _create_summary(connection, facts, "broken" if broken else _stamp(lake, versions))


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


def selecting(lake: PublishedTables, name: str, shards: list[Shard]) -> str:
    """SQL that reads some shards of a declared table, with all columns that are declared."""
    table = schemas.table(name)
    return _select(lake, table, shards, set(lake.published_schema(name).names)) if shards else _empty(table)


def _changed(lake: PublishedTables, table: str, shards: list[Shard]) -> list[str]:
    """Shards that are gone, or have another size than the log says: what is to be looked at before others read it."""
    if lake.place.is_remote:
        return []
    folder = lake.root / lake.name(table, "")
    sizes = {entry.name: entry.stat().st_size for entry in os.scandir(folder)} if folder.is_dir() else {}
    return [shard.file for shard in shards if sizes.get(shard.file) != shard.bytes]


def _select(lake: PublishedTables, table: TableSchema, shards: list[Shard], stored: set[str]) -> str:
    """Read a table; a column that was declared after its shards were written is NULL.

    Shards that have all columns are read without a look into each of them. Many are read in parts that say which
    tracks they are about, so that a question for one track opens the shards of one part.
    """
    shards = [shard for shard in shards if shard.rows]
    if not shards:
        return _empty(table)
    columns = ", ".join(
        f"{quote(c.name) if c.name in stored or not c.nullable else 'NULL'}::{c.type} AS {quote(c.name)}"
        for c in table.columns
    )
    wanted = {c.name for c in table.columns[:COUNTED] if c.nullable} & stored
    whole = [s for s in shards if s.first is not None and wanted <= s.nulls.keys()]
    others = [s.file for s in shards if s.first is None or not wanted <= s.nulls.keys()]
    selects = []
    if others:
        # None of them may have a column: it is that of no rows then.
        named = f"{_empty(table)} UNION ALL BY NAME SELECT * FROM {reading(lake, table.name, others)}"
        selects.append(f"SELECT {columns} FROM ({named})")
    parts = _parts(whole)
    for part in parts:
        where = ""
        if len(parts) > 1:
            low, high = min(s.first or "" for s in part), max(s.last or "" for s in part)
            where = f" WHERE track_id BETWEEN {literal(low)} AND {literal(high)}"
        selects.append(f"SELECT {columns} FROM {reading(lake, table.name, [s.file for s in part], alike=True)}{where}")
    return " UNION ALL ".join(selects)


def _parts(shards: list[Shard]) -> list[list[Shard]]:
    """Shards in order of their tracks, in so many parts that to look at all parts takes as long as to open one."""
    if not shards:
        return []
    ordered = sorted(shards, key=lambda s: (s.first or "", s.last or ""))
    size = max(LEAST_IN_PART, math.ceil(len(ordered) / max(1, round(PARTS * math.sqrt(len(ordered))))))
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]


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
    return _empty(table, where=f"error({literal(said)})")


def _empty(table: TableSchema, where: str = "false") -> str:
    return "SELECT " + ", ".join(f"NULL::{c.type} AS {quote(c.name)}" for c in table.columns) + f" WHERE {where}"


def reading(lake: PublishedTables, table: str, files: list[str], *, names: bool = False, alike: bool = False) -> str:
    """SQL that reads these shards of a table; `names` adds the column ``filename``, `alike` ones have all columns."""
    folder = lake.place.named(lake.name(table, ""))
    if not lake.place.is_remote:
        folder, files = no_glob(folder), list(map(no_glob, files))
    # One text, since DuckDB takes twice as long over a list of thousands of them. No path has a line break in it.
    paths = literal("\n".join(f"{folder.removesuffix('/')}/{file}" for file in files))
    # Else a folder called dataset=fma above the lake would take the place of the column `dataset`.
    options = "hive_partitioning = false" + ("" if alike else ", union_by_name = true")
    options += ", filename = true" if names else ""
    return f"read_parquet(string_split({paths}, chr(10)), {options})"


def no_glob(path: str) -> str:
    """A path that DuckDB takes as it is, although it reads *, ? and [ as patterns."""
    return path.translate(PATTERNS)


def create_view(connection: duckdb.DuckDBPyConnection, table: TableSchema, select: str) -> None:
    """Make the view of one table over its published shards."""
    name = quote(table.name)
    connection.execute(f"CREATE OR REPLACE VIEW {name} AS {select}")
    connection.execute(f"COMMENT ON VIEW {name} IS {literal(table.comment)}")
    for column in table.columns:
        connection.execute(f"COMMENT ON COLUMN {name}.{quote(column.name)} IS {literal(column.comment)}")


class _Facts(NamedTuple):
    """What the catalog says of a table."""

    version: int | None = None
    shards: int = 0
    rows: int = 0
    bytes: int = 0


def _create_summary(connection: duckdb.DuckDBPyConnection, changed: dict[str, _Facts], stamp: str) -> None:
    """The view `lake_tables`: version, shards, rows and bytes of every table, without opening a shard."""
    known = {name: _Facts() for name in schemas.tables() if name != FEATURES}
    if connection.execute("SELECT count(*) FROM duckdb_views() WHERE view_name = 'lake_tables'").fetchall() == [(1,)]:
        known |= {name: _Facts(*facts) for name, *facts in connection.execute("FROM lake_tables").fetchall()}
    rows = []
    for name, facts in (known | changed).items():
        columns = ", ".join(f"{'NULL' if value is None else value}::BIGINT" for value in facts)
        rows.append(f"({literal(name)}, {columns})")
    values = ", ".join(rows)
    connection.execute(
        "CREATE OR REPLACE VIEW lake_tables AS "
        f'SELECT * FROM (VALUES {values}) AS t("table", version, shards, n_rows, n_bytes)'
    )
    connection.execute(f"COMMENT ON VIEW lake_tables IS {literal(stamp)}")
