"""Fixtures that several test modules share."""

import os
import re
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from hypothesis import settings
from tests import object_store
from threadpoolctl import threadpool_limits
from xdist.scheduler import LoadScopeScheduling

from phonolake import execution
from phonolake.demo import Config, run
from phonolake.models import home
from phonolake.records import Seconds
from phonolake.synthesis import fma

# Each test has a limit for all its examples; one for each of them fails on a busy machine.
settings.register_profile("phonolake", deadline=None)
settings.load_profile("phonolake")

if "PYTEST_XDIST_WORKER" in os.environ:
    # Processes that share the cores would wait for each other's threads.
    torch.set_num_threads(1)
    threadpool_limits(1)


class WholeModules(LoadScopeScheduling):
    """Deals whole modules to the processes of `pytest -n`; those that share the demo, or Ray alone, go to one."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.split("::")[0]
        source = (Path(__file__).parents[1] / path).read_text(encoding="utf-8")
        return next((shared for shared in ("demo", "ray_session") if re.search(rf"\b{shared}\b", source)), path)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> WholeModules:
    return WholeModules(config, log)


@pytest.fixture(scope="session", autouse=True)
def no_models_at_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The developer's own taggers have no part in tests, where `run` and `demo` would use them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(home.VARIABLE, str(tmp_path_factory.getbasetemp() / "no-models"))
        yield


@pytest.fixture(scope="session", autouse=True)
def no_power_is_lost() -> Iterator[None]:
    """Nothing waits for the disk: a third of the time of a commit. Tests of durability count the calls themselves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda fd: None)
        yield


@pytest.fixture(autouse=True)
def little_work_needs_no_ray(request: pytest.FixtureRequest) -> Iterator[None]:
    """As for a newcomer's small collection, also in a process where other tests have started Ray."""
    asked = execution.embedded.workers()
    execution.use(None if "ray_session" in request.fixturenames else 0)
    yield
    execution.use(asked)


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """One embedded Ray with two cores for the whole session, since a start takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        # Tests never run on a cluster that the developer's shell happens to name.
        patch.delenv("RAY_ADDRESS", raising=False)
        # Idle workers stay: each new one imports PyTorch and scikit-learn, some four seconds of a core.
        patch.setenv("RAY_idle_worker_killing_time_threshold_ms", "60000")
        # A test without this fixture may have started one with all the cores of the machine.
        ray.shutdown()
        execution.connect(workers=2)
        yield
        ray.shutdown()


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small demo: a corpus in `music`, and what every stage made of it in `lake`. Tests only read it.

    It is made without Ray, which leaves the same files (`stages/test_without_ray.py`) and takes half of the time.
    """
    root = tmp_path_factory.mktemp("demo")
    corpus = fma.Config(n_tracks=96, seed=0, label_noise=0.1, n_corrupt=6, duration=Seconds(2))
    with execution.session():
        execution.use(0)
        run(Config(root, corpus, max_epochs=2))
    return root


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Address of a web server on this machine that has what lies in `tmp_path / "served"`."""
    (tmp_path / "served").mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "served"))) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def objects_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Endpoint of an S3 server on this machine, one for the whole session: it takes some seconds to start."""
    with object_store.serving(tmp_path_factory.mktemp("objects")) as endpoint:
        yield endpoint


@pytest.fixture
def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    return port
