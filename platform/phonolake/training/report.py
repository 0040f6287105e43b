"""Rows of the table `metrics`: what a model reached, per class and overall, beside what guessing reaches.

Shape suffixes: N tracks, K classes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from phonolake.metrics import classification
from phonolake.records import TRAIN, VALID

Row = dict[str, Any]


def of_part(run_id: str, part: str, classes: Sequence[str], y_N: np.ndarray, p_NK: np.ndarray) -> list[Row]:
    """Accuracy, macro F1, ROC-AUC and PR-AUC of single-label predictions, then the per-class figures.

    Parameters
    ----------
    run_id, part : str
    classes : sequence of str
        Names of the K classes.
    y_N : ndarray of int
        Class number of each track.
    p_NK : ndarray
        Probabilities; the highest one is the prediction.
    """
    K = len(classes)
    guess = classification.chance_levels(y_true=y_N, n_classes=K)
    predicted_N = p_NK.argmax(axis=1)
    f1_K = classification.f1_scores(y_true=y_N, y_pred=predicted_N, n_classes=K)
    auc_K = classification.roc_auc(y_true=y_N, scores=p_NK)
    ap_K = classification.average_precision(y_true=y_N, scores=p_NK)
    accuracy = classification.accuracy(y_true=y_N, y_pred=predicted_N)
    figures: list[tuple[str, str | None, float, float | None]] = [
        ("accuracy", None, accuracy, guess.accuracy),
        ("macro-f1", None, classification.macro(f1_K), guess.macro_f1),
        ("roc-auc", None, classification.macro(auc_K), guess.roc_auc),
        ("pr-auc", None, classification.macro(ap_K), guess.average_precision),
    ]
    for k, label in enumerate(classes):
        share = float((y_N == k).mean())
        figures += [("f1", label, f1_K[k], None), ("roc-auc", label, auc_K[k], 0.5), ("pr-auc", label, ap_K[k], share)]
    return [
        _row(run_id, part, metric, value, len(y_N), label=label, chance=chance)
        for metric, label, value, chance in figures
    ]


def of_curve(run_id: str, curve: Sequence[Mapping[str, Any]], n: Mapping[str, int]) -> list[Row]:
    """The learning curve: losses in nats and validation accuracy of each epoch; `n` counts the tracks of each part."""
    rows = []
    for point in curve:
        series = [
            (TRAIN, "loss", point["train_loss"]),
            (VALID, "loss", point["valid_loss"]),
            (VALID, "accuracy", point["valid_accuracy"]),
        ]
        rows += [
            _row(run_id, part, metric, value, n[part], epoch=point["epoch"])
            for part, metric, value in series
            if value is not None
        ]
    return rows


def _row(run_id: str, part: str, metric: str, value: float, n: int, **more: Any) -> Row:
    finite = float(value) if np.isfinite(value) else None
    return {"run_id": run_id, "part": part, "metric": metric, "value": finite, "n": n} | more
