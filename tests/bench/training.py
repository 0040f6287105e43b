"""Print how close training and scoring from a lake come to a bare PyTorch loop over a batch that lies in memory.

The bare loop does what nobody can avoid: forward, loss, backward, step; or forward alone. Both sides take the same
model, batch size, number of threads and kind of numbers, in turn; the median of the ratios is printed. With
``--command`` the time from the start of ``phonolake train`` to the end of its first step is measured too.
"""

import argparse
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile as sf
import torch
from torch import nn

from phonolake.inference import inputs
from phonolake.inference.predictor import Predictor
from phonolake.inference.series_inputs import StoredSpectrogram
from phonolake.models import registry
from phonolake.models.loaded import wrap
from phonolake.training.batches import TrackBatches
from phonolake.training.loop import Hardware, Recipe, fit
from phonolake.training.steps import Trainer

N_CLASSES = 50
# Dense bf16 of an H200 without sparsity, the only peak that is known here; others are left out.
PEAK_FLOPS = {"NVIDIA H200": 989e12}


def write_spectrograms(path: Path, n_tracks: int, n_frames: int) -> None:
    """Row groups of 4 MiB, as the lake writes them."""
    rng = np.random.default_rng(0)
    rows = []
    for n in range(n_tracks):
        data = rng.normal(-40, 15, (96, n_frames)).astype("<f2").tobytes()
        rows.append({"track_id": f"t{n}", "n_bands": 96, "n_frames": n_frames, "data": data})
    group = max(1, (4 << 20) // len(rows[0]["data"]))
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=group, compression="NONE")


def write_audio(path: Path, n_tracks: int, seconds: float, sr: int) -> None:
    """Half-minute Ogg Vorbis files in row groups of 4 MiB."""
    rng = np.random.default_rng(0)
    time_T = np.arange(int(seconds * sr)) / sr
    rows = []
    for n in range(n_tracks):
        y = 0.3 * np.sin(2 * np.pi * (200 + 10 * n) * time_T) + 0.05 * rng.normal(size=len(time_T))
        file = io.BytesIO()
        sf.write(file, y.astype(np.float32), sr, format="OGG", subtype="VORBIS")
        rows.append({"track_id": f"t{n}", "bytes": file.getvalue()})
    group = max(1, (4 << 20) // len(rows[0]["bytes"]))
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=group, compression="NONE")


class Case:
    """One model with its shard."""

    def __init__(self, name: str, folder: Path, options: argparse.Namespace) -> None:
        self.module = registry.get(name)
        self.name = name
        self.device = torch.device(options.device)
        self.n_steps = self.module.CARD.n_frames or options.frames
        kind, _, value = self.module.CARD.input.partition(":")
        self.kind = inputs.series(self.module.CARD.input)
        self.shard = folder / f"{name}.parquet"
        n_tracks = options.tracks if kind == "spectrogram" else max(8, options.tracks // 4)
        if kind == "spectrogram":
            write_spectrograms(self.shard, n_tracks, self.n_steps)
        else:
            write_audio(self.shard, n_tracks, 29.1, int(value))
        self.targets = {f"t{n}": n % N_CLASSES for n in range(n_tracks)}
        recipe = dict(self.module.CARD.recipe) | {"max_epochs": 1, "schedule": "constant"}
        self.recipe = Recipe(**recipe)
        self.hardware = Hardware(device=options.device)

    def network(self) -> nn.Module:
        network: nn.Module = self.module.build(N_CLASSES, n_frames=self.n_steps, seed=0)
        return network.to(self.device)

    def batches(self) -> TrackBatches:
        return TrackBatches(
            [self.shard],
            self.targets,
            kind=self.kind,
            n_steps=self.n_steps,
            batch_size=self.recipe.batch_size,
            seed=0,
            crops=self.recipe.crops_per_track,
        )

    def from_lake(self) -> float:
        """Examples per second of one epoch from the shard, the scan of the shard included."""
        network = self.network()

        def train() -> int:
            source = self.batches()
            fit(network, source.training, None, recipe=self.recipe, hardware=self.hardware)
            return len(source) * self.recipe.crops_per_track

        return self.rate(train)

    def bare(self) -> float:
        """Examples per second of as many steps on a batch that is there."""
        network = self.network().train()
        trainer = Trainer(network, self.recipe, self.hardware, self.device, None)
        x, y = next(iter(self.batches().training(1)))
        x_B = torch.from_numpy(x).to(self.device).float()
        y_B = torch.from_numpy(y).to(self.device)
        optimizer = trainer.optimizer
        n_steps = -(-len(self.targets) * self.recipe.crops_per_track // self.recipe.batch_size)

        def train() -> int:
            for _ in range(n_steps):
                optimizer.zero_grad()
                with torch.autocast(self.device.type, trainer.dtype, enabled=trainer.dtype != torch.float32):
                    logits_BK = network(x_B)
                nn.functional.cross_entropy(logits_BK.float(), y_B).backward()
                optimizer.step()
            return n_steps * len(y)

        return self.rate(train)

    def scored(self) -> float:
        """Windows per second of scoring the shard."""
        loaded = self.loaded()

        def score() -> int:
            return sum(len(track.starts) for track in Predictor.of(loaded).score_shard(self.shard))

        return self.rate(score)

    def bare_scored(self) -> float:
        """Windows per second of forward passes over a batch that is there."""
        loaded = self.loaded()
        x, _ = next(iter(self.batches().training(1)))
        x_B = torch.from_numpy(x).to(self.device).float()
        n_windows = len(self.targets) * (1 if isinstance(self.kind, StoredSpectrogram) else 10)
        n_passes = -(-n_windows // len(x))

        def forward() -> int:
            with torch.inference_mode():
                for _ in range(n_passes):
                    embedding_BE = loaded.network.embed(x_B)
                    loaded.network.classify(embedding_BE).softmax(dim=1).cpu()
            return n_passes * len(x)

        return self.rate(forward)

    def loaded(self) -> Any:
        build = {"n_classes": N_CLASSES, "n_frames": self.n_steps, "seed": 0}
        classes = [str(k) for k in range(N_CLASSES)]
        card = {"model": self.name, "build": build, "classes": classes, "activation": "softmax"}
        return wrap(self.network(), card, device=str(self.device))

    def rate(self, work: Callable[[], int]) -> float:
        self.wait()
        start = time.perf_counter()
        n = work()
        self.wait()
        return n / (time.perf_counter() - start)

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def flops(self) -> float:
        """Floating-point operations of a training step per example, as PyTorch counts them."""
        from torch.utils.flop_counter import FlopCounterMode

        network = self.network()
        x, y = next(iter(self.batches().training(1)))
        with FlopCounterMode(display=False) as counter:
            logits_BK = network(torch.from_numpy(x).to(self.device).float())
            nn.functional.cross_entropy(logits_BK, torch.from_numpy(y).to(self.device)).backward()
        return counter.get_total_flops() / len(y)


def compare(what: str, ours: Callable[[], float], bare: Callable[[], float], repeats: int) -> float:
    """Print the median rates, and the median and range of the ratios; the median rate of ours.

    The two sides take turns in going first, so that a load that comes or goes weighs on both alike.
    """
    ours(), bare()  # warms caches
    pairs = []
    for n in range(repeats):
        first, second = (ours, bare) if n % 2 == 0 else (bare, ours)
        rates = first(), second()
        pairs.append(rates if n % 2 == 0 else rates[::-1])
    mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratios = sorted(a / b for a, b in pairs)
    spread = f"{ratios[0]:.0%} to {ratios[-1]:.0%}"
    ratio = statistics.median(ratios)
    print(f"  {what}: {mine:.1f} per second, bare loop {theirs:.1f}: {ratio:.0%} ({spread})")
    return mine


# Run in the command's own process and, through PYTHONPATH, in every worker: notes when an optimizer has stepped first.
WATCH = """
import importlib.abc, importlib.machinery, os, sys, time
place = os.environ["PHONOLAKE_BENCH_STEP"]
class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name != "phonolake.training.steps":
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        load = spec.loader.exec_module
        def loaded(module):
            load(module)
            from torch.optim.optimizer import register_optimizer_step_post_hook
            def note(*_):
                try:
                    os.close(os.open(place, os.O_CREAT | os.O_EXCL))
                except FileExistsError:
                    pass
            register_optimizer_step_post_hook(note)
        spec.loader.exec_module = loaded
        return spec
sys.meta_path.insert(0, Watch())
"""


def to_first_step(folder: Path, repeats: int) -> None:
    """Print the seconds from the start of the command to the end of the first step of 16 clips of two seconds."""
    from phonolake.demo import Config, run
    from phonolake.records import Seconds
    from phonolake.synthesis import fma

    lake, watch = folder / "demo" / "lake", folder / "watch"
    watch.mkdir()
    (watch / "sitecustomize.py").write_text(WATCH, encoding="utf-8")
    run(Config(folder / "demo", fma.Config(n_tracks=96, seed=0, duration=Seconds(2)), max_epochs=1))
    ways: tuple[tuple[str, ...], ...] = ((), ("--workers", "1"), ("--workers", "2"), ("--from-audio",))
    seconds: dict[tuple[str, ...], list[float]] = {way: [] for way in ways}
    for n in range(repeats):
        for number, way in enumerate(ways):
            seconds[way].append(_first_step(lake, watch, way, seed=1000 + 10 * n + number))
    for way, measured in seconds.items():
        how = " ".join(way) or "(a plain task)"
        print(f"phonolake train {how}: {statistics.median(measured):.1f} s to the first step")


def _first_step(lake: Path, watch: Path, way: tuple[str, ...], *, seed: int) -> float:
    mark = watch / f"step-{seed}"
    path = os.pathsep.join([str(watch), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]).rstrip(os.pathsep)
    environment = os.environ | {"PYTHONPATH": path, "PHONOLAKE_BENCH_STEP": str(mark)}
    words = ["train", "k2c2", "--max-epochs", "1", "--seed", str(seed), *way, "--lake", str(lake)]
    command = [sys.executable, "-m", "phonolake.cli.main", *words]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    while process.poll() is None and not mark.exists():
        time.sleep(0.01)
    elapsed = time.perf_counter() - start
    if process.wait() or not mark.exists():
        sys.exit(f"{' '.join(words)} ended with {process.returncode} and without a step")
    return elapsed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["k2c2", "sample-3-9"])
    parser.add_argument("--tracks", type=int, default=128)
    parser.add_argument("--frames", type=int, default=1360, help="frames of spectrograms where the model takes any")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--command", action="store_true", help="also time the command up to its first step")
    options = parser.parse_args()
    print(f"{torch.get_num_threads()} threads, {options.device}, median of {options.repeats}")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.models:
            case = Case(name, Path(folder), options)
            print(f"{name} ({case.module.CARD.input}, batch {case.recipe.batch_size}, {case.n_steps} steps in time)")
            rate = compare("training", case.from_lake, case.bare, options.repeats)
            compare("scoring", case.scored, case.bare_scored, options.repeats)
            if case.device.type == "cuda":
                achieved, gpu = rate * case.flops(), torch.cuda.get_device_name()
                share = f", {achieved / PEAK_FLOPS[gpu]:.1%} of the peak" if gpu in PEAK_FLOPS else ""
                print(f"  {achieved / 1e12:.2f} TFLOP/s in training{share} on {gpu}")
        if options.command:
            to_first_step(Path(folder), options.repeats)


if __name__ == "__main__":
    main()
