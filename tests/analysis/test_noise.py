"""Planted label noise is estimated and found, class by class and tag by tag."""

from itertools import pairwise

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from phonolake.analysis.labels import noise_grading, noise_rates, noise_suspects
from phonolake.analysis.labels.cooccurrence import normalized_cooccurrence
from phonolake.errors import UsageError
from phonolake.lookup.embeddings import TrackVectors
from phonolake.lookup.held_out import HeldOut

N, K = 1200, 4


def named(labels: int, tracks: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(f"t{n:04d}" for n in range(tracks)), tuple("abcdefgh"[:labels])


@pytest.fixture(scope="module")
def classes():
    """Four clusters; one label in ten is wrong; out-of-fold probabilities of a linear model."""
    rng = np.random.default_rng(0)
    true = rng.integers(0, K, N)
    x = 3 * np.eye(K)[true] + rng.standard_normal((N, K))
    given = np.where(rng.random(N) < 0.1, (true + rng.integers(1, K, N)) % K, true)
    P = cross_val_predict(LogisticRegression(), x, given, cv=5, method="predict_proba")
    track_ids, labels = named(K, N)
    return HeldOut(track_ids, labels, P, np.eye(K, dtype=bool)[given]), np.eye(K, dtype=bool)[true], x


@pytest.fixture(scope="module")
def tags():
    """Three tags that are easy to hear; a third of the positives are missing and one negative in fifty is false."""
    rng = np.random.default_rng(1)
    true = rng.random((N, 3)) < 0.4
    x = np.concatenate([5.0 * true + rng.standard_normal(true.shape), rng.standard_normal((N, 2))], axis=1)
    given = (true & (rng.random(true.shape) < 0.67)) | (~true & (rng.random(true.shape) < 0.02))
    P = np.stack(
        [cross_val_predict(LogisticRegression(), x, y, cv=5, method="predict_proba")[:, 1] for y in given.T], axis=1
    )
    track_ids, labels = named(3, N)
    return HeldOut(track_ids, labels, P, given), true


def test_noise_of_classes_is_estimated(classes):
    held, true, _ = classes
    estimated = noise_rates.estimate(held.labels, held.Y_NL, held.P_NL)
    known = noise_rates.truly(held.labels, held.Y_NL, true)
    assert known[0].label is None
    assert known[0].false_rate == np.mean(held.Y_NL[true] == 0) == pytest.approx(0.1, abs=0.02)
    for guess, truth in zip(estimated, known, strict=True):
        assert guess.n_given == truth.n_given
        # Tracks of which the models are not sure are left out, so up to a third of the noise is not counted.
        assert guess.false_rate == pytest.approx(truth.false_rate, abs=0.045)
        assert guess.missing_rate == pytest.approx(truth.missing_rate, abs=0.045)
    # What one class loses another gains.
    assert sum(r.n_false for r in estimated[1:]) == pytest.approx(sum(r.n_missing for r in estimated[1:]))


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.2])
def test_classes_that_overlap_are_not_all_noise(rate):
    """Models err on one track in five or more: what they are not sure of is not extrapolated."""
    from cleanlab.count import compute_confident_joint, estimate_joint

    rng = np.random.default_rng(3)
    true = rng.integers(0, K, N)
    x = 2 * np.eye(K)[true] + rng.standard_normal((N, K))
    given = np.where(rng.random(N) < rate, (true + rng.integers(1, K, N)) % K, true)
    P = cross_val_predict(LogisticRegression(), x, given, cv=5, method="predict_proba")
    assert np.mean(P.argmax(axis=1) != true) > 0.15
    (guess, *_) = noise_rates.estimate(named(K, N)[1], np.eye(K, dtype=bool)[given], P)
    joint_KK = estimate_joint(given, P, confident_joint=compute_confident_joint(given, P))
    wrong = np.mean(given != true)
    extrapolated = 1 - np.trace(joint_KK)
    assert wrong <= guess.false_rate < extrapolated
    assert guess.false_rate - wrong < 0.6 * (extrapolated - wrong) + 0.02


def test_missing_positives_are_told_from_false_ones(tags):
    held, true = tags
    assert not held.single
    for guess, truth in zip(
        noise_rates.estimate(held.labels, held.Y_NL, held.P_NL),
        noise_rates.truly(held.labels, held.Y_NL, true),
        strict=True,
    ):
        # A third is missing; confident learning sees a quarter, since those tracks lower what is usual for a tag.
        assert 0.6 * truth.missing_rate < guess.missing_rate < 1.1 * truth.missing_rate
        assert guess.false_rate == pytest.approx(truth.false_rate, abs=0.03)
        assert guess.missing_rate > guess.false_rate


def test_true_rates_are_those_of_a_loop():
    given = np.array([[1, 0], [1, 1], [0, 1], [0, 0]], bool)
    true = np.array([[1, 1], [0, 1], [0, 1], [1, 0]], bool)
    _, a, b = noise_rates.truly("ab", given, true)
    assert (a.n_given, a.n_true, a.n_false, a.n_missing) == (2, 2, 1, 1)
    assert (b.n_given, b.n_true, b.n_false, b.n_missing) == (2, 3, 0, 1)
    assert (b.false_rate, b.missing_rate) == (0, 1 / 3)


@pytest.mark.parametrize("kind", noise_suspects.KINDS)
def test_wrong_labels_come_first(kind, classes, tags):
    for held, true in (classes[:2], tags):
        grades = {(g.measure, g.about, g.k): g for g in noise_grading.grade(held, true)}
        best = grades["precision at k", kind, 20]
        # Of tags, few that are there are false: even the best order finds hardly 20.
        wrong = int((held.Y_NL & ~true).sum() if kind == "false-positive" else (~held.Y_NL & true).sum())
        assert best.value >= 0.8 * min(1, wrong / 20), (kind, best)
        assert best.reference == pytest.approx(wrong / (held.Y_NL if kind == "false-positive" else ~held.Y_NL).sum())
        assert grades["average precision", kind, None].value > 4 * best.reference * (0.5 if held.single else 0.4)
        rate = grades["false rate", "all labels", None]
        assert rate.value == pytest.approx(rate.reference, abs=0.05)


def test_the_order_of_classes_is_by_margin(classes):
    held, _, _ = classes
    found = noise_suspects.suspects(held, top=50)
    for suspect in found:
        n, c = held.track_ids.index(suspect.track_id), held.labels.index(suspect.label)
        others = np.delete(held.P_NL[n], c)
        assert held.Y_NL[n, c]
        assert suspect.doubt == pytest.approx(others.max() - held.P_NL[n, c])
        assert held.P_NL[n, held.labels.index(suspect.instead)] == others.max()
        assert suspect.expected is None
    assert [s.rank for s in found] == list(range(1, 51))
    assert all(a.doubt >= b.doubt for a, b in pairwise(found))
    missing = noise_suspects.suspects(held, kind="missing-positive", label="b", top=5)
    assert {s.label for s in missing} == {"b"}
    assert all(s.instead != "b" and not held.Y_NL[held.track_ids.index(s.track_id), 1] for s in missing)


def test_neighbours_are_counted_among_the_others(classes):
    held, _, x = classes
    vectors = TrackVectors(held.track_ids[:200], x[:200].astype(np.float32))
    found = noise_suspects.suspects(held, embeddings=vectors, k=7, top=400)
    unit = x[:200] / np.linalg.norm(x[:200], axis=1, keepdims=True)
    asked = 0
    for suspect in found:
        n, c = held.track_ids.index(suspect.track_id), held.labels.index(suspect.label)
        if n >= 200:
            assert suspect.neighbours is None
            continue
        asked += 1
        order = [m for m in np.argsort(-unit @ unit[n], kind="stable") if m != n][:7]
        assert suspect.neighbours == pytest.approx(held.Y_NL[order, c].mean())
    assert asked > 10


def test_another_tag_explains_what_is_missing():
    """Nearly everything with b has a, and c goes with nothing."""
    rng = np.random.default_rng(0)
    b, c = rng.random(300) < 0.3, rng.random(300) < 0.3
    a = np.where(b, rng.random(300) < 0.9, rng.random(300) < 0.2)
    Y = np.stack([a, b, c], axis=1)
    Y = Y[Y.any(axis=1)]
    track_ids, labels = named(3, len(Y))
    held = HeldOut(track_ids, labels, rng.random(Y.shape), Y)
    C = normalized_cooccurrence(Y)
    for suspect in noise_suspects.suspects(held, kind="missing-positive", label="a"):
        mine = Y[track_ids.index(suspect.track_id)]
        assert suspect.because == ("b" if mine[1] else "c")
        assert suspect.expected == pytest.approx(C[1, 0] if mine[1] else C[2, 0])


def test_wrong_requests(classes, tags, tmp_path):
    held, true, _ = classes
    with pytest.raises(UsageError, match="Known: false-positive, missing-positive"):
        noise_suspects.rank(held, kind="false")
    with pytest.raises(UsageError, match="unknown label 'z'"):
        noise_suspects.rank(held, label="z")
    with pytest.raises(UsageError, match="no track has the label 'b'"):
        noise_rates.estimate("ab", np.array([[1, 0], [1, 0]]), np.full((2, 2), 0.5))
    with pytest.raises(UsageError, match="between 0 and 1"):
        noise_rates.estimate("ab", np.array([[1, 0], [0, 1]]), np.full((2, 2), 1.5))
    with pytest.raises(UsageError, match="expected true labels"):
        noise_grading.grade(held, true[:5])
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match="holds no truth"):
        noise_grading.read_truth(tmp_path / "other.csv")


def test_truth_of_tags_in_a_file(tmp_path):
    (tmp_path / "truth.csv").write_text("track_id,label,value\nd:1,rock,1\nd:1,pop,0\nd:1,loud,\nd:2,pop,0\n")
    assert noise_grading.read_truth(tmp_path / "truth.csv") == {"d:1": {"rock", "loud"}, "d:2": set()}


def test_a_tag_that_every_track_has_cannot_be_missing():
    Y = np.array([[1, 1], [1, 0], [1, 1], [1, 0]], bool)
    rates = noise_rates.estimate("ab", Y, np.array([[0.9, 0.8], [0.8, 0.1], [0.7, 0.9], [0.9, 0.2]]))
    assert (rates[1].n_given, rates[1].n_missing, rates[1].n_false) == (4, 0, 0)
    assert np.isfinite(noise_suspects.doubts(Y, np.full((4, 2), 0.5))).all()
