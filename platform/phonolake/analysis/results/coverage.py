"""The clips of a figure, and the figures of two runs on their common test clips.

Shape suffixes: N clips, K labels.
"""

from dataclasses import dataclass

import duckdb
import numpy as np

from phonolake.analysis.results.runs import RunIds
from phonolake.errors import PhonolakeError
from phonolake.lineage import fingerprint
from phonolake.lookup import probabilities
from phonolake.lookup.label_matrix import places
from phonolake.lookup.runs import find, model_runs
from phonolake.metrics.bootstrap import Estimate
from phonolake.metrics.classification import Ranked
from phonolake.records import TEST

# Between the splits of two runs that differ.
AGAINST = "against"
# Of the jackknife: more would cost time, fewer would say little of the spread.
GROUPS, FEWEST_GROUPS = 20, 5


@dataclass(frozen=True, slots=True)
class SplitCoverage:
    """A trained run: its test figure, and the clips that it was computed on.

    Parameters
    ----------
    n_clips : int
        Clips that the figure was computed on.
    n_official : int or None
        Clips that the published split names for this part, in the lake or not; None for a split that is not published.
    share : float or None
        Of these, the share that was tested, in [0, 1].
    clips : str
        Fingerprint of the ids of the clips; None in lakes from before it was kept, unless their predictions are stored.
        Two figures with the same one were computed on the same clips.
    """

    run_id: str
    model: str
    split: str
    test_fold: int | None
    metric: str
    value: float | None
    n_clips: int
    n_official: int | None
    share: float | None
    clips: str | None


def runs(connection: duckdb.DuckDBPyConnection, *, metric: str = "accuracy") -> list[SplitCoverage]:
    """Every trained run with its test figure, the newest first.

    Parameters
    ----------
    metric : str
        Figure to show; the macro ROC-AUC stands for runs that have none of this name.
    """
    rows = connection.execute(
        """
        WITH figures AS (
            SELECT run_id, metric, value, n, clips FROM metrics
            WHERE part = 'test' AND label IS NULL AND epoch IS NULL
            QUALIFY row_number() OVER (PARTITION BY run_id ORDER BY metric <> $1, metric <> 'roc-auc', metric) = 1
        ), sides AS (
            SELECT split, part AS side, track_id FROM official_splits WHERE part IS NOT NULL
            UNION SELECT split, fold::VARCHAR, track_id FROM official_splits WHERE fold IS NOT NULL
        ), official AS (SELECT split, side, count(*) AS n FROM sides GROUP BY split, side),
        trained AS (SELECT *, coalesce(test_fold::VARCHAR, $2) AS side FROM models),
        published AS (SELECT run_id, side, split FROM trained SEMI JOIN official USING (split, side)),
        tested AS (
            SELECT DISTINCT run_id, track_id FROM predictions
            WHERE part = 'test' AND run_id IN (SELECT run_id FROM published)
        ), shared AS (
            SELECT run_id, count(s.track_id) AS n FROM tested t JOIN published p USING (run_id)
            LEFT JOIN sides s ON (s.split, s.side, s.track_id) = (p.split, p.side, t.track_id) GROUP BY run_id
        )
        SELECT m.run_id, m.model, m.split, m.test_fold, coalesce(f.metric, ''), f.value, coalesce(f.n, 0), o.n,
            coalesce(s.n, f.n, 0) / o.n, f.clips
        FROM trained m LEFT JOIN figures f USING (run_id) LEFT JOIN runs r USING (run_id)
        LEFT JOIN official o USING (split, side) LEFT JOIN shared s USING (run_id)
        ORDER BY r.finished_at DESC NULLS LAST, m.run_id
        """,
        [metric, TEST],
    ).fetchall()
    return [SplitCoverage(*(*row[:-1], row[-1] or _fingerprint(connection, row[0]))) for row in rows]


def _fingerprint(connection: duckdb.DuckDBPyConnection, run_id: str) -> str | None:
    """Fingerprint of the test clips of a run whose predictions are stored."""
    ids = connection.execute(
        "SELECT DISTINCT track_id FROM predictions WHERE part = 'test' AND run_id = $1", [run_id]
    ).fetchall()
    return fingerprint(track_id for (track_id,) in ids) or None


@dataclass(frozen=True, slots=True)
class FigureComparison:
    """One figure of two runs on the clips that both were tested on.

    Parameters
    ----------
    low, high : float
        95 % interval of the difference, by a jackknife over groups of clips; NaN where it is not defined.
    splits : str
        The split that both learned by; where they differ those of each, since the two then learned from other tracks.
    """

    metric: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    n_clips: int
    share_of_first: float
    share_of_second: float
    clips: str
    splits: str


def compare(connection: duckdb.DuckDBPyConnection, first: RunIds, second: RunIds) -> list[FigureComparison]:
    """Compare two runs, or two cross-validated models, on their common test clips.

    Parameters
    ----------
    first, second : str or sequence of str
        A run or several. The name of a model stands for all its runs, each for the clips that it held out.

    Raises
    ------
    UsageError
        For an unknown run or model.
    PhonolakeError
        When there are no stored test predictions, no common clips, or the two know different labels.
    """
    a, b = _held_out(connection, first), _held_out(connection, second)
    if a.labels != b.labels:
        different = sorted(set(a.labels) ^ set(b.labels))[:5]
        raise PhonolakeError(f"{a.name} and {b.name} know different labels: {different}")
    common = list(a.clips) if a.clips == b.clips else sorted(set(a.clips) & set(b.clips))
    if not common:
        raise PhonolakeError(f"{a.name} and {b.name} have no common test clip")
    Y_NK = _truth(connection, common, a.labels, a.source)
    P_NK, Q_NK = (run.P_NK[places(common, run.clips)] for run in (a, b))
    both = ranked(Y_NK, P_NK), ranked(Y_NK, Q_NK)
    figures, found = [one.figures() for one in both], differences(*both)
    facts = (len(common), len(common) / len(a.clips), len(common) / len(b.clips), fingerprint(common))
    by = a.splits if a.splits == b.splits else f"{a.splits} {AGAINST} {b.splits}"
    return [
        FigureComparison(metric, one, two, found[metric].value, found[metric].low, found[metric].high, *facts, by)
        for (metric, one), two in zip(figures[0].items(), figures[1].values(), strict=True)
    ]


def differences(one: Ranked, two: Ranked) -> dict[str, Estimate]:
    """Differences of the second model to the first, by figure, with 95 % intervals.

    Each of 20 groups of clips is left out in turn, the same for both models: what they have in common cancels. The
    spread of the differences gives the standard error (the jackknife of Quenouille and Tukey), Student's t the
    interval.

    Parameters
    ----------
    one, two : Ranked
        The same clips by the first model, and by the second.

    Returns
    -------
    dict of str to Estimate
        All within [-1, 1], since the figures lie within [0, 1]; without ends where there are too few clips.
    """
    from scipy.stats import t  # late: the other questions do without it

    n_groups = min(GROUPS, len(one))
    group_N = np.random.default_rng(0).permutation(len(one)) % n_groups
    groups = range(n_groups if n_groups > 1 else 0)
    without = [_difference(one.figures(kept_N), two.figures(kept_N)) for kept_N in (group_N != g for g in groups)]
    found = {}
    for metric, value in _difference(one.figures(), two.figures()).items():
        values_G = np.array([left[metric] for left in without])
        reach = np.nan
        if len(values_G) >= FEWEST_GROUPS:
            error = np.sqrt((n_groups - 1) / n_groups * ((values_G - values_G.mean()) ** 2).sum())
            reach = error * t.ppf(0.975, n_groups - 1)
        low, high = np.clip([value - reach, value + reach], -1, 1)
        found[metric] = Estimate(value, float(low), float(high))
    return found


def _difference(one: dict[str, float], two: dict[str, float]) -> dict[str, float]:
    return {metric: two[metric] - one[metric] for metric in one}


@dataclass(frozen=True, slots=True)
class _HeldOut:
    """Probabilities P_NK of the test clips of some runs of one model; clips and labels in order; its splits."""

    name: str
    labels: list[str]
    source: str
    clips: tuple[str, ...]
    P_NK: np.ndarray
    splits: str


def warning(found: list[FigureComparison]) -> str:
    """A warning for a comparison of runs with different splits; otherwise empty."""
    if not found or AGAINST not in found[0].splits:
        return ""
    return (
        f"The splits differ ({found[0].splits}): the two learned from other tracks, so that a difference is not the "
        "models' alone. `phonolake crossval` trains both on one split."
    )


def _held_out(connection: duckdb.DuckDBPyConnection, runs: RunIds) -> _HeldOut:
    name = runs if isinstance(runs, str) else runs[0]
    newest = find(model_runs(connection), name, what="run or model")
    if newest is None:
        raise PhonolakeError("no model was trained yet: run `phonolake train` first")
    said, asked = "predictions WHERE part = 'test' AND list_contains($1, run_id)", [runs]
    if isinstance(runs, str):
        said, asked = "held_out(model_or_run := $1) WHERE label_source = $2", [runs, newest.label_source]
    found = probabilities.read(connection, f"SELECT track_id, label, probability FROM {said}", asked)
    if not found.track_ids:
        raise PhonolakeError(
            f"no test predictions of {name} are stored: run `phonolake score --run {newest.run_id}` first"
        )
    labels = sorted(newest.labels)
    column = places(labels, found.labels)
    P_NK = np.zeros((len(found.track_ids), len(labels)))
    P_NK[:, column >= 0] = np.nan_to_num(found.P_NL[:, column[column >= 0]])
    by = connection.execute(
        f"SELECT DISTINCT split FROM models WHERE run_id IN (SELECT run_id FROM {said}) ORDER BY split", asked
    ).fetchall()
    return _HeldOut(name, labels, newest.label_source, found.track_ids, P_NK, ", ".join(split for (split,) in by))


def _truth(connection: duckdb.DuckDBPyConnection, ids: list[str], names: list[str], source: str) -> np.ndarray:
    """Y_NK, 1 where a label holds."""
    said = connection.sql("SELECT track_id, label FROM labels_by($1) WHERE value = 1", params=[source]).to_arrow_table()
    row, column = places(said["track_id"], ids), places(said["label"], names)
    known = (row >= 0) & (column >= 0)
    Y_NK = np.zeros((len(ids), len(names)), int)
    Y_NK[row[known], column[known]] = 1
    return Y_NK


def ranked(Y_NK: np.ndarray, p_NK: np.ndarray) -> Ranked:
    """For macro ROC-AUC and PR-AUC; accuracy and macro F1 where every clip has one label."""
    one_label = (Y_NK.sum(axis=1) == 1).all()
    return Ranked(y_true=Y_NK.argmax(axis=1) if one_label else Y_NK, scores=p_NK)
