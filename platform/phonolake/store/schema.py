"""Table schemas. `schemas/*.sql` is the truth: DuckDB parses it, Arrow schemas are derived from it."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import duckdb
import pyarrow as pa

from phonolake.errors import unknown
from phonolake.lineage import digest

MACROS = "macros"
# Columns that tables have gained since lakes were first written: NULL in the shards from before.
ADDED = {
    "metrics": {"clips"},
    "spectrograms": {"n_channels", "start_seconds", "end_seconds", "config"},
    "features": {"start_seconds", "end_seconds"},
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its DuckDB type, whether it may be NULL, and its meaning with unit."""

    name: str
    type: str
    nullable: bool
    comment: str


@dataclass(frozen=True, slots=True)
class TableSchema:
    """One table as its SQL file declares it."""

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
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    selected = ", ".join(f"NULL::{c.type} AS {quote(c.name)}" for c in columns)
    bare = connection.sql(f"SELECT {selected} LIMIT 0").to_arrow_table().schema
    return pa.schema(
        pa.field(c.name, field.type, nullable=c.nullable, metadata={"comment": c.comment})
        for c, field in zip(columns, bare, strict=True)
    )


def shape(schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    """Names and types of the columns; what a list's items are called differs by the library and does not count."""
    return [(f.name, pa.list_(f.type.value_type) if pa.types.is_list(f.type) else f.type) for f in schema]


def quote(identifier: str) -> str:
    """Quote an SQL identifier."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def added(table: str) -> set[str]:
    """Columns that a table has gained; a feature set's own table has gained those of all of them."""
    return ADDED.get("features" if table.startswith(features_table("")) else table, set())


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
def mark() -> str:
    """Hash of all that is declared: tables, columns, comments and macros."""
    return digest([path.read_text(encoding="utf-8") for path in sorted(sql_folder().glob("*.sql"))])


@cache
def tables() -> dict[str, TableSchema]:
    """Every declared table by name."""
    connection = duckdb.connect()
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
