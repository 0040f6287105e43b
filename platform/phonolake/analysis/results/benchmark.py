"""Results of a benchmark: figures with intervals, differences to the best, and figures under doubt.

All intervals are of one set of draws of clusters of test tracks (see `phonolake.metrics.bootstrap`); where a probe has
several seeds, a figure is the mean over them. The folds of a cross-validation form one test part with held-out
predictions.

Shape suffixes: N tracks, K labels, R draws.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import duckdb
import numpy as np

from phonolake.errors import PhonolakeError
from phonolake.lookup.protocols import PublishedFigure
from phonolake.metrics import bootstrap, classification
from phonolake.metrics.bootstrap import Estimate

OF_ONE_LABEL, OF_MANY_LABELS = ("accuracy",), ("roc-auc", "pr-auc")
AS_GIVEN, CLEAN = "as-given", "clean"
# The probe of a line that stands in a paper.
PUBLISHED = "published"


@dataclass(frozen=True, slots=True)
class RowFacts:
    """What is known of a row beside its answers."""

    name: str
    licence: str | None
    bytes_per_track: float | None


@dataclass(frozen=True, slots=True)
class BenchmarkLine:
    """A figure of one set of vectors under one probe.

    Parameters
    ----------
    low, high : float or None
        Ends of the 95 % interval over clusters of test tracks; None for a published figure.
    seed_std : float or None
        Standard deviation (n - 1) over the seeds of the probe, where it has several.
    to_best, to_best_low, to_best_high : float or None
        Its difference to the best line, on the tracks that both judged, with its interval; None for the best.
    n : int
        Test tracks that were judged.
    coverage : float
        Of the test tracks of all lines.
    seconds_per_hour : float or None
        Of computing the vectors of an hour of audio on one core.
    """

    vectors: str
    probe: str
    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    seed_std: float | None = None
    to_best: float | None = None
    to_best_low: float | None = None
    to_best_high: float | None = None
    n: int | None = None
    coverage: float | None = None
    seconds_per_hour: float | None = None
    bytes_per_track: float | None = None
    licence: str | None = None


@dataclass(frozen=True, slots=True)
class DoubtLine:
    """A figure under one doubt: `change` is on the tracks of both evaluations."""

    vectors: str
    probe: str
    metric: str
    value: float
    doubt: str
    doubted: float
    change: float
    change_low: float
    change_high: float
    n: int


@dataclass(frozen=True, slots=True)
class ClassLine:
    """A figure of one label: for classes the share of its tracks that were named right, for tags the ROC-AUC."""

    vectors: str
    probe: str
    label: str
    metric: str
    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class _Answers:
    """What one line answered: P_NK for each seed, NaN for tracks that it did not judge, and what is true."""

    by_seed: Mapping[int, np.ndarray]
    truth: Sequence[tuple[int, ...]]

    @property
    def judged(self) -> np.ndarray:
        first: np.ndarray = next(iter(self.by_seed.values()))
        return ~np.isnan(first).any(axis=1)


def published(figures: Iterable[PublishedFigure]) -> list[BenchmarkLine]:
    """What papers state, as lines of the same table."""
    return [BenchmarkLine(f.system, PUBLISHED, f.metric, f.value) for f in figures]


class Comparison:
    """The answers of some cells of a benchmark.

    Parameters
    ----------
    cells : collection of str
        Their names.
    facts : mapping of str to RowFacts
        By the text of each row.
    classes : sequence of str
        Names of the K labels.
    many : bool
        Whether a track may have several.

    Raises
    ------
    PhonolakeError
        When the lake has no answers of these cells.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        cells: Collection[str],
        facts: Mapping[str, RowFacts],
        *,
        classes: Sequence[str],
        many: bool,
    ) -> None:
        self._connection, self._facts, self._classes, self._many = connection, facts, tuple(classes), many
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE answered AS SELECT * FROM benchmark_answers "
            "WHERE list_contains($1::VARCHAR[], cell)",
            [sorted(cells)],
        )
        tracks = connection.execute(
            "SELECT track_id, min(cluster) FROM answered GROUP BY track_id ORDER BY track_id"
        ).fetchall()
        if not tracks:
            raise PhonolakeError("the lake has no results of this benchmark: run `phonolake benchmark` again")
        self._place = {track_id: n for n, (track_id, _) in enumerate(tracks)}
        self._W_RN = bootstrap.draws([cluster for _, cluster in tracks])
        self._read: dict[tuple[str, str, str, str], _Answers] = {}

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the figures, the first of which lines are compared by."""
        return OF_MANY_LABELS if self._many else OF_ONE_LABEL

    def lines(self) -> list[BenchmarkLine]:
        """Every line under every metric, the best first."""
        keys = self._keys()
        price = dict(
            self._connection.execute(
                "SELECT representation, 3600 * sum(seconds) / sum(audio_seconds) FROM benchmark_vectors "
                "WHERE condition = 'clean' AND vector IS NOT NULL GROUP BY representation"
            ).fetchall()
        )
        found = []
        for metric in self.metrics:
            figures = {key: self._figure(metric, self._answers(*key)) for key in keys}
            best = max(keys, key=lambda key: (figures[key].value, key))
            for key in sorted(keys, key=lambda key: (-figures[key].value, key)):
                text, probe = key
                answers, facts = self._answers(*key), self._facts[text]
                seeds = [self._value(metric, answers, s, answers.judged) for s in answers.by_seed]
                apart = None if key == best else self._difference(metric, answers, self._answers(*best))
                n = int(answers.judged.sum())
                line = BenchmarkLine(
                    facts.name,
                    probe,
                    metric,
                    figures[key].value,
                    figures[key].low,
                    figures[key].high,
                    seed_std=float(np.std(seeds, ddof=1)) if len(seeds) > 1 else None,
                    n=n,
                    coverage=n / len(self._place),
                    seconds_per_hour=price.get(text),
                    bytes_per_track=facts.bytes_per_track,
                    licence=facts.licence,
                )
                if apart is not None:
                    line = replace(line, to_best=apart.value, to_best_low=apart.low, to_best_high=apart.high)
                found.append(line)
        return found

    def doubts(self) -> list[DoubtLine]:
        """The figures of each line without relatives in training, with corrected labels, and on deformed audio."""
        metric = self.metrics[0]
        kinds = self._connection.execute(
            "SELECT DISTINCT training, condition FROM answered WHERE (training, condition) <> ('as-given', 'clean') "
            "ORDER BY training, condition"
        ).fetchall()
        found = []
        for key in self._keys():
            plain = self._answers(*key)
            for training, condition in kinds:
                doubted = self._answers(*key, training, condition)
                if not doubted.by_seed:
                    continue
                both_N = plain.judged & doubted.judged
                if not both_N.any():
                    continue
                value = self._mean(metric, plain, both_N)
                change = self._difference(metric, doubted, plain)
                what = condition if condition != CLEAN else training
                found.append(
                    DoubtLine(
                        vectors=self._facts[key[0]].name,
                        probe=key[1],
                        metric=metric,
                        value=value,
                        doubt=what,
                        doubted=value + change.value,
                        change=change.value,
                        change_low=change.low,
                        change_high=change.high,
                        n=int(both_N.sum()),
                    )
                )
        return sorted(found, key=lambda line: (line.doubt, -line.value, line.vectors, line.probe))

    def per_class(self) -> list[ClassLine]:
        """Each line, label by label."""
        return [line for key in self._keys() for line in self._per_class(*key)]

    def _per_class(self, text: str, probe: str) -> Iterator[ClassLine]:
        answers = self._answers(text, probe)
        rows = answers.judged
        Y_NK = self._targets(answers)[rows]
        W_RN = self._W_RN[:, rows]
        for k, label in enumerate(self._classes):
            n = int(Y_NK[:, k].sum())
            if not n:
                continue
            values, drawn = [], []
            for P_NK in answers.by_seed.values():
                if self._many:
                    y, p = Y_NK[:, [k]], P_NK[rows][:, [k]]
                    values.append(classification.macro(classification.roc_auc(y_true=y, scores=p)))
                    drawn.append(bootstrap.roc_auc(y, p, W_RN))
                else:
                    own_N = Y_NK[:, k] > 0
                    right_N = (P_NK[rows].argmax(axis=1) == k)[own_N].astype(float)
                    values.append(float(right_N.mean()))
                    with np.errstate(invalid="ignore"):
                        drawn.append(bootstrap.mean(right_N, W_RN[:, own_N]))
            found = bootstrap.estimate(float(np.mean(values)), np.mean(drawn, axis=0))
            metric = "roc-auc" if self._many else "recall"
            yield ClassLine(
                self._facts[text].name, probe, label, metric, found.value, found.low, found.high, n
            )  # fmt: skip

    # -- figures -------------------------------------------------------------------------------------------------------

    def _figure(self, metric: str, answers: _Answers) -> Estimate:
        rows = answers.judged
        return bootstrap.estimate(self._mean(metric, answers, rows), self._drawn(metric, answers, rows))

    def _difference(self, metric: str, one: _Answers, other: _Answers) -> Estimate:
        """Of one to the other, on the tracks that both judged."""
        both_N = one.judged & other.judged
        if not both_N.any():
            return Estimate(float("nan"), float("nan"), float("nan"))
        value = self._mean(metric, one, both_N) - self._mean(metric, other, both_N)
        return bootstrap.estimate(value, self._drawn(metric, one, both_N) - self._drawn(metric, other, both_N))

    def _mean(self, metric: str, answers: _Answers, rows: np.ndarray) -> float:
        return float(np.mean([self._value(metric, answers, seed, rows) for seed in answers.by_seed]))

    def _value(self, metric: str, answers: _Answers, seed: int, rows: np.ndarray) -> float:
        Y_NK, P_NK = self._targets(answers)[rows], answers.by_seed[seed][rows]
        if metric == "accuracy":
            return classification.accuracy(y_true=Y_NK.argmax(axis=1), y_pred=P_NK.argmax(axis=1))
        of = classification.roc_auc if metric == "roc-auc" else classification.average_precision
        return classification.macro(of(y_true=Y_NK, scores=P_NK))

    def _drawn(self, metric: str, answers: _Answers, rows: np.ndarray) -> np.ndarray:
        """Of each draw, the mean over the seeds (R,)."""
        Y_NK, W_RN = self._targets(answers)[rows], self._W_RN[:, rows]
        found = []
        for P_NK in answers.by_seed.values():
            if metric == "accuracy":
                right_N = P_NK[rows].argmax(axis=1) == Y_NK.argmax(axis=1)
                with np.errstate(invalid="ignore"):
                    found.append(bootstrap.mean(right_N, W_RN))
            else:
                of = bootstrap.roc_auc if metric == "roc-auc" else bootstrap.average_precision
                found.append(of(Y_NK, P_NK[rows], W_RN))
        drawn_R: np.ndarray = np.mean(found, axis=0)
        return drawn_R

    def _targets(self, answers: _Answers) -> np.ndarray:
        Y_NK = np.zeros((len(answers.truth), len(self._classes)), np.int8)
        for n, of_track in enumerate(answers.truth):
            Y_NK[n, list(of_track)] = 1
        return Y_NK

    # -- answers -------------------------------------------------------------------------------------------------------

    def _keys(self) -> list[tuple[str, str]]:
        """Every row under every probe that judged some track."""
        return self._connection.execute(
            "SELECT DISTINCT representation, probe FROM answered "
            "WHERE training = 'as-given' AND condition = 'clean' AND scores IS NOT NULL ORDER BY ALL"
        ).fetchall()

    def _answers(self, text: str, probe: str, training: str = AS_GIVEN, condition: str = CLEAN) -> _Answers:
        key = (text, probe, training, condition)
        if key not in self._read:
            self._read[key] = self._fetch(*key)
        return self._read[key]

    def _fetch(self, *key: str) -> _Answers:
        rows = self._connection.execute(
            "SELECT track_id, seed, truth, scores FROM answered WHERE representation = $1 AND probe = $2 "
            "AND training = $3 AND condition = $4 ORDER BY seed",
            list(key),
        ).fetchall()
        by_seed: dict[int, np.ndarray] = {}
        truth: list[tuple[int, ...]] = [()] * len(self._place)
        for track_id, seed, labels, scores in rows:
            n = self._place[track_id]
            truth[n] = tuple(labels)
            if seed not in by_seed:
                by_seed[seed] = np.full((len(self._place), len(self._classes)), np.nan)
            if scores is not None:
                by_seed[seed][n] = scores
        return _Answers(by_seed, truth)
