"""Table schemas. `schemas/*.sql` is the truth: DuckDB parses it, Arrow schemas are derived from it."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import duckdb
import pyarrow as pa

from phonolake.errors import unknown
from phonolake.lineage import digest

MACROS = "macros"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its DuckDB type, whether it may be NULL, and its meaning with unit."""

    name: str
    type: str
    nullable: bool
    comment: str


@dataclass(frozen=True, slots=True)
class TableSchema:
    """A table as declared in its SQL file."""

    name: str
    comment: str
    columns: tuple[Column, ...]

    @property
    def arrow(self) -> pa.Schema:
        """Arrow schema with NOT NULL and the comments kept in the fields."""
        return _arrow(self.columns)

    def extended(self, name: str, comment: str, columns: tuple[Column, ...]) -> "TableSchema":
        """Return a table called `name` with these columns after the declared ones."""
        return replace(self, name=name, comment=comment, columns=self.columns + columns)


@cache
def _arrow(columns: tuple[Column, ...]) -> pa.Schema:
    # In one query, because opening a connection takes longer than all the types.
    types = _arrow_types(frozenset(c.type for table in tables().values() for c in table.columns))
    if missing := frozenset(c.type for c in columns if c.type not in types):
        types = types | _arrow_types(missing)
    return pa.schema(
        pa.field(c.name, types[c.type], nullable=c.nullable, metadata={"comment": c.comment}) for c in columns
    )


@cache
def _arrow_types(types: frozenset[str]) -> dict[str, pa.DataType]:
    """Arrow types by DuckDB's names of them."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    names = sorted(types)
    bare = connection.sql(f"SELECT {', '.join(f'NULL::{name}' for name in names)} LIMIT 0").to_arrow_table().schema
    return dict(zip(names, bare.types, strict=True))


def shape(schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    """Names and types of the columns, without the names of list items, which depend on the library."""
    return [(f.name, pa.list_(f.type.value_type) if pa.types.is_list(f.type) else f.type) for f in schema]


def quote(identifier: str) -> str:
    """Quote an SQL identifier."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def features_table(feature_set: str) -> str:
    """Name of the table that holds one feature set: ``mfcc-120`` lies in ``features_mfcc_120``."""
    return "features_" + feature_set.replace("-", "_")


def sql_folder() -> Path:
    """Folder of the SQL files: inside the installed package, else beside the source root."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "schemas"
    return installed if installed.is_dir() else package.parent.parent / "schemas"


def macros_sql() -> str:
    """The SQL text of the table macros."""
    return (sql_folder() / f"{MACROS}.sql").read_text(encoding="utf-8")


@cache
def fingerprint() -> str:
    """Hash of all declarations: a catalog with another hash is out of date."""
    return digest([path.read_text(encoding="utf-8") for path in sorted(sql_folder().glob("*.sql"))])


@cache
def tables() -> dict[str, TableSchema]:
    """Every declared table by name."""
    connection = duckdb.connect(config={"threads": 1})  # starting more takes longer than the work
    connection.begin()  # apart, each of some hundred comments takes longer
    for path in sorted(sql_folder().glob("*.sql")):
        if path.stem != MACROS:
            connection.execute(path.read_text(encoding="utf-8"))
    comments = dict(connection.execute("SELECT table_name, comment FROM duckdb_tables()").fetchall())
    rows = connection.execute(
        "SELECT table_name, column_name, data_type, is_nullable, comment FROM duckdb_columns() "
        "WHERE NOT internal ORDER BY table_name, column_index"
    ).fetchall()
    columns: dict[str, list[Column]] = {}
    for table, *column in rows:
        columns.setdefault(table, []).append(Column(*column))
    return {name: TableSchema(name, comments[name], tuple(found)) for name, found in columns.items()}


def table(name: str) -> TableSchema:
    """Return a declared table; an unknown name raises a `UsageError` that lists the known ones."""
    known = tables()
    if name not in known:
        raise unknown("table", name, known)
    return known[name]
