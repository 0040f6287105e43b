"""Print how close ingest of many small files comes to copying their bytes and to writing the same Parquet.

All figures come from one run on one machine, the steps in turn; medians over the repeats are printed. Copying and
writing are done in one process without Ray, and so is the ingest beside them; the same over Ray is timed besides.
"""

import argparse
import io
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray
import soundfile as sf

from phonolake import execution
from phonolake.audio.decode import probe
from phonolake.records import Seconds
from phonolake.sources import contract
from phonolake.stages import ingest
from phonolake.store import schema
from phonolake.synthesis.layouts import contract as layouts
from phonolake.synthesis.music import GENRES, compose

SOURCE = "urbansound8k"
ROW_GROUP = 128


def make(root: Path, n_clips: int, seconds: float) -> None:
    """A corpus in the layout of UrbanSound8K: few pieces of music, each clip another turn of one of them."""
    config = layouts.Config(SOURCE, n_clips, duration=Seconds(seconds))
    clips = layouts.plan(config)
    rates = sorted({clip.sr for clip in clips})
    pieces = {
        (sr, genre): compose(genre, rng=np.random.default_rng(i), duration=Seconds(seconds), sr=sr)
        for sr in rates
        for i, genre in enumerate(GENRES)
    }
    for clip in clips:
        buffer = io.BytesIO()
        samples = np.roll(pieces[clip.sr, GENRES[clip.kind % len(GENRES)]], clip.number)
        sf.write(buffer, samples, clip.sr, format="WAV", subtype="PCM_16")
        path = layouts.audio_path(clip, root)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(buffer.getvalue())
    layouts.write_metadata(clips, config, root)


def copy(paths: list[Path], target: Path) -> None:
    """What a file system takes for the same bytes: file by file, to the disk."""
    for i, path in enumerate(paths):
        shutil.copyfile(path, target / f"{i}.wav")
    descriptor = os.open(target, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def write_parquet(corpus: Path, target: Path) -> None:
    """What pyarrow takes for the same rows, with everything but the decoded facts known from the dataset's table."""
    table = schema.table("audio").arrow
    rows = []
    with pq.ParquetWriter(target / "audio.parquet", table, compression="NONE", write_statistics=False) as writer:
        for recording in contract.recordings(contract.get(SOURCE), corpus):
            data = recording.path.read_bytes()
            facts = {"container": "WAV", "codec": "PCM_16", "sr": 0, "channels": 1, "n_samples": 0, "sha256": ""}
            where = {"source_path": str(recording.path), "source_bytes": len(data), "source_mtime": 0}
            rows.append({"track_id": recording.source_id, "bytes": data, "peak_dbfs": 0, "rms_dbfs": 0} | facts | where)
            if len(rows) == ROW_GROUP:
                writer.write_table(pa.Table.from_pylist(rows, schema=table))
                rows = []
        if rows:
            writer.write_table(pa.Table.from_pylist(rows, schema=table))
    with open(target / "audio.parquet", "rb") as written:
        os.fsync(written.fileno())


def take_in(corpus: Path, target: Path) -> None:
    """Ingest with its shards one after the other in this process."""

    def one_by_one(function, payloads, **_):
        return ((payload, function(payload)) for payload in payloads)

    with mock.patch.object(execution, "imap", one_by_one):
        ingest.run(ingest.Config(str(target / "lake"), str(corpus), SOURCE, min_seconds=0.1))


def take_in_over_ray(corpus: Path, target: Path) -> None:
    """Ingest as it is."""
    ingest.run(ingest.Config(str(target / "lake"), str(corpus), SOURCE, min_seconds=0.1))


def vouch(paths: list[Path]) -> None:
    """Decode each file to its end, as ingest does before it takes one."""
    for path in paths:
        probe(path.read_bytes(), extension="wav")


def timed(work: Callable[[Path], object]) -> float:
    """Seconds that `work` takes in a new folder."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        work(Path(folder))
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    execution.connect()
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        make(corpus, options.clips, options.seconds)
        paths = [r.path for r in contract.recordings(contract.get(SOURCE), corpus)]
        steps: dict[str, Callable[[Path], object]] = {
            "copy": lambda target: copy(paths, target),
            "parquet": lambda target: write_parquet(corpus, target),
            "decode": lambda target: vouch(paths),
            "ingest": lambda target: take_in(corpus, target),
            "over Ray": lambda target: take_in_over_ray(corpus, target),
        }
        times: dict[str, list[float]] = {name: [] for name in steps}
        for turn in range(options.repeats + 1):
            for name, work in steps.items():
                seconds = timed(work)
                if turn:  # the first turn warms caches and workers
                    times[name].append(seconds)
        n_bytes = sum(path.stat().st_size for path in paths)
    ray.shutdown()
    report(times, options.clips, n_bytes)


def report(times: dict[str, list[float]], n_clips: int, n_bytes: int) -> None:
    """Print medians and their ratios, each ratio out of the same turn."""
    print(f"{n_clips:,} clips, {n_bytes / 2**20:.0f} MiB, median of the turns\n")
    for name, values in times.items():
        print(f"{name:10} {statistics.median(values):7.2f} s  {n_clips / statistics.median(values):8.0f} clips/s")

    def ratio(top: str, bottom: str) -> float:
        return statistics.median(a / b for a, b in zip(times[top], times[bottom], strict=True))

    print(f"\ningest takes {ratio('ingest', 'copy'):.2f} x copying the same bytes,")
    print(f"  {ratio('ingest', 'parquet'):.2f} x writing the same Parquet with pyarrow alone,")
    share = ratio("decode", "ingest")
    print(f"  and {share:.0%} of it is decoding each file once to vouch for it;")
    rest = statistics.median(
        (i - d) / p for i, d, p in zip(*(times[n] for n in ("ingest", "decode", "parquet")), strict=True)
    )
    print(f"  without that it takes {rest:.2f} x the writing")
    print(f"over Ray, with all cores, it takes {ratio('over Ray', 'ingest'):.2f} x the time of one process")


if __name__ == "__main__":
    main()
