"""Files that were cut, flipped, spliced and given other headers: each a track as long as FFmpeg says, or a reject.

Each is read in a process that may not take more than 512 MiB more than it has when it begins.
"""

import faulthandler
import json
import resource
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from .sounds import by_ffmpeg, encoded, ending

KINDS = ("wav", "flac", "ogg", "mp3", "aiff", "m4a", "aac", "wma", "mka", "caf")
N, N_QUICK = 1000, 40
# Seconds of sound before anything is done to it.
WHOLE = 3
SECONDS, MEMORY = 10.0, 512 << 20
# FFmpeg counts frames that hold no sound, and drops or keeps a damaged one where another decoder does not.
TOLERANCE = 0.25
REASONS = {"empty", "not-audio", "wrong-extension", "truncated", "corrupt", "undecoded", "not-finite"}


def mutated(number: int) -> tuple[str, str, bytes]:
    """Kind, what was done, and the bytes of a file."""
    rng = np.random.default_rng(number)
    kind = KINDS[number % len(KINDS)]
    data = bytearray(encoded(kind, WHOLE))
    what = ("cut", "flipped", "spliced", "header", "several")[number // len(KINDS) % 5]
    for step in ("cut", "flipped", "spliced", "header") if what == "several" else (what,):
        _mutate(data, step, rng, number)
    return kind, what, bytes(data)


def _mutate(data: bytearray, what: str, rng: np.random.Generator, number: int) -> None:
    n = len(data)
    if what == "cut":
        del data[int(rng.integers(n // 10, n)) :]
    elif what == "flipped":
        for at in rng.integers(n, size=int(rng.integers(1, 30))):
            data[at] ^= 1 << int(rng.integers(8))
    elif what == "spliced":
        other = encoded(KINDS[int(rng.integers(len(KINDS)))] if rng.random() < 0.5 else KINDS[number % len(KINDS)], 2)
        start, length = int(rng.integers(len(other))), int(rng.integers(len(other)))
        at, gone = int(rng.integers(n)), int(rng.choice([0, 0, 1000, 20_000]))
        data[at : at + gone] = other[start : start + length]
    else:
        for at in rng.integers(min(n - 8, 200), size=int(rng.integers(1, 4))):
            width = int(rng.choice([1, 2, 4, 8]))
            data[at : at + width] = bytes(rng.choice([0, 255, 127, 1], size=1)) * width


def read(number: int) -> dict[str, object]:
    """What came of a file, how long it took, and whether FFmpeg agrees."""
    from phonolake.audio.decode import probe
    from phonolake.errors import AudioError

    kind, what, data = mutated(number)
    began = time.perf_counter()
    seconds = reason = None
    try:
        with np.errstate(all="ignore"):
            seconds = probe(data, extension=ending(kind)).duration
    except AudioError as error:
        reason = error.reason
    took = time.perf_counter() - began
    reference = by_ffmpeg(data) if seconds is not None else None
    row = {"number": number, "kind": kind, "what": what, "seconds": seconds}
    return row | {"reason": reason, "took": took, "ffmpeg": reference}


def hold(first: int, last: int) -> list[dict[str, object]]:
    """Read some files in a process of its own."""
    root = Path(__file__).parents[1]
    program = (
        f"import sys; sys.path.insert(0, {str(root)!r}); from zoo import test_mutations as m; m.main({first}, {last})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def main(first: int, last: int) -> None:
    """The process: one line of JSON for each file."""
    import phonolake.audio.decode  # noqa: F401

    for kind in KINDS:
        encoded(kind, WHOLE), encoded(kind, 2)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)
    for number in range(first, last):
        # A decoder that hangs ends the process, with a trace that says where.
        faulthandler.dump_traceback_later(3 * SECONDS, exit=True)
        print(json.dumps(read(number)), flush=True)
    faulthandler.cancel_dump_traceback_later()


def check(rows: list[dict[str, object]], n: int) -> None:
    assert len(rows) == n
    wrong = [row for row in rows if not _is_right(row)]
    counts = Counter(str(row["reason"] or "a track") for row in rows)
    print(f"{n} files: {dict(counts)}, slowest {max(float(str(row['took'])) for row in rows):.2f} s")
    assert not wrong, "\n".join(map(str, wrong))


def _is_right(row: dict[str, object]) -> bool:
    if float(str(row["took"])) > SECONDS:
        return False
    if row["seconds"] is None:
        return row["reason"] in REASONS
    # Where only bytes were changed, all that was encoded is right, too: FFmpeg trusts some headers more.
    right = [row["ffmpeg"]] + [WHOLE] * (row["what"] in ("flipped", "header"))
    return any(abs(float(str(row["seconds"])) - float(str(s))) < TOLERANCE for s in right if s is not None)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from Linux's /proc")
def test_some_mutated_files() -> None:
    check(hold(0, N_QUICK), N_QUICK)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from Linux's /proc")
def test_a_thousand_mutated_files() -> None:
    check(hold(0, N), N)
