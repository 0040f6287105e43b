"""The embeddings of tracks by a model.

Shape suffixes: N tracks, D numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np

from phonolake.lookup import runs


@dataclass(frozen=True, slots=True)
class TrackVectors:
    """Vectors of tracks: E_ND."""

    track_ids: tuple[str, ...]
    E_ND: np.ndarray


def read(
    connection: duckdb.DuckDBPyConnection, track_ids: Sequence[str], *, model: str | None = None
) -> TrackVectors | None:
    """Embeddings of these tracks by a model or run, the newest by default; None if there are none.

    Raises
    ------
    UsageError
        For a named model without embeddings.
    """
    run = runs.find(runs.with_embeddings(connection), model, what="model with embeddings")
    if run is None:
        return None
    table = connection.sql(
        "SELECT track_id, embedding FROM embeddings WHERE run_id = $1 AND track_id IN (SELECT unnest($2)) "
        "ORDER BY track_id",
        params=[run.run_id, list(track_ids)],
    ).to_arrow_table()
    if not len(table):
        return None
    values = table["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return TrackVectors(tuple(table["track_id"].to_pylist()), values.reshape(len(table), -1).astype(np.float32))
