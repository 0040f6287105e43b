"""The dashboard as a person meets it: served to a real browser."""

import contextlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .cli.processes import end_with_the_tests

CHROMIUM = Path("/usr/bin/chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
QUIET += ["--disable-component-update", "--disable-sync", "--disable-default-apps", "--disable-domain-reliability"]
GREETING = ("Uvicorn server started", "The dashboard of", "Stopping...")
# What it may say of a lake.
SAID = ("No up-to-date index",)
PAGES = {
    "": "Overview",
    "explore": "Explore",
    "cooccurrence": "Co-occurrence",
    "label_vectors": "Label vectors",
    "label_noise": "Label noise",
    "reannotate": "Re-annotate",
    "neighbours": "Neighbours",
    "runs": "Runs",
    "studies": "Studies",
    "sql": "SQL",
}
LAUNCH = """
import sys
from pathlib import Path
from phonolake.dashboard_launcher import launch
sys.exit(launch(Path(sys.argv[1]), port=int(sys.argv[2]), headless=True))
"""


@contextlib.contextmanager
def serving(lake: Path) -> Iterator[str]:
    """Address of the dashboard of a lake, which runs meanwhile and leaves little on the terminal."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", LAUNCH, str(lake), str(port)]
    with tempfile.TemporaryFile("w+") as terminal:
        launcher = subprocess.Popen(command, preexec_fn=end_with_the_tests, stdout=terminal, stderr=terminal)
        try:
            deadline = time.monotonic() + 90
            while socket.socket().connect_ex(("localhost", port)):
                assert time.monotonic() < deadline, "the dashboard did not start"
                time.sleep(0.1)
            yield f"http://localhost:{port}"
        finally:
            launcher.terminate()
            assert launcher.wait(20) == 0
        terminal.seek(0)
        said = [line for line in terminal if line.strip()]
    assert all(any(word in line for word in GREETING + SAID) for line in said), said


@contextlib.contextmanager
def chromium(*options: str) -> Iterator[Any]:
    """Debian's Chromium, driven by Playwright; the test is skipped where it is not there."""
    playwright = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}: apt install chromium")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=str(CHROMIUM), args=[*QUIET, *options])
        yield running
        running.close()


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
