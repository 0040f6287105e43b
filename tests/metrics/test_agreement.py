"""Cohen's kappa against scikit-learn and a worked example."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from phonolake.errors import UsageError
from phonolake.metrics.agreement import cohen_kappa

pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60)


@given(pairs)
@pytest.mark.filterwarnings("ignore")
def test_it_is_what_scikit_learn_says(answers: list[tuple[int, int]]) -> None:
    first_N, second_N = np.array(answers).T
    expected = cohen_kappa_score(first_N, second_N)
    found = cohen_kappa(first_N, second_N)
    assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)
    assert found == pytest.approx(cohen_kappa(second_N, first_N), abs=1e-12, nan_ok=True)


def test_fifty_applications() -> None:
    """Both say yes 20 times and no 15 times, one alone says yes 5 times, the other 10 times: kappa is 0.4."""
    first_N = np.repeat([1, 1, 0, 0], [20, 5, 10, 15])
    second_N = np.repeat([1, 0, 1, 0], [20, 5, 10, 15])
    assert cohen_kappa(first_N, second_N) == pytest.approx(0.4)


def test_what_has_no_kappa() -> None:
    assert math.isnan(cohen_kappa(np.ones(5), np.ones(5)))
    assert math.isnan(cohen_kappa(np.array([]), np.array([])))
    with pytest.raises(UsageError, match="the same items"):
        cohen_kappa(np.ones(3), np.ones(2))
