"""Music roles from hand-crafted features: Tables 3 and 5 to 7 of Korosteleva and Gerstner, as published and honest.

The study that sets the pattern: figures and deviations in `music_role_paper`, data in `music_role_data`, one fit in
`music_role_fits`, and here the experiments and the rows that they become.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TypeVar

from phonolake import execution, progress
from phonolake.errors import UsageError, unknown
from phonolake.models import registry
from phonolake.models.registry import EstimatorCard
from phonolake.studies import music_role_data as data
from phonolake.studies import music_role_deviations as deviations
from phonolake.studies import music_role_ensemble as ensemble
from phonolake.studies import music_role_fits as fits
from phonolake.studies import music_role_paper as paper
from phonolake.studies import music_role_tuned as tuned
from phonolake.studies.contract import Row, StudyCard, summarise

STUDY = StudyCard(
    name="music-role",
    paper=paper.PAPER,
    summary="Classical models on 40 to 97 hand-crafted features of AudioSet clips in nine music roles.",
    needs="The authors' seven CSV files of features and their list of test clips, in one folder.",
)
DEVIATIONS = deviations.DEVIATIONS
PARTS = ("published", "confusion", "honest", "tuned", "ensemble")

Payload = TypeVar("Payload")
Result = TypeVar("Result")

# Nothing is drawn in these: one seed shows them all.
_UNSEEDED = ("knn-pca", "logistic-regression", "logistic-regression-ovr", "xgboost-exact")
_SVM = "svm-rbf-platt"
_BEST_VECTOR = "reduced-7"
_MEMBERS = {ensemble.NETWORK: "vgg16", ensemble.SVM: _SVM, ensemble.BOTH: f"vgg16 + {_SVM}"}


@dataclass(frozen=True, slots=True)
class Config:
    """What to run.

    Parameters
    ----------
    features : Path
        Folder of the authors' files.
    part : str
        One of `PARTS`, or ``"all"``.
    repeats : int
        Seeds of a published model that was not seeded; splits of the honest and tuned parts. At least 1.
    seed : int
        First of the seeds.
    models : tuple of str
        Classifiers of Table 6, which may be any estimators in the registry; the paper's four by default. Tables 3 and
        5 are left out when the paper's SVM is not among them.
    probabilities : Path, optional
        Table of what the authors' VGG16 said of their test clips, which the part ``"ensemble"`` needs; ``"all"`` does
        without that part where there is none.
    """

    features: Path
    part: str = "all"
    repeats: int = 10
    seed: int = 0
    models: tuple[str, ...] = ()
    probabilities: Path | None = None


@dataclass(frozen=True, slots=True)
class Experiment:
    """One row of one of the paper's tables: a fit, to be repeated, and what was printed."""

    part: str
    table: str
    row: str
    printed: paper.Figures | None
    fit: fits.Fit
    notes: str


def run(config: Config) -> Iterator[list[Row]]:
    """Run the experiments and set their figures beside the paper's, one table after the other as they are done.

    Raises
    ------
    UsageError
        For an unknown part or model, fewer than one repeat, or a folder without the authors' files.
    """
    _check(config)
    return _tables(config)


def _tables(config: Config) -> Iterator[list[Row]]:
    done: dict[fits.Fit, fits.Scores] = {}
    for (part, table), group in groupby(experiments_of(config), lambda e: (e.part, e.table)):
        experiments = list(group)
        wanted = {fit: None for e in experiments for fit in repeated(e.fit, config) if fit not in done}
        done |= _map(fits.measure, list(wanted), f"{table}, {part}")
        rows: list[Row] = []
        for experiment in experiments:
            scores = [done[fit] for fit in repeated(experiment.fit, config)]
            rows += cells_of(experiment, scores) if part == "confusion" else rows_of(experiment, scores)
        yield rows
    if config.part in ("tuned", "all"):
        yield tuned_rows_of(config)
    if config.part in ("ensemble", "all") and config.probabilities is not None:
        yield ensemble_rows_of(config)


def repeated(fit: fits.Fit, config: Config) -> list[fits.Fit]:
    """One fit for each split, or for each seed where the split is given."""
    seeds = range(config.seed, config.seed + config.repeats)
    if fit.split == "stratified":
        return [replace(fit, split_seed=seed) for seed in seeds]
    return [fit] if fit.model in _UNSEEDED else [replace(fit, seed=seed) for seed in seeds]


def _check(config: Config) -> None:
    if config.part not in (*PARTS, "all"):
        raise unknown("part", config.part, (*PARTS, "all"))
    if config.repeats < 1:
        raise UsageError(f"a study repeats its fits at least once, received {config.repeats}")
    for name in config.models:
        if not isinstance(registry.get(name).CARD, EstimatorCard):
            raise UsageError(f"the music-role study fits estimators, and {name!r} is none; see `phonolake models`")
    # Said before the first worker starts.
    clips = data.read(config.features, _BEST_VECTOR)
    data.authors_test(config.features, clips.names)
    if config.part == "ensemble" and config.probabilities is None:
        raise UsageError(
            "the part 'ensemble' averages probabilities of the authors' VGG16: name a table with --probabilities"
        )
    if config.probabilities is not None:
        ensemble.read(config.probabilities, clips.names, clips.classes)


def experiments_of(config: Config) -> Iterator[Experiment]:
    """The fits of the tables that are asked for, in the order in which they are printed."""
    models = config.models or tuple(paper.CLASSIFIERS)
    parts = PARTS if config.part == "all" else (config.part,)
    for part in parts:
        if part in ("published", "honest") and _SVM in models:
            yield from _dataset_reduction(config, part)
            yield from _feature_reduction(config, part)
        if part not in ("tuned", "ensemble"):
            yield from _classifiers(config, part, models)


def _fit(config: Config, part: str, vector: str, model: str, *, without: tuple[str, ...] = ()) -> fits.Fit:
    published = part != "honest"
    return fits.Fit(
        folder=config.features,
        vector=vector,
        without=without,
        model=model,
        seed=config.seed,
        split="authors" if published else "stratified",
        split_seed=config.seed,
        leak=published,
    )


def _dataset_reduction(config: Config, part: str) -> Iterator[Experiment]:
    for without, printed in paper.DATASET_REDUCTION.items():
        row = f"Without {', '.join(without)}" if without else "Full dataset"
        if set(without) == set(data.VAGUE):
            yield Experiment(part, "Table 3", row, printed, _fit(config, part, "full-20", _SVM), _notes(part, _SVM))
            continue
        fit = _fit(config, part, "original", _SVM, without=without)
        lost = ("split-lost", "second-pass")
        if part == "published":
            fit = replace(fit, split="tenth")
        yield Experiment(part, "Table 3", row, printed, fit, _notes(part, _SVM, *lost[part == "honest" :]))


def _feature_reduction(config: Config, part: str) -> Iterator[Experiment]:
    for vector, (row, printed) in paper.FEATURE_REDUCTION.items():
        fit = _fit(config, part, vector, _SVM)
        yield Experiment(part, "Table 5", row, printed, fit, _notes(part, _SVM, "selected"))


def _classifiers(config: Config, part: str, models: Sequence[str]) -> Iterator[Experiment]:
    for model in models:
        if part == "confusion" and model not in paper.CONFUSION:
            continue
        row, printed = paper.CLASSIFIERS.get(model, (model, None))
        fit = _fit(config, part, _BEST_VECTOR, model)
        yield Experiment(part, "Table 6", row, printed, fit, _notes(part, model, "selected"))


def _notes(part: str, model: str, *more: str) -> str:
    """Keys of the deviations that touch a fit."""
    keys = ["bandwidth", "labels", *more]
    if part == "honest":
        return " ".join([*keys, "honest"])
    if "split-lost" not in more:
        keys.append("test-171")
    if part == "confusion":
        keys.append("cells")
    own = {
        _SVM: ("platt-seed", "svm-auc"),
        "random-forest": ("rf-seed",),
        "xgboost-exact": ("xgb-typo",),
    }
    return " ".join([*keys, "leak", *own.get(model, ())])


def _map(function: Callable[[Payload], Result], payloads: Sequence[Payload], what: str) -> dict[Payload, Result]:
    """Every fit in a task of its own, with a bar for those who watch."""
    done = {}
    with progress.task(f"study {STUDY.name}: {what}", len(payloads)) as advance:
        for payload, result in execution.imap(function, payloads):
            done[payload] = result
            advance(1)
    return done


def rows_of(experiment: Experiment, scores: Sequence[fits.Scores]) -> list[Row]:
    """The printed rows of finished fits."""
    e, rows = experiment, []
    printed: Sequence[float | None] = e.printed or (None,) * len(paper.METRICS)
    for n, metric in enumerate(paper.METRICS):
        figures = summarise([s.figures()[n] for s in scores])
        rows.append(Row(e.part, e.table, e.row, e.fit.model, metric, printed[n], **figures, notes=e.notes))
    return rows


def cells_of(experiment: Experiment, scores: Sequence[fits.Scores]) -> list[Row]:
    """The confusion matrix cell by cell: test clips of one class that were called another."""
    e, matrix = experiment, paper.CONFUSION[experiment.fit.model]
    roles = [role for role in data.ROLES if role not in data.VAGUE]
    rows = []
    for i, true in enumerate(roles):
        for j, named in enumerate(roles):
            figures = summarise([float(s.confusion[i, j]) for s in scores])
            what = true if true == named else f"{true} called {named}"
            rows.append(
                Row(e.part, e.table, f"{e.row}: {what}", e.fit.model, "clips", matrix[i][j], **figures, notes=e.notes)
            )
    return rows


def tuned_rows_of(config: Config) -> list[Row]:
    """Every outer split of every task in a task of its own."""
    outer = [tuned.Outer(config.features, task, config.seed + n) for task in tuned.TASKS for n in range(config.repeats)]
    done = _map(tuned.nested, outer, "tuned")
    rows = []
    for task in tuned.TASKS:
        scores = [done[o] for o in outer if o.task == task]
        for model in scores[0]:
            for n, metric in enumerate(paper.METRICS):
                figures = summarise([s[model].figures()[n] for s in scores])
                rows.append(
                    Row("tuned", "-", task.name, model, metric, None, **figures, notes="bandwidth labels tuned")
                )
    return rows


def ensemble_rows_of(config: Config) -> list[Row]:
    """Table 7: the authors' network beside the SVM of several seeds, and the mean of both."""
    assert config.probabilities is not None
    fit = _fit(config, "published", _BEST_VECTOR, _SVM)
    joined = [ensemble.Joined(one, config.probabilities) for one in repeated(fit, config)]
    done = _map(ensemble.measure, joined, "Table 7, ensemble")
    rows = []
    for row, printed in paper.ENSEMBLE.items():
        scores = [done[one][row] for one in joined]
        notes = "vgg-160 curve-auc" + ("" if row == ensemble.NETWORK else f" {_notes('published', _SVM)}")
        for n, metric in enumerate(paper.METRICS):
            figures = summarise([s.figures()[n] for s in scores])
            rows.append(Row("ensemble", "Table 7", row, _MEMBERS[row], metric, printed[n], **figures, notes=notes))
    return rows
