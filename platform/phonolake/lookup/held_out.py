"""What models that did not learn from a track say about it, beside the labels that it was given.

Shape suffixes: N tracks, L labels.
"""

from dataclasses import dataclass
from itertools import compress

import duckdb
import numpy as np

from phonolake.errors import PhonolakeError, UsageError
from phonolake.lookup import probabilities
from phonolake.lookup.label_matrix import check_source, places
from phonolake.lookup.probabilities import Probabilities


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Out-of-sample probabilities and given labels of the same tracks, in order of their names.

    Parameters
    ----------
    P_NL : ndarray of float64
        Mean held-out probability.
    Y_NL : ndarray of bool
        Given labels; every track has at least one, and every label at least one track.
    """

    track_ids: tuple[str, ...]
    labels: tuple[str, ...]
    P_NL: np.ndarray
    Y_NL: np.ndarray

    @property
    def single(self) -> bool:
        """Whether every track has exactly one label, so that the labels are classes."""
        return bool((self.Y_NL.sum(axis=1) == 1).all())

    @property
    def classes(self) -> np.ndarray:
        """Class number of each track, where each has one label."""
        assert self.single
        return self.Y_NL.argmax(axis=1)


def read_held_out(
    connection: duckdb.DuckDBPyConnection,
    *,
    source: str = "dataset",
    dataset: str | None = None,
    model: str | None = None,
) -> HeldOut:
    """What models said of the tracks that they held out: the mean over the models, each by its newest training.

    Tracks without a label of `source` and labels without a track are left out: nothing was claimed about them.

    Parameters
    ----------
    source : str
        Whose labels, as the macro ``labels_by`` takes it: ``resolved`` for those that annotators corrected.
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
    found = probabilities.read(
        connection,
        "SELECT track_id, label, probability FROM held_out(model_or_run := $1) "
        "WHERE $2 IS NULL OR track_id IN (SELECT track_id FROM tracks WHERE dataset = $2)",
        [model, dataset],
    )
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
    return _used(found, Y_NL)


def check_single(held: HeldOut, source: str) -> None:
    """Raise a `UsageError` unless every track has one label only: what asks for classes cannot do with tags."""
    if not held.single:
        several = held.track_ids[int(np.argmax(held.Y_NL.sum(axis=1) != 1))]
        raise UsageError(
            f"labels of source {source!r} are no classes: {several} has several; name a --source with one label a track"
        )


def _used(found: Probabilities, Y_NL: np.ndarray) -> HeldOut:
    """Only labels with a track, and tracks with a label."""
    used_L = np.asarray(Y_NL.any(axis=0))
    P_NL, Y_NL = found.P_NL[:, used_L], Y_NL[:, used_L]
    # A track that some label has no prediction for comes from runs with other labels.
    used_N = np.logical_and(Y_NL.any(axis=1), ~np.isnan(P_NL).any(axis=1))
    if not used_N.any():
        raise PhonolakeError("the held-out predictions are of runs with different labels: name one with --model")
    return HeldOut(
        tuple(compress(found.track_ids, used_N)), tuple(compress(found.labels, used_L)), P_NL[used_N], Y_NL[used_N]
    )
