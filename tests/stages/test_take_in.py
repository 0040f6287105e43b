"""Ingest and extract in one pass: the tables of the two stages one after the other, with each file decoded once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from phonolake import execution
from phonolake.audio import layout
from phonolake.errors import UsageError
from phonolake.inference import recordings
from phonolake.stages import extract, forget, ingest, take_in
from phonolake.stages.extraction import RecipeNames
from phonolake.store.lake import Lake
from phonolake.store.verify import verify

from .in_process import Once, rows, work_here, write_track

RECIPES = RecipeNames(("mfcc-120", "mfcc-120-per-300ms"), ("mel-96-12k",))
TABLES = ("tracks", "audio", "labels", "metadata", "rejects", "features_mfcc_120", "features_mfcc_120_per_300ms")


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """Recordings of several kinds, one that is too short for some of the recipes, and one that is no recording."""
    root = tmp_path / "music"
    rng = np.random.default_rng(0)
    for name, sr, channels, seconds in (
        ("a/one.wav", 44_100, 2, 1.3),
        ("a/two.flac", 12_000, 1, 0.9),
        ("b/three.mp3", 22_050, 2, 1.1),
        ("b/four.ogg", 48_000, 1, 0.6),
        ("b/click.wav", 16_000, 1, 0.01),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        sf.write(root / name, rng.normal(0, 0.1, (round(seconds * sr), channels)), sr)
    (root / "b" / "empty.wav").touch()
    return root


def config(lake: Path, music: Path, **options: int) -> ingest.Config:
    return ingest.Config(str(lake), str(music), dataset="m", min_seconds=0.001, **options)


def contents(lake: Path) -> dict[str, bytes]:
    """Every published shard but those of `runs`, which tell the time."""
    opened = Lake.open(lake)
    return {
        f"{table}/{file}": (opened.folder(table) / file).read_bytes()
        for table in opened.versions()
        for file in opened.shards(table)
        if table != "runs"
    }


@pytest.mark.long
@pytest.mark.parametrize("longest", [600.0, 1.0])
def test_the_tables_are_those_of_the_two_stages(
    music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, longest: float
) -> None:
    work_here(monkeypatch)
    # With a small one, some recordings are cut into windows, as hours are.
    monkeypatch.setattr(recordings, "LONGEST", longest)
    monkeypatch.setattr(recordings, "WINDOW", 0.5)
    together, apart = tmp_path / "together", tmp_path / "apart"
    found = take_in.run(config(together, music), RECIPES)
    expected = [
        ingest.run(config(apart, music)),
        *extract.run(extract.Config(str(apart), RECIPES.features, RECIPES.spectrograms)),
    ]
    assert found == expected
    assert contents(together) == contents(apart)
    assert rows(together, "SELECT count(*) FROM rejects WHERE stage = 'extract'")[0][0] >= 1
    assert verify(Lake.open(together)) == []
    # And again there is nothing to do.
    before = contents(together)
    take_in.run(config(together, music), RECIPES)
    assert contents(together) == before


def test_each_file_is_decoded_once(music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work_here(monkeypatch)
    opened = []
    examine = layout.examine
    monkeypatch.setattr(layout, "examine", lambda data, **o: opened.append(len(data)) or examine(data, **o))
    take_in.run(config(tmp_path / "lake", music), RECIPES)
    sizes = sorted(path.stat().st_size for path in music.rglob("*.*") if path.stat().st_size)
    assert sorted(opened) == sizes


def test_what_a_killed_pass_has_finished_is_not_done_again(
    music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, taking_in = tmp_path / "lake", config(tmp_path / "lake", music, shard_bytes=1)

    def kill() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        work_here(patch, Once("shard", kill))
        with pytest.raises(KeyboardInterrupt):
            take_in.run(taking_in, RECIPES)
    folder = Lake.open(lake).folder("features_mfcc_120")
    (first,) = folder.glob("*.parquet")
    written = first.stat().st_mtime_ns
    work_here(monkeypatch)
    take_in.run(taking_in, RECIPES)
    assert first.stat().st_mtime_ns == written
    assert len(list(folder.glob("*.parquet"))) > 1
    assert verify(Lake.open(lake)) == []


@pytest.mark.long
def test_a_lake_that_lacks_the_features_of_older_tracks_gets_them(
    music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work_here(monkeypatch)
    ingest.run(config(tmp_path / "lake", music))
    write_track(music / "a" / "new.wav", 7)
    take_in.run(config(tmp_path / "lake", music), RECIPES)
    assert rows(tmp_path / "lake", "SELECT count(*), count(DISTINCT source_shard) FROM features_mfcc_120") == [(5, 2)]
    assert verify(Lake.open(tmp_path / "lake")) == []


@pytest.mark.long
@pytest.mark.parametrize(
    "place", [pytest.param("begin", marks=pytest.mark.slow), "shard", pytest.param("end", marks=pytest.mark.slow)]
)
def test_a_track_that_is_forgotten_meanwhile_leaves_nothing_behind(
    music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    lake = tmp_path / "lake"
    work_here(monkeypatch)
    take_in.run(config(lake, music), RECIPES)
    for n in range(2):
        write_track(music / "c" / f"{n}.wav", 10 + n)
    # All files changed: this job writes every track again, while another one forgets one of them.
    gone = ("m:a/one.wav",)
    write_track(music / "a" / "one.wav", 20)
    work_here(monkeypatch, Once(place, lambda: forget.run(forget.Config(str(lake), gone))))
    take_in.run(config(lake, music), RECIPES)
    assert forget.verify(Lake.open(lake), gone) == []
    assert rows(lake, "SELECT count(*) FROM features_mfcc_120")[0][0] == 5
    assert verify(Lake.open(lake)) == []


def test_an_unknown_name_is_told_before_anything_is_taken_in(music: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mfcc-12'"):
        take_in.run(config(tmp_path / "lake", music), RecipeNames(("mfcc-12",)))
    assert not (tmp_path / "lake").exists()


def test_what_lasts_too_long_is_a_reject_and_not_decoded_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work_here(monkeypatch)
    (tmp_path / "music").mkdir()
    for name, seconds in (("short", 3), ("exact", 30), ("long", 600)):
        sf.write(tmp_path / "music" / f"{name}.flac", np.full(seconds * 8_000, 0.1, np.float32), 8_000)
    taking_in = ingest.Config(str(tmp_path / "lake"), str(tmp_path / "music"), max_seconds=30)
    assert ingest.run(taking_in).rejects == 1
    assert rows(tmp_path / "lake", "SELECT track_id, reason, detail FROM rejects") == [
        ("music:long.flac", "too-long", "more than 30 s (--max-seconds)")
    ]
    # Without the bound it is another request, and the file is looked at again.
    assert ingest.run(ingest.Config(str(tmp_path / "lake"), str(tmp_path / "music"))).outputs == 1


def test_the_largest_shards_are_begun_first(music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is begun last ends last: workers that take the next shard when they are free end close together."""
    begun: list[list[str]] = []

    def imap(function: Any, payloads: Any, **_: Any) -> Iterator[tuple[Any, None]]:
        begun.append([getattr(task, "source", None) or f"{task.stem}.parquet" for task in payloads])
        for task in payloads:
            yield task, function(task)

    monkeypatch.setattr(execution, "imap", imap)
    ingest.run(config(tmp_path / "lake", music, shard_bytes=1))
    extract.run(extract.Config(str(tmp_path / "lake"), RECIPES.features))
    sizes = {file: shard.bytes for file, shard in Lake.open(tmp_path / "lake").shards("audio").items()}
    for files in begun:
        found = [sizes.get(file, 0) for file in files]
        assert found == sorted(found, reverse=True)
        assert len(found) >= len(sizes) > 1
