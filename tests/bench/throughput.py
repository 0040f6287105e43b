"""Print how close ingest and extract come to pure decoding, and what a second worker brings.

All figures of a line come from one run on one machine, repeated in turn; the median is printed. Ray is started before
the clock, since a cluster is there already when work arrives.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import ray

from phonolake import execution
from phonolake.audio.decode import decode, probe
from phonolake.features.mfcc_120 import SR
from phonolake.records import Seconds
from phonolake.stages import extract, ingest, synthesize
from phonolake.synthesis import fma


def decode_files(paths: list[Path]) -> None:
    """What nobody can avoid: read each file, decode it once, resample it once."""
    for path in paths:
        decode(path.read_bytes(), sr=SR)


def decode_and_measure(paths: list[Path]) -> None:
    """Decoding as ingest has to: to the end of the file, at its own rate."""
    for path in paths:
        probe(path.read_bytes(), extension="mp3")


def timed(work: Callable[[], object]) -> float:
    """Seconds that `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def pure_decoding(paths: list[Path], workers: int, pool: ProcessPoolExecutor, work: Callable[..., None]) -> float:
    """Seconds to decode all files on `workers` processes that are warm already."""
    parts = [paths[i :: workers * 4] for i in range(workers * 4)]
    return timed(lambda: list(pool.map(work, parts)))


def stages(corpus: Path, folder: Path) -> tuple[float, float]:
    """Seconds that ingest and extract take into a new lake."""
    lake = str(folder / "lake")
    took_in = timed(lambda: ingest.run(ingest.Config(lake, str(corpus), "fma")))
    extracted = timed(lambda: extract.run(extract.Config(lake, ("mfcc-120",), ("mel-96-12k",))))
    return took_in, extracted


def measure(corpus: Path, paths: list[Path], workers: int, repeats: int) -> dict[str, list[float]]:
    """Times in seconds of each step with a number of workers, the steps in turn."""
    execution.connect(workers=workers)
    times: dict[str, list[float]] = {"decode": [], "probe": [], "ingest": [], "extract": []}
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        pure_decoding(paths[: workers * 4], workers, pool, decode_files)
        for _ in range(repeats + 1):
            with tempfile.TemporaryDirectory() as folder:
                took_in, extracted = stages(corpus, Path(folder))
            times["ingest"].append(took_in)
            times["extract"].append(extracted)
            times["decode"].append(pure_decoding(paths, workers, pool, decode_files))
            times["probe"].append(pure_decoding(paths, workers, pool, decode_and_measure))
    ray.shutdown()
    return {name: values[1:] for name, values in times.items()}  # the first round warms caches and workers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracks", type=int, default=240, help="synthetic MP3 clips of 30 s")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        execution.connect()
        synthesize.run(fma.Config(options.tracks, duration=Seconds(30)), corpus)
        ray.shutdown()
        paths = sorted(corpus.glob("fma_small/*/*.mp3"))
        by_workers = {workers: measure(corpus, paths, workers, options.repeats) for workers in (1, 2)}
    report(by_workers, hours=options.tracks * 30 / 3600)


def report(by_workers: dict[int, dict[str, list[float]]], hours: float) -> None:
    """Print medians over the repeats, and their ratios."""
    print(f"{hours:.1f} hours of 30-s MP3, median of the repeats\n")
    for workers, times in by_workers.items():
        median = {name: statistics.median(values) for name, values in times.items()}
        whole = [i + e for i, e in zip(times["ingest"], times["extract"], strict=True)]
        ratio = statistics.median(d / w for d, w in zip(times["decode"], whole, strict=True))
        twice = statistics.median((d + p) / w for d, p, w in zip(times["decode"], times["probe"], whole, strict=True))
        print(f"{workers} worker(s): " + ", ".join(f"{name} {value:.2f} s" for name, value in median.items()))
        print(f"  ingest + extract runs at {ratio:.0%} of the throughput of decoding and resampling each file once,")
        print(f"  and at {twice:.0%} of the two decodings that it does (one to vouch for the file, one for features)")
    for step in ("decode", "ingest", "extract"):
        ratios = [a / b for a, b in zip(by_workers[1][step], by_workers[2][step], strict=True)]
        print(f"2 workers against 1, {step}: {statistics.median(ratios):.2f} x")


if __name__ == "__main__":
    main()
