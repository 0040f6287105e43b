"""Files that are as they were are not compared one by one, and the plan is the one of a comparison of all."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from phonolake.stages import forget, ingest, ingest_known, ingest_scan
from phonolake.stages.ingest import Config
from phonolake.stages.ingest_plan import IngestPlan
from phonolake.store import compaction
from phonolake.store.lake import Lake

from . import in_process


def facts(plan: IngestPlan) -> tuple:
    """What a plan says."""
    shards = {stem: [file.recording.source_id for file in files] for stem, files in plan.shards.items()}
    return shards, plan.replaced, plan.known, plan.forgotten, plan.gone, sorted(plan.passed_over)


def of_all(config: Config) -> IngestPlan:
    """The plan where nothing is kept of earlier comparisons."""
    kept, aside = Path(config.lake) / ingest_scan.FOLDER, Path(config.lake).parent / "aside"
    kept.rename(aside)
    plan = ingest.make_plan(config)
    aside.rename(kept)
    return plan


def change(music: Path, lake: Path, rng: np.random.Generator, number: int) -> None:
    """Something that happens to a tree, or to what a lake has of it."""
    there = sorted(path for path in music.rglob("*.wav"))
    one = there[rng.integers(len(there))]
    kinds = ["add", "add to a new folder", "write anew", "remove", "move", "touch", "spoil", "other file", "forget"]
    match kinds[rng.integers(len(kinds))]:
        case "add":
            in_process.write_track(one.with_name(f"added-{number}.wav"), number)
        case "add to a new folder":
            in_process.write_track(music / f"new {number}" / "ä.wav", number)
        case "write anew":
            in_process.write_track(one, 1000 + number)
        case "remove":
            one.unlink()
        case "move":
            one.rename(one.with_name(f"moved-{number}.wav"))
        case "touch":
            one.touch()
        case "spoil":
            one.write_bytes(b"nothing to hear")
        case "other file":
            (music / f"notes-{number}.txt").write_text("")
        case "forget":
            tracks = [f"music:{one.relative_to(music).as_posix()}"]
            if tracks[0] in in_process_ids(lake):
                forget.run(forget.Config(str(lake), tuple(tracks)))


def in_process_ids(lake: Path) -> set[str]:
    from phonolake.store import query

    with query.connect(Lake.open(lake)) as connection:
        return {track_id for (track_id,) in connection.execute("SELECT track_id FROM tracks").fetchall()}


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2))
def test_a_plan_is_that_of_a_comparison_of_all_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    in_process.work_here(monkeypatch)
    monkeypatch.setattr(ingest_scan, "RUN", 3)
    monkeypatch.setattr(ingest_scan, "FEW", 0.9)
    monkeypatch.setattr(compaction, "MOST", 2)
    partial = []
    settle = ingest_scan.Scan._settle
    monkeypatch.setattr(ingest_scan.Scan, "_settle", lambda scan: (settle(scan), partial.append(scan.is_partial)))
    rng = np.random.default_rng(seed)
    music, config = tmp_path / "music", Config(str(tmp_path / "lake"), str(tmp_path / "music"))
    for number in range(16):
        in_process.write_track(music / "abc"[number % 3] / f"{number:02d}.wav", number)
    ingest.run(config)
    for number in range(10):
        change(music, tmp_path / "lake", rng, number)
        assert facts(ingest.make_plan(config)) == facts(of_all(config))
        ingest.run(config)
    assert any("-merged-" in file for file in Lake.open(config.lake).shards("tracks"))
    # The rule above says nothing where all are compared each time.
    assert sum(partial) > len(partial) / 3


def test_nothing_is_asked_of_the_lake_about_files_that_are_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_process.work_here(monkeypatch)
    music, config = tmp_path / "music", Config(str(tmp_path / "lake"), str(tmp_path / "music"))
    for number in range(8):
        in_process.write_track(music / str(number) / "one.wav", number)
    ingest.run(config)
    asked: list[str] = []
    changed = ingest_known.KnownFiles.changed
    monkeypatch.setattr(
        ingest_known.KnownFiles,
        "changed",
        lambda known, files: changed(known, (asked.append(f.recording.source_id) or f for f in files)),
    )
    assert ingest.make_plan(config).known == 8
    assert asked == []
    in_process.write_track(music / "3" / "two.wav", 9)
    ingest.run(config)
    assert asked == ["3/one.wav", "3/two.wav"]
    assert ingest.make_plan(config).known == 9
    # Another configuration looks at all of it again.
    shutil.copytree(music / "3", music / "8")
    assert ingest.make_plan(Config(config.lake, config.root, min_seconds=0.4)).known == 9
    assert len(asked) == 2 + 11
