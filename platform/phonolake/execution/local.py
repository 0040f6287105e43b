"""Work on this machine without Ray: in forked processes, which start at once, or in this one.

A child processes payloads one after the other like a worker of Ray, because importing libraries takes longer than a
fork: it has the threads of its cores, its crash is retried and an exception of the work is final. Work that needs
several cores runs in this process, because threads of libraries do not survive a fork.
"""

import gc
import multiprocessing
import os
import signal
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from phonolake.errors import PhonolakeError
from phonolake.execution.embedded import CRASHES
from phonolake.execution.worker import call

Payload = TypeVar("Payload")
Result = TypeVar("Result")
OnTick = Callable[[int], None] | None

FORK = multiprocessing.get_context("fork")
# Linux: the child ends with its parent, however that ends.
PR_SET_PDEATHSIG = 1
TICK, DONE, RAISED = "tick", "done", "raised"


def in_children(
    make: Callable[[], Callable[[Payload], Result]],
    payloads: Sequence[Payload],
    *,
    side_by_side: int,
    on_tick: OnTick,
) -> Iterator[tuple[Payload, Result]]:
    """Run the function of `make` over payloads, in some children at once; pairs come as they finish.

    Raises
    ------
    PhonolakeError
        The error of the work, or the loss of a child more than three times.
    """
    todo = deque(range(len(payloads)))
    lost: deque[_Child] = deque()
    running: dict[Connection, _Child] = {}
    try:
        while todo or lost or running:
            while (todo or lost) and len(running) < side_by_side:
                child = lost.popleft() if lost else _Child(make, payloads, todo.popleft(), watched=on_tick is not None)
                running[child.start()] = child
            for connection in wait(list(running)):
                child = running[connection]  # type: ignore[index]
                kind, value = child.receive()
                if kind == TICK and on_tick is not None:
                    on_tick(value)
                elif kind == DONE:
                    done = child.number
                    child.go_on(todo.popleft() if todo and len(running) <= side_by_side else None)
                    yield payloads[done], value
                elif kind == RAISED:
                    error, told = value
                    raise error from WorkError(told)
                elif kind is None:
                    del running[connection]  # type: ignore[arg-type]
                    if child.works:
                        # As a rule memory was short: run fewer at once.
                        side_by_side = max(1, side_by_side // 2)
                        lost.append(child)
    finally:
        for child in running.values():
            child.kill()


def in_this_process(
    function: Callable[[Payload], Result], payloads: Sequence[Payload], *, cpus: float, on_tick: OnTick
) -> Iterator[tuple[Payload, Result]]:
    """Run `function` over `payloads`, one after the other, with this many threads."""
    with _threads(cpus):
        for payload in payloads:
            yield payload, call(function, payload, on_tick)


@contextmanager
def _threads(cpus: float) -> Iterator[None]:
    """As for Ray's workers; as there, a user's setting takes precedence."""
    if "OMP_NUM_THREADS" in os.environ:
        yield
        return
    os.environ["OMP_NUM_THREADS"] = str(max(1, int(cpus)))
    try:
        yield
    finally:
        # A Ray that starts later would pass it on to all its workers.
        del os.environ["OMP_NUM_THREADS"]


class WorkError(Exception):
    """Traceback of an error in a child."""


class _Child:
    """A process that works through payloads, which it has from the fork: only their numbers are sent."""

    def __init__(
        self, make: Callable[[], Callable[[Any], Any]], payloads: Sequence[Any], number: int, *, watched: bool
    ) -> None:
        self.number = number
        self.works = True
        self._make, self._payloads = make, payloads
        self._watched = watched
        self._starts = 0
        self._process: Any = None

    def start(self) -> Connection:
        """Fork, at first or after a crash, which says nothing about the work; returns the connection for reports."""
        if self._starts > CRASHES:
            code = self._process.exitcode or 0
            how = signal.strsignal(-code) if code < 0 else f"exit code {code}"
            raise PhonolakeError(f"a worker was lost {CRASHES + 1} times ({how}): run the same command again")
        self._starts += 1
        self._connection, others_end = FORK.Pipe()
        arguments = (os.getpid(), self._make, self._payloads, self.number, others_end, self._watched)
        self._process = FORK.Process(target=_work, args=arguments, daemon=True)
        self._process.start()
        others_end.close()
        return self._connection

    def go_on(self, number: int | None) -> None:
        """Give it the next payload, or no more; it must have done the last one."""
        self._starts = 1
        self.works = number is not None
        if number is not None:
            self.number = number
        # If it was killed in between, its connection says so.
        with suppress(OSError):
            self._connection.send(number)

    def receive(self) -> tuple[str | None, Any]:
        """The next message of the child; None when it has ended."""
        try:
            kind, value = self._connection.recv()
        except (EOFError, OSError):
            self.kill()
            return None, None
        return kind, value

    def kill(self) -> None:
        """End it, whatever it does."""
        if self.works:
            self._process.kill()
        self._process.join()
        self._connection.close()


def _work(
    parent: int,
    make: Callable[[], Callable[[Any], Any]],
    payloads: Sequence[Any],
    number: int | None,
    connection: Connection,
    watched: bool,
) -> None:
    """The main function of a child."""
    # Do not collect garbage of the parent here: that may wait for threads that did not survive the fork.
    gc.freeze()
    _become_worker(parent)
    on_step = (lambda n: connection.send((TICK, n))) if watched else None
    with _threads(1):
        try:
            function = make()
            while number is not None:
                connection.send((DONE, call(function, payloads[number], on_step)))
                number = connection.recv()
        except Exception as error:
            _send_error(connection, error)
    # Exit at once: locks that other threads held at the fork, such as that of a stream, are never freed.
    os._exit(0)


def _send_error(connection: Connection, error: Exception) -> None:
    told = traceback.format_exc()
    try:
        connection.send((RAISED, (error, told)))
    except Exception:  # some errors cannot be pickled
        connection.send((RAISED, (PhonolakeError(f"{type(error).__name__}: {error}"), told)))


def _become_worker(parent: int) -> None:
    """Only the parent handles signals and prints messages; this process ends with it."""
    if sys.platform == "linux":
        import ctypes

        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
    for signum in (signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Decoders write warnings there; Ray puts them into a file.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for standard in (1, 2):
        os.dup2(nowhere, standard)
