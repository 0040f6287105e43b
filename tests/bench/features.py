"""Print how fast features are computed, as ratios of times measured in turn in one process, on one core.

Every line compares two ways to do the same work; the median of their ratios is printed, and the times of both. The
audio is made here: a MP3 clip of music whose truth is known.
"""

import argparse
import os

# One core for every library: what is promised is promised per core.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import io
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import references
import soundfile as sf
import torch

from phonolake.audio.decode import decode_rates
from phonolake.features import contract, spectral
from phonolake.features.clip import Clip
from phonolake.inference.recordings import describe
from phonolake.records import Seconds

FIVE = ("music-role-97", "music-role-97-corrected", "music-role-40", "mfcc-120", "mfcc-120-delta")


def music(seconds: float, sr: int = 44_100) -> np.ndarray:
    """Plucked notes in a beat with noise: stereo, shape (n, 2)."""
    rng = np.random.default_rng(0)
    t = np.arange(round(seconds * sr)) / sr
    y = 0.01 * rng.standard_normal((len(t), 2))
    for start in np.arange(0, seconds, 0.25):
        since = np.clip(t - start, 0, None)
        envelope = np.exp(-6 * since) * (t >= start)
        for harmonic in range(1, 6):
            tone = np.sin(2 * np.pi * harmonic * 110 * 2 ** (rng.integers(24) / 12) * since)
            y += (0.1 / harmonic * envelope * tone)[:, None] * rng.uniform(0.5, 1, 2)
    return (y / np.abs(y).max()).astype(np.float32)


def encoded(seconds: float) -> bytes:
    """The music as a MP3 file."""
    buffer = io.BytesIO()
    sf.write(buffer, music(seconds), 44_100, format="MP3", subtype="MPEG_LAYER_III")
    return buffer.getvalue()


def seconds_of(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(title: str, target: str, first: Callable[[], object], second: Callable[[], object], repeats: int) -> None:
    """Print how many times as long the first takes as the second, in turn."""
    first(), second()
    pairs = [(seconds_of(first), seconds_of(second)) for _ in range(repeats)]
    ratio = statistics.median(a / b for a, b in pairs)
    a, b = (1e3 * statistics.median(times) for times in zip(*pairs, strict=True))
    print(f"{title}: {ratio:.2f} x  ({a:.2f} ms / {b:.2f} ms; wanted: {target})", flush=True)


def torch_log_mel(y: torch.Tensor, basis_MF: torch.Tensor, window: torch.Tensor) -> torch.Tensor:
    """The same spectrogram by torch.stft, with all that can be prepared prepared."""
    spectrum = torch.stft(y, 512, 256, window=window, center=True, pad_mode="constant", return_complex=True)
    db = 10 * torch.log10((basis_MF @ (spectrum.real**2 + spectrum.imag**2)).clamp_min(1e-10))
    return db.maximum(db.max() - 80)


def clips(repeats: int) -> None:
    """Ten-second clips against librosa and torch."""
    data = encoded(10)
    decoded = decode_rates(data, [22_050, 12_000])
    y22, y12 = decoded[22_050], decoded[12_000]
    role, mel = contract.feature_set("music-role-97"), contract.spectrogram("mel-96-12k")
    compare(
        "music-role-97, librosa / here", ">= 6", lambda: references.music_role_97(y22), lambda: role.of(y22), repeats
    )
    compare("log-mel, librosa / here", ">= 2", lambda: references.log_mel_96_12k(y12), lambda: mel.of(y12), 4 * repeats)
    tensor, window = torch.from_numpy(y12), torch.hann_window(512)
    basis = torch.from_numpy(spectral.mel_filterbank(sr=12_000, n_fft=512, n_mels=96))
    compare(
        "log-mel, torch.stft / here",
        "> 1",
        lambda: torch_log_mel(tensor, basis, window),
        lambda: mel.of(y12),
        4 * repeats,
    )
    sets = [contract.feature_set(name) for name in FIVE]
    alone = {
        s.name: statistics.median(seconds_of(lambda s=s: s.of(decoded[s.sr])) for _ in range(repeats)) for s in sets
    }
    dearest = max(sets, key=lambda s: alone[s.name])

    def together() -> None:
        clips = {sr: Clip(y, sr) for sr, y in decoded.items()}
        for s in sets:
            s.compute(clips[s.sr])

    title = f"five sets in one pass / {dearest.name} alone"
    compare(title, "<= 1.6", together, lambda: dearest.of(decoded[dearest.sr]), repeats)


def recordings(repeats: int) -> None:
    """From encoded MP3 of 30 s to features, against decoding and resampling alone."""
    data = encoded(30)
    recipes = [contract.feature_set("music-role-97"), contract.spectrogram("mel-96-12k")]
    compare(
        "30-s MP3: decode + resample / with music-role-97 and log-mel",
        ">= 0.5",
        lambda: decode_rates(data, [22_050, 12_000]),
        lambda: describe(recipes, data, Seconds(30.0)),
        repeats,
    )


PEAK = """
import sys
from pathlib import Path
from phonolake.audio.encoded import OnDisk
from phonolake.features import contract
from phonolake.inference.recordings import describe
recipes = [contract.feature_set("music-role-97"), contract.feature_set("mfcc-120"), contract.spectrogram("mel-96-12k")]
with OnDisk(Path(sys.argv[1])) as data:
    found = describe(recipes, data, float(sys.argv[2]) * 3600)
assert all(isinstance(a, list) for a in found.values()), found
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM:")).split()[1])
"""


def memory(hours: float, folder: Path) -> None:
    """Peak memory of one process with one long recording."""
    path = folder / "long.mp3"
    block = music(60)
    with sf.SoundFile(path, "w", 44_100, 2, format="MP3", subtype="MPEG_LAYER_III") as file:
        for _ in range(round(hours * 60)):
            file.write(block)
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(path), str(hours)], capture_output=True, text=True, check=True
    )
    size = path.stat().st_size / 2**20
    print(f"peak memory with a MP3 of {hours:g} h ({size:.0f} MiB): {int(done.stdout) / 1024:.0f} MiB (wanted: < 1024)")


def main() -> None:
    import tempfile

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--hours", type=float, default=0.0, help="also measure memory with a recording this long")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="n_fft=")
    torch.set_num_threads(1)
    clips(options.repeats)
    recordings(options.repeats)
    if options.hours:
        with tempfile.TemporaryDirectory() as folder:
            memory(options.hours, Path(folder))


if __name__ == "__main__":
    main()
