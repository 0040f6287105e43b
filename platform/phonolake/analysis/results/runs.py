"""Results of trained models: figures, learning curves, classes, confusions, ROC curves, and comparisons of two runs.

Shape suffixes: N tracks, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

import duckdb
import numpy as np

from phonolake.errors import PhonolakeError
from phonolake.lookup.runs import IMPORTED, label_source
from phonolake.metrics import classification

# More points than a figure has pixels only cost time.
CURVE_POINTS = 300
# One run, or those of a cross-validation: together they held each track out once.
RunIds: TypeAlias = str | Sequence[str]


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """One trained model, with its overall figures on its test part (None where not measured)."""

    run_id: str
    model: str
    input: str
    split: str
    test_fold: int | None
    finished_at: datetime
    n_labels: int
    accuracy: float | None
    macro_f1: float | None
    roc_auc: float | None
    pr_auc: float | None


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One figure after one epoch."""

    part: str
    metric: str
    epoch: int
    value: float


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """The test figures of one class (None where not defined)."""

    label: str
    f1: float | None
    roc_auc: float | None
    pr_auc: float | None


@dataclass(frozen=True, slots=True)
class ConfusionMatrix:
    """How often each class was taken for each other: ``counts[i, j]`` tracks of class i were called j."""

    labels: tuple[str, ...]
    counts: np.ndarray


@dataclass(frozen=True, slots=True)
class RocCurve:
    """True over false positive rate of one class against the rest, and the area under it."""

    label: str
    false_positive_rate: np.ndarray
    true_positive_rate: np.ndarray
    auc: float
    n_positive: int
    n_negative: int


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Two runs on the test tracks that both scored.

    Parameters
    ----------
    both, only_a, only_b, neither : int
        Tracks on which both, one alone, or neither named a right class.
    p_value : float
        Exact McNemar test (binomial, two-sided): how likely a difference of this size is if the runs are equally good.
    """

    both: int
    only_a: int
    only_b: int
    neither: int
    p_value: float

    @property
    def n(self) -> int:
        return self.both + self.only_a + self.only_b + self.neither


def training_runs(connection: duckdb.DuckDBPyConnection) -> list[TrainingRun]:
    """Every trained or imported model, the newest first; vectors that were brought have no model."""
    rows = connection.execute(
        """
        WITH figures AS (
            SELECT run_id, max(value) FILTER (metric = 'accuracy') AS accuracy,
                max(value) FILTER (metric = 'macro-f1') AS f1, max(value) FILTER (metric = 'roc-auc') AS roc,
                max(value) FILTER (metric = 'pr-auc') AS pr
            FROM metrics WHERE part = 'test' AND label IS NULL AND epoch IS NULL GROUP BY run_id
        )
        SELECT m.run_id, m.model, m.input, m.split, m.test_fold, r.finished_at, len(m.labels), f.accuracy, f.f1, f.roc,
            f.pr
        FROM models m JOIN runs r USING (run_id) LEFT JOIN figures f USING (run_id)
        WHERE len(m.labels) > 0 OR NOT starts_with(m.input, $1) ORDER BY r.finished_at DESC, m.run_id
        """,
        [IMPORTED],
    ).fetchall()
    return [TrainingRun(*row) for row in rows]


def chance(connection: duckdb.DuckDBPyConnection, run_id: str) -> dict[str, float]:
    """Chance on the test tracks of a run, by metric."""
    rows = connection.execute(
        "SELECT metric, chance FROM metrics WHERE run_id = $1 AND part = 'test' AND label IS NULL AND epoch IS NULL "
        "AND chance IS NOT NULL",
        [run_id],
    ).fetchall()
    return dict(rows)


def curve(connection: duckdb.DuckDBPyConnection, run_id: str) -> list[CurvePoint]:
    """The learning curve of a run; empty for a model that trains in one step."""
    rows = connection.execute(
        "SELECT part, metric, epoch, value FROM metrics WHERE run_id = $1 AND epoch IS NOT NULL AND value IS NOT NULL "
        "ORDER BY metric, part, epoch",
        [run_id],
    ).fetchall()
    return [CurvePoint(*row) for row in rows]


def per_class(connection: duckdb.DuckDBPyConnection, run_ids: RunIds) -> list[ClassFigures]:
    """Test figures of each class, in order of their names; of several runs their mean."""
    rows = connection.execute(
        "SELECT label, avg(value) FILTER (metric = 'f1'), avg(value) FILTER (metric = 'roc-auc'), "
        "avg(value) FILTER (metric = 'pr-auc') FROM metrics WHERE list_contains($1, run_id) AND part = 'test' "
        "AND label IS NOT NULL AND epoch IS NULL GROUP BY label ORDER BY label",
        [_ids(run_ids)],
    ).fetchall()
    return [ClassFigures(*row) for row in rows]


_JUDGED = """
    judged AS (
        SELECT p.track_id, arg_max(p.label, p.probability) AS called FROM predictions AS p
        WHERE list_contains($1, p.run_id) AND p.part = 'test' GROUP BY p.track_id
    )
"""


def _called(runs: RunIds, parameter: str) -> str:
    """SQL of what runs, or those of a model on the labels in question, call each track that they held out."""
    if isinstance(runs, str):
        said = f"held_out(model_or_run := {parameter}) WHERE label_source = $3 OR run_id = {parameter}"
    else:
        said = f"predictions WHERE part = 'test' AND list_contains({parameter}, run_id)"
    return f"SELECT track_id, arg_max(label, probability) AS called FROM {said} GROUP BY track_id"


def _ids(run_ids: RunIds) -> list[str]:
    return [run_ids] if isinstance(run_ids, str) else list(run_ids)


def confusion(connection: duckdb.DuckDBPyConnection, run_ids: RunIds) -> ConfusionMatrix:
    """Confusion matrix over the test tracks; one with several labels counts once for each.

    Raises
    ------
    PhonolakeError
        When the run's test tracks have not been scored.
    """
    rows = connection.execute(
        f"WITH {_JUDGED} SELECT l.label, j.called, count(*) FROM judged j JOIN labels_by($2) l USING (track_id) "
        "WHERE l.value = 1 GROUP BY ALL",
        [_ids(run_ids), label_source(connection, _ids(run_ids)[0])],
    ).fetchall()
    if not rows:
        raise _unscored(run_ids)
    labels = tuple(sorted({name for given, called, _ in rows for name in (given, called)}))
    places = {label: k for k, label in enumerate(labels)}
    n_KK = np.zeros((len(labels), len(labels)), np.int64)
    for given, called, n in rows:
        n_KK[places[given], places[called]] = n
    return ConfusionMatrix(labels, n_KK)


def confused_tracks(
    connection: duckdb.DuckDBPyConnection, run_ids: RunIds, given: str, called: str, *, most: int = 100
) -> list[str]:
    """Test tracks with the label `given` that the runs call `called`."""
    rows = connection.execute(
        f"WITH {_JUDGED} SELECT j.track_id FROM judged j JOIN labels_by($2) l USING (track_id) "
        "WHERE l.value = 1 AND l.label = $3 AND j.called = $4 ORDER BY j.track_id LIMIT $5",
        [_ids(run_ids), label_source(connection, _ids(run_ids)[0]), given, called, most],
    ).fetchall()
    return [track_id for (track_id,) in rows]


def roc(connection: duckdb.DuckDBPyConnection, run_ids: RunIds, label: str) -> RocCurve:
    """ROC curve of one class over the test tracks that have any label of the runs' source.

    Raises
    ------
    PhonolakeError
        When the run's test tracks have not been scored, or are all, or none of them, of this class.
    """
    columns = connection.execute(
        "WITH said AS (SELECT track_id, bool_or(label = $3) AS positive FROM labels_by($2) WHERE value = 1 "
        "GROUP BY track_id) SELECT p.probability AS score, s.positive FROM predictions p JOIN said s USING (track_id) "
        "WHERE list_contains($1, p.run_id) AND p.part = 'test' AND p.label = $3",
        [_ids(run_ids), label_source(connection, _ids(run_ids)[0]), label],
    ).fetchnumpy()
    score_N, positive_N = columns["score"], np.asarray(columns["positive"], bool)
    if not len(score_N):
        raise _unscored(run_ids)
    n_positive = int(positive_N.sum())
    n_negative = len(positive_N) - n_positive
    if not n_positive or not n_negative:
        raise PhonolakeError(f"a ROC curve needs tracks with and without {label!r}: {n_positive} and {n_negative} here")
    _, hits_T, accepted_T = classification.accepted(positive_N, score_N)
    true_P = np.concatenate([[0], hits_T / n_positive])
    false_P = np.concatenate([[0], (accepted_T - hits_T) / n_negative])
    shown = np.unique(np.linspace(0, len(true_P) - 1, CURVE_POINTS).astype(int))
    auc = float(classification.roc_auc(y_true=positive_N[:, None].astype(int), scores=score_N[:, None])[0])
    return RocCurve(label, false_P[shown], true_P[shown], auc, n_positive, n_negative)


def compare(connection: duckdb.DuckDBPyConnection, run_a: RunIds, run_b: RunIds) -> RunComparison:
    """Compare two runs, or two cross-validated models, track by track.

    Parameters
    ----------
    run_a, run_b : str or sequence of str
        A run or several. The name of a model stands for all its runs, each for the tracks that it held out.

    Raises
    ------
    PhonolakeError
        When they have no scored test track in common.
    """
    from scipy.stats import binomtest  # late: the other questions do without it

    rows = connection.execute(
        f"WITH a AS ({_called(run_a, '$1')}), b AS ({_called(run_b, '$2')}), "
        "judged AS (SELECT track_id, bool_or(l.label = a.called) AS right_a, bool_or(l.label = b.called) AS right_b "
        "FROM a JOIN b USING (track_id) JOIN labels_by($3) l USING (track_id) WHERE l.value = 1 "
        "GROUP BY track_id) "
        "SELECT count(*) FILTER (right_a AND right_b), count(*) FILTER (right_a AND NOT right_b), "
        "count(*) FILTER (right_b AND NOT right_a), count(*) FILTER (NOT right_a AND NOT right_b) FROM judged",
        [run_a, run_b, label_source(connection, _ids(run_a)[0])],
    ).fetchall()
    both, only_a, only_b, neither = rows[0]
    if not both + only_a + only_b + neither:
        raise PhonolakeError("the two runs have no scored test track in common: compare runs over the same fold")
    p_value = binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    return RunComparison(both, only_a, only_b, neither, float(p_value))


def _unscored(run_ids: RunIds) -> PhonolakeError:
    run_id = _ids(run_ids)[0]
    return PhonolakeError(f"the test tracks of {run_id} were not scored yet: `phonolake score --run {run_id}`")
