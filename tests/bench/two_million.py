"""Print what small changes cost in a large lake: time and memory of each stage for no, one and a thousand new tracks.

The lake is made: `--tracks` recordings of 64 bytes (a steady level in FLAC, 2 s long), 200 to a shard, with their rows
of tracks, labels, metadata, features, predictions and embeddings as the stages write them. The files are links to the
200 that were really taken in, so that a tree of two million takes a few hundred megabytes. Every command is a process
of its own; what it takes includes its start.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import phonolake
from phonolake.lineage import DIGITS
from phonolake.records import Recording
from phonolake.stages.ingest_files import Looker
from phonolake.store import query
from phonolake.store.compaction import compact
from phonolake.store.lake import Change, Lake
from phonolake.store.mending import schema_of
from phonolake.store.shards import SUFFIX, Shard, describe

PER_SHARD, LABELS = 200, ("a", "b")
# Folders of a shard each: that which is really taken in, and what stands for all others in templates.
SEED, FOLDER = "seed", "@@@@@"
# Shards are called as by an ingest.
STEM = f"music-{FOLDER}-{'0' * DIGITS}"
SR, N_SAMPLES = 16_000, 32_768
MODEL, SET = "scaled-mfcc", "mfcc-120"
STAGES = {
    "ingest": ["ingest", "folder", "{music}"],
    "extract": ["extract", "--features", SET],
    "score": ["score"],
    "index": ["index"],
}
QUESTIONS = {
    "status": ["status"],
    "point query": ["sql", "SELECT * FROM tracks WHERE track_id = '{track_id}'"],
    "similar": ["similar", "{track_id}", "-k", "5"],
    "cooccurrence": ["sql", "SELECT * FROM cooccurrence()"],
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What a command took, with its children."""

    seconds: float
    cpu: float
    megabytes: float


def flac(level: int) -> bytes:
    """A FLAC file of 64 bytes: two seconds of one level."""
    facts = N_SAMPLES.to_bytes(2, "big") * 2 + bytes(6)
    facts += (SR << 44 | (16 - 1) << 36 | N_SAMPLES).to_bytes(8, "big") + bytes(16)
    head = b"\xff\xf8\x70\x08\x00" + (N_SAMPLES - 1).to_bytes(2, "big")
    frame = head + crc(head, 8, 0x07) + b"\x00" + level.to_bytes(2, "big")
    data = b"fLaC\x00\x00\x00\x22" + facts + b"\x81\x00\x00\x05" + bytes(5) + frame + crc(frame, 16, 0x8005)
    assert len(data) == 64, len(data)
    return data


def crc(data: bytes, bits: int, polynomial: int) -> bytes:
    """The checksum of a FLAC header or frame."""
    register, top = 0, 1 << (bits - 1)
    for byte in data:
        register ^= byte << (bits - 8)
        for _ in range(8):
            register = (register << 1 ^ (polynomial if register & top else 0)) & ((1 << bits) - 1)
    return register.to_bytes(bits // 8, "big")


def write_files(folder: Path, n: int, level: int) -> list[Path]:
    """New recordings in a folder for each label."""
    paths = []
    for i in range(n):
        path = folder / LABELS[i % len(LABELS)] / f"{i:05d}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(flac(level + i))
        paths.append(path)
    return paths


# -- the lake ----------------------------------------------------------------------------------------------------------


class Template:
    """A shard of a table in which the name of a folder stands where that of another one can be put.

    To write two million rows takes longer than all that is measured; to change some bytes does not. So text is not
    compressed in these shards, and their pages have no checksums.
    """

    def __init__(self, file: str, rows: pa.Table, hashes: list[bytes]) -> None:
        buffer = pa.BufferOutputStream()
        named = [name for name in rows.column_names if name != "metadata_hash"]
        codec = {f.name: "NONE" if pa.types.is_string(f.type) else "ZSTD" for f in rows.schema}
        pq.write_table(rows, buffer, compression=codec, write_statistics=named)
        self.file, self._data = file, np.frombuffer(buffer.getvalue(), np.uint8)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / file
            path.write_bytes(self._data.tobytes())
            self._facts = describe(path)
        text = self._data.tobytes()
        self._folders = _spans([m.start() for m in re.finditer(FOLDER.encode(), text)], len(FOLDER))
        has_hashes = "metadata_hash" in rows.schema.names
        self._hashes = _spans([text.index(value) for value in hashes], DIGITS) if has_hashes else None

    def write(self, table: Path, folder: str, hashes: np.ndarray) -> Shard:
        """Write the shard of a folder, with hashes of what the dataset says, (N, DIGITS)."""
        data = self._data.copy()
        data[self._folders] = np.frombuffer(folder.encode(), np.uint8)
        if self._hashes is not None:
            data[self._hashes] = hashes
        path = table / self.file.replace(FOLDER, folder)
        path.write_bytes(data.data)
        first, last = (limit and limit.replace(FOLDER, folder) for limit in (self._facts.first, self._facts.last))
        return replace(self._facts, file=path.name, first=first, last=last)


def _spans(starts: list[int], length: int) -> np.ndarray:
    return np.array(starts, np.int64)[:, None] + np.arange(length)


class Replica:
    """Copies of the shards of a small lake under other names."""

    def __init__(self, lake: Lake, music: Path) -> None:
        self.lake, self.music = lake, music
        ((stem),) = [file.removesuffix(SUFFIX) for file in lake.shards("audio")]
        ids = pq.read_table(lake.path("tracks", stem), columns=["track_id"])["track_id"].to_pylist()
        # Names below a folder, in order of the rows of their shards.
        self._names = [track_id.removeprefix(f"music:{SEED}/") for track_id in ids]
        self._hashes = [b"#%011d" % n for n in range(len(ids))]
        self._templates: dict[str, list[Template]] = {}
        for table in lake.versions():
            for file in (file for file in lake.shards(table) if stem in file):
                rows = self._renamed(
                    pq.read_table(lake.folder(table) / file), dict(zip(ids, self._hashes, strict=True))
                )
                named = file.replace(stem, STEM)
                self._templates.setdefault(table, []).append(Template(named, rows, self._hashes))
        self._schemas = {table: schema_of(lake, table) for table in self._templates}

    def add(self, folder: str) -> dict[str, list[Shard]]:
        """Write one shard of each table, and link its files."""
        said = []
        for label in LABELS:
            (self.music / folder / label).mkdir(parents=True)
        looker = Looker(None)
        for name in self._names:
            path = self.music / folder / name
            os.link(self.music / SEED / name, path)
            said.append(looker.look(Recording(f"{folder}/{name}", path, labels=(path.parent.name,))).said)
        hashes = np.frombuffer("".join(said).encode(), np.uint8).reshape(len(said), DIGITS)
        return {
            table: [template.write(self.lake.folder(table), folder, hashes) for template in templates]
            for table, templates in self._templates.items()
        }

    def _renamed(self, rows: pa.Table, hashes: dict[str, bytes]) -> pa.Table:
        ids = rows["track_id"].to_pylist()
        names = [f"{FOLDER}/{track_id.removeprefix(f'music:{SEED}/')}" for track_id in ids]
        put = {
            "track_id": [f"music:{name}" for name in names],
            "source_id": names,
            "source_path": [str(self.music / name) for name in names],
            "source_shard": [STEM + SUFFIX] * len(ids),
            "metadata_hash": [hashes[track_id].decode() for track_id in ids],
        }
        for column in put.keys() & set(rows.column_names):
            place = rows.schema.get_field_index(column)
            rows = rows.set_column(place, rows.schema.field(place), pa.array(put[column], pa.string()))
        return rows

    def commit(self, found: list[dict[str, list[Shard]]]) -> dict[str, int]:
        """Publish what was added; returns the versions of all tables."""
        added = {table: [shard for shards in found for shard in shards[table]] for table in self._templates}
        return self.lake.commit({table: Change(self._schemas[table], shards) for table, shards in added.items()})


def make(root: Path, n_tracks: int) -> tuple[Path, Path]:
    """A tree of music and its lake, unless they are there."""
    music, lake = root / "music", root / "lake"
    if lake.exists():
        return music, lake
    write_files(music / SEED, PER_SHARD, 3_000)
    for command in (STAGES["ingest"], STAGES["extract"], ["train", MODEL], STAGES["score"]):
        measure(command, music, lake)
    replica = Replica(Lake.open(lake), music)
    folders = [f"{k:0{len(FOLDER)}d}" for k in range(max(0, n_tracks // PER_SHARD - 1))]
    with get_context("fork").Pool() as pool:
        replica.commit(pool.map(replica.add, folders))
    # As after an ingest of all of them.
    compact(Lake.open(lake).pinned(), at_once=None)
    return music, lake


# -- what commands take ------------------------------------------------------------------------------------------------

# Linux counts the memory of the process that starts a command as the command's own: so a small one starts it.
STARTER = """
import os, sys, time
started = time.perf_counter()
silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
_, status, used = os.wait4(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=silent), 0)
print(time.perf_counter() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def measure(words: list[str], music: Path, lake: Path, track_id: str = "") -> Cost:
    """Run a command of phonolake on the lake."""
    command = [word.format(music=music, track_id=track_id) for word in words] + ["--lake", str(lake), "--format", "csv"]
    command += ["--workers", "0"] if words[0] in ("ingest", "extract", "score") else []
    done = subprocess.run(
        [sys.executable, "-c", STARTER, sys.executable, "-m", "phonolake.cli.main", *command],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")
    return Cost(*map(float, done.stdout.split()))


def point_query(lake: Path, track_id: str, repeats: int = 9) -> tuple[float, float]:
    """Median seconds to open a lake and ask for a track, and to ask for it on a connection that is open."""
    times: list[list[float]] = [[], []]
    with query.connect(Lake.open(lake)) as connection:
        for _ in range(repeats):
            for kind, ask in enumerate((phonolake.open(lake).sql, connection.sql)):
                started = time.perf_counter()
                assert len(ask(f"SELECT * FROM tracks WHERE track_id = '{track_id}'").fetchall()) == 1
                times[kind].append(time.perf_counter() - started)
    return statistics.median(times[0]), statistics.median(times[1])


def point_query_line(lake: Path, track_id: str) -> str:
    opened, again = point_query(lake, track_id)
    return f"{'point query in Python':24}{opened:8.3f}; on an open connection {again * 1000:.1f} ms"


def report(n_tracks: int, root: Path, *, verify: bool) -> Iterator[str]:
    """Lines of a table: a command, its seconds, its CPU seconds and its megabytes."""
    started = time.perf_counter()
    music, lake = make(root, n_tracks)
    n_shards = len(Lake.open(lake).shards("tracks"))
    yield f"\n{n_tracks:,} tracks in {n_shards:,} shards, made in {time.perf_counter() - started:.0f} s\n"
    yield f"{'':24}{'s':>8}{'CPU s':>8}{'MB':>8}"
    # All files are compared one by one once, and what was found is kept.
    yield line("ingest, the first", measure(STAGES["ingest"], music, lake))
    yield line("index, the first", measure(STAGES["index"], music, lake))
    for n_new in (0, 1, 1000):
        if n_new:
            written = write_files(new_folder(music), n_new, 5_000)
        costs = []
        for stage, words in STAGES.items():
            costs.append(measure(words, music, lake))
            yield line(f"+{n_new} {stage}", costs[-1])
        yield line(f"+{n_new} all stages", total(costs))
    track_id = f"music:{written[0].relative_to(music)}"
    for question, words in QUESTIONS.items():
        yield line(question, measure(words, music, lake, track_id))
    yield point_query_line(lake, track_id)
    if verify:
        yield line("verify", measure(["verify"], music, lake))


def report_commits(n: int, root: Path) -> Iterator[str]:
    """Lines about a lake that grows by a shard of each table with each of n commits, as by small ingests."""
    music, folder = make(root, PER_SHARD)
    lake = Lake.open(folder)
    replica, spent = Replica(lake, music), []
    for k in range(n):
        added = replica.add(f"{k:0{len(FOLDER)}d}")
        started = time.process_time()
        compact(lake.pinned(replica.commit([added])))
        spent.append(time.process_time() - started)
    tenth = max(1, n // 10)
    few, many = (statistics.mean(part) for part in (spent[:tenth], spent[-tenth:]))
    yield f"\n{n} commits of {PER_SHARD} tracks: CPU s of a commit"
    yield f"the first {tenth} {few:.3f}, the last {tenth} {many:.3f}, the longest {max(spent):.3f}"
    tracks = {table: len(lake.shards(table)) for table in ("audio", "tracks")}
    yield "then " + ", ".join(f"{shards} shards of {table}" for table, shards in tracks.items())
    yield point_query_line(folder, f"music:{n - 1:0{len(FOLDER)}d}/{LABELS[0]}/00000.flac")


def new_folder(music: Path) -> Path:
    """A folder that is not there yet."""
    return next(folder for n in count() if not (folder := music / f"new-{n}").exists())


def total(costs: list[Cost]) -> Cost:
    """Of commands one after another."""
    return Cost(sum(c.seconds for c in costs), sum(c.cpu for c in costs), max(c.megabytes for c in costs))


def line(what: str, cost: Cost) -> str:
    return f"{what:24}{cost.seconds:8.2f}{cost.cpu:8.2f}{cost.megabytes:8.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracks", type=int, action="append", metavar="N", help="20,000 by default; repeat it")
    parser.add_argument("--commits", type=int, metavar="N", help="instead, N commits one after another to a new lake")
    parser.add_argument("--no-verify", action="store_true", help="leave the check of all bytes out")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="make the lake here, unless it is there, and leave it")
    options = parser.parse_args()
    if options.commits:
        with tempfile.TemporaryDirectory() as folder:
            print(*report_commits(options.commits, Path(folder)), sep="\n")
        return
    for n_tracks in options.tracks or [20_000]:
        with tempfile.TemporaryDirectory() as folder:
            for told in report(n_tracks, options.keep or Path(folder), verify=not options.no_verify):
                print(told, flush=True)


if __name__ == "__main__":
    main()
