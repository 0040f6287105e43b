"""Kinds of index beside bare FAISS and exact search by DuckDB: recall against time and memory, also under filters.

    python tests/bench/search_beside.py --tracks 100000 --values 64 [--uniform]

`--vectors FILE.npy` takes vectors from a file, `--others PYTHON` adds hnswlib, USearch and LanceDB where the
environment of that Python has them, `--only LINE ...` leaves lines out.

Every line is one way to find the 10 nearest of the same queries, which are vectors themselves. Filters let through
tracks at random. Times are medians of processor time on one thread, without looking up ids; bytes are those of what is
searched.
"""

import argparse
import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import made_lakes
import numpy as np
import pyarrow as pa

from phonolake.search import building, kinds, tracks
from phonolake.search.allowed import Allowed
from phonolake.search.library import load_faiss
from phonolake.search.segment import Segment
from phonolake.search.vectors import nearest_of_all, similarities, unit

K, SHARES = 10, (1.0, 0.5, 0.1, 0.01, 0.001, 0.0001)
# Finds numbers for a query, among some numbers or all.
Way = Callable[[np.ndarray, np.ndarray | None], np.ndarray]


def nothing(track_ids: pa.ChunkedArray) -> Iterator[pa.RecordBatch]:
    """Nothing is shown of any track."""
    for chunk in track_ids.chunks:
        yield pa.record_batch([pa.nulls(len(chunk), pa.string())] * 3, names=list(tracks.SHOWN))


def ours(scratch: Path, kind: str, x_ND: np.ndarray) -> tuple[Way, np.ndarray, float]:
    """A kind of index; its vectors by their numbers, and bytes a vector."""
    (scratch / kind).mkdir()
    ids = pa.array([made_lakes.track_id(number) for number in range(len(x_ND))])
    blocks = [building.Block(ids, x_ND, 0)]
    card = building.build(scratch / kind, blocks, *x_ND.shape, nothing, building.BuildPlan(kind))
    segment = Segment.read(scratch / kind, card)
    known: dict[int, Allowed] = {}

    def way(query_D: np.ndarray, among: np.ndarray | None) -> np.ndarray:
        # As an open searcher remembers what fulfils a condition.
        allowed = None if among is None else known.setdefault(id(among), Allowed(among))
        return segment.search(query_D, K, among=allowed)[0]

    return way, np.asarray(segment.vectors), float(card["searched_bytes_per_vector"])


def bare(recipe: str, x_ND: np.ndarray) -> tuple[Way, np.ndarray, float]:
    """FAISS as it comes, with 16 cells or 64 candidates, and its selector for filters."""
    faiss = load_faiss()
    index = faiss.index_factory(x_ND.shape[1], recipe, faiss.METRIC_INNER_PRODUCT)
    index.train(x_ND)
    index.add(x_ND)

    def way(query_D: np.ndarray, among: np.ndarray | None) -> np.ndarray:
        options = {"nprobe": 16} if recipe.startswith("IVF") else {"efSearch": 64} if recipe.startswith("HNSW") else {}
        if among is not None:
            allowed_N = np.zeros(len(x_ND), bool)
            allowed_N[among] = True
            bits = np.packbits(allowed_N, bitorder="little")
            options["sel"] = faiss.IDSelectorBitmap(len(x_ND), faiss.swig_ptr(bits))
        names = {"nprobe": faiss.SearchParametersIVF, "efSearch": faiss.SearchParametersHNSW}
        parameters = names.get(next(iter(options), ""), faiss.SearchParameters)(**options)
        return np.asarray(index.search(query_D[None], K, params=parameters)[1][0])

    return way, x_ND, len(faiss.serialize_index(index)) / len(x_ND)


def by_duckdb(x_ND: np.ndarray) -> tuple[Way, np.ndarray, float]:
    """Exact search over a native table of vectors of a fixed length."""
    n, d = x_ND.shape
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    values = pa.FixedSizeListArray.from_arrays(pa.array(x_ND.ravel()), d)
    connection.register("given", pa.table({"number": np.arange(n), "vector": values}))
    connection.execute(f"CREATE TABLE vectors AS SELECT number, vector::FLOAT[{d}] AS vector FROM given")

    def way(query_D: np.ndarray, among: np.ndarray | None) -> np.ndarray:
        join = ""
        if among is not None:
            connection.register("allowed", pa.table({"number": among}))
            join = "SEMI JOIN allowed USING (number) "
        order = f"ORDER BY array_inner_product(vector, $1::FLOAT[{d}]) DESC LIMIT {K}"
        rows = connection.execute(f"SELECT number FROM vectors {join}{order}", [query_D.tolist()]).fetchall()
        return np.array([number for (number,) in rows])

    return way, x_ND, 4.0 * d


def asked(n: int, queries: int) -> tuple[np.ndarray, list[np.ndarray | None]]:
    """Numbers of the queries, and what the filters let through."""
    rng = np.random.default_rng(5)
    number_Q = rng.choice(n, queries, replace=False)
    return number_Q, [
        None if share == 1 else np.sort(rng.choice(n, max(1, int(n * share)), replace=False)) for share in SHARES
    ]


def recall(found: Iterable[Sequence[int]], truth_QK: np.ndarray, x_ND: np.ndarray, number_Q: np.ndarray) -> float:
    """Share of the true neighbours that were found; of others, those that are as near count too."""
    hits = 0
    for each, truth_K, number in zip(found, truth_QK, number_Q, strict=True):
        least = similarities(x_ND, truth_K[truth_K >= 0], x_ND[number]).min()
        found_K = np.array([n for n in each if n >= 0], np.int64)
        hits += int((similarities(x_ND, found_K, x_ND[number]) >= least).sum())
    return hits / int((truth_QK >= 0).sum())


def measure(way: Way, x_ND: np.ndarray, queries: int) -> Iterator[str]:
    """Recall and milliseconds under each filter."""
    number_Q, filters = asked(len(x_ND), queries)
    for among in filters:
        truth_QK = nearest_of_all(x_ND, np.ascontiguousarray(x_ND[number_Q]), K, among)
        answers, taken = [], []
        for number in number_Q:
            start = time.thread_time()
            found = way(x_ND[number], among)
            taken.append(time.thread_time() - start)
            answers.append(found.tolist())
        yield f"{recall(answers, truth_QK, x_ND, number_Q):.3f} / {statistics.median(taken) * 1e3:.2f}"


def beside_others(python: str, x_ND: np.ndarray, queries: int, scratch: Path, only: Sequence[str]) -> Iterator[str]:
    """Lines of the table for the stores that another environment has: see `search_others.py`."""
    number_Q, filters = asked(len(x_ND), queries)
    np.save(scratch / "vectors.npy", x_ND)
    np.save(scratch / "queries.npy", number_Q)
    for place, among in enumerate(filters):
        np.save(scratch / f"among-{place}.npy", np.zeros(0, np.int64) if among is None else among)
    truths = [nearest_of_all(x_ND, np.ascontiguousarray(x_ND[number_Q]), K, among) for among in filters]
    command = [python, str(Path(__file__).with_name("search_others.py")), str(scratch), *only]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in map(json.loads, process.stdout):
            cells = [
                f"{recall(share['found'], truth_QK, x_ND, number_Q):.3f} / {share['ms']:.2f}"
                for share, truth_QK in zip(line["shares"], truths, strict=True)
            ]
            yield f"| {line['name']} | {' | '.join(cells)} | {line['bytes']:.0f} | {line['built']:.1f} |"


def main(x_ND: np.ndarray, queries: int, *, what: str, others: str | None, only: Sequence[str]) -> None:
    """Print the table."""
    kinds.FLAT_LIMIT = 0
    load_faiss().omp_set_num_threads(1)
    n, d = x_ND.shape
    print(f"{n:,} x {d}, {what}: recall@{K} / ms")
    print("| | " + " | ".join(f"{share:.2%}" for share in SHARES) + " | bytes a vector | built in s |")
    print("|---" * (len(SHARES) + 3) + "|")
    with TemporaryDirectory() as scratch:
        ways: dict[str, Callable[[], tuple[Way, np.ndarray, float]]] = {
            kind: lambda kind=kind: ours(Path(scratch), kind, x_ND) for kind in kinds.KINDS if kind != kinds.AUTO
        }
        for recipe in ("Flat", f"IVF{kinds.cells(n)},SQ8", "HNSW32,SQ8"):
            ways[f"bare FAISS {recipe}"] = lambda recipe=recipe: bare(recipe, x_ND)
        ways["DuckDB, exact"] = lambda: by_duckdb(x_ND)
        for name, make in ways.items():
            if only and name not in only:
                continue
            start = time.process_time()
            way, lying_ND, size = make()
            built = time.process_time() - start
            print(f"| {name} | {' | '.join(measure(way, lying_ND, queries))} | {size:.0f} | {built:.1f} |", flush=True)
        if others is not None:
            for line in beside_others(others, x_ND, queries, Path(scratch), only):
                print(line, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=100_000)
    parser.add_argument("--values", type=int, default=64)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--uniform", action="store_true")
    parser.add_argument("--vectors", type=Path, help="a NumPy file of vectors instead of made ones")
    parser.add_argument("--others", metavar="PYTHON", help="of an environment with hnswlib, usearch or lancedb")
    parser.add_argument("--only", nargs="*", default=(), help="lines of the table")
    chosen = parser.parse_args()
    if chosen.vectors:
        given, what = unit(np.load(chosen.vectors)), chosen.vectors.stem
    else:
        what = "uniform" if chosen.uniform else "clustered"
        blocks = made_lakes.blocks(chosen.tracks)
        made = [made_lakes.vectors(s, m, chosen.values, clustered=not chosen.uniform) for s, m in blocks]
        given = unit(np.concatenate(made))
    main(given, chosen.queries, what=what, others=chosen.others, only=chosen.only)
