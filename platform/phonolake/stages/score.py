"""Score: every track gets its predictions and embedding from the trained models, model by model, shard by shard."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from phonolake import execution, progress
from phonolake.errors import PhonolakeError, UsageError
from phonolake.inference import inputs
from phonolake.inference.vector_inputs import Embeddings
from phonolake.lineage import CODE_VERSION, digest
from phonolake.lookup import licensed, runs
from phonolake.lookup.runs import ModelRun
from phonolake.models import registry, storage
from phonolake.models.loaded import EMBEDDING
from phonolake.models.registry import NetworkCard
from phonolake.records import TEST
from phonolake.stages import derive
from phonolake.store import catalog, jobs, schema, trained
from phonolake.store.attempts import attempts
from phonolake.store.lake import Change, Lake, Reads
from phonolake.store.naming import TOMBSTONES
from phonolake.store.outcomes import Outcome, count_tracks, finish, merge, now, versions
from phonolake.store.place import Place
from phonolake.store.product import Product
from phonolake.store.shards import SUFFIX, writing

if TYPE_CHECKING:
    from phonolake.inference.predictor import Predictor, Scored

# Of what a model reads, on one core; a second for the model itself comes on top.
SECONDS_PER_BYTE = 1e-6


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
    layer : str, optional
        Also keep what this layer of a network gives, in the table `activations`: a name such as ``convs.3``, or
        ``embedding`` for the network's own. Means over time and frequency.
    segments : bool
        Keep a row of `activations` for each window instead of one for each track; the network's own embedding where
        no `layer` is named.
    licence : str, optional
        Only models under licences of this kind.
    """

    lake: str
    runs: tuple[str, ...] = ()
    held_out_only: bool = False
    layer: str | None = None
    segments: bool = False
    licence: str | None = None

    @property
    def activations(self) -> str | None:
        """What `activations` are kept of."""
        return self.layer or (EMBEDDING if self.segments else None)


@dataclass(frozen=True, slots=True)
class Task:
    """One input shard, to be scored by one model."""

    lake: Place
    run_id: str
    model: str
    architecture: str
    source: str
    held_out_only: bool
    layer: str | None
    segments: bool


def run(config: Config, device: str = "auto") -> list[Outcome]:
    """Score new tracks; one outcome for each model.

    Parameters
    ----------
    device : str
        Where networks compute: ``cpu``, ``cuda``, or ``auto`` for GPUs where Ray has some.

    Raises
    ------
    UsageError
        For an unknown run or layer, or GPUs that are not there.
    PhonolakeError
        When no model was trained, or its input is not in the lake.
    """
    started = now()
    lake = Lake.open(config.lake)
    models = _models(lake, config.runs, config.licence)
    first = tuple(run_id for run_id, model in models.items() if not _reads_embeddings(model))
    if 0 < len(first) < len(models):
        # What others are to read must be in the lake before they are planned.
        rest = tuple(run_id for run_id in models if run_id not in first)
        return [outcome for runs in (first, rest) for outcome in run(replace(config, runs=runs), device)]
    asked, config = config, replace(config, runs=tuple(models))
    with jobs.working(lake.place, "score"):
        for attempt in attempts(lake):
            with attempt as seen:
                sources = _sources(seen, config)
                tasks = _plan(seen, config)
                total = sum(map(len, sources.values()))
                with progress.task("score", total, done=total - len(tasks)) as advance:
                    _score(seen, tasks, device, _seconds(seen, models, tasks), advance)
                return _publish(lake, config, sources, asked, started)
    raise AssertionError("the last attempt raises")


def _sources(lake: Lake, config: Config) -> dict[str, list[str]]:
    """The inputs of the models."""
    return {run_id: inputs.parse(model.input).files(lake) for run_id, model in _models(lake, config.runs).items()}


def _publish(lake: Lake, config: Config, read: dict[str, list[str]], asked: Config, started: datetime) -> list[Outcome]:
    """Commit what lies ready for the inputs that are published by now: others may have added some, and their scores."""
    seen = lake.pinned()
    models, sources = _models(seen, config.runs), _sources(seen, config)
    todo: dict[str, set[str]] = {run_id: set() for run_id in models}
    for task in _plan(seen, config):
        todo[task.run_id].add(task.source)
    changes: dict[str, Change] = {}
    outcomes = []
    rests_on: dict[str, set[str]] = {}
    for run_id, model in models.items():
        table = inputs.parse(model.input).table
        wanted = [predictions_of(run_id, config.held_out_only), embeddings_of(run_id)]
        if config.activations:
            wanted.append(activations_of(run_id, config.activations, config.segments))
        derive.discard(lake, wanted, table, read[run_id])
        found = derive.collect_all(seen, ((product, sources[run_id]) for product in wanted))
        derive.check_replaced(seen, table, found, read=read[run_id], todo=todo[run_id])
        changes |= {name: merge(changes[name], c) if name in changes else c for name, c in found.items()}
        done = [source for source in sources[run_id] if source not in todo[run_id]]
        rests_on.setdefault(table, set()).update(done)
        outcomes.append(_outcome(seen, config, model, done))
    changes["runs"] = finish(seen, asked, outcomes, started)
    lake.commit(changes, Reads(versions(seen, TOMBSTONES), rests_on))
    return outcomes


def _seconds(lake: Lake, models: dict[str, ModelRun], tasks: list[Task]) -> float:
    """How long one core takes, roughly."""
    shards = {run_id: lake.shards(inputs.parse(model.input).table) for run_id, model in models.items()}
    return sum(1 + shards[task.run_id][task.source].bytes * SECONDS_PER_BYTE for task in tasks)


def _score(lake: Lake, tasks: list[Task], device: str, seconds: float, advance: progress.Advance) -> None:
    """Estimators on the processors; networks too, or on GPUs, one for each actor."""
    if not tasks:
        return
    # It takes seconds: where nothing is to be scored, nobody waits for it. Before workers are forked.
    for architecture in {task.architecture for task in tasks}:
        storage.import_for(architecture)
    gpus = execution.gpus() if device != "cpu" else 0
    if device.startswith("cuda") and not gpus:
        raise UsageError("GPUs are requested, but Ray has none: try --device cpu")
    on_gpu = [task for task in tasks if gpus and isinstance(registry.get(task.architecture).CARD, NetworkCard)]
    on_cpu = [task for task in tasks if task not in on_gpu]
    for place, todo, each in (("cpu", on_cpu, 0), ("cuda", on_gpu, 1)):
        work: dict[str, Any] = {"gpus": each, "seconds": seconds, "forks": lake.forks}
        if len({task.run_id for task in todo}) == len(todo):
            # No model has a second shard: workers that are there already do as well as actors, which take seconds.
            done = execution.imap(partial(_score_alone, place), todo, **work, on_tick=advance)
        else:
            done = execution.amap(partial(Scorer, place), todo, **work, on_tick=advance)
        for _ in done:
            pass


def plan(config: Config) -> list[Task]:
    """The planned work."""
    return _plan(Lake.open(config.lake), config)


def _plan(lake: Lake, config: Config) -> list[Task]:
    tasks = []
    for run_id, model in _models(lake, config.runs, config.licence).items():
        read = inputs.parse(model.input)
        sources, shards = read.files(lake), lake.shards(read.table)
        wanted = [predictions_of(run_id, config.held_out_only)]
        if config.activations and isinstance(registry.get(model.architecture).CARD, NetworkCard):
            wanted.append(activations_of(run_id, config.activations, config.segments))
        todo = {source for product in wanted for source in derive.missing(lake, product, sources)}
        tasks += [
            Task(
                lake.place,
                run_id,
                model.model,
                model.architecture,
                source,
                config.held_out_only,
                config.activations,
                config.segments,
            )
            # The longest first: what is begun last ends last.
            for source in sorted(todo, key=lambda source: (-shards[source].bytes, source))
        ]
    return tasks


def predictions_of(run_id: str, held_out_only: bool) -> Product:
    """The product of a run's predictions."""
    return Product(schema.table("predictions"), run_id, "held-out" if held_out_only else "all")


def embeddings_of(run_id: str) -> Product:
    """The product of a run's embeddings."""
    return Product(schema.table("embeddings"), run_id, "all")


def activations_of(run_id: str, layer: str, segments: bool) -> Product:
    """The product of a layer's activations of a run, for tracks or segments."""
    # The layer is part of the family: one does not take the place of another.
    grain = "segments" if segments else "tracks"
    return Product(schema.table("activations"), f"{run_id}@{layer}", grain)


def _reads_embeddings(run: ModelRun) -> bool:
    return isinstance(inputs.parse(run.input), Embeddings)


def _models(lake: Lake, wanted: tuple[str, ...], licence: str | None = None) -> dict[str, ModelRun]:
    """By run: those asked for, or the newest of each model and input that is not one of several folds."""
    with catalog.connect(licensed.opened(lake.place, licence)) as connection:
        everything = runs.model_runs(connection)
    known = [run for run in everything if run.has_weights]
    for other in everything:
        if not other.has_weights and {other.run_id, other.model} & set(wanted):
            what = "predictions" if other.labels else "vectors"
            raise UsageError(f"of {other.model} the lake has {what} that were imported, and no model to score with")
    if not known:
        raise PhonolakeError("no model was trained yet: run `phonolake train` first")
    if wanted:
        found = [run for name in wanted if (run := runs.find(known, name, what="run"))]
        return {run.run_id: run for run in found}
    # The oldest first, so that the newest of each stays.
    newest = {(run.model, run.input): run for run in reversed(known) if not run.is_fold}
    if not newest:
        raise PhonolakeError("all models are cross-validated: run `phonolake train`, or name folds with --run")
    return {run.run_id: run for run in newest.values()}


def _outcome(lake: Lake, config: Config, model: ModelRun, sources: list[str]) -> Outcome:
    n = count_tracks(lake, inputs.parse(model.input).table, sources)
    asked = [config.held_out_only, sources, *([config.activations, config.segments] if config.activations else [])]
    score_id = f"score-{model.run_id}-{digest(asked, length=8)}"
    return Outcome("score", score_id, n, n, 0, model.model)


# -- one shard, on a worker -------------------------------------------------------------------------------------------


class Scorer:
    """Scores shards on a worker; a model is read once for all the shards that come one after another."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._weights: Path | None = None
        self._predictor: Predictor | None = None

    def __call__(self, task: Task) -> None:
        """Write what is wanted of one shard; its predictions appear last and mark it as finished."""
        from phonolake.inference.predictor import Predictor

        weights = trained.folder(task.lake, task.run_id) / trained.WEIGHTS
        if weights != self._weights or self._predictor is None:
            trained.fetch(task.lake, task.run_id)
            self._weights, self._predictor = weights, Predictor.load(weights, device=self._device)
        score_one(task, self._predictor)
        execution.tick()


def _score_alone(device: str, task: Task) -> None:
    """Score the only shard of a model."""
    Scorer(device)(task)


def score_one(task: Task, predictor: "Predictor") -> None:
    """Write the predictions of one shard, after its embeddings and activations where the model has any."""
    lake = Lake(task.lake)
    card = registry.get(task.architecture).CARD
    learned = trained.folder(lake.place, task.run_id) / trained.TRACKS
    parts = _parts(learned, learned.stat().st_mtime_ns)
    layer = task.layer if isinstance(card, NetworkCard) else None
    (source,) = predictor.input.paths(lake, (task.source,))
    wanted = {track_id for track_id, part in parts.items() if part == TEST} if task.held_out_only else None
    products_of = [predictions_of(task.run_id, task.held_out_only)]
    if not task.held_out_only and card.embeds:
        products_of.append(embeddings_of(task.run_id))
    if layer:
        products_of.append(activations_of(task.run_id, layer, task.segments))
    stamp = {"model": task.model, "run_id": task.run_id, "source_shard": task.source, "code_version": CODE_VERSION}
    with ExitStack() as stack:
        # Left in reverse: what is opened first appears last.
        append = {
            product.table.name: stack.enter_context(
                writing(lake.path(product.table.name, product.stem(task.source)), product.table.arrow)
            )
            for product in products_of
        }
        for scored in predictor.score_shard(source, wanted, layer):
            row = {"track_id": scored.track_id} | stamp
            part = parts.get(scored.track_id)
            for label, probability in zip(predictor.classes, scored.probabilities, strict=True):
                append["predictions"](row | {"label": label, "probability": float(probability), "part": part})
            if "embeddings" in append and scored.embedding is not None:
                append["embeddings"](row | {"embedding": scored.embedding.tolist()})
            for extra in _activation_rows(task, scored) if "activations" in append else ():
                append["activations"](row | extra)
    for product in reversed(products_of):
        lake.send(product.table.name, product.stem(task.source) + SUFFIX)


@lru_cache(maxsize=1)
def _parts(learned: Path, _: int) -> dict[str, str]:
    """The part of each track that a run learned from, read once for the shards that come one after another."""
    return dict(zip(*pq.read_table(learned).to_pydict().values(), strict=True))


def _activation_rows(task: Task, scored: "Scored") -> list[dict[str, Any]]:
    """One row for the track, or one for each window."""
    vectors = scored.window_activations
    assert vectors is not None
    if not task.segments:
        return [{"layer": task.layer, "activation": vectors.mean(axis=0).tolist()}]
    return [
        {"layer": task.layer, "segment": n, "first_step": start, "activation": vector.tolist()}
        for n, (start, vector) in enumerate(zip(scored.starts, vectors, strict=True))
    ]
