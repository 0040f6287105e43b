"""Read-only SQL over a lake: what people type is answered, never carried out."""

import re

import duckdb

from phonolake.errors import UsageError
from phonolake.store import catalog
from phonolake.store.lake import Lake

# EXPLAIN ANALYZE carries out what it explains, so what stands behind it must be a SELECT too.
EXPLAIN = re.compile(r"^\s*explain(\s+analyze)?\b", re.IGNORECASE)


def connect(lake: Lake, *, confined: bool = True) -> duckdb.DuckDBPyConnection:
    """Open a connection to the lake's catalog.

    Parameters
    ----------
    confined : bool
        Whether queries may read the files of this lake only: no other file, no network, no extension.
    """
    connection = catalog.connect(lake)
    if confined:
        connection.execute("SET allowed_directories = $1", [[str(lake.root), catalog.no_glob(str(lake.root))]])
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
    return connection


def select(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.DuckDBPyRelation:
    """Run one reading statement.

    Returns
    -------
    duckdb.DuckDBPyRelation
        Lazy result: ``.df()``, ``.fetchall()``, ``.to_arrow_table()`` bring it.

    Raises
    ------
    UsageError
        If the text is no single SELECT, or DuckDB refuses it; the message is DuckDB's first line.
    """
    try:
        statements = connection.extract_statements(EXPLAIN.sub("", sql))
        if len(statements) != 1:
            raise UsageError(f"one SQL statement at a time; received {len(statements)}")
        if statements[0].type is not duckdb.StatementType.SELECT:
            raise UsageError(
                f"a lake is read-only for SQL, and {statements[0].type.name} is no SELECT: "
                "take results out with --format csv or json"
            )
        relation = connection.sql(sql)
    except duckdb.Error as error:
        raise sql_error(error) from error
    if relation is None:
        raise UsageError("that statement gives no rows")
    return relation


def fetch(relation: duckdb.DuckDBPyRelation) -> list[tuple]:
    """All rows of a relation; what goes wrong while it runs is a `UsageError` too."""
    try:
        return relation.fetchall()
    except duckdb.Error as error:
        raise sql_error(error) from error


def sql_error(error: duckdb.Error) -> UsageError:
    """DuckDB's complaint on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    hints = [line for line in lines[1:] if line.startswith(("Did you mean", "Candidate"))]
    return UsageError("SQL: " + " ".join([*lines[:1], *hints]))
