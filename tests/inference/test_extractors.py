"""Networks that learn nothing as feature sets: by name, drawn again, and for each segment."""

import numpy as np
import pytest

from phonolake.errors import UsageError
from phonolake.features.clip import Clip
from phonolake.inference.extractors import feature_set
from phonolake.records import Hertz

NAME = "random-temporal-small"


def values(name: str) -> np.ndarray:
    y = np.random.default_rng(0).normal(size=12_000).astype(np.float32)
    return feature_set(name).compute(Clip(y, Hertz(12_000)))


@pytest.mark.long
def test_another_draw_has_other_weights_and_the_same_columns():
    first, second = feature_set(NAME), feature_set(f"{NAME}-draw-1")
    assert (first.name, second.name) == (NAME, f"{NAME}-draw-1")
    assert first.columns == second.columns
    assert np.abs(values(NAME) - values(f"{NAME}-draw-1")).max() > 1e-3
    np.testing.assert_array_equal(values(f"{NAME}-draw-1"), values(f"{NAME}-draw-1"))


@pytest.mark.long
def test_a_draw_may_be_taken_of_segments():
    assert feature_set(f"{NAME}-draw-2-per-1000ms").name == f"{NAME}-draw-2-per-1000ms"


@pytest.mark.parametrize(
    "name", [f"{NAME}-draw-0", f"{NAME}-draw-", f"{NAME}-draw-01", "mfcc-120-draw-1", "random-x-draw-1"]
)
def test_what_is_no_draw_is_refused(name):
    with pytest.raises(UsageError, match="unknown feature set"):
        feature_set(name)
