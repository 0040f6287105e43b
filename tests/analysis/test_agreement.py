"""Agreement of raters, from a table written by hand."""

import duckdb
import pytest

from phonolake.analysis.labels import agreement
from phonolake.analysis.labels.agreement import Agreement
from phonolake.store import schema


@pytest.fixture
def lake() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    for name in ("annotations", "samples"):
        connection.execute((schema.sql_folder() / f"{name}.sql").read_text(encoding="utf-8"))
    return connection


def said(lake: duckdb.DuckDBPyConnection, rater: str, label: str, *values: int | None) -> None:
    for n, value in enumerate(values):
        lake.execute("INSERT INTO annotations VALUES ($1, $2, $3, $4, now(), 's')", [f"t{n}", label, value, rater])


def test_pairs_of_raters_by_label(lake: duckdb.DuckDBPyConnection) -> None:
    said(lake, "bert", "rock", 1, 1, 0, 0, 1, None)
    said(lake, "anna", "rock", 1, 0, 0, 0, None, 1)
    said(lake, "anna", "folk", 1, 1)
    said(lake, "bert", "folk", 1, 1)
    said(lake, "cleo", "jazz", 1)
    overall, folk, rock = agreement.between_raters(lake)
    assert overall == Agreement("anna", "bert", None, 6, pytest.approx(5 / 6), pytest.approx(2 / 3))
    assert folk == Agreement("anna", "bert", "folk", 2, 1.0, None)
    assert rock == Agreement("anna", "bert", "rock", 4, 0.75, 0.5)


def test_one_sample_only(lake: duckdb.DuckDBPyConnection) -> None:
    said(lake, "anna", "rock", 1, 0)
    said(lake, "bert", "rock", 1, 1)
    lake.execute("INSERT INTO samples VALUES ('one', 1, 't0', 'rock', 1, 'dataset', '{}', '', '')")
    assert [a.n for a in agreement.between_raters(lake, sample="one")] == [1, 1]
    assert agreement.between_raters(lake, sample="two") == []
