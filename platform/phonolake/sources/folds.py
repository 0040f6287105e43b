"""Stratified folds as scikit-learn deals them, for datasets whose papers used its folds."""

from collections.abc import Sequence

import numpy as np

from phonolake.errors import UsageError


def stratified(labels: Sequence[str], n_folds: int, *, seed: int | None = None) -> list[int]:
    """Deal examples into folds with the same share of each class in all of them.

    The folds are those of scikit-learn's ``StratifiedKFold``: sorted by class, classes in the order in which they first
    appear, example j of all counts for fold j modulo `n_folds`; inside a class the folds are then given in order
    (without a seed), or shuffled.

    Parameters
    ----------
    labels : sequence of str
        Class of each example; their order matters.
    n_folds : int
        2 or more.
    seed : int, optional
        Shuffles inside each class, as ``shuffle=True, random_state=seed`` does.

    Returns
    -------
    list of int
        Fold of each example, from 1.

    Raises
    ------
    UsageError
        When every class has fewer examples than there are folds.
    """
    codes = {label: code for code, label in enumerate(dict.fromkeys(labels))}
    y = np.array([codes[label] for label in labels], dtype=np.int64)
    if not len(y) or np.bincount(y).max() < n_folds:
        raise UsageError(f"{n_folds} folds need {n_folds} examples or more of a class")
    ordered = np.sort(y)
    rng = None if seed is None else np.random.RandomState(seed)
    folds = np.empty(len(y), dtype=np.int64)
    for code in codes.values():
        shares = np.sort(np.flatnonzero(ordered == code) % n_folds)
        if rng is not None:
            rng.shuffle(shares)
        folds[y == code] = shares + 1
    return folds.tolist()
