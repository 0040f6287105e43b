"""A map of the tracks: their embeddings in two dimensions, for a bounded number of tracks.

Shape suffixes: N tracks, M of them, D embedding values.
"""

from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow.compute as pc

from phonolake.analysis.results.class_views import project
from phonolake.errors import PhonolakeError
from phonolake.search.vectors import unit

# A t-SNE of more takes minutes; of the components, reading the vectors is what takes time.
MOST_TRACKS = {"pca": 100_000, "tsne": 2000}
# Maximum size of the vectors to read: 128 MB.
MOST_VALUES = 1 << 25
# Maximum number of vectors for computing the components.
FITTED = 20_000


@dataclass(frozen=True, slots=True)
class EmbeddingMap:
    """Places of tracks.

    Parameters
    ----------
    places : ndarray of float32, shape (N, 2)
        The two principal components of the embeddings, each scaled to unit length; or a t-SNE of them.
    explained : float or None
        Share of the variance that the two components hold, in [0, 1]; the axes of a t-SNE have no meaning.
    n_total : int
        Tracks that have an embedding; those shown are the same sample of them every time.
    """

    run_id: str
    track_ids: tuple[str, ...]
    titles: tuple[str, ...]
    places: np.ndarray
    explained: float | None
    n_total: int


def embedding_map(
    connection: duckdb.DuckDBPyConnection, *, run: str | None = None, most: int | None = None, method: str = "pca"
) -> EmbeddingMap:
    """Map the embeddings of a run to two dimensions, by default of the newest.

    Parameters
    ----------
    most : int, optional
        Tracks that are shown at most; by default 100,000, and 2,000 for a t-SNE.
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
        raise PhonolakeError("the lake has no embeddings yet: run `phonolake score`")
    run_id, n_total = chosen[0]
    ((n_values,),) = connection.execute(
        "SELECT len(embedding) FROM embeddings WHERE run_id = $1 LIMIT 1", [run_id]
    ).fetchall()
    most = MOST_TRACKS.get(method, MOST_TRACKS["tsne"]) if most is None else most
    most = max(2, min(most, MOST_VALUES // max(1, n_values)))
    among = "embeddings"
    if n_total > most:
        # A sample is chosen by the ids alone.
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE on_map AS SELECT track_id FROM embeddings WHERE run_id = $1 "
            "QUALIFY row_number() OVER (ORDER BY hash(track_id), track_id) <= $2",
            [run_id, most],
        )
        among = "embeddings SEMI JOIN on_map USING (track_id)"
    named = connection.sql(
        "SELECT track_id, coalesce(t.title, t.source_id, track_id) AS title "
        f"FROM (SELECT track_id FROM {among} WHERE run_id = $1) LEFT JOIN tracks t USING (track_id) ORDER BY track_id",
        params=[run_id],
    ).to_arrow_table()
    vectors = connection.sql(
        f"SELECT track_id, embedding FROM {among} WHERE run_id = $1", params=[run_id]
    ).to_arrow_table()
    values = vectors["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    # Sorting the ids here spares the database from carrying the vectors along.
    order_N = pc.sort_indices(vectors["track_id"]).to_numpy()
    e_ND = values.astype(np.float32, copy=False).reshape(len(vectors), -1)[order_N]
    x_N2, explained = principal_components(e_ND) if method == "pca" else (project(e_ND, method=method), None)
    track_ids, titles = (tuple(named[name].to_pylist()) for name in ("track_id", "title"))
    return EmbeddingMap(run_id, track_ids, titles, x_N2.astype(np.float32), explained, n_total)


def principal_components(e_ND: np.ndarray) -> tuple[np.ndarray, float]:
    """Two principal components x_N2 of vectors scaled to unit length, and their share of the variance.

    Of more than 20,000 vectors, evenly spread ones of about that number decide on the components.
    """
    unit_ND = unit(e_ND)
    fitted_MD = unit_ND[:: -(-len(unit_ND) // FITTED)].astype(np.float64)
    mean_D = fitted_MD.mean(axis=0)
    fitted_MD -= mean_D
    value_D, vector_DD = np.linalg.eigh(fitted_MD.T @ fitted_MD)
    axes_D2 = vector_DD[:, ::-1][:, :2]
    x_N2 = np.zeros((len(unit_ND), 2))
    x_N2[:, : axes_D2.shape[1]] = unit_ND @ axes_D2.astype(np.float32) - mean_D @ axes_D2
    # Fix the arbitrary sign of a component: its longest arm points to the right and up, on every machine.
    longest = np.abs(x_N2).argmax(axis=0)
    x_N2 *= np.where(x_N2[longest, [0, 1]] < 0, -1, 1)
    variance_D = np.maximum(value_D[::-1], 0)
    total = float(variance_D.sum())
    return x_N2.astype(np.float32), float(variance_D[:2].sum()) / total if total else 0.0
