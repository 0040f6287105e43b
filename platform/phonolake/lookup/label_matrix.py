"""Tracks and labels as one matrix: from a lake, or from files.

Shape suffixes: N tracks, L labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from phonolake.errors import PhonolakeError, UsageError, unknown
from phonolake.store import mirror

# An argument of `labels_by` besides sources: the dataset's labels, corrected by annotations.
RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class LabelMatrix:
    """Matrix Y_NL of 0 and 1: which track has which label, with the names of rows and columns.

    Parameters
    ----------
    track_ids : tuple of str
        Empty when the rows have no names.
    Y_NL : sparse array or ndarray
    """

    track_ids: tuple[str, ...]
    labels: tuple[str, ...]
    Y_NL: sparse.csr_array | np.ndarray


def read_labels(
    connection: duckdb.DuckDBPyConnection,
    *,
    source: str | None = None,
    dataset: str | None = None,
    min_count: int = 1,
) -> LabelMatrix:
    """The positive labels of a lake as one sparse matrix; rows and columns in order of their names.

    Parameters
    ----------
    source : str, optional
        Labels of this source only, as for the macro ``labels_by``.
    dataset : str, optional
        Tracks of this dataset only.
    min_count : int
        Leave out labels that fewer tracks have.

    Raises
    ------
    UsageError
        For an unknown source.
    """
    said, parameters = "labels", [dataset, min_count]
    if source is not None:
        check_source(connection, source)
        said, parameters = "labels_by($3)", [*parameters, source]
    table = connection.sql(
        f"WITH said AS (SELECT DISTINCT l.track_id, l.label FROM {said} l WHERE l.value = 1 "
        "AND ($1 IS NULL OR l.track_id IN (SELECT track_id FROM tracks WHERE dataset = $1))), "
        "common AS (SELECT label FROM said GROUP BY label HAVING count(*) >= $2) "
        "SELECT track_id, label FROM said WHERE label IN (FROM common) ORDER BY track_id",
        params=parameters,
    ).to_arrow_table()
    track_ids, row_N = coded(table["track_id"])
    labels, column_N = coded(table["label"])
    shape = (len(track_ids), len(labels))
    Y_NL = sparse.csr_array((np.ones(len(row_N), np.int8), (row_N, column_N)), shape=shape)
    return LabelMatrix(tuple(track_ids), tuple(labels), Y_NL)


def coded(column: pa.ChunkedArray) -> tuple[list[str], np.ndarray]:
    """Distinct values in order, and the position of each value among them."""
    coded = pc.dictionary_encode(column).combine_chunks()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.chunk(0) if coded.num_chunks else pa.DictionaryArray.from_arrays(pa.array([], "int32"), [])
    names = coded.dictionary.to_pylist()
    order = sorted(range(len(names)), key=names.__getitem__)
    place = np.empty(len(names), np.int64)
    place[order] = np.arange(len(names))
    return [names[k] for k in order], place[coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)]


def places(values: pa.ChunkedArray | Sequence[str], among: Sequence[str]) -> np.ndarray:
    """The position of each value in a list of distinct ones, -1 for missing ones."""
    if isinstance(values, tuple) and values == among:
        return np.arange(len(values))
    wanted = values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([pa.array(values, pa.string())])
    return pc.fill_null(pc.index_in(wanted, pa.array(among, pa.string())), -1).to_numpy().astype(np.int64)


def read_matrix(matrix: str | Path, names: str | Path | None = None) -> LabelMatrix:
    """A label matrix from a NumPy file, with the names of its columns one a line.

    Parameters
    ----------
    matrix : path
        ``.npy`` (tracks, labels) of 0 and 1, which is read block by block, or the ``.npz`` of `scipy.sparse.save_npz`.
    names : path, optional
        Text file; without it the names are the column numbers from 0.

    Raises
    ------
    UsageError
        If a file is missing or of another kind, or the numbers of names and columns differ.
    """
    with mirror.brought(matrix) as path:
        Y_NL = _load(path)
    if Y_NL.ndim != 2:
        raise UsageError(f"{matrix} has shape {Y_NL.shape}: labels are a matrix (tracks, labels)")
    if names is None:
        return LabelMatrix((), tuple(str(k) for k in range(Y_NL.shape[1])), Y_NL)
    labels = read_names(names)
    if len(labels) != Y_NL.shape[1]:
        raise UsageError(f"{names} has {len(labels)} names for the {Y_NL.shape[1]} columns of {matrix}")
    return LabelMatrix((), labels, Y_NL)


def read_names(path: str | Path) -> tuple[str, ...]:
    """Names of labels from a text file, one a line; empty lines at the end do not count.

    Raises
    ------
    UsageError
        If the file is missing or not text, or a name is empty or appears twice.
    """
    with mirror.brought(path) as brought:
        try:
            text = brought.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} cannot be read as a list of names ({error})") from error
    lines = [line.strip() for line in text.rstrip().split("\n")]
    if "" in lines or len(set(lines)) < len(lines):
        twice = next(line for n, line in enumerate(lines) if not line or line in lines[:n])
        raise UsageError(f"{path} has {'an empty line' if not twice else f'{twice!r} twice'}: one label a line")
    return tuple(lines)


def _load(path: Path) -> np.ndarray | sparse.csr_array:
    if not path.is_file():
        raise UsageError(f"no file at {path}")
    try:
        if path.suffix == ".npz":
            return sparse.csr_array(sparse.load_npz(path))
        # Pickled objects are refused, because they could run code.
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, KeyError, EOFError) as error:
        raise UsageError(
            f"{path} is not a matrix of labels ({error}): give a .npy array or a scipy.sparse .npz"
        ) from error


def check_some(found: LabelMatrix, source: str | None) -> None:
    """Raise a `PhonolakeError` when there are no labels."""
    if not found.labels:
        of = "" if source is None else f" of source {source!r}"
        raise PhonolakeError(f"the lake has no labels{of} yet: run `phonolake run` or `phonolake ingest`")


def check_source(connection: duckdb.DuckDBPyConnection, source: str, *, resolved: bool = True) -> None:
    """Raise a `UsageError` that lists the sources, unless `source` is one, or the lake has no labels at all.

    Parameters
    ----------
    resolved : bool
        Whether ``resolved`` also counts as a source, as for the macro ``labels_by``.
    """
    names = {name for (name,) in connection.execute("SELECT DISTINCT source FROM labels").fetchall()}
    known = names | {RESOLVED} if resolved else names
    if names and (source.removeprefix(RESOLVED + ":") if resolved else source) not in known:
        raise unknown("label source", source, known)
