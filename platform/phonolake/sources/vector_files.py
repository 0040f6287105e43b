"""Vectors that somebody computed elsewhere: .npy with a list of names beside it, .npz, CSV or Parquet.

Shape suffixes: N rows, D numbers.
"""

import re
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from phonolake.errors import UsageError, unknown
from phonolake.sources import sheets, tables
from phonolake.sources.names import Names

# Columns that number or time the segments of a recording, and others that are numbers and no part of a vector.
ORDERS = {"segment", "start", "start_seconds", "start_time", "offset", "time", "window", "frame"}
OTHERS = {"end", "end_seconds", "end_time", "duration", "index", "label", "fold", "sr"}
# Rows that are looked at to tell what a column holds.
LOOKED_AT = 1000

# What reading a damaged array raises, from the packing up to the header, which is Python's own syntax.
_DAMAGE = (
    ValueError,
    OSError,
    EOFError,
    KeyError,
    MemoryError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TypeError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, slots=True)
class Choice:
    """What the user says of a file, where it cannot be seen.

    Parameters
    ----------
    ids : str, optional
        File with the names of the recordings, one a line, in the order of a .npy array's rows.
    id_column : str, optional
        Column that names the recordings.
    vector_columns : tuple of str
        One column of lists, or one for each number.
    """

    ids: str | None = None
    id_column: str | None = None
    vector_columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VectorFile:
    """The rows of a file: what each calls its recording, and its vector.

    Parameters
    ----------
    names : tuple of str
        N.
    E_ND : ndarray of float32
        Finite, D at least 1.
    understood : str
        What was taken for what, in one line.
    """

    path: Path
    names: tuple[str, ...]
    E_ND: np.ndarray
    understood: str


def read(path: Path, known: Names, choice: Choice = Choice()) -> VectorFile:
    """Read vectors by the ending of the file's name.

    Parameters
    ----------
    known : Names
        The recordings that could be meant: the column that names most of them is that of the names.

    Raises
    ------
    UsageError
        If the file is missing or cannot be read as what its name says, its vectors differ in length, hold something
        else than finite numbers, or are more or fewer than their names.
    """
    if not path.is_file():
        raise UsageError(f"no file at {path}: vectors are a .npy with --ids, a .npz, a CSV or a Parquet file")
    suffix = path.suffix.lower()
    if choice.ids is not None and suffix != ".npy":
        raise UsageError(f"--ids names the rows of a .npy array, and {path.name} names its own: leave it out")
    if suffix == ".npy":
        names, x = _npy(path, choice.ids)
        said = f"the rows are named by {Path(choice.ids or '').name}"
    elif suffix == ".npz":
        names, x, said = _npz(path)
    else:
        names, x, said = _table(path, known, choice)
    x_ND = _checked(path, names, x)
    return VectorFile(path, tuple(names), x_ND, f"{said}; {len(names)} vectors of {x_ND.shape[1]} numbers")


def _npy(path: Path, ids: str | None) -> tuple[list[str], np.ndarray]:
    if ids is None:
        raise UsageError(f"{path} does not say whose its rows are: give their names, one a line, with --ids FILE")
    names = tables.lines(Path(ids).expanduser(), "names of recordings, one a line")
    found = _arrays(path)
    if len(found) != 1:
        raise UsageError(f"{path} is an archive of several arrays: let its name end in .npz")
    return names, next(iter(found.values()))


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a file by their names; ``""`` for the only one of a .npy."""
    try:
        # Pickled objects are refused: they could run code.
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return {"": found}
        with found as archive:
            return {key: archive[key] for key in archive.files}
    except _DAMAGE as error:
        raise UsageError(
            f"{path} cannot be read as arrays of NumPy ({(str(error) or repr(error)).splitlines()[0]})"
        ) from error


def _npz(path: Path) -> tuple[list[str], Any, str]:
    """One array of names beside one of vectors, or an array for each recording under its name."""
    arrays = _arrays(path)
    named = {key: a for key, a in arrays.items() if a.dtype.kind in "US" and a.ndim == 1}
    vectors = {key: a for key, a in arrays.items() if a.dtype.kind in "fiu" and a.ndim == 2}
    if len(named) == 1 and len(vectors) == 1:
        ((ids, of_names), (key, x)) = *named.items(), *vectors.items()
        texts = [n.decode("utf-8", "replace") if isinstance(n, bytes) else str(n) for n in of_names.tolist()]
        return texts, x, f"vectors are {key!r}, named by {ids!r}"
    if (
        arrays
        and "" not in arrays
        and not named
        and all(a.dtype.kind in "fiu" and a.ndim in (1, 2) for a in arrays.values())
    ):
        names = [key for key, a in arrays.items() for _ in range(len(np.atleast_2d(a)))]
        return names, [row for a in arrays.values() for row in np.atleast_2d(a)], "an array for each recording"
    held = ", ".join(f"{key} {a.dtype}{list(a.shape)}" for key, a in list(arrays.items())[:6])
    raise UsageError(
        f"{path} should hold one array of names and one of vectors, or an array for each recording; it has "
        f"{held or 'nothing'}"
    )


def _table(path: Path, known: Names, choice: Choice) -> tuple[list[str], Any, str]:
    frame = _frame(path)
    for name in (choice.id_column, *choice.vector_columns):
        if name is not None and name not in frame.columns:
            raise unknown(f"column of {path}", name, frame.columns)
    id_column = choice.id_column or _id_column(path, frame, known, choice.vector_columns)
    rest = [name for name in frame.columns if name != id_column]
    order = next((name for name in rest if _spelt(name) in ORDERS), None)
    columns = list(choice.vector_columns) or _vector_columns(path, frame, rest)
    if order is not None and order not in columns:
        frame = frame.assign(**{order: pd.to_numeric(frame[order], errors="coerce")}).sort_values(order, kind="stable")
    names = [_name(value) for value in frame[id_column]]
    said = f"recordings are named by the column {id_column!r}, "
    if len(columns) == 1 and _holds_lists(frame[columns[0]]):
        return names, [np.asarray(cell) for cell in frame[columns[0]]], f"{said}vectors are in {columns[0]!r}"
    x_ND = np.column_stack([_numbers(path, frame[name]) for name in columns])
    passed = [name for name in rest if name not in columns]
    said += f"vectors in {len(columns)} columns from {columns[0]!r} to {columns[-1]!r}"
    return names, x_ND, said + (f", passing over {', '.join(map(repr, passed[:5]))}" if passed else "")


def _frame(path: Path) -> pd.DataFrame:
    if path.suffix.lower() in sheets.PARQUET:
        frame = sheets.parquet(path)
        frame.columns = [str(name) for name in frame.columns]
    else:
        rows = [row for _, row in tables.cells(path, "a table of vectors", strict=False)]
        header = rows[0] if rows else []
        for number, row in enumerate(rows[1:], 2):
            if len(row) > len(header):
                raise UsageError(f"{path}: row {number} has {len(row)} cells, the header {len(header)}")
        body = [[*row, *[""] * (len(header) - len(row))] for row in rows[1:]]
        frame = pd.DataFrame(body, columns=header)
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise UsageError(f"{path} has two columns {twice[0]!r}: give one of them another name")
    if not len(frame):
        raise UsageError(f"{path} has no rows")
    return frame


def _id_column(path: Path, frame: pd.DataFrame, known: Names, vectors: Sequence[str]) -> str:
    """The column that names the most recordings; numbers only count where no texts do."""
    reached: dict[str, tuple[bool, int]] = {}
    for name in frame.columns:
        cells = frame[name].iloc[:LOOKED_AT]
        if name in vectors or _holds_lists(cells) or pd.api.types.is_float_dtype(cells):
            continue
        found = {cell for cell in map(_name, cells) if (match := known.find(cell)) and len(match.track_ids) == 1}
        reached[name] = (not _is_numeric(cells), len(found))
    texts = {name: n for name, (is_text, n) in reached.items() if is_text and n}
    among = texts or {name: n for name, (_, n) in reached.items() if n}
    if not among:
        shown = ", ".join(repr(name) for name in list(frame.columns)[:5])
        called = f", which are called such as {min(known)!r}" if len(known) else ", and there are none"
        raise UsageError(f"no column of {path} names any of the {len(known)} recordings{called}: it has {shown}")
    return max(among, key=lambda name: among[name])


def _vector_columns(path: Path, frame: pd.DataFrame, rest: Sequence[str]) -> list[str]:
    lists = [name for name in rest if _holds_lists(frame[name])]
    if len(lists) == 1:
        return lists
    if lists:
        raise UsageError(f"{path} has several columns of lists ({', '.join(lists)}): name one with --vector-column")
    # Programs write a column of row numbers without a name.
    own = [n for n in rest if _spelt(n) not in ORDERS | OTHERS | {""} and not _spelt(n).startswith("unnamed_")]
    numeric = [name for name in own if _is_numeric(frame[name].iloc[:LOOKED_AT])]
    if not numeric:
        raise UsageError(f"{path} has no column of numbers or of lists: name some with --vector-column")
    return numeric


def _numbers(path: Path, column: pd.Series) -> np.ndarray:
    values = pd.to_numeric(column, errors="coerce")
    wrong = values.isna() & (column.astype(str).str.strip().str.lower() != "nan")
    if wrong.any():
        row = int(np.argmax(wrong.to_numpy()))
        raise UsageError(f"{path}: {column.name!r} of row {row + 1} should be a number and is {column.iloc[row]!r}")
    return values.to_numpy(np.float64)


def _checked(path: Path, names: Sequence[str], x: Any) -> np.ndarray:
    """The vectors as float32 (N, D)."""
    if isinstance(x, list):
        odd = next((row for row in x if row.ndim != 1 or row.dtype.kind not in "fiu"), None)
        if odd is not None:
            raise UsageError(f"{path}: vectors are lists of numbers, and one has {odd.dtype} of shape {odd.shape}")
        lengths = [len(row) for row in x]
        other = next((n for n, length in enumerate(lengths) if length != lengths[0]), None)
        if other is not None:
            raise UsageError(
                f"{path} has vectors of mixed length: {lengths[0]} numbers for {names[0]!r}, {lengths[other]} for "
                f"{names[other]!r}"
            )
        x = np.stack(x) if x else np.zeros((0, 0))
    if x.dtype.kind not in "fiu":
        raise UsageError(f"{path} holds {x.dtype}, and vectors are floating-point or whole numbers")
    if x.ndim != 2 or not x.size:
        raise UsageError(f"{path} has shape {x.shape}: vectors are (recordings, numbers), at least one of each")
    if len(x) != len(names):
        raise UsageError(f"{path} has {len(x)} vectors and {len(names)} names: one name for each vector")
    with np.errstate(over="ignore"):
        x_ND: np.ndarray = x.astype(np.float32)
    wrong = ~np.isfinite(x_ND).all(axis=1)
    if wrong.any():
        raise UsageError(
            f"{path}: {int(wrong.sum())} of {len(x)} vectors hold NaN or numbers beyond float32, such as that of "
            f"{names[int(np.argmax(wrong))]!r}"
        )
    return x_ND


def _holds_lists(column: pd.Series) -> bool:
    return column.dtype == object and isinstance(column.iloc[0], list | tuple | np.ndarray)


def _is_numeric(cells: pd.Series) -> bool:
    """Whether most cells are numbers: one that is none is a mistake then, and no reason to leave the column out."""
    if pd.api.types.is_bool_dtype(cells):
        return False
    return bool(pd.to_numeric(cells, errors="coerce").notna().mean() > 0.5)


def _name(value: Any) -> str:
    return str(value).strip()


def _spelt(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")
