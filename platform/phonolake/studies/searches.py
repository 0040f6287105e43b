"""Choosing the settings of a classifier from a published grid, over all folds of a split, in one cell.

Two protocols come out of the same fits. ``best`` is what Pons and Serra report of cross-validated datasets: the best of
the grid, by the very tracks that it is measured on. ``nested`` chooses for each fold by the next one, and learns from
both for the test. With a fixed split settings are chosen by its validation part, the model learns from the training
part alone, and ``best`` is the best of the grid on the test part.

Shape suffixes: N tracks, M tracks that are asked about, D features, K classes, P points of the grid.

References
----------
.. [1] J. Pons, X. Serra, "Randomly weighted CNNs for (music) audio classification", ICASSP 2019, Sec. 2.2.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np

from phonolake.models.elm import ExtremeLearningMachine
from phonolake.records import TEST, TRAIN, VALID
from phonolake.studies import kept
from phonolake.studies.cells import FOLD, Work

BEST, NESTED = "best", "nested"
C_VALUES = (0.1, 2.0, 8.0, 32.0)
GAMMAS = (2.0**-3, 2.0**-5, 2.0**-7, 2.0**-9, 2.0**-11, 2.0**-13)
N_HIDDEN = (100, 250, 500, 1200, 1800, 2500)

# Names M tracks, for each point of the grid, from the numbers of the training tracks and of those that are asked about.
Namer = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


@dataclass(frozen=True, slots=True)
class Machine:
    """A classifier with its grid: `name(x_ND, y_N, seed)` gives what names tracks at a point of it."""

    n_points: int
    name: Callable[[np.ndarray, np.ndarray, int], Namer]


def support_vectors(x_ND: np.ndarray, y_N: np.ndarray, seed: int) -> Namer:
    """Support vector machines of the published grid; kernels are computed once for all of them."""
    from sklearn.svm import SVC

    x_ND = np.asarray(x_ND, np.float64)
    linear_NN = x_ND @ x_ND.T
    norm_N = np.diag(linear_NN)
    squared_NN = np.maximum(norm_N[:, None] + norm_N - 2 * linear_NN, 0)
    points = [*product((*GAMMAS, 1 / x_ND.shape[1]), C_VALUES), *product((None,), C_VALUES)]

    def name(taught: np.ndarray, asked: np.ndarray, point: int) -> np.ndarray:
        gamma, C = points[point]
        kernel_NN = linear_NN if gamma is None else np.exp(-gamma * squared_NN)
        machine = SVC(kernel="precomputed", C=C).fit(kernel_NN[np.ix_(taught, taught)], y_N[taught])
        named_M: np.ndarray = machine.predict(kernel_NN[np.ix_(asked, taught)])
        return named_M

    return name


def random_layers(x_ND: np.ndarray, y_N: np.ndarray, seed: int) -> Namer:
    """Extreme learning machines of the published sizes; each fit draws a layer of its own."""

    def name(taught: np.ndarray, asked: np.ndarray, point: int) -> np.ndarray:
        drawn = int(np.random.SeedSequence([seed, point, int(asked[0])]).generate_state(1)[0])
        machine = ExtremeLearningMachine(seed=drawn, n_hidden=N_HIDDEN[point])
        return machine.fit(x_ND[taught], y_N[taught]).predict(x_ND[asked])

    return name


MACHINES = {
    "svm-unscaled": Machine((len(GAMMAS) + 2) * len(C_VALUES), support_vectors),
    "elm": Machine(len(N_HIDDEN), random_layers),
}


def reached(work: Work, x_ND: np.ndarray, y_N: np.ndarray, track_ids: list[str], parts: list[str]) -> kept.Finished:
    """Search the grid and measure both protocols.

    Parameters
    ----------
    x_ND, y_N : ndarray
        Features and class numbers of the tracks.
    track_ids : list of str
    parts : list of str
        ``fold N``, or the part of a fixed split, of each track.
    """
    started = time.perf_counter()
    machine = MACHINES[work.cell.model]
    name = machine.name(x_ND, y_N, work.cell.seed)
    n_classes = len(work.task.examples.classes)
    part_N = np.array(parts)
    folds = sorted({part for part in parts if part.startswith(FOLD)}, key=lambda part: int(part.removeprefix(FOLD)))
    called = (
        _over_folds(name, machine.n_points, y_N, part_N, folds)
        if folds
        else _fixed(name, machine.n_points, y_N, part_N)
    )
    answers = {}
    for protocol, (held_M, named_M) in called.items():
        fold_M = [int(parts[n].removeprefix(FOLD)) if folds else -1 for n in held_M]
        P_MK = (named_M[:, None] == np.arange(n_classes)).astype(np.float64)
        answers[protocol] = kept.HeldOutAnswers(tuple(track_ids[n] for n in held_M), P_MK, np.array(fold_M))
    figures = {"features": x_ND.shape[1], "taught": work.n_taught}
    seconds = time.perf_counter() - started
    return kept.Finished(work.cell_id, work.task.examples.classes, figures, seconds, answers)


Called = dict[str, tuple[np.ndarray, np.ndarray]]


def _over_folds(name: Namer, n_points: int, y_N: np.ndarray, part_N: np.ndarray, folds: list[str]) -> Called:
    """Tracks in order of the folds, and what both protocols call them."""
    held = {fold: np.flatnonzero(part_N == fold) for fold in folds}
    rest = {fold: np.flatnonzero(part_N != fold) for fold in folds}
    by_fold = {fold: [name(rest[fold], held[fold], point) for point in range(n_points)] for fold in folds}
    right_P = [np.mean([np.mean(by_fold[f][p] == y_N[held[f]]) for f in folds]) for p in range(n_points)]
    best = int(np.argmax(right_P))
    nested = []
    for n, fold in enumerate(folds):
        valid = folds[(n + 1) % len(folds)]
        taught = np.flatnonzero((part_N != fold) & (part_N != valid))
        right = [np.mean(name(taught, held[valid], p) == y_N[held[valid]]) for p in range(n_points)]
        nested.append(by_fold[fold][int(np.argmax(right))])
    order = np.concatenate([held[fold] for fold in folds])
    return {
        BEST: (order, np.concatenate([by_fold[fold][best] for fold in folds])),
        NESTED: (order, np.concatenate(nested)),
    }


def _fixed(name: Namer, n_points: int, y_N: np.ndarray, part_N: np.ndarray) -> Called:
    taught, valid, test = (np.flatnonzero(part_N == part) for part in (TRAIN, VALID, TEST))
    on_test = [name(taught, test, point) for point in range(n_points)]
    best = int(np.argmax([np.mean(named == y_N[test]) for named in on_test]))
    chosen = int(np.argmax([np.mean(name(taught, valid, p) == y_N[valid]) for p in range(n_points)]))
    return {BEST: (test, on_test[best]), NESTED: (test, on_test[chosen])}
