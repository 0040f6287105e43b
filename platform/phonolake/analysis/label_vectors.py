"""Label vectors: the output weights of a network say which labels it takes for alike (Choi et al. 2018, Sec. VI).

Shape suffixes: K labels, D values of a label vector.
"""

from dataclasses import dataclass

import duckdb
import numpy as np

from phonolake.errors import PhonolakeError, UsageError, unknown
from phonolake.models import home, registry, storage
from phonolake.store.lake import Lake

KINDS = ("cosine", "dot")


@dataclass(frozen=True, slots=True)
class SimilarLabels:
    """Two labels, the similarity of their vectors, and the rank of the pair, from 1."""

    label_i: str
    label_j: str
    similarity: float
    rank: int


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
    rows = connection.execute(
        "SELECT m.run_id, m.model FROM models m JOIN runs r USING (run_id) ORDER BY r.finished_at DESC, m.run_id"
    ).fetchall()
    for run_id, model in rows:
        if model_or_run in (None, run_id, model) and registry.get(model).CARD.kind == "network":
            loaded = storage.load(lake.root / "models" / run_id / "weights")
            assert isinstance(loaded, storage.LoadedNetwork)
            return loaded.classes, loaded.network.label_vectors()
    if model_or_run is not None:
        raise unknown("network", model_or_run, {name for row in rows for name in row})
    raise PhonolakeError(
        "label vectors are the output weights of a network, and none was trained: `phonolake train k2c2`"
    )


def label_vectors_at_home(model: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Labels and output weights W_KD of a network in the model home, such as the imported ``choi-msd``.

    Raises
    ------
    UsageError
        When it is not there, or is no network.
    """
    loaded = home.load(model)
    if not isinstance(loaded, storage.LoadedNetwork):
        raise UsageError(f"{model} is no network, so it has no label vectors")
    return loaded.classes, loaded.network.label_vectors()


def ranked_pairs(labels: tuple[str, ...], similarity_KK: np.ndarray, top: int | None = None) -> list[SimilarLabels]:
    """Unordered pairs of labels, the most similar first."""
    i, j = np.triu_indices(len(labels), k=1)
    order = np.argsort(-similarity_KK[i, j], kind="stable")[:top]
    return [
        SimilarLabels(labels[i[n]], labels[j[n]], float(similarity_KK[i[n], j[n]]), rank)
        for rank, n in enumerate(order, start=1)
    ]
