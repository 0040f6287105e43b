"""Plan a large ingest: core-hours, disk, traffic and time, from rates measured on this machine.

A few recordings are ingested, with their features and spectrograms, into a temporary lake. The rest is arithmetic: core
time and bytes are proportional to the bytes of encoded audio, the driver's work to the number of recordings.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from phonolake.audio.containers import EXTENSIONS
from phonolake.errors import UsageError
from phonolake.execution import worker
from phonolake.files import sha256
from phonolake.records import Hertz, Recording, Seconds
from phonolake.sources import contract, trees
from phonolake.stages import ingest
from phonolake.stages.extraction import RecipeNames
from phonolake.stages.ingest_files import File, Looker
from phonolake.store.lake import Lake
from phonolake.synthesis import fma, music

# Recordings to ingest for the measurement, and repetitions of the first to warm up libraries and caches.
SAMPLE = 8
MADE, MADE_SR, LONGEST_MADE = 4, Hertz(44_100), 60.0
LOOKS = 2_000
HOUR, GIGABYTE = 3600.0, 1e9


@dataclass(frozen=True, slots=True)
class Collection:
    """The recordings to ingest."""

    tracks: int
    bytes: float


@dataclass(frozen=True, slots=True)
class Rates:
    """Rates of this machine.

    Parameters
    ----------
    core_seconds : float
        Of one core for each byte of encoded audio: to decode, measure, describe and write it.
    written : float
        Bytes of all tables for each byte of encoded audio, that byte included.
    look_seconds : float
        Of the driver for each recording, to look at its file and compare it.
    publish_seconds : float
        Of one core of the driver for each byte that is published, to hash it.
    """

    core_seconds: float
    written: float
    look_seconds: float
    publish_seconds: float


@dataclass(frozen=True, slots=True)
class WorkStep:
    """One step of the work, and its cost."""

    step: str
    core_hours: float
    read_gb: float
    written_gb: float
    hours: float
    bottleneck: str


def estimate(found: Collection, rates: Rates, *, nodes: int, cores: int, storage_rate: float) -> list[WorkStep]:
    """The steps of an ingest, and all of them together.

    Parameters
    ----------
    nodes, cores : int
        Nodes of the cluster, and cores of each.
    storage_rate : float
        Bytes per second that all nodes together can read and write.
    """
    written = found.bytes * rates.written
    looked = found.tracks * rates.look_seconds
    worked, moved = found.bytes * rates.core_seconds, (found.bytes + written) / storage_rate
    hashed, read = written * rates.publish_seconds / cores, written / storage_rate
    steps = [
        WorkStep("plan", looked / HOUR, 0.0, 0.0, looked / HOUR, "driver"),
        _step("take in", worked, found.bytes, written, worked / (nodes * cores), moved, "cores"),
        _step("publish", written * rates.publish_seconds, written, 0.0, hashed, read, "driver"),
    ]
    slowest = max(steps, key=lambda step: step.hours)
    whole = WorkStep(
        "all",
        sum(s.core_hours for s in steps),
        sum(s.read_gb for s in steps),
        sum(s.written_gb for s in steps),
        sum(s.hours for s in steps),
        slowest.bottleneck,
    )
    return [*steps, whole]


def _step(name: str, core_seconds: float, read: float, written: float, busy: float, moved: float, who: str) -> WorkStep:
    bottleneck = "storage" if moved > busy else who
    return WorkStep(name, core_seconds / HOUR, read / GIGABYTE, written / GIGABYTE, max(busy, moved) / HOUR, bottleneck)


def of_folder(root: Path) -> tuple[Collection, list[Path]]:
    """The recordings below a folder, and a spread sample of them to measure.

    Raises
    ------
    UsageError
        When it holds no audio.
    """
    paths = list(trees.files(root, EXTENSIONS))
    if not paths:
        raise UsageError(f"no audio below {root}: name a folder of recordings, or a dataset")
    sizes = [path.stat().st_size for path in paths]
    places = np.unique(np.linspace(0, len(paths) - 1, SAMPLE).round().astype(int))
    return Collection(len(paths), float(sum(sizes))), [paths[n] for n in places]


def of_dataset(name: str, seconds: float | None, folder: Path) -> tuple[Collection, list[Path]]:
    """A published dataset, and synthetic MP3s of the same length in a folder, to measure.

    Parameters
    ----------
    seconds : float, optional
        Length of a recording; without it the published size of the dataset counts.

    Raises
    ------
    UsageError
        For an unknown dataset, and one whose number of recordings, or size, is not published.
    """
    card = contract.get(name).CARD
    if card.tracks is None:
        raise UsageError(f"{card.name} is of any size: name the folder itself")
    if seconds is None and card.bytes is None:
        raise UsageError(f"the owners of {card.name} do not publish its size: give --seconds of a recording")
    made = []
    for n in range(MADE):
        rng = np.random.default_rng(n)
        length = Seconds(min(seconds or 30.0, LONGEST_MADE))
        samples = music.compose(music.GENRES[n % len(music.GENRES)], rng=rng, duration=length, sr=MADE_SR)
        made.append(folder / f"{n}.mp3")
        made[-1].write_bytes(fma.encode_mp3(samples, MADE_SR))
    if seconds is None:
        return Collection(card.tracks, float(card.bytes or 0)), made
    bytes_each = sum(path.stat().st_size for path in made) / MADE * seconds / min(seconds, LONGEST_MADE)
    return Collection(card.tracks, card.tracks * bytes_each), made


def measure(paths: Sequence[Path], recipes: RecipeNames, looker: Looker | None = None) -> Rates:
    """Ingest some recordings in this process, with one thread; `looker` knows which are on object storage."""
    looker = looker or Looker(None)
    worker.take_threads()
    recordings = [Recording(f"{n}", path) for n, path in enumerate(paths)]
    files = tuple(looker.look(recording) for recording in recordings)
    n_bytes = sum(file.size or 0 for file in files)
    with TemporaryDirectory() as scratch:
        config = ingest.Config(str(Path(scratch) / "lake"), scratch, dataset="sample", min_seconds=0.0)
        lake = Lake.create(config.lake)
        ingest.ingest_shard(ingest.Task(lake.place, config, "warm", files[:1], recipes))
        started = time.process_time()
        ingest.ingest_shard(ingest.Task(lake.place, config, "sample", files, recipes))
        core_seconds = time.process_time() - started
        shards = [path for path in lake.root.glob("tables/*/*.parquet") if "sample" in path.name]
        written = sum(path.stat().st_size for path in shards)
        started = time.perf_counter()
        for path in shards:
            sha256(path)
        hashing = time.perf_counter() - started
    return Rates(core_seconds / n_bytes, written / n_bytes, _look_seconds(recordings), hashing / written)


def _look_seconds(recordings: Sequence[Recording]) -> float:
    looker = Looker(Path(os.sep))
    found: list[File] = []
    started = time.perf_counter()
    while len(found) < LOOKS:
        found += [looker.look(recording) for recording in recordings]
    return (time.perf_counter() - started) / len(found)
