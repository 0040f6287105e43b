"""Wilson's interval, against its published values and the equation that it solves; no interval leaves its range."""

import numpy as np
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from phonolake.analysis.labels import evaluation_check, ground_truth, noise_rates
from phonolake.analysis.labels.ground_truth import Checked
from phonolake.analysis.results import coverage
from phonolake.errors import UsageError
from phonolake.lookup.held_out import HeldOut
from phonolake.metrics.intervals import normal_quantile, wilson


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    # R. Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17, 1998, Table I.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_published_intervals(hits, trials, low, high):
    np.testing.assert_allclose(wilson(hits, trials), (low, high), atol=5e-5)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
def test_ends_are_as_far_from_the_share_as_the_confidence_allows(counts, confidence):
    hits, trials = counts
    z = normal_quantile(confidence)
    share = hits / trials
    low, high = wilson(hits, trials, confidence=confidence)
    assert 0 <= low <= share <= high <= 1
    for end in (low, high):
        if 0 < end < 1:
            assert abs(share - end) == pytest.approx(z * np.sqrt(end * (1 - end) / trials), rel=1e-6, abs=1e-9)


def test_no_trials_say_nothing():
    np.testing.assert_array_equal(wilson([0, 3], [0, 3])[0], [0, wilson(3, 3)[0]])
    np.testing.assert_array_equal(wilson([0, 3], [0, 3])[1], [1, 1])


@pytest.mark.parametrize(("hits", "trials", "confidence"), [(3, 2, 0.95), (-1, 2, 0.95), (1, 2, 1.0), (1, 2, 0.0)])
def test_counts_that_cannot_be_are_refused(hits, trials, confidence):
    with pytest.raises(UsageError):
        wilson(hits, trials, confidence=confidence)


# -- what is bounded, has bounded intervals ----------------------------------------------------------------------------


def within(least: float, low: float, value: float, high: float, most: float) -> bool:
    """Whether an interval holds its value and stays in its range, where it is known at all."""
    if np.isnan(low) or np.isnan(high) or np.isnan(value):
        return True
    return bool(least <= low <= value + 1e-9 and value <= high + 1e-9 and high <= most)


@settings(max_examples=40)
@given(st.integers(5, 30), st.integers(2, 4), st.integers(0, 1 << 16), st.booleans(), st.floats(0, 20))
def test_figures_differ_by_one_at_most(n, n_classes, seed, single, skill):
    rng = np.random.default_rng(seed)
    Y_NK = rng.random((n, n_classes)) < 0.4
    if single:
        Y_NK = np.eye(n_classes, dtype=bool)[rng.integers(n_classes, size=n)]
    P_NK, Q_NK = rng.random((2, n, n_classes)) + np.array([skill, -skill])[:, None, None] * Y_NK
    one, two = (coverage.ranked(Y_NK.astype(int), scores_NK) for scores_NK in (P_NK, Q_NK))
    for found in coverage.differences(one, two).values():
        assert within(-1, found.low, found.value, found.high, 1)


def test_few_clips_that_differ_much_stay_in_range():
    """Six clips, of which the first model gets all and the second one: the usual interval would end below -1."""
    Y_NK = np.eye(2, dtype=int)[[0, 1, 0, 1, 0, 1]]
    Q_NK = np.where([[True]] + [[False]] * 5, Y_NK, 1 - Y_NK).astype(float)
    found = coverage.differences(coverage.ranked(Y_NK, Y_NK.astype(float)), coverage.ranked(Y_NK, Q_NK))
    assert found["accuracy"].value == pytest.approx(-5 / 6)
    assert found["accuracy"].low == -1
    assert found["accuracy"].high > -5 / 6


@given(st.data(), st.integers(1, 60), st.integers(1, 60), st.integers(1, 10**6))
def test_counts_lie_between_none_and_all(data, n_positive, n_negative, n_tracks):
    wrong = data.draw(st.integers(0, n_positive)), data.draw(st.integers(0, n_negative))
    n_given = data.draw(st.integers(0, n_tracks))
    found = ground_truth.validate(
        Checked("a", n_positive, wrong[0], n_negative, wrong[1]), n_given=n_given, n_tracks=n_tracks, n_bootstrap=50
    )
    assert within(0, found.n_estimated_low, found.n_estimated, found.n_estimated_high, n_tracks)
    assert 0 <= found.n_bootstrap_low <= found.n_bootstrap_high <= n_tracks + 1e-6
    assert within(0, found.error_positive_low, found.error_positive, found.error_positive_high, 1)
    assert np.isnan(found.recall_low) or 0 <= found.recall_low <= found.recall_high <= 1


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=4, max_size=12))
def test_correlations_lie_between_their_ends(pairs):
    found = evaluation_check.correlate("rho", "", *zip(*pairs, strict=True))
    assert within(-1, found.low, found.value, found.high, 1)


@settings(max_examples=4, phases=[Phase.explicit, Phase.generate])
@example(n=12, n_labels=2, seed=1079, single=False)
@given(st.integers(12, 24), st.integers(2, 3), st.integers(0, 1 << 16), st.booleans())
def test_shares_of_wrong_labels_are_shares_and_lie_between_their_ends(n, n_labels, seed, single):
    rng = np.random.default_rng(seed)
    Y_NL = rng.random((n, n_labels)) < 0.5
    if single:
        Y_NL = np.eye(n_labels, dtype=bool)[np.arange(n) % n_labels]
    P_NL = rng.dirichlet(np.full(n_labels, 0.3), n)
    names = tuple(f"t{i:02d}" for i in range(n)), tuple("abc"[:n_labels])
    Y_NL[0] |= ~Y_NL.any(axis=0)
    noise = noise_rates.estimate(HeldOut(*names, P_NL, Y_NL))
    assert ((noise.wrong_NL >= 0) & (noise.wrong_NL <= 1)).all()
    for rate in noise.rates:
        assert within(0, rate.false_low, rate.false_rate, rate.false_high, 1)
        assert within(0, rate.missing_low, rate.missing_rate, rate.missing_high, 1)
