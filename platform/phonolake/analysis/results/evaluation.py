"""How good the models are: final figures of runs, and their mean over the folds of a cross-validation."""

from dataclasses import dataclass

import duckdb
import numpy as np

OF_ONE_LABEL = ("accuracy", "macro-f1")
OF_MANY_LABELS = ("roc-auc", "pr-auc")


@dataclass(frozen=True, slots=True)
class FoldSummary:
    """One metric of one model over its folds: mean and standard deviation (n - 1), with chance beside it."""

    model: str
    input: str
    split: str
    metric: str
    mean: float
    std: float
    chance: float
    n_folds: int
    n_tracks: int


def over_folds(
    connection: duckdb.DuckDBPyConnection, run_ids: list[str], metrics: tuple[str, ...] | None = None
) -> list[FoldSummary]:
    """Summarise the test figures of runs that each held out one fold, best model first.

    By default accuracy and macro F1 where tracks have one label, ROC-AUC and PR-AUC where they have many.
    """
    wanted = metrics or OF_ONE_LABEL + OF_MANY_LABELS
    rows = connection.execute(
        "SELECT m.model, m.input, m.split, x.metric, list(x.value), avg(x.chance), count(*), sum(x.n) FROM metrics x "
        "JOIN models m USING (run_id) WHERE list_contains($1, run_id) AND list_contains($2, x.metric) "
        "AND x.part = 'test' AND x.label IS NULL AND x.epoch IS NULL AND x.value IS NOT NULL GROUP BY ALL",
        [run_ids, list(wanted)],
    ).fetchall()
    if metrics is None:
        single = {model for model, _, _, metric, *_ in rows if metric in OF_ONE_LABEL}
        rows = [row for row in rows if (row[0] in single) == (row[3] in OF_ONE_LABEL)]
    summaries = [
        FoldSummary(model, read, split, metric, float(np.mean(v)), float(np.std(v, ddof=len(v) > 1)), chance, n, int(m))
        for model, read, split, metric, v, chance, n, m in rows
    ]
    return sorted(summaries, key=lambda s: (wanted.index(s.metric), -s.mean, s.model))


@dataclass(frozen=True, slots=True)
class FigureOnTest:
    """One test figure of one run, with what guessing reaches on the same tracks."""

    model: str
    run_id: str
    metric: str
    value: float
    chance: float | None
    n_tracks: int


def on_test(connection: duckdb.DuckDBPyConnection, run_ids: list[str]) -> list[FigureOnTest]:
    """Overall test figures of runs, in their order."""
    rows = connection.execute(
        "SELECT m.model, run_id, x.metric, x.value, x.chance, x.n FROM metrics x JOIN models m USING (run_id) "
        "WHERE list_contains($1, run_id) AND x.part = 'test' AND x.label IS NULL AND x.epoch IS NULL "
        "ORDER BY list_position($1, run_id), x.metric",
        [run_ids],
    ).fetchall()
    return [FigureOnTest(*row) for row in rows]
