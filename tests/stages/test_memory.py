"""What a worker needs in memory depends on one piece of a track, never on its length nor on the number of tracks."""

import io
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
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

FEW, MANY = 16, 128
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
    for n in (FEW, MANY):
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
        assert many < ALLOWED * few, f"{stage}: {few >> 20} MiB with {FEW} tracks, {many >> 20} MiB with {MANY}"


def write_wav(path: Path) -> None:
    block = minute()
    with sf.SoundFile(path, "w", 44_100, 2, subtype="PCM_16") as file:
        for _ in range(60 * HOURS):
            file.write(block)


def write_mp3(path: Path) -> None:
    """A minute at 320 kbit/s over and over: without a header that states its length, the frames are a stream."""
    encoded = io.BytesIO()
    with av.open(encoded, "w", format="mp3", options={"write_xing": "0", "id3v2_version": "0"}) as container:
        stream = container.add_stream("libmp3lame", rate=44_100, layout="stereo", bit_rate=320_000)
        frame = av.AudioFrame.from_ndarray(minute().astype(np.float32).T.copy(), "fltp", "stereo")
        frame.sample_rate = 44_100
        container.mux([*stream.encode(frame), *stream.encode(None)])
    with open(path, "wb") as file:
        for _ in range(60 * HOURS):
            file.write(encoded.getvalue())


def minute() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, (44_100 * 60, 2))


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("name", "write", "least"), [("mix.wav", write_wav, 1.9e9), ("mix.mp3", write_mp3, 0.4e9)])
def test_a_recording_of_three_hours_takes_less_than_a_gibibyte(
    tmp_path: Path, name: str, write: Callable[[Path], None], least: float
) -> None:
    (tmp_path / "music").mkdir()
    write(tmp_path / "music" / name)
    task, size = task_of(tmp_path)
    assert size > least
    peaks = {"ingest": peak_bytes("ingest", task)}
    path = task.lake / "tables" / "audio" / f"{STEM}.parquet"
    assert path.stat().st_size > size
    ((_, _, seconds),) = pieces.stored(path)
    # An encoder of MP3 fills up its last frame.
    assert seconds == pytest.approx(HOURS * 3600, rel=2e-3)
    wanted = extract.Task(task.lake, path.name, ("music-role-97", "mfcc-120"), ("mel-96-12k",))
    peaks["extract"] = peak_bytes("extract", wanted)
    assert not (task.lake / "tables" / "rejects").exists()
    peaks["duplicates"] = peak_bytes("duplicates", duplicates.Task(task.lake, path.name))
    print({stage: f"{peak >> 20} MiB" for stage, peak in peaks.items()})
    assert {stage: peak for stage, peak in peaks.items() if peak >= LIMIT} == {}
