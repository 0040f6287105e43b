"""Partitions on Ray: they answer as one process does, also when they are killed."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from phonolake import execution
from phonolake.analysis.collection.neighbours import Searcher
from phonolake.errors import UsageError
from phonolake.serve import service
from phonolake.serve.answers import ServiceConfig
from phonolake.serve.partitions import RayPartitions
from phonolake.stages import forget, index
from phonolake.store.lake import Lake

from ..analysis.made_vectors import add, nearest
from .test_service import get

SECONDS = 60


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Four segments."""
    lake = Lake.create(tmp_path / "lake")
    for start in range(0, 40, 10):
        add(lake, range(start, start + 10))
    index.run(index.Config(str(lake.root), partition=10))
    return lake


def pids() -> list[int]:
    """Processes of partitions that have begun."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if "PartitionActor" in " ".join(process.cmdline()):
                found.append(process.pid)
    return found


@pytest.mark.long
@pytest.mark.timeout(300)
def test_partitions_on_ray_answer_as_one_process(ray_session: None, lake: Lake) -> None:
    with Searcher(lake) as alone, Searcher(lake, partitions=RayPartitions(lake.place, 2)) as searcher:

        def check() -> None:
            for k, where in ((3, None), (100, None), (5, "year > 2004"), (5, "year > 2004"), (4, "false")):
                expected, found = (s.nearest("m:7", k=k, where=where) for s in (alone, searcher))
                assert found[0] == expected[0]
                np.testing.assert_array_equal(found[1], expected[1])

        check()
        add(lake, range(40, 45))
        forget.run(forget.Config(str(lake.root), ("m:3",)))
        assert searcher.nearest("m:7", k=100)[0] == nearest(7, [n for n in range(45) if n != 3], 100)
        check()
        killed = pids()
        assert len(killed) == 2
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        check()
        assert not set(pids()) & set(killed)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_partition_that_is_killed_loses_no_request(lake: Lake, free_port: int) -> None:
    config = ServiceConfig(lake.place, partitions=2)
    with execution.session():
        execution.connect(workers=3)
        with service.serving(config, host="127.0.0.1", port=free_port), ThreadPoolExecutor(4) as pool:
            assert get(free_port, "/similar", track_id="m:7")[0] == 200
            asked = [
                pool.submit(get, free_port, "/similar", track_id="m:7", where=f"year >= 2000 AND {n} = {n}")
                for n in range(60)
            ]
            killed: set[int] = set()
            for future in asked:
                future.result()
                if len(killed) < 3 and (new := set(pids()) - killed):
                    os.kill(min(new), signal.SIGKILL)
                    killed.add(min(new))
            answers = [future.result() for future in asked]
            late = time.monotonic() + SECONDS
            while len(set(pids()) - killed) < 2 and time.monotonic() < late:
                time.sleep(0.1)
            assert len(set(pids()) - killed) == 2, "they are restarted"
        assert [status for status, _ in answers] == [200] * len(answers)
        expected = nearest(7, range(40), 10)
        assert all([n["track_id"] for n in found] == expected for _, found in answers)
        assert len(killed) == 3


@pytest.mark.long
def test_each_partition_has_a_core(ray_session: None, lake: Lake, free_port: int) -> None:
    config = ServiceConfig(lake.place, replicas=2, partitions=3)
    with (
        pytest.raises(UsageError, match="each replica and each of its 3 partitions has a core, and Ray has 2"),
        service.serving(config, host="127.0.0.1", port=free_port),
    ):
        pass
