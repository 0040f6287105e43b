"""Jobs of a lake on object storage, where nothing can be locked: they are heard of."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.object_store import using

from phonolake.errors import PhonolakeError
from phonolake.store import jobs
from phonolake.store.lake import Lake
from phonolake.store.verify import mend


@pytest.fixture
def lake(objects_server: str, tmp_path: Path) -> Iterator[Lake]:
    with using(objects_server, tmp_path / "cache") as url:
        yield Lake.create(url)


def test_a_job_is_heard_of_on_other_machines_until_it_ends(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "HEARD_SECONDS", 0.05)
    with jobs.working(lake.place, "extract") as job:
        monkeypatch.setenv("PHONOLAKE_CACHE", str(tmp_path / "elsewhere"))
        assert jobs.living(lake.place) == [job]
        with pytest.raises(PhonolakeError, match=r"extract of \S+@\S+ .* is running"):
            mend(lake)
        # Its object comes back, whoever removes it.
        lake.place.delete([f"{jobs.FOLDER}/{job.id}{jobs.SUFFIX}"])
        while not jobs.living(lake.place):
            pass
    assert jobs.living(lake.place) == []


def test_a_job_that_is_no_longer_heard_of_is_dead(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = b'{"id": "score-0123456789ab", "what": "score", "who": "ann@gone (process 1)", "since": "2026-11-01"}'
    lake.place.put(f"{jobs.FOLDER}/score-0123456789ab{jobs.SUFFIX}", said)
    assert [job.who for job in jobs.living(lake.place)] == ["ann@gone (process 1)"]
    monkeypatch.setattr(jobs, "DEAD_SECONDS", -1)
    assert jobs.living(lake.place) == []
    with jobs.working(lake.place, "index"):
        pass
    assert [entry.name for entry in lake.place.list(f"{jobs.FOLDER}/")] == [jobs.CLOCK]
