"""Commands about work on a cluster."""

import csv
import io
from pathlib import Path

import pytest

from phonolake.cli.main import main
from phonolake.store import jobs
from phonolake.store.lake import Lake


def test_jobs_lists_who_works_on_a_lake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = Lake.create(tmp_path / "lake")
    with jobs.working(lake.place, "extract") as job:
        assert main(["jobs", "--lake", str(lake.root), "--format", "csv"]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row == {"id": job.id, "what": "extract", "who": job.who, "since": job.since}
    assert main(["jobs", "--lake", str(lake.root), "--format", "csv"]) == 0
    assert capsys.readouterr().out.splitlines() == ["id,what,who,since"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["folder", "--cores", "2", "--storage-rate", "1"], "folder is of any size"),
        (["nothing", "--cores", "2", "--storage-rate", "1"], "unknown dataset 'nothing'"),
        (["audioset", "--cores", "2", "--storage-rate", "1"], "give --seconds"),
        (["audioset", "--cores", "2", "--storage-rate", "0"], "--storage-rate"),
    ],
)
def test_plan_says_what_it_cannot_plan(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", *words]) == 2
    assert says in capsys.readouterr().err
