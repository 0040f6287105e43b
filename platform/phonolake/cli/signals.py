"""Signals: SIGINT, SIGTERM and SIGHUP end a command with one line, exit code 128 + their number, and no orphan.

The three are blocked in every thread, and one thread waits for them. So the handlers of libraries are never called
(Ray's prints addresses and aborts), and a main thread deep in C cannot delay the end: it gets an exception, and after
some seconds the process ends without it. The lake survives that like a kill -9.
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
# Interrupts a system call of the main thread, which a blocked signal cannot.
WAKE = signal.SIGUSR1
# Longest time from the signal to the end of the process. `ray job stop` waits as long before it kills.
GRACE_SECONDS = 3.0
# To wait for killed processes.
FAREWELL_SECONDS = 1.5
SAID = "interrupted; the same command goes on where it stopped"
SHOW_CURSOR = "\x1b[?25h\r\n"
# Linux: orphans of our children become our children, so that we can end them all.
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
        Gets a KeyboardInterrupt on a signal, and has `GRACE_SECONDS` to end; its output is then discarded.
    """
    global _over
    # `nohup`, and shells with background jobs, make the process ignore some: respect that.
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
    # From here on a signal comes too late to change anything: the work is done and reported.
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
    """Print the last line and discard the rest: interrupted work fails in many ways that mean nothing."""
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
    """End now, with all children, and without exit handlers of libraries, which were interrupted."""
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
    """Keep the main thread from forking: nobody would end the children that it starts now."""
    if _leaving.is_set() and threading.current_thread() is threading.main_thread():
        threading.Event().wait(FAREWELL_SECONDS)


def _unblock() -> None:
    """Processes of Ray handle signals themselves, except Ctrl-C, which a terminal sends to all."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGHUP))


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
