"""How long a question for neighbours takes: `python tests/bench/search.py [--tracks 100000 --values 64]`.

A lake of made tracks around planted centres, and the same questions in three ways, in turn: one question with all that
it opens and closes again (`neighbours.similar`, as each call was before searchers stayed open), a lake that is open
(`phonolake.open(L).similar`), and FAISS alone. `--switch` prints what it costs to look at an allowed vector by its
number, in vectors that FAISS passes over, which decides between the two (`phonolake.search.probing.READ`).
"""

import argparse
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import phonolake
from phonolake.analysis.collection import neighbours
from phonolake.search import index as searching
from phonolake.stages import index
from phonolake.store import schema, shards
from phonolake.store.lake import Change, Lake

RUN, CENTRES = "made-1", 200
WHERE = "year % 100 = 7"


def vectors(n: int, d: int) -> np.ndarray:
    """Vectors around planted centres."""
    rng = np.random.default_rng(0)
    return (rng.normal(size=(CENTRES, d))[rng.integers(0, CENTRES, n)] + 0.5 * rng.normal(size=(n, d))).astype("f4")


def make(root: Path, x_ND: np.ndarray) -> Lake:
    """A lake of tracks with these embeddings, indexed."""
    n = len(x_ND)
    ids = pa.array([f"made:{number:08d}" for number in range(n)])
    made: dict[str, dict[str, Any]] = {
        "tracks": {
            "track_id": ids,
            "dataset": ["made"] * n,
            "source_id": ids,
            "title": ids,
            "artist": [f"artist {number % 1000}" for number in range(n)],
            "year": [1900 + number % 125 for number in range(n)],
            "duration_seconds": [30.0] * n,
            "config_hash": ["c"] * n,
            "code_version": ["v"] * n,
        },
        "embeddings": {
            "track_id": ids,
            "model": ["made"] * n,
            "run_id": [RUN] * n,
            "embedding": pa.ListArray.from_arrays(np.arange(n + 1, dtype=np.int32) * x_ND.shape[1], x_ND.ravel()),
            "source_shard": ["s"] * n,
            "code_version": ["v"] * n,
        },
    }
    lake = Lake.create(root)
    changes = {name: write(lake, name, columns) for name, columns in made.items()}
    changes["models"] = models(lake)
    lake.commit(changes)
    index.run(index.Config(str(root)))
    return lake


def write(lake: Lake, name: str, columns: dict[str, Any]) -> Change:
    """One shard of a table, straight from arrays."""
    table = schema.table(name)
    n = len(columns["track_id"])
    arrays = [pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(n, f.type) for f in table.arrow]
    path = lake.path(name, f"{RUN}--made")
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(arrays, schema=table.arrow), path, row_group_size=16_384, compression="zstd")
    return Change(table, [shards.describe(path)])


def models(lake: Lake) -> Change:
    """The model that the embeddings are of."""
    table = schema.table("models")
    filled: dict[Any, Any] = {pa.string(): "{}", pa.timestamp("us", "UTC"): datetime.now(UTC)}
    row = {
        f.name: None if f.nullable else filled.get(f.type, [] if pa.types.is_list(f.type) else 0) for f in table.arrow
    }
    row |= {"run_id": RUN, "model": "made", "input": "features:made", "labels": []}
    return Change(table, [shards.write_rows(lake.path("models", RUN), table.arrow, [row])])


def seconds(ask: Callable[[], object], repeats: int) -> list[float]:
    """How long each of several calls takes."""
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        ask()
        found.append(time.perf_counter() - start)
    return found


def by_number(built: searching.Index, query_D: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Similarity of some stored vectors."""
    return np.asarray(built.faiss.reconstruct_batch(among) @ searching.unit(query_D[None])[0])


def compare(lake: Lake, x_ND: np.ndarray, repeats: int) -> None:
    """Print the three ways in turn, with a filter and without."""
    opened = phonolake.open(lake.root)
    stored = searching.load(lake.root / "indexes" / RUN)
    cases: dict[str, Callable[[int], object]] = {
        "one question": lambda q: neighbours.similar(lake, f"made:{q:08d}"),
        "open lake": lambda q: opened.similar(f"made:{q:08d}"),
        "FAISS": lambda q: searching.search(stored, x_ND[q], 11),
        "one question, filter of 1 %": lambda q: neighbours.similar(lake, f"made:{q:08d}", where=WHERE),
        "open lake, filter of 1 %": lambda q: opened.similar(f"made:{q:08d}", where=WHERE),
    }
    taken: dict[str, list[float]] = {name: [] for name in cases}
    rng = np.random.default_rng(1)
    for turn in range(repeats + 1):
        for name, ask in cases.items():
            found = [t for q in rng.integers(0, len(x_ND), 5) for t in seconds(partial(ask, int(q)), 1)]
            if turn:  # the first one opens
                taken[name] += found
    medians = {name: statistics.median(found) for name, found in taken.items()}
    for name, median in medians.items():
        print(f"{name:32} {median * 1e3:8.2f} ms")
    print(f"one question / open lake: {medians['one question'] / medians['open lake']:.1f}")
    print(f"the same, filtered: {medians['one question, filter of 1 %'] / medians['open lake, filter of 1 %']:.1f}")


def switch(x_ND: np.ndarray, repeats: int) -> None:
    """Print what an allowed vector costs, in vectors that are passed over, for both kinds of index."""
    faiss = searching.load_faiss()
    for limit in (len(x_ND), 0):
        searching.FLAT_LIMIT = limit
        built = searching.build(x_ND, [str(n) for n in range(len(x_ND))], {})
        for share in (0.1, 0.01):
            among = np.sort(np.random.default_rng(0).choice(len(x_ND), int(len(x_ND) * share), replace=False))
            allowed_N = np.zeros(len(x_ND), bool)
            allowed_N[among] = True
            bits = np.packbits(allowed_N, bitorder="little")
            selector = faiss.IDSelectorBitmap(len(x_ND), faiss.swig_ptr(bits))
            kind, cells = built.card["kind"], 256
            parameters = (
                faiss.SearchParameters(sel=selector)
                if built.exact
                else faiss.SearchParametersIVF(sel=selector, nprobe=cells)
            )
            passed = len(x_ND) * (1 if built.exact else cells / built.faiss.nlist)
            read = seconds(partial(by_number, built, x_ND[0], among), repeats)
            over = seconds(partial(built.faiss.search, searching.unit(x_ND[:1]), 10, params=parameters), repeats)
            one, other = statistics.median(read) / len(among), statistics.median(over) / passed
            print(f"{kind}, filter of {share:.0%}: {one * 1e6:.3f} us / {other * 1e6:.3f} us = {one / other:.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracks", type=int, default=100_000)
    parser.add_argument("--values", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--switch", action="store_true")
    chosen = parser.parse_args()
    made = vectors(chosen.tracks, chosen.values)
    if chosen.switch:
        switch(made, chosen.repeats)
    else:
        with TemporaryDirectory() as scratch:
            compare(make(Path(scratch) / "lake", made), made, chosen.repeats)
