"""Storage: what is refused, what is replaced, what is never built."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.dummy import DummyClassifier
from sklearn.gaussian_process import GaussianProcessClassifier

from phonolake.errors import PhonolakeError, UsageError
from phonolake.models import k2c2, logistic_regression, storage
from phonolake.models.loaded_network import CHUNK

BUILD = {"n_classes": 2, "n_frames": 16, "seed": 0}
CARD: dict[str, Any] = {"model": "k2c2", "build": BUILD, "classes": ["a", "b"], "activation": "softmax"}
X_BFT = np.random.default_rng(0).normal(size=(3, 96, 16)).astype(np.float32)


@pytest.fixture
def network() -> k2c2.K2C2:
    return k2c2.build(**BUILD)


@pytest.fixture
def stored(network: k2c2.K2C2, tmp_path: Path) -> Path:
    return storage.save(network, CARD, tmp_path / "model")


def test_nothing_but_the_model_is_left_behind(stored: Path) -> None:
    assert [path.name for path in stored.parent.iterdir()] == ["model"]
    assert sorted(path.name for path in stored.iterdir()) == [storage.CARD_FILE, storage.NETWORK_FILE]


def test_a_model_is_replaced(stored: Path) -> None:
    storage.save(k2c2.build(**{**BUILD, "seed": 9}), CARD | {"run": "second"}, stored)
    assert storage.load(stored).card["run"] == "second"
    assert [path.name for path in stored.parent.iterdir()] == ["model"]


def test_a_failed_save_leaves_the_old_model(stored: Path, network: k2c2.K2C2, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(storage, "write_weights", fail)
    with pytest.raises(OSError, match="disk full"):
        storage.save(network, CARD, stored)
    assert storage.load(stored).classes == ("a", "b")
    assert [path.name for path in stored.parent.iterdir()] == ["model"]


def test_a_folder_of_something_else_is_left_alone(network: k2c2.K2C2, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(UsageError, match="is not a stored model"):
        storage.save(network, CARD, tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_sigmoid_scores_each_class_by_itself(network: k2c2.K2C2, tmp_path: Path) -> None:
    loaded = storage.load(storage.save(network, CARD | {"activation": "sigmoid"}, tmp_path / "model"))
    softmax = storage.load(storage.save(network, CARD, tmp_path / "other")).predict(X_BFT)
    odds = loaded.predict(X_BFT) / (1 - loaded.predict(X_BFT))
    np.testing.assert_allclose(odds / odds.sum(axis=1, keepdims=True), softmax, atol=1e-5)


def test_many_inputs_are_taken_in_pieces(stored: Path) -> None:
    loaded = storage.load(stored)
    many = np.tile(X_BFT, (7, 1, 1))
    assert len(many) > CHUNK
    np.testing.assert_allclose(loaded.predict(many), np.tile(loaded.predict(X_BFT), (7, 1)), atol=1e-6)
    with pytest.raises(UsageError, match="no inputs"):
        loaded.predict(X_BFT[:0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ["a"]}, "names 1 classes for a network that was built for 2"),
        ({"activation": "relu"}, "unknown activation 'relu'"),
        ({"model": "svm-rbf"}, "'svm-rbf', an estimator, received K2C2"),
        ({"model": "nothing"}, "unknown model 'nothing'"),
        ({"score": float("nan")}, "cannot be kept as JSON"),
        ({"score": object()}, "cannot be kept as JSON"),
    ],
)
def test_cards_that_do_not_fit(change: dict[str, Any], message: str, network: k2c2.K2C2, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        storage.save(network, CARD | change, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", sorted(CARD))
def test_incomplete_cards(key: str, network: k2c2.K2C2, stored: Path, tmp_path: Path) -> None:
    card = {name: value for name, value in CARD.items() if name != key}
    with pytest.raises(UsageError, match=f"the card lacks .*{key}"):
        storage.save(network, card, tmp_path / "new")
    (stored / storage.CARD_FILE).write_text(json.dumps(card))
    with pytest.raises(PhonolakeError, match="store the model again"):
        storage.load(stored)


def test_estimators_are_fitted_on_column_numbers(tmp_path: Path) -> None:
    x_ND, names = np.eye(4), np.array(["a", "b", "a", "b"])
    card = {"model": "logistic-regression", "build": {"seed": 0}, "classes": ["a", "b"]}
    with pytest.raises(UsageError, match="column numbers 0 to 1"):
        storage.save(logistic_regression.build(seed=0).fit(x_ND, names), card, tmp_path / "model")
    with pytest.raises(UsageError, match="column numbers 0 to 1"):
        storage.save(logistic_regression.build(seed=0).fit(x_ND, [0, 1, 2, 2]), card, tmp_path / "model")
    with pytest.raises(UsageError, match="column numbers 0 to 1"):
        storage.save(logistic_regression.build(seed=0), card, tmp_path / "model")


def test_a_class_that_was_absent_in_training_gets_no_probability(tmp_path: Path) -> None:
    card = {"model": "logistic-regression", "build": {"seed": 0}, "classes": ["a", "b", "c"]}
    model = logistic_regression.build(seed=0).fit(np.eye(4), [0, 2, 0, 2])
    P_NK = storage.load(storage.save(model, card, tmp_path / "model")).predict(np.eye(4))
    assert not P_NK[:, 1].any()
    np.testing.assert_allclose(P_NK.sum(axis=1), 1, atol=1e-6)


def test_no_model_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no model at"):
        storage.load(tmp_path)


def test_no_such_device(stored: Path) -> None:
    with pytest.raises(UsageError, match="no such device: 'banana'"):
        storage.load(stored, device="banana")


@pytest.mark.parametrize("damage", [b"", b"{", b"\x00\xff", b"[]", b"{}"])
def test_damaged_cards(stored: Path, damage: bytes) -> None:
    (stored / storage.CARD_FILE).write_bytes(damage)
    with pytest.raises(PhonolakeError, match="store the model again"):
        storage.load(stored)


def test_damaged_or_foreign_weights(stored: Path) -> None:
    weights = stored / storage.NETWORK_FILE
    whole = weights.read_bytes()
    for damage in (b"", whole[:-10], b"\xff" * 100):
        weights.write_bytes(damage)
        with pytest.raises(PhonolakeError, match="does not have the weights"):
            storage.load(stored)
    weights.write_bytes(whole)
    text = (stored / storage.CARD_FILE).read_text()
    (stored / storage.CARD_FILE).write_text(text.replace('"n_classes": 2', '"n_classes": 5'))
    with pytest.raises(PhonolakeError, match="does not have the weights"):
        storage.load(stored)
    (stored / storage.CARD_FILE).write_text(text.replace("n_frames", "n_flames"))
    with pytest.raises(PhonolakeError, match="arguments that k2c2 does not take"):
        storage.load(stored)


@pytest.fixture
def stored_estimator(tmp_path: Path) -> Path:
    card = {"model": "logistic-regression", "build": {"seed": 0}, "classes": ["a", "b"]}
    model = logistic_regression.build(seed=0).fit(np.eye(4), [0, 1, 0, 1])
    return storage.save(model, card, tmp_path / "model")


def test_types_that_the_card_does_not_trust_are_not_built(stored_estimator: Path) -> None:
    class Sneaky(DummyClassifier):
        pass

    path = stored_estimator / storage.ESTIMATOR_FILE
    path.write_bytes(skops.io.dumps(Sneaky()))
    with pytest.raises(PhonolakeError, match=r"types that this model does not need.*Sneaky"):
        storage.load(stored_estimator)
    forest = skops.io.dumps(GaussianProcessClassifier(kernel=print))
    path.write_bytes(forest)
    with pytest.raises(PhonolakeError, match="print"):
        storage.load(stored_estimator)


def test_an_estimator_with_a_flipped_bit(stored_estimator: Path) -> None:
    path = stored_estimator / storage.ESTIMATOR_FILE
    damaged = bytearray(path.read_bytes())
    for place in range(60, len(damaged), len(damaged) // 40):
        damaged[place] ^= 4
    path.write_bytes(damaged)
    with pytest.raises(PhonolakeError, match="cannot be read as a model"):
        storage.load(stored_estimator)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"not a zip"])
def test_damaged_estimators(stored_estimator: Path, damage: bytes) -> None:
    (stored_estimator / storage.ESTIMATOR_FILE).write_bytes(damage)
    with pytest.raises(PhonolakeError, match="cannot be read as a model"):
        storage.load(stored_estimator)
