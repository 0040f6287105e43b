"""The index format until December 2026: one FAISS file, and the ids in its order in Arrow or JSON.

They work until `phonolake index` rewrites them. They have no metadata of tracks and no measured recall.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from phonolake.search import kinds
from phonolake.search.library import load_faiss
from phonolake.search.probing import Plan
from phonolake.search.segment import Segment
from phonolake.search.tracks import Tracks

IVF = "ivf"
INDEX, IDS, JSON_IDS = "index.faiss", "ids.arrow", "ids.json"
# Cells that the first format always searched.
PROBED = 16


def facts(card: dict[str, Any]) -> dict[str, Any]:
    """The facts on the card of an early index, in the later format."""
    kind = {"flat": kinds.FLAT, "ivf": IVF}[str(card["kind"])]
    probes = card.get("probes") or ([[10, PROBED]] if kind != kinds.FLAT else [])
    return {"kind": kind, "n": int(card["n"]), "probes": probes}


def segment(folder: Path, known: dict[str, Any]) -> Segment:
    """The only segment of an early index.

    Raises
    ------
    OSError, RuntimeError, ValueError
        When a file is missing or damaged, or they are inconsistent.
    """
    faiss = load_faiss()
    flat = known["kind"] == kinds.FLAT
    # One flag leaves the lists of an inverted file on the disk, the other the vectors of a flat index.
    index = faiss.read_index(str(folder / INDEX), faiss.IO_FLAG_MMAP_IFC if flat else faiss.IO_FLAG_MMAP)
    track_ids = ids(folder)
    n = int(known["n"])
    fitting = faiss.IndexFlat if flat else faiss.IndexIVFFlat
    if not isinstance(index, fitting) or not n == index.ntotal == len(track_ids):
        raise ValueError(f"the files of {folder} do not fit together")
    if not flat and index.direct_map.no():
        index.make_direct_map(True)
    tracks = Tracks.of(track_ids, np.zeros(n, np.int32))
    if flat:
        return Segment(tracks, _Stored(index))
    # Filtered searches are exact, because the vectors of a cell are not contiguous.
    return Segment(tracks, _Stored(index), IVF, index, None, Plan.of(known))


class _Stored:
    """Vectors of a FAISS index by their numbers."""

    def __init__(self, index: Any) -> None:
        self._index = index
        self.shape = (int(index.ntotal), int(index.d))

    def __getitem__(self, numbers: Any) -> np.ndarray:
        if isinstance(numbers, slice):
            numbers = np.arange(*numbers.indices(self.shape[0]))
        if np.ndim(numbers) == 0:
            return np.asarray(self._index.reconstruct(int(numbers)))
        if not len(numbers):
            return np.zeros((0, self.shape[1]), np.float32)
        return np.asarray(self._index.reconstruct_batch(np.ascontiguousarray(numbers, np.int64)))


def ids(folder: Path) -> pa.Array:
    """The ids of an early index, in the order of its vectors.

    Raises
    ------
    OSError, ValueError
        When they are missing or damaged.
    """
    if (folder / IDS).exists():
        with pa.memory_map(str(folder / IDS)) as file:
            table = pa.ipc.open_file(file).read_all()
        if table.schema.names != ["track_id", "by_id"]:
            raise ValueError(f"{folder / IDS} has the columns {', '.join(table.schema.names)}")
        return table["track_id"].combine_chunks().cast(pa.string())
    found = json.loads((folder / JSON_IDS).read_text(encoding="utf-8"))
    if not isinstance(found, list) or not all(isinstance(track_id, str) for track_id in found):
        raise ValueError(f"{folder / JSON_IDS} is no list of ids")
    return pa.array(found, pa.string())
