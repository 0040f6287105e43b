"""The dashboard in a real browser: every page, no request to anywhere else, and clicks that end in the address."""

import itertools
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests import in_browser

from phonolake.annotation import drawing, journal, sampling
from phonolake.store.lake import Lake

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

# Whom Chromium itself asks, whatever page it shows: for updates, about its user, about fields of forms.
CHROMIUMS_OWN = {"update.googleapis.com", "accounts.google.com", "content-autofill.googleapis.com"}
CHROMIUMS_OWN |= {"android.clients.google.com"}
# Pictures of every page are kept here, where it is named; else with the temporary files of the test.
PICTURES = os.environ.get("PHONOLAKE_SCREENSHOTS")
PAGES = {
    "": "Overview",
    "explore": "Explore",
    "cooccurrence": "Co-occurrence",
    "label_vectors": "Label vectors",
    "label_noise": "Label noise",
    "reannotate": "Re-annotate",
    "neighbours": "Neighbours",
    "runs": "Runs",
    "sql": "SQL",
}


@pytest.fixture(scope="module")
def own_lake(full_lake: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the full lake, in which raters may answer."""
    return Path(shutil.copytree(full_lake, tmp_path_factory.mktemp("browser") / "lake"))


@pytest.fixture(scope="module")
def server(own_lake: Path) -> Iterator[str]:
    """Address of a running dashboard."""
    with in_browser.serving(own_lake) as address:
        yield address


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory):
    """Debian's Chromium, driven by Playwright; at its end its own log tells whom it spoke to."""
    log = tmp_path_factory.mktemp("net") / "log.json"
    with in_browser.chromium(f"--log-net-log={log}") as running:
        yield running
    hosts = hosts_in(log)
    assert "localhost" in hosts, "the log is not what it should be"
    assert hosts - CHROMIUMS_OWN <= {"localhost", "127.0.0.1", "[::1]"}


def hosts_in(log: Path) -> set[str]:
    """Hosts of every request in Chromium's network log; the last line is missing where it was closed in haste."""
    text = log.read_text(encoding="utf-8")
    urls = re.findall(r'"url":\s*("(?:[^"\\]|\\.)*")', text)
    names = {re.match(r"(?:https?|wss?)://([^/:]+|\[[^]]+\])", json.loads(url)) for url in urls}
    return {name[1] for name in names if name}


@pytest.fixture
def picture(tmp_path: Path):
    """Keep a picture of a page under a name."""

    def take(tab, name: str, **options) -> None:
        folder = Path(PICTURES) if PICTURES else tmp_path
        folder.mkdir(parents=True, exist_ok=True)
        tab.screenshot(path=folder / f"{name}.png", **options)

    return take


@pytest.fixture(scope="module")
def context(browser):
    """What the tabs share: the browser keeps the scripts of the dashboard from one page to the next."""
    return browser.new_context(viewport={"width": 1280, "height": 800})


@pytest.fixture
def tab(context, server: str):
    """A browser tab that keeps to this machine; whatever else it asked for fails the test."""
    page = context.new_page()
    outside: list[str] = []
    local = (server, server.replace("http:", "ws:"), "data:", "blob:")
    page.on("request", lambda request: None if request.url.startswith(local) else outside.append(request.url))
    yield page
    icons = page.evaluate("[...document.querySelectorAll('link[rel~=icon]')].map(link => link.href)")
    page.close()
    # Tabs without a window do not fetch the icon, but others would.
    assert [url for url in outside + icons if not url.startswith(local)] == []


def visit(tab, address: str) -> None:
    """Open a page and wait until its script has run."""
    tab.goto(address)
    tab.locator("h1").wait_for()
    settle(tab)


def settle(tab) -> None:
    """Wait until nothing is running any more."""
    tab.wait_for_timeout(300)
    tab.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    tab.locator("[data-stale=true]").first.wait_for(state="detached")
    # Parts of the page whose program is still on its way.
    tab.locator("[data-testid=stSkeleton]").first.wait_for(state="detached")


@pytest.mark.parametrize(("path", "heading"), PAGES.items())
def test_every_page_opens_by_its_address(tab, server: str, picture, path: str, heading: str) -> None:
    visit(tab, f"{server}/{path}")
    picture(tab, heading, full_page=True)
    assert tab.locator("h1").inner_text() == heading
    assert tab.locator("[data-testid=stException]").count() == 0
    assert tab.locator("[data-testid=stAlertContentError]").count() == 0


@pytest.mark.slow
def test_a_click_on_a_line_opens_the_track_and_names_it_in_the_address(tab, server: str, picture) -> None:
    visit(tab, f"{server}/explore")
    lines = tab.locator("[data-testid=stDataFrame] .dvn-scroller").first
    # The box before the third line: the table is drawn, and has no element for it.
    lines.click(position={"x": 18, "y": 35 * 3 + 17})
    tab.locator("[data-testid=stAudio]").wait_for()
    settle(tab)
    picture(tab, "track")
    assert tab.url == f"{server}/explore?track=toy%3A002"
    visit(tab, tab.url)
    assert tab.locator("h3").first.inner_text() == "Song 2"


@pytest.mark.slow
def test_a_neighbour_is_played_and_opened(tab, server: str) -> None:
    visit(tab, f"{server}/explore?track=toy:004")
    tab.locator("[class*=st-key-play-]").first.get_by_role("button").click()
    tab.locator("[data-testid=stAudio]").nth(1).wait_for()
    neighbour = tab.locator("[class*=st-key-open-]").first
    name = neighbour.inner_text()
    neighbour.get_by_role("button").click()
    tab.locator("h3", has_text=name).wait_for()
    settle(tab)
    assert tab.url != f"{server}/explore?track=toy:004"
    assert tab.locator("[data-testid=stException]").count() == 0


def test_sound_reaches_the_browser(tab, server: str) -> None:
    visit(tab, f"{server}/explore?track=toy:000")
    tab.locator("audio").wait_for()
    seconds = tab.evaluate(
        """async () => {
            const audio = document.querySelector('audio');
            if (!(audio.duration > 0)) await new Promise(done => audio.onloadedmetadata = done);
            return audio.duration;
        }"""
    )
    assert seconds == pytest.approx(1.0, abs=0.1)


def test_markup_in_names_is_shown_as_text(tab, server: str, toy) -> None:
    visit(tab, f"{server}/explore?track={toy.track_id(1)}")
    assert tab.locator("h3").first.inner_text() == toy.HOSTILE
    assert tab.locator("h3 b, h3 img, h3 script").count() == 0
    visit(tab, f"{server}/cooccurrence")
    box = tab.locator("[data-testid=stEChartsChart] canvas").first.bounding_box()
    told = tab.locator("div[style*='pointer-events: none']", has_text="<b>Odd</b> →")
    for x, y in itertools.product(np.linspace(0.2, 0.8, 13), np.linspace(0.05, 0.8, 16)):
        tab.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        if told.count():
            break
    assert told.count() == 1
    assert told.locator("b").count() == 0


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


def answers_of(lake: Path, rater: str) -> list:
    return journal.standing(Lake.open(lake), rater)


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


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_five_hundred_answers_in_two_windows_with_reloads(tab, context, server: str, own_lake: Path) -> None:
    """None is lost, and none answers what was answered in the other window."""
    sampling.draw(sampling.Config(str(own_lake), "long", n_positive=10, n_negative=20))
    total = 90
    rng = np.random.default_rng(0)
    address = f"{server}/reannotate?sample=long&rater=eve"
    other = context.new_page()
    visit(tab, address)
    visit(other, address)
    given = 0
    for n in range(500):
        page = tab if rng.random() < 0.7 else other
        if n % 50 == 49:
            page.reload()
        settle(page)
        if page.get_by_text("has answered every question").count():
            page.keyboard.press("u")
            settle(page)
            continue
        before = len(answers_of(own_lake, "eve"))
        page.keyboard.press(str(rng.choice(["y", "n", "s"])))
        settle(page)
        refused = page.get_by_text("in another window").count()
        after = len(answers_of(own_lake, "eve"))
        assert after == before + (0 if refused else 1), (n, before, after)
        given += not refused
    found = answers_of(own_lake, "eve")
    assert len({(a.track_id, a.label) for a in found}) == len(found) <= total
    assert given >= total
    other.close()


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


@pytest.mark.slow
def test_tracks_inside_a_lasso_are_listed(tab, server: str, picture) -> None:
    # The mouse cannot leave the window.
    tab.set_viewport_size({"width": 1280, "height": 1200})
    visit(tab, f"{server}/explore?by=Map")
    settle(tab)
    box = tab.locator("canvas[aria-label^='Map of 30 tracks']").bounding_box()
    corners = [(0.995, 0.995), (0.005, 0.995), (0.005, 0.005), (0.995, 0.005), (0.995, 0.99)]
    (x, y), *rest = [(box["x"] + a * box["width"], box["y"] + b * box["height"]) for a, b in corners]
    tab.mouse.move(x, y)
    tab.mouse.down()
    for x, y in rest:
        tab.mouse.move(x, y, steps=8)
    tab.mouse.up()
    tab.get_by_text("30 chosen").wait_for()
    settle(tab)
    picture(tab, "map")
    assert tab.locator("[data-testid=stDataFrame]").count() == 1


@pytest.mark.slow
def test_a_click_on_bars_chooses_their_tracks(tab, server: str, picture) -> None:
    """Of a histogram, in the list and on the map; the address keeps it."""
    visit(tab, f"{server}/explore?dataset=toy")
    tab.get_by_text("More conditions").click()
    settle(tab)
    chart = tab.get_by_test_id("stEChartsChart").first
    chart.locator("canvas").wait_for()
    box = chart.bounding_box()
    # 15 bins of 2 s, one of them after the other.
    for n in (3, 5):
        tab.mouse.click(box["x"] + 8 + (box["width"] - 24) * (n + 0.5) / 15, box["y"] + box["height"] - 32)
        settle(tab)
    tab.wait_for_url(re.compile(r"ranges=duration%3A6%3A12"))
    tab.get_by_text("7 tracks", exact=True).wait_for()
    picture(tab, "explore histograms", full_page=True)
    tab.get_by_text("Map", exact=True).click()
    settle(tab)
    tab.get_by_text(re.compile("7 of 30 tracks")).wait_for()


@pytest.mark.slow
def test_back_goes_to_the_track_before(tab, server: str) -> None:
    visit(tab, f"{server}/explore?track=toy:004")
    tab.locator("[class*=st-key-open-]").first.get_by_role("button").click()
    tab.wait_for_url(lambda url: "toy%3A004" not in url and "toy:004" not in url)
    settle(tab)
    tab.go_back()
    tab.locator("h3", has_text="Song 4").wait_for()
    assert "explore" in tab.url


@pytest.mark.slow
def test_a_click_on_the_spectrogram_goes_to_that_moment(tab, server: str) -> None:
    visit(tab, f"{server}/explore?track=toy:000")
    picture = tab.get_by_role("img", name=re.compile("Spectrogram"))
    picture.wait_for()
    box = picture.bounding_box()
    tab.evaluate("document.querySelector('.st-key-track-player audio').muted = true")
    tab.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 20)
    at = tab.evaluate("document.querySelector('.st-key-track-player audio').currentTime")
    assert at == pytest.approx(0.75, abs=0.2)
    assert tab.locator(".axis span", has_text="1,000 Hz").count() == 1


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_pages_fit_a_phone_and_the_dark(browser, server: str, picture, scheme: str, width: int) -> None:
    """Nothing is wider than the screen, and the head of the page names the lake in letters that can be read."""
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    for path, heading in PAGES.items():
        visit(page, f"{server}/{path}")
        picture(page, f"{heading}-{scheme}-{width}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.title() == f"{heading} · lake · Phonolake"
    dark = page.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", dark)[:3])) < 150) == (scheme == "dark")
    context.close()


@pytest.mark.slow
def test_an_upload_finds_what_sounds_alike(tab, server: str, toy) -> None:
    visit(tab, f"{server}/explore?by=Recording")
    file = {"name": "<b>mine</b>.wav", "mimeType": "audio/wav", "buffer": toy.wav(5)}
    tab.locator("input[type=file]").set_input_files(file)
    tab.get_by_text("Most like <b>mine</b>.wav").wait_for()
    settle(tab)
    assert tab.locator("[data-testid=stDataFrame]").count() == 1
    tab.locator("input[type=file]").set_input_files(file | {"name": "x.wav", "buffer": b"RIFF no audio at all"})
    tab.get_by_text("The upload cannot be used").wait_for()


@pytest.mark.slow
def test_a_link_brings_the_state_of_the_page(tab, server: str) -> None:
    visit(tab, f"{server}/explore?label=Rock&where=year%20%3E%202010&text=song")
    assert tab.get_by_role("textbox", name="Condition").input_value() == "year > 2010"
    tab.get_by_text("6 tracks", exact=True).wait_for()
    visit(tab, f"{server}/runs?show=Confusion")
    tab.get_by_label("Called").wait_for()
    tab.get_by_role("radio", name="ROC").click()
    tab.wait_for_url(re.compile("show=ROC"))


@pytest.mark.slow
def test_a_number_is_followed_to_its_run_and_shards(tab, server: str) -> None:
    visit(tab, f"{server}/runs")
    tab.get_by_text("Where from").click()
    tab.get_by_text("Versions of the tables that it read").wait_for()
    settle(tab)
    assert tab.locator("[data-testid=stException]").count() == 0
