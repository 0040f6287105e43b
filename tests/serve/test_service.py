"""The service on Ray Serve, asked over HTTP."""

import json
import os
import signal
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import psutil
import pytest

from phonolake import execution
from phonolake.serve import service
from phonolake.serve.answers import ServiceConfig
from phonolake.store.lake import Lake

from ..analysis.made_vectors import add, build, nearest
from ..cli.processes import left_behind, start

SECONDS = 100


def get(port: int, path: str, **params: object) -> tuple[int, Any]:
    """Status and body of the answer to a request."""
    address = f"http://127.0.0.1:{port}{path}?{urllib.parse.urlencode(params)}"
    try:
        with urllib.request.urlopen(address, timeout=SECONDS) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake.create(tmp_path / "lake")
    add(lake, range(40))
    build(lake)
    return lake


@pytest.mark.long
@pytest.mark.timeout(300)
def test_the_service_answers_from_what_is_published(ray_session: None, lake: Lake, free_port: int) -> None:
    with service.serving(ServiceConfig(lake.place), host="127.0.0.1", port=free_port):
        status, found = get(free_port, "/similar", track_id="m:7", k=4)
        assert (status, [n["track_id"] for n in found]) == (200, nearest(7, range(40), 4))
        add(lake, range(40, 45))
        status, found = get(free_port, "/similar", track_id="m:7", k=100)
        assert (status, [n["track_id"] for n in found]) == (200, nearest(7, range(45), 100))
        assert get(free_port, "/tracks/m:none")[0] == 404
        assert get(free_port, "/health")[0] == 200
    with pytest.raises(OSError, match="refused"), urllib.request.urlopen(f"http://127.0.0.1:{free_port}/health"):
        pass


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_replica_that_is_killed_loses_no_request(lake: Lake, free_port: int) -> None:
    with execution.session(), service.serving(ServiceConfig(lake.place, replicas=2), host="127.0.0.1", port=free_port):
        expected = nearest(7, range(40), 10)
        with ThreadPoolExecutor(8) as pool:
            # The condition takes long enough to be killed with.
            slow = "(SELECT count(*) FROM range(3000000) WHERE range % 7 = {}) > 0"
            asked = [
                pool.submit(get, free_port, "/similar", track_id="m:7", where=slow.format(n % 7)) for n in range(60)
            ]
            killed = 0
            for future in asked:
                future.result()
                if killed < 3:
                    os.kill(pid_of("answers"), signal.SIGKILL)
                    killed += 1
            answers = [future.result() for future in asked]
        assert killed == 3
        assert [status for status, _ in answers] == [200] * len(answers)
        assert all([n["track_id"] for n in found] == expected for _, found in answers)


def pid_of(deployment: str) -> int:
    """A process of a deployment; where all were killed, the next one that Ray starts."""
    late = time.monotonic() + SECONDS
    while time.monotonic() < late:
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                if f"ServeReplica:phonolake:{deployment}" in " ".join(process.cmdline()):
                    return process.pid
        time.sleep(0.1)
    raise AssertionError(f"no process of {deployment} is there")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_finds_no_room_in_the_queue_is_refused(lake: Lake, free_port: int) -> None:
    config = ServiceConfig(lake.place, queue=1)
    with execution.session(), service.serving(config, host="127.0.0.1", port=free_port):
        slow = "(SELECT count(*) FROM range(50000000) WHERE range % 7 = {}) > 0"
        with ThreadPoolExecutor(24) as pool:
            asked = [pool.submit(get, free_port, "/similar", track_id="m:7", where=slow.format(n)) for n in range(24)]
            answers = [future.result() for future in asked]
        statuses = [status for status, _ in answers]
        assert set(statuses) == {200, 503}
        assert "try again later" in next(body for status, body in answers if status == 503)
        assert get(free_port, "/similar", track_id="m:7")[0] == 200


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_waits_before_the_gateway_is_limited_too(lake: Lake, free_port: int) -> None:
    """A gateway that is too slow for its requests stands still here."""
    config = ServiceConfig(lake.place, queue=6)
    with execution.session(), service.serving(config, host="127.0.0.1", port=free_port):
        expected = nearest(7, range(40), 10)
        assert get(free_port, "/similar", track_id="m:7")[0] == 200
        gateway = pid_of("gateway")
        os.kill(gateway, signal.SIGSTOP)
        with ThreadPoolExecutor(120) as pool:
            asked = [pool.submit(get, free_port, "/similar", track_id="m:7") for _ in range(120)]
            try:
                # While it stands still, only the proxy can answer; the last ones may take long on a busy machine.
                refused = list(islice(as_completed(asked, SECONDS), 20))
            finally:
                os.kill(gateway, signal.SIGCONT)
            assert {future.result()[0] for future in refused} == {503}
            answers = [future.result() for future in asked]
        assert {status for status, _ in answers} == {200, 503}
        answered = [found for status, found in answers if status == 200]
        assert len(answered) >= 6
        assert all([n["track_id"] for n in found] == expected for found in answered)
        assert any("6 requests wait already" in body for status, body in answers if status == 503)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_service(lake: Lake, free_port: int, signum: signal.Signals) -> None:
    process = start(["serve", "--lake", lake.root, "--port", free_port])
    assert process.stderr is not None
    said = [process.stderr.readline(), process.stderr.readline()]
    assert ["embedded Ray" in said[0], f"Serving at http://127.0.0.1:{free_port}" in said[1]] == [True, True], said
    assert get(free_port, "/health")[0] == 200
    process.send_signal(signum)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + signum
    assert err.count("\n") == err.count("phonolake: ") == 1
    assert left_behind(process.pid) == []
