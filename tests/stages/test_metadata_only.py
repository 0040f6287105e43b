"""The Million Song Dataset without its audio: what is said of it can be asked, and audio is joined later."""

import shutil
from pathlib import Path

import h5py
import pytest

from phonolake.analysis.labels import cooccurrence
from phonolake.cli.main import main
from phonolake.errors import UsageError
from phonolake.lookup import label_matrix
from phonolake.records import Seconds
from phonolake.stages import forget, ingest, ingest_metadata, split
from phonolake.store import query
from phonolake.store.lake import Lake
from phonolake.store.verify import verify
from phonolake.synthesis.layouts import contract as layouts


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Twelve songs with their audio kept apart, one of them without the groups of its file."""
    config = layouts.Config("msd", 12, duration=Seconds(0.6))
    clips = layouts.plan(config)
    for clip in clips:
        layouts.write_track(clip, config, tmp_path / "msd")
    layouts.write_metadata(clips, config, tmp_path / "msd")
    (tmp_path / "msd" / "audio").rename(tmp_path / "mine")
    with h5py.File(sorted((tmp_path / "msd").glob("data/**/*.h5"))[0], "w") as file:
        file.create_group("metadata")
    return tmp_path / "msd"


def ask(lake: Lake, sql: str) -> list[tuple]:
    with query.connect(lake) as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.long
def test_metadata_alone_can_be_asked_and_audio_is_joined(
    ray_session: None, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["ingest", "msd", str(root), "--metadata-only", "--lake", str(tmp_path / "lake"), "--format", "csv"]
    assert main(arguments) == 0
    assert ",12,11,1," in capsys.readouterr().out
    lake = Lake.open(tmp_path / "lake")
    assert ask(lake, "SELECT count(*), count(title), max(duration_seconds) FROM tracks") == [(11, 11, 0.0)]
    assert ask(lake, "SELECT reason FROM rejects") == [("metadata",)]
    with query.connect(lake) as connection:
        found = label_matrix.read_labels(connection, source="dataset", dataset=None)
    assert cooccurrence.cooccurrence_counts(found.Y_NL).sum() > 0
    assert split.run(split.Config(str(lake.root), n_folds=2)).inputs > 0
    assert verify(lake) == []
    # The same again is the same lake.
    versions = lake.versions()
    assert main(arguments) == 0
    assert lake.versions() == versions
    # Half of the audio turns up.
    (root / "audio").mkdir()
    for path in sorted((tmp_path / "mine").rglob("*.*"))[:6]:
        shutil.copy(path, root / "audio")
    outcome = ingest.run(ingest.Config(str(lake.root), str(root), "msd"))
    assert outcome.inputs - outcome.outputs <= 1
    assert ask(lake, "SELECT count(*) FROM tracks WHERE duration_seconds > 0") == [(outcome.outputs,)]
    assert ask(lake, "SELECT count(*), count(DISTINCT track_id) FROM tracks") == [(11, 11)]
    assert verify(lake) == []
    assert main(arguments) == 0
    assert ask(lake, "SELECT count(*), count(DISTINCT track_id) FROM tracks") == [(11, 11)]
    assert ask(lake, "SELECT count(*) FROM tracks WHERE duration_seconds > 0") == [(outcome.outputs,)]
    assert verify(lake) == []


def test_who_was_forgotten_does_not_come_back(root: Path, tmp_path: Path) -> None:
    config = ingest.Config(str(tmp_path / "lake"), str(root), "msd")
    ingest_metadata.run(config)
    lake = Lake.open(tmp_path / "lake")
    ((track_id,),) = ask(lake, "SELECT min(track_id) FROM tracks")
    forget.run(forget.Config(str(lake.root), (track_id,)))
    ingest_metadata.run(config)
    assert ask(lake, f"SELECT count(*) FROM tracks WHERE track_id = '{track_id}'") == [(0,)]
    assert ask(lake, "SELECT count(*) FROM tracks") == [(10,)]
    assert verify(lake) == []


def test_a_dataset_that_ships_its_audio_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="esc50 comes with its audio: leave --metadata-only out"):
        ingest_metadata.run(ingest.Config(str(tmp_path / "lake"), str(tmp_path), "esc50"))
    with pytest.raises(UsageError, match="does not hold the Million Song Dataset"):
        ingest_metadata.run(ingest.Config(str(tmp_path / "lake"), str(tmp_path), "msd"))
    assert not (tmp_path / "lake").exists()


def test_validate_says_how_much_of_a_dataset_is_there(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["validate", "msd", str(root), "--format", "csv"])
    out = capsys.readouterr().out
    assert "share,songs with metadata,1000000,12,0.00% of it" in out
