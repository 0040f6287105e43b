"""Kinds of index, and their FAISS part on the disk.

All kinds also store the vectors, and rerank FAISS's candidates by them:

    flat            nothing else: FAISS compares every vector
    ivf-sq8         an inverted file of 8-bit codes, whose lists stay on the disk until they are looked at
    rabitq          the same with codes of about a bit a value (RaBitQ, Gao and Long 2024)
    ivf-pq-refine   an inverted file of 4-bit product codes in memory, half a byte for two values (FastScan)
    hnsw            a graph of near neighbours over 8-bit codes, in memory (Malkov and Yashunin 2016)

The vectors of an inverted file are numbered cell by cell, so that those of a cell lie side by side.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np

from phonolake.search.library import load_faiss

AUTO, FLAT, HNSW = "auto", "flat", "hnsw"
LISTED = {"ivf-sq8": "SQ8", "rabitq": "RaBitQ"}
IN_MEMORY = "ivf-pq-refine"
INVERTED = (*LISTED, IN_MEMORY)
KINDS = (AUTO, FLAT, "ivf-sq8", IN_MEMORY, "rabitq", HNSW)
# Exact search over this many vectors of 512 values takes some 4 ms on two cores.
FLAT_LIMIT = 100_000
FAISS, LISTS, BOUNDS = "index.faiss", "lists.bin", "cells.npy"
# Training vectors per cell for its centre.
SAMPLE = 48
NUMBER_BYTES = 8
LINKS = 32


def chosen(kind: str, n: int) -> str:
    """The kind to build for n vectors."""
    # For a few vectors nothing is faster than comparing each.
    return FLAT if n <= FLAT_LIMIT else "ivf-sq8" if kind == AUTO else kind


def cells(n: int) -> int:
    """Cells of an inverted file of n vectors: a power of two, at most the root of n."""
    return 1 << max(0, int(np.log2(max(n, 1)) / 2))


def untrained(kind: str, n: int, d: int, seed: int) -> Any:
    """A FAISS index for n vectors of d values."""
    faiss = load_faiss()
    if kind == HNSW:
        return faiss.index_factory(d, f"HNSW{LINKS},SQ8", faiss.METRIC_INNER_PRODUCT)
    codes = LISTED.get(kind) or f"PQ{d // 2 if d % 2 == 0 else d}x4fs"
    index = faiss.index_factory(d, f"IVF{cells(n)},{codes}", faiss.METRIC_INNER_PRODUCT)
    index.cp.seed = seed + 1
    # Centres of vectors of length one.
    index.cp.spherical = True
    index.cp.max_points_per_centroid = SAMPLE
    index.cp.min_points_per_centroid = 1
    return index


def sample(kind: str, n: int) -> int:
    """Number of training vectors of a FAISS index of n vectors."""
    return min(n, max(cells(n) * SAMPLE, 16_384))


def opened(folder: Path, kind: str, n: int, bounds: np.ndarray | None) -> Any:
    """The FAISS index of a segment; the lists of an inverted file stay on the disk.

    Raises
    ------
    OSError, RuntimeError
        When a file is missing or damaged.
    """
    faiss = load_faiss()
    index = faiss.read_index(str(folder / FAISS))
    if kind in LISTED and bounds is not None:
        attach(index, folder / LISTS, bounds)
    if index.ntotal != n:
        raise ValueError(f"{folder / FAISS} holds {index.ntotal} vectors and not {n}")
    return index


def emptied(index: Any, kind: str) -> Any:
    """An inverted file without its vectors: its training is reused for others; do not use the original any more."""
    if kind in LISTED:
        # Its lists are on the disk, where they cannot be emptied.
        lists = load_faiss().ArrayInvertedLists(index.nlist, index.code_size)
        index.replace_invlists(lists, True)
        lists.this.disown()
    index.reset()
    return index


def attach(index: Any, path: Path, bounds: np.ndarray) -> None:
    """Let an inverted file use lists in a file: for each cell its codes and then its numbers."""
    faiss = load_faiss()
    wanted = int(bounds[-1]) * (index.code_size + NUMBER_BYTES)
    if os.path.getsize(path) != wanted or len(bounds) != index.nlist + 1:
        raise ValueError(f"{path} has not the {wanted} bytes of {bounds[-1]} codes")
    lists = faiss.OnDiskInvertedLists()
    lists.nlist, lists.code_size = index.nlist, index.code_size
    lists.filename, lists.read_only, lists.totsize = str(path), True, wanted
    lists.lists.resize(index.nlist)
    # It must live as long as its users.
    size_C = np.diff(bounds).astype(np.uint64)
    lists.set_all_lists_sizes(faiss.swig_ptr(size_C))
    # Threads that read ahead take longer to start than the reading itself.
    lists.prefetch_nthread = 0
    lists.do_mmap()
    index.replace_invlists(lists, True)
    lists.this.disown()
    index.ntotal = int(bounds[-1])


class ListWriter:
    """Writes codes into the lists of an inverted file, in any order of the cells."""

    def __init__(self, path: Path, index: Any, bounds: np.ndarray) -> None:
        self._index, self._bounds = index, bounds
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        row = index.code_size + NUMBER_BYTES
        os.ftruncate(self._handle, int(bounds[-1]) * row)
        for cell in np.flatnonzero(np.diff(bounds)):
            first, last = int(bounds[cell]), int(bounds[cell + 1])
            place = first * row + (last - first) * index.code_size
            os.pwrite(self._handle, np.arange(first, last, dtype=np.int64).tobytes(), place)

    def __call__(self, x_BD: np.ndarray, cell_B: np.ndarray, number_B: np.ndarray) -> None:
        """Write vectors in order of their numbers."""
        size = self._index.code_size
        code_BS = np.empty((len(x_BD), size), np.uint8)
        pointer = load_faiss().swig_ptr
        self._index.encode_vectors(len(x_BD), pointer(x_BD), pointer(cell_B), pointer(code_BS), False)
        for first, last in runs(number_B):
            # Between the codes of neighbouring vectors in two cells are the numbers of the first cell.
            for start, stop in _by_cell(cell_B[first:last], first):
                bound = int(self._bounds[cell_B[start]])
                place = bound * (size + NUMBER_BYTES) + (int(number_B[start]) - bound) * size
                os.pwrite(self._handle, code_BS[start:stop].tobytes(), place)

    def close(self) -> None:
        """Finish the file."""
        os.close(self._handle)


def runs(number_B: np.ndarray) -> list[tuple[int, int]]:
    """Runs of consecutive numbers: start and end (exclusive) of each."""
    ends = [*np.flatnonzero(np.diff(number_B) != 1) + 1, len(number_B)]
    return [(int(a), int(b)) for a, b in zip([0, *ends[:-1]], ends, strict=True) if b > a]


def _by_cell(cell_B: np.ndarray, first: int) -> list[tuple[int, int]]:
    ends = [*np.flatnonzero(np.diff(cell_B)) + 1, len(cell_B)]
    return [(first + int(a), first + int(b)) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
