"""Predictions for tracks as one matrix, read piece by piece.

Shape suffixes: N tracks, L labels.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

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
    rows: dict[str, int] = {}
    columns: dict[str, int] = {}
    sum_NL, n_NL = np.zeros((0, 0)), np.zeros((0, 0), np.int32)
    for piece in connection.sql(sql, params=list(parameters)).to_arrow_reader(PIECE):
        if not piece.num_rows:
            continue
        # The tracks of a piece are few of all.
        (here, of_here_P), (label_M, of_label_P) = _numbers(piece["track_id"], rows), _numbers(piece["label"], columns)
        sum_NL, n_NL = (_with_room(values_NL, len(rows), len(columns)) for values_NL in (sum_NL, n_NL))
        width = n_NL.shape[1]
        cell_P = of_here_P * width + label_M[of_label_P]
        size = len(here) * width
        sum_NL[here] += np.bincount(cell_P, piece["probability"].to_numpy(), size).reshape(-1, width)
        n_NL[here] += np.bincount(cell_P, minlength=size).reshape(-1, width).astype(np.int32)
    track_ids, labels = sorted(rows), sorted(columns)
    by_name = np.ix_([*map(rows.__getitem__, track_ids)], [*map(columns.__getitem__, labels)])
    with np.errstate(invalid="ignore"):
        return Probabilities(tuple(track_ids), tuple(labels), sum_NL[by_name] / n_NL[by_name])


def _numbers(names: pa.Array, known: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the distinct names, of which new ones get the next, and the place of each name among those."""
    encoded = names.dictionary_encode()
    distinct = encoded.dictionary.to_pylist()
    new = [name for name in distinct if name not in known]
    known.update(zip(new, itertools.count(len(known))))
    numbers = np.fromiter(map(known.__getitem__, distinct), np.int64, len(distinct))
    return numbers, encoded.indices.to_numpy().astype(np.int64)


def _with_room(values_NL: np.ndarray, n_rows: int, n_columns: int) -> np.ndarray:
    """The same values in a matrix with at least so many rows and columns."""
    have_rows, have_columns = values_NL.shape
    if n_rows <= have_rows and n_columns <= have_columns:
        return values_NL
    shape = (have_rows if n_rows <= have_rows else max(n_rows, 2 * have_rows), max(n_columns, have_columns))
    larger_NL = np.zeros(shape, values_NL.dtype)
    larger_NL[:have_rows, :have_columns] = values_NL
    return larger_NL
