"""How fast and how flat co-occurrence is counted, beside pandas and scipy.sparse: `python tests/bench/cooccurrence.py`.

Each way runs in a process of its own, in turn with the others, so that its peak memory is its own; what is printed are
medians. The matrices are like those of the field: 240,000 tracks with 50 tags (the Million Song Dataset) and 2,000,000
with 527 (AudioSet), about two labels to a track. A quarter and a half of the latter show how memory grows with the
tracks; pages of the mapped file do not count, since the system takes them back whenever it needs them.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scipy import sparse

SIZES = {
    "msd": (240_000, 50),
    "audioset-quarter": (500_000, 527),
    "audioset-half": (1_000_000, 527),
    "audioset": (2_000_000, 527),
}
WAYS = ("phonolake", "phonolake, sparse", "scipy.sparse", "pandas")
PER_TRACK = 2.0
BLOCK = 50_000


def write_matrix(path: Path, n_tracks: int, n_labels: int, seed: int) -> None:
    """Labels by a falling share of the tracks, as popularity falls, written block by block."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, n_labels + 1)
    share *= PER_TRACK / share.sum()
    Y = np.lib.format.open_memmap(path, "w+", bool, (n_tracks, n_labels))
    for start in range(0, n_tracks, BLOCK):
        rows = min(BLOCK, n_tracks - start)
        Y[start : start + rows] = rng.random((rows, n_labels), np.float32) < np.minimum(share, 0.5).astype(np.float32)
    Y.flush()


def count(way: str, path: Path) -> np.ndarray:
    """Counts of all pairs, by one of the ways."""
    if way == "phonolake":
        from phonolake.analysis.labels.counting import cooccurrence_counts

        return cooccurrence_counts(np.load(path, mmap_mode="r"))
    if way == "phonolake, sparse":
        from phonolake.analysis.labels.counting import cooccurrence_counts

        return cooccurrence_counts(sparse.load_npz(path.with_suffix(".npz")))
    if way == "scipy.sparse":
        Y = sparse.csr_array(np.load(path), dtype=np.int64)
        return (Y.T @ Y).toarray()
    import pandas as pd

    frame = pd.DataFrame(np.load(path).astype(np.float32))
    return frame.T.dot(frame).to_numpy().astype(np.int64)


def anonymous(pid: int | str) -> int:
    """Memory of a process in KiB, without the pages of mapped files; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("RssAnon:")), 0)


def measure(way: str, path: Path) -> tuple[float, float, int]:
    """Seconds, peak memory above the start in MiB, and a checksum, of one run in a fresh process.

    Raises
    ------
    RuntimeError
        If it fails.
    """
    command = [sys.executable, __file__, "--way", way, "--path", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        peak = 0
        while child.poll() is None:
            peak = max(peak, anonymous(child.pid))
            time.sleep(0.003)
        assert child.stdout is not None
        said = child.stdout.read().split()
    if child.returncode:
        raise RuntimeError(f"{way} ended with {child.returncode}")
    return float(said[0]), (peak - int(said[1])) / 1024, int(said[2])


def run_one(way: str, path: Path) -> None:
    """One measurement, in this process."""
    # Imports are not what is measured.
    import pandas  # noqa: F401

    from phonolake.analysis.labels import counting  # noqa: F401

    before = anonymous("self")
    start = time.perf_counter()
    both = count(way, path)
    seconds = time.perf_counter() - start
    weights = np.arange(both.size, dtype=np.int64).reshape(both.shape) % 9973
    print(seconds, before, int((both * weights).sum()))


def compare(name: str, repeats: int) -> dict[str, float]:
    """Print one size; peak memory of each way above its start, in MiB."""
    n_tracks, n_labels = SIZES[name]
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "labels.npy"
        write_matrix(path, n_tracks, n_labels, seed=0)
        Y = np.load(path, mmap_mode="r")
        sparse.save_npz(path.with_suffix(".npz"), sparse.csr_array(Y, dtype=np.int8), compressed=False)
        found: dict[str, list[tuple[float, float, int]]] = {way: [] for way in WAYS}
        for _ in range(repeats):
            for way in WAYS:
                found[way].append(measure(way, path))
    checksums = {run[2] for runs in found.values() for run in runs}
    print(f"\n{n_tracks:,} x {n_labels}: {'all counts agree' if len(checksums) == 1 else 'COUNTS DIFFER'}")
    ours = statistics.median(run[0] for run in found[WAYS[0]])
    peaks = {}
    for way, runs in found.items():
        seconds, peaks[way] = (statistics.median(run[k] for run in runs) for k in (0, 1))
        print(f"  {way:18} {seconds:8.3f} s  {seconds / ours:6.2f} x  {peaks[way]:8.0f} MiB above the start")
    return peaks


def growth(peaks: dict[str, dict[str, float]]) -> None:
    """Print peak memory by the number of tracks, for the sizes with the same labels."""
    sizes = [name for name in peaks if SIZES[name][1] == SIZES["audioset"][1]]
    if len(sizes) < 2:
        return
    print(f"\nPeak memory in MiB with {SIZES['audioset'][1]} labels, by tracks")
    print(f"  {'':18}" + "".join(f"{SIZES[name][0]:>12,}" for name in sizes))
    for way in WAYS:
        print(f"  {way:18}" + "".join(f"{peaks[name][way]:12,.0f}" for name in sizes))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", default=list(SIZES), help=f"of {', '.join(SIZES)}")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.way:
        run_one(chosen.way, chosen.path)
    else:
        growth({size: compare(size, chosen.repeats) for size in chosen.sizes})
