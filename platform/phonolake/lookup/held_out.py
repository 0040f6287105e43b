"""Held-out predictions: of models that were not trained on the track, with its given labels.

Shape suffixes: N tracks, L labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress

import duckdb
import numpy as np

from phonolake.errors import PhonolakeError, UsageError
from phonolake.lookup import probabilities
from phonolake.lookup.label_matrix import check_source, places
from phonolake.lookup.probabilities import Probabilities
from phonolake.records import TEST

# For more models only the mean is used.
MOST_MODELS = 8
OF_DATASET = "track_id IN (SELECT track_id FROM tracks WHERE dataset = $2)"


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Out-of-sample probabilities and given labels of the same tracks, in order of their names.

    Parameters
    ----------
    P_NL : ndarray of float64
        Mean held-out probability.
    Y_NL : ndarray of bool
        Given labels; every track has at least one, and every label at least one track.
    by_model : tuple of ndarray of float64
        The probabilities (N, L) of each model, if several scored all of the tracks; else empty.
    """

    track_ids: tuple[str, ...]
    labels: tuple[str, ...]
    P_NL: np.ndarray
    Y_NL: np.ndarray
    by_model: tuple[np.ndarray, ...] = ()

    def of(self, rows: Sequence[int] | np.ndarray) -> "HeldOut":
        """Some of the tracks, in this order."""
        return HeldOut(
            tuple(self.track_ids[n] for n in rows),
            self.labels,
            self.P_NL[rows],
            self.Y_NL[rows],
            tuple(P_NL[rows] for P_NL in self.by_model),
        )

    @property
    def single(self) -> bool:
        """Whether every track has exactly one label, so that the labels are classes."""
        return bool((self.Y_NL.sum(axis=1) == 1).all())

    @property
    def classes(self) -> np.ndarray:
        """Class number of each track, if each has one label."""
        assert self.single
        return self.Y_NL.argmax(axis=1)


def read_held_out(
    connection: duckdb.DuckDBPyConnection,
    *,
    source: str = "dataset",
    dataset: str | None = None,
    model: str | None = None,
) -> HeldOut:
    """Predictions of models for the tracks that they held out: the mean over the models, each by its newest training.

    Tracks without a label of `source` and labels without a track are left out.

    Parameters
    ----------
    source : str
        Source of the labels, as for the macro ``labels_by``: ``resolved`` for those that annotators corrected.
    model : str, optional
        Predictions of this model or run only.

    Raises
    ------
    UsageError
        For an unknown source.
    PhonolakeError
        When no labelled track has a held-out prediction.
    """
    check_source(connection, source)
    among, asked = ("true", []) if dataset is None else (OF_DATASET, [dataset])
    wanted = [model]
    if model is None:
        judged = f"SELECT DISTINCT model FROM predictions WHERE part = $1 AND {among} ORDER BY model"
        names = [name for (name,) in connection.execute(judged, [TEST, *asked]).fetchall()]
        # Named runs are used alone: other runs of the model predicted something else.
        wanted = names if 1 < len(names) <= MOST_MODELS else [None]
    said = f"SELECT track_id, label, probability FROM held_out(model_or_run := $1) WHERE {among}"
    own = [probabilities.read(connection, said, [name, *asked]) for name in wanted]
    found = own[0] if len(own) == 1 else _mean(own)
    given = connection.sql(
        "SELECT DISTINCT track_id, label FROM labels_by($1) WHERE value = 1", params=[source]
    ).to_arrow_table()
    row, column = places(given["track_id"], found.track_ids), places(given["label"], found.labels)
    known = (row >= 0) & (column >= 0)
    if not known.any():
        whose = "" if model is None else f" by {model!r}"
        raise PhonolakeError(f"no held-out predictions{whose} yet: `phonolake crossval` makes one for every track")
    Y_NL = np.zeros(found.P_NL.shape, bool)
    Y_NL[row[known], column[known]] = True
    held = _used(found, Y_NL)
    whole = tuple(P_NL for P_NL in (_aligned(one, held) for one in own) if P_NL is not None)
    return replace(held, by_model=whole) if len(whole) > 1 else held


def _mean(own: Sequence[Probabilities]) -> Probabilities:
    """The mean over several models, for each prediction over those that have it."""
    track_ids, labels = _together([one.track_ids for one in own]), _together([one.labels for one in own])
    sum_NL = np.zeros((len(track_ids), len(labels)))
    n_NL = np.zeros(sum_NL.shape, np.int32)
    for one in own:
        place = np.ix_(places(one.track_ids, track_ids), places(one.labels, labels))
        said_NL = ~np.isnan(one.P_NL)
        sum_NL[place] += np.where(said_NL, one.P_NL, 0)
        n_NL[place] += said_NL
    with np.errstate(invalid="ignore"):
        return Probabilities(track_ids, labels, sum_NL / n_NL)


def _together(names: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """All names in order; mostly those of each model are the same."""
    first, *others = names
    return first if all(own == first for own in others) else tuple(sorted(set(first).union(*others)))


def _aligned(found: Probabilities, held: HeldOut) -> np.ndarray | None:
    """Probabilities of one model in the rows and columns of `held`; None if it lacks some."""
    row, column = places(held.track_ids, found.track_ids), places(held.labels, found.labels)
    if (row < 0).any() or (column < 0).any():
        return None
    P_NL = found.P_NL[np.ix_(row, column)]
    return None if np.isnan(P_NL).any() else P_NL


def check_single(held: HeldOut, source: str) -> None:
    """Raise a `UsageError` unless every track has exactly one label, which analyses of classes need."""
    if not held.single:
        several = held.track_ids[int(np.argmax(held.Y_NL.sum(axis=1) != 1))]
        raise UsageError(
            f"labels of source {source!r} are not classes: {several} has several; name a --source with one each"
        )


def _used(found: Probabilities, Y_NL: np.ndarray) -> HeldOut:
    """Only labels with a track, and tracks with a label."""
    used_L = np.asarray(Y_NL.any(axis=0))
    P_NL, Y_NL = found.P_NL[:, used_L], Y_NL[:, used_L]
    # A track without a prediction for some label comes from runs with other labels.
    used_N = np.logical_and(Y_NL.any(axis=1), ~np.isnan(P_NL).any(axis=1))
    if not used_N.any():
        raise PhonolakeError("the held-out predictions come from runs with different labels: name one with --model")
    return HeldOut(
        tuple(compress(found.track_ids, used_N)), tuple(compress(found.labels, used_L)), P_NL[used_N], Y_NL[used_N]
    )
