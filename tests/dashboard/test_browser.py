"""The dashboard in a real browser: every page, no request to anywhere else, and clicks that end in the address."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

CHROMIUM = Path("/usr/bin/chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
QUIET += ["--disable-component-update", "--disable-sync"]
PAGES = {
    "": "Overview",
    "explore": "Explore",
    "cooccurrence": "Co-occurrence",
    "label_vectors": "Label vectors",
    "label_noise": "Label noise",
    "reannotate": "Re-annotate",
    "runs": "Runs",
    "sql": "SQL",
}
LAUNCH = """
import sys
from pathlib import Path
from phonolake.dashboard_launcher import launch
sys.exit(launch(Path(sys.argv[1]), port=int(sys.argv[2]), headless=True))
"""


@pytest.fixture(scope="module")
def server(full_lake: Path) -> Iterator[str]:
    """Address of a running dashboard."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    launcher = subprocess.Popen([sys.executable, "-c", LAUNCH, str(full_lake), str(port)])
    try:
        deadline = time.monotonic() + 30
        while socket.socket().connect_ex(("localhost", port)):
            assert time.monotonic() < deadline, "the dashboard did not start"
            time.sleep(0.1)
        yield f"http://localhost:{port}"
    finally:
        launcher.terminate()
        assert launcher.wait(20) == 0


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium, driven by Playwright."""
    playwright = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}: apt install chromium")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=str(CHROMIUM), args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture
def tab(browser, server: str):
    """A browser tab that keeps to this machine; whatever else it asked for fails the test."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
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
    tab.locator("[data-testid=stStatusWidget]").wait_for(state="detached")
    tab.locator("[data-stale=true]").first.wait_for(state="detached")


@pytest.mark.parametrize(("path", "heading"), PAGES.items())
def test_every_page_opens_by_its_address(tab, server: str, tmp_path: Path, path: str, heading: str) -> None:
    visit(tab, f"{server}/{path}")
    tab.screenshot(path=tmp_path / f"{heading}.png", full_page=True)
    assert tab.locator("h1").inner_text() == heading
    assert tab.locator("[data-testid=stException]").count() == 0
    assert tab.locator("[data-testid=stAlertContentError]").count() == 0


def test_a_click_on_a_line_opens_the_track_and_names_it_in_the_address(tab, server: str, tmp_path: Path) -> None:
    visit(tab, f"{server}/explore")
    lines = tab.locator("[data-testid=stDataFrame] .dvn-scroller").first
    # The box before the third line: the table is drawn, and has no element for it.
    lines.click(position={"x": 18, "y": 35 * 3 + 17})
    tab.locator("[data-testid=stAudio]").wait_for()
    settle(tab)
    tab.screenshot(path=tmp_path / "track.png")
    assert tab.url == f"{server}/explore?track=toy%3A002"
    visit(tab, tab.url)
    assert tab.locator("h3").first.inner_text() == "Song 2"


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
    assert "<b>Odd</b>" in tab.locator(".js-plotly-plot").first.text_content()


def test_sql_runs_and_its_rows_are_downloaded(tab, server: str, tmp_path: Path) -> None:
    visit(tab, f"{server}/sql")
    editor = tab.locator("textarea")
    editor.fill("SELECT track_id, label FROM labels WHERE source = 'dataset' ORDER BY track_id LIMIT 2")
    editor.press("Control+Enter")
    button = tab.get_by_role("button", name="Download CSV")
    button.wait_for()
    settle(tab)
    tab.screenshot(path=tmp_path / "sql.png")
    with tab.expect_download() as download:
        button.click()
    lines = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert lines == ['"track_id","label"', '"toy:000","Folk"', '"toy:001","Rock"']
