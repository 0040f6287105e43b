"""What a worker needs in memory depends on one piece of a track, never on its length nor on the number of tracks."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from phonolake.stages import duplicates, extract, ingest
from phonolake.store import pieces
from phonolake.store.lake import Lake

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not Path("/proc/self/status").exists(), reason="the peak of a process is read from Linux's /proc"
    ),
]

FEW = 16
SECONDS = 45
ALLOWED = 1.15
STEM = "all-in-one"
HOURS, LIMIT = 3, 1 << 30

# Run in a process of its own. Its `ru_maxrss` would begin with the peak of the process that started it.
PROGRAM = """
import pickle, sys
from phonolake.stages import duplicates, extract, ingest
stage, task = pickle.load(sys.stdin.buffer)
work = {
    "ingest": ingest.ingest_shard,
    "extract": extract.extract_shard,
    "duplicates": duplicates.fingerprint_shard,
}
work[stage](task)
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM:")).split()[1])
"""


def peak_bytes(stage: str, task: object) -> int:
    """Peak of resident memory of a fresh process that works on one shard."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=pickle.dumps((stage, task)),
        capture_output=True,
        check=True,
        timeout=1700,
    )
    return int(done.stdout) * 1024


def shard_of(n: int, folder: Path) -> tuple[ingest.Task, int]:
    """The task that takes in `n` recordings as one shard, and their size in bytes."""
    (folder / "music").mkdir(parents=True)
    noise = np.random.default_rng(0).normal(0, 0.1, SECONDS * 22_050)
    for i in range(n):
        sf.write(folder / "music" / f"{i:03d}.wav", np.roll(noise, i), 22_050)
    return task_of(folder)


def task_of(folder: Path) -> tuple[ingest.Task, int]:
    """The task that takes in a folder of music as one shard, and the size of its files in bytes."""
    config = ingest.Config(str(folder / "lake"), str(folder / "music"), shard_bytes=1 << 30)
    files = tuple(file for group in ingest.make_plan(config).shards.values() for file in group)
    return ingest.Task(Lake.create(config.lake).root, config, STEM, files), sum(f.size or 0 for f in files)


def test_peak_memory_of_a_worker_does_not_grow_with_the_number_of_tracks(tmp_path: Path) -> None:
    peaks: dict[str, list[int]] = {"ingest": [], "extract": []}
    sizes = []
    for n in (FEW, 4 * FEW):
        task, size = shard_of(n, tmp_path / str(n))
        sizes.append(size)
        peaks["ingest"].append(peak_bytes("ingest", task))
        source = f"{STEM}.parquet"
        assert (task.lake / "tables" / "audio" / source).stat().st_size > size
        wanted = extract.Task(task.lake, source, ("mfcc-120",), ("mel-96-12k",))
        peaks["extract"].append(peak_bytes("extract", wanted))
    # The test has teeth: holding all of the shard at once would go far beyond what is allowed.
    for stage, (few, many) in peaks.items():
        assert sizes[1] - sizes[0] > 2 * (ALLOWED - 1) * few, stage
        assert many < ALLOWED * few, f"{stage}: {few >> 20} MiB with {FEW} tracks, {many >> 20} MiB with {4 * FEW}"


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("name", "options", "least"),
    [
        ("mix.wav", {"subtype": "PCM_16"}, 1.9e9),
        ("mix.mp3", {"subtype": "MPEG_LAYER_III", "compression_level": 0.0, "bitrate_mode": "CONSTANT"}, 0.4e9),
    ],
)
def test_a_recording_of_three_hours_takes_less_than_a_gibibyte(
    tmp_path: Path, name: str, options: dict, least: float
) -> None:
    (tmp_path / "music").mkdir()
    minute = np.random.default_rng(0).normal(0, 0.1, (44_100 * 60, 2))
    with sf.SoundFile(tmp_path / "music" / name, "w", 44_100, 2, **options) as file:
        for _ in range(60 * HOURS):
            file.write(minute)
    task, size = task_of(tmp_path)
    assert size > least
    peaks = {"ingest": peak_bytes("ingest", task)}
    path = task.lake / "tables" / "audio" / f"{STEM}.parquet"
    assert path.stat().st_size > size
    ((_, _, seconds),) = pieces.stored(path)
    assert seconds == pytest.approx(HOURS * 3600, abs=0.1)
    wanted = extract.Task(task.lake, path.name, ("music-role-97", "mfcc-120"), ("mel-96-12k",))
    peaks["extract"] = peak_bytes("extract", wanted)
    assert not (task.lake / "tables" / "rejects").exists()
    peaks["duplicates"] = peak_bytes("duplicates", duplicates.Task(task.lake, path.name))
    print({stage: f"{peak >> 20} MiB" for stage, peak in peaks.items()})
    assert {stage: peak for stage, peak in peaks.items() if peak >= LIMIT} == {}
