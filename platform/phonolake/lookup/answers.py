"""Results of users' SQL for a page, a file or a person: few rows, plain types, unique names."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate

import duckdb
import pyarrow as pa

from phonolake.errors import UsageError
from phonolake.store import query
from phonolake.store.schema import quote
from phonolake.store.views import SHARDS_OF

# Types that need no conversion. Lists, dates (which may be infinite), 128-bit integers and the rest become text.
INTEGERS = {"tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger", "ubigint"}
PLAIN = INTEGERS | {"boolean", "float", "double", "varchar"}
# A few rows at a time: one alone may be large.
BATCH = 256


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The first rows of a result, and whether they are all.

    Parameters
    ----------
    full : bool
        Whether the rows end because of their size, and not because of their number.
    """

    rows: pa.Table
    complete: bool
    full: bool = False


@dataclass(frozen=True, slots=True)
class ColumnNote:
    """One available column: its table, its type, and its meaning with unit."""

    table: str
    column: str
    type: str
    comment: str | None


@dataclass(frozen=True, slots=True)
class SqlWords:
    """Words for the completion of queries.

    Parameters
    ----------
    tables : dict of str to list of str
        Columns of every table and view.
    macros : dict of str to str
        The lake's own functions, each with the names of its arguments.
    keywords, functions : list of str
        DuckDB's own.
    """

    tables: dict[str, list[str]]
    macros: dict[str, str]
    keywords: list[str]
    functions: list[str]


def ask(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    *,
    max_rows: int = 1000,
    max_seconds: float = 60.0,
    max_bytes: int = 64 << 20,
    max_text: int | None = None,
) -> QueryResult:
    """Run a SELECT and return its first rows.

    For binary values only the number of bytes is shown, and columns of the same name are numbered.

    Parameters
    ----------
    max_rows : int
        Maximum number of rows.
    max_bytes : int
        Stop after the row that exceeds this total.
    max_text : int, optional
        Cut longer texts, and add their number of characters.

    Raises
    ------
    UsageError
        If DuckDB refuses the text, or it takes longer than `max_seconds`.
    """
    try:
        with _interrupted_after(connection, max_seconds):
            relation = query.select(connection, sql)
            wanted = ", ".join(_shown(relation.columns, [t.id for t in relation.types], max_text))
            rows, full = _read(relation.project(wanted).limit(max_rows + 1), max_bytes)
    except duckdb.InterruptException as error:
        raise UsageError(f"SQL: stopped after {max_seconds:g} seconds: ask for less, or use `phonolake sql`") from error
    except duckdb.Error as error:
        raise query.sql_error(error) from error
    return QueryResult(rows.slice(0, max_rows), not full and len(rows) <= max_rows, full)


def _read(relation: duckdb.DuckDBPyRelation, max_bytes: int) -> tuple[pa.Table, bool]:
    """Rows until they exceed `max_bytes`, and whether they did before the end."""
    reader = relation.to_arrow_reader(BATCH)
    batches: list[pa.RecordBatch] = []
    size = 0
    for batch in reader:
        if size + batch.nbytes > max_bytes:
            sizes = accumulate(batch.slice(n, 1).nbytes for n in range(len(batch)))
            kept = 1 + sum(size + its <= max_bytes for its in sizes)
            return pa.Table.from_batches([*batches, batch.slice(0, kept)], reader.schema), True
        batches.append(batch)
        size += batch.nbytes
    return pa.Table.from_batches(batches, reader.schema), False


def columns(connection: duckdb.DuckDBPyConnection) -> list[ColumnNote]:
    """Every column of every table, in the order of their declaration."""
    rows = connection.execute(
        "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() WHERE NOT internal "
        "ORDER BY table_name, column_index"
    ).fetchall()
    return [ColumnNote(*row) for row in rows]


def words(connection: duckdb.DuckDBPyConnection) -> SqlWords:
    """All words for completion on this connection."""
    tables: dict[str, list[str]] = {}
    for note in columns(connection):
        tables.setdefault(note.table, []).append(note.column)
    rows = connection.execute(
        "SELECT DISTINCT ON (function_name) function_name, parameters, internal FROM duckdb_functions() "
        "WHERE function_type IN ('scalar', 'aggregate') OR NOT internal ORDER BY function_name, internal"
    ).fetchall()
    macros = {name: f"{name}({', '.join(parameters)})" for name, parameters, internal in rows if not internal}
    macros = {name: shown for name, shown in macros.items() if not name.startswith(SHARDS_OF)}
    functions = [name for name, _, internal in rows if internal and name.isidentifier() and not name.startswith("_")]
    keywords = connection.execute(
        "SELECT DISTINCT upper(keyword_name) FROM duckdb_keywords() "
        "WHERE keyword_category IN ('reserved', 'type_function') OR keyword_name IN ('by', 'over') ORDER BY 1"
    ).fetchall()
    return SqlWords(tables, macros, [word for (word,) in keywords], functions)


def _shown(names: Sequence[str], types: Sequence[str], max_text: int | None) -> Iterator[str]:
    """SQL of each column by its position, because two columns may have the same name."""
    taken: set[str] = set()
    for place, (name, kind) in enumerate(zip(names, types, strict=True), start=1):
        value = f"#{place}"
        if kind == "blob":
            value = f"octet_length({value}) || ' bytes'"
        elif kind == "decimal":
            value += "::DOUBLE"
        elif kind not in PLAIN:
            value += "::VARCHAR"
        if max_text is not None and (kind == "varchar" or kind not in PLAIN | {"blob", "decimal"}):
            value = (
                f"CASE WHEN length({value}) > {max_text} THEN left({value}, {max_text}) || ' … (' || "
                f"length({value}) || ' characters)' ELSE {value} END"
            )
        unique, n = name, 1
        # DuckDB's names ignore case.
        while unique.lower() in taken:
            n += 1
            unique = f"{name} ({n})"
        taken.add(unique.lower())
        yield f"{value} AS {quote(unique)}"


@contextmanager
def _interrupted_after(connection: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
    timer = threading.Timer(seconds, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
