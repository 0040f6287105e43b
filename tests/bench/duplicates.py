"""What comparing fingerprints costs: made ones of many tracks, none of which repeats another.

python tests/bench/duplicates.py --tracks 2000 --tracks 20000
"""

import argparse
import resource
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from phonolake.features import fingerprint
from phonolake.stages import duplicates

FRAMES = 2553  # of 30 s
AT_ONCE = 1000
# Neighbouring frames share most of their samples: energies of bands are smooth over some 32 frames.
SMOOTH = np.fft.rfft(np.convolve(np.hanning(34), np.hanning(34)), 4096)


def words(rng: np.random.Generator) -> np.ndarray:
    """Sub-fingerprints of a recording that never was, uint32 of shape (FRAMES,)."""
    noise_BT = rng.standard_normal((fingerprint.N_BITS + 1, 4096), dtype=np.float32)
    energy_BT = np.fft.irfft(np.fft.rfft(noise_BT, axis=1) * SMOOTH, axis=1)[:, : FRAMES + 1] ** 2
    step_BT = np.diff(energy_BT, axis=0)
    bits_BT = np.diff(step_BT, axis=1) > 0
    weights = np.uint32(1) << np.arange(fingerprint.N_BITS, dtype=np.uint32)
    return np.asarray((bits_BT.T * weights).sum(axis=1, dtype=np.uint32))


def write(folder: Path, n_tracks: int) -> None:
    """Fingerprints of `n_tracks` as Parquet."""
    for start in range(0, n_tracks, AT_ONCE):
        n = min(AT_ONCE, n_tracks - start)
        rng = np.random.default_rng(start)
        frames = pa.array(np.concatenate([words(rng).view(np.int32) for _ in range(n)]))
        turned = [_lists(rng, n), _lists(rng, n)]
        ids = pa.array([f"made:{start + i:06d}" for i in range(n)])
        lists = pa.ListArray.from_arrays(pa.array(np.arange(n + 1, dtype=np.int32) * FRAMES), frames)
        columns = dict(zip(duplicates.COLUMNS.values(), [lists, *turned], strict=True))
        table = pa.table({"track_id": ids, "sample_sha256": ids, **columns})
        pq.write_table(table, folder / f"{start:06d}.parquet")


def _lists(rng: np.random.Generator, n: int) -> pa.ListArray:
    """Of another speed, for `n` tracks: of what nothing repeats, chance makes the same of any speed."""
    found = [words(rng)[:: fingerprint.EVERY].view(np.int32) for _ in range(n)]
    ends = np.arange(n + 1, dtype=np.int32) * len(found[0])
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(np.concatenate(found)))


def measure(n_tracks: int) -> None:
    """Write the fingerprints of some tracks, compare them all and print what it took."""
    with TemporaryDirectory() as folder:
        write(Path(folder), n_tracks)
        with duckdb.connect() as connection:
            connection.execute("SET threads = 1")
            connection.execute(f"CREATE VIEW fingerprints AS SELECT * FROM '{folder}/*.parquet'")
            began, worked = time.perf_counter(), time.process_time()
            pairs = duplicates.compare_all(connection, duplicates.Config(""))
            wall, work = time.perf_counter() - began, time.process_time() - worked
            ((candidates,),) = connection.execute("SELECT count(*) FROM candidates").fetchall()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(
            f"{n_tracks:7d} tracks: {work:6.1f} s of one core ({wall:.1f} s), at most {peak:.1f} GB in memory, "
            f"{candidates} pairs compared, {len(pairs)} duplicates",
            flush=True,
        )


def main() -> None:
    """Measure for each number of tracks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracks", type=int, action="append", help="tracks of 30 s; may be repeated")
    for n_tracks in parser.parse_args().tracks or [2_000, 20_000]:
        measure(n_tracks)


if __name__ == "__main__":
    main()
