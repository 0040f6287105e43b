"""Synthesize: write a corpus with known truth over Ray, in the layout of a dataset."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, overload

from phonolake import execution, progress
from phonolake.errors import UsageError, unknown
from phonolake.files import here, make_folder
from phonolake.records import Seconds
from phonolake.synthesis import fma
from phonolake.synthesis.layouts import contract as layouts
from phonolake.synthesis.planted import Planted

RECORD = "synthesis.json"
BATCH = 8
# What one core takes to make a second of music, roughly.
SECONDS_PER_SECOND = 0.05
FMA = "fma"


@dataclass(frozen=True, slots=True)
class Task:
    """Some tracks to render."""

    root: Path
    config: fma.Config | layouts.Config
    tracks: tuple[Any, ...]


def configure(
    name: str,
    n_tracks: int | None,
    seed: int,
    seconds: float | None,
    label_noise: float | None = None,
    n_corrupt: int | None = None,
    planted: Planted = Planted(),  # noqa: B008 (it is frozen)
) -> fma.Config | layouts.Config:
    """Settings of a corpus; None leaves what the layout has by default.

    Raises
    ------
    UsageError
        For an unknown layout, a value out of range, or planted faults that a layout has no place for.
    """
    if name == FMA:
        if planted.about_tags:
            raise UsageError("fma has genres and no tags: --label-noise makes some of them wrong")
        n, duration = (400 if n_tracks is None else n_tracks), Seconds(30.0 if seconds is None else seconds)
        return fma.Config(n, seed, label_noise or 0.0, n_corrupt or 0, duration, peaks=planted.peaks)
    known = layouts.layouts()
    if name not in known:
        raise unknown("layout", name, [FMA, *known])
    if label_noise is not None or n_corrupt is not None:
        raise UsageError(f"wrong labels and broken files are planted in the layout fma alone; received {name!r}")
    if planted.about_tags and known[name].truth is None:
        tagged = ", ".join(sorted(name for name, layout in known.items() if layout.truth is not None))
        raise UsageError(f"tags are planted in the layouts {tagged}; received {name!r}")
    n = known[name].n_tracks if n_tracks is None else n_tracks
    return layouts.Config(name, n, seed, Seconds(known[name].duration if seconds is None else seconds), planted)


@overload
def run(config: fma.Config, root: Path) -> list[fma.PlannedTrack]: ...
@overload
def run(config: layouts.Config, root: Path) -> list[layouts.PlannedClip]: ...
def run(config: fma.Config | layouts.Config, root: Path) -> list[Any]:
    """Write what is not written yet; the metadata comes last, when all audio is there.

    Raises
    ------
    UsageError
        If `root` is a file, lies below one, or holds anything but this very corpus.
    """
    root = here(root).resolve()
    _claim(root, config)
    maker = _maker(config)
    tracks = maker.plan(config)
    todo = [track for track in tracks if not maker.audio_path(track, root).exists()]
    tasks = [Task(root, config, tuple(todo[i : i + BATCH])) for i in range(0, len(todo), BATCH)]
    with progress.task("synthesize", len(tracks), done=len(tracks) - len(todo)) as advance:
        seconds = len(todo) * float(config.duration) * SECONDS_PER_SECOND
        for _ in execution.imap(write_tracks, tasks, seconds=seconds, on_tick=advance):
            pass
    maker.write_metadata(tracks, config, root)
    return list(tracks)


def counts(tracks: Sequence[Any]) -> list[tuple[str, str, int]]:
    """Number of tracks by what they are and how their files are: label, kind of damage or ``sound``, tracks."""
    kinds = [
        (t.label, "sound") if isinstance(t, layouts.PlannedClip) else (t.genre, t.damage or "sound") for t in tracks
    ]
    return [(*kind, n) for kind, n in sorted(Counter(kinds).items())]


def write_tracks(task: Task) -> None:
    """Render some tracks, on a worker."""
    maker = _maker(task.config)
    for track in task.tracks:
        maker.write_track(track, task.config, task.root)
        execution.tick()


def _maker(config: fma.Config | layouts.Config) -> ModuleType:
    return fma if isinstance(config, fma.Config) else layouts


def _settings(config: fma.Config | layouts.Config) -> dict[str, Any]:
    """Settings that tell a corpus from others: what came later is left out where it is as it always was."""
    found = asdict(config)
    later = {"planted": asdict(Planted()), "peaks": 0.0}
    return {name: value for name, value in found.items() if later.get(name, ...) != value}


def _claim(root: Path, config: fma.Config | layouts.Config) -> None:
    """Note what the folder is going to hold; refuse one that holds something else."""
    make_folder(root)
    record, wanted = root / RECORD, json.dumps(_settings(config), sort_keys=True)
    if record.is_file():
        if record.read_text(encoding="utf-8").strip() != wanted:
            raise UsageError(f"{root} holds a corpus with other settings: remove it, or name another folder")
        return
    if any(root.iterdir()):
        raise UsageError(f"{root} holds other files: name a folder of its own for the corpus")
    record.write_text(wanted + "\n", encoding="utf-8")
