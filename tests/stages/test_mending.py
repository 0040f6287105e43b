"""What lakes of earlier versions may hold is found and put right."""

from pathlib import Path

import pytest

from phonolake.features import contract
from phonolake.inference.products import product
from phonolake.stages import extract, ingest
from phonolake.stages.ingest import TABLES, Config, Task
from phonolake.store import schema
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import describe
from phonolake.store.verify import mend, put_right, verify

from .in_process import rows, take_in, work_here, write_track

FEATURES = "mfcc-120"
TABLE = "features_mfcc_120"


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    work_here(monkeypatch)
    for n in range(4):
        write_track(tmp_path / "m" / "a" / f"{n}.wav", n)
    take_in(tmp_path / "lake", tmp_path / "m")
    return Lake.open(tmp_path / "lake")


def extracting(lake: Lake) -> None:
    extract.run(extract.Config(str(lake.root), (FEATURES,)))


@pytest.mark.long
def test_doubled_tracks_are_found_and_the_newest_stays(lake: Lake, tmp_path: Path) -> None:
    """As an ingest committed that did not know of another one: the same files in shards of other names."""
    write_track(tmp_path / "m" / "a" / "0.wav", 77)
    config = Config(str(lake.root), str(tmp_path / "m"), dataset="m", min_seconds=0.4)
    unknown = Config(str(tmp_path / "none"), config.root, dataset="m", min_seconds=0.4)
    ((stem, files),) = ingest.make_plan(unknown).shards.items()
    ingest.ingest_shard(Task(lake.root, config, stem, files))
    paths = {name: lake.path(name, stem) for name in TABLES}
    lake.commit({n: Change(schema.table(n), [describe(p)]) for n, p in paths.items() if p.exists()})
    extracting(lake)
    assert rows(lake, f"SELECT count(*), count(DISTINCT track_id) FROM {TABLE}") == [(8, 4)]
    found = {finding.table: finding for finding in verify(lake)}
    assert {"tracks", "audio", "labels", "features"} <= found.keys()
    assert all("verify --mend" in found[table].mend for table in ("tracks", "audio", "labels"))
    assert put_right(lake) == [f"m:a/{n}.wav" for n in range(4)]
    mend(lake)
    assert verify(lake) == []
    for table in ("tracks", "audio", "labels", TABLE):
        assert rows(lake, f"SELECT count(*), count(DISTINCT track_id) FROM {table}") == [(4, 4)], table
    ((mtime,),) = rows(lake, "SELECT source_mtime FROM audio WHERE track_id = 'm:a/0.wav'")
    assert mtime == (tmp_path / "m" / "a" / "0.wav").stat().st_mtime_ns
    assert put_right(lake) == []
    extracting(lake)
    assert rows(lake, f"SELECT count(*), count(DISTINCT track_id) FROM {TABLE}") == [(4, 4)]


@pytest.mark.long
@pytest.mark.parametrize("still_there", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_dropped_shards_are_found_and_brought_back(lake: Lake, tmp_path: Path, *, still_there: bool) -> None:
    """As an extract committed that had begun before the other shard was published."""
    write_track(tmp_path / "m" / "a" / "9.wav", 9)
    take_in(lake.root, tmp_path / "m")
    extracting(lake)
    assert verify(lake) == []
    files = list(lake.shards(TABLE))
    declared = product(contract.feature_set(FEATURES)).table
    lake.commit({TABLE: Change(declared, [], files[:1])})
    (lake.folder(TABLE) / files[0]).unlink() if not still_there else None
    (finding,) = verify(lake)
    assert (finding.table, finding.where) == (TABLE, files[0])
    if still_there:
        assert "verify --mend" in finding.mend
        assert put_right(lake) == [f"{TABLE}/{files[0]}"]
    else:
        assert finding.mend == "run the stage again"
        extracting(lake)
    assert verify(lake) == []
    assert rows(lake, f"SELECT count(*), count(DISTINCT track_id) FROM {TABLE}") == [(5, 5)]
