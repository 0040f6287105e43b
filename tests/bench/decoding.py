"""Print how long this version takes to decode recordings, beside another version of Phonolake in a checkout of its own.

    git worktree add ../before v1
    python tests/bench/decoding.py --against ../before music/*.mp3

A process of each version decodes the same file in turn, changing who begins, and each pair gives a ratio of processor
time: what else the machine does falls on both alike. Printed is the median over all pairs, with its quartiles.
"""

import argparse
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SR = 22_050
# What a process does for each line of standard input, a path: it prints two times in seconds.
WORKER = f"""
import sys, time
from phonolake.audio.decode import decode, probe
from phonolake.records import Hertz
for line in sys.stdin:
    data = open(line.rstrip("\\n"), "rb").read()
    took = []
    for work in (lambda: decode(data, sr=Hertz({SR})), lambda: probe(data)):
        begun = time.process_time()
        work()
        took.append(time.process_time() - begun)
    print(*took, flush=True)
"""
STEPS = ("decoded and resampled", "decoded and measured")


class Version:
    """A process with one version of the code."""

    def __init__(self, checkout: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            env=os.environ | {"PYTHONPATH": str(checkout / "platform")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def times(self, path: Path) -> list[float]:
        """Processor time of each step for a file, in seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        return [float(word) for word in self._process.stdout.readline().split()]

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def measure(paths: list[Path], against: Path, repeats: int) -> dict[str, dict[str, list[float]]]:
    """Ratios of this version to the other for each step, by the ending of the file."""
    versions = {"this": Version(ROOT), "other": Version(against)}
    ratios: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for path in paths:  # the first time a file is read, and libraries are loaded
        for version in versions.values():
            version.times(path)
    for turn in range(repeats):
        for number, path in enumerate(paths):
            order = sorted(versions, reverse=(turn + number) % 2 == 1)
            took = {name: versions[name].times(path) for name in order}
            for step, this, other in zip(STEPS, took["this"], took["other"], strict=True):
                ratios[step][path.suffix.lower()].append(this / other)
    for version in versions.values():
        version.close()
    return ratios


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="recordings that both versions can decode")
    parser.add_argument("--against", type=Path, required=True, help="checkout of the other version")
    parser.add_argument("--repeats", type=int, default=7, help="turns over all files")
    options = parser.parse_args()
    found = measure(options.files, options.against.resolve(), options.repeats)
    for step, by_ending in found.items():
        everything = [ratio for ratios in by_ending.values() for ratio in ratios]
        for ending, ratios in (*sorted(by_ending.items()), ("all", everything)):
            low, middle, high = statistics.quantiles(ratios, n=4)
            print(
                f"{step}, {ending}: this / other {middle:.3f} (quartiles {low:.3f} to {high:.3f}, {len(ratios)} pairs)"
            )


if __name__ == "__main__":
    main()
