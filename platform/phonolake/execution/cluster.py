"""Work distributed over Ray: tasks for payloads, or actors that keep their state.

A crash of a worker is retried, because it says nothing about the work; an exception of the work itself is final and is
raised here.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from phonolake import files
from phonolake.errors import PhonolakeError, whole_reason
from phonolake.execution.embedded import CRASHES
from phonolake.execution.worker import call

Payload = TypeVar("Payload")
Result = TypeVar("Result")

IN_FLIGHT_PER_CPU = 4
GLANCE_SECONDS = 0.5
# Code that catches every exception, such as a finaliser, swallows an interrupt, and a Ray that a script started in the
# background ignores all. So many are sent, at this interval; the last kills the worker.
INTERRUPTS, INTERRUPT_SECONDS = 5, 1.0
# Interval of checks of the cluster's head, and how long it may be silent. Ray itself gives up after 60.
PULSE_SECONDS, SILENCE_SECONDS = 5.0, 40.0


def cores() -> int:
    """Cores of the largest node: the most that one task can request."""
    import ray

    alive = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    return max([1, *alive])  # a cluster that is scaled to zero will grow


def all_of(resource: str) -> int | None:
    """Amount of a resource, such as ``CPU``, in the whole cluster."""
    import ray

    found = ray.cluster_resources().get(resource)
    return None if found is None else int(found)


def imap(
    function: Callable[[Payload], Result],
    payloads: Sequence[Payload],
    *,
    cpus: float,
    gpus: int,
    on_tick: Callable[[int], None] | None,
    live: bool,
) -> Iterator[tuple[Payload, Result]]:
    """As `phonolake.execution.imap`; `live`: tell of steps as they are done, and not with their payloads."""
    import ray

    watch = _Watch(on_tick) if on_tick is not None and live else None
    # Tasks are restarted here and not by Ray: with less in parallel.
    task: Any = ray.remote(_task)
    if cpus > cores():
        raise PhonolakeError(f"a task wants {cpus} cores, and no node has more than {cores()}")
    running: dict[Any, _Begun] = {}
    window = _window(cpus)

    def begin(begun: _Begun) -> None:
        kept = min(cores(), begun.cpus) if begun.losses else cpus
        # Ray gives a task the threads of its cores; a user's setting takes precedence.
        threads = None if kept == cpus or "OMP_NUM_THREADS" in os.environ else str(max(1, int(cpus)))
        arguments = (function, begun.payload, watch and watch.ticker, files.owner.get(), threads)
        wanted = task.options(num_cpus=kept, num_gpus=gpus, max_retries=0, retry_exceptions=False)
        running[wanted.remote(*arguments)] = begun

    def finish() -> Iterator[tuple[Payload, Result]]:
        try:
            begun, result = _finish(running, watch, on_tick)
        except _LostError as error:
            begin(error.begun.again(error))
        else:
            yield begun.payload, result

    try:
        for payload in payloads:
            begin(_Begun(payload, cpus))
            if len(running) >= window:
                # An autoscaling cluster may have grown: check its size again.
                window = _window(cpus)
            if len(running) >= window:
                yield from finish()
        while running:
            yield from finish()
        if watch is not None:
            watch.settle()
    finally:
        # After an error, and when the caller stops half-way.
        if running and ray.is_initialized():
            _call_off(list(running))


def _call_off(references: list[Any]) -> None:
    """Interrupt work that nobody waits for, and see to it, aside, that it ends: else it would keep its cores."""
    import ray

    def interrupt(*, force: bool = False) -> None:
        for reference in references:
            ray.cancel(reference, force=force)

    def insist() -> None:
        nonlocal references
        # The cluster may be left or gone meanwhile, and all of the work with it.
        with suppress(Exception):
            for turn in range(INTERRUPTS):
                _, references = ray.wait(references, num_returns=len(references), timeout=INTERRUPT_SECONDS)
                if not references:
                    return
                interrupt(force=turn == INTERRUPTS - 1)

    interrupt()
    threading.Thread(target=insist, daemon=True).start()


@dataclass(frozen=True, slots=True)
class _Begun:
    """A running task: its payload, the cores that it reserves, and how often its worker was lost."""

    payload: Any
    cpus: float
    losses: int = 0

    def again(self, lost: "_LostError") -> "_Begun":
        """The same after a loss: as a rule memory was short, so it reserves twice as many cores."""
        if self.losses == CRASHES:
            raise PhonolakeError(_why(lost.reason)) from lost.reason
        return _Begun(self.payload, self.cpus * (1 if lost.is_of_node else 2), self.losses + 1)


class _LostError(Exception):
    """The worker of a task was lost, which says nothing about the work."""

    def __init__(self, begun: Any, reason: Exception) -> None:
        import ray

        super().__init__(str(reason))
        self.begun, self.reason = begun, reason
        self.is_of_node = isinstance(reason, ray.exceptions.NodeDiedError)


def _window(cpus: float) -> int:
    """How many tasks may wait or run at once."""
    return max(2, int((all_of("CPU") or 1) / min(cpus, 1)) * IN_FLIGHT_PER_CPU)


def amap(
    make: Callable[[], Callable[[Payload], Result]],
    payloads: Sequence[Payload],
    *,
    cpus: int,
    gpus: int,
    on_tick: Callable[[int], None] | None,
    live: bool,
) -> Iterator[tuple[Payload, Result]]:
    """As `phonolake.execution.amap`; `live`: tell of steps as they are done, and not with their payloads."""
    import ray

    watch = _Watch(on_tick) if on_tick is not None and live else None
    actor: Any = ray.remote(_Actor).options(
        num_cpus=cpus, num_gpus=gpus, max_restarts=CRASHES, max_task_retries=CRASHES
    )
    room = ray.cluster_resources()
    places = [int(room.get("CPU", 1)) // cpus] + ([int(room.get("GPU", 0)) // gpus] if gpus else [])
    actors = [actor.remote(make, files.owner.get()) for _ in range(max(1, min(*places, len(payloads))))]
    running: dict[Any, tuple[Payload, Any]] = {}
    # Two payloads each: the next one is ready when one is done.
    free = actors * 2
    try:
        for payload in payloads:
            if not free:
                (done, idle), result = _finish(running, watch, on_tick)
                free.append(idle)
                yield done, result
            worker = free.pop(0)
            running[worker.work.remote(payload, watch and watch.ticker)] = payload, worker
        while running:
            (done, _), result = _finish(running, watch, on_tick)
            yield done, result
        if watch is not None:
            watch.settle()
    finally:
        if ray.is_initialized():
            for worker in actors:
                ray.kill(worker)


@contextmanager
def watching(on_tick: Callable[[int], None]) -> Iterator[Any]:
    """As `phonolake.execution.watching`."""
    watch, over = _Watch(on_tick), threading.Event()

    def look() -> None:
        while not over.wait(GLANCE_SECONDS):
            watch.look()

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield watch.ticker
    finally:
        over.set()
        thread.join()


def counting(ticker: Any) -> Callable[[int], None] | None:
    """A function that reports steps to a ticker."""
    return None if ticker is None else ticker.add.remote


def _task(
    function: Callable[[Payload], Result], payload: Payload, ticker: Any, owner: str, threads: str | None = None
) -> tuple[Result, int]:
    """The result and its number of steps; a ticker, if any, gets them meanwhile."""
    files.owner.set(owner)
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = threads
    tell = counting(ticker)
    steps: list[int] = []

    def step(n: int) -> None:
        steps.append(n)
        if tell is not None:
            tell(n)

    return call(function, payload, step), sum(steps)


class _Actor:
    """A worker that keeps its state, such as a loaded model."""

    def __init__(self, make: Callable[[], Callable[[Any], Any]], owner: str) -> None:
        self._make = make
        self._owner = owner
        self._function: Callable[[Any], Any] | None = None

    def work(self, payload: Any, ticker: Any) -> tuple[Any, int]:
        # With each payload: Ray may report that a handle from the actor's constructor is gone.
        if self._function is None:
            self._function = self._make()
        return _task(self._function, payload, ticker, self._owner)


class _Ticker:
    """Counts the steps of all workers; lives on the cluster as an actor."""

    def __init__(self) -> None:
        self.n = 0

    def add(self, n: int) -> None:
        self.n += n

    def read(self) -> int:
        return self.n


class _Watch:
    """The driver's side of the ticker."""

    def __init__(self, on_tick: Callable[[int], None]) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        # On the driver's node: the loss of another node does not lose the progress.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self.ticker: Any = ray.remote(_Ticker).options(num_cpus=0, scheduling_strategy=here).remote()
        self._on_tick = on_tick
        self._seen = 0
        # Steps of finished payloads.
        self.finished = 0

    def look(self) -> None:
        import ray

        try:
            n: int = ray.get(self.ticker.read.remote(), timeout=PULSE_SECONDS)
        except ray.exceptions.RayError:
            return  # it or the cluster's head is lost: the bar stops, the work continues
        self._on_tick(n - self._seen)
        self._seen = n

    def settle(self) -> None:
        """Report steps that the ticker did not get before the work was over."""
        if self.finished > self._seen:
            self._on_tick(self.finished - self._seen)
            self._seen = self.finished


def _finish(running: dict[Any, Any], watch: _Watch | None, on_tick: Callable[[int], None] | None) -> tuple[Any, Any]:
    """Wait for the next payload, and return it with its result."""
    import ray

    ready: list[Any] = []
    pulse = _Pulse()
    while not ready:
        ready, _ = ray.wait(list(running), num_returns=1, timeout=PULSE_SECONDS if watch is None else GLANCE_SECONDS)
        if watch is not None:
            watch.look()
        pulse.check()
    payload = running.pop(ready[0])
    try:
        result, steps = ray.get(ready[0])
    except ray.exceptions.RayTaskError as error:
        raise error.cause if isinstance(error.cause, Exception) else PhonolakeError(str(error)) from error
    except ray.exceptions.RayError as error:
        losses = (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError, ray.exceptions.NodeDiedError)
        if isinstance(payload, _Begun) and isinstance(error, losses):
            raise _LostError(payload, error) from error
        raise PhonolakeError(_why(error)) from error
    if watch is not None:
        watch.finished += steps
    elif on_tick is not None and steps:
        on_tick(steps)
    return payload, result


class _Pulse:
    """Whether the head of the cluster answers. Otherwise Ray ends this process after a minute with its own message."""

    def __init__(self) -> None:
        import ray

        # A driver that is connected through a proxy does not know the address.
        self._address: str | None = getattr(ray.get_runtime_context(), "gcs_address", None)
        self._looked = self._heard = time.monotonic()

    def check(self) -> None:
        """Raise a `PhonolakeError` when it has not answered for `SILENCE_SECONDS`."""
        now = time.monotonic()
        if self._address is None or now - self._looked < PULSE_SECONDS:
            return
        self._looked = now
        host, _, port = self._address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=PULSE_SECONDS).close()
        except OSError as error:
            if now - self._heard > SILENCE_SECONDS:
                raise PhonolakeError(
                    f"the head of the Ray cluster at {self._address} is gone ({error}): start it again, and run the "
                    "same command again; finished shards are kept"
                ) from error
        else:
            self._heard = now


def _why(error: Exception) -> str:
    """Why Ray could not finish the work, with its whole reason, on one line."""
    from ray.exceptions import ActorDiedError, NodeDiedError, OutOfMemoryError, RuntimeEnvSetupError, WorkerCrashedError

    reason = whole_reason(error)
    if isinstance(error, RuntimeEnvSetupError):
        return f"the workers' environment could not be made ({reason}): fix the job's --runtime-env"
    if isinstance(error, OutOfMemoryError):
        return f"a worker ran out of memory {CRASHES + 1} times ({reason}): free some, or give Ray fewer cores"
    if isinstance(error, WorkerCrashedError | NodeDiedError | ActorDiedError):
        return f"a worker was lost {CRASHES + 1} times ({reason}): run the same command again"
    return f"Ray could not finish the work ({reason}): run the same command again"
