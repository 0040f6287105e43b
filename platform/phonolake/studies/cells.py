"""Cells: what a study varies, one training each, and the tracks of each.

A cell is planned like a training of `phonolake train`, with additional options: a part of the training tracks, labels
corrupted at a known rate, settings of an estimator, an untrained network. Cells are experiments: other commands use
neither their weights nor their predictions.

Shape suffixes: N tracks, K classes.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from phonolake.errors import PhonolakeError, UsageError
from phonolake.inference import inputs
from phonolake.inference.series_inputs import StoredSpectrogram
from phonolake.lineage import digest
from phonolake.models import registry
from phonolake.models.registry import EstimatorCard, NetworkCard
from phonolake.records import TEST, TRAIN, VALID
from phonolake.stages import examples as labelled
from phonolake.stages import train
from phonolake.stages.examples import Examples
from phonolake.stages.training_task import Config, Task
from phonolake.store.lake import Lake
from phonolake.training.recipe import Hardware

# Part of training tracks that a cell leaves out.
LEFT_OUT = "left out"
# Before the number of a fold, where one cell holds out each of them in turn.
FOLD = "fold "


@dataclass(frozen=True, slots=True)
class TrainingCell:
    """One training.

    Parameters
    ----------
    model : str
        Name in the registry of networks and estimators.
    input : str, optional
        What it reads instead of its own; an estimator may read a stored spectrogram too, value by value.
    preprocessing : str, optional
        Cell of the grid of `phonolake.features.preprocessing`.
    augment : tuple of str
    settings : tuple of (str, value)
        Settings of an estimator, as for its `set_params`.
    share : float
        Share of the training tracks, in (0, 1]. Smaller shares are parts of larger ones of the same seed.
    labels, split : str, optional
        Source of the training labels, and name of the split; the scope's by default.
    missing, false : float
        Share of the labels of training and validation tracks to remove, and wrong ones to add for each given one, both
        in [0, 1). With one label per track, `false` is the share to replace. Higher rates keep the wrong labels of
        lower ones.
    trained : bool
        If False, the network keeps its initial weights, and a logistic regression is trained on its embedding.
    search : bool
        The settings of an estimator are chosen from its published grid, over all folds in one cell; the seed also draws
        a random extractor such as ``features:random-vgg-small``.
    listen : int
        Steps of gradient ascent for the preferred frequencies of a sample-level network's filters.
    fold : int, optional
        Fold that is held out.
    seed : int
        Decides weights, order, and the drawn tracks and labels.
    """

    model: str
    input: str | None = None
    preprocessing: str | None = None
    augment: tuple[str, ...] = ()
    settings: tuple[tuple[str, Any], ...] = ()
    share: float = 1.0
    labels: str | None = None
    split: str | None = None
    missing: float = 0.0
    false: float = 0.0
    trained: bool = True
    search: bool = False
    listen: int = 0
    fold: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise UsageError(f"share is a part of the training tracks, above 0 and at most 1; received {self.share}")
        for name in ("missing", "false"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{name} is a rate of at least 0 and below 1, received {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Scope:
    """Settings that all cells of a study share.

    Parameters
    ----------
    lake : str
    dataset : str, optional
        Tracks of this dataset only.
    labels : str
        Their source.
    split : str, optional
        Name of a split; the dataset's own, else random folds, by default.
    multi_label : bool, optional
    top_labels : int, optional
    max_epochs : int, optional
        Instead of the recipes'.
    most_tracks : int, optional
        Maximum number of training tracks.
    """

    lake: str
    dataset: str | None = None
    labels: str = "dataset"
    split: str | None = None
    multi_label: bool | None = None
    top_labels: int | None = None
    max_epochs: int | None = None
    most_tracks: int | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """A cell with its task for a worker; `task.run_id` names it."""

    cell: TrainingCell
    task: Task

    @property
    def cell_id(self) -> str:
        return self.task.run_id

    @property
    def n_taught(self) -> int:
        """Number of its training tracks; with folds held out in turn, all."""
        return sum(part == TRAIN or part.startswith(FOLD) for part in self.task.examples.parts)


class Planner:
    """Plans the cells of one scope; common data is read from the lake once."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.lake = Lake.open(scope.lake)
        self._bases: dict[TrainingCell, Task] = {}
        self._labelled: dict[tuple[str, str], Examples] = {}
        self._vectors: dict[str, tuple[str, tuple[str, ...]]] = {}

    def folds(self, split: str | None = None) -> tuple[int | None, ...]:
        """Folds to hold out in turn; None for the test part of a fixed split."""
        name = split or self.scope.split or labelled.choose_split(self.lake, self.scope.dataset)
        return tuple(labelled.fold_numbers(self.lake, name)) or (None,)

    def plan(self, cell: TrainingCell) -> Work:
        """The task of a cell for a worker.

        Raises
        ------
        UsageError
            For what `phonolake train` refuses, settings of what has none, and noise that does not fit the labels.
        PhonolakeError
            When the input was not extracted, or too few tracks are left of a class.
        """
        if cell.search:
            return self._searched(cell)
        base = self._base(cell)
        examples = thinned(base.examples, cell.share, self.scope.most_tracks, cell.seed)
        examples = mislabelled(examples, cell.missing, cell.false, cell.seed)
        check_taught(examples, cell)
        cell_id = f"{cell.model}-{digest([base.run_id, asdict(cell), self.scope.most_tracks])}"
        config = replace(base.config, seed=cell.seed)
        return Work(cell, replace(base, run_id=cell_id, config=config, examples=examples))

    def _base(self, cell: TrainingCell) -> Task:
        """The training without what a cell adds."""
        shared = replace(cell, seed=0, share=1.0, missing=0.0, false=0.0, trained=True, listen=0, settings=())
        if shared not in self._bases:
            self._bases[shared] = self._planned(shared)
        _check_kind(cell)
        return self._bases[shared]

    def _planned(self, cell: TrainingCell) -> Task:
        scope, card = self.scope, registry.get(cell.model).CARD
        if not isinstance(card, NetworkCard | EstimatorCard):
            raise UsageError(f"{cell.model} is not trained on labels: a study varies networks and estimators")
        config = Config(
            lake=scope.lake,
            model=cell.model,
            dataset=scope.dataset,
            labels=cell.labels or scope.labels,
            split=cell.split or scope.split,
            folds=() if cell.fold is None else (cell.fold,),
            max_epochs=scope.max_epochs if isinstance(card, NetworkCard) else None,
            multi_label=scope.multi_label if isinstance(card, NetworkCard) else None,
            top_labels=scope.top_labels,
            input=cell.input,
            augment=cell.augment,
            preprocessing=cell.preprocessing,
        )
        if isinstance(card, EstimatorCard) and (cell.input or "").startswith(StoredSpectrogram.kind + ":"):
            return self._over_values(config, card, cell.fold)
        (task,) = train.plan(config)
        return task

    def _searched(self, cell: TrainingCell) -> Work:
        """A choice of settings over all folds of a split, or by the validation part of a fixed one."""
        kind, _, name = (cell.input or registry.get(cell.model).CARD.input).partition(":")
        is_drawn = name in registry.names() and not registry.get(name).CARD.learns
        text, files = self._files(f"{kind}:{name}-draw-{cell.seed}" if cell.seed and is_drawn else f"{kind}:{name}")
        split = cell.split or self.scope.split or labelled.choose_split(self.lake, self.scope.dataset)
        labels = cell.labels or self.scope.labels
        if (labels, split) not in self._labelled:
            self._labelled[labels, split] = self._with_folds(labels, split)
        examples = self._labelled[labels, split]
        config = Config(self.scope.lake, cell.model, self.scope.dataset, labels, split, seed=cell.seed)
        cell_id = f"{cell.model}-{digest([asdict(cell), text, files, examples])}"
        return Work(cell, Task(self.lake.place, cell_id, config, None, examples, files, text, 0, Hardware()))

    def _files(self, wanted: str) -> tuple[str, tuple[str, ...]]:
        """What cards call an input of single vectors, and its shards; a network that is drawn is made for it once."""
        if wanted not in self._vectors:
            read = inputs.vectors(wanted)
            self._vectors[wanted] = read.text, tuple(read.files(self.lake))
        return self._vectors[wanted]

    def _with_folds(self, labels: str, split: str) -> Examples:
        """Labelled tracks whose parts are the folds of a split, or those of a fixed one."""
        found = labelled.collect(
            self.lake, labels=labels, split=split, test_fold=None, dataset=self.scope.dataset, many=False
        )
        folds = labelled.folds_of(self.lake, split)
        if folds:
            return replace(found, parts=tuple(f"{FOLD}{folds[one]}" for one in found.track_ids))
        if VALID not in found.parts or TEST not in found.parts:
            raise UsageError(f"the settings are chosen by validation tracks, and split {split!r} lacks some or a test")
        return found

    def _over_values(self, config: Config, card: EstimatorCard, fold: int | None) -> Task:
        """The training of an estimator on the values of stored spectrograms, which no command offers."""
        assert config.input is not None
        read = inputs.parse(config.input)
        split = config.split or labelled.choose_split(self.lake, config.dataset)
        examples = train.examples_of(self.lake, config, card, split, fold)
        files = tuple(read.files(self.lake))
        config = replace(config, split=split)
        run_id = digest([asdict(replace(config, lake="")), card, fold, files, examples])
        return Task(self.lake.place, run_id, config, fold, examples, files, read.text, 0, Hardware())


def _check_kind(cell: TrainingCell) -> None:
    is_network = isinstance(registry.get(cell.model).CARD, NetworkCard)
    if is_network and cell.settings:
        raise UsageError(f"{cell.model} is a network and has a recipe: settings are for estimators")
    if not is_network and not cell.trained:
        raise UsageError(f"{cell.model} is not a network: only networks have initial weights")


def thinned(examples: Examples, share: float, most: int | None, seed: int) -> Examples:
    """Leave training tracks out: each class keeps its share, and larger shares contain the tracks of smaller ones."""
    rng = np.random.default_rng([seed, 1])
    taught = [n for n, part in enumerate(examples.parts) if part == TRAIN]
    order = rng.permutation(len(taught))
    of_class: dict[tuple[int, ...], list[int]] = {}
    for n in order:
        key = () if examples.many else examples.labels[taught[n]]
        of_class.setdefault(key, []).append(taught[n])
    # In turn, so that every beginning of the list has each class in its share.
    places = [((k + 0.5) / len(mine), n) for mine in of_class.values() for k, n in enumerate(mine)]
    ranked = [n for _, n in sorted(places)]
    kept = set(ranked[: round(share * min(len(ranked), most or len(ranked)))])
    parts = tuple(LEFT_OUT if part == TRAIN and n not in kept else part for n, part in enumerate(examples.parts))
    return replace(examples, parts=parts)


def mislabelled(examples: Examples, missing: float, false: float, seed: int) -> Examples:
    """Corrupt labels of training and validation tracks at these rates; see `TrainingCell`.

    Raises
    ------
    UsageError
        For missing labels if a track has only one.
    """
    if not missing and not false:
        return examples
    if missing and not examples.many:
        raise UsageError(
            "of one label a track, one that is missing leaves nothing to learn: give the rate of false ones"
        )
    Y_NK = np.zeros((len(examples.labels), len(examples.classes)), bool)
    for n, of_track in enumerate(examples.labels):
        Y_NK[n, list(of_track)] = True
    learned_N = np.isin(examples.parts, (TRAIN, VALID, LEFT_OUT))
    draw_NK = np.random.default_rng([seed, 2]).random(Y_NK.shape)
    wrong = _dropped_and_added(Y_NK, draw_NK, missing, false) if examples.many else _moved(Y_NK, draw_NK, false)
    noisy_NK = np.where(learned_N[:, None], wrong, Y_NK)
    labels = tuple(tuple(int(k) for k in np.flatnonzero(row)) for row in noisy_NK)
    return replace(examples, labels=labels)


def _dropped_and_added(Y_NK: np.ndarray, draw_NK: np.ndarray, missing: float, false: float) -> np.ndarray:
    n_K = Y_NK.sum(axis=0)
    # On average, the number of given labels times the rate.
    rate_K = np.minimum(false * n_K / np.maximum(len(Y_NK) - n_K, 1), 1.0)
    return np.where(Y_NK, draw_NK >= missing, draw_NK < rate_K)


def _moved(Y_NK: np.ndarray, draw_NK: np.ndarray, false: float) -> np.ndarray:
    """One label of each chosen track moved on to another class."""
    n_classes = Y_NK.shape[1]
    true_N = Y_NK.argmax(axis=1)
    away_N = 1 + (draw_NK[:, 1] * (n_classes - 1)).astype(int)
    named_N = np.where(draw_NK[:, 0] < false, (true_N + away_N) % n_classes, true_N)
    return np.asarray(named_N[:, None] == np.arange(n_classes))


def check_taught(examples: Examples, cell: TrainingCell) -> None:
    """Raise a `PhonolakeError` unless there is a training track of every class, and a track to test on."""
    pairs = list(zip(examples.labels, examples.parts, strict=True))
    taught = {k for of_track, part in pairs if part == TRAIN for k in of_track}
    lost = [name for k, name in enumerate(examples.classes) if k not in taught]
    if lost:
        raise PhonolakeError(
            f"{cell.model}: too few tracks: of class {lost[0]!r} none is left to learn from (share {cell.share:g}, "
            f"missing {cell.missing:g}): take a larger share or size, or fewer classes by --top-labels"
        )
    if not any(part == TEST for _, part in pairs):
        raise PhonolakeError(f"{cell.model}: the split has no test track: name another with --split")
