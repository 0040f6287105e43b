"""Index: a FAISS index over the embeddings of each model, so that neighbours are found without reading them all."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq

from phonolake import progress
from phonolake.errors import PhonolakeError
from phonolake.lineage import digest
from phonolake.search import index as faiss_index
from phonolake.store import jobs
from phonolake.store.attempts import attempts
from phonolake.store.lake import Lake, Reads
from phonolake.store.outcomes import Outcome, finish, now


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
    with jobs.working(lake.root, "index"), progress.task("index", len(groups)) as advance:
        outcomes = [_index(lake, run_id, again=config.again) for run_id in _counted(groups, advance)]
        lake.commit({"runs": finish(lake, config, outcomes, started)})
    return outcomes


def _counted(groups: Iterable[str], advance: progress.Advance) -> Iterator[str]:
    for run_id in groups:
        yield run_id
        advance(1)


def _index(lake: Lake, run_id: str, *, again: bool) -> Outcome:
    """Bring the index of one model up to date."""
    folder = lake.root / "indexes" / run_id
    for attempt in attempts(lake):
        with attempt as seen:
            files = seen.shards_by_family("embeddings").get(run_id, [])
            card = faiss_index.read_card(folder)
            current = card is not None and card.get("files") == files and card.get("format") == faiss_index.FORMAT
            if files and (again or not current):
                track_ids, x_ND = _read(seen, files)
                built = faiss_index.build(x_ND, track_ids, {"run_id": run_id, "files": files})
                # An index of what is no longer published would bring back who was forgotten.
                with lake.alone(Reads(shards={"embeddings": files})):
                    faiss_index.save(built, folder)
            n = sum(seen.shards("embeddings")[file].rows for file in files)
            return Outcome("index", f"index-{run_id}-{digest(files, length=8)}", n, n, 0, run_id)
    raise AssertionError("the last attempt raises")


def _read(lake: Lake, files: list[str]) -> tuple[list[str], np.ndarray]:
    track_ids: list[str] = []
    vectors = []
    for file in files:
        table = pq.read_table(lake.folder("embeddings") / file, columns=["track_id", "embedding"])
        track_ids += table["track_id"].to_pylist()
        values = table["embedding"].combine_chunks().flatten().to_numpy()
        vectors.append(values.reshape(len(table), -1))
    return track_ids, np.concatenate(vectors)
