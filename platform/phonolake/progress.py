"""Messages for everyone on standard error, and live progress for people at a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

Advance = Callable[[int], None]


def console() -> Console:
    """Console for messages and progress: standard error, so that data on standard output stays clean."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def watched() -> bool:
    """Whether a person is at the terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


def say(message: str) -> None:
    """Tell whoever reads standard error what happens, on one line."""
    console().print(message, markup=False)


@contextmanager
def task(description: str, total: int) -> Iterator[Advance]:
    """Show a bar with the time left while the block runs; the block calls what it is given with each step's size."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(), disable=not watched()) as bar:
        job = bar.add_task(description, total=total)
        yield lambda n: bar.advance(job, n)
