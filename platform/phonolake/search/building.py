"""Build a segment from a stream of vectors, with memory for a sample of them and for a few bytes of each.

The vectors are streamed into a file once; for an inverted file they are read again to find their cells, and once more
to write them cell by cell.

Shape suffixes: N vectors, B vectors of a block, D values, C cells.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from phonolake.search import kinds, recall, tracks
from phonolake.search.library import load_faiss
from phonolake.search.segment import VECTORS, Segment
from phonolake.search.vectors import BLOCK, create, unit

STREAM = "stream.npy"
# Metadata of tracks, for a table of their ids in order: title, artist and labels in that order.
Show = Callable[[pa.ChunkedArray], Iterable[pa.RecordBatch]]


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows of one shard: their tracks, and embeddings in any scale of shape (rows, values)."""

    track_ids: pa.Array | pa.ChunkedArray
    vectors: np.ndarray
    shard: int


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """What to build.

    Parameters
    ----------
    kind : str
        One of `phonolake.search.kinds.KINDS`.
    recall : float
        Required recall of the 10 nearest.
    seed : int
        Of the sample, the cells and the queries.
    like : Segment, optional
        Reuse the training and the measurements of this one, for nearly the same vectors.
    """

    kind: str = kinds.AUTO
    recall: float = recall.WANTED
    seed: int = 0
    like: Segment | None = None


def build(folder: Path, blocks: Iterable[Block], n: int, d: int, show: Show, recipe: BuildPlan) -> dict[str, Any]:
    """Write a segment of n vectors of d values into an empty folder.

    Returns
    -------
    dict
        Its card: kind, n, bytes per vector, and measurements: see `phonolake.search.recall`.
    """
    kind = recipe.like.kind if recipe.like else kinds.chosen(recipe.kind, n)
    asked = recall.queries(n, recipe.seed)
    stream = _Stream(folder / (STREAM if kind in kinds.INVERTED else VECTORS), n, d)
    drawn = _sample(kind, n, asked, recipe.seed) if recipe.like is None else np.zeros(0, np.int64)
    sample_BD = stream.write(blocks, drawn)
    order: np.ndarray | None = None
    if kind != kinds.FLAT:
        index = _trained(kind, n, d, sample_BD, recipe)
        del sample_BD
        order = _fill(folder, kind, index, stream)
    track_ids, shards = stream.tracks(order)
    tracks.write(folder, track_ids, shards, show(track_ids))
    del track_ids, shards
    pa.default_memory_pool().release_unused()
    if order is not None:
        (folder / STREAM).unlink()
        asked = np.argsort(order)[asked]
    return _card(folder, kind, n, asked, recipe)


def _card(folder: Path, kind: str, n: int, asked: np.ndarray, recipe: BuildPlan) -> dict[str, Any]:
    facts: dict[str, Any] = {"kind": kind, "n": n}
    if recipe.like is None:
        plan, measured = recall.measure(lambda: Segment.read(folder, facts), asked, recipe.recall, recipe.seed)
    else:
        plan, measured = recipe.like.plan, {}
    is_exact = Segment.read(folder, facts).exact
    facts |= measured
    if not is_exact:
        facts |= {"probes": [list(pair) for pair in plan.measured], "refine": plan.refine}
    size = sum(path.stat().st_size for path in folder.iterdir())
    searched = sum((folder / name).stat().st_size for name in (kinds.FAISS, kinds.LISTS) if (folder / name).exists())
    facts |= {"bytes_per_vector": round(size / n, 1), "searched_bytes_per_vector": round((searched or size) / n, 1)}
    return facts


def _sample(kind: str, n: int, asked: np.ndarray, seed: int) -> np.ndarray:
    """Rows to train on, in order; none of them is a query later."""
    if kind == kinds.FLAT:
        return np.zeros(0, np.int64)
    rest = np.setdiff1d(np.arange(n), asked)
    wanted = min(kinds.sample(kind, n), len(rest))
    return np.sort(np.random.default_rng([seed, 1]).choice(rest, wanted, replace=False))


def _trained(kind: str, n: int, d: int, sample_BD: np.ndarray, recipe: BuildPlan) -> Any:
    """A FAISS index that holds no vector yet."""
    if recipe.like is not None and kind in kinds.INVERTED:
        return kinds.emptied(recipe.like.faiss, kind)
    if recipe.like is not None:
        sample_BD = np.array(recipe.like.vectors[: kinds.sample(kind, n)])
    index = kinds.untrained(kind, n, d, recipe.seed)
    index.train(sample_BD)
    return index


def _fill(folder: Path, kind: str, index: Any, stream: "_Stream") -> np.ndarray | None:
    """Write the FAISS index and the vectors of a stream; returns the rows in order of the numbers."""
    faiss = load_faiss()
    if kind == kinds.HNSW:
        for _, x_BD in stream.blocks():
            index.add(x_BD)
        faiss.write_index(index, str(folder / kinds.FAISS))
        return None
    cell_N = np.concatenate([index.quantizer.search(x_BD, 1)[1][:, 0].astype(np.int32) for _, x_BD in stream.blocks()])
    order_N = np.argsort(cell_N, kind="stable")
    number_N = np.empty_like(order_N)
    number_N[order_N] = np.arange(stream.n)
    bounds = np.concatenate([[0], np.bincount(cell_N, minlength=index.nlist).cumsum()])
    np.save(folder / kinds.BOUNDS, bounds)
    listed = kinds.ListWriter(folder / kinds.LISTS, index, bounds) if kind in kinds.LISTED else None
    begin = create(folder / VECTORS, stream.n, stream.d)
    handle = os.open(folder / VECTORS, os.O_WRONLY)
    for start, x_BD in stream.blocks():
        number_B = number_N[start : start + len(x_BD)]
        order_B = np.argsort(number_B)
        x_BD, number_B = np.ascontiguousarray(x_BD[order_B]), number_B[order_B]
        for first, last in kinds.runs(number_B):
            os.pwrite(handle, x_BD[first:last].tobytes(), begin + int(number_B[first]) * stream.d * 4)
        if listed:
            listed(x_BD, cell_N[start : start + len(x_BD)][order_B].astype(np.int64), number_B)
        else:
            index.add_with_ids(x_BD, number_B)
    os.close(handle)
    if listed:
        listed.close()
        index.ntotal = 0
    faiss.write_index(index, str(folder / kinds.FAISS))
    return order_N


class _Stream:
    """Vectors of length one in a file in the order in which they came, and their tracks."""

    def __init__(self, path: Path, n: int, d: int) -> None:
        self.path, self.n, self.d = path, n, d
        self._track_ids: list[pa.Array] = []
        self._shards: list[np.ndarray] = []

    def write(self, blocks: Iterable[Block], drawn: np.ndarray) -> np.ndarray:
        """Write all vectors, and return those of some rows."""
        self._begin = create(self.path, self.n, self.d)
        sample_BD = np.empty((len(drawn), self.d), np.float32)
        start = 0
        with open(self.path, "ab") as file:
            for block in blocks:
                x_BD = unit(block.vectors)
                file.write(x_BD.tobytes())
                stop = start + len(x_BD)
                first, last = np.searchsorted(drawn, [start, stop])
                sample_BD[first:last] = x_BD[drawn[first:last] - start]
                whole = block.track_ids
                self._track_ids += whole.chunks if isinstance(whole, pa.ChunkedArray) else [whole]
                self._shards.append(np.full(len(x_BD), block.shard, np.int32))
                start = stop
        if start != self.n:
            raise ValueError(f"expected {self.n} vectors, received {start}")
        return sample_BD

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """The vectors once more, each block with the row of its first one."""
        with open(self.path, "rb") as file:
            file.seek(self._begin)
            for start in range(0, self.n, BLOCK):
                rows = min(BLOCK, self.n - start)
                yield start, np.fromfile(file, np.float32, rows * self.d).reshape(rows, self.d)

    def tracks(self, order: np.ndarray | None) -> tuple[pa.ChunkedArray, np.ndarray]:
        """Ids and shards of the tracks by their numbers."""
        track_ids = pa.chunked_array(self._track_ids, pa.string())
        shards = np.concatenate(self._shards) if self._shards else np.zeros(0, np.int32)
        self._track_ids, self._shards = [], []
        return (track_ids, shards) if order is None else (track_ids.take(pa.array(order)), shards[order])


def again(segment: Segment, keep: np.ndarray) -> Iterator[Block]:
    """Some vectors of a segment as blocks, in order of their numbers, shard by shard within each."""
    track_ids, shards = segment.tracks.ids(), segment.tracks.shards()
    for start in range(0, len(keep), BLOCK):
        numbers = keep[start : start + BLOCK]
        for shard in np.unique(shards[numbers]):
            part = numbers[shards[numbers] == shard]
            yield Block(track_ids.take(pa.array(part)), np.ascontiguousarray(segment.vectors[part]), int(shard))
