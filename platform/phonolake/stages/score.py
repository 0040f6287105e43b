"""Score: every track gets its predictions and embedding from the trained models, model by model, shard by shard."""

from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from phonolake import execution, progress
from phonolake.errors import PhonolakeError, unknown
from phonolake.features.contract import FeatureSet
from phonolake.lineage import CODE_VERSION, digest
from phonolake.models import registry, storage
from phonolake.records import TEST
from phonolake.stages import derive, products
from phonolake.stages.common import Outcome, finish, now
from phonolake.stages.derive import Product
from phonolake.stages.train import TRACKS, WEIGHTS
from phonolake.store import catalog, schema
from phonolake.store.lake import Lake
from phonolake.store.shards import writing
from phonolake.training.predict import score_shard


@dataclass(frozen=True, slots=True)
class Config:
    """Which trained models to score with.

    Parameters
    ----------
    runs : tuple of str
        Runs that trained them; the newest of each model that was not one of several folds, by default.
    held_out_only : bool
        Score only the tracks that were test tracks to the run: with one run for each fold every track gets one
        prediction from a model that never saw it.
    """

    lake: str
    runs: tuple[str, ...] = ()
    held_out_only: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """One input shard, to be scored by one model."""

    lake: Path
    run_id: str
    model: str
    source: str
    held_out_only: bool


def run(config: Config) -> list[Outcome]:
    """Score what is not scored yet; one outcome for each model.

    Raises
    ------
    UsageError
        For an unknown run.
    PhonolakeError
        When no model was trained, or its input is not in the lake.
    """
    started = now()
    lake = Lake.open(config.lake)
    models = _models(lake, config.runs)
    sources = {run_id: products.shards_of(lake, registry.get(model).CARD.input) for run_id, model in models.items()}
    tasks = plan(config)
    total = sum(map(len, sources.values()))
    with progress.task("score", total) as advance:
        advance(total - len(tasks))
        for _ in execution.imap(score_one, tasks, on_tick=advance):
            pass
    pairs = []
    for run_id, files in sources.items():
        pairs += [(_predictions(run_id, config.held_out_only), files), (_embeddings(run_id), files)]
    changes = derive.collect_all(lake, pairs)
    outcomes = [_outcome(lake, config, run_id, model, sources[run_id]) for run_id, model in models.items()]
    changes["runs"] = finish(lake, config, outcomes, started)
    lake.commit(changes)
    return outcomes


def plan(config: Config) -> list[Task]:
    """What would be scored, without scoring it."""
    lake = Lake.open(config.lake)
    return [
        Task(lake.root, run_id, model, source, config.held_out_only)
        for run_id, model in _models(lake, config.runs).items()
        for source in derive.missing(
            lake,
            _predictions(run_id, config.held_out_only),
            products.shards_of(lake, registry.get(model).CARD.input),
        )
    ]


def _predictions(run_id: str, held_out_only: bool) -> Product:
    return Product(schema.table("predictions"), run_id, "held-out" if held_out_only else "all")


def _embeddings(run_id: str) -> Product:
    return Product(schema.table("embeddings"), run_id, "all")


def _models(lake: Lake, runs: tuple[str, ...]) -> dict[str, str]:
    """Model by run: those asked for, or the newest of each model that is not one of several folds."""
    with catalog.connect(lake) as connection:
        rows = connection.execute(
            "SELECT m.run_id, m.model, json_array_length(r.config, '$.folds') AS n_folds FROM models m "
            "JOIN runs r USING (run_id) ORDER BY r.finished_at, m.run_id"
        ).fetchall()
    if runs:
        known = {run_id: model for run_id, model, _ in rows}
        for run_id in runs:
            if run_id not in known:
                raise unknown("run", run_id, known)
        return {run_id: known[run_id] for run_id in runs}
    newest = {model: run_id for run_id, model, n_folds in rows if not n_folds}
    if not newest:
        raise PhonolakeError("no model was trained yet: run `phonolake train` first")
    return {run_id: model for model, run_id in newest.items()}


def _outcome(lake: Lake, config: Config, run_id: str, model: str, sources: list[str]) -> Outcome:
    name = products.product(products.recipe_of(registry.get(model).CARD.input)).table.name
    n = sum(lake.shards(name)[file].rows for file in sources)
    score_id = f"score-{run_id}-{digest([config.held_out_only, sources], length=8)}"
    return Outcome("score", score_id, n, n, 0, model)


# -- one shard, on a worker -------------------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def _load(folder: Path) -> storage.LoadedModel:
    """A worker scores many shards with one model: it is read once."""
    return storage.load(folder)


def score_one(task: Task) -> None:
    """Write the predictions of one shard, after its embeddings where the model has any."""
    lake = Lake(task.lake)
    folder = lake.root / "models" / task.run_id
    model = _load(folder / WEIGHTS)
    parts = dict(zip(*pq.read_table(folder / TRACKS).to_pydict().values(), strict=True))
    recipe = products.recipe_of(registry.get(task.model).CARD.input)
    columns = [name for name, _ in recipe.columns] if isinstance(recipe, FeatureSet) else []
    source = lake.folder(products.product(recipe).table.name) / task.source
    predictions, embeddings = _predictions(task.run_id, task.held_out_only), _embeddings(task.run_id)
    stamp = {"model": task.model, "run_id": task.run_id, "source_shard": task.source, "code_version": CODE_VERSION}
    embedded: list[dict[str, Any]] = []
    with ExitStack() as stack:
        append = stack.enter_context(
            writing(lake.path("predictions", predictions.stem(task.source)), predictions.table.arrow)
        )
        for scored in score_shard(model, source, columns):
            part = parts.get(scored.track_id)
            if task.held_out_only and part != TEST:
                continue
            row = {"track_id": scored.track_id} | stamp
            for label, probability in zip(model.classes, scored.probabilities, strict=True):
                append(row | {"label": label, "probability": float(probability), "part": part})
            if scored.embedding is not None and not task.held_out_only:
                embedded.append(row | {"embedding": scored.embedding.tolist()})
        if embedded:
            with writing(lake.path("embeddings", embeddings.stem(task.source)), embeddings.table.arrow) as add:
                for row in embedded:
                    add(row)
    execution.tick()
