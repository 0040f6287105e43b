"""Figures of the cells of a study, and intervals of their differences.

A figure is the mean over seeds and folds. Its interval draws artists with their tracks, and seeds, with replacement;
two arms of a study are compared on the same draws.

Shape suffixes: N tracks, K classes, R draws, S seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import duckdb
import numpy as np

from phonolake.lookup import kinship
from phonolake.metrics import bootstrap, classification
from phonolake.metrics.bootstrap import Estimate
from phonolake.studies.cells import TrainingCell
from phonolake.studies.kept import PROTOCOL_TEST, Finished, HeldOutAnswers

DRAWS = 500
# Tolerance for weighted sums that should be equal.
ROUNDING = 1e-9

Verdict = Literal["holds", "does not hold", "undecided"]


@dataclass(frozen=True, slots=True)
class Arm:
    """One row of a table: cells that differ only in seed and fold, and their metric.

    Parameters
    ----------
    table, row : str
        Where the paper prints it, in its own words.
    cell : Cell
        Seed and fold are added to it.
    metric : str
        ``accuracy``, ``macro-f1``, ``roc-auc`` or ``pr-auc``, or a figure that a cell keeps.
    paper : float, optional
        As printed.
    protocol : str
        Whose answers; see the table `study_predictions`.
    notes : str
        Keys of the deviations that touch it.
    """

    table: str
    row: str
    cell: TrainingCell
    metric: str = "roc-auc"
    paper: float | None = None
    protocol: str = PROTOCOL_TEST
    notes: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of a paper with its test: a weighted sum of the figures of arms, and what it should be.

    Parameters
    ----------
    weights : tuple of (Arm, float)
        For a difference, 1 and -1.
    expects : {"above", "alike"}
        The sum lies above zero; or no farther from zero than `margin`.
    offset : float
        Added to the sum.
    """

    text: str
    weights: tuple[tuple[Arm, float], ...]
    expects: Literal["above", "alike"] = "above"
    margin: float = 0.0
    offset: float = 0.0


def better(text: str, first: Arm, second: Arm) -> Claim:
    """The claim that one arm is better than another."""
    return Claim(text, ((first, 1.0), (second, -1.0)))


def alike(text: str, first: Arm, second: Arm, margin: float) -> Claim:
    """The claim that two arms differ by no more than a margin."""
    return Claim(text, ((first, 1.0), (second, -1.0)), "alike", margin)


def judge(estimate: Estimate, expects: Literal["above", "alike"], margin: float = 0.0) -> Verdict:
    """Whether an interval meets a claim, contradicts it, or is undecided."""
    low, high = estimate.low, estimate.high
    if np.isnan(low) or np.isnan(high):
        return "undecided"
    if expects == "above":
        return "holds" if low > ROUNDING else "does not hold" if high < -ROUNDING else "undecided"
    if -margin <= low and high <= margin:
        return "holds"
    return "does not hold" if low > margin or high < -margin else "undecided"


class Evidence:
    """Finished cells of arms, by seed and fold, with the true labels and the artists of their test tracks.

    Parameters
    ----------
    cells : mapping
        Results by the cell of an arm: for each seed one for each fold.
    truth : mapping of str to frozenset of str
        Labels by track id.
    artists : mapping of str to str
        Group of each track's artist.
    """

    def __init__(
        self,
        cells: Mapping[TrainingCell, Sequence[Sequence[Finished]]],
        truth: Mapping[str, frozenset[str]],
        artists: Mapping[str, str],
        *,
        seed: int = 0,
    ) -> None:
        self.cells = cells
        self.truth = truth
        named = {
            track_id
            for runs in cells.values()
            for folds in runs
            for one in folds
            for said in one.answers.values()
            for track_id in said.track_ids
        }
        self.track_ids = sorted(track_id for track_id in named if track_id in truth)
        self._place = {track_id: n for n, track_id in enumerate(self.track_ids)}
        self._artists = [artists.get(track_id, track_id) for track_id in self.track_ids]
        self._seed = seed
        self._W_RN: np.ndarray | None = None
        self._kept: dict[tuple[TrainingCell, str, str], tuple[np.ndarray, np.ndarray]] = {}

    def values(self, arm: Arm) -> list[float]:
        """The figure of each seed, the mean over its folds."""
        runs = self.cells[arm.cell]
        if arm.metric in runs[0][0].figures:
            return [float(np.mean([one.figures[arm.metric] for one in folds])) for folds in runs]
        return [float(np.mean([self._figure(*part, arm.metric) for part in self._parts(folds, arm)])) for folds in runs]

    def contrast(self, claim: Claim) -> Estimate:
        """The weighted sum of a claim with its interval over artists and seeds."""
        value, drawn_R = claim.offset, np.full(DRAWS, claim.offset)
        for arm, weight in claim.weights:
            value_S, drawn_RS = self._drawn(arm)
            value += weight * float(value_S.mean())
            drawn_R = drawn_R + weight * self._over_seeds(drawn_RS)
        return bootstrap.estimate(value, drawn_R)

    def labels(self, said: HeldOutAnswers, classes: Sequence[str]) -> np.ndarray:
        """True labels of tracks: class numbers where each has one of the classes, else multi-hot."""
        Y_NK = np.array([[name in self.truth.get(track_id, ()) for name in classes] for track_id in said.track_ids])
        return Y_NK.argmax(axis=1) if (Y_NK.sum(axis=1) == 1).all() else Y_NK.astype(int)

    def _parts(self, folds: Sequence[Finished], arm: Arm) -> list[tuple[HeldOutAnswers, tuple[str, ...]]]:
        """Answers on tracks with a known label, one for each model that gave some."""
        found = []
        for one in folds:
            said = one.answers[arm.protocol]
            known_N = np.array([track_id in self._place for track_id in said.track_ids])
            for fold in np.unique(said.folds):
                held = np.flatnonzero(known_N & (said.folds == fold))
                if len(held):
                    ids = tuple(said.track_ids[n] for n in held)
                    found.append((HeldOutAnswers(ids, said.P_NK[held], said.folds[held]), one.classes))
        return found

    def _figure(self, said: HeldOutAnswers, classes: tuple[str, ...], metric: str) -> float:
        return classification.overall(y_true=self.labels(said, classes), scores=said.P_NK)[metric]

    def _drawn(self, arm: Arm) -> tuple[np.ndarray, np.ndarray]:
        """The figure of each seed, and that of each draw and seed."""
        key = (arm.cell, arm.metric, arm.protocol)
        if key not in self._kept:
            drawn = [
                np.mean([self._drawn_of(*part, arm.metric) for part in self._parts(folds, arm)], axis=0)
                for folds in self.cells[arm.cell]
            ]
            self._kept[key] = np.array(self.values(arm)), np.stack(drawn, axis=1)
        return self._kept[key]

    def _drawn_of(self, said: HeldOutAnswers, classes: tuple[str, ...], metric: str) -> np.ndarray:
        if self._W_RN is None:
            self._W_RN = bootstrap.draws(self._artists, n_draws=DRAWS, seed=self._seed)
        W_RN = self._W_RN[:, [self._place[track_id] for track_id in said.track_ids]]
        y = self.labels(said, classes)
        # A draw without any track of a small fold has no figure.
        W_RN = np.where(W_RN.sum(axis=1, keepdims=True) > 0, W_RN, 1.0)
        if metric == "accuracy":
            return bootstrap.mean(said.P_NK.argmax(axis=1) == y, W_RN)
        measure = bootstrap.roc_auc if metric == "roc-auc" else bootstrap.average_precision
        return measure(y, said.P_NK, W_RN)

    def _over_seeds(self, drawn_RS: np.ndarray) -> np.ndarray:
        """The mean over seeds that are drawn too: the same ones for every arm."""
        n_seeds = drawn_RS.shape[1]
        rng = np.random.default_rng([self._seed, n_seeds])
        times_RS = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=len(drawn_RS))
        drawn_R: np.ndarray = (drawn_RS * times_RS).sum(axis=1) / n_seeds
        return drawn_R


def truth_of(connection: duckdb.DuckDBPyConnection, source: str) -> dict[str, frozenset[str]]:
    """Labels by track id, as a source has them; see the macro ``labels_by``."""
    rows = connection.execute(
        "SELECT track_id, list(DISTINCT label) FROM labels_by($1) WHERE value = 1 GROUP BY track_id", [source]
    ).fetchall()
    return {track_id: frozenset(labels) for track_id, labels in rows}


def artists_of(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The group of each track by artist or recording."""
    return kinship.groups(connection)
