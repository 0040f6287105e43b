"""Our best on the same clips, under nested validation: no setting is chosen by the clips that it is measured on.

The families and their grids were, beforehand: see the deviation ``tuned``.

For each outer split a tenth of every role's clips is put away. On the other nine tenths each of three families chooses
its settings by five-fold cross-validation, where there is a choice; the chosen three are fitted on all nine tenths,
their probabilities are averaged without weights, and the tenth is scored once.

Shape suffixes: N clips, D features, K classes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phonolake.analysis.results import ensembles
from phonolake.models import registry
from phonolake.studies import music_role_data as data
from phonolake.studies import music_role_fits as fits

N_FOLDS = 5
BLEND = "mean of the three"


@dataclass(frozen=True, slots=True)
class TunedTask:
    """Which clips: a feature vector, and in words for the table."""

    name: str
    vector: str


TASKS = (
    TunedTask("6 roles, 3,418 clips, 97 features", "full-20"),
    TunedTask("9 roles, 5,125 clips, 97 features", "original"),
)

# What each family chooses from; the settings that are not named are those of its card.
GRIDS: dict[str, tuple[dict[str, Any], ...]] = {
    "logistic-regression": tuple({"logisticregression__C": C} for C in (0.03, 0.1, 0.3)),
    "svm-rbf-power": tuple(
        {"svc__C": C, "svc__gamma": gamma} for C, gamma in ((1.0, 0.01), (2.0, 0.005), (3.0, 0.005), (4.0, 0.0025))
    ),
    "xgboost": ({"n_estimators": 300},),
}


@dataclass(frozen=True, slots=True)
class Outer:
    """One outer split of one task."""

    folder: Path
    task: TunedTask
    seed: int


def nested(outer: Outer) -> dict[str, fits.Scores]:
    """Choose, fit and score once; the scores of each family at its chosen settings, and of their mean."""
    clips = data.read(outer.folder, outer.task.vector)
    x_ND = clips.x[:, _distinct(clips.x)]
    test_N = fits.stratified(clips.y, fits.TEST_SHARE, outer.seed)
    x_train, y_train = x_ND[~test_N], clips.y[~test_N]
    P_RNK = []
    for family in GRIDS:
        model = candidate(family, choose(family, x_train, y_train, outer.seed), outer.seed)
        P_RNK.append(probabilities(model.fit(x_train, y_train), x_ND[test_N]))
    names = (*GRIDS, BLEND)
    scored = (*P_RNK, ensembles.average(np.array(P_RNK)))
    return {name: fits.score(clips.y[test_N], P_NK) for name, P_NK in zip(names, scored, strict=True)}


def choose(family: str, x_ND: np.ndarray, y_N: np.ndarray, seed: int) -> dict[str, Any]:
    """The settings that are right most often over stratified folds; the first of equals.

    A family with a choice is a pipeline whose last step the settings are of.
    """
    if len(GRIDS[family]) == 1:
        return GRIDS[family][0]
    fold_N = folds(y_N, N_FOLDS, seed)
    n_right = np.zeros(len(GRIDS[family]), int)
    for fold in range(N_FOLDS):
        held_N = fold_N == fold
        # Scaling costs more than the machines and knows nothing of their settings: once for each fold.
        scaler = candidate(family, {}, seed)[:-1]
        z_train, z_held = scaler.fit_transform(x_ND[~held_N]), scaler.transform(x_ND[held_N])
        for n, settings in enumerate(GRIDS[family]):
            model = candidate(family, settings, seed)[-1].fit(z_train, y_N[~held_N])
            n_right[n] += (probabilities(model, z_held).argmax(axis=1) == y_N[held_N]).sum()
    return GRIDS[family][int(n_right.argmax())]


def candidate(family: str, settings: dict[str, Any], seed: int) -> Any:
    """An unfitted model. Calibration would fit a machine six times over, and its order is all that counts here."""
    model = registry.get(family).build(seed=seed)
    return getattr(model, "estimator", model).set_params(**settings)


def probabilities(model: Any, x_ND: np.ndarray) -> np.ndarray:
    """Compute P_NK; of a machine without probabilities, the softmax of its decision values."""
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(x_ND))
    scores_NK = model.decision_function(x_ND)
    e_NK = np.exp(scores_NK - scores_NK.max(axis=1, keepdims=True))
    P_NK: np.ndarray = e_NK / e_NK.sum(axis=1, keepdims=True)
    return P_NK


def folds(y_N: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
    """Deal the clips of every class out in turn.

    Returns
    -------
    fold_N : ndarray of int
        In 0 ... `n_folds` - 1.
    """
    rng = np.random.default_rng(seed)
    fold_N = np.zeros(len(y_N), int)
    for k in np.unique(y_N):
        of_class = rng.permutation(np.flatnonzero(y_N == k))
        fold_N[of_class] = np.arange(len(of_class)) % n_folds
    return fold_N


def _distinct(x_ND: np.ndarray) -> np.ndarray:
    """Numbers of the columns that repeat no earlier one."""
    _, first = np.unique(x_ND, axis=1, return_index=True)
    return np.sort(first)
