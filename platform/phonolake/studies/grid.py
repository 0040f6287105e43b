"""Studies that vary trainings: checked and planned as a whole, then run table by table.

A study is a list of parts, a part a list of arms with claims about them. Finished cells are in the lake, so that a
killed study, or one with more seeds, only computes the missing ones.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import Any

from phonolake import execution
from phonolake.errors import UsageError, unknown
from phonolake.inference.vector_inputs import Embeddings
from phonolake.lineage import settings
from phonolake.lookup import label_matrix
from phonolake.models import home, registry
from phonolake.models.registry import NetworkCard
from phonolake.records import TRAIN
from phonolake.stages import examples as labelled
from phonolake.stages import train
from phonolake.store import catalog, jobs
from phonolake.store.lake import Lake
from phonolake.studies import cell_fits, kept, results
from phonolake.studies.cells import Planner, Scope, TrainingCell, Work
from phonolake.studies.contract import ClaimRow, Deviation, PartPlan, Row, StudyCard, summarise
from phonolake.studies.evidence import Arm, Claim, Evidence, artists_of, judge, truth_of
from phonolake.studies.rates import hours_of
from phonolake.training.recipe import Hardware


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a study.

    Parameters
    ----------
    least : int
        Minimum number of training tracks.
    most : int, optional
        Maximum number of training tracks.
    max_epochs : int, optional
        Instead of the recipes'.
    repeats : int
        Seeds, unless another number is asked for.
    """

    name: str
    least: int
    most: int | None
    max_epochs: int | None
    repeats: int


SIZES = {
    "tiny": Size("tiny", 2, 9, 1, 1),
    "middle": Size("middle", 60, 240, 8, 2),
    "full": Size("full", 200, None, None, 3),
}


@dataclass(frozen=True, slots=True)
class Config:
    """What to study on which lake.

    Parameters
    ----------
    part : str
        One of the study's, or ``"all"``.
    repeats : int, optional
        Seeds of every training; by the size by default.
    seed : int
        The first of them.
    size : str
        One of `SIZES`.
    dataset, split, top_labels, max_epochs
        As `phonolake train` takes them.
    labels : str
        Source of the training labels.
    truth : str, optional
        Source of the labels for evaluation; the same by default.
    device : str
    """

    lake: str
    part: str = "all"
    repeats: int | None = None
    seed: int = 0
    size: str = "full"
    dataset: str | None = None
    labels: str = "dataset"
    truth: str | None = None
    split: str | None = None
    top_labels: int | None = None
    max_epochs: int | None = None
    device: str = "auto"


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts of the tracks before a study starts."""

    lake: Lake
    config: Config
    size: Size
    dataset: str
    split: str
    n_taught: int
    classes: tuple[str, ...]
    many: bool

    @property
    def repeats(self) -> int:
        return self.config.repeats or self.size.repeats

    def shares(self, *wanted: float) -> tuple[float, ...]:
        """Shares of the training tracks: in a tiny study the first and last of these alone."""
        return wanted if self.size.name != "tiny" else (wanted[0], wanted[-1])


@dataclass(frozen=True, slots=True)
class StudyPart:
    """A part of a study.

    Parameters
    ----------
    arms : tuple of Arm
        Rows of tables, in the order of the tables.
    claims : tuple of Claim
    more : callable, optional
        Computes rows and judged claims without an arm, from the evidence of the arms.
    networks : tuple of str
        Networks of the model home that `more` reads, if present.
    """

    name: str
    arms: tuple[Arm, ...] = ()
    claims: tuple[Claim, ...] = ()
    more: Callable[[Evidence], tuple[list[Row], list[ClaimRow]]] | None = None
    networks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GridStudy:
    """The definition of a paper's study.

    Parameters
    ----------
    datasets : tuple of str
        Those of the paper, as sources are called here; none where any will do.
    parts : callable
        From `Facts` to the parts, in order.
    names : tuple of str
        Names of the parts.
    written : mapping, optional
        What a file of the user's says: two files are two requests.
    """

    card: StudyCard
    datasets: tuple[str, ...]
    names: tuple[str, ...]
    parts: Callable[[Facts], list[StudyPart]]
    deviations: tuple[Deviation, ...]
    written: Mapping[str, Any] | None = None


class Session:
    """A study on a lake: checked on construction, then run.

    Raises
    ------
    UsageError
        For an unknown part, size, dataset or split, no repeat, too few tracks for the size, or a single class.
    PhonolakeError
        For an input that was not extracted, or a class with too few tracks for a share.
    """

    def __init__(self, study: GridStudy, config: Config) -> None:
        if config.part not in (*study.names, "all"):
            raise unknown("part", config.part, (*study.names, "all"))
        self.study = study
        self.facts = facts_of(config)
        scope = Scope(
            config.lake,
            self.facts.dataset,
            config.labels,
            self.facts.split,
            self.facts.many,
            config.top_labels,
            config.max_epochs or self.facts.size.max_epochs,
            self.facts.size.most,
        )
        self.planner = Planner(scope)
        self.parts = [part for part in study.parts(self.facts) if config.part in (part.name, "all")]
        if not any(part.arms or part.more for part in self.parts):
            raise UsageError(f"nothing of {config.part} is done at size {config.size}: take a larger one")
        # All cells are planned before the first one starts, so that errors are reported before hours of work.
        cells = dict.fromkeys(arm.cell for part in self.parts for arm in part.arms)
        self.work = {cell: self._units(cell) for cell in cells}
        self.claims: list[ClaimRow] = []

    def _units(self, cell: TrainingCell) -> list[list[Work]]:
        """The trainings of an arm: for each seed one for each fold."""
        folds = (None,) if cell.search else self.planner.folds(cell.split)
        seeds = range(self.facts.config.seed, self.facts.config.seed + self.facts.repeats)
        return [[self.planner.plan(replace(cell, seed=seed, fold=fold)) for fold in folds] for seed in seeds]

    def tables(self) -> Iterator[list[Row]]:
        """Compute missing cells; yields the rows of each table, and extends `claims` part by part.

        Both are kept in the lake when all is done.
        """
        rows: list[Row] = []
        for table in self._tables():
            rows += table
            yield table
        self._publish(rows)

    def _publish(self, rows: Sequence[Row]) -> None:
        lake = self.facts.lake
        ids = [unit.cell_id for runs in self.work.values() for folds in runs for unit in folds]
        name, written = self.study.card.name, self.study.written
        asked = settings(self.facts.config) | ({} if written is None else {"written": written})
        printed = results.changes(lake, name, asked, rows, self.claims, self._models_read())
        if changes := kept.unpublished(lake, ids) | printed:
            with jobs.working(lake.place, "study"):
                lake.commit(changes)

    def _models_read(self) -> list[str]:
        """Models whose vectors or weights the study measures: of the lake, and of the model home."""
        texts = {unit.task.input for runs in self.work.values() for folds in runs for unit in folds}
        vectors = {text for text in texts if text.startswith(Embeddings.kind + ":")}
        networks = {name for part in self.parts for name in part.networks if home.has(name)}
        return sorted(vectors | {f"home:{name}" for name in networks})

    def _tables(self) -> Iterator[list[Row]]:
        for part in self.parts:
            for table, group in groupby(part.arms, lambda arm: arm.table):
                arms = list(group)
                self._complete([arm.cell for arm in arms], f"study {self.study.card.name}: {part.name}, {table}")
                evidence = self.evidence(arms)
                yield [self._row(part, arm, evidence) for arm in arms]
            evidence = self.evidence(part.arms)
            self.claims += [self._judged(part, claim, evidence) for claim in part.claims]
            if part.more is not None:
                rows, claims = part.more(evidence)
                self.claims += [replace(claim, data=claim.data or self.data) for claim in claims]
                for _, group_of_rows in groupby(rows, lambda row: row.table):
                    yield list(group_of_rows)

    def _complete(self, cells: Sequence[TrainingCell], what: str) -> None:
        units = [unit for cell in dict.fromkeys(cells) for folds in self.work[cell] for unit in folds]
        networks = [unit.task for unit in units if isinstance(unit.task.model.CARD, NetworkCard)]
        gpu = bool(networks) and train.wants_gpu(networks, Hardware(device=self.facts.config.device))
        hardware = Hardware(device="cuda" if gpu else "cpu", compile=gpu)
        work = {unit.cell_id: replace(unit, task=replace(unit.task, hardware=hardware)) for unit in units}
        seconds = sum(train.seconds_of(unit.task) for unit in units)
        kept.complete(self.facts.lake, work, cell_fits.measure, what=what, seconds=seconds, gpus=int(gpu))

    def evidence(self, arms: Sequence[Arm]) -> Evidence:
        """Results of the finished cells of some arms."""
        cells = {arm.cell: self.work[arm.cell] for arm in arms}
        ids = [unit.cell_id for units in cells.values() for folds in units for unit in folds]
        found = kept.read(self.facts.lake, ids) if ids else {}
        truth, artists = self._known
        reached = {cell: [[found[unit.cell_id] for unit in folds] for folds in units] for cell, units in cells.items()}
        return Evidence(reached, truth, artists, seed=self.facts.config.seed)

    @cached_property
    def _known(self) -> tuple[dict[str, frozenset[str]], dict[str, str]]:
        """True labels and artists of the tracks."""
        config = self.facts.config
        with catalog.connect(self.facts.lake) as connection:
            return truth_of(connection, config.truth or config.labels), artists_of(connection)

    def _row(self, part: StudyPart, arm: Arm, evidence: Evidence) -> Row:
        figures = summarise(evidence.values(arm))
        return Row(part.name, arm.table, arm.row, arm.cell.model, arm.metric, arm.paper, **figures, notes=arm.notes)

    def _judged(self, part: StudyPart, claim: Claim, evidence: Evidence) -> ClaimRow:
        estimate = evidence.contrast(claim)
        arm = claim.weights[0][0]
        return ClaimRow(
            part=part.name,
            claim=claim.text,
            expects=claim.expects if claim.expects == "above" else f"within {claim.margin:g}",
            metric=arm.metric,
            difference=estimate.value,
            low=estimate.low,
            high=estimate.high,
            n=len(self.work[arm.cell]),
            n_tracks=len(evidence.track_ids),
            verdict=judge(estimate, claim.expects, claim.margin),
            data=self.data,
        )

    @property
    def data(self) -> str:
        """Which data claims were tested on, in words."""
        papers = self.study.datasets
        own = self.facts.dataset
        if not papers or own in papers:
            return own
        return f"{own}, another than the paper's {' or '.join(papers)}"

    def plan(self) -> list[PartPlan]:
        """The planned work, and its time here by a rate measured on a few tracks."""
        plans, seen = [], set[str]()
        workers = max(1, execution.cores())
        for part in self.parts:
            units = {u.cell_id: u for arm in part.arms for folds in self.work[arm.cell] for u in folds}
            fresh = {cell_id: unit for cell_id, unit in units.items() if cell_id not in seen}
            seen |= fresh.keys()
            done = kept.finished(self.facts.lake, fresh)
            todo = [unit for cell_id, unit in fresh.items() if cell_id not in done]
            plans.append(PartPlan(part.name, len(fresh), len(done), hours_of(todo) / workers, workers))
        return plans


def facts_of(config: Config) -> Facts:
    """Look at the lake; the errors are those of `Session`."""
    if config.size not in SIZES:
        raise unknown("size", config.size, SIZES)
    if config.repeats is not None and config.repeats < 1:
        raise UsageError(f"a study repeats its trainings at least once, received {config.repeats}")
    lake, size = Lake.open(config.lake), SIZES[config.size]
    if config.truth is not None:
        with catalog.connect(lake) as connection:
            label_matrix.check_source(connection, config.truth)
    dataset = _dataset(lake, config.dataset)
    split = config.split or labelled.choose_split(lake, dataset)
    found = labelled.collect(
        lake, labels=config.labels, split=split, test_fold=None, dataset=dataset, many=None, top=config.top_labels
    )
    n_taught = sum(part == TRAIN for part in found.parts)
    if n_taught < size.least:
        smaller = [name for name, other in SIZES.items() if other.least <= n_taught]
        way = f"take --size {smaller[-1]}" if smaller else "add some"
        raise UsageError(
            f"the size {size.name} needs {size.least} training tracks or more, and {dataset} has {n_taught} in "
            f"{split}: {way}"
        )
    return Facts(lake, config, size, dataset, split, n_taught, found.classes, found.many)


def _dataset(lake: Lake, wanted: str | None) -> str:
    """The dataset that is studied: the one that is named, or the only one."""
    with catalog.connect(lake) as connection:
        known = [n for (n,) in connection.execute("SELECT DISTINCT dataset FROM tracks ORDER BY 1").fetchall()]
    if not known:
        raise UsageError("the lake has no tracks: run `phonolake ingest`")
    if wanted is not None and wanted not in known:
        raise unknown("dataset", wanted, known)
    if wanted is None and len(known) > 1:
        raise UsageError(f"the lake holds {', '.join(known)}: name one with --dataset")
    return wanted or known[0]


def networks_among(models: Sequence[str]) -> list[str]:
    """Those of some models that are networks."""
    return [name for name in dict.fromkeys(models) if isinstance(registry.get(name).CARD, NetworkCard)]
