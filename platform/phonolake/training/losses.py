"""Losses: one per example, and weights for rare classes.

Shape suffixes: B batch, N examples, K classes.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from phonolake.errors import UsageError

# Keras clips probabilities this far from 0 and 1 before it takes logarithms.
_NEAREST_TO_ONE = 1 - 1e-7


def per_example(kind: str, logits_BK: Tensor, y: Tensor, weights_K: Tensor | None = None) -> Tensor:
    """Compute the loss_B of each example, in nats.

    Parameters
    ----------
    kind : str
        One of `phonolake.training.recipe.LOSSES`.
    logits_BK : Tensor
        Converted to float32, whatever the precision of the network.
    y : Tensor
        Class numbers (B,) of int64, or multi-hot (B, K) of float32. Cross-entropies of many labels are means over K.
    weights_K : Tensor, optional
        The result of `balanced`: weights of the classes, or of their positives if y is multi-hot.

    They must fit; see `check_fit`.
    """
    logits_BK = logits_BK.float()
    if y.ndim == 2:
        elements_BK = functional.binary_cross_entropy_with_logits(logits_BK, y, pos_weight=weights_K, reduction="none")
        return elements_BK.mean(dim=1)
    if kind == "binary-cross-entropy-on-softmax":
        loss_B = _binary_on_softmax(logits_BK, y)
    elif kind == "binary-cross-entropy":
        hot_BK = functional.one_hot(y, logits_BK.shape[1]).float()
        loss_B = functional.binary_cross_entropy_with_logits(logits_BK, hot_BK, reduction="none").mean(dim=1)
    else:
        # Sigmoids divided by their sum are the softmax of the sigmoids' logarithms.
        scores_BK = functional.logsigmoid(logits_BK) if kind == "cross-entropy-on-sigmoid" else logits_BK
        loss_B = functional.cross_entropy(scores_BK, y, reduction="none")
    return loss_B if weights_K is None else loss_B * weights_K[y]


def _binary_on_softmax(logits_BK: Tensor, y: Tensor) -> Tensor:
    log_p_BK = logits_BK.log_softmax(dim=1)
    log_rest_BK = torch.log1p(-log_p_BK.exp().clamp_max(_NEAREST_TO_ONE))
    hot_BK = functional.one_hot(y, logits_BK.shape[1]).bool()
    return -torch.where(hot_BK, log_p_BK, log_rest_BK).mean(dim=1)


def check_fit(kind: str, shape: tuple[int, ...], y: np.ndarray) -> None:
    """Raise a `UsageError` if labels do not fit logits of this shape, or the loss."""
    n_examples, n_classes = shape
    if y.shape == (n_examples,) and y.dtype.kind in "iu":
        if y.min() < 0 or y.max() >= n_classes:
            raise UsageError(f"class numbers {y.min()} to {y.max()} do not fit {n_classes} logits.")
        return
    if y.shape != (n_examples, n_classes):
        raise UsageError(
            f"labels of shape {y.shape} and type {y.dtype} do not fit logits of shape {tuple(shape)}; expected "
            f"integer class numbers ({n_examples},) or multi-hot ({n_examples}, {n_classes})."
        )
    if kind not in ("auto", "binary-cross-entropy"):
        raise UsageError(f"the loss {kind!r} is for one label per example, received multi-hot labels.")


def balanced(y: np.ndarray, n_classes: int) -> np.ndarray:
    """Compute weights_K, float32, with which every class counts the same; see `Recipe.class_weights`.

    Parameters
    ----------
    y : ndarray
        Class numbers (N,) or multi-hot (N, K) of the training examples; every class occurs.
    n_classes : int
        K.
    """
    if y.ndim == 1:
        return (len(y) / (n_classes * np.bincount(y, minlength=n_classes))).astype(np.float32)
    count_K = y.sum(axis=0)
    return ((len(y) - count_K) / count_K).astype(np.float32)
