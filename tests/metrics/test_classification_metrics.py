"""Metrics against their definitions, and against scikit-learn as an independent implementation.

Shape suffixes: N examples, K classes.
"""

import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from phonolake.errors import UsageError
from phonolake.metrics.classification import (
    Ranked,
    accuracy,
    average_precision,
    chance_levels,
    confusion_matrix,
    f1_scores,
    macro,
    macro_f1,
    overall,
    roc_auc,
)

K = 4
quick = settings(max_examples=60)
sizes = st.shared(st.integers(1, 30), key="N")
labels = arrays(np.int64, sizes, elements=st.integers(0, K - 1))
# Few distinct values, so that ties are the rule; and any floats at all.
tied = arrays(np.float32, st.tuples(sizes, st.just(K)), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0]))
free = arrays(np.float64, st.tuples(sizes, st.just(K)), elements=st.floats(-1e6, 1e6, allow_subnormal=False))
matrices = st.one_of(tied, free)


@quick
@given(y_true=labels, y_pred=labels)
def test_counts_agree_with_scikit_learn(y_true: np.ndarray, y_pred: np.ndarray) -> None:
    both = {"y_true": y_true, "y_pred": y_pred}
    assert accuracy(**both) == pytest.approx(sklearn.metrics.accuracy_score(**both))
    expected = sklearn.metrics.confusion_matrix(**both, labels=range(K))
    np.testing.assert_array_equal(confusion_matrix(**both, n_classes=K), expected)
    assert macro_f1(**both, n_classes=K) == pytest.approx(sklearn.metrics.f1_score(**both, average="macro"))
    each = sklearn.metrics.f1_score(**both, average=None, labels=range(K), zero_division=np.nan)
    np.testing.assert_allclose(f1_scores(**both, n_classes=K), each)


@quick
@given(y_true=labels, scores=matrices)
def test_areas_agree_with_scikit_learn(y_true: np.ndarray, scores: np.ndarray) -> None:
    auc_K, ap_K = roc_auc(y_true=y_true, scores=scores), average_precision(y_true=y_true, scores=scores)
    assert auc_K.shape == ap_K.shape == (K,)
    for k in range(K):
        positive = y_true == k
        if positive.any() and not positive.all():
            assert auc_K[k] == pytest.approx(sklearn.metrics.roc_auc_score(positive, scores[:, k]))
        else:
            assert math.isnan(auc_K[k])
        if positive.any():
            assert ap_K[k] == pytest.approx(sklearn.metrics.average_precision_score(positive, scores[:, k]))
        else:
            assert math.isnan(ap_K[k])


@quick
@given(data=st.data(), scores=matrices)
def test_multi_hot_labels_are_class_after_class(data: st.DataObject, scores: np.ndarray) -> None:
    Y_NK = data.draw(arrays(np.int64, scores.shape, elements=st.integers(0, 1)))
    for metric in (roc_auc, average_precision):
        alone = [metric(y_true=Y_NK[:, [k]], scores=scores[:, [k]])[0] for k in range(K)]
        np.testing.assert_array_equal(metric(y_true=Y_NK, scores=scores), alone)


@quick
@given(data=st.data(), y_true=labels, scores=matrices, several=st.booleans())
def test_figures_of_a_subset_are_those_of_its_examples(
    data: st.DataObject, y_true: np.ndarray, scores: np.ndarray, several: bool
) -> None:
    if several:
        y_true = data.draw(arrays(np.int64, scores.shape, elements=st.integers(0, 1)))
    kept_N = data.draw(arrays(bool, len(scores)).filter(np.any))
    found = Ranked(y_true=y_true, scores=scores).figures(kept_N)
    assert found == pytest.approx(overall(y_true=y_true[kept_N], scores=scores[kept_N]), nan_ok=True)


@quick
@given(y_true=labels, scores=tied)
def test_auc_is_the_share_of_pairs_in_order(y_true: np.ndarray, scores: np.ndarray) -> None:
    auc_K = roc_auc(y_true=y_true, scores=scores)
    for k in range(K):
        above = scores[y_true == k, k][:, None] - scores[y_true != k, k][None, :]
        if above.size:
            assert auc_K[k] == pytest.approx(((above > 0) + 0.5 * (above == 0)).mean())


@quick
@given(y_true=labels, scores=tied)
def test_only_the_order_counts_and_turning_it_round_mirrors_the_auc(y_true: np.ndarray, scores: np.ndarray) -> None:
    for metric in (roc_auc, average_precision):
        stretched = metric(y_true=y_true, scores=np.exp(3 * scores) - 7)
        np.testing.assert_allclose(metric(y_true=y_true, scores=scores), stretched)
    mirrored = roc_auc(y_true=y_true, scores=-scores)
    np.testing.assert_allclose(roc_auc(y_true=y_true, scores=scores), 1 - mirrored)


def test_extremes() -> None:
    y_true = np.array([0, 0, 1, 1])
    right = np.eye(2)[y_true]
    np.testing.assert_array_equal(roc_auc(y_true=y_true, scores=right), [1, 1])
    np.testing.assert_array_equal(average_precision(y_true=y_true, scores=right), [1, 1])
    np.testing.assert_array_equal(roc_auc(y_true=y_true, scores=-right), [0, 0])
    alike = np.full((4, 2), 0.3)
    np.testing.assert_array_equal(roc_auc(y_true=y_true, scores=alike), [0.5, 0.5])
    np.testing.assert_array_equal(average_precision(y_true=y_true, scores=alike), [0.5, 0.5])


def test_average_precision_by_hand() -> None:
    """Positives at places 1, 3 and 4 of five: (1/1 + 2/3 + 3/4) / 3."""
    scores = np.array([[5.0], [4.0], [3.0], [2.0], [1.0]])
    Y_NK = np.array([[1], [0], [1], [1], [0]])
    assert average_precision(y_true=Y_NK, scores=scores)[0] == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)


def test_unsigned_scores_are_ranked_too() -> None:
    scores = np.array([[0], [200], [100]], np.uint8)
    np.testing.assert_array_equal(average_precision(y_true=np.array([[0], [1], [0]]), scores=scores), [1])


def test_f1_by_hand_and_classes_that_never_occur() -> None:
    y_true, y_pred = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 3])
    f1_K = f1_scores(y_true=y_true, y_pred=y_pred, n_classes=5)
    np.testing.assert_allclose(f1_K, [2 / 3, 2 / 3, 0, 0, np.nan])
    assert macro(f1_K) == pytest.approx(1 / 3)
    assert math.isnan(macro(np.array([np.nan, np.nan])))


@quick
@given(y_true=labels)
def test_chance_is_what_the_metrics_give_to_a_constant_guess(y_true: np.ndarray) -> None:
    chance = chance_levels(y_true=y_true, n_classes=K)
    counts = np.bincount(y_true, minlength=K)
    share = counts.max() / len(y_true)
    assert chance.accuracy == pytest.approx(share)
    assert chance.macro_f1 == pytest.approx(2 * share / (1 + share) / np.count_nonzero(counts))
    constant = np.tile(counts / len(y_true), (len(y_true), 1))
    np.testing.assert_allclose(chance.prevalence, average_precision(y_true=y_true, scores=constant))
    assert chance.average_precision == pytest.approx(1 / np.count_nonzero(counts))
    auc_K = roc_auc(y_true=y_true, scores=constant)
    assert set(auc_K[~np.isnan(auc_K)]) <= {chance.roc_auc}


def test_undefined_values_come_without_warnings() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f1_scores(y_true=np.array([0]), y_pred=np.array([0]), n_classes=3)
        roc_auc(y_true=np.array([0]), scores=np.zeros((1, 3)))
        average_precision(y_true=np.array([0]), scores=np.zeros((1, 3)))
        chance_levels(y_true=np.array([0]), n_classes=3)


@pytest.mark.parametrize(
    ("y_true", "y_pred", "message"),
    [
        (np.array([0, 1]), np.array([0]), r"received shapes \(2,\) and \(1,\)"),
        (np.array([], int), np.array([], int), r"received shapes \(0,\)"),
        (np.zeros((2, 2), int), np.zeros((2, 2), int), r"received shapes \(2, 2\)"),
        (np.array([0, 4]), np.array([0, 1]), "class numbers 0 to 4 do not fit n_classes=4"),
        (np.array([0, 1]), np.array([-1, 1]), "class numbers -1 to 1 do not fit n_classes=4"),
        (np.array([0.0, 1.0]), np.array([0, 1]), "received an array of float64"),
    ],
)
def test_class_numbers_that_cannot_be_right(y_true: np.ndarray, y_pred: np.ndarray, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        confusion_matrix(y_true=y_true, y_pred=y_pred, n_classes=K)


@pytest.mark.parametrize("metric", [roc_auc, average_precision])
@pytest.mark.parametrize(
    ("y_true", "scores", "message"),
    [
        (np.array([0, 1]), np.zeros((3, 2)), r"received \(3, 2\) and \(2,\)"),
        (np.zeros((2, 3), int), np.zeros((2, 2)), r"received \(2, 2\) and \(2, 3\)"),
        (np.array([0, 1]), np.zeros(2), r"received \(2,\)"),
        (np.zeros(0, int), np.zeros((0, 2)), r"received \(0, 2\)"),
        (np.array([0, 2]), np.zeros((2, 2)), "do not fit n_classes=2"),
        (np.array([[0, 2]]), np.zeros((1, 2)), "values from 0 to 2"),
        (np.array([0, 1]), np.array([[0, np.nan], [1, 1]]), "1 of 4 scores are NaN"),
    ],
)
def test_scores_that_cannot_be_right(
    metric: Callable[..., np.ndarray], y_true: np.ndarray, scores: np.ndarray, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        metric(y_true=y_true, scores=scores)
