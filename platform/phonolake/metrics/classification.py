"""Classification metrics, and their chance levels.

Every function names its arguments. Labels come in one of two forms: class numbers y_N in 0 ... K-1 (one label per
example), or multi-hot Y_NK of 0 and 1 (many). Where a value is undefined for a class it is NaN, and `macro` skips it.

Shape suffixes: N examples, K classes, T distinct scores.

References
----------
.. [1] J. Hanley, B. McNeil, "The meaning and use of the area under a receiver operating characteristic (ROC) curve",
       Radiology 143, 1982.
.. [2] J. Davis, M. Goadrich, "The Relationship Between Precision-Recall and ROC Curves", ICML 2006.
.. [3] J. Opitz, S. Burst, "Macro F1 and Macro F1", arXiv:1911.03347, 2019 (here: the mean of the classes' F1).
"""

from dataclasses import dataclass

import numpy as np

from phonolake.errors import UsageError


@dataclass(frozen=True, slots=True)
class ChanceLevels:
    """Metrics of guessing without any input.

    Parameters
    ----------
    accuracy : float
        Of always guessing the commonest class, in (0, 1].
    macro_f1 : float
        Of the same guess, in (0, 1].
    roc_auc : float
        0.5: of any order that ignores the input.
    average_precision : float
        Macro mean of the prevalences of the classes that occur, which random order tends to.
    prevalence : ndarray, shape (K,)
        Of each class: what its average precision tends to. NaN for those that do not occur.
    """

    accuracy: float
    macro_f1: float
    roc_auc: float
    average_precision: float
    prevalence: np.ndarray


def accuracy(*, y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """Compute the share of examples with the right class, in [0, 1].

    Parameters
    ----------
    y_true, y_pred : ndarray, shape (N,)
        Class numbers.

    Raises
    ------
    UsageError
        If the shapes differ, or there are no examples.
    """
    _check_class_numbers(y_true, y_pred)
    return float(np.mean(y_true == y_pred))


def confusion_matrix(*, y_true: np.ndarray, y_pred: np.ndarray, n_classes: int) -> np.ndarray:
    """Count how often each class was confused with each other.

    Parameters
    ----------
    y_true, y_pred : ndarray of int, shape (N,)
        Class numbers in 0 ... `n_classes` - 1.
    n_classes : int
        K.

    Returns
    -------
    C_KK : ndarray of int64
        ``C_KK[i, j]`` examples of class i were called j; the sum is N.

    Raises
    ------
    UsageError
        If shapes differ, there are no examples, or a class number is out of range.
    """
    _check_class_numbers(y_true, y_pred, n_classes=n_classes)
    flat = y_true.astype(np.int64) * n_classes + y_pred.astype(np.int64)
    return np.bincount(flat, minlength=n_classes**2).reshape(n_classes, n_classes)


def f1_scores(*, y_true: np.ndarray, y_pred: np.ndarray, n_classes: int) -> np.ndarray:
    """Compute the F1 score of each class: 2 TP / (2 TP + FP + FN).

    Parameters
    ----------
    y_true, y_pred : ndarray of int, shape (N,)
        Class numbers in 0 ... `n_classes` - 1.
    n_classes : int
        K.

    Returns
    -------
    f1_K : ndarray of float64, shape (K,)
        In [0, 1]; NaN for a class that neither occurs nor was ever named.

    Raises
    ------
    UsageError
        As `confusion_matrix`.
    """
    C_KK = confusion_matrix(y_true=y_true, y_pred=y_pred, n_classes=n_classes)
    named_plus_true_K = C_KK.sum(axis=0) + C_KK.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return 2.0 * np.diag(C_KK) / named_plus_true_K


def macro_f1(*, y_true: np.ndarray, y_pred: np.ndarray, n_classes: int) -> float:
    """Compute the mean of the classes' F1 scores [3]_, in [0, 1]. Arguments and errors as `f1_scores`."""
    return macro(f1_scores(y_true=y_true, y_pred=y_pred, n_classes=n_classes))


def roc_auc(*, y_true: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Compute the area under the ROC curve of each class against the rest.

    It is the chance that a random positive scores higher than a random negative, where ties count one half: the
    Mann-Whitney statistic over its maximum [1]_.

    Parameters
    ----------
    y_true : ndarray
        Class numbers (N,) or multi-hot (N, K).
    scores : ndarray, shape (N, K)
        The higher, the more likely; of any scale.

    Returns
    -------
    auc_K : ndarray of float64, shape (K,)
        In [0, 1]; NaN for a class without positives or without negatives.

    Raises
    ------
    UsageError
        If shapes do not fit, labels are out of range, or scores are NaN.
    """
    return _areas(y_true, scores)[:, 0]


def average_precision(*, y_true: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Compute the average precision of each class against the rest: sum over n of (R_n - R_(n-1)) P_n.

    P_n and R_n are precision and recall when everything from the n-th distinct score upwards is accepted. No
    interpolation, which would be too optimistic [2]_. Also called the area under the precision-recall curve (PR-AUC).

    Parameters
    ----------
    y_true : ndarray
        Class numbers (N,) or multi-hot (N, K).
    scores : ndarray, shape (N, K)
        The higher, the more likely; of any scale.

    Returns
    -------
    ap_K : ndarray of float64, shape (K,)
        In (0, 1]; NaN for a class without positives.

    Raises
    ------
    UsageError
        If shapes do not fit, labels are out of range, or scores are NaN.
    """
    return _areas(y_true, scores)[:, 1]


def overall(*, y_true: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Compute the summary figures of a model, by name.

    Parameters
    ----------
    y_true : ndarray
        Class numbers (N,), or multi-hot (N, K).
    scores : ndarray, shape (N, K)
        The higher, the more likely; of one label per example, the highest is the prediction.

    Returns
    -------
    figures : dict
        ``accuracy`` and ``macro-f1`` for class numbers; ``roc-auc`` and ``pr-auc``, macro means, for both. NaN where
        no class has a value.
    """
    return Ranked(y_true=y_true, scores=scores).figures()


class Ranked:
    """Examples in the order of their scores, by class: for the summary figures of many subsets.

    Arguments are those of `overall`, errors those of `roc_auc`.
    """

    def __init__(self, *, y_true: np.ndarray, scores: np.ndarray) -> None:
        self._y_true, self._n_classes = y_true, scores.shape[-1]
        self._predicted_N = scores.argmax(axis=1) if y_true.ndim == 1 else None
        self._rankings = _rankings(y_true, scores)

    def __len__(self) -> int:
        return len(self._y_true)

    def figures(self, kept_N: np.ndarray | None = None) -> dict[str, float]:
        """Those of `overall`, for all examples or for some, bool; at least one."""
        figures = {}
        if self._predicted_N is not None:
            true_N, predicted_N = self._y_true, self._predicted_N
            if kept_N is not None:
                true_N, predicted_N = true_N[kept_N], predicted_N[kept_N]
            figures["accuracy"] = accuracy(y_true=true_N, y_pred=predicted_N)
            figures["macro-f1"] = macro_f1(y_true=true_N, y_pred=predicted_N, n_classes=self._n_classes)
        areas_K2 = np.array([ranking.areas(kept_N) for ranking in self._rankings]).reshape(self._n_classes, 2)
        figures["roc-auc"], figures["pr-auc"] = macro(areas_K2[:, 0]), macro(areas_K2[:, 1])
        return figures


class _Ranking:
    """Examples in the descending order of their scores, and the distinct scores that positives have, S of them.

    Where no positive lies, neither area grows.
    """

    def __init__(self, positive_N: np.ndarray, score_N: np.ndarray) -> None:
        rising_N = np.argsort(score_N)
        rising_P = rising_N[positive_N[rising_N]]
        score_S = np.unique(score_N[rising_P])
        # Equal scores are accepted together: the first place of each, and the one after its last.
        self._places_S, self._own_places_S = (_places(score_N[rising], score_S) for rising in (rising_N, rising_P))
        self._order_N, self._order_P = rising_N[::-1].copy(), rising_P[::-1].copy()

    def areas(self, kept_N: np.ndarray | None = None) -> tuple[float, float]:
        """Below the ROC curve and the precision-recall curve, of all examples or some; NaN where not defined."""
        above_N, hits_P = _counted(self._order_N, kept_N), _counted(self._order_P, kept_N)
        n_positive, n_all = int(hits_P[-1]), int(above_N[-1])
        if not n_positive:
            return float("nan"), float("nan")
        (higher_S, accepted_S), (own_higher_S, hits_S) = above_N[self._places_S], hits_P[self._own_places_S]
        own_S = (hits_S - own_higher_S).astype(float)
        precision = float(own_S @ (hits_S / np.maximum(accepted_S, 1)) / n_positive)
        n_negative = n_all - n_positive
        if not n_negative:
            return float("nan"), precision
        # Among equal scores the curve is straight: half of their pairs count.
        beaten_S = n_negative - ((higher_S - own_higher_S) + (accepted_S - hits_S)) / 2
        return float(own_S @ beaten_S / (n_positive * n_negative)), precision


def _places(rising_N: np.ndarray, score_S: np.ndarray) -> np.ndarray:
    """Of each score, the first of its places from above among all, and the one after its last, (2, S)."""
    return len(rising_N) - np.stack([np.searchsorted(rising_N, score_S, side) for side in ("right", "left")])


def _counted(order_N: np.ndarray, kept_N: np.ndarray | None) -> np.ndarray:
    """How many of the examples before each place are kept, and in all."""
    if kept_N is None:
        return np.arange(len(order_N) + 1)
    before_N = np.zeros(len(order_N) + 1, np.int64)
    np.cumsum(kept_N[order_N], out=before_N[1:])
    return before_N


def macro(values_K: np.ndarray) -> float:
    """Compute the mean over the classes that have a value; NaN where none has."""
    defined = values_K[~np.isnan(values_K)]
    return float(defined.mean()) if defined.size else float("nan")


def chance_levels(*, y_true: np.ndarray, n_classes: int) -> ChanceLevels:
    """Compute each metric for a guesser who knows only the class frequencies.

    Parameters
    ----------
    y_true : ndarray of int, shape (N,)
        Class numbers in 0 ... `n_classes` - 1.
    n_classes : int
        K.

    Raises
    ------
    UsageError
        If there are no examples, or a class number is out of range.
    """
    _check_class_numbers(y_true, y_true, n_classes=n_classes)
    count_K = np.bincount(y_true, minlength=n_classes)
    guess = np.full_like(y_true, count_K.argmax())
    prevalence_K = np.where(count_K > 0, count_K / len(y_true), np.nan)
    return ChanceLevels(
        accuracy=accuracy(y_true=y_true, y_pred=guess),
        macro_f1=macro_f1(y_true=y_true, y_pred=guess, n_classes=n_classes),
        roc_auc=0.5,
        average_precision=macro(prevalence_K),
        prevalence=prevalence_K,
    )


def _areas(y_true: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """ROC-AUC and average precision of each class, (K, 2)."""
    areas = [ranking.areas() for ranking in _rankings(y_true, scores)]
    return np.array(areas).reshape(len(areas), 2)


def _rankings(y_true: np.ndarray, scores: np.ndarray) -> list[_Ranking]:
    Y_NK = one_against_rest(y_true, scores)
    return [_Ranking(Y_NK[:, k], scores[:, k]) for k in range(scores.shape[1])]


def accepted(positive_N: np.ndarray, score_N: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count how many positives, and how many in all, score at least each of the distinct scores.

    Parameters
    ----------
    positive_N : ndarray of bool
    score_N : ndarray
        Without NaN.

    Returns
    -------
    score_T : ndarray
        The distinct scores, from the highest down.
    hits_T, accepted_T : ndarray of int
        Of each.
    """
    order = np.argsort(score_N)[::-1]
    positive_N, score_N = positive_N[order], score_N[order]
    hits_N = np.cumsum(positive_N)
    # Only the last of equal scores is a threshold: they are accepted together.
    last_T = np.flatnonzero(np.append(score_N[1:] != score_N[:-1], True))
    return score_N[last_T], hits_N[last_T], last_T + 1


def one_against_rest(y_true: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Labels as Y_NK of bool, one column against the rest for each class; the errors are those of `roc_auc`."""
    if scores.ndim != 2 or scores.shape[0] == 0 or y_true.shape not in (scores.shape[:1], scores.shape):
        raise UsageError(
            f"expected scores (N, K), N > 0, and labels (N,) or (N, K); received {scores.shape} and {y_true.shape}."
        )
    if np.isnan(scores).any():
        raise UsageError(f"{int(np.isnan(scores).sum())} of {scores.size} scores are NaN; they cannot be ranked.")
    if y_true.ndim == 1:
        _check_class_numbers(y_true, y_true, n_classes=scores.shape[1])
        return y_true[:, None] == np.arange(scores.shape[1])
    if not np.isin(y_true, (0, 1)).all():
        raise UsageError(f"multi-hot labels are 0 or 1; received values from {y_true.min()} to {y_true.max()}.")
    return y_true.astype(bool)


def _check_class_numbers(y_true: np.ndarray, y_pred: np.ndarray, *, n_classes: int | None = None) -> None:
    if y_true.ndim != 1 or y_true.shape != y_pred.shape or y_true.size == 0:
        raise UsageError(
            f"expected one class number per example, at least one; received shapes {y_true.shape} and {y_pred.shape}."
        )
    for values in (y_true, y_pred):
        if values.dtype.kind not in "iu":
            raise UsageError(f"class numbers are integers; received an array of {values.dtype}.")
        if n_classes is not None and not 0 <= values.min() <= values.max() < n_classes:
            raise UsageError(f"class numbers {values.min()} to {values.max()} do not fit n_classes={n_classes}.")
