"""How many labels are wrong, label by label: missing positives apart from false positives.

The confident joint (Northcutt, Jiang, Chuang, "Confident learning", JAIR 70, 2021) counts tracks by given and probable
true class: a track counts for a class when its out-of-sample probability passes what is usual for tracks that were
given the class. cleanlab computes it.

Of classes, the tracks off its diagonal are the estimate, and nothing is extrapolated to tracks of which the models are
not sure: where classes overlap that made about twice as much of it (on the demo's 10 % of wrong labels 11 to 13 %
against 19 to 22 %). Where classes are told apart easily it leaves out up to a third instead. Mistakes of sure models
still count as noise: where the models are poor, the truth is lower.

Of several tags to a track, each is estimated apart and extrapolated to all tracks. Where very many positives are
missing, the model learns to expect that, and the estimate stays below the truth.

Shape suffixes: N tracks, L labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phonolake.errors import UsageError


@dataclass(frozen=True, slots=True)
class NoiseRate:
    """Estimated noise of one label, or of all (`label` is None).

    Parameters
    ----------
    n_given, n_true : int, float
        Tracks that have the label, and that should have it.
    n_false, n_missing : float
        Tracks that have it and should not, and that should have it and do not.
    false_rate, missing_rate : float
        Of those that have it, the share that should not (1 - precision); of those that should, the share that do not
        (1 - recall). NaN where there are none.
    """

    label: str | None
    n_tracks: int
    n_given: int
    n_true: float
    n_false: float
    n_missing: float
    false_rate: float
    missing_rate: float


def estimate(labels: Sequence[str], Y_NL: np.ndarray, P_NL: np.ndarray) -> list[NoiseRate]:
    """Estimate the noise of every label, and of all of them together, which comes first.

    Parameters
    ----------
    Y_NL : ndarray of bool or 0 and 1
        Given labels. Where every track has exactly one, they are taken for classes that exclude each other.
    P_NL : ndarray
        Out-of-sample probabilities in [0, 1].

    Raises
    ------
    UsageError
        If shapes differ, probabilities are out of range, or a label has no track.
    """
    Y, P = np.asarray(Y_NL, bool), np.asarray(P_NL, np.float64)
    _check(labels, Y, P)
    joint_L22 = _of_classes(Y, P) if (Y.sum(axis=1) == 1).all() and len(labels) > 1 else _of_tags(Y, P)
    rates = [_rate(label, joint_L22[k], len(Y)) for k, label in enumerate(labels)]
    return [_rate(None, joint_L22.sum(axis=0), len(Y)), *rates]


def meaning(*, single: bool) -> str:
    """What `estimate` means where each track has one label (`single`) or several, for people to read beside it."""
    if single:
        return (
            "Counted are tracks that the models, which had not seen them, surely take for another class (confident "
            "learning, Northcutt et al. 2021). Where they err for sure, as between classes that sound alike, their "
            "mistakes count as noise too, and the truth is lower."
        )
    return (
        "Each label apart, extrapolated from tracks that the models are sure of (confident learning, Northcutt et al. "
        "2021). Mistakes of the models count as noise too; where very many labels are missing, the models expect that, "
        "and the truth is higher."
    )


def truly(labels: Sequence[str], given_NL: np.ndarray, true_NL: np.ndarray) -> list[NoiseRate]:
    """The same figures where the truth is known."""
    given, true = np.asarray(given_NL, bool), np.asarray(true_NL, bool)
    joint_L22 = np.array(
        [[[np.sum((g == a) & (t == b)) for b in (0, 1)] for a in (0, 1)] for g, t in zip(given.T, true.T, strict=True)]
    )
    rates = [_rate(label, joint_L22[k], len(given)) for k, label in enumerate(labels)]
    return [_rate(None, joint_L22.sum(axis=0), len(given)), *rates]


def _of_classes(Y: np.ndarray, P: np.ndarray) -> np.ndarray:
    """Joint counts [given, true] of each class against the rest."""
    from cleanlab.filter import find_label_issues

    y, probabilities = Y.argmax(axis=1), P / np.maximum(P.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    # With one process the order of the tracks is kept, and nothing is started.
    wrong_N = find_label_issues(y, probabilities, filter_by="confident_learning", min_examples_per_class=0, n_jobs=1)
    n_classes = Y.shape[1]
    given = Y.sum(axis=0)
    false = np.bincount(y[wrong_N], minlength=n_classes)
    missing = np.bincount(probabilities[wrong_N].argmax(axis=1), minlength=n_classes)
    both = given - false
    neither = len(Y) - given - missing
    return np.stack([np.stack([neither, missing], axis=-1), np.stack([false, both], axis=-1)], axis=1)


def _of_tags(Y: np.ndarray, P: np.ndarray) -> np.ndarray:
    from cleanlab.count import compute_confident_joint, estimate_joint

    joints = []
    for y, p in zip(Y.T.astype(int), P.T, strict=True):
        if y.all():
            # No track lacks it: nothing says how sure the model is of its absence.
            joints.append(np.array([[0, 0], [0, len(y)]], np.float64))
            continue
        probabilities = np.stack([1 - p, p], axis=1)
        counted = compute_confident_joint(y, probabilities)
        joints.append(len(y) * estimate_joint(y, probabilities, confident_joint=counted))
    return np.array(joints)


def _rate(label: str | None, joint_22: np.ndarray, n_tracks: int) -> NoiseRate:
    (_, missing), (false, both) = joint_22.tolist()
    given, true = false + both, missing + both
    return NoiseRate(
        label,
        n_tracks,
        round(given),
        true,
        false,
        missing,
        false / given if given else float("nan"),
        missing / true if true else float("nan"),
    )


def _check(labels: Sequence[str], Y: np.ndarray, P: np.ndarray) -> None:
    if Y.ndim != 2 or Y.shape != P.shape or Y.shape[1] != len(labels) or not len(Y):
        raise UsageError(f"expected labels and probabilities (N, {len(labels)}); received {Y.shape} and {P.shape}")
    if not ((P >= 0) & (P <= 1)).all():
        raise UsageError("probabilities lie between 0 and 1, received others")
    if not Y.any(axis=0).all():
        raise UsageError(f"no track has the label {labels[int(np.argmin(Y.any(axis=0)))]!r}: leave it out")
