"""The published grids: the same choice as by scikit-learn on the features themselves, and nested choices by others."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.svm import SVC

from phonolake.models.elm import ExtremeLearningMachine
from phonolake.studies import searches
from phonolake.studies.cells import TrainingCell
from phonolake.studies.searches import BEST, C_VALUES, GAMMAS, NESTED

CLASSES = ("a", "b", "c")


def data(n: int = 90, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    x = rng.normal(size=(n, 4))
    x[np.arange(n), y] += 1.2
    return x, y, [f"t{k:02d}" for k in range(n)]


def searched(machine: str, x: np.ndarray, y: np.ndarray, ids: list[str], parts: list[str]):
    examples = SimpleNamespace(classes=CLASSES)
    work = SimpleNamespace(
        cell=TrainingCell(machine, search=True), task=SimpleNamespace(examples=examples), cell_id="c", n_taught=len(y)
    )
    return searches.reached(work, x, y, ids, parts)


def accuracies(found, protocol: str, y: np.ndarray, ids: list[str]) -> list[float]:
    said = found.answers[protocol]
    right = said.P_NK.argmax(axis=1) == y[[ids.index(one) for one in said.track_ids]]
    return [float(right[said.folds == fold].mean()) for fold in np.unique(said.folds)]


def test_the_best_of_the_grid_is_that_of_scikit_learn():
    x, y, ids = data()
    fold = np.arange(len(y)) // 3 % 3
    found = searched("svm-unscaled", x, y, ids, [f"fold {k}" for k in fold])
    grid = [("rbf", gamma, C) for gamma in (*GAMMAS, 1 / 4) for C in C_VALUES] + [("linear", 1.0, C) for C in C_VALUES]
    means = []
    for kernel, gamma, C in grid:
        machine = SVC(kernel=kernel, gamma=gamma, C=C)
        scores = [machine.fit(x[fold != k], y[fold != k]).score(x[fold == k], y[fold == k]) for k in range(3)]
        means.append(np.mean(scores))
    assert np.mean(accuracies(found, BEST, y, ids)) == pytest.approx(max(means))
    assert np.mean(accuracies(found, NESTED, y, ids)) <= max(means)
    assert found.figures["features"] == 4
    assert sorted(found.answers[BEST].track_ids) == ids


@pytest.mark.long
def test_nothing_is_promised_where_there_is_nothing_to_learn():
    """With labels at random the best of a grid beats chance, and a nested choice does not."""
    rng = np.random.default_rng(1)
    gaps, nested = [], []
    for seed in range(6):
        x, _, ids = data(60, seed)
        y = rng.integers(0, 3, 60)
        found = searched("svm-unscaled", x, y, ids, [f"fold {k % 3}" for k in range(60)])
        best, honest = (np.mean(accuracies(found, protocol, y, ids)) for protocol in (BEST, NESTED))
        gaps.append(best - honest)
        nested.append(honest)
    assert min(gaps) >= 0
    assert np.mean(gaps) > 0.03
    assert abs(np.mean(nested) - 1 / 3) < 0.08


def test_with_a_fixed_split_the_validation_part_chooses(monkeypatch):
    x, y, ids = data()
    parts = [("train", "train", "valid", "test")[n // 3 % 4] for n in range(len(y))]
    monkeypatch.setattr(searches, "N_HIDDEN", (2, 60))
    monkeypatch.setitem(searches.MACHINES, "elm", searches.Machine(2, searches.random_layers))
    found = searched("elm", x, y, ids, parts)
    part = np.array(parts)
    assert set(found.answers[NESTED].track_ids) == {one for one, p in zip(ids, parts, strict=True) if p == "test"}
    assert (found.answers[NESTED].folds == -1).all()
    # Two hidden units cannot tell three classes apart as sixty can: the validation part sees it.
    large = ExtremeLearningMachine(seed=0, n_hidden=60).fit(x[part == "train"], y[part == "train"])
    reached = (large.predict(x[part == "test"]) == y[part == "test"]).mean()
    assert accuracies(found, NESTED, y, ids)[0] == pytest.approx(reached, abs=0.25)
    assert accuracies(found, NESTED, y, ids)[0] > 0.45
