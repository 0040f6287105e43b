"""A table of trainings: one line for each model, input and split, with the folds of a cross-validation."""

from dataclasses import dataclass
from datetime import datetime

import duckdb
import numpy as np

# In this order: the first that was measured is the one that trainings are ranked by.
METRICS = ("accuracy", "macro-f1", "roc-auc", "pr-auc")


@dataclass(frozen=True, slots=True)
class FoldScore:
    """One test figure: mean over the folds, standard deviation (n - 1; None for one fold), what guessing reaches."""

    mean: float
    std: float | None
    chance: float | None


@dataclass(frozen=True, slots=True)
class Training:
    """The newest training of a model on one input, split and source of labels.

    Parameters
    ----------
    run_ids : tuple of str
        A run for each fold, in their order; one run where the split has fixed parts.
    folds : tuple of int or None
        The test fold of each run.
    n_tracks : int
        Test tracks of all folds; 0 where nothing was measured.
    seconds : float
        What the training took.
    scores : dict of str to FoldScore
        By metric, as far as they were measured.
    """

    model: str
    input: str
    split: str
    label_source: str
    run_ids: tuple[str, ...]
    folds: tuple[int | None, ...]
    n_labels: int
    n_tracks: int
    seconds: float
    finished_at: datetime
    scores: dict[str, FoldScore]

    @property
    def main(self) -> str | None:
        """The metric that it is ranked by."""
        return next((metric for metric in METRICS if metric in self.scores), None)

    @property
    def skill(self) -> float:
        """Position of its main figure between chance (0) and perfect (1); -inf without figures."""
        if self.main is None:
            return float("-inf")
        score = self.scores[self.main]
        chance = score.chance or 0.0
        return (score.mean - chance) / (1 - chance) if chance < 1 else 0.0


def trainings(connection: duckdb.DuckDBPyConnection) -> list[Training]:
    """Every training, the best first: of those with at least half as many test tracks as any, by `Training.skill`.

    Those with fewer test tracks follow, since their figures are less certain, and then those that were never measured.
    A training that was repeated counts by its newest.
    """
    # Runs that one command trained started together: these are the folds of one cross-validation.
    rows = connection.execute(
        """
        WITH trained AS (
            SELECT m.*, coalesce(m.card->>'$.config.labels', 'dataset') AS label_source, r.started_at, r.finished_at
            FROM models m JOIN runs r USING (run_id)
        ), newest AS (
            FROM trained
            QUALIFY started_at = max(started_at) OVER (PARTITION BY model, input, split, label_source)
        ), figures AS (
            SELECT run_id, map_from_entries(list((metric, (value, chance)))) AS figures, max(n) AS n FROM metrics
            WHERE part = 'test' AND label IS NULL AND epoch IS NULL AND value IS NOT NULL
            AND list_contains($1, metric) GROUP BY run_id
        )
        SELECT model, input, split, label_source, list(run_id ORDER BY test_fold, run_id),
            list(test_fold ORDER BY test_fold, run_id), max(len(labels)), coalesce(sum(n), 0)::BIGINT,
            epoch(max(finished_at)) - epoch(min(started_at)), max(finished_at),
            list(figures) FILTER (figures IS NOT NULL)
        FROM newest LEFT JOIN figures USING (run_id) GROUP BY model, input, split, label_source
        """,
        [list(METRICS)],
    ).fetchall()
    found = [Training(*_row(*row)) for row in rows]
    most = max((training.n_tracks for training in found), default=0)
    return sorted(found, key=lambda t: (not t.scores, 2 * t.n_tracks < most, -t.skill, -t.n_tracks, t.model, t.input))


def _row(
    model: str, read: str, split: str, source: str, run_ids: list, folds: list, n_labels: int, n_tracks: int,
    seconds: float, finished_at: datetime, figures: list[dict] | None,
) -> tuple:  # fmt: skip
    scores = {}
    for metric in METRICS:
        both = [own[metric] for own in figures or () if metric in own]
        if both:
            values = np.array([value for value, _ in both], float)
            known = [chance for _, chance in both if chance is not None]
            std = float(values.std(ddof=1)) if len(values) > 1 else None
            scores[metric] = FoldScore(float(values.mean()), std, float(np.mean(known)) if known else None)
    return (model, read, split, source, tuple(run_ids), tuple(folds), n_labels, n_tracks, seconds, finished_at, scores)


def best_for(connection: duckdb.DuckDBPyConnection, track_id: str) -> list[tuple[str, Training]]:
    """Models with predictions for a track, the best first: the relevant run of each training.

    Of the folds of a cross-validation that is the one that held the track out.
    """
    rows = connection.execute(
        "SELECT run_id, bool_or(part = 'test') FROM predictions WHERE track_id = $1 GROUP BY run_id", [track_id]
    ).fetchall()
    unseen = {run_id: bool(unseen) for run_id, unseen in rows}
    found = []
    for training in trainings(connection):
        able = [run_id for run_id in training.run_ids if run_id in unseen]
        if able:
            found.append((max(able, key=lambda run_id: unseen[run_id]), training))
    return found
