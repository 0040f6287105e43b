"""Stages without Ray: their work is done in this process, one shard at a time, and a test may step in between."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from phonolake import execution, files
from phonolake.stages import ingest, train
from phonolake.store import jobs, query
from phonolake.store.lake import Lake

SR = 8_000
SECONDS = 0.6


def write_track(path: Path, seed: int) -> None:
    """A short recording; another seed is another one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    time = np.arange(int(SECONDS * SR)) / SR
    y = 0.3 * np.sin(2 * np.pi * (200 + 20 * (seed % 40)) * time) + 0.05 * rng.normal(size=len(time))
    sf.write(path, y, SR, format="WAV", subtype="PCM_16")


def work_here(monkeypatch: pytest.MonkeyPatch, between: Callable[[str], None] = lambda _: None) -> None:
    """Do the work of all stages in this process; `between` is called before and after every shard, with its place."""

    def imap(function: Callable[[Any], Any], payloads: Sequence[Any], **_: Any) -> Iterator[tuple[Any, Any]]:
        between("begin")
        for payload in payloads:
            result = function(payload)
            between("shard")
            yield payload, result
        between("end")

    def amap(make: Callable[[], Callable[[Any], Any]], payloads: Sequence[Any], **_: Any) -> Iterator[tuple[Any, Any]]:
        return imap(make(), payloads)

    monkeypatch.setattr(execution, "imap", imap)
    monkeypatch.setattr(execution, "amap", amap)
    monkeypatch.setattr(execution, "gpus", lambda: 0)
    monkeypatch.setattr(execution, "cores", lambda: 1)
    monkeypatch.setattr(execution, "all_cores", lambda: 1)


class Once:
    """Calls something the first time that a place is reached."""

    def __init__(self, place: str, action: Callable[[], object]) -> None:
        self.place, self.action, self.done = place, action, False

    def __call__(self, place: str) -> None:
        if place == self.place and not self.done:
            self.done = True
            self.action()


def take_in(lake: Path, music: Path, **options: Any) -> Any:
    return ingest.run(ingest.Config(str(lake), str(music), dataset="m", **options))


def train_here(lake: Path, model: str) -> str:
    """Train a model that learns nothing from labels, and commit it."""
    (outcome,) = train.run(train.Config(str(lake), model))
    return str(outcome.run_id)


def rows(lake: Path | Lake, sql: str) -> list[tuple]:
    with query.connect(lake if isinstance(lake, Lake) else Lake.open(lake)) as connection:
        return connection.execute(sql).fetchall()


def dead_files(lake: Lake, *paths: Path) -> list[Path]:
    """What a job that was killed left of these shards: half-written files of its own, and its lock, held by nobody."""
    job = jobs.current().id
    (lake.root / jobs.FOLDER).mkdir(exist_ok=True)
    (lake.root / jobs.FOLDER / f"{job}.json").write_text("{}")
    owner = files.owner.set(job)
    found = [files.temporary_beside(path) for path in paths]
    files.owner.reset(owner)
    for path in found:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    return found
