"""Synthesize: write a corpus with known truth over Ray, in FMA's own layout."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from phonolake import execution, progress
from phonolake.errors import UsageError
from phonolake.synthesis import fma

RECORD = "synthesis.json"
BATCH = 8


@dataclass(frozen=True, slots=True)
class Task:
    """Some tracks to render."""

    root: Path
    config: fma.Config
    tracks: tuple[fma.PlannedTrack, ...]


def run(config: fma.Config, root: Path) -> list[fma.PlannedTrack]:
    """Write what is not written yet; the metadata comes last, when all audio is there.

    Raises
    ------
    UsageError
        If `root` is a file, or holds anything but this very corpus.
    """
    root = root.expanduser().resolve()
    _claim(root, config)
    tracks = fma.plan(config)
    todo = [track for track in tracks if not fma.audio_path(track, root).exists()]
    tasks = [Task(root, config, tuple(todo[i : i + BATCH])) for i in range(0, len(todo), BATCH)]
    with progress.task("synthesize", len(tracks)) as advance:
        advance(len(tracks) - len(todo))
        for _ in execution.imap(write_tracks, tasks, on_tick=advance):
            pass
    fma.write_metadata(tracks, config, root)
    return tracks


def write_tracks(task: Task) -> None:
    """Render some tracks, on a worker."""
    for track in task.tracks:
        fma.write_track(track, task.config, task.root)
        execution.tick()


def _claim(root: Path, config: fma.Config) -> None:
    """Note what the folder is going to hold; refuse one that holds something else."""
    if root.exists() and not root.is_dir():
        raise UsageError(f"{root} is a file: name a folder to write the corpus to")
    record, wanted = root / RECORD, json.dumps(asdict(config), sort_keys=True)
    if record.is_file():
        if record.read_text(encoding="utf-8").strip() != wanted:
            raise UsageError(f"{root} holds a corpus with other settings: remove it, or name another folder")
        return
    if root.exists() and any(root.iterdir()):
        raise UsageError(f"{root} holds other files: name a folder of its own for the corpus")
    root.mkdir(parents=True, exist_ok=True)
    record.write_text(wanted + "\n", encoding="utf-8")
