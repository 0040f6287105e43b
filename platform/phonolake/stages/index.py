"""Index: a FAISS index over the embeddings of each model, so that neighbours are found without reading them all."""

from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq

from phonolake import progress
from phonolake.errors import PhonolakeError
from phonolake.lineage import digest
from phonolake.search import index as faiss_index
from phonolake.stages.common import Outcome, finish, now
from phonolake.store.lake import Lake
from phonolake.store.shards import sweep


@dataclass(frozen=True, slots=True)
class Config:
    """Which embeddings to index: those of every model."""

    lake: str
    again: bool = False


def run(config: Config) -> list[Outcome]:
    """Build the indexes that are missing or out of date; one outcome for each.

    Raises
    ------
    PhonolakeError
        When the lake has no embeddings.
    """
    started = now()
    lake = Lake.open(config.lake)
    groups = lake.shards_by_family("embeddings")
    if not groups:
        raise PhonolakeError("the lake has no embeddings yet: run `phonolake score` first")
    sweep(lake.root / "indexes")
    outcomes = []
    with progress.task("index", len(groups)) as advance:
        for run_id, files in groups.items():
            folder = lake.root / "indexes" / run_id
            card = faiss_index.read_card(folder)
            if config.again or card is None or card.get("files") != files:
                track_ids, x_ND = _read(lake, files)
                faiss_index.save(faiss_index.build(x_ND, track_ids, {"run_id": run_id, "files": files}), folder)
            n = sum(lake.shards("embeddings")[file].rows for file in files)
            outcomes.append(Outcome("index", f"index-{run_id}-{digest(files, length=8)}", n, n, 0, run_id))
            advance(1)
    lake.commit({"runs": finish(lake, config, outcomes, started)})
    return outcomes


def _read(lake: Lake, files: list[str]) -> tuple[list[str], np.ndarray]:
    track_ids: list[str] = []
    vectors = []
    for file in files:
        table = pq.read_table(lake.folder("embeddings") / file, columns=["track_id", "embedding"])
        track_ids += table["track_id"].to_pylist()
        values = table["embedding"].combine_chunks().flatten().to_numpy()
        vectors.append(values.reshape(len(table), -1))
    return track_ids, np.concatenate(vectors)
