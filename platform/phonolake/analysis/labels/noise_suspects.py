"""Single labels to listen to again, the most doubtful first, with the evidence against them.

A label that a track has may be false; one that it lacks may be missing. Both are ranked separately, because collections
omit labels far more often than they give wrong ones (Choi et al. 2018, Table I: 42.5 % against 3.5 %). The list has
only labels with which models disagree: something else is more probable, by more than their own errors explain.

Shape suffixes: N tracks, L labels, S suspects, D values of an embedding.
"""

from dataclasses import dataclass

import numpy as np

from phonolake.analysis.labels.cooccurrence import normalized_cooccurrence
from phonolake.analysis.labels.noise_counts import count_wrong
from phonolake.analysis.labels.noise_rates import NoiseEstimate
from phonolake.errors import unknown
from phonolake.lookup.embeddings import TrackVectors
from phonolake.lookup.held_out import HeldOut

KINDS = ("false-positive", "missing-positive")
NEIGHBOURS = 10
# What is less probably wrong than this is not listed; what is more probably wrong than right looks wrong.
LEAST, LOOKS_WRONG = 0.1, 0.5
# The number of wrong ones is given for this many of the first; an interval wider than this share of them is too wide.
FIRST, WIDEST = 24, 0.75
_BLOCK = 256


@dataclass(frozen=True, slots=True)
class LabelSuspect:
    """A suspect label, with the evidence.

    Parameters
    ----------
    kind : {"false-positive", "missing-positive"}
        Whether the track has the label.
    instead : str or None
        What the models take for the class, where the labels are classes: the most probable other one, or for a missing
        positive the given one.
    probability : float
        Held-out probability of the label.
    doubt : float
        Rank is by this. For classes, how far the most probable other class lies above the given one (for a missing
        positive: this one above the given one). Else how far the probability lies on the other side of what is usual
        for tracks with the label (missing positives) or without (false positives). In (0, 1].
    p_wrong : float or None
        Probability that what was given is wrong, the models' own errors taken into account (see `noise_rates`); None
        where that cannot be told.
    n_wrong, n_wrong_low, n_wrong_high : float, int, int or None
        Expected number of wrong ones among the suspects up to this one, and its 95 % interval (see `noise_counts`);
        None if unknown, and after the first 500.
    neighbours : float or None
        Share of the nearest other tracks that have the label; None without embeddings.
    expected : float or None
        C(i, label), the share of tracks with `because` that have this label, for that other label of the track where
        it is greatest; None when it has no other.
    """

    rank: int
    kind: str
    track_id: str
    label: str
    instead: str | None
    probability: float
    doubt: float
    p_wrong: float | None
    neighbours: float | None
    expected: float | None
    because: str | None
    n_wrong: float | None = None
    n_wrong_low: int | None = None
    n_wrong_high: int | None = None


def doubts(Y_NL: np.ndarray, P_NL: np.ndarray) -> np.ndarray:
    """How much the models doubt each value of Y_NL, see `LabelSuspect`.

    Returns
    -------
    ndarray of float64, shape (N, L)
        In [-1, 1].
    """
    Y, P = np.asarray(Y_NL, bool), np.asarray(P_NL, np.float64)
    if (Y.sum(axis=1) == 1).all() and Y.shape[1] > 1:
        p_given_N = P[Y]
        best_other_N = np.where(Y, -np.inf, P).max(axis=1)
        return np.where(Y, (best_other_N - p_given_N)[:, None], P - p_given_N[:, None])
    with np.errstate(invalid="ignore"):
        usual_with_L = (P * Y).sum(axis=0) / Y.sum(axis=0)
        usual_without_L = (P * ~Y).sum(axis=0) / (~Y).sum(axis=0)
    # Where every track has a label, or none, the middle stands for what is usual.
    return np.where(Y, np.nan_to_num(usual_without_L, nan=0.5) - P, P - np.nan_to_num(usual_with_L, nan=0.5))


def track_doubts(Y_NL: np.ndarray, P_NL: np.ndarray) -> np.ndarray:
    """How much the models doubt the most doubtful label that each track has.

    Returns
    -------
    ndarray of float64, shape (N,)
        In [0, 1]; 0 where they speak against none.
    """
    return np.where(Y_NL, doubts(Y_NL, P_NL), 0).max(axis=1, initial=0)


def rank(
    held: HeldOut, *, kind: str = "false-positive", label: str | None = None, top: int | None = None
) -> list[tuple[int, int, float]]:
    """Labels of a kind by doubt, all of them or the first `top`.

    Returns
    -------
    list of (row, column, doubt)
        Places in the matrices of `held`, the most doubtful first.

    Raises
    ------
    UsageError
        For an unknown kind or label.
    """
    row, column, doubt = (values[:top].tolist() for values in _ordered(held, kind, label))
    return list(zip(row, column, doubt, strict=True))


def _ordered(held: HeldOut, kind: str, label: str | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if kind not in KINDS:
        raise unknown("kind of suspect", kind, KINDS)
    if label is not None and label not in held.labels:
        raise unknown("label", label, held.labels)
    D_NL = doubts(held.Y_NL, held.P_NL)
    of_kind = held.Y_NL if kind == KINDS[0] else ~held.Y_NL
    if label is not None:
        of_kind = of_kind & (np.arange(len(held.labels)) == held.labels.index(label))
    row, column = np.nonzero(of_kind)
    doubt = D_NL[row, column]
    order = np.argsort(-doubt, kind="stable")
    return row[order], column[order], doubt[order]


def _listed(
    held: HeldOut, noise: NoiseEstimate, kind: str, label: str | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Row, column, doubt and probability of being wrong of all that is listed."""
    row, column, doubt = _ordered(held, kind, label)
    p_wrong = noise.wrong_NL[row, column]
    kept = (doubt > 0) & (noise.errs_when_sure | (p_wrong >= LEAST))
    return row[kept], column[kept], doubt[kept], p_wrong[kept]


def suspects(
    held: HeldOut,
    noise: NoiseEstimate,
    *,
    kind: str = "false-positive",
    label: str | None = None,
    top: int | None = None,
    embeddings: TrackVectors | None = None,
    k: int = NEIGHBOURS,
) -> list[LabelSuspect]:
    """The labels of a kind with which models disagree, with the evidence; arguments and errors as `rank`.

    Parameters
    ----------
    noise : NoiseEstimate
        Of the same tracks and labels, by `noise_rates.estimate`.
    embeddings : Embeddings, optional
        Where neighbours are searched, exactly, among the tracks of `held`.
    k : int
        How many neighbours.
    """
    all_rows, all_columns, *_ = listed = _listed(held, noise, kind, label)
    rows, columns, doubt, p_wrong = (values[:top].tolist() for values in listed)
    counts = [] if noise.errs_when_sure else count_wrong(noise, all_rows[:top], all_columns[:top])
    near = _neighbour_shares(held, rows, columns, embeddings, k)
    single = held.single
    # Classes exclude each other, so that none makes another likely.
    C_LL = None if single else normalized_cooccurrence(held.Y_NL)
    found = []
    for place, (n, c) in enumerate(zip(rows, columns, strict=True)):
        others = [int(i) for i in np.flatnonzero(held.Y_NL[n]) if i != c]
        because, expected = None, None
        if C_LL is not None and others:
            because = others[int(np.argmax(C_LL[others, c]))]
            expected = float(C_LL[because, c])
        found.append(
            LabelSuspect(
                place + 1,
                kind,
                held.track_ids[n],
                held.labels[c],
                held.labels[_instead(held, n, c)] if single else None,
                float(held.P_NL[n, c]),
                doubt[place],
                None if noise.errs_when_sure else p_wrong[place],
                near[place],
                expected,
                None if because is None else held.labels[because],
                *(counts[place] if place < len(counts) else ()),
            )
        )
    return found


def count(held: HeldOut, noise: NoiseEstimate, *, kind: str = "false-positive", label: str | None = None) -> int:
    """How many labels `suspects` lists in all."""
    return len(_listed(held, noise, kind, label)[0])


def headline(held: HeldOut, noise: NoiseEstimate, *, kind: str = "false-positive", label: str | None = None) -> str:
    """A sentence: how many labels look wrong, or missing, and how many of the first are; arguments as `suspects`."""
    rows, columns, _, p_wrong = _listed(held, noise, kind, label)
    word = "wrong" if kind == KINDS[0] else "missing"
    if noise.errs_when_sure:
        return (
            f"The models doubt {len(p_wrong):,} labels, but err about as often where they are surest: how many of them "
            f"are {word} cannot be told. Cross-validate other models too: several together may tell."
        )
    given_L = held.Y_NL.sum(axis=0)
    n_given = int(given_L.sum() if label is None else given_L[held.labels.index(label)])
    of = f" of {n_given:,}" if kind == KINDS[0] else ""
    if not len(p_wrong):
        return f"None{of} labels looks {word}: what the models say otherwise is explained by their own errors."
    n_first = min(FIRST, len(p_wrong))
    expected, low, high = count_wrong(noise, rows[:n_first], columns[:n_first])[-1]
    n_wrong = int((p_wrong >= LOOKS_WRONG).sum())
    listed = f"of the first {n_first}" if len(p_wrong) > n_first else f"of the {n_first} listed"
    looks = f"{n_wrong:,}{of} labels look {word}; {listed}, "
    if high - low > WIDEST * n_first and n_first >= FIRST:
        return f"{looks}anything from {low} to {high} may be: it takes more tracks, or better models, to tell."
    between = f" ({low} to {high})" if low < high else ""
    return f"{looks}about {expected:.0f}{between} are."


def _instead(held: HeldOut, n: int, c: int) -> int:
    if not held.Y_NL[n, c]:
        return int(held.Y_NL[n].argmax())
    return int(np.where(np.arange(len(held.labels)) == c, -np.inf, held.P_NL[n]).argmax())


def _neighbour_shares(
    held: HeldOut, rows: list[int], columns: list[int], embeddings: TrackVectors | None, k: int
) -> list[float | None]:
    if embeddings is None:
        return [None] * len(rows)
    place = {track_id: n for n, track_id in enumerate(held.track_ids)}
    kept = [n for n, track_id in enumerate(embeddings.track_ids) if track_id in place]
    Y_NL = held.Y_NL[[place[embeddings.track_ids[n]] for n in kept]]
    E_ND = embeddings.E_ND[kept]
    E_ND = E_ND / np.maximum(np.linalg.norm(E_ND, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    where = {embeddings.track_ids[n]: m for m, n in enumerate(kept)}
    shares: list[float | None] = [None] * len(rows)
    asked = [s for s, n in enumerate(rows) if held.track_ids[n] in where]
    k = min(k, len(kept) - 1)
    if k < 1:
        return shares
    for start in range(0, len(asked), _BLOCK):
        block = asked[start : start + _BLOCK]
        own = np.array([where[held.track_ids[rows[s]]] for s in block])
        similarity_SN = E_ND[own] @ E_ND.T
        similarity_SN[np.arange(len(own)), own] = -np.inf
        nearest_SK = np.argpartition(-similarity_SN, k - 1, axis=1)[:, :k]
        for s, nearest in zip(block, nearest_SK, strict=True):
            shares[s] = float(Y_NL[nearest, columns[s]].mean())
    return shares
