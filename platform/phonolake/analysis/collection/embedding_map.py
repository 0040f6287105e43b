"""A map of the tracks: their embeddings in two dimensions, for a bounded number of tracks.

Shape suffixes: N tracks, D embedding values.
"""

from dataclasses import dataclass

import duckdb
import numpy as np

from phonolake.analysis.results.class_views import project
from phonolake.errors import PhonolakeError

MOST_TRACKS = 2000


@dataclass(frozen=True, slots=True)
class EmbeddingMap:
    """Places of tracks.

    Parameters
    ----------
    places : ndarray of float32, shape (N, 2)
        The two principal components of the embeddings, each of which was brought to unit length; or a t-SNE of them.
    explained : float or None
        Share of the variance that the two components hold, in [0, 1]; the axes of a t-SNE mean nothing.
    n_total : int
        Tracks that have an embedding; those shown are the same sample of them every time.
    """

    run_id: str
    track_ids: tuple[str, ...]
    titles: tuple[str, ...]
    labels: tuple[str | None, ...]
    places: np.ndarray
    explained: float | None
    n_total: int


def embedding_map(
    connection: duckdb.DuckDBPyConnection, *, run: str | None = None, most: int = MOST_TRACKS, method: str = "pca"
) -> EmbeddingMap:
    """Lay out the embeddings of a run, of the newest one by default.

    Parameters
    ----------
    method : {"pca", "tsne"}
        t-SNE keeps near tracks near, and takes seconds (see `class_views.project`).

    Raises
    ------
    UsageError
        For an unknown method, or a t-SNE of fewer than four tracks.
    PhonolakeError
        When there are no embeddings (of that run).
    """
    chosen = connection.execute(
        "SELECT run_id, n_tracks FROM embedding_models WHERE $1 IS NULL OR run_id = $1 LIMIT 1", [run]
    ).fetchall()
    if not chosen:
        raise PhonolakeError("the lake has no embeddings yet: `phonolake score` makes them")
    run_id, n_total = chosen[0]
    # The sample is chosen by the ids alone, so that only its own vectors are read.
    ids = connection.execute(
        "SELECT track_id FROM embeddings WHERE run_id = $1 ORDER BY hash(track_id), track_id LIMIT $2", [run_id, most]
    ).fetchall()
    rows = connection.sql(
        """
        WITH shown AS (SELECT unnest($2) AS track_id), said AS (
            SELECT track_id, min(label) AS label FROM labels
            WHERE value = 1 AND source = 'dataset' AND track_id IN (SELECT track_id FROM shown) GROUP BY track_id
        )
        SELECT e.track_id, coalesce(t.title, t.source_id, e.track_id) AS title, s.label, e.embedding
        FROM embeddings e LEFT JOIN tracks t USING (track_id) LEFT JOIN said s USING (track_id)
        WHERE e.run_id = $1 AND e.track_id IN (SELECT track_id FROM shown) ORDER BY e.track_id
        """,
        params=[run_id, [track_id for (track_id,) in ids]],
    ).to_arrow_table()
    track_ids, titles, labels = (tuple(rows[name].to_pylist()) for name in ("track_id", "title", "label"))
    values = rows["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    e_ND = values.astype(np.float64).reshape(len(rows), -1)
    x_N2, explained = principal_components(e_ND) if method == "pca" else (project(e_ND, method=method), None)
    return EmbeddingMap(run_id, track_ids, titles, labels, x_N2.astype(np.float32), explained, n_total)


def principal_components(e_ND: np.ndarray) -> tuple[np.ndarray, float]:
    """Two principal components x_N2 of vectors that are brought to unit length, and the share of variance they hold."""
    unit_ND = e_ND / np.maximum(np.linalg.norm(e_ND, axis=1, keepdims=True), np.finfo(float).tiny)
    centred_ND = unit_ND - unit_ND.mean(axis=0)
    u_NR, s_R, _ = np.linalg.svd(centred_ND, full_matrices=False)
    x_N2 = np.zeros((len(e_ND), 2))
    n = min(2, len(s_R))
    x_N2[:, :n] = u_NR[:, :n] * s_R[:n]
    # The sign of a component is free: its longest arm points to the right and up, on every machine.
    longest = np.abs(x_N2).argmax(axis=0)
    x_N2 *= np.where(x_N2[longest, [0, 1]] < 0, -1, 1)
    total = float(np.square(s_R).sum())
    return x_N2.astype(np.float32), float(np.square(s_R[:2]).sum()) / total if total else 0.0
