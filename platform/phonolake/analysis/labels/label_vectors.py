"""Label vectors: the output weights of a network show which labels it finds similar (Choi et al. 2018, Sec. V-A).

Shape suffixes: K labels, D values of a label vector.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np

from phonolake.analysis.labels.cooccurrence import normalized_cooccurrence
from phonolake.errors import PhonolakeError, UsageError, unknown
from phonolake.lookup import runs
from phonolake.lookup.label_matrix import LabelMatrix
from phonolake.store import trained
from phonolake.store.lake import Lake

KINDS = ("cosine", "dot")


@dataclass(frozen=True, slots=True)
class SimilarLabels:
    """Two labels, the similarity of their vectors, and the rank of the pair, from 1."""

    label_i: str
    label_j: str
    similarity: float
    rank: int


@dataclass(frozen=True, slots=True)
class VectorPair:
    """Two labels as a network sees them and as people use them.

    Parameters
    ----------
    similarity : float
        Of their vectors; `rank` is that of the pair, from 1.
    cooccurrence : float
        The greater of C(i, j) and C(j, i); `cooccurrence_rank` is its rank, from 1, the mean one of equal values.
    surplus : float
        log2 of `cooccurrence_rank` over `rank`: how many doublings of rank the pair is higher by sound than by use, so
        that the first ranks count most. Positive for labels that sound alike but seldom occur together, negative for
        the opposite.
    """

    label_i: str
    label_j: str
    similarity: float
    rank: int
    cooccurrence: float
    cooccurrence_rank: float
    surplus: float


def label_vector_similarity(W_KD: np.ndarray, *, kind: str = "cosine") -> np.ndarray:
    """Similarity of all pairs of label vectors.

    Parameters
    ----------
    W_KD : ndarray
        One row per label: the weights of the output layer.
    kind : {"cosine", "dot"}
        The text of Choi et al. 2018 says dot product (Eq. 3); their printed Table III is the cosine.

    Returns
    -------
    ndarray of float64, shape (K, K)
    """
    if kind not in KINDS:
        raise unknown("similarity", kind, KINDS)
    W = np.asarray(W_KD, np.float64)
    if kind == "cosine":
        W = W / np.maximum(np.linalg.norm(W, axis=1, keepdims=True), np.finfo(float).tiny)
    return W @ W.T


def label_vectors(
    lake: Lake, connection: duckdb.DuckDBPyConnection, model_or_run: str | None = None
) -> tuple[tuple[str, ...], np.ndarray]:
    """Labels and output weights W_KD of the newest network, or of the one that is named.

    Raises
    ------
    UsageError
        For a name that no trained network has.
    PhonolakeError
        When the lake has no network.
    """
    # Late: these import torch, and the rest needs numpy only.
    from phonolake.models import registry, storage
    from phonolake.models.loaded_network import LoadedNetwork
    from phonolake.models.registry import NetworkCard

    networks = {card.name for card in registry.cards() if isinstance(card, NetworkCard)}
    run = runs.find(
        runs.model_runs(connection), model_or_run, what="network", among=lambda known: known.architecture in networks
    )
    if run is None:
        raise PhonolakeError(
            "label vectors are the output weights of a network, but none was trained: run `phonolake train k2c2`"
        )
    loaded = storage.load(trained.weights(lake.place, run.run_id))
    assert isinstance(loaded, LoadedNetwork)
    return loaded.classes, loaded.network.label_vectors()


def label_vectors_at_home(model: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Labels and output weights W_KD of a network in the model home, such as the imported ``choi-msd``.

    Raises
    ------
    UsageError
        When it is not there, or is no network.
    """
    from phonolake.models import home
    from phonolake.models.loaded_network import LoadedNetwork

    loaded = home.load(model)
    if not isinstance(loaded, LoadedNetwork):
        raise UsageError(f"{model} is not a network, so it has no label vectors")
    return loaded.classes, loaded.network.label_vectors()


def ranked_pairs(labels: tuple[str, ...], similarity_KK: np.ndarray, top: int | None = None) -> list[SimilarLabels]:
    """Unordered pairs of labels, the most similar first."""
    i, j = np.triu_indices(len(labels), k=1)
    order = np.argsort(-similarity_KK[i, j], kind="stable")[:top]
    return [
        SimilarLabels(labels[i[n]], labels[j[n]], float(similarity_KK[i[n], j[n]]), rank)
        for rank, n in enumerate(order, start=1)
    ]


def common_labels(
    names: Sequence[str], similarity_KK: np.ndarray, matrix: LabelMatrix
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Labels that a network and a collection share, with similarity and C of these, in the network's order.

    Labels that no track has are left out: their C is not defined.

    Raises
    ------
    UsageError
        If fewer than three labels are left, which have nothing to rank.
    """
    C_LL = normalized_cooccurrence(matrix.Y_NL)
    place = {label: k for k, label in enumerate(matrix.labels) if not np.isnan(C_LL[k, k])}
    kept = [k for k, name in enumerate(names) if name in place]
    if len(kept) < 3:
        raise UsageError(
            f"labels that the network and the tracks share: {len(kept)}, and a ranking of pairs needs 3; compare it "
            "with the labels that it learned"
        )
    columns = [place[names[k]] for k in kept]
    return tuple(names[k] for k in kept), similarity_KK[np.ix_(kept, kept)], C_LL[np.ix_(columns, columns)]


def rank_correlation(similarity_KK: np.ndarray, C_KK: np.ndarray) -> float:
    """Spearman correlation of similarity and max(C(i, j), C(j, i)) over unordered pairs (0.580 in Choi et al. 2018).

    Their footnote prints C(y, y) where C(j, i) is meant. Equal values share their mean rank.

    Returns
    -------
    float
        In [-1, 1]; NaN where all values of one side are equal.
    """
    first, second = (_ranks(values) for values in _pair_values(similarity_KK, C_KK))
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def compare(names: Sequence[str], similarity_KK: np.ndarray, C_KK: np.ndarray) -> list[VectorPair]:
    """Similarity beside co-occurrence for every unordered pair, the most similar first."""
    i, j = np.triu_indices(len(names), k=1)
    similar, together = _pair_values(similarity_KK, C_KK)
    order = np.argsort(-similar, kind="stable")
    rank = np.empty(len(order))
    rank[order] = np.arange(1, len(order) + 1)
    rank_together = _ranks(-together)
    surplus = np.log2(rank_together / _ranks(-similar))
    return [
        VectorPair(
            names[i[n]],
            names[j[n]],
            float(similar[n]),
            int(rank[n]),
            float(together[n]),
            float(rank_together[n]),
            float(surplus[n]),
        )
        for n in order
    ]


def disagreements(compared: Sequence[VectorPair], top: int) -> tuple[list[VectorPair], list[VectorPair]]:
    """Where network and people differ most.

    Returns
    -------
    alike, together : list of Comparison
        Similar vectors but low co-occurrence (words that people use instead of each other, or likenesses that nobody
        names), and the reverse (words that come together for another reason than sound).
    """
    ranked = sorted(compared, key=lambda pair: (-pair.surplus, pair.label_i, pair.label_j))
    alike = [pair for pair in ranked[:top] if pair.surplus > 0]
    # Labels that never occur together do not count as together, whatever their rank.
    together = [pair for pair in reversed(ranked) if pair.surplus < 0 and pair.cooccurrence > 0][:top]
    return alike, together


def tracks_to_hear(matrix: LabelMatrix, label_i: str, label_j: str, *, most: int = 3) -> dict[str, list[str]]:
    """Some tracks with both labels, with the first only, and with the second only, in order of their ids.

    Returns
    -------
    dict
        Track ids under ``"both"``, ``"only_i"`` and ``"only_j"``; all empty when the rows of the matrix have no names.
    """
    empty: dict[str, list[str]] = {"both": [], "only_i": [], "only_j": []}
    if not matrix.track_ids:
        return empty
    columns = [matrix.labels.index(label) for label in (label_i, label_j)]
    chosen = matrix.Y_NL[:, columns]
    i, j = (chosen if isinstance(chosen, np.ndarray) else chosen.toarray()).astype(bool).T
    wanted = {"both": i & j, "only_i": i & ~j, "only_j": j & ~i}
    return {name: [matrix.track_ids[n] for n in np.flatnonzero(which)[:most]] for name, which in wanted.items()}


def _pair_values(similarity_KK: np.ndarray, C_KK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if similarity_KK.shape != C_KK.shape or similarity_KK.shape[0] != similarity_KK.shape[1]:
        raise UsageError(f"both are (labels, labels); received shapes {similarity_KK.shape} and {C_KK.shape}")
    i, j = np.triu_indices(len(C_KK), k=1)
    return similarity_KK[i, j], np.maximum(C_KK, C_KK.T)[i, j]


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, the least first; equal values share the mean of theirs."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]
