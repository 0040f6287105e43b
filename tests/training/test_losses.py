"""Losses against their formulas, in double precision."""

import numpy as np
import pytest
import torch

from phonolake.errors import UsageError
from phonolake.training import losses

LOGITS = np.array([[2.0, -1.0, 0.5], [-3.0, 0.0, 4.0], [1.0, 1.0, 1.0]])
Y = np.array([0, 1, 2])
HOT = np.eye(3)[Y]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)


def binary(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    return -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(axis=1)


SIGMOIDS = sigmoid(LOGITS)
EXPECTED = {
    "auto": -np.log(softmax(LOGITS)[range(3), Y]),
    "cross-entropy": -np.log(softmax(LOGITS)[range(3), Y]),
    "binary-cross-entropy": binary(SIGMOIDS, HOT),
    "binary-cross-entropy-on-softmax": binary(softmax(LOGITS), HOT),
    "cross-entropy-on-sigmoid": -np.log((SIGMOIDS / SIGMOIDS.sum(axis=1, keepdims=True))[range(3), Y]),
}


def computed(kind: str, y: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    labels = torch.from_numpy(y if y.ndim == 1 else y.astype(np.float32))
    weights_K = None if weights is None else torch.from_numpy(weights.astype(np.float32))
    return losses.per_example(kind, torch.from_numpy(LOGITS).float(), labels, weights_K).numpy()


@pytest.mark.parametrize("kind", sorted(EXPECTED))
def test_one_label_per_example(kind: str) -> None:
    np.testing.assert_allclose(computed(kind, Y), EXPECTED[kind], rtol=1e-5)
    weights = np.array([1.0, 2.0, 0.5])
    if kind != "binary-cross-entropy":
        np.testing.assert_allclose(computed(kind, Y, weights), EXPECTED[kind] * weights[Y], rtol=1e-5)


def test_many_labels_and_weights_of_their_positives() -> None:
    many = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1]])
    np.testing.assert_allclose(computed("auto", many), binary(SIGMOIDS, many), rtol=1e-5)
    weights = np.array([1.0, 2.0, 0.5])
    expected = -(weights * many * np.log(SIGMOIDS) + (1 - many) * np.log(1 - SIGMOIDS)).mean(axis=1)
    np.testing.assert_allclose(computed("auto", many, weights), expected, rtol=1e-5)


@pytest.mark.parametrize("kind", sorted(EXPECTED))
def test_certain_and_wrong_is_finite(kind: str) -> None:
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    loss = losses.per_example(kind, logits, torch.tensor([1])).sum()
    loss.backward()
    assert torch.isfinite(loss)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_balanced_weights_let_every_class_count_the_same() -> None:
    y = np.array([0] * 6 + [1] * 3 + [2])
    weights = losses.balanced(y, 3)
    np.testing.assert_allclose([weights[k] * (y == k).sum() for k in range(3)], 10 / 3, rtol=1e-6)
    many = np.array([[1, 0], [1, 0], [1, 1], [0, 1]])
    positives = losses.balanced(many, 2) * many.sum(axis=0)
    np.testing.assert_allclose(positives, (1 - many).sum(axis=0), rtol=1e-6)


def test_mixtures_are_for_one_label() -> None:
    with pytest.raises(UsageError, match="'cross-entropy' is for one label per example"):
        losses.check_fit("cross-entropy", (3, 3), HOT)
