"""A dashboard that is served, and a browser whose tabs keep to this machine."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import in_browser

# Whom Chromium itself asks, whatever page it shows: for updates, about its user, about fields of forms.
CHROMIUMS_OWN = {"update.googleapis.com", "accounts.google.com", "content-autofill.googleapis.com"}
CHROMIUMS_OWN |= {"android.clients.google.com", "redirector.gvt1.com"}
# Pictures of every page are kept here, where it is named; else with the temporary files of the test.
PICTURES = os.environ.get("PHONOLAKE_SCREENSHOTS")


@pytest.fixture(scope="session")
def own_lake(full_lake: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the full lake, in which raters may answer."""
    return Path(shutil.copytree(full_lake, tmp_path_factory.mktemp("browser") / "lake"))


@pytest.fixture(scope="session")
def server(own_lake: Path) -> Iterator[str]:
    """Address of a running dashboard."""
    with in_browser.serving(own_lake) as address:
        yield address


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
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
