"""Wilson's interval, against its published values and the equation that it solves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonolake.errors import UsageError
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
