"""Print how close ingest and extract come to pure decoding, and what a second worker brings.

All figures of a line come from one run on one machine, repeated in turn; the median is printed. Ray is started before
the clock, since a cluster is there already when work arrives. What is extracted can be chosen; decoding resamples to
the rates that it needs.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import ray

from phonolake import execution
from phonolake.audio.decode import decode_rates, probe
from phonolake.features import contract
from phonolake.records import Hertz, Seconds
from phonolake.stages import extract, ingest, synthesize, take_in
from phonolake.stages.extraction import RecipeNames
from phonolake.synthesis import fma


def decode_files(paths: list[Path], *, rates: list[Hertz]) -> None:
    """What nobody can avoid: read each file, decode it once, resample it once to each rate."""
    for path in paths:
        decode_rates(path.read_bytes(), rates)


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


def stages(music: ingest.Config, folder: Path, wanted: extract.Config) -> tuple[float, float, float]:
    """Seconds that ingest, extract, and both in one pass take into new lakes."""
    lake, other = str(folder / "lake"), str(folder / "other")
    took_in = timed(lambda: ingest.run(replace(music, lake=lake)))
    extracted = timed(lambda: extract.run(replace(wanted, lake=lake)))
    recipes = RecipeNames(wanted.features, wanted.spectrograms)
    return took_in, extracted, timed(lambda: take_in.run(replace(music, lake=other), recipes))


def measure(
    music: ingest.Config, paths: list[Path], workers: int, repeats: int, wanted: extract.Config
) -> dict[str, list[float]]:
    """Times in seconds of each step with a number of workers, the steps in turn."""
    execution.connect(workers=workers)
    times: dict[str, list[float]] = {"decode": [], "probe": [], "ingest": [], "extract": [], "one pass": []}
    decoding = partial(decode_files, rates=rates_of(wanted))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        pure_decoding(paths[: workers * 4], workers, pool, decoding)
        for _ in range(repeats + 1):
            with tempfile.TemporaryDirectory() as folder:
                taken = stages(music, Path(folder), wanted)
            for step, seconds in zip(("ingest", "extract", "one pass"), taken, strict=True):
                times[step].append(seconds)
            times["decode"].append(pure_decoding(paths, workers, pool, decoding))
            times["probe"].append(pure_decoding(paths, workers, pool, decode_and_measure))
    ray.shutdown()
    return {name: values[1:] for name, values in times.items()}  # the first round warms caches and workers


def rates_of(wanted: extract.Config) -> list[Hertz]:
    """Sampling rates that the recipes want."""
    recipes = [*map(contract.feature_set, wanted.features), *map(contract.spectrogram, wanted.spectrograms)]
    return sorted({recipe.sr for recipe in recipes})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracks", type=int, default=240, help="how many clips")
    parser.add_argument("--clip", type=Path, help="all are copies of this recording; else synthetic MP3 clips of 30 s")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--features", action="append", metavar="NAME", help="feature set; mfcc-120 by default")
    parser.add_argument("--spectrogram", action="append", metavar="NAME", help="mel-96-12k by default")
    options = parser.parse_args()
    features, spectrograms = options.features or ["mfcc-120"], options.spectrogram or ["mel-96-12k"]
    wanted = extract.Config("", tuple(features), tuple(spectrograms))
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        music = ingest.Config("", str(corpus), "folder" if options.clip else "fma")
        if options.clip:
            corpus.mkdir()
            for n in range(options.tracks):
                shutil.copyfile(options.clip, corpus / f"{n:06d}{options.clip.suffix}")
        else:
            execution.connect()
            synthesize.run(fma.Config(options.tracks, duration=Seconds(30)), corpus)
            ray.shutdown()
        paths = sorted(corpus.rglob("*.*") if options.clip else corpus.rglob("*.mp3"))
        by_workers = {workers: measure(music, paths, workers, options.repeats, wanted) for workers in (1, 2)}
    what = f"copies of {options.clip.name}" if options.clip else "synthetic MP3 clips of 30 s"
    report(by_workers, f"{options.tracks} {what}, {', '.join(features + spectrograms)}")


def report(by_workers: dict[int, dict[str, list[float]]], title: str) -> None:
    """Print medians over the repeats, and their ratios."""
    print(f"{title}; medians of the repeats\n")
    for workers, times in by_workers.items():
        median = {name: statistics.median(values) for name, values in times.items()}
        whole = [i + e for i, e in zip(times["ingest"], times["extract"], strict=True)]
        ratio = statistics.median(d / w for d, w in zip(times["decode"], whole, strict=True))
        twice = statistics.median((d + p) / w for d, p, w in zip(times["decode"], times["probe"], whole, strict=True))
        print(f"{workers} worker(s): " + ", ".join(f"{name} {value:.2f} s" for name, value in median.items()))
        once = statistics.median(d / o for d, o in zip(times["decode"], times["one pass"], strict=True))
        print(
            f"  ingest with features in one pass runs at {once:.0%} of the throughput of decoding and resampling once"
        )
        print(f"  (wanted: 48 %); ingest, and then extract, run at {ratio:.0%} of it,")
        print(f"  and at {twice:.0%} of the two decodings that it does (one to vouch for the file, one for features)")
        alone = statistics.median(d / e for d, e in zip(times["decode"], times["extract"], strict=True))
        print(f"  extract alone: {alone:.0%} of that throughput (wanted: 50 %)")
    for step in ("decode", "ingest", "extract", "one pass"):
        ratios = [a / b for a, b in zip(by_workers[1][step], by_workers[2][step], strict=True)]
        wanted = " (wanted: 1.8 x)" if step == "extract" else ""
        print(f"2 workers against 1, {step}: {statistics.median(ratios):.2f} x{wanted}")


if __name__ == "__main__":
    main()
