"""Lakes of made tracks with vectors around planted centres, of any size: written as a stream, shard by shard."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from phonolake.store import schema, shards
from phonolake.store.lake import Change, Lake

RUN, CENTRES, ROWS = "made-1", 200, 100_000


def vectors(start: int, n: int, d: int, *, clustered: bool = True) -> np.ndarray:
    """Vectors of the tracks from one on, around planted centres or uniform in all directions; float32."""
    rng = np.random.default_rng([1, start])
    x_ND = rng.standard_normal((n, d), dtype=np.float32)
    if clustered:
        x_ND *= 0.5
        x_ND += np.random.default_rng(0).standard_normal((CENTRES, d), dtype=np.float32)[rng.integers(0, CENTRES, n)]
    return x_ND


def blocks(n: int, start: int = 0) -> Iterator[tuple[int, int]]:
    """First track and number of tracks of each shard."""
    for first in range(start, start + n, ROWS):
        yield first, min(ROWS, start + n - first)


def make(root: Path, n: int, d: int, *, clustered: bool = True) -> Lake:
    """A lake of n tracks with embeddings of d values."""
    lake = Lake.create(root)
    add(lake, 0, n, d, clustered=clustered, first=True)
    return lake


def add(lake: Lake, start: int, n: int, d: int, *, clustered: bool = True, first: bool = False) -> None:
    """Publish n tracks more."""
    changes: dict[str, Change] = {}
    for begin, rows in blocks(n, start):
        for name, columns in _columns(begin, vectors(begin, rows, d, clustered=clustered)).items():
            change = changes.setdefault(name, Change(schema.table(name)))
            change.add.append(_write(lake, name, f"{RUN}--{begin:09d}", columns))
    if first:
        changes["models"] = _models(lake)
    lake.commit(changes)


def _columns(start: int, x_ND: np.ndarray) -> dict[str, dict[str, Any]]:
    n = len(x_ND)
    numbers = range(start, start + n)
    ids = pa.array([track_id(number) for number in numbers])
    stamp = {"config_hash": ["c"] * n, "code_version": ["v"] * n}
    return {
        "tracks": {
            "track_id": ids,
            "dataset": ["made"] * n,
            "source_id": ids,
            "title": [f"title {number}" for number in numbers],
            "artist": [f"artist {number % 1000}" for number in numbers],
            "year": [1900 + number % 125 for number in numbers],
            "duration_seconds": [30.0] * n,
            **stamp,
        },
        "labels": {
            "track_id": ids,
            "label": [f"label {number % 20}" for number in numbers],
            "value": np.ones(n, np.int8),
            "source": ["dataset"] * n,
            "dataset": ["made"] * n,
            **stamp,
        },
        "embeddings": {
            "track_id": ids,
            "model": ["made"] * n,
            "run_id": [RUN] * n,
            "embedding": pa.ListArray.from_arrays(np.arange(n + 1, dtype=np.int32) * x_ND.shape[1], x_ND.ravel()),
            "source_shard": ["s"] * n,
            **stamp,
        },
    }


def track_id(number: int) -> str:
    """Id of a made track."""
    return f"made:{number:09d}"


def _write(lake: Lake, name: str, stem: str, columns: dict[str, Any]) -> shards.Shard:
    """One shard of a table, straight from arrays."""
    table = schema.table(name)
    n = len(columns["track_id"])
    arrays = [pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(n, f.type) for f in table.arrow]
    path = lake.path(name, stem)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(arrays, schema=table.arrow), path, row_group_size=16_384, compression="zstd")
    return shards.describe(path)


def _models(lake: Lake) -> Change:
    """The model that the embeddings are of."""
    table = schema.table("models")
    filled: dict[Any, Any] = {pa.string(): "{}", pa.timestamp("us", "UTC"): datetime.now(UTC)}
    row = {
        f.name: None if f.nullable else filled.get(f.type, [] if pa.types.is_list(f.type) else 0) for f in table.arrow
    }
    row |= {"run_id": RUN, "model": "made", "input": "features:made", "labels": []}
    return Change(table, [shards.write_rows(lake.path("models", RUN), table.arrow, [row])])
