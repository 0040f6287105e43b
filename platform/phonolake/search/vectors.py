"""Vectors of length one in a memory-mapped NumPy file; exact search over them.

Shape suffixes: N vectors, D values, B vectors of a block, M allowed vectors, Q queries, K neighbours.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from phonolake.search.library import loaded

# Vectors per read.
BLOCK = 65_536


class Vectors(Protocol):
    """Rows by their numbers: an array, or a reader."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, numbers: Any, /) -> np.ndarray: ...


def unit(x_ND: np.ndarray) -> np.ndarray:
    """Vectors scaled to length one, float32; a zero vector stays zero and has similarity 0 to all."""
    x_ND = np.ascontiguousarray(x_ND, np.float32)
    # Squares of large and small float32 values only fit into float64.
    norm_N = np.sqrt(np.einsum("nd,nd->n", x_ND, x_ND, dtype=np.float64))
    return np.divide(x_ND, np.where(norm_N > 0, norm_N, 1)[:, None], out=np.empty_like(x_ND), casting="same_kind")


def create(path: Path, n: int, d: int) -> int:
    """Start a NumPy file of n vectors; returns the offset of the first one, in bytes."""
    with open(path, "wb") as file:
        np.lib.format.write_array_header_2_0(file, {"descr": "<f4", "fortran_order": False, "shape": (n, d)})
        return file.tell()


def mapped(path: Path) -> np.ndarray:
    """The array in a NumPy file; it stays on the disk until it is read.

    Raises
    ------
    OSError, ValueError
        When it is missing or damaged.
    """
    try:
        return np.asanyarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except EOFError as error:
        raise ValueError(f"{path} is empty") from error


def in_order(x_ND: Vectors) -> Iterator[tuple[int, np.ndarray]]:
    """All vectors in blocks, each with the number of its first one.

    Those of a file are read instead of mapped, so that they do not count as memory of this process.
    """
    n = x_ND.shape[0]
    path = getattr(x_ND, "filename", None)
    if path is None:
        for start in range(0, n, BLOCK):
            yield start, np.ascontiguousarray(x_ND[np.arange(start, min(start + BLOCK, n))])
        return
    d = x_ND.shape[1]
    with open(path, "rb") as file:
        file.seek(x_ND.offset)  # type: ignore[attr-defined]
        for start in range(0, n, BLOCK):
            stop = min(start + BLOCK, n)
            yield start, np.fromfile(file, np.float32, (stop - start) * d).reshape(-1, d)


def let_go(x_ND: Vectors) -> None:
    """Release the memory of mapped vectors that were read."""
    lying = getattr(x_ND, "_mmap", None)
    if isinstance(lying, mmap.mmap):
        lying.madvise(mmap.MADV_DONTNEED)


def fast(x_ND: Vectors) -> Vectors:
    """The same vectors; those of a file as a plain array, which is faster to index."""
    return np.asarray(x_ND) if isinstance(x_ND, np.ndarray) else x_ND


def similarities(x_ND: Vectors, numbers: np.ndarray, query_D: np.ndarray) -> np.ndarray:
    """Cosine similarity of some vectors, in float64: the same value for every search method."""
    rows_KD = np.asarray(x_ND).take(numbers, axis=0) if isinstance(x_ND, np.ndarray) else x_ND[numbers]
    # Row by row: a product of matrices may differ in the last digit with the number of its rows.
    return np.vecdot(rows_KD.astype(np.float64), query_D.astype(np.float64))


def nearest_among(x_ND: Vectors, numbers: np.ndarray, query_D: np.ndarray, k: int) -> np.ndarray:
    """Numbers of the k most similar of some vectors, by comparing each; more in case of ties.

    Parameters
    ----------
    numbers : ndarray of int64
        In order, each once; at least k.
    """
    similarity_M = np.empty(len(numbers), np.float32)
    if isinstance(x_ND, np.ndarray):
        faiss, lying_ND = loaded(), np.asarray(x_ND)
        numbers, query_D = np.ascontiguousarray(numbers, np.int64), np.ascontiguousarray(query_D, np.float32)
        pointers = map(faiss.swig_ptr, (similarity_M, query_D, lying_ND, numbers))
        faiss.fvec_inner_products_by_idx(*pointers, x_ND.shape[1], 1, len(numbers))
    else:
        for start in range(0, len(numbers), BLOCK):
            block = slice(start, start + BLOCK)
            similarity_M[block] = x_ND[numbers[block]] @ query_D
    least = np.partition(similarity_M, len(numbers) - k)[len(numbers) - k]
    return numbers[similarity_M >= least]


def nearest_of_all(x_ND: Vectors, query_QD: np.ndarray, k: int, among: np.ndarray | None = None) -> np.ndarray:
    """Numbers of the k nearest of all vectors, or of some, for several queries; -1 if there are fewer."""
    faiss = loaded()
    best_QK = np.full((len(query_QD), k), -np.inf, np.float32)
    number_QK = np.full((len(query_QD), k), -1, np.int64)
    for start, block_BD in in_order(x_ND):
        numbers = np.arange(start, start + len(block_BD))
        if among is not None:
            first, last = np.searchsorted(among, [start, start + len(block_BD)])
            numbers = among[first:last]
            block_BD = np.ascontiguousarray(block_BD[numbers - start])
        if not len(numbers):
            continue
        similarity_QB, place_QB = faiss.knn(query_QD, block_BD, min(k, len(numbers)), faiss.METRIC_INNER_PRODUCT)
        both = np.concatenate([best_QK, similarity_QB], axis=1), np.concatenate([number_QK, numbers[place_QB]], axis=1)
        order_QK = np.argsort(-both[0], axis=1, kind="stable")[:, :k]
        best_QK, number_QK = (np.take_along_axis(values, order_QK, axis=1) for values in both)
    return number_QK
