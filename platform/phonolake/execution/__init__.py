"""The only place that distributes work: over Ray, or for little work, over processes of this machine.

A crash of a worker is retried, because it says nothing about the work; an exception of the work itself is final and is
raised here. So work functions turn a fault of one recording into a row, and raise only for real failures. Everywhere
the work has as many threads as it requests cores, so that its output is bit-identical.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from glob import glob
from typing import Any, TypeVar

from phonolake import files
from phonolake.errors import PhonolakeError
from phonolake.execution import cluster, embedded, local, worker
from phonolake.execution.cluster import IN_FLIGHT_PER_CPU
from phonolake.execution.embedded import CRASHES, connect, session, use
from phonolake.execution.worker import tick
from phonolake.progress import followed

__all__ = [
    "CRASHES",
    "IN_FLIGHT_PER_CPU",
    "SMALL_SECONDS",
    "all_cores",
    "amap",
    "call",
    "connect",
    "cores",
    "gpus",
    "imap",
    "session",
    "tick",
    "use",
    "watching",
]

Payload = TypeVar("Payload")
Result = TypeVar("Result")

# Less work than this is finished before an embedded Ray has started.
SMALL_SECONDS = 30.0
# Device files of GPUs: without any of these there is no need to ask Ray.
GPU_DEVICES = ("/dev/nvidia[0-9]*", "/dev/dxg", "/dev/kfd")


def cores() -> int:
    """Cores of the largest node: the most that one task can request."""
    if _will_be_embedded():
        return embedded.workers() or embedded.own_cores()
    connect()
    return cluster.cores()


def all_cores() -> int:
    """Cores of the whole cluster."""
    if _will_be_embedded():
        return cores()
    connect()
    return cluster.all_of("CPU") or 1


def gpus() -> int:
    """GPUs of the whole cluster; none without Ray."""
    if embedded.workers() == 0 or (_will_be_embedded() and not _has_gpu()):
        return 0
    connect()
    return cluster.all_of("GPU") or 0


def imap(
    function: Callable[[Payload], Result],
    payloads: Sequence[Payload],
    *,
    cpus: float = 1,
    gpus: int = 0,
    seconds: float | None = None,
    forks: bool = True,
    on_tick: Callable[[int], None] | None = None,
) -> Iterator[tuple[Payload, Result]]:
    """Run `function` over `payloads`, each with `cpus` cores; pairs come as they finish.

    Parameters
    ----------
    cpus : float
        Whole cores, or less than one for tasks that mostly wait.
    gpus : int
        GPUs that each task has to itself.
    seconds : float, optional
        Rough time of one core for all of it: little work needs no Ray.
    forks : bool
        Whether little work may run in forks of this process, in which clients of object storage do not work.
    on_tick : callable, optional
        Called with the number of steps that workers have done (see `tick`): now and then if a person watches or there
        is much work, else with each payload.

    Raises
    ------
    PhonolakeError
        When a task fails for good: its own error, or the loss of its worker more than three times.
    """
    if not payloads:
        return
    if not _here(seconds, gpus):
        connect()
        yield from cluster.imap(function, payloads, cpus=cpus, gpus=gpus, on_tick=on_tick, live=_is_live(seconds))
    elif cpus > 1 or not forks:
        _check_room(cpus)
        yield from local.in_this_process(function, payloads, cpus=cpus, on_tick=on_tick)
    else:
        at_once = int(cores() / cpus)
        yield from local.in_children(lambda: function, payloads, side_by_side=at_once, on_tick=on_tick)


def amap(
    make: Callable[[], Callable[[Payload], Result]],
    payloads: Sequence[Payload],
    *,
    gpus: int = 0,
    seconds: float | None = None,
    forks: bool = True,
    on_tick: Callable[[int], None] | None = None,
) -> Iterator[tuple[Payload, Result]]:
    """Run the function that `make` returns over `payloads`, on actors that call `make` once; pairs come as they finish.

    As many actors as fit, each with a core and `gpus` GPUs. Payloads are handed out in order. The
    other parameters and the errors are those of `imap`.
    """
    if not payloads:
        return
    if not _here(seconds, gpus):
        connect()
        yield from cluster.amap(make, payloads, cpus=1, gpus=gpus, on_tick=on_tick, live=_is_live(seconds))
        return
    if not forks:
        yield from local.in_this_process(make(), payloads, cpus=1, on_tick=on_tick)
        return
    yield from local.in_children(make, payloads, side_by_side=cores(), on_tick=on_tick)


@contextmanager
def watching(on_tick: Callable[[int], None]) -> Iterator[Any]:
    """Watch a ticker while the block runs, for work that others distribute over Ray; the block gets the ticker."""
    connect()
    with cluster.watching(on_tick) as ticker:
        yield ticker


def call(function: Callable[[Payload], Result], payload: Payload, ticker: Any, owner: str) -> Result:
    """Run `function` on a worker started elsewhere, with the ticker of `watching`, for the job `owner`."""
    files.owner.set(owner)
    return worker.call(function, payload, cluster.counting(ticker))


def _is_live(seconds: float | None) -> bool:
    """Whether steps are reported as they are done: on Ray this needs an actor."""
    return followed() or seconds is None or seconds > SMALL_SECONDS


def _here(seconds: float | None, gpus: int) -> bool:
    """Whether work runs without Ray."""
    asked = embedded.workers()
    if asked is not None or gpus:
        return asked == 0
    return _will_be_embedded() and seconds is not None and seconds <= SMALL_SECONDS


def _will_be_embedded() -> bool:
    """Whether Ray, if any, would be embedded and is not started yet."""
    return not embedded.connected() and not os.environ.get("RAY_ADDRESS")


def _check_room(cpus: float) -> None:
    if cpus > cores():
        raise PhonolakeError(f"a task wants {cpus} cores, and no node has more than {cores()}")


def _has_gpu() -> bool:
    return any(glob(pattern) for pattern in GPU_DEVICES)
