"""Lakes of tracks with made vectors, for tests of neighbours."""

from collections.abc import Iterable

import numpy as np

from phonolake.stages import index
from phonolake.store import schema
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import write_rows

RUN, D = "made-1", 8


def vector(number: int) -> np.ndarray:
    return np.random.default_rng(number).normal(size=D)


def add(lake: Lake, numbers: Iterable[int]) -> None:
    """Publish tracks with their embeddings."""
    common = {"code_version": "v", "config_hash": "c", "source_shard": "s", "model": "made", "run_id": RUN}
    common |= {
        "dataset": "m",
        "duration_seconds": 1.0,
        "input": "features:made",
        "labels": [],
        "split": "",
        "card": "{}",
    }
    numbers = list(numbers)
    rows = [
        {"track_id": f"m:{n}", "source_id": str(n), "title": f"title {n}", "year": 2000 + n % 10} | common
        for n in numbers
    ]
    vectors = [row | {"embedding": vector(n).tolist()} for row, n in zip(rows, numbers, strict=True)]
    wanted = {"tracks": rows, "embeddings": vectors, "models": [common]}
    changes = {}
    for name, found in wanted.items():
        table = schema.table(name)
        kept = [{column: row.get(column) for column in table.arrow.names} for row in found]
        stem = RUN if name == "models" else f"{RUN}--{numbers[0]}"
        changes[name] = Change(table, [write_rows(lake.path(name, stem), table.arrow, kept)])
    lake.commit(changes)


def build(lake: Lake, *, again: bool = False) -> None:
    index.run(index.Config(str(lake.root), again=again))


def nearest(query: int, numbers: Iterable[int], k: int) -> list[str]:
    """By definition."""
    unit = {n: vector(n) / np.linalg.norm(vector(n)) for n in {*numbers, query}}
    order = sorted(set(numbers) - {query}, key=lambda n: -float(unit[n] @ unit[query]))
    return [f"m:{n}" for n in order[:k]]
