"""A FAISS index over the embeddings of one model, in a folder beside the tables.

Cosine similarity is the inner product of vectors of length one. Small collections are searched exactly; above
`FLAT_LIMIT` tracks an inverted file (IVF) answers from the nearest cells.

Shape suffixes: N tracks, D values of an embedding, Q queries.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phonolake.errors import PhonolakeError
from phonolake.files import read_folder, replacing_folder, standing

if TYPE_CHECKING:
    import faiss

INDEX, IDS, CARD = "index.faiss", "ids.json", "card.json"
# Exact search over this many vectors of 512 values takes some 4 ms on two cores.
FLAT_LIMIT = 100_000
CELLS, PROBED = 1024, 16


@dataclass(frozen=True, slots=True)
class Index:
    """An index in memory: the FAISS object, the track ids in its order, and its card."""

    faiss: "faiss.Index"
    track_ids: list[str]
    card: dict[str, Any]

    @property
    def exact(self) -> bool:
        """Whether it looks at every vector."""
        return bool(self.card["kind"] == "flat")


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
        What the index is of; ``kind`` (flat or ivf), ``n`` and ``d`` are added.
    """
    faiss = load_faiss()
    n, d = x_ND.shape
    vectors_ND = unit(x_ND)
    if n <= FLAT_LIMIT:
        index, kind = faiss.IndexFlatIP(d), "flat"
    else:
        index, kind = faiss.IndexIVFFlat(faiss.IndexFlatIP(d), d, CELLS, faiss.METRIC_INNER_PRODUCT), "ivf"
        index.train(vectors_ND)
        index.nprobe = PROBED
    index.add(vectors_ND)
    return Index(index, track_ids, card | {"kind": kind, "n": n, "d": d})


def save(index: Index, folder: Path) -> None:
    """Put an index in the place of what is at `folder`, whole or not at all."""
    faiss = load_faiss()
    with replacing_folder(folder) as staging:
        faiss.write_index(index.faiss, str(staging / INDEX))
        (staging / IDS).write_text(json.dumps(index.track_ids, ensure_ascii=False), encoding="utf-8")
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
    try:
        index = faiss.read_index(str(folder / INDEX), faiss.IO_FLAG_MMAP)
        track_ids = json.loads((folder / IDS).read_text(encoding="utf-8"))
    except (RuntimeError, OSError, ValueError) as error:
        raise PhonolakeError(f"the index at {folder} cannot be read: run `phonolake index --again`") from error
    if not isinstance(track_ids, list) or len(track_ids) != index.ntotal or card.get("kind") not in ("flat", "ivf"):
        raise PhonolakeError(f"the files of the index at {folder} do not fit together: run `phonolake index --again`")
    return Index(index, track_ids, card)


def search(index: Index, query_D: np.ndarray, k: int, *, among: np.ndarray | None = None) -> list[tuple[int, float]]:
    """The k nearest vectors.

    Parameters
    ----------
    query_D : ndarray
        Embedding in any scale.
    k : int
    among : ndarray of int64, optional
        Numbers of the vectors that may be found; all by default.

    Returns
    -------
    list of (number, cosine similarity)
        Best first, equal ones in order of their numbers. An inverted file may give fewer than k although more exist.

    Raises
    ------
    PhonolakeError
        If the query has another number of values than the indexed vectors.
    """
    faiss = load_faiss()
    if query_D.shape != (index.faiss.d,):
        raise PhonolakeError(
            f"the index holds vectors of {index.faiss.d} values, received shape {query_D.shape}: "
            "run `phonolake index --again`"
        )
    options: dict[str, Any] = {}
    if among is not None:
        selector = faiss.IDSelectorBatch(np.ascontiguousarray(among, np.int64))
        options = {
            "params": faiss.SearchParameters(sel=selector)
            if index.exact
            else faiss.SearchParametersIVF(sel=selector, nprobe=PROBED)
        }
    similarity_QN, number_QN = index.faiss.search(unit(query_D[None]), k, **options)
    found = [(int(n), float(s)) for n, s in zip(number_QN[0], similarity_QN[0], strict=True) if n >= 0]
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))
