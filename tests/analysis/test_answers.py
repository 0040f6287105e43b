"""Answers to typed SQL: few rows, plain types, unique names, one-line refusals."""

import time

import duckdb
import pytest

from phonolake.errors import UsageError
from phonolake.lookup import answers


@pytest.fixture
def lake() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("CREATE TABLE t (a INTEGER)")
    connection.execute("COMMENT ON COLUMN t.a IS 'Length in seconds'")
    return connection


def one(lake: duckdb.DuckDBPyConnection, expression: str) -> object:
    return answers.ask(lake, f"SELECT {expression} AS x").rows["x"][0].as_py()


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("1::UTINYINT", 1),
        ("9223372036854775807", 9223372036854775807),
        ("170141183460469231731687303715884105727::HUGEINT", "170141183460469231731687303715884105727"),
        ("1.5::DECIMAL(10, 2)", 1.5),
        ("NULL", None),
        ("'<b>'", "<b>"),
        ("'abc'::BLOB", "3 bytes"),
        ("[1, 2]", "[1, 2]"),
        ("{'a': 1}", "{'a': 1}"),
        ("'infinity'::DATE", "infinity"),
        ("DATE '2020-01-02'", "2020-01-02"),
        ("INTERVAL 3 DAY", "3 days"),
        ("TIME '10:00'", "10:00:00"),
    ],
)
def test_every_type_has_a_plain_form(lake: duckdb.DuckDBPyConnection, expression: str, shown: object) -> None:
    assert one(lake, expression) == shown


def test_columns_of_one_name_are_numbered(lake: duckdb.DuckDBPyConnection) -> None:
    rows = answers.ask(lake, 'SELECT 1 AS a, 2 AS A, 3 AS "a (2)", 4 AS "q""x"').rows
    assert rows.to_pylist() == [{"a": 1, "A (2)": 2, "a (2) (2)": 3, 'q"x': 4}]


def test_long_results_are_cut(lake: duckdb.DuckDBPyConnection) -> None:
    cut = answers.ask(lake, "FROM range(11)", max_rows=10)
    whole = answers.ask(lake, "FROM range(10)", max_rows=10)
    assert (len(cut.rows), cut.complete) == (10, False)
    assert (len(whole.rows), whole.complete) == (10, True)


@pytest.mark.parametrize("rows", [1, 300, 500])
def test_large_rows_end_where_they_become_too_large(lake: duckdb.DuckDBPyConnection, rows: int) -> None:
    """Of rows of 10 kB each the first that pass 1 MB are brought, and texts are cut to what is shown of them."""
    large = f"SELECT range AS n, repeat('ä', 5000) AS text FROM range({rows})"
    answer = answers.ask(lake, large, max_bytes=10**6)
    assert (answer.complete, answer.full) == (rows == 1, rows > 1)
    assert answer.rows["n"].to_pylist() == list(range(min(rows, 100)))
    cut = answers.ask(lake, large, max_bytes=10**6, max_text=7)
    assert (cut.complete, len(cut.rows)) == (True, rows)
    assert cut.rows["text"][0].as_py() == "äääääää … (5000 characters)"
    nested = answers.ask(lake, "SELECT range(100) AS x, 1.5::DECIMAL(3, 1) AS y, ''::BLOB AS z", max_text=4)
    assert nested.rows.to_pylist() == [{"x": "[0,  … (390 characters)", "y": 1.5, "z": "0 bytes"}]


def test_the_order_that_was_asked_for_stays(lake: duckdb.DuckDBPyConnection) -> None:
    answer = answers.ask(lake, "SELECT x FROM range(100000) r(x) ORDER BY x % 1000 DESC, x DESC", max_rows=3)
    assert answer.rows["x"].to_pylist() == [99999, 98999, 97999]


@pytest.mark.parametrize("sql", ["EXPLAIN SELECT 1", "DESCRIBE t", "FROM t", "SELECT 1;", "SELECT 1 -- why"])
def test_other_ways_to_ask(lake: duckdb.DuckDBPyConnection, sql: str) -> None:
    assert answers.ask(lake, sql).complete


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELEC 1", "Parser Error"),
        ("SELECT b FROM t", "Binder Error"),
        ("SELECT error('late')", "late"),
        ("DROP TABLE t", "read-only"),
        ("SELECT 1; DROP TABLE t", "one SQL statement"),
        ("", "one SQL statement"),
    ],
)
def test_refusals_are_one_line(lake: duckdb.DuckDBPyConnection, sql: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as refusal:
        answers.ask(lake, sql)
    assert "\n" not in str(refusal.value)
    assert lake.execute("SELECT count(*) FROM t").fetchall() == [(0,)]


def test_what_takes_too_long_is_stopped(lake: duckdb.DuckDBPyConnection) -> None:
    started = time.monotonic()
    with pytest.raises(UsageError, match=r"stopped after 0\.2 seconds"):
        answers.ask(lake, "SELECT sum(sqrt(x)) FROM range(1000000000000) r(x)", max_seconds=0.2)
    assert time.monotonic() - started < 10
    assert one(lake, "1") == 1


def test_columns_come_with_their_meaning(lake: duckdb.DuckDBPyConnection) -> None:
    assert answers.columns(lake) == [answers.ColumnNote("t", "a", "INTEGER", "Length in seconds")]


def test_what_can_be_completed(lake: duckdb.DuckDBPyConnection) -> None:
    lake.execute("CREATE MACRO alike(id, k := 5) AS TABLE SELECT id, k")
    found = answers.words(lake)
    assert found.tables["t"][0] == "a"
    assert found.macros == {"alike": "alike(id, k)"}
    assert {"SELECT", "ORDER", "BY", "LEFT"} <= set(found.keywords)
    assert {"count", "round"} <= set(found.functions)
