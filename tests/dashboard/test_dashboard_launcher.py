"""The launcher: what it refuses, what it starts, and that nothing is left when it ends."""

import ast
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from tests.cli.processes import left_behind
from tests.in_browser import LAUNCH

from phonolake import dashboard_launcher
from phonolake.errors import UsageError


def test_a_busy_port_is_named_before_anything_starts(empty_lake: Path, free_port: int) -> None:
    with socket.create_server(("localhost", free_port)), pytest.raises(UsageError, match=f"port {free_port} is in use"):
        dashboard_launcher.launch(empty_lake, port=free_port, headless=True)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_an_impossible_port_is_refused(empty_lake: Path, port: int) -> None:
    with pytest.raises(UsageError, match=f"between 1 and 65535, received {port}"):
        dashboard_launcher.launch(empty_lake, port=port, headless=True)


def test_a_missing_lake_is_refused(missing_lake: Path, free_port: int) -> None:
    with pytest.raises(UsageError, match="no lake at"):
        dashboard_launcher.launch(missing_lake, port=free_port, headless=True)


def test_the_pages_are_found() -> None:
    assert dashboard_launcher.app().name == "app.py"


def test_every_option_is_known_to_streamlit() -> None:
    from streamlit import config

    known = config.get_config_options()
    for option in dashboard_launcher.OPTIONS:
        assert option.removeprefix("--").split("=")[0] in known


@pytest.mark.parametrize("how", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_it_serves_on_this_machine_and_leaves_nothing_behind(empty_lake: Path, free_port: int, how: int) -> None:
    # Its own session: the signal reaches the launcher alone, which has to end the server itself.
    launcher = subprocess.Popen(
        [sys.executable, "-c", LAUNCH, str(empty_lake), str(free_port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        assert health(free_port) == b"ok"
        children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children")
        servers = [int(pid) for pid in children.read_text().split()] if children.exists() else []
        launcher.send_signal(how)
        assert launcher.wait(20) == 0
    finally:
        launcher.kill()
        launcher.wait()
    for pid in servers:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    dashboard_launcher.check_port(free_port)


@pytest.mark.long
def test_a_page_that_is_at_work_when_the_server_ends_leaves_the_terminal_clean() -> None:
    """DuckDB's binding prints every connection that a thread holds when the interpreter is taken apart."""
    code = (
        "import runpy, sys, threading, time, duckdb, streamlit.web.cli as cli\n"
        "from phonolake.analysis import preload\n"
        "def hold():\n"
        "    connection = duckdb.connect()\n"
        "    connection.execute('SELECT 1')\n"
        "    holding.set()\n"
        "    time.sleep(100)\n"
        "def main(prog_name):\n"
        "    threading.Thread(target=hold, daemon=True).start()\n"
        "    holding.wait()\n"
        "    sys.exit(3)\n"
        "holding, cli.main, preload.load = threading.Event(), main, lambda: None\n"
        f"runpy.run_path({str(dashboard_launcher.app().with_name('server.py'))!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")


def test_what_modules_hold_is_not_collected_after_each_run_of_a_page() -> None:
    """Streamlit collects garbage then: among all that torch and others hold it took a quarter of a second."""
    code = "import gc, server; server.load(); print(gc.get_freeze_count() > 100_000, len(gc.get_objects()) < 10_000)"
    folder = dashboard_launcher.app().parent
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.stdout.split() == ["True", "True"], done.stderr


@pytest.mark.slow
def test_a_server_ends_with_tests_that_are_killed(empty_lake: Path, free_port: int) -> None:
    """Servers of interrupted test runs went on for hours."""
    tests = (
        "import subprocess, sys\n"
        "from tests.cli.processes import end_with_the_tests\n"
        f"launcher = subprocess.Popen([sys.executable, '-c', {LAUNCH!r}, {str(empty_lake)!r}, '{free_port}'], "
        "preexec_fn=end_with_the_tests)\n"
        "launcher.wait()\n"
    )
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen([sys.executable, "-c", tests], cwd=root, start_new_session=True)
    assert health(free_port) == b"ok"
    process.kill()
    process.wait()
    assert left_behind(process.pid, seconds=10) == []


def health(port: int) -> bytes:
    """Answer of the server's health check, as soon as there is one."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=1) as response:
                return bytes(response.read())
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def test_no_page_waits_for_torch() -> None:
    """It takes longer to load than a page may: analyses load it when they need it, and the server ahead of that."""
    pages = [path for path in dashboard_launcher.app().parent.rglob("*.py") if path.stem != "server"]
    imports = sorted(
        {
            ast.unparse(node)
            for path in pages
            for node in ast.parse(path.read_text(encoding="utf-8")).body  # not what functions import later
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("phonolake")
        }
    )
    assert "from phonolake.analysis.labels import label_vectors" in imports
    code = "\n".join([*imports, "import sys", "print('torch' in sys.modules)"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
