"""The command line as a process of its own, and what it leaves behind."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

PROGRAM = (sys.executable, "-m", "phonolake.cli.main")
PR_SET_PDEATHSIG = 1
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def start(words: Sequence[object], **options: object) -> subprocess.Popen[str]:
    """Start a command in a session of its own, where no signal is ignored."""
    return subprocess.Popen(
        [*PROGRAM, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_listen,
        **{"env": {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}} | options,  # type: ignore[arg-type]
    )


def _listen() -> None:
    for signum in ENDING:
        signal.signal(signum, signal.SIG_DFL)
    end_with_the_tests()


def end_with_the_tests() -> None:
    """In a process that tests start, before its program: a signal ends it when they are killed, or time out."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str], seconds: float = 60) -> None:
    """Wait until a condition holds while a process runs."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def guarded(process: subprocess.Popen[str]) -> bool:
    """Whether the process has begun to look after its signals."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    blocked = int(next(line for line in status.splitlines() if line.startswith("SigBlk")).split()[1], 16)
    return bool(blocked >> (signal.SIGTERM - 1) & 1)


def left_behind(session: int, seconds: float = 5) -> list[psutil.Process]:
    """Processes of a session that are still there after so many seconds."""
    deadline = time.monotonic() + seconds
    while (left := [p for p in psutil.process_iter() if _belongs(p, session)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def _belongs(process: psutil.Process, session: int) -> bool:
    try:
        return os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, psutil.Error):
        return False
