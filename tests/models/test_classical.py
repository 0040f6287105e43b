"""Classical models against their mathematics and independent implementations.

Shape suffixes: N examples, D features, K classes.
"""

import numpy as np
import pytest
import xgboost
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from phonolake.models import elm, knn_pca, logistic_regression_ovr, storage, svm_rbf, svm_rbf_platt, svm_rbf_power
from phonolake.models import xgboost as xgboost_tuned
from phonolake.models.boosted_trees import BoostedTrees
from phonolake.models.elm import ExtremeLearningMachine

N, D, K = 90, 20, 3


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y_N = np.arange(N) % K
    x_ND = rng.normal(size=(N, D))
    x_ND[np.arange(N), y_N] += 1.5
    return x_ND, y_N


def test_elm_solves_least_squares_over_its_hidden_layer(data):
    x_ND, y_N = data
    model = ExtremeLearningMachine(seed=3, n_hidden=40).fit(x_ND, y_N)
    rng = np.random.default_rng(3)
    hidden = np.maximum(x_ND @ rng.standard_normal((D, 40)) + rng.standard_normal(40), 0)
    targets = np.where(y_N[:, None] == np.arange(K), 1.0, -1.0)
    solution, *_ = np.linalg.lstsq(hidden, targets, rcond=None)
    np.testing.assert_allclose(model.outputs_HK, solution, atol=1e-8)
    np.testing.assert_allclose(model.decision_function(x_ND), hidden @ solution, atol=1e-8)
    np.testing.assert_array_equal(model.predict(x_ND), (hidden @ solution).argmax(axis=1))


def test_elm_with_more_hidden_units_than_examples_meets_its_targets(data):
    x_ND, y_N = data
    model = ExtremeLearningMachine(n_hidden=400).fit(x_ND, y_N)
    np.testing.assert_allclose(model.decision_function(x_ND), np.where(y_N[:, None] == np.arange(K), 1, -1), atol=1e-6)


def test_elm_probabilities_keep_the_order_of_the_outputs(data):
    x_ND, y_N = data
    model = elm.build(seed=0).fit(x_ND, y_N)
    P_NK = model.predict_proba(x_ND + 0.3)
    np.testing.assert_array_equal(P_NK.argsort(axis=1), model.decision_function(x_ND + 0.3).argsort(axis=1))
    np.testing.assert_allclose(P_NK.sum(axis=1), 1)


def test_elm_draws_another_layer_for_another_seed(data):
    assert not np.allclose(elm.build(seed=0).fit(*data).weights_DH, elm.build(seed=1).fit(*data).weights_DH)


@pytest.mark.parametrize(
    "settings", [{"tree_method": "exact", "max_depth": 3}, {"tree_method": "hist", "subsample": 0.7, "max_depth": 2}]
)
def test_boosted_trees_are_those_of_xgboosts_own_classifier(data, settings):
    x_ND, y_N = data
    ours = BoostedTrees(seed=5, n_estimators=8, learning_rate=0.3, base_score=0.5, **settings).fit(x_ND, y_N)
    theirs = xgboost.XGBClassifier(
        n_estimators=8, learning_rate=0.3, base_score=0.5, random_state=5, n_jobs=1, **settings
    )
    np.testing.assert_array_equal(ours.predict_proba(x_ND), theirs.fit(x_ND, y_N).predict_proba(x_ND))


def test_boosted_trees_take_class_numbers_with_gaps(data, tmp_path):
    x_ND, y_N = data
    model = xgboost_tuned.build(seed=0).set_params(n_estimators=5).fit(x_ND, y_N * 2 + 1)
    assert model.classes_.tolist() == [1, 3, 5]
    assert set(model.predict(x_ND)) == {1, 3, 5}
    card = {"model": "xgboost", "build": {"seed": 0}, "classes": list("abcdef")}
    P_NK = storage.load(storage.save(model, card, tmp_path / "model")).predict(x_ND)
    np.testing.assert_array_equal(P_NK[:, [0, 2, 4]], 0)
    np.testing.assert_allclose(P_NK.sum(axis=1), 1, atol=1e-6)


def test_what_is_kept_of_boosted_trees_is_xgboosts_open_format(data):
    model = BoostedTrees(n_estimators=2).fit(*data)
    kept = model.ubjson_.tobytes()
    assert kept.startswith(b"{")
    assert b"learner" in kept
    assert b"pickle" not in kept
    assert xgboost.Booster(model_file=bytearray(kept)).num_boosted_rounds() == 2


def test_knn_weighs_the_18_nearest_components_by_distance(data):
    x_ND, y_N = data
    model = knn_pca.build(seed=0).fit(x_ND[1:], y_N[1:])
    scaler = StandardScaler().fit(x_ND[1:])
    first, *rest = PCA(15).fit(scaler.transform(x_ND[1:])).transform(scaler.transform(x_ND))
    distance_N = np.linalg.norm(np.array(rest) - first, axis=1)
    nearest = np.argsort(distance_N)[:18]
    weight_K = np.array([(1 / distance_N[nearest])[y_N[1:][nearest] == k].sum() for k in range(K)])
    np.testing.assert_allclose(model.predict_proba(x_ND[:1])[0], weight_K / weight_K.sum(), rtol=1e-6)


def test_one_against_the_rest_is_three_regressions_normalised(data):
    x_ND, y_N = data
    z_ND = MinMaxScaler().fit_transform(x_ND)
    P_NK = np.column_stack(
        [LogisticRegression(C=1.0, solver="liblinear").fit(z_ND, y_N == k).predict_proba(z_ND)[:, 1] for k in range(K)]
    )
    model = logistic_regression_ovr.build(seed=0).fit(x_ND, y_N)
    np.testing.assert_allclose(model.predict_proba(x_ND), P_NK / P_NK.sum(axis=1, keepdims=True), atol=1e-6)


def test_the_published_machine_has_a_width_of_one_over_the_features(data):
    machine = svm_rbf_platt.build(seed=0).fit(*data)[-1]
    assert machine._gamma == 1 / D
    assert machine.C == 10_000


def test_the_seed_of_the_published_machine_moves_its_probabilities_and_not_its_vote(data):
    x_ND, y_N = data
    one, other = (svm_rbf_platt.build(seed=seed).fit(x_ND, y_N) for seed in (0, 1))
    assert not np.allclose(one.predict_proba(x_ND), other.predict_proba(x_ND))
    np.testing.assert_array_equal(one.predict(x_ND), other.predict(x_ND))


@pytest.mark.long
def test_the_power_machine_hardly_minds_skewed_features(data):
    """A stretch of every feature is nearly undone; a machine that only scales its features feels it more."""
    x_ND, y_N = data

    def moved(model):
        plain, skewed = (model.build(seed=0).fit(x, y_N).predict_proba(x) for x in (x_ND, np.exp(x_ND)))
        return np.abs(plain - skewed).mean()

    assert moved(svm_rbf_power) < 0.7 * moved(svm_rbf)
