"""Draws of clusters: each figure of a draw is the figure of the drawn tracks, and intervals cover what they promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonolake.errors import UsageError
from phonolake.metrics import bootstrap, classification


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(3, 25), st.integers(2, 4), st.booleans())
def test_a_figure_of_a_draw_is_the_figure_of_the_tracks_that_were_drawn(
    seed: int, n: int, n_classes: int, many: bool
) -> None:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, (n, n_classes)) if many else rng.integers(0, n_classes, n)
    # Few distinct scores, so that there are ties.
    scores = rng.integers(0, 5, (n, n_classes)) / 5
    W_RN = bootstrap.draws(rng.integers(0, 6, n).tolist(), n_draws=6, seed=seed)
    for figure, plain in (
        (bootstrap.roc_auc, classification.roc_auc),
        (bootstrap.average_precision, classification.average_precision),
    ):
        drawn = [np.repeat(np.arange(n), w.astype(int)) for w in W_RN]
        expected = [classification.macro(plain(y_true=y[rows], scores=scores[rows])) for rows in drawn]
        np.testing.assert_allclose(figure(y, scores, W_RN), expected, atol=1e-12)
    values = rng.normal(size=n)
    np.testing.assert_allclose(bootstrap.mean(values, W_RN), [values[rows].mean() for rows in drawn], atol=1e-6)


def test_tracks_of_a_cluster_are_drawn_together_and_as_many_clusters_as_there_are() -> None:
    clusters = ["a", "b", "a", "c", "b", "a"]
    W_RN = bootstrap.draws(clusters, n_draws=200, seed=1)
    np.testing.assert_array_equal(W_RN[:, [0, 0, 1]], W_RN[:, [2, 5, 4]])
    np.testing.assert_array_equal(W_RN[:, [0, 1, 3]].sum(axis=1), 3)
    assert abs(W_RN.mean() - 1) < 0.1
    np.testing.assert_array_equal(W_RN, bootstrap.draws(clusters, n_draws=200, seed=1))


def test_the_interval_of_a_mean_is_that_of_the_normal_law_and_clusters_widen_it() -> None:
    rng = np.random.default_rng(0)
    values = np.repeat(rng.normal(size=100), 9)
    alone = bootstrap.estimate(values.mean(), bootstrap.mean(values, bootstrap.draws(range(900), n_draws=2000)))
    together = bootstrap.estimate(
        values.mean(), bootstrap.mean(values, bootstrap.draws(np.repeat(range(100), 9).tolist(), n_draws=2000))
    )
    standard_error = values.std() / np.sqrt(900)
    assert alone.high - alone.low == pytest.approx(2 * 1.96 * standard_error, rel=0.08)
    assert (together.high - together.low) / (alone.high - alone.low) == pytest.approx(3, rel=0.12)
    assert alone.low < alone.value < alone.high


def test_a_difference_on_the_same_draws_is_surer_than_its_parts() -> None:
    rng = np.random.default_rng(3)
    hard_N = rng.random(400)
    better, worse = (hard_N < 0.7).astype(float), (hard_N < 0.65).astype(float)
    W_RN = bootstrap.draws(range(400))
    difference = bootstrap.estimate(
        better.mean() - worse.mean(), bootstrap.mean(better, W_RN) - bootstrap.mean(worse, W_RN)
    )
    alone = bootstrap.estimate(better.mean(), bootstrap.mean(better, W_RN))
    assert difference.low > 0
    assert difference.high - difference.low < (alone.high - alone.low) / 1.5


def test_what_is_defined_nowhere_has_no_interval_and_nothing_cannot_be_drawn_from() -> None:
    only_positives = bootstrap.roc_auc(np.ones((4, 1), int), np.zeros((4, 1)), bootstrap.draws(range(4), n_draws=5))
    assert np.isnan(bootstrap.estimate(float("nan"), only_positives).low)
    with pytest.raises(UsageError, match="0 tracks"):
        bootstrap.draws([])
    with pytest.raises(UsageError, match="between 0 and 1"):
        bootstrap.estimate(0.0, np.zeros(3), confidence=95)
