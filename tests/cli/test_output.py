"""What a query may be, how long it may take, and how its rows come out."""

import ast
import csv
import io
import json
import time
from pathlib import Path

import pytest

from phonolake.cli import output
from phonolake.cli.main import main
from phonolake.store.lake import Lake

ENDLESS = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range % 7 = b.range % 5"
CLI = Path(output.__file__).parent


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(Lake.create(tmp_path_factory.mktemp("empty") / "lake").root)


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(list(words))
    return code, *capsys.readouterr()


def test_a_query_may_be_given_a_time(lake: str, capsys: pytest.CaptureFixture[str]) -> None:
    begun = time.monotonic()
    code, out, err = answer(capsys, "sql", ENDLESS, "--timeout", "0.5", "--lake", lake)
    assert (code, out, time.monotonic() - begun < 20) == (1, "", True)
    assert err == "phonolake: the query took longer than 0.5 s: give it more with --timeout, or ask for less\n"
    assert (
        answer(capsys, "sql", "SELECT 1 AS one", "--timeout", "60", "--format", "csv", "--lake", lake)[1] == "one\n1\n"
    )


@pytest.mark.parametrize(
    "query",
    [
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 3) SELECT n, 'x' AS x FROM t",
        "PIVOT (VALUES ('a', 1), ('b', 2)) t(k, v) ON k USING sum(v)",
        "SELECT * FROM (PIVOT (VALUES ('a', 1)) t(k, v) ON k USING sum(v)); ",
        "UNPIVOT (SELECT 1 AS a, 2 AS b) ON a, b",
    ],
)
def test_these_are_queries(query: str, lake: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = answer(capsys, "sql", query, "--format", "json", "--lake", lake)
    assert (code, err) == (0, "")
    assert json.loads(out)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("CREATE TEMP TABLE x AS (PIVOT (VALUES ('a', 1)) t(k, v) ON k USING sum(v))", "read-only for SQL, and CREATE"),
        ("COPY (PIVOT (VALUES ('a', 1)) t(k, v) ON k USING sum(v)) TO 'x.csv'", "read-only for SQL, and COPY"),
        ("WITH RECURSIVE t(n) AS (SELECT 1::HUGEINT UNION ALL SELECT n * 1000 FROM t) SELECT n FROM t", "Overflow"),
        ("SELECT INTERVAL 1000000000 DAY", "OverflowError"),
        ("SELECT repeat('x', 100000000000)", "Out of Range"),
        ("SELECT * FROM connection", "does not exist"),
        ("", "received 0"),
    ],
)
def test_what_is_wrong_with_a_query_is_its_own_fault(
    query: str, says: str, lake: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = answer(capsys, "sql", query, "--lake", lake)
    assert (code, out) == (2, "")
    assert says in err
    assert "report it" not in err
    assert len(err.splitlines()) == 1


def test_csv_has_its_header_where_there_are_no_rows(lake: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["sql", "SELECT 1 AS one WHERE false"], ["runs"], ["splits", "list"], ["annotations", "agreement"]):
        code, out, _ = answer(capsys, *words, "--format", "csv", "--lake", lake)
        assert (code, len(out.splitlines())) == (0, 1)
        assert answer(capsys, *words, "--format", "json", "--lake", lake)[1] == "[]\n"


def test_every_command_says_what_its_rows_are() -> None:
    """Else nobody could name the columns of none."""
    unnamed = []
    for path in sorted(CLI.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "emit"):
                continue
            if not {"columns", "of"} & {k.arg for k in node.keywords} and not isinstance(node.args[0], ast.List):
                unnamed.append(f"{path.name}:{node.lineno}")
    assert unnamed == []


def test_nested_cells_of_csv_are_json(lake: str, capsys: pytest.CaptureFixture[str]) -> None:
    query = "SELECT {'a': [1, NULL], 'b': 'ü'} AS struct, [DATE '2026-01-01'] AS days, ['nan'::DOUBLE] AS nan"
    _, out, _ = answer(capsys, "sql", query, "--format", "csv", "--lake", lake)
    (row,) = csv.DictReader(io.StringIO(out))
    assert json.loads(row["struct"]) == {"a": [1, None], "b": "ü"}
    assert json.loads(row["days"]) == ["2026-01-01"]
    assert json.loads(row["nan"]) == [None]
