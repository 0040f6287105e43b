"""What a cell changes in a training: fewer tracks, wrong labels, settings; and what is refused before it begins."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonolake.errors import PhonolakeError, UsageError
from phonolake.records import TEST, TRAIN, VALID
from phonolake.stages.examples import Examples
from phonolake.studies.cells import Planner, Scope, TrainingCell, mislabelled, thinned

quick = settings(max_examples=40)
CLASSES = ("a", "b", "c", "d")


@st.composite
def of_classes(draw):
    labels = draw(st.lists(st.integers(0, 3), min_size=8, max_size=60))
    parts = draw(st.lists(st.sampled_from((TRAIN, VALID, TEST)), min_size=len(labels), max_size=len(labels)))
    ids = tuple(f"t{n:02d}" for n in range(len(labels)))
    return Examples(CLASSES, ids, tuple((k,) for k in labels), tuple(parts))


def tagged(n: int = 400, seed: int = 0) -> Examples:
    rng = np.random.default_rng(seed)
    labels = tuple(tuple(np.flatnonzero(row)) for row in rng.random((n, 4)) < (0.5, 0.3, 0.2, 0.1))
    parts = tuple((TRAIN, TRAIN, VALID, TEST)[i % 4] for i in range(n))
    return Examples(CLASSES, tuple(f"t{i:03d}" for i in range(n)), labels, parts, many=True)


def taught(examples: Examples) -> set[str]:
    return {one for one, part in zip(examples.track_ids, examples.parts, strict=True) if part == TRAIN}


@given(of_classes(), st.floats(0.01, 1), st.floats(0.01, 1), st.integers(0, 5))
@quick
def test_less_is_a_part_of_more_and_what_is_held_out_stays(examples, one, other, seed):
    less, more = (thinned(examples, share, None, seed) for share in sorted((one, other)))
    assert taught(less) <= taught(more) <= taught(examples)
    n = len(taught(examples))
    assert len(taught(less)) == round(min(one, other) * n)
    for part in (VALID, TEST):
        assert more.of(part) == examples.of(part)


@given(of_classes(), st.floats(0.2, 1), st.integers(0, 5))
@quick
def test_every_class_keeps_its_share(examples, share, seed):
    kept = Counter(thinned(examples, share, None, seed).of(TRAIN).values())
    for k, n in Counter(examples.of(TRAIN).values()).items():
        assert abs(kept[k] - share * n) <= 1.5


def test_the_most_tracks_count_before_the_share():
    examples = tagged()
    assert len(taught(thinned(examples, 1.0, 50, 0))) == 50
    assert len(taught(thinned(examples, 0.5, 50, 0))) == 25
    assert taught(thinned(examples, 1.0, 50, 0)) != taught(thinned(examples, 1.0, 50, 1))


def matrix(examples: Examples) -> np.ndarray:
    Y = np.zeros((len(examples.labels), len(examples.classes)), bool)
    for n, of_track in enumerate(examples.labels):
        Y[n, list(of_track)] = True
    return Y


@pytest.mark.parametrize(("missing", "false"), [(0.3, 0.0), (0.0, 0.4), (0.2, 0.1)])
def test_tags_are_wrong_at_the_rate_and_those_of_test_tracks_never(missing, false):
    examples = tagged(4000)
    noisy = mislabelled(examples, missing, false, 3)
    Y, Z, learned = matrix(examples), matrix(noisy), np.array(examples.parts) != TEST
    np.testing.assert_array_equal(Y[~learned], Z[~learned])
    given_K, lost_K = Y[learned].sum(axis=0), (Y & ~Z)[learned].sum(axis=0)
    added_K = (~Y & Z)[learned].sum(axis=0)
    np.testing.assert_allclose(lost_K / given_K, missing, atol=0.07)
    np.testing.assert_allclose(added_K / given_K, false, atol=0.07)


@given(st.floats(0, 0.9), st.floats(0, 0.9), st.integers(0, 3))
@quick
def test_more_noise_keeps_the_wrong_tags_of_less(one, other, seed):
    examples = tagged(60, seed)
    Y = matrix(examples)
    less, more = (matrix(mislabelled(examples, rate, rate, seed)) for rate in sorted((one, other)))
    assert ((less != Y) <= (more != Y)).all()


def test_a_wrong_class_is_another_one_at_the_rate():
    n = 3000
    examples = Examples(CLASSES, tuple(f"t{i:04d}" for i in range(n)), tuple((i % 4,) for i in range(n)), (TRAIN,) * n)
    noisy = mislabelled(examples, 0.0, 0.25, 1)
    moved = [(a, b) for (a,), (b,) in zip(examples.labels, noisy.labels, strict=True) if a != b]
    assert len(moved) / n == pytest.approx(0.25, abs=0.03)
    # To each of the others alike.
    assert max(Counter(moved).values()) < 2 * min(Counter(moved).values())
    with pytest.raises(UsageError, match="give the rate of false ones"):
        mislabelled(examples, 0.1, 0.0, 1)


@pytest.mark.parametrize(
    ("varied", "says"),
    [
        ({"share": 0.0}, "received 0"),
        ({"false": 1.0}, "received 1"),
        ({"missing": -0.1}, "received -0.1"),
    ],
)
def test_what_no_cell_can_be_is_refused(varied, says):
    with pytest.raises(UsageError, match=says):
        TrainingCell("k2c2", **varied)


@pytest.mark.parametrize(
    ("cell", "error", "says"),
    [
        (TrainingCell("k2c3"), UsageError, "Did you mean 'k2c2'"),
        (TrainingCell("random-vgg-small"), UsageError, "is not trained on labels"),
        (TrainingCell("k2c2", settings=(("C", 1.0),)), UsageError, "settings are for estimators"),
        (TrainingCell("random-forest", trained=False), UsageError, "only networks have initial weights"),
        (TrainingCell("k2c2", share=0.05), PhonolakeError, "too few tracks"),
        (TrainingCell("k2c2", preprocessing="cubic/bypass/x1"), UsageError, "unknown preprocessing"),
        (TrainingCell("k2c2-stft"), PhonolakeError, "phonolake extract --spectrogram stft-257-12k"),
        (TrainingCell("elm", input="features:random-vgg-large", search=True), PhonolakeError, "phonolake extract"),
    ],
)
def test_what_cannot_be_trained_is_said_when_it_is_planned(lake, cell, error, says):
    with pytest.raises(error, match=says):
        Planner(Scope(str(lake.root))).plan(cell)


def test_a_cell_is_the_same_by_what_it_depends_on_alone(lake):
    planner = Planner(Scope(str(lake.root), max_epochs=1))
    first = planner.plan(TrainingCell("k2c2"))
    assert first.cell_id == Planner(Scope(str(lake.root), max_epochs=1)).plan(TrainingCell("k2c2")).cell_id
    others = [
        planner.plan(cell)
        for cell in (
            TrainingCell("k2c2", seed=1),
            TrainingCell("k2c2", share=0.5),
            TrainingCell("k2c2", false=0.2),
            TrainingCell("k2c2", trained=False),
            TrainingCell("k2c2", preprocessing="linear/bypass/x1"),
        )
    ]
    others.append(Planner(Scope(str(lake.root), max_epochs=2)).plan(TrainingCell("k2c2")))
    assert len({first.cell_id, *(one.cell_id for one in others)}) == 1 + len(others)
