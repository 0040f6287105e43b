"""SQL in the browser: completion, rows and files."""

import re
from pathlib import Path
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest
from tests.in_browser import settle, visit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


@pytest.mark.long
def test_sql_runs_and_its_rows_are_downloaded(tab, server: str, picture) -> None:
    visit(tab, f"{server}/sql")
    editor = tab.get_by_placeholder("SELECT …")
    editor.fill("SELECT track_id, label FROM labels WHERE source = 'dataset' ORDER BY track_id LIMIT 2")
    editor.press("Control+Enter")
    tab.get_by_text("2 rows").wait_for()
    settle(tab)
    picture(tab, "answer")
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Download CSV").click()
    lines = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert lines == ['"track_id","label"', '"toy:000","Folk"', '"toy:001","Rock"']
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Download Parquet").click()
    rows = pq.read_table(Path(download.value.path())).to_pylist()
    assert rows == [{"track_id": "toy:000", "label": "Folk"}, {"track_id": "toy:001", "label": "Rock"}]


@pytest.mark.long
def test_earlier_questions_come_back_and_a_column_is_inserted_by_a_click(tab, server: str, picture) -> None:
    visit(tab, f"{server}/sql")
    editor = tab.get_by_placeholder("SELECT …")
    for n in (1, 2):
        editor.fill(f"SELECT track_id FROM tracks ORDER BY track_id LIMIT {n}")
        editor.press("Control+Enter")
        tab.get_by_text(f"{n} rows").wait_for()
        settle(tab)
    tab.get_by_placeholder("Earlier questions (2)").click()
    tab.get_by_role("option", name="LIMIT 1").click()
    settle(tab)
    assert editor.input_value() == "SELECT track_id FROM tracks ORDER BY track_id LIMIT 1"
    editor.fill("SELECT FROM tracks")
    for _ in " FROM tracks":
        editor.press("ArrowLeft")
    tab.get_by_text("Tables and columns").click()
    table = tab.get_by_test_id("stExpander").get_by_test_id("stDataFrame")
    table.wait_for()
    settle(tab)
    # The box at the left of the first line, below the names of the columns.
    table.click(position={"x": 15, "y": 52})
    settle(tab)
    picture(tab, "insert")
    assert editor.input_value() == "SELECT track_id FROM tracks"
    editor.press("Control+Enter")
    tab.wait_for_url(re.compile(re.escape("sql=SELECT+track_id+FROM+tracks")))


@pytest.mark.long
def test_a_question_that_came_with_the_address_is_asked_at_once(tab, server: str) -> None:
    asked = "SELECT count(*) AS n FROM tracks"
    for _ in range(3):
        tab.goto(f"{server}/sql?sql={quote(asked)}")
        # Without waiting until the page is complete.
        tab.get_by_role("button", name="Run").click()
        tab.get_by_text("1 rows").wait_for()
        settle(tab)
        assert tab.get_by_placeholder("SELECT …").input_value() == asked


@pytest.mark.slow
def test_sql_is_completed(tab, server: str, picture) -> None:
    """Tables, columns of what the question names, macros and keywords; what was completed is what is asked."""
    visit(tab, f"{server}/sql")
    editor = tab.get_by_placeholder("SELECT …")
    proposed = tab.get_by_role("listbox", name="Proposals")
    editor.press_sequentially("SELECT t.du FROM tra")
    assert proposed.get_by_role("option").first.inner_text().startswith("tracks")
    editor.press("Tab")
    editor.press_sequentially(" t WHERE ye")
    proposed.get_by_role("option").first.wait_for()
    picture(tab, "sql completion")
    editor.press("Tab")
    editor.press_sequentially(" > 2028")
    for _ in range(len(" FROM tracks t WHERE year > 2028")):
        editor.press("ArrowLeft")
    editor.press_sequentially("r")
    editor.press("Tab")
    expected = "SELECT t.duration_seconds FROM tracks t WHERE year > 2028"
    assert editor.input_value() == expected
    editor.press("Control+Enter")
    tab.get_by_text("1 rows").wait_for()
    tab.wait_for_url(re.compile(re.escape("duration_seconds")))
    for typed, first in (("SELECT 'tra", None), ("ORD", "ORDER"), ("FROM top_", "top_tags("), ("-- tra", None)):
        editor.fill("")
        editor.press_sequentially(typed)
        found = [option.inner_text() for option in proposed.get_by_role("option").all()]
        assert found[0].startswith(first) if first else not found, (typed, found)
