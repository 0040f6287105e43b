"""Messages on standard error, and live progress at a terminal."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

Advance = Callable[[int], None]

# Between two lines for those who read a log.
LINE_SECONDS = 30.0
MEGABYTE = 1_000_000

# Whether lines tell of the beginning of every task, where nobody is at the terminal.
_narrated = False


def console() -> "Console":
    """Console for messages and progress: standard error, so that data on standard output stays clean."""
    # Late, here and below: it takes longer to import than a question for neighbours, which says nothing, takes.
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def watched() -> bool:
    """Whether standard error is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


@contextmanager
def narrated() -> Iterator[None]:
    """While the block runs, print the start of every task also without a terminal."""
    global _narrated
    before, _narrated = _narrated, True
    try:
        yield
    finally:
        _narrated = before


def narrates() -> bool:
    """Whether the beginning of every task is told: where `narrated` says so, and in the logs of a cluster's jobs."""
    return _narrated or bool(os.environ.get("RAY_ADDRESS"))


def followed() -> bool:
    """Whether somebody follows every step of a task, which costs some work where they are made elsewhere."""
    return watched() or narrates()


def say(message: str) -> None:
    """Print a one-line message on standard error."""
    console().print(message, markup=False)


@contextmanager
def task(description: str, total: int, *, done: int = 0, in_bytes: bool = False) -> Iterator[Advance]:
    """Show a bar with the time left while the block runs; the block gets a function to call with each step's size.

    Without a terminal it prints a plain line now and then, with the rate and the time left.

    Parameters
    ----------
    done : int
        Steps of `total` that were done before.
    in_bytes : bool
        Whether steps are bytes, which are shown in megabytes.
    """
    if not watched():
        with _lines(description, total, done, MEGABYTE if in_bytes else 1) as advance:
            yield advance
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console()) as bar:
        job = bar.add_task(description, total=total, completed=done)
        yield lambda n: bar.advance(job, n)


@contextmanager
def _lines(description: str, total: int, before: int, size: int) -> Iterator[Advance]:
    begun, over, done, told = time.monotonic(), threading.Event(), before, False

    def advance(n: int) -> None:
        nonlocal done
        done += n

    def tell() -> None:
        nonlocal told
        while not over.wait(LINE_SECONDS):
            told = True
            say(f"{description}: {pace(done, total, time.monotonic() - begun, before=before, size=size)}")

    if narrates():
        earlier = f", {_count(before, size)} done before" if before else ""
        say(f"{description}: {_count(total - before, size)} to do{earlier}")
    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield advance
    finally:
        over.set()
        thread.join()
    if told:
        say(f"{description}: {_count(done, size)} of {_count(total, size)} done, in {span(time.monotonic() - begun)}")


def pace(done: int, total: int, seconds: float, *, before: int = 0, size: int = 1) -> str:
    """How far a task is after some seconds, how fast, and how long it will take at that rate.

    Parameters
    ----------
    before : int
        Steps that were done before it began.
    size : int
        1, or `MEGABYTE` for steps that are bytes.
    """
    said = f"{_count(done, size)} of {_count(total, size)} after {span(seconds)}"
    new = done - before
    if new <= 0 or seconds <= 0:
        return said
    rate = new / seconds
    units = (("a second", 1), ("a minute", 60), ("an hour", 3600))
    unit, times = next(((unit, times) for unit, times in units if rate * times >= size), units[-1])
    return f"{said}, {_count(rate * times, size)} {unit}, {span(max(0, total - done) / rate)} left"


def _count(n: float, size: int) -> str:
    n /= size
    digits = 0 if n >= 10 or n == round(n) else 1
    return f"{n:,.{digits}f}" + (" MB" if size == MEGABYTE else "")


def span(seconds: float) -> str:
    """A time as people say it: ``45 s``, ``3 min 40 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
