"""The only place that maps work over Ray.

A crash of a worker is retried, since it says nothing of the work; an exception of the work itself is final and is
raised here. Work functions therefore turn what is wrong with one recording into a row, and let only real failures out.
"""

import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from phonolake import files
from phonolake.errors import PhonolakeError, UsageError
from phonolake.progress import say, watched

Payload = TypeVar("Payload")
Result = TypeVar("Result")

CRASHES = 3
IN_FLIGHT_PER_CPU = 4
GLANCE_SECONDS = 0.5


def connect(*, workers: int | None = None) -> None:
    """Join the cluster that RAY_ADDRESS names, or start an embedded Ray on this machine.

    Parameters
    ----------
    workers : int, optional
        Cores that an embedded Ray may use; all of the machine's by default.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # The first failure is told; those of the tasks beside it would follow with their tracebacks.
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    # By itself Ray starts a task that ran out of memory again and again, without end.
    os.environ.setdefault("RAY_task_oom_retries", str(CRASHES))
    import ray  # imported late: a second of start-up that `phonolake sql` need not pay

    if ray.is_initialized():
        return
    if address := os.environ.get("RAY_ADDRESS"):
        say(f"Using the Ray cluster at {address}.")
        _join(address)
        return
    say("No RAY_ADDRESS: starting an embedded Ray on this machine.")
    ray.init(
        address="local",
        num_cpus=workers,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=256 << 20,
    )
    _hush()


def _join(address: str) -> None:
    import ray

    if address.startswith(("http://", "https://")):
        raise UsageError(
            f"RAY_ADDRESS is the dashboard's {address!r}: submit a job there with `ray job submit`, "
            "or name Ray itself (HOST:6379)"
        )
    host, _, port = address.rpartition(":")
    try:
        # Ray itself waits for minutes, and says nothing, where nobody listens.
        if port.isdigit() and "://" not in address:
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError) as error:
        raise PhonolakeError(
            f"no Ray cluster answers at RAY_ADDRESS={address} ({error}): start it, or unset RAY_ADDRESS"
        ) from error
    _hush()


def _hush() -> None:
    """Ray prints what its nodes report to standard output, where the rows of a command belong."""
    import ray._private.worker

    ray._private.worker._worker_logs_enabled = False


def cores() -> int:
    """Cores of the largest node: what one task can ask for."""
    import ray

    connect()
    alive = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    return max([1, *alive])  # a cluster that is scaled to zero will grow


def all_cores() -> int:
    """Cores of the whole cluster."""
    import ray

    connect()
    return int(ray.cluster_resources().get("CPU", 1))


def gpus() -> int:
    """GPUs of the whole cluster."""
    import ray

    connect()
    return int(ray.cluster_resources().get("GPU", 0))


def tick(n: int = 1) -> None:
    """Say that `n` more steps are done; for work functions, and without effect where nobody watches."""
    if _ticker is not None:
        # A ticker that is gone is told nothing: Ray raises where the answer is asked for, and nobody does.
        _ticker.add.remote(n)


def imap(
    function: Callable[[Payload], Result],
    payloads: Sequence[Payload],
    *,
    cpus: float = 1,
    gpus: int = 0,
    on_tick: Callable[[int], None] | None = None,
) -> Iterator[tuple[Payload, Result]]:
    """Run `function` over `payloads` on the cluster, each in a task with `cpus` cores; pairs come as they finish.

    Parameters
    ----------
    cpus : float
        Whole cores, or less than one for tasks that mostly wait.
    gpus : int
        GPUs that each task has to itself.
    on_tick : callable, optional
        Told now and then how many steps the workers have done since (see `tick`), if somebody is at the terminal.

    Raises
    ------
    PhonolakeError
        When a task fails for good: what it raised, or the loss of its worker more than three times.
    """
    if not payloads:
        return
    import ray

    connect()
    watch = _Watch(on_tick) if on_tick is not None and watched() else None
    task: Any = ray.remote(call).options(num_cpus=cpus, num_gpus=gpus, max_retries=CRASHES, retry_exceptions=False)
    window = max(2, int(ray.cluster_resources().get("CPU", 1) / min(cpus, 1)) * IN_FLIGHT_PER_CPU)
    if cpus > cores():
        raise PhonolakeError(f"a task wants {cpus} cores, and no node has more than {cores()}")
    running: dict[Any, Any] = {}
    try:
        for payload in payloads:
            running[task.remote(function, payload, watch and watch.ticker, files.owner.get())] = payload
            if len(running) >= window:
                yield _finish(running, watch)
        while running:
            yield _finish(running, watch)
    finally:
        # After an error, and when the caller stops half-way.
        if running and ray.is_initialized():
            for reference in running:
                ray.cancel(reference)


def amap(
    make: Callable[[], Callable[[Payload], Result]],
    payloads: Sequence[Payload],
    *,
    cpus: int = 1,
    gpus: int = 0,
    on_tick: Callable[[int], None] | None = None,
) -> Iterator[tuple[Payload, Result]]:
    """Run what `make` makes over `payloads`, on actors that make it once and keep it; pairs come as they finish.

    As many actors as the cluster has room for, each with `cpus` cores and `gpus` GPUs. Payloads are handed out in
    their order. The other parameters and the errors are those of `imap`.
    """
    if not payloads:
        return
    import ray

    connect()
    watch = _Watch(on_tick) if on_tick is not None and watched() else None
    actor: Any = ray.remote(_Actor).options(
        num_cpus=cpus, num_gpus=gpus, max_restarts=CRASHES, max_task_retries=CRASHES
    )
    room = ray.cluster_resources()
    places = [int(room.get("CPU", 1)) // cpus] + ([int(room.get("GPU", 0)) // gpus] if gpus else [])
    actors = [
        actor.remote(make, watch and watch.ticker, files.owner.get())
        for _ in range(max(1, min(*places, len(payloads))))
    ]
    running: dict[Any, tuple[Payload, Any]] = {}
    # Two payloads each: the next one lies ready when one is done.
    free = actors * 2
    try:
        for payload in payloads:
            if not free:
                (done, idle), result = _finish(running, watch)
                free.append(idle)
                yield done, result
            worker = free.pop(0)
            running[worker.work.remote(payload)] = payload, worker
        while running:
            (done, _), result = _finish(running, watch)
            yield done, result
    finally:
        if ray.is_initialized():
            for worker in actors:
                ray.kill(worker)


@contextmanager
def watching(on_tick: Callable[[int], None]) -> Iterator[Any]:
    """Look at a ticker while the block runs, for work that others map; give the block the ticker, to hand to `call`."""
    connect()
    if not watched():
        yield None
        return
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


# The actor that counts steps, in a worker that runs a watched task.
_ticker: Any = None


def call(function: Callable[[Payload], Result], payload: Payload, ticker: Any, owner: str = "") -> Result:
    """Run `function` on a worker, where `tick` then counts on this ticker and unfinished files belong to this job."""
    global _ticker
    _ticker = ticker
    files.owner.set(owner)
    _take_threads()
    return function(payload)


def _take_threads() -> None:
    """Let PyTorch have as many threads as the task has cores: the last bits of sums depend on it.

    It reads what Ray tells it once, when it is imported, and so keeps the number of the worker's first task.
    """
    torch = sys.modules.get("torch")
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if torch is not None and threads.isdigit():
        torch.set_num_threads(int(threads))


class _Actor:
    """A worker that keeps what it has made, such as a model that was loaded."""

    def __init__(self, make: Callable[[], Callable[[Any], Any]], ticker: Any, owner: str) -> None:
        self._make = make
        self._ticker = ticker
        self._owner = owner
        self._function: Callable[[Any], Any] | None = None

    def work(self, payload: Any) -> Any:
        if self._function is None:
            self._function = self._make()
        return call(self._function, payload, self._ticker, self._owner)


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

        # Beside the driver: no other node takes the progress with it.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self.ticker: Any = ray.remote(_Ticker).options(num_cpus=0, scheduling_strategy=here).remote()
        self._on_tick = on_tick
        self._seen = 0

    def look(self) -> None:
        import ray

        try:
            n: int = ray.get(self.ticker.read.remote())
        except ray.exceptions.RayError:
            return  # its node is gone: the bar stands still, the work goes on
        self._on_tick(n - self._seen)
        self._seen = n


def _finish(running: dict[Any, Any], watch: _Watch | None) -> tuple[Any, Any]:
    """Wait for one task, take it off `running` and return what stood there and its result."""
    import ray

    ready: list[Any] = []
    while not ready:
        ready, _ = ray.wait(list(running), num_returns=1, timeout=None if watch is None else GLANCE_SECONDS)
        if watch is not None:
            watch.look()
    payload = running.pop(ready[0])
    try:
        return payload, ray.get(ready[0])
    except ray.exceptions.RayTaskError as error:
        raise error.cause if isinstance(error.cause, Exception) else PhonolakeError(str(error)) from error
    except ray.exceptions.RayError as error:
        raise PhonolakeError(_why(error)) from error


def _why(error: Exception) -> str:
    from ray.exceptions import ActorDiedError, NodeDiedError, OutOfMemoryError, WorkerCrashedError

    reason = str(error).strip().splitlines()[0]
    if isinstance(error, OutOfMemoryError):
        return f"a worker ran out of memory {CRASHES + 1} times ({reason}): free some, or give Ray fewer cores"
    if isinstance(error, WorkerCrashedError | NodeDiedError | ActorDiedError):
        return f"a worker was lost {CRASHES + 1} times ({reason}): run the same command again"
    return f"Ray could not finish the work ({reason}): run the same command again"
