"""Datasets where people have them: one folder too deep, packed, moved, copied, and no longer there."""

import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from phonolake.cli.main import main
from phonolake.errors import UsageError
from phonolake.records import Seconds
from phonolake.stages import ingest
from phonolake.store import query
from phonolake.store.lake import Lake
from phonolake.store.verify import verify
from phonolake.synthesis import fma
from phonolake.synthesis.layouts import contract as layouts


def make(name: str, root: Path, n: int = 12) -> Path:
    """The tables of a small corpus, and its audio as empty files."""
    config = layouts.Config(name, n)
    clips = layouts.plan(config)
    layouts.write_metadata(clips, config, root)
    for clip in clips:
        layouts.audio_path(clip, root).parent.mkdir(parents=True, exist_ok=True)
        layouts.audio_path(clip, root).touch()
    return root


def refusal(root: Path, source: str, lake: Path) -> str:
    with pytest.raises(UsageError) as caught:
        ingest.make_plan(ingest.Config(str(lake), str(root), source))
    assert not lake.exists()
    return str(caught.value)


def ask(lake: Path, sql: str) -> list[tuple]:
    with query.connect(Lake.open(lake)) as connection:
        return connection.execute(sql).fetchall()


# -- nothing where it should be ---------------------------------------------------------------------------------------


def test_fma_one_folder_too_deep_is_said_with_the_move_that_mends_it(tmp_path: Path) -> None:
    root = tmp_path / "FMA"
    config = fma.Config(n_tracks=16, duration=Seconds(1.0))
    tracks = fma.plan(config)
    fma.write_metadata(tracks, config, root)
    for track in tracks:
        path = fma.audio_path(track, root)
        path = root / "fma_small" / path.relative_to(root)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    said = refusal(root, "fma", tmp_path / "lake")
    assert "0 of the 16 files that fma names were found, such as fma_small/000/" in said
    assert f"16 other audio files lie under {root}/fma_small/fma_small" in said
    assert f"16 of them lie in {root}/fma_small instead of {root}: move what is in the first into the second." in said
    # As it says.
    for path in (root / "fma_small" / "fma_small").iterdir():
        path.rename(root / "fma_small" / path.name)
    assert ingest.make_plan(ingest.Config(str(tmp_path / "lake"), str(root), "fma")).shards


def test_pieces_of_an_archive_are_to_be_joined(tmp_path: Path) -> None:
    root = make("magnatagatune", tmp_path / "mtat")
    shutil.rmtree(root / "mp3")
    for n in (1, 2, 3):
        (root / f"mp3.zip.00{n}").touch()
    said = refusal(root, "magnatagatune", tmp_path / "lake")
    assert "0 of the 12 files that magnatagatune names were found, such as " in said
    assert "join them (cat mp3.zip.* > mp3.zip) and unpack mp3.zip" in said
    for path in root.glob("mp3.zip.*"):
        path.unlink()
    assert "No audio lies under" in refusal(root, "magnatagatune", tmp_path / "lake")


@pytest.mark.parametrize("name", ["esc50", "urbansound8k", "gtzan", "magnatagatune", "mtg_jamendo", "esc10"])
@pytest.mark.parametrize("place", ["deep", "deep/er"])
def test_another_folder_that_holds_the_layout_is_named(name: str, place: str, tmp_path: Path) -> None:
    make(name, tmp_path / "root" / place)
    said = refusal(tmp_path / "root", name, tmp_path / "lake")
    assert "does not hold" in said
    assert said.endswith(f"{tmp_path / 'root' / place} has it: name that folder")


def test_audio_of_other_names_is_shown(tmp_path: Path) -> None:
    root = make("esc50", tmp_path / "esc")
    for n, path in enumerate(sorted((root / "audio").iterdir())):
        path.rename(path.with_name(f"sound_{n}.wav"))
    said = refusal(root, "esc50", tmp_path / "lake")
    assert f"12 other audio files lie under {root}/audio, such as audio/sound_0.wav. The layout is DIR/meta" in said


def test_some_that_are_there_are_enough(tmp_path: Path) -> None:
    root = make("esc50", tmp_path / "esc")
    for path in sorted((root / "audio").iterdir())[1:]:
        path.unlink()
    plan = ingest.make_plan(ingest.Config(str(tmp_path / "lake"), str(root), "esc50"))
    assert sum(map(len, plan.shards.values())) == 12


# -- moved, copied, gone ----------------------------------------------------------------------------------------------


@pytest.fixture
def music(tmp_path: Path) -> Path:
    root = tmp_path / "music"
    for n, name in enumerate(("jazz/a", "jazz/b", "rock/c", "rock/d")):
        path = root / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        sf.write(path, np.random.default_rng(n).uniform(-0.5, 0.5, 8000 + n), 8000)
    (root / "rock" / "broken.wav").write_bytes(b"no audio")
    return root


@pytest.fixture
def config(ray_session: None, music: Path, tmp_path: Path) -> ingest.Config:
    """A lake with the music in it."""
    config = ingest.Config(str(tmp_path / "lake"), str(music))
    assert ingest.run(config).outputs == 4
    return config


@pytest.mark.long
def test_a_copied_root_is_known_by_its_content(config: ingest.Config, music: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "music"
    shutil.copytree(music, moved, copy_function=shutil.copyfile)
    for path in moved.rglob("*.wav"):
        os.utime(path, ns=(10**18, 10**18))
    shutil.rmtree(music)
    again = ingest.run(dataclasses.replace(config, root=str(moved)))
    # What was rejected is tried again, as nothing of it was kept to know it by.
    assert (again.inputs, again.outputs, again.rejects) == (1, 0, 1)
    assert again.note == "4 known before"
    # One whose content changed under the same size is another one.
    path = moved / "jazz" / "a.wav"
    sf.write(path, np.random.default_rng(9).uniform(-0.5, 0.5, 8000), 8000)
    assert ingest.run(dataclasses.replace(config, root=str(moved))).inputs == 1
    assert verify(Lake.open(config.lake)) == []


def test_another_dataset_of_the_same_name_is_refused_unless_it_is_joined(
    config: ingest.Config, music: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other" / "music"
    other.mkdir(parents=True)
    for name in ("jazz/a", "x", "y"):
        (other / name).parent.mkdir(exist_ok=True)
        sf.write(other / f"{name}.wav", np.random.default_rng(5).uniform(-0.5, 0.5, 9000), 8000)
    before = ask(Path(config.lake), "SELECT * FROM tracks ORDER BY ALL")
    second = dataclasses.replace(config, root=str(other))
    with pytest.raises(UsageError, match=r"the lake has another dataset 'music', of 5 files such as .*--name.*--join"):
        ingest.run(second)
    assert ask(Path(config.lake), "SELECT * FROM tracks ORDER BY ALL") == before
    (other / "jazz" / "a.wav").rename(other / "z.wav")
    assert ingest.run(dataclasses.replace(second, join=True)).outputs == 3
    # Both go on from there.
    assert ingest.run(second).note == "nothing new: 3 known"
    assert ingest.run(config).note == "nothing new: 5 known"
    assert verify(Lake.open(config.lake)) == []


def test_files_that_are_gone_are_counted_and_taken_down_on_request(
    config: ingest.Config, music: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("jazz/a.wav", "rock/broken.wav"):
        (music / name).unlink()
    lost = "; 2 known files no longer exist (--prune removes their tracks)"
    assert ingest.run(config).note == f"nothing new: 3 known{lost}"
    assert ask(Path(config.lake), "SELECT count(*) FROM tracks") == [(4,)]
    assert main(["ingest", "folder", str(music), "--prune", "--lake", config.lake, "--format", "csv"]) == 0
    assert "nothing new: 3 known; 2 removed, because their files no longer exist" in capsys.readouterr().out
    for table in ("tracks", "audio", "labels", "metadata"):
        assert ask(Path(config.lake), f"SELECT count(*) FROM {table} WHERE track_id = 'music:jazz/a.wav'") == [(0,)]
    assert ask(Path(config.lake), "SELECT count(*) FROM rejects") == [(0,)]
    assert verify(Lake.open(config.lake)) == []
    assert ingest.run(config).note == "nothing new: 3 known"
    # Unlike what was forgotten, they come back.
    sf.write(music / "jazz" / "a.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 8000), 8000)
    assert ingest.run(config).outputs == 1
