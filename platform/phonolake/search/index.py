"""A FAISS index over the embeddings of one model, in a folder beside the tables.

Cosine similarity is the inner product of vectors of length one. Small collections are searched exactly; above
`FLAT_LIMIT` tracks an inverted file (IVF) answers from the nearest cells, as many as `phonolake.search.probing` says.

Shape suffixes: N tracks, D values of an embedding, Q queries, M allowed tracks, C cells.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from phonolake.errors import PhonolakeError
from phonolake.files import read_folder, replacing_folder, standing
from phonolake.search import probing
from phonolake.search.ids import Ids

INDEX, CARD = "index.faiss", "card.json"
# Of the folder. The first, without a number, had its ids in JSON and looked at `PROBED` cells whatever was asked.
FORMAT = 2
# Exact search over this many vectors of 512 values takes some 4 ms on two cores.
FLAT_LIMIT = 100_000
CELLS, PROBED = 1024, 16
# Vectors that are read at once to be looked at one by one.
BLOCK = 65_536


@dataclass(frozen=True)
class Index:
    """An index that is open: the FAISS object, the track ids in its order, and its card."""

    faiss: Any
    ids: Ids
    card: dict[str, Any]

    @property
    def exact(self) -> bool:
        """Whether it looks at every vector."""
        return bool(self.card["kind"] == "flat")

    @cached_property
    def cells(self) -> np.ndarray:
        """The cell of each vector of an inverted file."""
        return probing.cells_of(load_faiss(), self.faiss)

    @property
    def probes(self) -> list[tuple[int, int]]:
        """For several k how many cells hold the k nearest; nothing is known of those of the first format."""
        return [(k, cells) for k, cells in self.card.get("probes", [])]

    def vector(self, number: int) -> np.ndarray:
        """A stored vector: of length one, or zero."""
        return np.asarray(self.faiss.reconstruct(number))


def load_faiss() -> Any:
    """Import FAISS; its two distributions own the same module, so only one may be installed."""
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in ("faiss-cpu", "faiss-gpu"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    if len(found) == 2:
        raise PhonolakeError(
            f"{' and '.join(found)} overwrite each other's files: `pip uninstall faiss-cpu faiss-gpu`, then install "
            "phonolake[cpu] or phonolake[gpu]"
        )
    if not found:
        raise PhonolakeError("FAISS is not installed: `pip install phonolake[cpu]`, or phonolake[gpu]")
    import faiss

    return faiss


def unit(x_ND: np.ndarray) -> np.ndarray:
    """Vectors scaled to length one, float32; a zero vector stays zero and is like nothing."""
    x_ND = np.ascontiguousarray(x_ND, np.float32)
    # Squares of large and small float32 values only fit into float64.
    norm_N = np.sqrt(np.einsum("nd,nd->n", x_ND, x_ND, dtype=np.float64))
    return np.divide(x_ND, np.where(norm_N > 0, norm_N, 1)[:, None], out=np.empty_like(x_ND), casting="same_kind")


def build(x_ND: np.ndarray, track_ids: list[str], card: dict[str, Any]) -> Index:
    """Build an index.

    Parameters
    ----------
    x_ND : ndarray
        Embeddings in any scale.
    track_ids : list of str
        Their tracks.
    card : dict
        What the index is of; ``format``, ``kind`` (flat or ivf), ``n``, ``d`` and for ivf ``probes`` are added.
    """
    faiss = load_faiss()
    n, d = x_ND.shape
    vectors_ND = unit(x_ND)
    if n <= FLAT_LIMIT:
        index, kind = faiss.IndexFlatIP(d), "flat"
    else:
        index, kind = faiss.IndexIVFFlat(faiss.IndexFlatIP(d), d, CELLS, faiss.METRIC_INNER_PRODUCT), "ivf"
        index.train(vectors_ND)
    index.add(vectors_ND)
    facts: dict[str, Any] = {"format": FORMAT, "kind": kind, "n": n, "d": d}
    if kind == "ivf":
        index.make_direct_map(True)
        facts["probes"] = probing.measure(faiss, index, vectors_ND)
    return Index(index, Ids.of(track_ids), card | facts)


def save(index: Index, folder: Path) -> None:
    """Put an index in the place of what is at `folder`, whole or not at all."""
    faiss = load_faiss()
    with replacing_folder(folder) as staging:
        faiss.write_index(index.faiss, str(staging / INDEX))
        index.ids.write(staging)
        (staging / CARD).write_text(json.dumps(index.card, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_card(folder: Path) -> dict[str, Any] | None:
    """What an index is of; None where there is none, or none that can be read."""
    try:
        card: dict[str, Any] = json.loads((standing(folder) / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return card if isinstance(card, dict) else None


def load(folder: Path) -> Index:
    """Read an index; the vectors stay on disk until they are looked at."""
    return read_folder(folder, _load)


def _load(folder: Path) -> Index:
    faiss = load_faiss()
    card = read_card(folder)
    if card is None:
        raise PhonolakeError(f"no index at {folder}: run `phonolake index`")
    kind = card.get("kind")
    try:
        # The one leaves the lists of an inverted file on the disk, the other the vectors of a flat index.
        flag = faiss.IO_FLAG_MMAP if kind == "ivf" else faiss.IO_FLAG_MMAP_IFC
        index = faiss.read_index(str(folder / INDEX), flag)
        ids = Ids.read(folder)
    except (RuntimeError, OSError, ValueError) as error:
        raise PhonolakeError(f"the index at {folder} cannot be read: run `phonolake index --again`") from error
    fitting = {"flat": faiss.IndexFlat, "ivf": faiss.IndexIVFFlat}.get(str(kind), ())
    if len(ids) != index.ntotal or not isinstance(index, fitting):
        raise PhonolakeError(f"the files of the index at {folder} do not fit together: run `phonolake index --again`")
    if kind == "ivf" and index.direct_map.no():
        index.make_direct_map(True)
    return Index(index, ids, card)


def stamp(folder: Path) -> tuple[int, int] | None:
    """What changes when another index takes the place of one; None where there is none."""
    try:
        facts = (standing(folder) / CARD).stat()
    except OSError:
        return None
    return facts.st_ino, facts.st_mtime_ns


def search(index: Index, query_D: np.ndarray, k: int, *, among: np.ndarray | None = None) -> list[tuple[int, float]]:
    """The k nearest vectors.

    Parameters
    ----------
    query_D : ndarray
        Embedding in any scale.
    k : int
    among : ndarray of int64, optional
        Numbers of the vectors that may be found, each once; all by default.

    Returns
    -------
    list of (number, cosine similarity)
        Best first, equal ones in order of their numbers: k, or as many as there are.

    Raises
    ------
    PhonolakeError
        If the query has another number of values than the indexed vectors.
    """
    if query_D.shape != (index.faiss.d,):
        raise PhonolakeError(
            f"the index holds vectors of {index.faiss.d} values, received shape {query_D.shape}: "
            "run `phonolake index --again`"
        )
    query_1D = unit(query_D[None])
    exist = index.faiss.ntotal if among is None else len(among)
    k = min(k, exist)
    if k == 0:
        return []
    cells = _cells(index, query_1D, k, among)
    if among is not None and _is_cheap(index, among, cells):
        return _one_by_one(index, query_1D, k, among)
    found = _by_faiss(index, query_1D, k, among, cells)
    # The cells that are looked at may hold fewer; all of them hold all.
    return found if len(found) == k else _by_faiss(index, query_1D, k, among, index.faiss.nlist)


def _cells(index: Index, query_1D: np.ndarray, k: int, among_M: np.ndarray | None) -> int:
    """How many cells to look at; a flat index is one."""
    if index.exact:
        return 1
    n_cells = index.faiss.nlist
    if among_M is None:
        return probing.wanted(index.probes, n_cells, k) if index.probes else min(PROBED, n_cells)
    first = probing.wanted(index.probes, n_cells, k * index.faiss.ntotal / len(among_M))
    if _is_cheap(index, among_M, first):
        return first
    _, order_1C = index.faiss.quantizer.search(query_1D, n_cells)
    return probing.under_filter(index.probes, k, index.cells, among_M, order_1C[0])


def _is_cheap(index: Index, among_M: np.ndarray, cells: int) -> bool:
    """Whether looking at each allowed vector takes less time than letting FAISS pass over what so many cells hold."""
    passed = index.faiss.ntotal if index.exact else index.faiss.ntotal * cells / index.faiss.nlist
    return bool(len(among_M) * probing.READ[index.card["kind"]] <= passed)


def _one_by_one(index: Index, query_1D: np.ndarray, k: int, among_M: np.ndarray) -> list[tuple[int, float]]:
    """Look at each of some stored vectors."""
    similarity_M = np.empty(len(among_M), np.float32)
    for start in range(0, len(among_M), BLOCK):
        numbers = np.ascontiguousarray(among_M[start : start + BLOCK], np.int64)
        similarity_M[start : start + BLOCK] = index.faiss.reconstruct_batch(numbers) @ query_1D[0]
    least = np.partition(similarity_M, len(among_M) - k)[len(among_M) - k]
    (best,) = np.nonzero(similarity_M >= least)
    found = [(int(among_M[place]), float(similarity_M[place])) for place in best]
    return sorted(found, key=_rank)[:k]


def _by_faiss(
    index: Index, query_1D: np.ndarray, k: int, among_M: np.ndarray | None, cells: int
) -> list[tuple[int, float]]:
    import faiss  # which one there is, was looked at when the index was opened

    options: dict[str, Any] = {} if index.exact else {"nprobe": cells}
    if among_M is not None:
        allowed_N = np.zeros(index.faiss.ntotal, bool)
        allowed_N[among_M] = True
        # It must live as long as what looks at it.
        bits = np.packbits(allowed_N, bitorder="little")
        options["sel"] = faiss.IDSelectorBitmap(index.faiss.ntotal, faiss.swig_ptr(bits))
    parameters = faiss.SearchParameters if index.exact else faiss.SearchParametersIVF
    similarity_1K, number_1K = index.faiss.search(query_1D, k, params=parameters(**options))
    found = [(int(n), float(s)) for n, s in zip(number_1K[0], similarity_1K[0], strict=True) if n >= 0]
    return sorted(found, key=_rank)


def _rank(found: tuple[int, float]) -> tuple[float, int]:
    return -found[1], found[0]
