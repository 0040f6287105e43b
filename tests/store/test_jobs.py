"""Jobs: who is at work, whose unfinished files these are, and what becomes of them."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from phonolake import files
from phonolake.errors import PhonolakeError
from phonolake.store import jobs
from phonolake.store.lake import Lake
from phonolake.store.verify import mend, verify


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.create(tmp_path / "lake")


def test_a_job_is_at_work_until_it_ends(lake: Lake) -> None:
    assert jobs.living(lake.root) == []
    with jobs.working(lake.root, "extract") as job:
        assert jobs.living(lake.root) == [job]
        assert jobs.is_at_work(lake.root, job.id)
        assert jobs.current() == job
        with jobs.working(lake.root, "index") as inner:
            assert {j.id for j in jobs.living(lake.root)} == {job.id, inner.id}
        assert jobs.current() == job
    assert jobs.living(lake.root) == []
    assert list((lake.root / jobs.FOLDER).iterdir()) == []
    assert not jobs.is_at_work(lake.root, job.id)
    assert not jobs.is_at_work(lake.root, None)


def test_it_takes_what_it_did_not_finish_with_it_and_nothing_else(lake: Lake) -> None:
    path = lake.path("tracks", "a")
    path.parent.mkdir(parents=True)
    with jobs.working(lake.root, "extract") as other:
        theirs = files.temporary_beside(path)
        theirs.touch()
        assert jobs.owner_of(theirs) == other.id
        with jobs.working(lake.root, "extract"):
            mine = files.temporary_beside(path)
            mine.touch()
        assert theirs.exists()
        assert not mine.exists()
        assert verify(lake) == []
        with pytest.raises(PhonolakeError, match=r"the extract of .* is running: wait until it has ended"):
            mend(lake)
    assert not theirs.exists()


KILLED = """
import os, sys
from pathlib import Path
from phonolake import files
from phonolake.store import jobs
with jobs.working(Path(sys.argv[1]), "ingest"):
    path = Path(sys.argv[1], "tables", "tracks", "a.parquet")
    path.parent.mkdir(parents=True)
    files.temporary_beside(path).touch()
    folder = Path(sys.argv[1], "indexes", "run")
    folder.parent.mkdir()
    files.temporary_beside(folder).mkdir()
    os._exit(9)
"""


def test_the_next_job_sweeps_what_a_killed_one_left(lake: Lake) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(lake.root)], check=False)
    assert done.returncode == 9
    assert len(verify(lake)) == 2
    assert len(list((lake.root / jobs.FOLDER).iterdir())) == 1
    assert jobs.living(lake.root) == []
    with jobs.working(lake.root, "index"):
        assert verify(lake) == []
    assert list((lake.root / jobs.FOLDER).iterdir()) == []


def test_a_job_that_just_begins_is_not_taken_for_dead(lake: Lake) -> None:
    """Many begin and sweep at once: each finds its own files at the end."""
    failed: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(20):
                with jobs.working(lake.root, "extract") as job:
                    path = files.temporary_beside(lake.root / "indexes" / "x")
                    path.parent.mkdir(exist_ok=True)
                    path.touch()
                    assert jobs.is_at_work(lake.root, job.id)
                    assert path.exists()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert list((lake.root / jobs.FOLDER).iterdir()) == []
