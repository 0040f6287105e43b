"""Print what small changes cost in a large lake: time and memory of each stage for no, one and a thousand new tracks.

The lake is made: `--tracks` recordings of 64 bytes (a steady level in FLAC, 2 s long), 200 to a shard, with their rows
of tracks, labels, metadata, features, predictions and embeddings as the stages write them. The files are links to the
200 that were really taken in, so that a tree of two million takes a few hundred megabytes. Every command is a process
of its own; what it takes includes its start.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import phonolake
from phonolake.lineage import digest
from phonolake.records import Recording
from phonolake.stages.ingest_files import Looker
from phonolake.store import query
from phonolake.store.lake import Change, Lake
from phonolake.store.mending import schema_of
from phonolake.store.shards import SUFFIX, describe

PER_SHARD, LABELS = 200, ("a", "b")
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


class Replica:
    """Copies of the shards of a small lake under other names."""

    def __init__(self, lake: Lake, music: Path) -> None:
        self.lake, self.music = lake, music
        ((stem),) = [file.removesuffix(SUFFIX) for file in lake.shards("audio")]
        self.stem = stem
        self.tables = {
            table: [(file, pq.read_table(lake.folder(table) / file)) for file in lake.shards(table) if stem in file]
            for table in lake.versions()
        }
        self.tables = {table: found for table, found in self.tables.items() if found}
        self.changes = {table: Change(schema_of(lake, table)) for table in self.tables}
        tracks = pq.read_table(lake.path("tracks", stem), columns=["source_id"])["source_id"].to_pylist()
        self.names = {f"music:{name}": name.partition("/")[2] for name in tracks}

    def add(self, folder: str) -> None:
        """Write one shard of each table, and link its files."""
        stem = f"music-{folder}-{digest(folder)}"
        said = {}
        for track_id, name in self.names.items():
            path = self.music / folder / name
            if not path.parent.exists():
                path.parent.mkdir(parents=True)
            os.link(self.music / "seed" / name, path)
            recording = Recording(f"{folder}/{name}", path, labels=(path.parent.name,))
            said[track_id] = Looker(None).look(recording).said
        for table, found in self.tables.items():
            for file, rows in found:
                self._write(table, file.replace(self.stem, stem), self._renamed(rows, folder, stem, said))

    def _renamed(self, rows: pa.Table, folder: str, stem: str, said: dict[str, str]) -> pa.Table:
        ids = rows["track_id"].to_pylist()
        names = [f"{folder}/{self.names[track_id]}" for track_id in ids]
        put = {
            "track_id": [f"music:{name}" for name in names],
            "source_id": names,
            "source_path": [str(self.music / name) for name in names],
            "source_shard": [stem + SUFFIX] * len(ids),
            "metadata_hash": [said[track_id] for track_id in ids],
        }
        for column in put.keys() & set(rows.column_names):
            place = rows.schema.get_field_index(column)
            rows = rows.set_column(place, rows.schema.field(place), pa.array(put[column], pa.string()))
        return rows

    def _write(self, table: str, file: str, rows: pa.Table) -> None:
        path = self.lake.folder(table) / file
        pq.write_table(rows, path, compression="ZSTD", write_page_checksum=True)
        self.changes[table].add.append(describe(path))

    def commit(self) -> None:
        """Publish what was added."""
        self.lake.commit(self.changes)


def make(root: Path, n_tracks: int) -> tuple[Path, Path]:
    """A tree of music and its lake."""
    music, lake = root / "music", root / "lake"
    write_files(music / "seed", PER_SHARD, 3_000)
    for command in (STAGES["ingest"], STAGES["extract"], ["train", MODEL], STAGES["score"]):
        measure(command, music, lake)
    replica = Replica(Lake.open(lake), music)
    for k in range(max(0, n_tracks // PER_SHARD - 1)):
        replica.add(f"{k:05d}")
    replica.commit()
    return music, lake


# -- what commands take ------------------------------------------------------------------------------------------------


def measure(words: list[str], music: Path, lake: Path, track_id: str = "") -> Cost:
    """Run a command of phonolake on the lake."""
    command = [word.format(music=music, track_id=track_id) for word in words] + ["--lake", str(lake), "--format", "csv"]
    command += ["--workers", "0"] if words[0] in ("ingest", "extract", "score") else []
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "phonolake.cli.main", *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    told = process.stderr.read().decode()
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit(f"{' '.join(command)}: {told}")
    return Cost(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


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


def report(n_tracks: int, root: Path, *, verify: bool) -> Iterator[str]:
    """Lines of a table: a command, its seconds, its CPU seconds and its megabytes."""
    started = time.perf_counter()
    music, lake = make(root, n_tracks)
    n_shards = len(Lake.open(lake).shards("tracks"))
    yield f"\n{n_tracks:,} tracks in {n_shards:,} shards, made in {time.perf_counter() - started:.0f} s\n"
    yield f"{'':24}{'s':>8}{'CPU s':>8}{'MB':>8}"
    yield line("index, the first", measure(STAGES["index"], music, lake))
    for n_new in (0, 1, 1000):
        if n_new:
            write_files(music / f"new-{n_new}", n_new, 5_000)
        costs = []
        for stage, words in STAGES.items():
            costs.append(measure(words, music, lake))
            yield line(f"+{n_new} {stage}", costs[-1])
        yield line(f"+{n_new} all stages", total(costs))
    track_id = "music:new-1/a/00000.flac"
    for question, words in QUESTIONS.items():
        yield line(question, measure(words, music, lake, track_id))
    opened, again = point_query(lake, track_id)
    yield f"{'point query in Python':24}{opened:8.3f}; on an open connection {again * 1000:.1f} ms"
    if verify:
        yield line("verify", measure(["verify"], music, lake))


def total(costs: list[Cost]) -> Cost:
    """Of commands one after another."""
    return Cost(sum(c.seconds for c in costs), sum(c.cpu for c in costs), max(c.megabytes for c in costs))


def line(what: str, cost: Cost) -> str:
    return f"{what:24}{cost.seconds:8.2f}{cost.cpu:8.2f}{cost.megabytes:8.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracks", type=int, action="append", metavar="N", help="20,000 by default; repeat it")
    parser.add_argument("--no-verify", action="store_true", help="leave the check of all bytes out")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="make the lake here, and leave it")
    options = parser.parse_args()
    for n_tracks in options.tracks or [20_000]:
        with tempfile.TemporaryDirectory() as folder:
            for told in report(n_tracks, options.keep or Path(folder), verify=not options.no_verify):
                print(told, flush=True)


if __name__ == "__main__":
    main()
