"""Messages for everyone on standard error, and live progress for people at a terminal."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

Advance = Callable[[int], None]

# Between two lines for those who read a log.
LINE_SECONDS = 30.0

# Whether lines tell of every stage and count its steps, where nobody is at the terminal.
_narrated = False


def console() -> Console:
    """Console for messages and progress: standard error, so that data on standard output stays clean."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def watched() -> bool:
    """Whether a person is at the terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


@contextmanager
def narrated() -> Iterator[None]:
    """While the block runs, tell of the beginning of every task, and count its steps, also where nobody watches."""
    global _narrated
    before, _narrated = _narrated, True
    try:
        yield
    finally:
        _narrated = before


def counted() -> bool:
    """Whether somebody follows the steps of a task, which costs some work where they are made elsewhere."""
    return watched() or _narrated


def say(message: str) -> None:
    """Tell whoever reads standard error what happens, on one line."""
    console().print(message, markup=False)


@contextmanager
def task(description: str, total: int) -> Iterator[Advance]:
    """Show a bar with the time left while the block runs; the block calls what it is given with each step's size.

    Where nobody is at the terminal it is a plain line now and then.
    """
    if not watched():
        with _lines(description, total) as advance:
            yield advance
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console()) as bar:
        job = bar.add_task(description, total=total)
        yield lambda n: bar.advance(job, n)


@contextmanager
def _lines(description: str, total: int) -> Iterator[Advance]:
    begun, over, done = time.monotonic(), threading.Event(), 0

    def advance(n: int) -> None:
        nonlocal done
        done += n

    def tell() -> None:
        while not over.wait(LINE_SECONDS):
            count = f"{done} of {total}, " if counted() else ""
            say(f"{description}: {count}{time.monotonic() - begun:.0f} s")

    if _narrated:
        say(f"{description}: {total} to do")
    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield advance
    finally:
        over.set()
        thread.join()
