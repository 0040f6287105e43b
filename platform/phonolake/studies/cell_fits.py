"""One cell, on a worker: train, predict the held-out tracks, and store the results.

Shape suffixes: N tracks, D values, K classes.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from phonolake.errors import PhonolakeError, UsageError
from phonolake.files import remove
from phonolake.inference import inputs, rows
from phonolake.inference.predictor import Predictor, Scored
from phonolake.inference.series_inputs import StoredSpectrogram
from phonolake.metrics import classification
from phonolake.models import registry
from phonolake.models.loaded_network import LoadedNetwork
from phonolake.models.registry import NetworkCard
from phonolake.records import TEST, TRAIN, VALID
from phonolake.stages import fitting
from phonolake.stages.training_task import Task
from phonolake.studies import kept, searches
from phonolake.studies.cells import LEFT_OUT, Work

# The model on the embedding of an untrained network.
HEAD = "logistic-regression"


def measure(work: Work) -> None:
    """Compute a cell and store its results."""
    kept.keep(work.task.lake, work.cell.model, work.cell, reached(work))
    remove(work.task.folder)


def reached(work: Work) -> kept.Finished:
    """Train, and predict the held-out tracks.

    Raises
    ------
    PhonolakeError
        When no training track has the input, or training cannot go on.
    """
    if work.cell.search:
        return _searched(work)
    started = time.perf_counter()
    figures: dict[str, float] = {"taught": work.n_taught}
    vectors = None
    if not isinstance(work.task.model.CARD, NetworkCard):
        said = _estimator(work)
    elif work.cell.trained:
        said, vectors = _network(work, figures)
    else:
        said = _untrained(work)
    held_out = [track_id for track_id in work.task.examples.of(TEST) if track_id in said]
    if not held_out:
        raise PhonolakeError(f"no test track has {work.task.input}: `{inputs.parse(work.task.input).made_by}` makes it")
    fold = -1 if work.task.fold is None else work.task.fold
    answers = kept.HeldOutAnswers(
        tuple(held_out), np.stack([said[one] for one in held_out]), np.full(len(held_out), fold)
    )
    seconds = time.perf_counter() - started
    return kept.Finished(
        work.cell_id, work.task.examples.classes, figures, seconds, {kept.PROTOCOL_TEST: answers}, vectors
    )


# -- networks ----------------------------------------------------------------------------------------------------------


def _network(work: Work, figures: dict[str, float]) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    task = work.task
    fitted = fitting.fit(task)
    losses = [point["valid_loss"] for point in fitted.curve if point["valid_loss"] is not None]
    figures["epochs"] = len(fitted.curve)
    figures["parameters"] = sum(weights.numel() for weights in fitted.model.parameters())
    if losses:
        figures["valid-loss"] = min(losses)
    loaded = fitting.loaded(task, fitted)
    assert isinstance(loaded, LoadedNetwork)
    begun = time.perf_counter()
    asked = list(_asked(task, Predictor.of(loaded), {TEST}))
    figures["seconds-per-track"] = (time.perf_counter() - begun) / max(len(asked), 1)
    figures |= _of_windows(task, asked)
    said = {scored.track_id: scored.probabilities for scored in asked}
    if work.cell.listen:
        figures |= listened(loaded.network, work.cell)
    try:
        vectors = loaded.network.label_vectors()
    except UsageError:
        # Some networks have no weights that stand for a class.
        vectors = None
    return said, vectors


def listened(network: Any, cell: Any) -> dict[str, float]:
    """Preferred frequencies of the filters of each layer of a sample-level network: quantiles of peaks, in hertz."""
    from phonolake.models import filters
    from phonolake.models.sample_level import SR

    found = {}
    for layer in filters.listen(network, steps=cell.listen, seed=cell.seed):
        peaks_C = layer.magnitude.argmax(axis=1) * (SR / filters.N_SAMPLES)
        for share in (10, 25, 50, 75, 90):
            found[f"layer-{layer.number}-peak-{share}"] = float(np.percentile(peaks_C, share))
    return found


def _untrained(work: Work) -> dict[str, np.ndarray]:
    """A logistic regression on the embedding of a network with its initial weights."""
    task = work.task
    network = task.model.build(**fitting.build_arguments(task)).eval()
    fitted = fitting.Fitted(network, fitting.build_arguments(task), "sigmoid" if task.examples.many else "softmax")
    asked = _asked(task, Predictor.of(fitting.loaded(task, fitted)), {TRAIN, VALID, TEST})
    x = {scored.track_id: scored.embedding for scored in asked if scored.embedding is not None}
    return _over_vectors(task, x, HEAD, ())


def _asked(task: Task, predictor: Predictor, parts: set[str]) -> Iterator[Scored]:
    """A network's predictions for the tracks of some parts."""
    wanted = {
        track_id for track_id, part in zip(task.examples.track_ids, task.examples.parts, strict=True) if part in parts
    }
    for path in task.paths:
        yield from predictor.score_shard(path, wanted)


def _of_windows(task: Task, asked: Sequence[Scored]) -> dict[str, float]:
    """The ROC-AUC of single windows, where tracks have several."""
    targets = task.examples.of(TEST)
    windows = [(scored.window_probabilities, targets[scored.track_id]) for scored in asked]
    if not any(p_WK is not None and len(p_WK) > 1 for p_WK, _ in windows):
        return {}
    p_WK = np.concatenate([p for p, _ in windows if p is not None])
    y = np.array([target for p, target in windows if p is not None for _ in range(len(p))])
    value = classification.macro(classification.roc_auc(y_true=y.astype(int), scores=p_WK))
    return {} if np.isnan(value) else {"segment-roc-auc": value}


# -- estimators --------------------------------------------------------------------------------------------------------


def _estimator(work: Work) -> dict[str, np.ndarray]:
    task = work.task
    read = inputs.parse(task.input)
    x = _values(task, read) if isinstance(read, StoredSpectrogram) else _rows(task)
    return _over_vectors(task, x, task.config.model, work.cell.settings)


def _rows(task: Task) -> dict[str, np.ndarray]:
    """The vector of each track; the mean if it has several."""
    read = inputs.vectors(task.input)
    found: dict[str, np.ndarray] = {}
    for path in task.paths:
        track_ids, x_ND = read.read(path)
        order = np.argsort(track_ids, kind="stable")
        names, first, n = np.unique(np.array(track_ids)[order], return_index=True, return_counts=True)
        sums = np.add.reduceat(x_ND[order], first) if len(first) else x_ND
        found |= dict(zip(names.tolist(), sums / n[:, None], strict=True))
    return found


def _searched(work: Work) -> kept.Finished:
    examples, x = work.task.examples, _rows(work.task)
    rows_of_tracks = zip(examples.track_ids, examples.labels, examples.parts, strict=True)
    held = [(one, k, part) for one, (k,), part in rows_of_tracks if one in x and part != LEFT_OUT]
    track_ids, classes, parts = (list(column) for column in zip(*held, strict=True))
    return searches.reached(work, np.stack([x[one] for one in track_ids]), np.array(classes), track_ids, parts)


def _values(task: Task, read: StoredSpectrogram) -> dict[str, np.ndarray]:
    """All values of each spectrogram in one row; those of another size than the first are left out."""
    found: dict[str, np.ndarray] = {}
    size, wanted = None, set(task.examples.track_ids)
    for path in task.paths:
        for group in range(pq.ParquetFile(path).num_row_groups):
            for track_id, x_FT in rows.tracks(path, group, read, wanted):
                assert isinstance(x_FT, np.ndarray)
                size = size or x_FT.size
                if x_FT.size == size:
                    found[track_id] = x_FT.astype(np.float32).ravel()
    return found


def _over_vectors(
    task: Task, x: dict[str, np.ndarray], model: str, settings: tuple[tuple[str, Any], ...]
) -> dict[str, np.ndarray]:
    """Fit an estimator on the training tracks that have a vector, and predict the test tracks."""
    examples = task.examples
    taught = {track_id: y for track_id, y in examples.of(TRAIN).items() if track_id in x}
    held_out = [track_id for track_id in examples.of(TEST) if track_id in x]
    if not taught or not held_out:
        which = "training" if not taught else "test"
        raise PhonolakeError(
            f"none of the {which} tracks has {task.input}: `{inputs.parse(task.input).made_by}` makes it"
        )
    x_train, x_test = np.stack([x[one] for one in taught]), np.stack([x[one] for one in held_out])
    y = np.array(list(taught.values()))

    def probabilities(y_N: np.ndarray, n_classes: int) -> np.ndarray:
        estimator = registry.get(model).build(seed=task.config.seed)
        if settings:
            estimator.set_params(**dict(settings))
        estimator.fit(x_train, y_N)
        P_NK = np.zeros((len(x_test), n_classes))
        P_NK[:, estimator.classes_] = estimator.predict_proba(x_test)
        return P_NK

    if examples.many:
        # One for each label. Where all training tracks agree there is nothing to learn, and that is the answer.
        same = [len(np.unique(y_N)) == 1 for y_N in y.T]
        columns = [
            np.full(len(x_test), y_N[0]) if agreed else probabilities(y_N.astype(int), 2)[:, 1]
            for y_N, agreed in zip(y.T, same, strict=True)
        ]
        P_NK = np.stack(columns, axis=1)
    else:
        P_NK = probabilities(y, len(examples.classes))
    return dict(zip(held_out, P_NK, strict=True))


def timed(work: Work) -> float:
    """Time of a cell in seconds, without storing its results."""
    started = time.perf_counter()
    try:
        reached(work)
    finally:
        remove(work.task.folder)
    return time.perf_counter() - started


def on_few(work: Work, n_tracks: int) -> Work:
    """The same cell for one epoch, and for a network on this many training tracks, for timing."""
    examples, learns_by_epochs = work.task.examples, isinstance(work.task.model.CARD, NetworkCard)
    most = n_tracks if learns_by_epochs and work.cell.trained else len(examples.parts)
    left, parts = {VALID: 2, TEST: 2, TRAIN: most}, []
    for part in examples.parts:
        parts.append(part if left.get(part, 1) > 0 else LEFT_OUT)
        left[part] = left.get(part, len(examples.parts)) - 1
    task = replace(
        work.task,
        run_id=f"{work.cell_id}-rate",
        config=replace(work.task.config, max_epochs=1),
        examples=replace(examples, parts=tuple(parts)),
    )
    return Work(replace(work.cell, listen=0), task)
