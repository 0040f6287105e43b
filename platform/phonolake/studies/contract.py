"""The contract of a study module.

A module in this folder is a study when it defines

    STUDY : StudyCard
        The paper it repeats, and the data.
    Config : a frozen dataclass
        What to run on which folder; every field except the folder has a default.
    PARTS : tuple of str
        Parts of the study, such as ``"published"`` and ``"honest"``.
    DEVIATIONS : tuple of Deviation
        Differences of paper, code and this study, and their effects.
    run(config) -> iterator of list[Row]
        The experiments, each a task on the cluster; the rows of one table after the other, as they are done. Errors of
        `config` are raised at once.

A study that varies trainings on a lake defines ``GRID``, a `phonolake.studies.grid.Study`, and takes its `Config` from
there: planning, keeping, claims and commands are those of `grid.Session`.

Its paper's figures stand in a module of their own, with the numbers of the tables that they were printed in.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np

from phonolake import registry


@dataclass(frozen=True, slots=True)
class StudyCard:
    """What users should know before running a study."""

    name: str
    paper: str
    summary: str
    needs: str


@dataclass(frozen=True, slots=True)
class Deviation:
    """One difference of paper, code and study; rows refer to it by its key."""

    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of a paper beside ours.

    Parameters
    ----------
    part : str
        Which protocol.
    table, row : str
        Where the paper prints it, in its own words.
    model, metric : str
        Registry name, and what was measured.
    paper : float, optional
        As printed; None if the paper has no such figure.
    ours : float
        Mean over `n` runs.
    std, low, high : float, optional
        Standard deviation (n - 1), least and largest of the runs; None for a single one.
    n : int
        Runs: seeds of the model, or splits of the data.
    notes : str
        Keys of the deviations that affect this figure.
    """

    part: str
    table: str
    row: str
    model: str
    metric: str
    paper: float | None
    ours: float
    std: float | None
    low: float | None
    high: float | None
    n: int
    notes: str


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """A sentence of a paper, and whether it holds here.

    Parameters
    ----------
    claim : str
    expects : str
        ``above``: the difference lies above zero; ``within M``: no farther from it than M.
    metric : str
        What the difference is one of.
    difference, low, high : float
        With its 95 % interval over artists and seeds.
    n, n_tracks : int
        Seeds of each training, and tracks that were held out.
    verdict : str
        ``holds``, ``does not hold``, or ``undecided`` where the interval lies on both sides.
    data : str
        Which dataset; it is said where that is another than the paper's. Of claims that a part judges itself it may be
        left empty: the session knows.
    """

    part: str
    claim: str
    expects: str
    metric: str
    difference: float
    low: float
    high: float
    n: int
    n_tracks: int
    verdict: str
    data: str


@dataclass(frozen=True, slots=True)
class PartPlan:
    """The cost of a part of a study: cells that no earlier part has, finished ones, and hours on this machine."""

    part: str
    cells: int
    finished: int
    hours: float
    workers: int


class Study(Protocol):
    """A study module, as the command line sees it."""

    STUDY: StudyCard
    Config: type
    PARTS: tuple[str, ...]
    DEVIATIONS: tuple[Deviation, ...]

    def run(self, config: Any) -> Iterator[list[Row]]: ...


def cards() -> list[StudyCard]:
    """Card of every study."""
    return [module.STUDY for module in registry.modules("phonolake.studies", "STUDY").values()]


def get(name: str) -> Study:
    """The study called `name`; an unknown name raises a `UsageError` that lists the known ones."""
    return cast(Study, registry.module("phonolake.studies", "STUDY", "study", name))


def summarise(values: Sequence[float]) -> dict[str, Any]:
    """The fields of a `Row` that summarise runs."""
    spread: dict[str, float | None] = {"std": None, "low": None, "high": None}
    if len(values) > 1:
        spread = {"std": float(np.std(values, ddof=1)), "low": float(min(values)), "high": float(max(values))}
    return {"ours": float(np.mean(values)), **spread, "n": len(values)}


def deviations_of(rows: Iterable[Row], deviations: Sequence[Deviation]) -> list[Deviation]:
    """The deviations that rows refer to, in the order of the study."""
    named = {key for row in rows for key in row.notes.split()}
    return [deviation for deviation in deviations if deviation.key in named]
