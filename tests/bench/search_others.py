"""Vector stores of others, for `search_beside.py --others PYTHON`, in an environment that has them and nothing of ours.

Reads vectors, queries and filters from a folder; prints a line of JSON for each: what was found, and processor time.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path

# LanceDB hangs with one LANCE_IO_THREADS; processor time counts all threads anyway.
for name in ("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "LANCE_CPU_THREADS", "TOKIO_WORKER_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402  it reads the number of threads when it is imported

# Finds k numbers for a query under the filter of this place among all, the first of which lets everything through.
Way = Callable[[np.ndarray, int], list[int]]
K = 10


def hnswlib(x_ND: np.ndarray, filters: list[np.ndarray | None], _: Path) -> tuple[Way, float]:
    """Its filter is a function of Python, asked about each candidate."""
    library = import_module("hnswlib")
    index = library.Index("ip", x_ND.shape[1])
    index.init_index(len(x_ND), M=32, ef_construction=100)
    index.set_num_threads(1)
    index.add_items(x_ND)
    index.set_ef(64)
    allowed = [None if among is None else frozenset(among.tolist()) for among in filters]

    def way(query_D: np.ndarray, place: int) -> list[int]:
        among = allowed[place]
        try:
            found, _ = index.knn_query(query_D, K, filter=None if among is None else among.__contains__)
        except RuntimeError:  # it found fewer than k
            return []
        return [int(number) for number in found[0]]

    return way, float(index.index_file_size()) / len(x_ND)


def usearch(x_ND: np.ndarray, filters: list[np.ndarray | None], _: Path) -> tuple[Way, float]:
    """It has no filter in Python: its usual way is to ask for more, here ten times, and to leave out."""
    index = import_module("usearch.index").Index(
        ndim=x_ND.shape[1], metric="ip", dtype="i8", connectivity=32, expansion_add=100, expansion_search=64
    )
    index.add(np.arange(len(x_ND)), x_ND, threads=1)
    allowed = [None if among is None else frozenset(among.tolist()) for among in filters]

    def way(query_D: np.ndarray, place: int) -> list[int]:
        among = allowed[place]
        keys = index.search(query_D, K if among is None else 10 * K, threads=1).keys.tolist()
        return [key for key in keys if among is None or key in among][:K]

    return way, float(index.memory_usage) / len(x_ND)


def lancedb(x_ND: np.ndarray, filters: list[np.ndarray | None], scratch: Path) -> tuple[Way, float]:
    """Inverted file of product codes, ranked again by the vectors; filters before the search, over columns."""
    pa, library = import_module("pyarrow"), import_module("lancedb")
    if x_ND.shape[1] % 2:
        # Its codes are of two values each; a column of zeros changes no product.
        x_ND = np.pad(x_ND, ((0, 0), (0, 1)))
    n, d = x_ND.shape
    columns = {"number": pa.array(np.arange(n)), "vector": pa.FixedSizeListArray.from_arrays(x_ND.ravel(), d)}
    for place, among in enumerate(filters):
        passes_N = np.ones(n, bool)
        if among is not None:
            passes_N[:] = False
            passes_N[among] = True
        columns[f"f{place}"] = pa.array(passes_N)
    table = library.connect(str(scratch / "lance")).create_table("vectors", pa.table(columns))
    cells = 1 << int(np.log2(n) / 2)
    options = {"metric": "dot", "num_partitions": cells, "num_sub_vectors": d // 2}
    table.create_index(vector_column_name="vector", index_type="IVF_PQ", **options)

    def way(query_D: np.ndarray, place: int) -> list[int]:
        query_D = np.pad(query_D, (0, d - len(query_D)))
        asked = table.search(query_D, vector_column_name="vector").metric("dot").nprobes(16).refine_factor(10)
        if filters[place] is not None:
            asked = asked.where(f"f{place}", prefilter=True)
        return [int(number) for number in asked.select(["number"]).limit(K).to_arrow()["number"].to_pylist()]

    size = sum(path.stat().st_size for path in (scratch / "lance").rglob("*") if path.is_file())
    return way, size / n


def main(folder: Path, only: Sequence[str]) -> Iterator[dict]:
    """What each of them found."""
    x_ND, number_Q = np.load(folder / "vectors.npy"), np.load(folder / "queries.npy")
    filters = [None if not len(among := np.load(path)) else among for path in sorted(folder.glob("among-*.npy"))]
    for make in (hnswlib, usearch, lancedb):
        if only and make.__name__ not in only:
            continue
        begin = time.process_time()
        try:
            way, size = make(x_ND, filters, folder)
        except ImportError:
            continue
        built = time.process_time() - begin
        shares = []
        for place in range(len(filters)):
            found, taken = [], []
            for number in number_Q.tolist():
                begin = time.process_time()
                found.append(way(x_ND[number], place))
                taken.append(time.process_time() - begin)
            shares.append({"found": found, "ms": statistics.median(taken) * 1e3})
        yield {"name": make.__name__, "built": built, "bytes": size, "shares": shares}


if __name__ == "__main__":
    for line in main(Path(sys.argv[1]), sys.argv[2:]):
        print(json.dumps(line), flush=True)
