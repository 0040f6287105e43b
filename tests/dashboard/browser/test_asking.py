"""SQL in the browser: completion, rows and files."""

import re
from pathlib import Path

import pytest
from tests.in_browser import settle, visit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


@pytest.mark.slow
def test_sql_runs_and_its_rows_are_downloaded(tab, server: str, picture) -> None:
    visit(tab, f"{server}/sql")
    editor = tab.locator("textarea")
    editor.fill("SELECT track_id, label FROM labels WHERE source = 'dataset' ORDER BY track_id LIMIT 2")
    editor.press("Control+Enter")
    button = tab.get_by_role("button", name="Download CSV")
    button.wait_for()
    settle(tab)
    picture(tab, "answer")
    with tab.expect_download() as download:
        button.click()
    lines = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert lines == ['"track_id","label"', '"toy:000","Folk"', '"toy:001","Rock"']


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
