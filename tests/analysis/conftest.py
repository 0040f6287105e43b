"""Fixtures of tests that ask questions of tables written by hand."""

import duckdb
import pytest

from phonolake.store import schema


@pytest.fixture
def lake() -> duckdb.DuckDBPyConnection:
    """A database with every table, view and macro of a lake; the tables are empty."""
    connection = duckdb.connect()
    for path in sorted(schema.sql_folder().glob("*.sql"), key=lambda path: path.stem == schema.MACROS):
        connection.execute(path.read_text(encoding="utf-8"))
    return connection
