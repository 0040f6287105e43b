"""What trained models reached: figures, learning curves, per class, confusions, ROC curves, and two runs side by side.

Shape suffixes: N tracks, K classes.
"""

from dataclasses import dataclass
from datetime import datetime

import duckdb
import numpy as np

from phonolake.errors import PhonolakeError
from phonolake.lookup.runs import IMPORTED, label_source
from phonolake.metrics import classification

# More points than a figure has pixels only cost time.
CURVE_POINTS = 300


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

    run_a: str
    run_b: str
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
    """What guessing reaches on the test tracks of a run, by metric."""
    rows = connection.execute(
        "SELECT metric, chance FROM metrics WHERE run_id = $1 AND part = 'test' AND label IS NULL AND epoch IS NULL "
        "AND chance IS NOT NULL",
        [run_id],
    ).fetchall()
    return dict(rows)


def curve(connection: duckdb.DuckDBPyConnection, run_id: str) -> list[CurvePoint]:
    """The learning curve of a run; empty for a model that learns in one go."""
    rows = connection.execute(
        "SELECT part, metric, epoch, value FROM metrics WHERE run_id = $1 AND epoch IS NOT NULL AND value IS NOT NULL "
        "ORDER BY metric, part, epoch",
        [run_id],
    ).fetchall()
    return [CurvePoint(*row) for row in rows]


def per_class(connection: duckdb.DuckDBPyConnection, run_id: str) -> list[ClassFigures]:
    """Test figures of each class, in order of their names."""
    rows = connection.execute(
        "SELECT label, max(value) FILTER (metric = 'f1'), max(value) FILTER (metric = 'roc-auc'), "
        "max(value) FILTER (metric = 'pr-auc') FROM metrics WHERE run_id = $1 AND part = 'test' AND label IS NOT NULL "
        "AND epoch IS NULL GROUP BY label ORDER BY label",
        [run_id],
    ).fetchall()
    return [ClassFigures(*row) for row in rows]


# What a run or model calls each track that it held out; of the trainings of a model those on the labels in question.
_CALLED = (
    "SELECT track_id, arg_max(label, probability) AS called FROM held_out(model_or_run := {0}) "
    "WHERE label_source = $3 OR run_id = {0} GROUP BY track_id"
)

_JUDGED = """
    judged AS (
        SELECT p.track_id, arg_max(p.label, p.probability) AS called FROM predictions AS p
        WHERE p.run_id = $1 AND p.part = 'test' GROUP BY p.track_id
    )
"""


def confusion(connection: duckdb.DuckDBPyConnection, run_id: str) -> ConfusionMatrix:
    """Confusion matrix over the test tracks; one with several labels counts once for each.

    Raises
    ------
    PhonolakeError
        When the run's test tracks have not been scored.
    """
    rows = connection.execute(
        f"WITH {_JUDGED} SELECT l.label, j.called, count(*) FROM judged j JOIN labels_by($2) l USING (track_id) "
        "WHERE l.value = 1 GROUP BY ALL",
        [run_id, label_source(connection, run_id)],
    ).fetchall()
    if not rows:
        raise _unscored(run_id)
    labels = tuple(sorted({name for given, called, _ in rows for name in (given, called)}))
    places = {label: k for k, label in enumerate(labels)}
    n_KK = np.zeros((len(labels), len(labels)), np.int64)
    for given, called, n in rows:
        n_KK[places[given], places[called]] = n
    return ConfusionMatrix(labels, n_KK)


def confused_tracks(
    connection: duckdb.DuckDBPyConnection, run_id: str, given: str, called: str, *, most: int = 100
) -> list[str]:
    """Test tracks with the label `given` that a run calls `called`."""
    rows = connection.execute(
        f"WITH {_JUDGED} SELECT j.track_id FROM judged j JOIN labels_by($2) l USING (track_id) "
        "WHERE l.value = 1 AND l.label = $3 AND j.called = $4 ORDER BY j.track_id LIMIT $5",
        [run_id, label_source(connection, run_id), given, called, most],
    ).fetchall()
    return [track_id for (track_id,) in rows]


def roc(connection: duckdb.DuckDBPyConnection, run_id: str, label: str) -> RocCurve:
    """ROC curve of one class over the test tracks that have any label of the run's source.

    Raises
    ------
    PhonolakeError
        When the run's test tracks have not been scored, or are all, or none of them, of this class.
    """
    columns = connection.execute(
        "WITH said AS (SELECT track_id, bool_or(label = $3) AS positive FROM labels_by($2) WHERE value = 1 "
        "GROUP BY track_id) SELECT p.probability AS score, s.positive FROM predictions p JOIN said s USING (track_id) "
        "WHERE p.run_id = $1 AND p.part = 'test' AND p.label = $3",
        [run_id, label_source(connection, run_id), label],
    ).fetchnumpy()
    score_N, positive_N = columns["score"], np.asarray(columns["positive"], bool)
    if not len(score_N):
        raise _unscored(run_id)
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


def compare(connection: duckdb.DuckDBPyConnection, run_a: str, run_b: str) -> RunComparison:
    """Hold two runs, or two cross-validated models, against each other, track by track.

    Parameters
    ----------
    run_a, run_b : str
        Run ids, or names of models: all the runs of a model then count together, each for the tracks that it held out.

    Raises
    ------
    PhonolakeError
        When they have no scored test track in common.
    """
    from scipy.stats import binomtest  # late: the other questions do without it

    rows = connection.execute(
        f"WITH a AS ({_CALLED.format('$1')}), b AS ({_CALLED.format('$2')}), "
        "judged AS (SELECT track_id, bool_or(l.label = a.called) AS right_a, bool_or(l.label = b.called) AS right_b "
        "FROM a JOIN b USING (track_id) JOIN labels_by($3) l USING (track_id) WHERE l.value = 1 "
        "GROUP BY track_id) "
        "SELECT count(*) FILTER (right_a AND right_b), count(*) FILTER (right_a AND NOT right_b), "
        "count(*) FILTER (right_b AND NOT right_a), count(*) FILTER (NOT right_a AND NOT right_b) FROM judged",
        [run_a, run_b, label_source(connection, run_a)],
    ).fetchall()
    both, only_a, only_b, neither = rows[0]
    if not both + only_a + only_b + neither:
        raise PhonolakeError("the two runs have no scored test track in common: compare runs over the same fold")
    p_value = binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    return RunComparison(run_a, run_b, both, only_a, only_b, neither, float(p_value))


def _unscored(run_id: str) -> PhonolakeError:
    return PhonolakeError(f"the test tracks of {run_id} were not scored yet: `phonolake score --run {run_id}`")
