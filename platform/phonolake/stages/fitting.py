"""Train, evaluate and store one model, on a worker."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from phonolake import execution
from phonolake.errors import PhonolakeError, UsageError
from phonolake.files import replacing
from phonolake.inference import inputs
from phonolake.inference.predictor import Predictor
from phonolake.lineage import CODE_VERSION, settings
from phonolake.models import storage
from phonolake.models.loaded import LoadedModel, wrap
from phonolake.models.registry import NetworkCard
from phonolake.records import TEST, TRAIN, VALID
from phonolake.stages.examples import check_enough
from phonolake.stages.training_task import Task
from phonolake.store import trained, unfinished
from phonolake.training import report
from phonolake.training.recipe import Recipe

if TYPE_CHECKING:
    from phonolake.training.batches import TrackBatches
    from phonolake.training.frozen import FrozenBatches


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained model.

    Parameters
    ----------
    model : Network or scikit-learn classifier
    build : dict
        Arguments of its `build`.
    activation : str
        Function from its logits to probabilities.
    curve : list of dict
        Learning curve of a network.
    tracks : dict
        Tracks of the parts of the curve.
    """

    model: Any
    build: dict[str, Any]
    activation: str = "softmax"
    curve: list[dict[str, Any]] = field(default_factory=list)
    tracks: dict[str, Sequence[str]] = field(default_factory=dict)


def train_model(task: Task) -> None:
    """Train, evaluate and store the model; the folder with its card appears last. The first worker to finish stores it.

    Raises
    ------
    PhonolakeError
        When no training track has the input, or the loss becomes NaN.
    """
    fitted = fit(task)
    if not isinstance(task.model.CARD, NetworkCard):
        _keep(task, fitted)
        return
    from phonolake.training import group

    if group.rank() == 0:
        _keep(task, fitted)


def fit(task: Task) -> Fitted:
    """Train, and store only what a network needs to continue after a kill; the errors are those of `train_model`."""
    if not isinstance(task.model.CARD, NetworkCard):
        return _fit_estimator(task)
    with unfinished.held(task.hidden):
        return _fit_network(task)


def loaded(task: Task, fitted: Fitted) -> LoadedModel:
    """A trained model, ready to score."""
    return wrap(fitted.model, _card(task, fitted), device=task.hardware.device)


def _card(task: Task, fitted: Fitted) -> dict[str, Any]:
    return {
        "model": task.config.model,
        "input": task.input,
        "preprocessing": task.config.preprocessing,
        "build": fitted.build,
        "classes": list(task.examples.classes),
        "activation": fitted.activation,
        "config": settings(task.config),
        "fold": task.fold,
        "recipe": dict(task.model.CARD.recipe),
        "hardware": asdict(task.hardware),
        "code_version": CODE_VERSION,
        "curve": fitted.curve,
    }


def _keep(task: Task, fitted: Fitted) -> None:
    """Evaluate and store a model."""
    with replacing(task.folder / trained.TRACKS) as temporary:
        table = pa.table({"track_id": task.examples.track_ids, "part": task.examples.parts})
        pq.write_table(table, temporary)
    metrics = report.of_curve(task.run_id, fitted.curve, fitted.tracks) + _measure(task, loaded(task, fitted))
    storage.save(fitted.model, _card(task, fitted) | {"metrics": metrics}, task.folder / trained.WEIGHTS)
    trained.send(task.lake, task.run_id)


def _fit_network(task: Task) -> Fitted:
    from phonolake.training import augmentation, frozen
    from phonolake.training.checkpoint import Checkpoint
    from phonolake.training.loop import fit

    recipe = Recipe(**task.model.CARD.recipe)
    if task.config.max_epochs is not None:
        recipe = replace(recipe, max_epochs=task.config.max_epochs)
    train, valid = _batches(task, recipe, TRAIN), _batches(task, recipe, VALID)
    _check_not_empty(len(train), task)
    build = build_arguments(task)
    network = task.model.build(**build)
    learner, sources = network, (train, valid)
    if frozen.is_frozen(network):
        learner, sources = frozen.HeadOf(network), _frozen(task, network, train, valid)  # type: ignore[assignment]
    result = fit(
        learner,
        sources[0].training,
        sources[1].validation if len(valid) else None,
        recipe=recipe,
        on_epoch=lambda _: execution.tick(),
        seed=task.config.seed,
        hardware=task.hardware,
        class_weights=_class_weights(task, recipe, train),
        checkpoint=Checkpoint(task.hidden / "checkpoint.pt"),
        transforms=inputs.parse(task.input).transforms(task.config.preprocessing),
        augmentation=augmentation.of_batches(task.config.augment),
    )
    network.eval()
    execution.tick(task.epochs - len(result.curve))  # epochs that early stopping saved
    return Fitted(
        network,
        build,
        recipe.activation or ("sigmoid" if task.examples.many else "softmax"),
        [asdict(point) for point in result.curve],
        {TRAIN: train.track_ids, VALID: valid.track_ids},
    )


def build_arguments(task: Task) -> dict[str, Any]:
    """Arguments of a network's `build`."""
    build = {"n_classes": len(task.examples.classes), "n_frames": task.n_steps, "seed": task.config.seed}
    if task.config.preprocessing and "standardise" in signature(task.model.build).parameters:
        # The preprocessing ends in standardised spectrograms and a scale, which the network's own standardisation would
        # undo.
        build["standardise"] = False
    return build


def _batches(task: Task, recipe: Recipe, part: str) -> "TrackBatches":
    from phonolake.training import augmentation
    from phonolake.training.batches import TrackBatches

    return TrackBatches(
        task.paths,
        task.examples.of(part),
        kind=inputs.series(task.input),
        n_steps=task.n_steps,
        batch_size=recipe.batch_size,
        seed=task.config.seed,
        crops=recipe.crops_per_track,
        augmentation=augmentation.of_audio(task.config.augment),
    )


def _frozen(
    task: Task, network: Any, train: "TrackBatches", valid: "TrackBatches"
) -> tuple["FrozenBatches", "FrozenBatches"]:
    from phonolake.models.devices import find_device
    from phonolake.training import group
    from phonolake.training.frozen import FrozenBatches

    if group.size() > 1:
        raise UsageError(f"only the head of {task.config.model} is trained, by one worker: leave --workers out")
    network.to(find_device(task.hardware.device))
    of_train = FrozenBatches(network, train, task.hidden / "train.npy")
    return of_train, FrozenBatches(network, valid, task.hidden / "valid.npy")


def _class_weights(task: Task, recipe: Recipe, train: "TrackBatches") -> np.ndarray | None:
    from phonolake.training import losses

    if recipe.class_weights == "none":
        return None
    y = np.array([train.targets[track_id] for track_id in train.track_ids])
    return losses.balanced(y, len(task.examples.classes))


def _fit_estimator(task: Task) -> Fitted:
    wanted = task.examples.of(TRAIN)
    read = inputs.vectors(task.input)
    x, y = [], []
    for path in task.paths:
        track_ids, x_ND = read.read(path)
        held = [n for n, track_id in enumerate(track_ids) if track_id in wanted]
        x.append(x_ND[held])
        y += [wanted[track_ids[n]] for n in held]
    _check_not_empty(len(y), task)
    # Some of the planned tracks may lack the input.
    check_enough(task.config.model, task.model.NEEDS, task.examples.classes, np.array(y).tolist())
    estimator = task.model.build(seed=task.config.seed)
    estimator.fit(np.concatenate(x), np.array(y))
    execution.tick(task.epochs)
    return Fitted(estimator, {"seed": task.config.seed})


def _check_not_empty(n: int, task: Task) -> None:
    if not n:
        made_by = inputs.parse(task.input).made_by
        raise PhonolakeError(f"none of the training tracks has {task.input}: run `{made_by}` for them first")


def _measure(task: Task, model: LoadedModel) -> list[dict[str, Any]]:
    """Rows of `metrics` for the parts on which the model was not trained."""
    predictor = Predictor.of(model)
    held_out = {part: task.examples.of(part) for part in (VALID, TEST)}
    wanted = {track_id for targets in held_out.values() for track_id in targets}
    found: dict[str, np.ndarray] = {}
    for path in task.paths:
        for scored in predictor.score_shard(path, wanted):
            found[scored.track_id] = scored.probabilities
    rows = []
    for part, targets in held_out.items():
        ids = [track_id for track_id in targets if track_id in found]
        if ids:
            y, p_NK = np.array([targets[i] for i in ids]), np.stack([found[i] for i in ids])
            rows += report.of_part(task.run_id, part, task.examples.classes, ids, y, p_NK)
    return rows
