"""The service on Ray Serve: a gateway that speaks HTTP, and replicas that each keep the lake open.

If a replica is lost while it answers, the gateway repeats the request on another one, because requests change nothing.
The gateway counts the requests that it holds and refuses those beyond the queue with 503. It is the bottleneck, so the
requests that wait before it in Ray's proxy have a limit too.
"""

import asyncio
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from phonolake import execution
from phonolake.errors import PhonolakeError, UsageError, whole_reason
from phonolake.serve.answers import LakeAnswers, ServiceAnswer, ServiceConfig
from phonolake.serve.partitions import RayPartitions
from phonolake.store.lake import Lake

APP = "phonolake"
# Requests that a replica handles at once: some wait for the disk, or for a process that decodes.
AT_ONCE = 4
# Requests that the gateway refuses at once.
REFUSED_AT_ONCE = 32
REQUEST_SECONDS = 120.0
# Between two checks whether the service still runs.
GLANCE_SECONDS = 5.0


class AnsweringReplica:
    """A process that answers."""

    def __init__(self, config: ServiceConfig, gpus: float) -> None:
        partitions = RayPartitions(config.lake, config.partitions, gpus) if config.partitions > 1 else None
        self._lake = LakeAnswers(config, partitions)

    async def answer(self, what: str, asked: dict[str, Any]) -> ServiceAnswer:
        """As `LakeAnswers.answer`."""
        return await asyncio.to_thread(self._lake.answer, what, asked)


class Gateway:
    """Speaks HTTP, and passes requests to replicas."""

    def __init__(self, replicas: Any, config: ServiceConfig) -> None:
        self._replicas, self._config = replicas, config
        self._held = 0

    def __serve_build_asgi_app__(self) -> Any:
        from phonolake.serve.routes import application

        return application(self._ask, self._config)

    async def _ask(self, what: str, asked: dict[str, Any]) -> ServiceAnswer:
        if self._held >= _room(self._config):
            return ServiceAnswer(503, {"detail": f"{self._config.queue} requests wait already: try again later"})
        self._held += 1
        try:
            return await self._answer(what, asked)
        finally:
            self._held -= 1

    async def _answer(self, what: str, asked: dict[str, Any]) -> ServiceAnswer:
        from ray.exceptions import RayActorError
        from ray.serve.exceptions import ReplicaUnavailableError

        reason = ""
        for _ in range(execution.CRASHES + 1):
            try:
                answer: ServiceAnswer = await self._replicas.answer.remote(what, asked)
                return answer
            except (RayActorError, ReplicaUnavailableError) as error:
                reason = type(error).__name__
        return ServiceAnswer(
            500, {"detail": f"{execution.CRASHES + 1} replicas were lost during this request ({reason})"}
        )


def _room(config: ServiceConfig) -> int:
    """Requests that may be answered or wait."""
    return config.queue + AT_ONCE * config.replicas


def check() -> None:
    """Raise a `PhonolakeError` where Ray Serve is not installed."""
    try:
        import fastapi  # noqa: F401
        import grpc_reflection  # noqa: F401
    except ImportError as error:
        raise PhonolakeError(
            f"Ray Serve is not installed ({error.name} is missing): `pip install phonolake[serve]`"
        ) from error


@contextmanager
def serving(config: ServiceConfig, *, host: str, port: int) -> Iterator[None]:
    """Run the service while the block runs.

    Raises
    ------
    UsageError
        If there is no lake, or there are more replicas and partitions than Ray has cores.
    PhonolakeError
        When Ray Serve is not installed, or does not start.
    """
    check()
    Lake.open(config.lake)
    execution.connect()
    _check_cores(config)
    from ray import serve

    # Its log on standard error says nothing useful: it answers, or it does not start.
    logging.getLogger("ray.serve").setLevel(logging.ERROR)

    ended = False
    quiet = {"log_level": "ERROR", "enable_access_log": False}
    options = {"host": host, "port": port, "request_timeout_s": REQUEST_SECONDS}
    try:
        try:
            serve.start(proxy_location="HeadOnly", http_options=options, logging_config=quiet)
            serve.run(_application(config), name=APP, route_prefix="/", logging_config=quiet)
        except RuntimeError as error:
            raise PhonolakeError(f"Ray Serve did not start ({whole_reason(error)})") from error
        yield
    except KeyboardInterrupt:
        # A Ray of our own ends with the command, and faster.
        ended = True
        raise
    finally:
        if os.environ.get("RAY_ADDRESS"):
            # Others may serve on the same cluster.
            serve.delete(APP)
        elif not ended:
            serve.shutdown()


def _check_cores(config: ServiceConfig) -> None:
    there, partitions = execution.all_cores(), config.partitions if config.partitions > 1 else 0
    if config.replicas * (1 + partitions) > there:
        own = f"each replica and each of its {partitions} partitions" if partitions else "each replica"
        raise UsageError(f"{own} has a core, and Ray has {there}; received {config.replicas} replicas")


def _application(config: ServiceConfig) -> Any:
    from ray import serve

    # Of a GPU, for each process that searches; Ray knows parts of a ten-thousandth.
    gpus = min(1.0, execution.gpus() * 10_000 // (config.replicas * config.partitions) / 10_000)
    replica: Any = serve.deployment(
        AnsweringReplica,
        name="answers",
        num_replicas=config.replicas,
        max_ongoing_requests=AT_ONCE,
        ray_actor_options={"num_cpus": 1, "num_gpus": gpus if config.partitions == 1 else 0},
        health_check_period_s=GLANCE_SECONDS,
    )
    gateway: Any = serve.deployment(
        serve.ingress()(Gateway),
        name="gateway",
        max_ongoing_requests=_room(config) + REFUSED_AT_ONCE,
        # Of the proxy. All of a burst that the queue has room for wait there for a moment.
        max_queued_requests=_room(config),
        ray_actor_options={"num_cpus": 0},
    )
    return gateway.bind(replica.bind(config, gpus), config)


def wait() -> None:
    """Wait until the process or the service ends.

    Raises
    ------
    PhonolakeError
        When the service is gone.
    """
    from ray import serve
    from ray.exceptions import RayError

    while True:
        time.sleep(GLANCE_SECONDS)
        try:
            applications = serve.status().applications
        except RayError as error:
            raise PhonolakeError(f"Ray has ended, and the service with it ({error})") from error
        if APP not in applications:
            raise PhonolakeError("the service was ended from outside")
