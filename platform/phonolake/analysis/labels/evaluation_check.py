"""Can results on noisy labels be trusted? (Choi et al. 2018, Sec. III-B2, Fig. 2.)

A set of runs is evaluated three times: with the given labels of all tags, with the given labels of the checked tags,
and with the raters' answers. rho_1 is the Pearson correlation, over the runs, of the last two: near 1 the given labels
rank models correctly. rho_2 is that of the first two: near 1 the few tags are representative of all.

Shape suffixes: N tracks, L labels, R runs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from phonolake.analysis.labels.reannotation import Answers
from phonolake.errors import PhonolakeError, UsageError, unknown
from phonolake.lookup.label_matrix import coded
from phonolake.metrics.classification import macro, roc_auc
from phonolake.metrics.intervals import CONFIDENCE


@dataclass(frozen=True, slots=True)
class RunCheck:
    """Mean ROC-AUC of one run: over all tags as given, and over the checked tags as given and as annotated.

    The checked tags are measured on the same tracks both times, those that were annotated.
    """

    run_id: str
    auc_all: float
    auc_given: float
    auc_annotated: float


@dataclass(frozen=True, slots=True)
class TagCheck:
    """ROC-AUC of one run for one tag on its `n` annotated tracks, as given and as annotated; NaN with one class."""

    run_id: str
    label: str
    auc_given: float
    auc_annotated: float
    n: int


@dataclass(frozen=True, slots=True)
class RunCorrelation:
    """A Pearson correlation over runs, with the interval of Fisher's transformation; NaN where it is not defined."""

    name: str
    between: str
    value: float
    low: float
    high: float
    n_runs: int


@dataclass(frozen=True, slots=True)
class EvaluationCheck:
    """What `check` finds out, on so many tracks."""

    runs: list[RunCheck]
    tags: list[TagCheck]
    rho_1: RunCorrelation
    rho_2: RunCorrelation
    n_tracks: int


def check(
    scores: Mapping[str, np.ndarray],
    labels: Sequence[str],
    given_NL: np.ndarray,
    answer_NL: np.ndarray,
    *,
    confidence: float = CONFIDENCE,
) -> EvaluationCheck:
    """Measure runs with given and with annotated labels.

    Parameters
    ----------
    scores : mapping of run to ndarray (N, L)
        The higher, the more likely.
    labels : sequence of str
    given_NL : ndarray
        0 or 1.
    answer_NL : ndarray
        0 or 1, NaN where nobody answered. Tags with an answer are the checked ones.

    Raises
    ------
    UsageError
        If shapes differ, or nothing was annotated.
    """
    given, answer = np.asarray(given_NL), np.asarray(answer_NL, np.float64)
    for name, P_NL in scores.items():
        if not P_NL.shape == given.shape == answer.shape == (len(given), len(labels)):
            raise UsageError(f"{name}: scores {P_NL.shape}, labels {given.shape} and answers {answer.shape} differ")
    asked = ~np.isnan(answer)
    if not asked.any():
        raise UsageError("none of the scored tracks was annotated")
    runs, tags = [], []
    for name, P_NL in scores.items():
        mine = [
            TagCheck(
                name,
                labels[k],
                _auc(given[asked[:, k], k], P_NL[asked[:, k], k]),
                _auc(answer[asked[:, k], k], P_NL[asked[:, k], k]),
                int(asked[:, k].sum()),
            )
            for k in np.flatnonzero(asked.any(axis=0)).tolist()
        ]
        tags += mine
        whole = macro(roc_auc(y_true=given.astype(int), scores=P_NL))
        by_given, by_answer = (
            macro(np.array([getattr(tag, which) for tag in mine])) for which in ("auc_given", "auc_annotated")
        )
        runs.append(RunCheck(name, whole, by_given, by_answer))
    given_R, annotated_R = [run.auc_given for run in runs], [run.auc_annotated for run in runs]
    all_R = [run.auc_all for run in runs]
    return EvaluationCheck(
        runs,
        tags,
        correlate("rho_1", "checked tags, annotated and given", annotated_R, given_R, confidence=confidence),
        correlate("rho_2", "checked tags and all tags, given", given_R, all_R, confidence=confidence),
        len(given),
    )


def correlate(
    name: str, between: str, first: Sequence[float], second: Sequence[float], *, confidence: float = CONFIDENCE
) -> RunCorrelation:
    """Pearson correlation of two series, without the places where either is NaN."""
    pairs = np.array([(a, b) for a, b in zip(first, second, strict=True) if not (np.isnan(a) or np.isnan(b))])
    n = len(pairs)
    if n < 2 or (np.ptp(pairs, axis=0) == 0).any():
        return RunCorrelation(name, between, *(float("nan"),) * 3, n)
    from scipy.stats import pearsonr  # late: it takes half a second to import

    found = pearsonr(*pairs.T)
    value = float(found.statistic)
    if n < 4 or abs(value) == 1:
        return RunCorrelation(name, between, value, float("nan"), float("nan"), n)
    low, high = found.confidence_interval(confidence)
    return RunCorrelation(name, between, value, float(low), float(high), n)


def check_runs(
    connection: duckdb.DuckDBPyConnection,
    answers: Answers,
    *,
    source: str,
    runs: Sequence[str] = (),
    most: int | None = None,
) -> EvaluationCheck:
    """`check` on the test predictions of a lake, on the tracks that all runs scored.

    Parameters
    ----------
    runs : sequence of str
        Runs that trained models, or names that `scored` gives. By default all of these: the folds of one
        cross-validation count as one.
    most : int, optional
        Measure on at most so many tracks, the same ones every time, beside those that were annotated; on all of them
        by default.

    Raises
    ------
    UsageError
        For a run without annotated test tracks.
    PhonolakeError
        When the runs have no annotated test track in common.
    """
    run_names = _scored_runs(connection, answers, runs)
    names = sorted(set(run_names.values()))
    said = connection.sql(
        """
        WITH asked AS (SELECT unnest($1::VARCHAR[]) AS run_id, unnest($2::VARCHAR[]) AS name), common AS (
            SELECT track_id FROM predictions JOIN asked USING (run_id) WHERE part = 'test' GROUP BY track_id
            HAVING count(DISTINCT name) = $3
            ORDER BY track_id NOT IN (SELECT unnest($4::VARCHAR[])), hash(track_id), track_id LIMIT $5
        )
        SELECT track_id, label, name, probability FROM predictions JOIN asked USING (run_id)
        WHERE part = 'test' AND track_id IN (FROM common)
        """,
        params=[
            list(run_names),
            list(run_names.values()),
            len(names),
            sorted(set(answers.track_id)),
            None if most is None else most + len(set(answers.track_id)),
        ],
    ).to_arrow_table()
    track_ids, labels, P_RNL = _common_scores(said, names)
    if not set(track_ids) & set(answers.track_id):
        raise PhonolakeError("the runs have no annotated test track in common: name some of them with --run")
    given = connection.execute(
        "SELECT DISTINCT track_id, label FROM labels WHERE source = $1 AND value = 1 "
        "AND track_id IN (SELECT unnest($2::VARCHAR[]))",
        [source, track_ids],
    ).fetchall()
    given_NL = _laid_out(track_ids, labels, *zip(*given, strict=True), values=np.ones(len(given)), rest=0.0)
    answer_NL = _laid_out(track_ids, labels, answers.track_id, answers.label, values=answers.answer, rest=np.nan)
    return check(dict(zip(names, P_RNL, strict=True)), labels, given_NL, answer_NL)


def _common_scores(said: pa.Table, names: Sequence[str]) -> tuple[list[str], list[str], np.ndarray]:
    """Tracks and labels that every run scored, and the mean probabilities P_RNL of them."""
    track_ids, track = coded(said["track_id"])
    labels, label = coded(said["label"])
    run = pc.index_in(said["name"], pa.array(names, pa.string())).to_numpy()
    shape = (len(names), len(track_ids), len(labels))
    cell = np.ravel_multi_index((run, track, label), shape)
    n_RNL = np.bincount(cell, minlength=np.prod(shape)).reshape(shape)
    sum_RNL = np.bincount(cell, said["probability"].to_numpy(), minlength=np.prod(shape)).reshape(shape)
    by_all_NL = np.asarray((n_RNL > 0).all(axis=0))
    used_L = np.asarray(by_all_NL.any(axis=0))
    # Where no label is left, no track is either.
    used_N = np.asarray(by_all_NL[:, used_L].all(axis=1)) & bool(used_L.any())
    P_RNL = sum_RNL[:, used_N][:, :, used_L] / n_RNL[:, used_N][:, :, used_L]
    return list(compress(track_ids, used_N)), list(compress(labels, used_L)), P_RNL


@dataclass(frozen=True, slots=True)
class ScoredRuns:
    """A run, or all folds of one cross-validation, with its annotated test tracks."""

    name: str
    run_ids: tuple[str, ...]
    n_annotated: int


def scored(connection: duckdb.DuckDBPyConnection, answers: Answers) -> list[ScoredRuns]:
    """Everything that was asked for an annotated label of an annotated test track, in order of the names.

    Raises
    ------
    PhonolakeError
        When there is nothing.
    """
    rows = connection.execute(
        "SELECT run_id, m.test_fold IS NOT NULL, (m.model, m.split, r.started_at)::VARCHAR, p.ids "
        "FROM (SELECT run_id, list(DISTINCT track_id) AS ids FROM predictions "
        "WHERE part = 'test' AND track_id IN (SELECT unnest($1)) AND label IN (SELECT unnest($2)) GROUP BY run_id) p "
        "LEFT JOIN models m USING (run_id) LEFT JOIN runs r USING (run_id) ORDER BY run_id",
        [sorted(set(answers.track_id)), sorted(set(answers.label))],
    ).fetchall()
    if not rows:
        raise PhonolakeError("no annotated track has a test prediction yet: `phonolake score` or `phonolake crossval`")
    folds: dict[str, list[tuple[str, list[str]]]] = {}
    for run, is_fold, command, ids in rows:
        folds.setdefault(command if is_fold else run, []).append((run, ids))
    found = []
    for group in folds.values():
        first, others = group[0][0], len(group) - 1
        name = f"{first} and {others} other folds" if others else first
        found.append(ScoredRuns(name, tuple(run for run, _ in group), len({i for _, ids in group for i in ids})))
    return sorted(found, key=lambda one: one.name)


def _scored_runs(connection: duckdb.DuckDBPyConnection, answers: Answers, runs: Sequence[str]) -> dict[str, str]:
    """Name under which each run is measured: its own, or that of its cross-validation."""
    known = scored(connection, answers)
    named = {one.name: one.run_ids for one in known}
    single = {run: (run,) for one in known for run in one.run_ids}
    for run in runs:
        if run not in named | single:
            raise unknown("run with annotated test tracks", run, sorted(single))
    return {run: name for name in (runs or named) for run in (named | single)[name]}


def _laid_out(
    track_ids: Iterable[str],
    labels: Sequence[str],
    track_A: Iterable[str] = (),
    label_A: Iterable[str] = (),
    *,
    values: np.ndarray,
    rest: float,
) -> np.ndarray:
    """Values of (track, label) in a matrix; `rest` where there is none."""
    row = {track_id: n for n, track_id in enumerate(track_ids)}
    column = {label: k for k, label in enumerate(labels)}
    found_NL = np.full((len(row), len(column)), rest)
    for track_id, label, value in zip(track_A, label_A, values, strict=True):
        if track_id in row and label in column:
            found_NL[row[track_id], column[label]] = value
    return found_NL


def as_rows(found: EvaluationCheck) -> list[dict[str, Any]]:
    """Rows of the table `evaluation_checks`: first every run's means, then its tags."""
    answers = {run.run_id: sum(tag.n for tag in found.tags if tag.run_id == run.run_id) for run in found.runs}
    names = ("scored_run", "label", "auc_all", "auc_given", "auc_annotated", "n")
    means = [(r.run_id, None, r.auc_all, r.auc_given, r.auc_annotated, answers[r.run_id]) for r in found.runs]
    tags = [(t.run_id, t.label, float("nan"), t.auc_given, t.auc_annotated, t.n) for t in found.tags]
    return [dict(zip(names, row, strict=True)) for row in (*means, *tags)]


def _auc(y_N: np.ndarray, score_N: np.ndarray) -> float:
    if not len(y_N):
        return float("nan")
    return float(roc_auc(y_true=y_N.astype(int)[:, None], scores=score_N[:, None])[0])
