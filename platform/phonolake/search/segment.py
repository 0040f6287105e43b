"""A segment of an index: some of its vectors, immutable.

    vectors.npy     the vectors, of length one, in order of their numbers
    tracks.arrow    their tracks, with title, artist and labels; by_id.npy: the numbers in order of the ids
    index.faiss     what FAISS learned (`phonolake.search.kinds`), with lists.bin and cells.npy for an inverted file

FAISS's candidates are reranked by the vectors. With a filter an inverted file gives the nearest cells, and the allowed
vectors in them are compared one by one.

Shape suffixes: N vectors, D values, K neighbours, M allowed vectors, C cells.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from phonolake.search import kinds, probing
from phonolake.search.allowed import Allowed
from phonolake.search.library import loaded
from phonolake.search.tracks import Tracks
from phonolake.search.vectors import Vectors, mapped, nearest_among, similarities

VECTORS = "vectors.npy"
# Up to this many allowed vectors, compare each rather than search a graph, which has no filter.
FEW = 20_000
# Search more than a filter's share before it is applied, because allowed vectors may be unevenly distributed.
MARGIN = 1.5
# Above this share, scanning all vectors is faster than looking up the allowed ones.
MANY = 0.3
# FAISS on a GPU gives at most so many results, and searches as many cells.
DEVICE_MOST = 2048


@dataclass(frozen=True)
class Segment:
    """An open segment.

    Parameters
    ----------
    vectors : Vectors
        N of D values.
    faiss : object, optional
        The FAISS index; a flat segment has none, nor one that others search.
    bounds : ndarray, optional
        The number of the first vector of each cell of an inverted file, then N.
    plan : probing.Plan
        The search depth.
    device : object, optional
        The same vectors or codes as a FAISS index on a GPU: see `phonolake.search.gpu`.
    """

    tracks: Tracks
    vectors: Vectors
    kind: str = kinds.FLAT
    faiss: Any = None
    bounds: np.ndarray | None = None
    plan: probing.Plan = probing.UNKNOWN
    device: Any = None

    @classmethod
    def read(cls, folder: Path, card: dict[str, Any], *, searched: bool = True) -> "Segment":
        """The segment in a folder, according to its card.

        Parameters
        ----------
        searched : bool
            Whether it will be searched; else its FAISS index is not opened.

        Raises
        ------
        OSError, RuntimeError, ValueError, KeyError
            When a file is missing or damaged, or they are inconsistent.
        """
        kind, n = str(card["kind"]), int(card["n"])
        tracks, vectors = Tracks.read(folder), mapped(folder / VECTORS)
        if kind not in kinds.KINDS or vectors.ndim != 2 or not n == len(tracks) == len(vectors):
            raise ValueError(f"{folder} holds {len(vectors)} vectors of {len(tracks)} tracks and not {n}")
        if not searched:
            return cls(tracks, vectors, kind)
        bounds = mapped(folder / kinds.BOUNDS) if kind in kinds.INVERTED else None
        index = None if kind == kinds.FLAT else kinds.opened(folder, kind, n, bounds)
        return cls(tracks, vectors, kind, index, bounds, probing.Plan.of(card))

    def __len__(self) -> int:
        return self.vectors.shape[0]

    @property
    def exact(self) -> bool:
        """Whether it compares every vector."""
        return self.kind == kinds.FLAT

    def search(self, query_D: np.ndarray, k: int, *, among: Allowed | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest vectors.

        Parameters
        ----------
        query_D : ndarray
            Of length one, or zero; float32.
        among : Allowed, optional
            The allowed ones; all by default.

        Returns
        -------
        numbers : ndarray of int64
            Best first, ties in order of their numbers: k, or all if there are fewer.
        similarity : ndarray of float64
        """
        number_K, similarity_K = self.candidates(query_D, k, among=among)
        best_K = np.lexsort((number_K, -similarity_K))[:k]
        return number_K[best_K], similarity_K[best_K]

    def candidates(self, query_D: np.ndarray, k: int, *, among: Allowed | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest vectors and perhaps others, in no order: for callers that rank those of several segments.

        See `search`.
        """
        k = min(k, len(self) if among is None else len(among))
        if k <= 0:
            return np.zeros(0, np.int64), np.zeros(0)
        if among is None or len(among) == len(self):
            number_K = self._unfiltered(query_D, k)
        elif self.bounds is not None:
            number_K = nearest_among(self.vectors, self._near(query_D, k, among, self.bounds), query_D, k)
        else:
            number_K = self._filtered(query_D, k, among)
        return number_K, similarities(self.vectors, number_K, query_D)

    def search_many(
        self, query_QD: np.ndarray, k: int, *, among: Allowed | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest for each of many queries; -1 if there are fewer. See `search`."""
        exist = len(self) if among is None else len(among)
        if among is not None or not isinstance(self.vectors, np.ndarray) or k >= exist:
            found = [self.search(query_D, k, among=among) for query_D in query_QD]
            number_QK, similarity_QK = np.full((len(found), k), -1), np.full((len(found), k), -np.inf)
            for q, (numbers, similarity) in enumerate(found):
                number_QK[q, : len(numbers)], similarity_QK[q, : len(numbers)] = numbers, similarity
            return number_QK, similarity_QK
        number_QK = self._scan(query_QD, k) if self.exact else self._many_by_faiss(query_QD, *self._depth(k))
        similarity_QK = np.full(number_QK.shape, -np.inf)
        for q, query_D in enumerate(query_QD):
            there = number_QK[q] >= 0
            similarity_QK[q, there] = similarities(self.vectors, number_QK[q, there], query_D)
        order_QK = np.lexsort((number_QK, -similarity_QK))[:, :k]
        number_QK, similarity_QK = (np.take_along_axis(a, order_QK, axis=1) for a in (number_QK, similarity_QK))
        for q in np.flatnonzero(number_QK[:, -1] < 0).tolist():
            # The searched cells contained fewer.
            number_QK[q], similarity_QK[q] = self.search(query_QD[q], k)
        return number_QK, similarity_QK

    def _unfiltered(self, query_D: np.ndarray, k: int) -> np.ndarray:
        if self.exact:
            if isinstance(self.vectors, np.ndarray):
                return self._scan(query_D[None], k)[0]
            return nearest_among(self.vectors, np.arange(len(self)), query_D, k)
        depth, probes = self._depth(k)
        found = self._by_faiss(query_D, depth, probes)
        # The searched cells may contain fewer; all cells contain all.
        return found if len(found) >= k else self._by_faiss(query_D, depth, self._most)

    def _depth(self, k: int) -> tuple[int, int]:
        """Candidates of FAISS for the k nearest, and cells to search (candidates of a graph)."""
        if k not in self._depths:
            depth = min(len(self), k * self.plan.refine)
            self._depths[k] = depth, self.plan.probes(depth if self._is_graph else k, self._most)
        return self._depths[k]

    def _scan(self, query_QD: np.ndarray, k: int) -> np.ndarray:
        if self.device is not None and k <= DEVICE_MOST:
            return np.asarray(self.device.search(query_QD, k)[1])
        faiss = loaded()
        return np.asarray(faiss.knn(query_QD, np.asarray(self.vectors), k, faiss.METRIC_INNER_PRODUCT)[1])

    @property
    def _is_graph(self) -> bool:
        return self.kind == kinds.HNSW

    @cached_property
    def _most(self) -> int:
        return len(self) if self._is_graph else int(self.faiss.nlist)

    @cached_property
    def _depths(self) -> dict[int, tuple[int, int]]:
        return {}

    def _by_faiss(self, query_D: np.ndarray, depth: int, probes: int) -> np.ndarray:
        number_K = self._many_by_faiss(query_D[None], depth, probes)[0]
        # Missing results come last.
        return number_K if number_K.item(-1) >= 0 else number_K[number_K >= 0]

    def _many_by_faiss(self, query_QD: np.ndarray, depth: int, probes: int) -> np.ndarray:
        effort = max(probes, depth) if self._is_graph else probes
        if effort not in self._parameters:
            faiss = loaded()
            made = (
                faiss.SearchParametersHNSW(efSearch=effort)
                if self._is_graph
                else faiss.SearchParametersIVF(nprobe=effort)
            )
            self._parameters[effort] = made
        there = self.device is not None and max(depth, effort) <= DEVICE_MOST
        index = self.device if there else self.faiss
        return np.asarray(index.search(query_QD, depth, params=self._parameters[effort])[1])

    @cached_property
    def _parameters(self) -> dict[int, Any]:
        """FAISS's parameters by search depth, cached because making them takes as long as reranking."""
        return {}

    def _near(self, query_D: np.ndarray, k: int, among: Allowed, bounds: np.ndarray) -> np.ndarray:
        """The allowed vectors in the cells around a query."""
        # There may be fewer allowed vectors around a query than their share of all.
        bound_C = among.by_cell(bounds)
        near_P = probing.under_filter(
            self.plan, k, self._sizes, np.diff(bound_C), lambda cells: self._cells_around(query_D, cells)
        )
        if len(near_P) == self._most:
            return among.numbers
        return np.concatenate([among.numbers[bound_C[cell] : bound_C[cell + 1]] for cell in np.sort(near_P).tolist()])

    def _cells_around(self, query_D: np.ndarray, cells: int) -> np.ndarray:
        """The nearest cells of an inverted file, the nearest first."""
        return np.asarray(self.faiss.quantizer.search(query_D[None], cells)[1][0])

    @cached_property
    def _sizes(self) -> np.ndarray:
        assert self.bounds is not None
        return np.diff(self.bounds)

    def _filtered(self, query_D: np.ndarray, k: int, among: Allowed) -> np.ndarray:
        """The nearest allowed vectors of a graph, or of an exact segment."""
        depth = MARGIN * k * len(self) / len(among)
        if self._is_graph and len(among) > FEW:
            depth *= self.plan.refine
            if depth < len(among):
                found = among.keep(np.sort(self._by_faiss(query_D, int(depth), self.plan.probes(depth, self._most))))
                if len(found) >= k:
                    return found
        elif self.exact and len(among) > MANY * len(self) and isinstance(self.vectors, np.ndarray):
            # The nearest of all are in order, so the allowed ones among them are the nearest allowed.
            found = among.keep(self._scan(query_D[None], min(len(self), int(depth) + k))[0])
            if len(found) >= k:
                return found
        return nearest_among(self.vectors, among.numbers, query_D, k)
