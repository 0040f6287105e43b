"""Find classes that hurt a classification: confusions, ROC curves, and the gain without some of them.

Shape suffixes: N tracks, K classes, D features, T distinct scores.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from phonolake.errors import UsageError, unknown
from phonolake.metrics import classification as metrics

# 2^10 subsets; a study of more is a search, not a look.
MOST_SUSPECTED = 10
ROC_POINTS = 200
Fit = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class ConfusedPair:
    """How many tracks of class `label_true` were taken for `label_predicted`, and which share of the class that is."""

    label_true: str
    label_predicted: str
    n: int
    share: float


@dataclass(frozen=True, slots=True)
class Removal:
    """The figures of the other classes without some.

    Parameters
    ----------
    removed : str
        Names of the classes left out, with commas; empty when all are there.
    method : {"rescored", "retrained"}
        Whether probabilities of the old model were restricted to the other classes, or a model learned without them.
    gain : float
        `accuracy` minus what leaving out as many of the suspected classes gives on average: fewer classes are easier.
    """

    removed: str
    method: str
    n_classes: int
    n_tracks: int
    accuracy: float
    macro_f1: float
    roc_auc: float
    chance: float
    gain: float


@dataclass(frozen=True, slots=True)
class RocPoint:
    """Accepting everything from `threshold` upwards finds `tpr` of a label's tracks, and `fpr` of the others."""

    label: str
    threshold: float
    fpr: float
    tpr: float
    auc: float


def confusions(labels: Sequence[str], y_N: np.ndarray, P_NK: np.ndarray) -> list[ConfusedPair]:
    """Every non-empty cell of the confusion matrix, the most frequent errors first, then the correct ones.

    Parameters
    ----------
    y_N : ndarray of int
        Given classes.
    P_NK : ndarray
        Probabilities; the greatest names the class.
    """
    C_KK = metrics.confusion_matrix(y_true=y_N, y_pred=P_NK.argmax(axis=1), n_classes=len(labels))
    total_K = C_KK.sum(axis=1)
    cells = sorted(zip(*np.nonzero(C_KK), strict=True), key=lambda cell: (cell[0] == cell[1], -C_KK[cell], cell))
    return [ConfusedPair(labels[i], labels[j], int(C_KK[i, j]), float(C_KK[i, j] / total_K[i])) for i, j in cells]


def suspected_classes(labels: Sequence[str], y_N: np.ndarray, P_NK: np.ndarray, most: int = 3) -> list[str]:
    """The classes with the lowest F1 score, the worst first."""
    f1_K = metrics.f1_scores(y_true=y_N, y_pred=P_NK.argmax(axis=1), n_classes=len(labels))
    return [labels[k] for k in np.argsort(np.nan_to_num(f1_K, nan=2.0), kind="stable")[:most]]


def subsets(suspected: Sequence[str], n_classes: int) -> Iterator[tuple[str, ...]]:
    """All subsets of the suspected classes that leave at least two of `n_classes`, the small ones first."""
    for size in range(len(suspected) + 1):
        if n_classes - size >= 2:
            yield from combinations(suspected, size)


def rescore_without(
    labels: Sequence[str], y_N: np.ndarray, P_NK: np.ndarray, suspected: Sequence[str]
) -> list[Removal]:
    """Leave out every subset of the suspected classes, and share out the probabilities among the other classes.

    No model is trained again: these are the figures of the existing one with the classes excluded.

    Parameters
    ----------
    labels : sequence of str
        Names of the K classes.
    y_N : ndarray of int
    P_NK : ndarray
        Held-out probabilities.
    suspected : sequence of str
        At most 10.

    Raises
    ------
    UsageError
        For an unknown class, one that is named twice, or more than 10 of them.
    """

    def score(kept_N: np.ndarray, kept_K: np.ndarray) -> np.ndarray:
        P = P_NK[np.ix_(kept_N, kept_K)].astype(np.float64)
        total = P.sum(axis=1, keepdims=True)
        # Where nothing is left of the probability, no class is likelier than another.
        return np.where(total > 0, P / np.where(total > 0, total, 1), 1 / len(kept_K))

    return _study("rescored", labels, y_N, suspected, score)


def retrain_without(
    labels: Sequence[str],
    y_N: np.ndarray,
    x_ND: np.ndarray,
    fold_N: np.ndarray,
    suspected: Sequence[str],
    fit: Fit,
) -> list[Removal]:
    """Leave out every subset of the suspected classes, and learn the others again, fold by fold.

    Parameters
    ----------
    x_ND : ndarray
        Features.
    fold_N : ndarray of int
        Fold of each track; each is predicted by a model that learned from the others.
    fit : callable
        ``fit(x, y, x_test)`` learns class numbers 0 ... K-1 and gives P of shape (n_test, K).
    """

    def score(kept_N: np.ndarray, kept_K: np.ndarray) -> np.ndarray:
        number_K = np.full(len(labels), -1)
        number_K[kept_K] = np.arange(len(kept_K))
        x, y, fold = x_ND[kept_N], number_K[y_N[kept_N]], fold_N[kept_N]
        P = np.zeros((len(y), len(kept_K)))
        for held in np.unique(fold):
            test = fold == held
            if test.all() or len(np.unique(y[~test])) < len(kept_K):
                raise UsageError(f"without fold {held} a class has no track to learn from: take fewer folds")
            P[test] = fit(x[~test], y[~test], x[test])
        return P

    return _study("retrained", labels, y_N, suspected, score)


def _study(
    method: str,
    labels: Sequence[str],
    y_N: np.ndarray,
    suspected: Sequence[str],
    score: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> list[Removal]:
    for name in suspected:
        if name not in labels:
            raise unknown("class", name, labels)
    if len(set(suspected)) < len(suspected) or len(suspected) > MOST_SUSPECTED:
        raise UsageError(f"name at most {MOST_SUSPECTED} classes, each once; received {', '.join(suspected)}")
    if len(labels) < 2:
        raise UsageError(f"there is nothing to tell apart: {len(labels)} class(es)")
    found = []
    for removed in subsets(suspected, len(labels)):
        kept_K = np.array([k for k, name in enumerate(labels) if name not in removed])
        kept_N = np.flatnonzero(np.isin(y_N, kept_K))
        y = np.searchsorted(kept_K, y_N[kept_N])
        P = score(kept_N, kept_K)
        guess, n = P.argmax(axis=1), len(kept_K)
        chance = metrics.chance_levels(y_true=y, n_classes=n)
        found.append(
            Removal(
                ", ".join(removed),
                method,
                n,
                len(y),
                metrics.accuracy(y_true=y, y_pred=guess),
                metrics.macro_f1(y_true=y, y_pred=guess, n_classes=n),
                metrics.macro(metrics.roc_auc(y_true=y, scores=P)),
                chance.accuracy,
                float("nan"),
            )
        )
    return _with_gain(found)


def _with_gain(found: list[Removal]) -> list[Removal]:
    """Accuracy against the mean of the subsets of the same size; the best accuracy comes first."""
    sizes: dict[int, list[float]] = {}
    for removal in found:
        sizes.setdefault(removal.n_classes, []).append(removal.accuracy)
    means = {size: float(np.mean(values)) for size, values in sizes.items()}
    compared = [replace(removal, gain=removal.accuracy - means[removal.n_classes]) for removal in found]
    return sorted(compared, key=lambda r: (-r.accuracy, -r.n_classes, r.removed))


def roc_curves(
    labels: Sequence[str], Y_NK: np.ndarray, P_NK: np.ndarray, *, points: int = ROC_POINTS
) -> list[RocPoint]:
    """ROC curve of every label against the rest, thinned to about `points` points; ends included.

    Labels that all tracks have, or none, have no curve.
    """
    Y, P = np.asarray(Y_NK, bool), np.asarray(P_NK, np.float64)
    auc_K = metrics.roc_auc(y_true=Y.astype(int), scores=P)
    return [
        RocPoint(label, *point, float(auc_K[k]))
        for k, label in enumerate(labels)
        if not np.isnan(auc_K[k])
        for point in _curve(Y[:, k], P[:, k], points)
    ]


def _curve(positive_N: np.ndarray, score_N: np.ndarray, points: int) -> Iterable[tuple[float, float, float]]:
    """(threshold, fpr, tpr) from nothing accepted to everything."""
    score_T, hits_T, accepted_T = metrics.accepted(positive_N, score_N)
    shown = np.unique(np.linspace(0, len(score_T) - 1, min(points, len(score_T))).round().astype(int))
    tpr_T, fpr_T = hits_T / hits_T[-1], (accepted_T - hits_T) / (accepted_T[-1] - hits_T[-1])
    yield float("inf"), 0.0, 0.0
    yield from zip(score_T[shown].tolist(), fpr_T[shown].tolist(), tpr_T[shown].tolist(), strict=True)
