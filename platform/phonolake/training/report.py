"""Rows of the table `metrics`: figures of a model, per class and overall, beside chance.

Shape suffixes: N tracks, K classes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from phonolake.lineage import fingerprint
from phonolake.metrics import classification
from phonolake.records import TRAIN, VALID

Row = dict[str, Any]
# For a class: its name, then the figure, then chance.
Figure = tuple[str, str | None, float, float | None]


def of_part(
    run_id: str, part: str, classes: Sequence[str], track_ids: Sequence[str], y_N: np.ndarray, p_NK: np.ndarray
) -> list[Row]:
    """Overall figures of predictions (see `classification.overall`), then those of each class.

    Parameters
    ----------
    run_id, part : str
    classes : sequence of str
        Names of the K classes.
    track_ids : sequence of str
        The N tracks.
    y_N : ndarray
        Class number of each track, or multi-hot (N, K).
    p_NK : ndarray
        Probabilities; of one label per track, the highest one is the prediction.
    """
    chance = _chance(y_N, len(classes))
    overall = classification.overall(y_true=y_N, scores=p_NK)
    figures: list[Figure] = [(metric, None, value, chance[metric]) for metric, value in overall.items()]
    auc_K = classification.roc_auc(y_true=y_N, scores=p_NK)
    ap_K = classification.average_precision(y_true=y_N, scores=p_NK)
    share_K = (y_N[:, None] == np.arange(len(classes)) if y_N.ndim == 1 else y_N > 0).mean(axis=0)
    if y_N.ndim == 1:
        f1_K = classification.f1_scores(y_true=y_N, y_pred=p_NK.argmax(axis=1), n_classes=len(classes))
        figures += [("f1", label, value, None) for label, value in zip(classes, f1_K, strict=True)]
    for k, label in enumerate(classes):
        figures += [("roc-auc", label, auc_K[k], 0.5), ("pr-auc", label, ap_K[k], float(share_K[k]))]
    clips = fingerprint(track_ids)
    return [
        _row(run_id, part, metric, value, len(y_N), label=label, chance=guess, clips=clips)
        for metric, label, value, guess in figures
    ]


def _chance(y_N: np.ndarray, n_classes: int) -> dict[str, float]:
    """Chance for each overall figure."""
    if y_N.ndim == 1:
        guess = classification.chance_levels(y_true=y_N, n_classes=n_classes)
        of_label = {"accuracy": guess.accuracy, "macro-f1": guess.macro_f1}
        return of_label | {"roc-auc": guess.roc_auc, "pr-auc": guess.average_precision}
    share_K = y_N.mean(axis=0)
    return {"roc-auc": 0.5, "pr-auc": classification.macro(np.where(share_K > 0, share_K, np.nan))}


def of_curve(run_id: str, curve: Sequence[Mapping[str, Any]], tracks: Mapping[str, Sequence[str]]) -> list[Row]:
    """The learning curve: losses in nats and the validation figures of each epoch; `tracks` are those of each part."""
    clips = {part: fingerprint(track_ids) for part, track_ids in tracks.items()}
    rows = []
    for point in curve:
        series = [(TRAIN, "loss", point["train_loss"]), (VALID, "loss", point["valid_loss"])]
        series += [(VALID, metric, value) for metric, value in point["valid"].items()]
        rows += [
            _row(run_id, part, metric, value, len(tracks[part]), epoch=point["epoch"], clips=clips[part])
            for part, metric, value in series
            if value is not None
        ]
    return rows


def _row(run_id: str, part: str, metric: str, value: float, n: int, **more: Any) -> Row:
    finite = float(value) if np.isfinite(value) else None
    return {"run_id": run_id, "part": part, "metric": metric, "value": finite, "n": n} | more
