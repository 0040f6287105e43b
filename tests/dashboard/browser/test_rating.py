"""Raters answer by keyboard: nothing is lost, and nothing answers what it was not asked."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests import in_browser
from tests.in_browser import settle, visit

from phonolake.annotation import drawing, journal, sampling
from phonolake.store import query, schema
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import write_rows

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


def answers_of(lake: Path, rater: str) -> list:
    return journal.standing(Lake.open(lake), rater)


@pytest.mark.long
def test_a_rater_answers_by_keyboard_and_nothing_is_lost(tab, server: str, own_lake: Path, picture) -> None:
    sampling.draw(sampling.Config(str(own_lake), "keys", n_positive=2, n_negative=2))
    visit(tab, f"{server}/reannotate?sample=keys&rater=anna")
    question = tab.locator("h3").first
    asked = []
    for n, key in enumerate(["y", "n", "s"], start=1):
        tab.get_by_text(f"Question {n} of 12").wait_for()
        settle(tab)
        asked.append(question.inner_text())
        tab.locator("audio").wait_for()
        tab.locator("h1").click()
        tab.keyboard.press(key)
    tab.get_by_text("Question 4 of 12").wait_for()
    settle(tab)
    picture(tab, "annotating")
    found = answers_of(own_lake, "anna")
    assert [a.value for a in found] == [1, 0, None]
    assert [a.label for a in found] == asked
    tab.keyboard.press("u")
    tab.get_by_text("Question 3 of 12").wait_for()
    assert len(answers_of(own_lake, "anna")) == 2
    tab.reload()
    tab.get_by_text("Question 3 of 12").wait_for()
    tab.get_by_text("2 of 12 answered").wait_for()
    page = tab.content()
    assert not [t for t in ("toy:0", "Song ", "Band ") if t in page], "a rater must not learn which track it is"


# The number of the question that is shown, once its own buttons are there and the page is at rest.
ASKED = """() => {
    const asked = /Question (\\d+) of/.exec(document.querySelector("[data-testid=stMain]").innerText)?.[1];
    const ready = document.querySelector("[data-testid=stApp][data-test-script-state=notRunning]");
    return ready && document.querySelector(`.st-key-answer-yes-${asked} button:enabled`) ? asked : null;
}"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_five_hundred_answers_in_two_windows_with_reloads(browser, full_lake: Path, tmp_path: Path) -> None:
    """None is lost, and none answers a question that was answered in the other window: that one says so."""
    lake = lake_with_many_labels(full_lake, tmp_path)
    strata = sampling.draw(sampling.Config(str(lake.place), "long", n_positive=10, n_negative=20, source="many"))
    assert sum(stratum.drawn for stratum in strata) == 600
    rng = np.random.default_rng(0)
    given: list[int | None] = []
    n_refused = 0
    with in_browser.serving(lake.root) as address:
        context = browser.new_context()
        pages = [context.new_page() for _ in range(2)]
        for page in pages:
            visit(page, f"{address}/reannotate?sample=long&rater=eve")
        last = 0
        while len(given) < 500:
            now = int(rng.random() < (0.1 if last == 0 else 0.3))
            page, last = pages[now], now
            if rng.random() < 0.02:
                page.reload()
            asked = page.wait_for_function(ASKED).json_value()
            # Nobody answers what has just appeared.
            page.wait_for_timeout(50)
            key, value = [("y", 1), ("n", 0), ("s", None)][rng.integers(3)]
            page.keyboard.press(key)
            page.wait_for_function(f"before => ![null, before].includes(({ASKED})())", arg=asked)
            if page.get_by_text("in another window").count():
                n_refused += 1
            else:
                given.append(value)
            assert len(answers_of(lake.root, "eve")) == len(given)
        context.close()
    found = answers_of(lake.root, "eve")
    print(f"{len(found)} answers, {n_refused} were refused")
    assert [answer.value for answer in found] == given
    assert len({(answer.track_id, answer.label) for answer in found}) == 500
    assert n_refused > 20


def lake_with_many_labels(full_lake: Path, folder: Path) -> Lake:
    """A copy of the lake whose tracks have a third of 20 labels more, for 600 questions."""
    lake = Lake.open(shutil.copytree(full_lake, folder / "lake"))
    with query.connect(lake) as connection:
        track_ids = [
            track_id for (track_id,) in connection.execute("SELECT track_id FROM tracks ORDER BY 1").fetchall()
        ]
    table = schema.table("labels")
    labels = [
        {"track_id": track_id, "label": f"many {k}", "value": 1, "source": "many"}
        for n, track_id in enumerate(track_ids)
        for k in range(20)
        if (n + k) % 3 == 0
    ]
    lake.commit({"labels": Change(table, [write_rows(lake.path("labels", "many"), table.arrow, labels)])})
    return lake


@pytest.mark.slow
def test_triplets_are_played_and_answered_by_keyboard(tab, server: str, own_lake: Path, picture) -> None:
    """One sound plays at a time; answers, a reload and a way back lose nothing."""
    drawing.run(drawing.Config(str(own_lake), "alike", 6))
    visit(tab, f"{server}/neighbours?rater=anna&sample=alike")
    tab.get_by_text("Triplet 1 of 6").wait_for()
    playing = "[...document.querySelectorAll('audio')].map(sound => !sound.paused)"
    for n in (1, 2, 3, 2):
        tab.keyboard.press(str(n))
        tab.wait_for_function(f"{playing}.map((on, n) => on === (n === {n - 1})).every(right => right)")
    lake = Lake.open(own_lake)
    for n, key in enumerate("ABSBA", start=1):
        tab.keyboard.press(key)
        tab.get_by_text(f"Triplet {n + 1} of 6").wait_for()
        assert len(journal.compared(lake, "anna")) == n
        if n == 3:
            tab.reload()
            tab.get_by_text("Triplet 4 of 6").wait_for()
        settle(tab)
    tab.keyboard.press("U")
    tab.get_by_text("Triplet 5 of 6").wait_for()
    settle(tab)
    for key in "BA":
        tab.keyboard.press(key)
        settle(tab)
    tab.get_by_text("anna has answered every triplet").wait_for()
    assert [answer.value for answer in journal.compared(lake, "anna")] == [1, 0, None, 0, 0, 1]
    picture(tab, "neighbours answered", full_page=True)


@pytest.mark.slow
def test_after_a_name_is_typed_keys_answer(tab, server: str, own_lake: Path) -> None:
    sampling.draw(sampling.Config(str(own_lake), "typing", n_positive=1, n_negative=1))
    visit(tab, f"{server}/reannotate?sample=typing")
    name = tab.get_by_label("Your name")
    name.press_sequentially("synny")
    name.press("Enter")
    tab.wait_for_url(re.compile("rater=synny"))
    tab.get_by_text("Question 1 of 6").wait_for()
    settle(tab)
    assert answers_of(own_lake, "synny") == []
    tab.keyboard.press("y")
    tab.get_by_text("Question 2 of 6").wait_for()
    assert [a.value for a in answers_of(own_lake, "synny")] == [1]
