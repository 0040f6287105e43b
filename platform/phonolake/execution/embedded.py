"""Ray: the cluster that RAY_ADDRESS names, or an embedded one that ends with the command."""

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from phonolake.errors import PhonolakeError, UsageError, whole_reason
from phonolake.progress import say

# Restarts or retries after the loss of a worker.
CRASHES = 3
# For Ray's processes to find each other on a busy machine.
PATIENCE_SECONDS = 120
# For Ray's processes to end by themselves after a shutdown.
FAREWELL_SECONDS = 1.0

# The --workers of a command: cores of an embedded Ray, 0 for no Ray.
_workers: int | None = None


@contextmanager
def session() -> Iterator[None]:
    """End everything that a command starts, also on an exception: an embedded Ray, and all its processes."""
    global _workers
    before = _workers
    was_there, present = connected(), set(_children())
    try:
        yield
    finally:
        _workers = before
        if not was_there and "ray" in sys.modules:
            _shut_down(present)


def use(workers: int | None) -> None:
    """Set the cores of an embedded Ray for this session; 0: never use Ray, None: choose by the amount of work."""
    global _workers
    _workers = workers


def workers() -> int | None:
    """The setting of `use`."""
    return _workers


def connected() -> bool:
    """Whether this process has joined a Ray."""
    ray = sys.modules.get("ray")
    return ray is not None and ray.is_initialized()


def connect(*, workers: int | None = None) -> None:
    """Join the cluster that RAY_ADDRESS names, or start an embedded Ray on this machine.

    Parameters
    ----------
    workers : int, optional
        Cores that an embedded Ray may use; all cores of the machine by default.

    Raises
    ------
    PhonolakeError
        When no cluster answers, or an embedded Ray does not start.
    """
    if connected():
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Report the first failure only; those of parallel tasks would follow with their tracebacks.
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    # By default Ray restarts a task that ran out of memory without end.
    os.environ.setdefault("RAY_task_oom_retries", str(CRASHES))
    os.environ.setdefault("RAY_gcs_server_port_wait_time_s", str(PATIENCE_SECONDS))
    # Ray Serve kills its proxy, and with it the service, if a busy machine needs more than 5 s to start it.
    os.environ.setdefault("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", str(PATIENCE_SECONDS))
    if address := os.environ.get("RAY_ADDRESS"):
        say(f"Using the Ray cluster at {address}.")
        _join(address)
    else:
        say("No RAY_ADDRESS: starting an embedded Ray on this machine.")
        _start(workers or _workers or own_cores())
    _hush()


def own_cores() -> int:
    """Cores of this machine, or those that its container may use."""
    count = os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = (int(part) for part in Path("/sys/fs/cgroup/cpu.max").read_text().split())
        count = min(count, max(1, quota // period))
    return count


def _start(cores: int) -> None:
    """Start an embedded Ray; a busy machine gets a second chance."""
    import ray

    present = set(_children())
    for attempt in (1, 2):
        try:
            ray.init(
                address="local",
                num_cpus=cores,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                object_store_memory=256 << 20,
            )
            return
        except Exception as error:  # Ray raises Exception itself, among others
            _shut_down(present)
            if attempt == 2:
                raise PhonolakeError(
                    f"an embedded Ray did not start, twice ({whole_reason(error)}): this machine is busy or has too "
                    "little memory; wait until others are done, or work without Ray (--workers 0)"
                ) from error
            say("Ray did not start in time: trying once more.")


def _join(address: str) -> None:
    if address.startswith(("http://", "https://")):
        raise UsageError(
            f"RAY_ADDRESS is the dashboard's {address!r}: submit a job there with `ray job submit`, "
            "or name Ray itself (HOST:6379)"
        )
    import ray

    host, _, port = address.rpartition(":")
    try:
        # Ray itself waits for minutes without a message if nothing listens there.
        if port.isdigit() and "://" not in address:
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError) as error:
        raise PhonolakeError(
            f"no Ray cluster answers at RAY_ADDRESS={address} ({whole_reason(error)}): start it, or unset RAY_ADDRESS"
        ) from error


def _hush() -> None:
    """Ray prints reports of its nodes on standard output, where the rows of a command belong."""
    import ray._private.worker

    ray._private.worker._worker_logs_enabled = False


def _shut_down(present: set[psutil.Process]) -> None:
    """Shut Ray down, and end its processes here: agents would outlive it by minutes."""
    import ray

    started = set(_children()) - present
    with suppress(Exception):  # half-started, it fails in many ways
        ray.shutdown()
    _, left = psutil.wait_procs((started | set(_children())) - present, timeout=FAREWELL_SECONDS)
    for process in left:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=FAREWELL_SECONDS)


def _children() -> list[psutil.Process]:
    """All processes that descend from this one."""
    return psutil.Process().children(recursive=True)
