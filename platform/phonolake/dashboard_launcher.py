"""Start the dashboard: Streamlit in a process of its own, on this machine only."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from phonolake.errors import PhonolakeError, UsageError
from phonolake.progress import say
from phonolake.store.lake import Lake
from phonolake.store.place import Place

ADDRESS = "localhost"
LAKE_VARIABLE, LICENCE_VARIABLE = "PHONOLAKE_LAKE", "PHONOLAKE_LICENCE"
# Time for Streamlit to close its sessions before it is killed.
GRACE_SECONDS = 2
PR_SET_PDEATHSIG = 1
OPTIONS = (
    "--browser.gatherUsageStats=false",
    "--server.showEmailPrompt=false",
    # Otherwise pages offer to install instructions for coding agents, where it finds one.
    "--logger.hideWelcomeMessage=true",
    "--server.maxUploadSize=30",
    "--server.fileWatcherType=none",
    # Bare expressions are never meant for the page, and looking for them costs time on each page's first opening.
    "--runner.magicEnabled=false",
    "--client.toolbarMode=minimal",
    "--client.showErrorDetails=none",
    # Light or dark as the system has it.
    "--theme.light.primaryColor=#0f766e",
    # White letters stand on it, so links, which stand on the page, have a lighter one.
    "--theme.dark.primaryColor=#0c8579",
    "--theme.dark.linkColor=#2dd4bf",
    "--theme.baseRadius=small",
    '--theme.headingFontSizes=["2rem", "1.5rem", "1.3rem"]',
)


def launch(lake: Place | Path, *, port: int = 8501, headless: bool, licence: str | None = None) -> int:
    """Serve the dashboard of a lake until Ctrl-C.

    Parameters
    ----------
    lake : Place or Path
        The lake.
    port : int
        Port on localhost, 1 to 65535.
    headless : bool
        If False, open the page in a browser.
    licence : str, optional
        Show only models, vectors and predictions under licences of this kind.

    Returns
    -------
    int
        Exit code of the server; 0 when it was ended by Ctrl-C, SIGTERM or SIGHUP.

    Raises
    ------
    UsageError
        If there is no lake, or the port is out of range or taken.
    PhonolakeError
        If the pages are not installed.
    """
    place = Lake.open(lake).place
    check_port(port)
    command = [
        *(sys.executable, str(app().with_name("server.py")), "run", str(app())),
        *(f"--server.address={ADDRESS}", f"--server.port={port}", f"--server.headless={str(headless).lower()}"),
        *OPTIONS,
        "--",
    ]
    say(f"The dashboard of {place} is at http://{ADDRESS}:{port} in a few seconds; Ctrl-C ends it.")
    with _home() as home:
        asked = {LAKE_VARIABLE: str(place), LICENCE_VARIABLE: licence or ""}
        return _serve(command, os.environ | asked | home)


@contextmanager
def _home() -> Iterator[dict[str, str]]:
    """A home folder for the server if the user has none, because Streamlit reads its settings there."""
    if os.path.isdir(os.path.expanduser("~")):
        yield {}
        return
    with TemporaryDirectory() as folder:
        yield {"HOME": folder}


def app() -> Path:
    """The script of the dashboard: inside the installed package, else beside the source root."""
    package = Path(__file__).resolve().parent
    for folder in (package / "dashboard", package.parent.parent / "dashboard"):
        if (folder / "app.py").is_file():
            return folder / "app.py"
    raise PhonolakeError(f"the dashboard's pages are not installed beside {package}: install phonolake again")


def check_port(port: int) -> None:
    """Raise a `UsageError` for an unusable port."""
    if not 1 <= port <= 65535:
        raise UsageError(f"a port lies between 1 and 65535, received {port}")
    for family, kind, protocol, _, address in socket.getaddrinfo(ADDRESS, port, type=socket.SOCK_STREAM):
        with socket.socket(family, kind, protocol) as probe:
            # A port whose last server has just ended is free, although the system still remembers it.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
            except PermissionError as error:
                raise UsageError(f"port {port} needs rights that this user does not have: use --port 8501") from error
            except OSError as error:
                raise UsageError(f"port {port} is in use: name another with --port {_next(port)}") from error


def _next(port: int) -> int:
    return port + 1 if port < 65535 else 8501


def _serve(command: list[str], environment: dict[str, str]) -> int:
    """Run the server, which ends with this process."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {signum: signal.signal(signum, stop) for signum in (signal.SIGTERM, signal.SIGHUP)}
    # The server answers signals by itself, also where this process has them blocked.
    server = subprocess.Popen(command, env=environment, preexec_fn=partial(_belong_to, os.getpid()))
    try:
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        _end(server)
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _belong_to(parent: int) -> None:
    """In the server's process: it answers signals by itself, and ends with its parent however that ends."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def _end(server: subprocess.Popen[bytes]) -> None:
    """End a process that may already be ending: a terminal sends Ctrl-C to both."""
    if server.poll() is not None:
        return
    server.terminate()
    try:
        server.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
