"""The only place that maps work over Ray.

A crash of a worker is retried, since it says nothing of the work; an exception of the work itself is final and is
raised here. Work functions therefore turn what is wrong with one recording into a row, and let only real failures out.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from phonolake.errors import PhonolakeError
from phonolake.progress import say

Payload = TypeVar("Payload")
Result = TypeVar("Result")

CRASHES = 3
IN_FLIGHT_PER_CPU = 4


def connect(*, workers: int | None = None) -> None:
    """Join the cluster that RAY_ADDRESS names, or start an embedded Ray on this machine.

    Parameters
    ----------
    workers : int, optional
        Cores that an embedded Ray may use; all of the machine's by default.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray  # imported late: a second of start-up that `phonolake sql` need not pay

    if ray.is_initialized():
        return
    if address := os.environ.get("RAY_ADDRESS"):
        say(f"Using the Ray cluster at {address}.")
        ray.init(address=address, log_to_driver=False)
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


def cores() -> int:
    """Cores of the largest node: what one task can ask for."""
    import ray

    connect()
    return max(int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"])


def imap(
    function: Callable[[Payload], Result], payloads: Sequence[Payload], *, cpus: int = 1
) -> Iterator[tuple[Payload, Result]]:
    """Run `function` over `payloads` on the cluster, each in a task with `cpus` cores; pairs come as they finish.

    Raises
    ------
    PhonolakeError
        When a task fails for good: what it raised, or the loss of its worker more than three times.
    """
    if not payloads:
        return
    import ray

    connect()
    task = ray.remote(function).options(num_cpus=cpus, max_retries=CRASHES, retry_exceptions=False)
    window = max(2, int(ray.cluster_resources().get("CPU", 1)) * IN_FLIGHT_PER_CPU)
    waiting, running = iter(payloads), {}
    for payload in waiting:
        running[task.remote(payload)] = payload
        if len(running) >= window:
            yield _finish(running)
    while running:
        yield _finish(running)


def _finish(running: dict) -> tuple:
    """Wait for one task, take it off `running` and return its payload and result."""
    import ray

    (done, *_), _ = ray.wait(list(running), num_returns=1)
    payload = running.pop(done)
    try:
        return payload, ray.get(done)
    except ray.exceptions.RayTaskError as error:
        _cancel(running)
        raise error.cause if isinstance(error.cause, Exception) else PhonolakeError(str(error)) from error
    except ray.exceptions.RayError as error:
        _cancel(running)
        reason = str(error).strip().splitlines()[0]
        raise PhonolakeError(f"a worker was lost {CRASHES + 1} times ({reason}): run the same command again") from error


def _cancel(running: dict) -> None:
    import ray

    for reference in running:
        ray.cancel(reference)
    running.clear()
