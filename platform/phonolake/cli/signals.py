"""What ends a command from outside: SIGINT, SIGTERM and SIGHUP give one line, 128 + their number, and no orphan.

The three are blocked in every thread, and one thread waits for them. So the handlers that libraries install are never
called (Ray's prints addresses and aborts), and a main thread that is deep in C cannot put the end off: it is asked to
unwind, and after some seconds the process ends without it. The lake bears that as it bears a kill -9.
"""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Wakes the main thread out of a system call, which a blocked signal cannot.
WAKE = signal.SIGUSR1
# From the signal to the end of the process, however stuck it is. `ray job stop` waits as long before it kills.
GRACE_SECONDS = 3.0
# For killed processes to be gone.
FAREWELL_SECONDS = 1.5
SAID = "interrupted; the same command goes on where it stopped"
SHOW_CURSOR = "\x1b[?25h\r\n"
# Linux: orphans of our children become our children, so that none of them is lost sight of.
PR_SET_CHILD_SUBREAPER = 36

_received: int | None = None
_hurry, _leaving = threading.Event(), threading.Event()
_over: int | None = None
_hooks: list[Callable[[], None]] = []


@contextmanager
def calling(hook: Callable[[], None]) -> Iterator[None]:
    """While the block runs, call `hook` in a thread of its own when a signal comes, such as to interrupt a query."""
    _hooks.append(hook)
    try:
        yield
    finally:
        _hooks.remove(hook)


def guard(work: Callable[[], int]) -> int:
    """Run the work of a process, which does nothing afterwards but end; returns its exit code.

    Parameters
    ----------
    work : callable
        Gets a KeyboardInterrupt when a signal comes, and has `GRACE_SECONDS` to end; nobody hears what it says then.
    """
    global _over
    # `nohup`, and shells that put a job in the background, have the process ignore some: so it does.
    ending = [signum for signum in ENDING if signal.getsignal(signum) is not signal.SIG_IGN]
    signal.signal(WAKE, _unwind)
    # Before any library starts a thread, which would take signals that the main thread blocks.
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    os.register_at_fork(before=_start_nothing_more, after_in_child=_unblock)
    _adopt_orphans()
    threading.Thread(target=_wait, args=[ending], daemon=True).start()
    try:
        code = work()
    except BaseException:
        if _received is None:
            raise
        code = 0
    if _received is not None:
        with suppress(OSError, ValueError, AttributeError):
            sys.stdout.flush()
        _leave(128 + _received)
    # From here on a signal comes too late to change anything: the work is done, and said.
    _over = code
    return code


def _wait(ending: list[signal.Signals]) -> None:
    """The thread that takes the signals."""
    global _received
    signum = signal.sigwait(ending)
    if _over is not None:
        _leave(_over)
    _received = signum
    _say_last_word()
    for hook in tuple(_hooks):
        with suppress(Exception):
            hook()
    signal.pthread_kill(threading.main_thread().ident or 0, WAKE)
    _hurry.wait(GRACE_SECONDS)
    _leave(128 + signum)


def _say_last_word() -> None:
    """Say that the end has come; what is cut short fails in many ways, and none of them is news."""
    with suppress(OSError):
        os.write(2, f"{SHOW_CURSOR if os.isatty(2) else ''}phonolake: {SAID}\n".encode())
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _unwind(signum: int, frame: FrameType | None) -> None:
    """Raise in the main thread, unless it imports: some libraries abort when that fails."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            _hurry.set()
            return
        frame = frame.f_back
    raise KeyboardInterrupt


def _leave(code: int) -> None:
    """End now, with all children, and without what libraries do at exit: they were cut short."""
    import psutil

    _leaving.set()
    # Again until there are none: the main thread may be starting some.
    deadline = time.monotonic() + FAREWELL_SECONDS
    while (children := psutil.Process().children(recursive=True)) and time.monotonic() < deadline:
        for child in children:
            with suppress(psutil.Error):
                child.kill()
        psutil.wait_procs(children, timeout=0.1)
    os._exit(code)


def _start_nothing_more() -> None:
    """Before the main thread forks: what it started behind our back would be left behind."""
    if _leaving.is_set() and threading.current_thread() is threading.main_thread():
        threading.Event().wait(FAREWELL_SECONDS)


def _unblock() -> None:
    """What Ray starts answers signals by itself, apart from Ctrl-C, which a terminal sends to all."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGHUP))


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
