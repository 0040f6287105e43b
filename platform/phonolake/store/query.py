"""Read-only SQL over a lake: users' queries cannot change anything."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from phonolake.errors import PhonolakeError, UsageError
from phonolake.store import catalog, remote_errors, views
from phonolake.store.lake import Lake

# EXPLAIN ANALYZE executes its statement, which must therefore be a SELECT, too.
# Errors that are caused by the query. Besides its own errors DuckDB passes on those of C++, and of values that
# Python cannot hold, such as an interval of a billion days.
QUERY_ERRORS = (duckdb.Error, ArithmeticError, MemoryError, RuntimeError, ValueError)
INTERRUPT_SECONDS = 0.2

# The message of Python code that a query called.
CALLED = re.compile(r".*Python exception occurred while executing the UDF: \w+: ", re.DOTALL)
EXPLAIN = re.compile(r"^\s*explain(\s+analyze)?\b", re.IGNORECASE)


def connect(lake: Lake, *, confined: bool = True) -> duckdb.DuckDBPyConnection:
    """Open a connection to the lake's catalog.

    Parameters
    ----------
    confined : bool
        Whether queries can only read the files of this lake: no other file, no network, no extension.
    """
    connection = catalog.alone(lake)
    if confined:
        allowed = [str(lake.place), str(lake.root), views.no_glob(str(lake.root))]
        connection.execute("SET allowed_directories = $1", [allowed])
        connection.execute("SET enable_external_access = false")
        # Otherwise an unknown table name could match one of our variables.
        connection.execute("SET python_enable_replacements = false")
        connection.execute("SET lock_configuration = true")
    return connection


def select(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.DuckDBPyRelation:
    """Run one reading statement.

    Returns
    -------
    duckdb.DuckDBPyRelation
        Lazy result: ``.df()``, ``.fetchall()``, ``.to_arrow_table()`` fetch it.

    Raises
    ------
    UsageError
        If the text is not a single SELECT, or DuckDB refuses it; the message is DuckDB's first line.
    """
    try:
        sql = _named(sql)
        statements = connection.extract_statements(EXPLAIN.sub("", sql))
        if len(statements) != 1:
            raise UsageError(f"one SQL statement at a time; received {len(statements)}")
        kind = statements[0].type
        if kind is duckdb.StatementType.MULTI:
            sql = _pivot(connection, sql)
        elif kind is not duckdb.StatementType.SELECT:
            raise read_only(kind.name)
        try:
            relation = connection.sql(sql)
        except (duckdb.BinderException, duckdb.CatalogException):
            # Refused likewise, and with the place, which `sql` leaves out.
            connection.execute(statements[0])
            raise
    except QUERY_ERRORS as error:
        raise sql_error(error) from error
    if relation is None:
        raise UsageError("this statement returns no rows")
    return relation


def _named(sql: str) -> str:
    """The same query with a quoted argument name in ``where := ...``, which the parser reads as the clause."""
    if not re.search(r"\bwhere\s*:=", sql, re.IGNORECASE):
        return sql
    # Not in strings and comments. Positions are in bytes.
    text = sql.encode()
    tokens = duckdb.tokenize(sql)
    starts = [start for start, kind in tokens if kind == duckdb.token_type.keyword]
    for start in reversed(starts):
        if re.match(rb"where\s*:=", text[start:], re.IGNORECASE):
            text = text[:start] + b'"where"' + text[start + 5 :]
    return text.decode()


def _pivot(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    """A PIVOT as a SELECT. DuckDB makes several statements of it, as of one that writes, which cannot be a subquery."""
    select = f"SELECT * FROM (\n{sql.strip().rstrip(';')}\n)"
    try:
        connection.extract_statements(select)
    except duckdb.ParserException as error:
        raise read_only(sql.split()[0].upper()) from error
    return select


def read_only(kind: str) -> UsageError:
    """The error for a statement that would change a lake."""
    return UsageError(
        f"a lake is read-only for SQL, and {kind} is no SELECT: take results out with --format csv or json"
    )


def fetch(relation: duckdb.DuckDBPyRelation) -> list[tuple]:
    """All rows of a relation; errors while it runs are also `UsageError`."""
    try:
        return relation.fetchall()
    except QUERY_ERRORS as error:
        raise sql_error(error) from error


def arrow(relation: duckdb.DuckDBPyRelation) -> pa.Table:
    """All rows of a relation as an Arrow table; the errors are those of `fetch`."""
    try:
        return relation.to_arrow_table()
    except QUERY_ERRORS as error:
        raise sql_error(error) from error


@contextmanager
def limited(connection: duckdb.DuckDBPyConnection, seconds: float | None) -> Iterator[None]:
    """Interrupt the connection's query if the block takes longer than this many seconds.

    Raises
    ------
    PhonolakeError
        When it was interrupted.
    """
    if seconds is None:
        yield
        return
    over, late = threading.Event(), threading.Event()

    def watch() -> None:
        # Repeatedly: between two statements there is nothing to interrupt.
        timeout = seconds
        while not over.wait(timeout):
            late.set()
            connection.interrupt()
            timeout = INTERRUPT_SECONDS

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    except UsageError as error:
        if not late.is_set():
            raise
        raise PhonolakeError(
            f"the query took longer than {seconds:g} s: give it more with --timeout, or ask for less"
        ) from error
    finally:
        over.set()
        thread.join()


def sql_error(error: Exception) -> PhonolakeError:
    """DuckDB's error on one line, or that of object storage."""
    if isinstance(error, duckdb.Error) and (said := remote_errors.said(error)) is not None:
        return PhonolakeError(said)
    if not isinstance(error, duckdb.Error):
        return UsageError(f"SQL: {type(error).__name__}: {error}")
    lines = [line.strip() for line in CALLED.sub("", str(error)).splitlines() if line.strip()]
    hints = [line for line in lines[1:] if line.startswith(("Did you mean", "Candidate"))]
    return UsageError("SQL: " + " ".join([*lines[:1], *hints]))
