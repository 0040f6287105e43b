"""Several models as one: mean probability and majority vote, on the clips that all of them held out.

Shape suffixes: R members, N clips, K classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np

from phonolake.errors import PhonolakeError, UsageError, unknown
from phonolake.lookup.label_matrix import check_source
from phonolake.metrics import classification


def average(P_RNK: np.ndarray) -> np.ndarray:
    """Compute the mean probabilities P_NK of the members; rows sum to 1 where theirs do."""
    mean_NK: np.ndarray = _checked(P_RNK).mean(axis=0)
    return mean_NK


def vote(P_RNK: np.ndarray) -> np.ndarray:
    """Compute the majority vote as scores in [0, 1] that sum to 1 over the classes.

    Every member gives one vote to its most probable class (the first of equals), and all of them together one more,
    shared out by their mean probability. So more votes always win, and among equal votes the larger mean probability.

    Returns
    -------
    S_NK : ndarray of float64
    """
    P_RNK = _checked(P_RNK)
    votes_RNK = P_RNK.argmax(axis=2)[:, :, None] == np.arange(P_RNK.shape[2])
    scores_NK: np.ndarray = (votes_RNK.sum(axis=0) + average(P_RNK)) / (len(P_RNK) + 1)
    return scores_NK


METHODS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"mean": average, "vote": vote}


def _checked(P_RNK: np.ndarray) -> np.ndarray:
    P_RNK = np.asarray(P_RNK, np.float64)
    if P_RNK.ndim != 3 or 0 in P_RNK.shape:
        raise UsageError(f"an ensemble reads probabilities (members, clips, classes), received {P_RNK.shape}")
    return P_RNK


@dataclass(frozen=True, slots=True)
class Member:
    """The figures of one member, or of the ensemble, on the common clips."""

    member: str
    accuracy: float
    macro_f1: float
    roc_auc: float
    n_tracks: int


@dataclass(frozen=True, slots=True)
class Common:
    """The common held-out clips of all members.

    Parameters
    ----------
    y : ndarray of int, shape (N,)
    probabilities : ndarray, shape (R, N, K)
    n_each : tuple of int
        Clips that each member scored unseen; `track_ids` are those that all of them did.
    """

    members: tuple[str, ...]
    classes: tuple[str, ...]
    track_ids: tuple[str, ...]
    y: np.ndarray
    probabilities: np.ndarray
    n_each: tuple[int, ...]


def compare(common: Common, method: str) -> list[Member]:
    """Evaluate every member, and last the ensemble."""
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    scores = [*common.probabilities, METHODS[method](common.probabilities)]
    return [_measure(name, common.y, S) for name, S in zip((*common.members, method), scores, strict=True)]


def _measure(name: str, y_N: np.ndarray, S_NK: np.ndarray) -> Member:
    named_N, n_classes = S_NK.argmax(axis=1), S_NK.shape[1]
    return Member(
        name,
        classification.accuracy(y_true=y_N, y_pred=named_N),
        classification.macro_f1(y_true=y_N, y_pred=named_N, n_classes=n_classes),
        classification.macro(classification.roc_auc(y_true=y_N, scores=S_NK)),
        len(y_N),
    )


def common_clips(connection: duckdb.DuckDBPyConnection, members: Sequence[str], *, source: str = "dataset") -> Common:
    """Read what the members say of the clips that were test clips to all of them.

    Parameters
    ----------
    members : sequence of str
        Runs; or models, which stand for all their runs: those of a cross-validation cover every clip once, and a clip
        that several runs held out gets their mean.
    source : str
        Whose labels are true, as the macro ``labels_by`` takes it. Clips with another number of labels than one are
        left out.

    Raises
    ------
    UsageError
        For an unknown source, fewer than two members, unknown ones, one that is named twice, or members that know
        different classes.
    PhonolakeError
        When there is no clip that all of them scored unseen.
    """
    if len(set(members)) < max(2, len(members)):
        raise UsageError(f"an ensemble has two members or more, each named once; received {', '.join(members)}")
    check_source(connection, source)
    classes = _classes(connection, members)
    truth = dict(
        connection.execute(
            "SELECT track_id, any_value(label) FROM labels_by($1) WHERE value = 1 "
            "GROUP BY track_id HAVING count(DISTINCT label) = 1",
            [source],
        ).fetchall()
    )
    scored = [_held_out(connection, member, classes) for member in members]
    shared = set.intersection(*(set(found) for found in scored))
    track_ids = tuple(sorted(t for t in shared if truth.get(t) in classes))
    if not track_ids:
        counts = ", ".join(f"{member} {len(found)}" for member, found in zip(members, scored, strict=True))
        raise PhonolakeError(
            f"no track with one label was held out by all of these runs (they scored: {counts}): train them on the "
            "same split with `phonolake crossval`, or score them with `phonolake score --run RUN_ID`"
        )
    return Common(
        tuple(members),
        classes,
        track_ids,
        np.array([classes.index(truth[t]) for t in track_ids]),
        np.array([[found[t] for t in track_ids] for found in scored]),
        tuple(len(found) for found in scored),
    )


def _classes(connection: duckdb.DuckDBPyConnection, members: Sequence[str]) -> tuple[str, ...]:
    """The classes that all runs of all members know, in the order of the first."""
    rows = connection.execute("SELECT run_id, model, labels FROM models ORDER BY run_id").fetchall()
    known: dict[str, list[list[str]]] = {}
    for run_id, model, labels in rows:
        for name in (run_id, model):
            known.setdefault(name, []).append(labels)
    for member in members:
        if member not in known:
            raise unknown("run or model", member, known)
    first: list[str] = known[members[0]][0]
    for member in members:
        for labels in known[member]:
            if set(labels) != set(first):
                raise UsageError(
                    f"{member} knows {len(labels)} classes, {members[0]} {len(first)}, and not the same ones: "
                    "an ensemble joins models of the same classes"
                )
    return tuple(first)


def _held_out(connection: duckdb.DuckDBPyConnection, member: str, classes: tuple[str, ...]) -> dict[str, list[float]]:
    """Probabilities in the order of `classes` of every clip that the member scored unseen."""
    rows = connection.execute(
        "SELECT track_id, label, avg(probability) FROM held_out(model_or_run := $1) GROUP BY ALL",
        [member],
    ).fetchall()
    found: dict[str, list[float]] = {}
    for track_id, label, probability in rows:
        found.setdefault(track_id, [0.0] * len(classes))[classes.index(label)] = probability
    return found
