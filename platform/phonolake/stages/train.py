"""Train: a model learns the labels of the lake, and is measured on the part that it never saw.

A finished model is a folder `LAKE/models/RUN_ID`; the same request over the same data is the same run, so that a
training that was killed begins again and one that was finished is not repeated.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from phonolake import execution, progress
from phonolake.errors import PhonolakeError
from phonolake.features.contract import FeatureSet
from phonolake.lineage import CODE_VERSION, canonical, digest, settings
from phonolake.models import registry, storage
from phonolake.records import TEST, TRAIN, VALID
from phonolake.stages import examples as labelled
from phonolake.stages import products
from phonolake.stages.common import Outcome, finish, merge, now
from phonolake.stages.examples import Examples
from phonolake.store import catalog, schema
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import replacing, sweep, write_rows
from phonolake.training import report
from phonolake.training.predict import read_features, score_shard

WEIGHTS = "weights"
TRACKS = "tracks.parquet"


@dataclass(frozen=True, slots=True)
class Config:
    """What to train on what.

    Parameters
    ----------
    model : str
        Name in the registry of models.
    dataset : str, optional
        Tracks of this dataset only.
    labels : str
        Source of the labels to learn (`labels.source`).
    split : str, optional
        Name of a split; the dataset's own, else the random folds, by default.
    folds : tuple of int
        One model for each of these test folds. Empty: one model, tested on the fixed test part or the first fold.
    seed : int
        Decides weights, order and crops.
    max_epochs : int, optional
        Instead of the recipe's, for networks.
    """

    lake: str
    model: str
    dataset: str | None = None
    labels: str = "dataset"
    split: str | None = None
    folds: tuple[int, ...] = ()
    seed: int = 0
    max_epochs: int | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """One model to train."""

    lake: Path
    run_id: str
    config: Config
    fold: int | None
    examples: Examples
    files: tuple[str, ...]
    n_frames: int

    @property
    def folder(self) -> Path:
        return self.lake / "models" / self.run_id

    @property
    def epochs(self) -> int:
        """Steps that the training takes at most; one for an estimator."""
        return self.config.max_epochs or registry.get(self.config.model).CARD.recipe.get("max_epochs", 1)

    @property
    def finished(self) -> bool:
        return (self.folder / WEIGHTS / storage.CARD_FILE).is_file()


def run(config: Config) -> list[Outcome]:
    """Train what is not trained yet; one outcome for each fold.

    Raises
    ------
    UsageError
        For an unknown model, split or fold, or fewer than two classes.
    PhonolakeError
        When the model's input was not extracted, or training cannot go on (a loss that is no number).
    """
    started = now()
    tasks = plan(config)
    lake = Lake.open(config.lake)
    todo = [task for task in tasks if not task.finished]
    # A single model gets every core; several share them, one each.
    cpus = execution.cores() if len(todo) == 1 else 1
    with progress.task(f"train {config.model}", sum(task.epochs for task in todo)) as advance:
        for _ in execution.imap(train_model, todo, cpus=cpus, on_tick=advance):
            pass
    for task in tasks:
        sweep(task.folder)
    outcomes = []
    for task in tasks:
        n = len(task.examples.track_ids)
        outcomes.append(Outcome("train", task.run_id, n, n, 0, config.model))
    published = [_publish(lake, task) for task in tasks]
    changes = {name: merge(*(tables[name] for tables in published)) for name in ("models", "metrics")}
    lake.commit(changes | {"runs": finish(lake, tasks[0].config, outcomes, started)})
    return outcomes


def plan(config: Config) -> list[Task]:
    """What would be trained, without training it."""
    lake = Lake.open(config.lake)
    card = registry.get(config.model).CARD
    split = config.split or ("none" if card.kind == "embedder" else labelled.choose_split(lake, config.dataset))
    files = tuple(products.shards_of(lake, card.input))
    tasks = []
    for fold in config.folds or (None,):
        if card.kind == "embedder":
            found = labelled.unlabelled(lake, config.dataset)
        else:
            found = labelled.collect(lake, labels=config.labels, split=split, test_fold=fold, dataset=config.dataset)
        if card.kind == "estimator":
            # Estimators need no validation tracks: they learn from them too.
            found = replace(found, parts=tuple(TRAIN if part == VALID else part for part in found.parts))
        request = [settings(replace(config, folds=())), card, split, fold]
        run_id = f"{config.model}-{digest([request, files, found])}"
        tasks.append(Task(lake.root, run_id, replace(config, split=split), fold, found, files, _crop(lake, card.input)))
    return tasks


def _crop(lake: Lake, model_input: str) -> int:
    """Frames of a training crop: as many as the median track has, at most half a minute (the published 1,360)."""
    kind, _, name = model_input.partition(":")
    if kind != "spectrogram":
        return 0
    with catalog.connect(lake) as connection:
        ((median,),) = connection.execute(
            "SELECT median(n_frames) FROM spectrograms WHERE spectrogram = $1", [name]
        ).fetchall()
    return min(1360, int(median or 0))


def _publish(lake: Lake, task: Task) -> dict[str, Change]:
    """Rows of `models` and `metrics` for a finished model."""
    card = storage.read_card(task.folder / WEIGHTS)
    models, metrics = schema.table("models"), schema.table("metrics")
    row = {
        "run_id": task.run_id,
        "model": task.config.model,
        "input": registry.get(task.config.model).CARD.input,
        "labels": list(task.examples.classes),
        "split": task.config.split,
        "test_fold": task.fold,
        "card": canonical(card),
        "code_version": CODE_VERSION,
    }
    return {
        "models": Change(models, [write_rows(lake.path("models", task.run_id), models.arrow, [row])]),
        "metrics": Change(metrics, [write_rows(lake.path("metrics", task.run_id), metrics.arrow, card["metrics"])]),
    }


# -- one model, on a worker -------------------------------------------------------------------------------------------


def train_model(task: Task) -> None:
    """Train, measure, and store the model; the folder with its card appears last."""
    module = registry.get(task.config.model)
    folder = Lake(task.lake).folder(products.product(products.recipe_of(module.CARD.input)).table.name)
    files = [folder / file for file in task.files]
    fit = _fit_network if module.CARD.kind == "network" else _fit_estimator
    model, build, curve = fit(task, module, files)
    card = {
        "model": task.config.model,
        "build": build,
        "classes": list(task.examples.classes),
        "activation": "softmax",
        "config": settings(task.config),
        "fold": task.fold,
        "recipe": dict(module.CARD.recipe),
        "code_version": CODE_VERSION,
        "curve": curve,
    }
    with replacing(task.folder / TRACKS) as temporary:
        table = pa.table({"track_id": task.examples.track_ids, "part": task.examples.parts})
        pq.write_table(table, temporary)
    n = {part: len(task.examples.of(part)) for part in (TRAIN, VALID)}
    metrics = report.of_curve(task.run_id, curve, n) + _measure(task, storage.wrap(model, card), files)
    storage.save(model, card | {"metrics": metrics}, task.folder / WEIGHTS)


def _fit_network(task: Task, module: Any, files: list[Path]) -> tuple[Any, dict[str, Any], list[dict[str, Any]]]:
    from phonolake.training.batches import SpectrogramBatches
    from phonolake.training.loop import Recipe, fit

    recipe = Recipe(**module.CARD.recipe)
    if task.config.max_epochs is not None:
        recipe = replace(recipe, max_epochs=task.config.max_epochs)
    options = {"n_frames": task.n_frames, "batch_size": recipe.batch_size, "seed": task.config.seed}
    train = SpectrogramBatches(files, task.examples.of(TRAIN), **options)
    valid = SpectrogramBatches(files, task.examples.of(VALID), **options)
    _check_not_empty(len(train), module.CARD.input)
    build = {"n_classes": len(task.examples.classes), "n_frames": task.n_frames, "seed": task.config.seed}
    network = module.build(**build)
    result = fit(
        network,
        train.training,
        valid.validation if len(valid) else None,
        recipe=recipe,
        on_epoch=lambda _: execution.tick(),
        seed=task.config.seed,
    )
    execution.tick(task.epochs - len(result.curve))  # what early stopping saved
    return network, build, [asdict(report) for report in result.curve]


def _fit_estimator(task: Task, module: Any, files: list[Path]) -> tuple[Any, dict[str, Any], list[dict[str, Any]]]:
    wanted = task.examples.of(TRAIN)
    recipe = products.recipe_of(module.CARD.input)
    assert isinstance(recipe, FeatureSet)
    x, y = [], []
    for file in files:
        track_ids, x_ND = read_features(file, [name for name, _ in recipe.columns])
        held = [n for n, track_id in enumerate(track_ids) if track_id in wanted]
        x.append(x_ND[held])
        y += [wanted[track_ids[n]] for n in held]
    _check_not_empty(len(y), module.CARD.input)
    estimator = module.build(seed=task.config.seed)
    estimator.fit(np.concatenate(x), np.array(y))
    execution.tick(task.epochs)
    return estimator, {"seed": task.config.seed}, []


def _check_not_empty(n: int, model_input: str) -> None:
    if not n:
        raise PhonolakeError(f"none of the training tracks has {model_input}: run `phonolake extract` for them first")


def _measure(task: Task, model: storage.LoadedModel, files: list[Path]) -> list[dict[str, Any]]:
    """Rows of `metrics` for the parts that the model did not learn from."""
    recipe = products.recipe_of(registry.get(task.config.model).CARD.input)
    columns = [name for name, _ in recipe.columns] if isinstance(recipe, FeatureSet) else []
    held_out = {part: task.examples.of(part) for part in (VALID, TEST)}
    y: dict[str, list[int]] = {part: [] for part in held_out}
    scores: dict[str, list[np.ndarray]] = {part: [] for part in held_out}
    for file in files:
        for scored in score_shard(model, file, columns):
            for part, targets in held_out.items():
                if scored.track_id in targets:
                    y[part].append(targets[scored.track_id])
                    scores[part].append(scored.probabilities)
    rows = []
    for part in held_out:
        if y[part]:
            rows += report.of_part(task.run_id, part, task.examples.classes, np.array(y[part]), np.stack(scores[part]))
    return rows
