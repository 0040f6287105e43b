"""Predictions for tracks as one matrix, read piece by piece.

Shape suffixes: N tracks, L labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np

# Rows in memory at once, besides the matrix itself.
PIECE = 1_000_000


@dataclass(frozen=True, slots=True)
class Probabilities:
    """Mean probabilities P_NL of tracks and labels, in order of their names; NaN for missing ones."""

    track_ids: tuple[str, ...]
    labels: tuple[str, ...]
    P_NL: np.ndarray


def read(connection: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[Any]) -> Probabilities:
    """Read the result of a SELECT with the columns track_id, label and probability."""
    numbered = (
        f"WITH said AS NOT MATERIALIZED ({sql}), "
        "ids AS (SELECT track_id, row_number() OVER (ORDER BY track_id) - 1 AS n FROM (SELECT DISTINCT track_id "
        "FROM said)), names AS (SELECT label, row_number() OVER (ORDER BY label) - 1 AS k FROM (SELECT DISTINCT label "
        "FROM said)) "
    )
    track_ids, labels = (
        tuple(name for (name,) in connection.execute(numbered + wanted, parameters).fetchall())
        for wanted in ("SELECT track_id FROM ids ORDER BY n", "SELECT label FROM names ORDER BY k")
    )
    shape = (len(track_ids), len(labels))
    size = shape[0] * shape[1]
    sum_C, n_C = np.zeros(size), np.zeros(size, np.int32)
    # Numbers, and not names, for each row: a name for each would take many times the memory.
    pieces = connection.sql(
        f"{numbered} SELECT n * {len(labels)} + k AS cell, probability FROM said JOIN ids USING (track_id) "
        "JOIN names USING (label)",
        params=list(parameters),
    ).to_arrow_reader(PIECE)
    for piece in pieces:
        cell = piece["cell"].to_numpy()
        sum_C += np.bincount(cell, piece["probability"].to_numpy(), size)
        n_C += np.bincount(cell, minlength=size).astype(np.int32)
    with np.errstate(invalid="ignore"):
        return Probabilities(track_ids, labels, (sum_C / n_C).reshape(shape))
