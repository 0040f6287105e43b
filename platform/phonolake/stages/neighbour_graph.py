"""Neighbour graph: the k nearest of every track as a table, shard by shard; a killed run continues."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from phonolake import execution, progress
from phonolake.errors import PhonolakeError, UsageError
from phonolake.lineage import CODE_VERSION, digest
from phonolake.lookup import indexed, licensed, runs
from phonolake.lookup.runs import ModelRun
from phonolake.lookup.searched import Searched
from phonolake.search.index import SourceShard
from phonolake.search.vectors import unit
from phonolake.stages import derive
from phonolake.store import catalog, jobs, schema
from phonolake.store.attempts import attempts
from phonolake.store.lake import Lake, Reads
from phonolake.store.outcomes import Outcome, finish, now
from phonolake.store.place import Place
from phonolake.store.product import Product
from phonolake.store.shards import SUFFIX, writing

# Of a question among many, on one core; and tracks that are asked about together.
SECONDS_PER_TRACK = 1e-3
BATCH = 256


@dataclass(frozen=True, slots=True)
class Config:
    """How many neighbours, and by whose embeddings.

    Parameters
    ----------
    model_or_run : str, optional
        The newest model by default.
    licence : str, optional
        Only embeddings under licences of this kind.
    """

    lake: str
    k: int = 20
    model_or_run: str | None = None
    licence: str | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """The tracks of one shard of embeddings, asked about at one moment of the lake."""

    lake: Place
    published: tuple[SourceShard, ...]
    run_id: str
    model: str
    source: str
    k: int
    version: str


def run(config: Config) -> Outcome:
    """Write the neighbours of all tracks without current ones.

    Raises
    ------
    UsageError
        For an unknown model or kind of licence, or no neighbours.
    PhonolakeError
        When the lake has no embeddings.
    """
    if config.k < 1:
        raise UsageError(f"k is the number of neighbours, at least 1; received {config.k}")
    started = now()
    lake = licensed.opened(config.lake, config.licence)
    with jobs.working(lake.place, "neighbours"):
        for attempt in attempts(lake):
            with attempt as seen:
                chosen = _choose(seen, config.model_or_run)
                shards = indexed.published(seen, chosen.run_id)
                facts = [[source.file, source.rows, source.bytes] for source in shards.values()]
                product = Product(schema.table("neighbours"), chosen.run_id, digest([config.k, sorted(facts)]))
                _ask(seen, chosen, product, sorted(shards), config.k)
                n = sum(source.rows or 0 for source in shards.values())
                outcome = Outcome("neighbours", f"neighbours-{chosen.run_id}-{product.version}", n, n, 0, chosen.model)
                changes = {"neighbours": derive.collect(seen, product, sorted(shards))}
                changes["runs"] = finish(seen, config, [outcome], started)
                lake.commit(changes, Reads(shards={indexed.VECTORS: list(shards)}))
                return outcome
    raise AssertionError("the last attempt raises")


def _choose(lake: Lake, model_or_run: str | None) -> ModelRun:
    embedded = set(indexed.runs(lake))
    with catalog.connect(lake) as connection:
        known = [run for run in runs.model_runs(connection) if run.run_id in embedded]
    found = runs.find(known, model_or_run, what="model with embeddings")
    if found is None:
        raise PhonolakeError("the lake has no embeddings yet: run `phonolake run` or `phonolake score`")
    return found


def _ask(lake: Lake, chosen: ModelRun, product: Product, sources: list[str], k: int) -> None:
    published = tuple(indexed.published(lake, chosen.run_id).values())
    missing = derive.missing(lake, product, sources)
    tasks = [Task(lake.place, published, chosen.run_id, chosen.model, source, k, product.version) for source in missing]
    rows = {file: shard.rows for file, shard in lake.shards(indexed.VECTORS).items()}
    n, todo = sum(rows[source] for source in sources), sum(rows[source] for source in missing)
    with progress.task("neighbours", n, done=n - todo) as advance:
        seconds = todo * SECONDS_PER_TRACK
        for _ in execution.imap(ask_shard, tasks, seconds=seconds, forks=lake.forks, on_tick=advance):
            pass


def ask_shard(task: Task) -> None:
    """Write the neighbours of the tracks of one shard."""
    lake = Lake(task.lake)
    searched = Searched(lake, task.run_id, {source.file: source for source in task.published})
    product = Product(schema.table("neighbours"), task.run_id, task.version)
    stamp = {"model": task.model, "run_id": task.run_id, "source_shard": task.source}
    stamp |= {"config_hash": task.version, "code_version": CODE_VERSION}
    source = lake.local(indexed.VECTORS, task.source)
    with (
        pq.ParquetFile(source) as file,
        writing(lake.path("neighbours", product.stem(task.source)), product.table.arrow) as append,
    ):
        for batch in file.iter_batches(BATCH, columns=["track_id", "embedding"]):
            ids = batch.column("track_id").to_pylist()
            nearest = searched.nearest_many(_units(batch), task.k, searched.among(None), ids)
            for track_id, found in zip(ids, nearest, strict=True):
                for rank, other in enumerate(found, start=1):
                    facts = {"other_id": other.track_id, "rank": rank, "similarity": other.similarity}
                    append({"track_id": track_id} | facts | stamp)
                execution.tick()
    lake.send("neighbours", product.stem(task.source) + SUFFIX)


def _units(batch: pa.RecordBatch) -> np.ndarray:
    values = batch.column("embedding").flatten().to_numpy(zero_copy_only=False)
    return unit(values.reshape(len(batch), -1))
