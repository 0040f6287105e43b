"""Differences with intervals, and what is made of them: planted effects are found, and no effect is none."""

import numpy as np
import pytest

from phonolake.metrics.bootstrap import Estimate
from phonolake.studies.cells import TrainingCell
from phonolake.studies.evidence import Arm, Claim, Evidence, alike, better, judge
from phonolake.studies.kept import Finished, HeldOutAnswers

CLASSES = ("a", "b", "c")
N = 240


def said(y: np.ndarray, right: float, rng: np.random.Generator) -> np.ndarray:
    """Probabilities that name the right class so often."""
    named = np.where(rng.random(len(y)) < right, y, (y + 1) % 3)
    return np.eye(3)[named] * 0.8 + 0.1


def evidence(*rights: float, seeds: int = 3, per_artist: int = 1) -> tuple[Evidence, list[Arm]]:
    rng = np.random.default_rng(5)
    y = np.arange(N) % 3
    ids = tuple(f"t{n:03d}" for n in range(N))
    cells = {}
    for k, right in enumerate(rights):
        runs = []
        for _ in range(seeds):
            answers = HeldOutAnswers(ids, said(y, right, rng), np.arange(N) // (N // 2))
            runs.append([Finished(f"c{k}", CLASSES, {"epochs": 3.0}, 1.0, {"test": answers})])
        cells[TrainingCell("k2c2", seed=k)] = runs
    truth = {one: frozenset([CLASSES[k]]) for one, k in zip(ids, y, strict=True)}
    artists = {one: f"artist {n // per_artist}" for n, one in enumerate(ids)}
    return Evidence(cells, truth, artists), [
        Arm("t", str(right), cell, "accuracy") for right, cell in zip(rights, cells, strict=True)
    ]


@pytest.mark.parametrize(
    ("low", "high", "expects", "margin", "verdict"),
    [
        (0.01, 0.2, "above", 0.0, "holds"),
        (-0.2, -0.01, "above", 0.0, "does not hold"),
        (-0.1, 0.1, "above", 0.0, "undecided"),
        (0.0, 0.0, "above", 0.0, "undecided"),
        (float("nan"), float("nan"), "above", 0.0, "undecided"),
        (-0.004, 0.004, "alike", 0.005, "holds"),
        (0.006, 0.02, "alike", 0.005, "does not hold"),
        (-0.02, -0.006, "alike", 0.005, "does not hold"),
        (-0.02, 0.001, "alike", 0.005, "undecided"),
    ],
)
def test_a_claim_holds_where_its_whole_interval_does(low, high, expects, margin, verdict):
    assert judge(Estimate(0.0, low, high), expects, margin) == verdict


def test_a_planted_difference_is_found_with_its_size_and_sign():
    found, (good, bad) = evidence(0.9, 0.6)
    estimate = found.contrast(better("", good, bad))
    assert estimate.value == pytest.approx(np.mean(found.values(good)) - np.mean(found.values(bad)))
    assert estimate.low < estimate.value < estimate.high
    assert 0.2 < estimate.low < 0.3 < estimate.high < 0.4
    assert judge(found.contrast(better("", bad, good)), "above") == "does not hold"


def test_an_arm_is_no_better_than_itself():
    found, (arm, _) = evidence(0.7, 0.7)
    estimate = found.contrast(alike("", arm, arm, 0.001))
    assert (estimate.value, estimate.low, estimate.high) == (0, 0, 0)


def test_a_mean_over_arms_with_an_offset():
    found, (one, two) = evidence(0.9, 0.7)
    claim = Claim("", ((one, 0.5), (two, 0.5)), offset=-0.8)
    wanted = (np.mean(found.values(one)) + np.mean(found.values(two))) / 2 - 0.8
    assert found.contrast(claim).value == pytest.approx(wanted)


def test_tracks_of_one_artist_are_worth_less():
    alone, (a, b) = evidence(0.8, 0.7)
    crowded, (c, d) = evidence(0.8, 0.7, per_artist=24)
    width = [e.high - e.low for e in (alone.contrast(better("", a, b)), crowded.contrast(better("", c, d)))]
    # Whole artists are drawn, of ten: what they reach differs by chance alone, but there are few of them.
    assert 0.3 * width[0] < width[1]
    assert width[0] < 0.2


def test_figures_are_means_over_folds_and_what_a_cell_keeps_is_one_too():
    found, (arm, _) = evidence(0.9, 0.6, seeds=2)
    (run, _), answers = found.cells[arm.cell], found.cells[arm.cell][0][0].answers["test"]
    y = np.arange(N) % 3
    right = answers.P_NK.argmax(axis=1) == y
    assert found.values(arm)[0] == pytest.approx((right[: N // 2].mean() + right[N // 2 :].mean()) / 2)
    assert found.values(Arm("", "", arm.cell, "epochs")) == [3.0, 3.0]
    assert len(run) == 1
