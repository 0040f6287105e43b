"""Read a user's table about recordings: CSV, TSV, Parquet, JSON lines or JSON, as rows of strings."""

import json
import math
import numbers
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phonolake.errors import UsageError
from phonolake.sources import tables

if TYPE_CHECKING:
    import pandas as pd

PARQUET = (".parquet", ".pq")
# Errors for a damaged file, from its pages to the pandas metadata in its footer.
_DAMAGE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
# Missing values of pandas.
_MISSING = ("NAType", "NaTType")
JSON = (".json", ".jsonl", ".ndjson")
# A text, several where the file has a list, or nothing.
Cell = str | tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table.

    Parameters
    ----------
    columns : tuple of str
    rows : list of (int, tuple of Cell)
        Number of the line or record in the file, and a cell for each column. If a row is longer than its header, the
        last cell contains all that follow.
    """

    path: Path
    columns: tuple[str, ...]
    rows: list[tuple[int, tuple[Cell, ...]]]

    def column(self, index: int) -> list[Cell]:
        """The cells of a column."""
        return [cells[index] for _, cells in self.rows]


def read(path: Path) -> Sheet:
    """Read a table by its file extension; text other than JSON has commas, tabs or semicolons.

    Raises
    ------
    UsageError
        If the file is missing or empty, or cannot be read as the type that its name says.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder, but a table is a file: CSV, TSV, Parquet, JSON lines")
    suffix = path.suffix.lower()
    if suffix in PARQUET and path.is_file():
        columns, records = _parquet(path)
    elif suffix in JSON:
        columns, records = _json(path)
    else:
        columns, records = _text(path)
    if not columns:
        raise UsageError(f"{path} is empty")
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"{path} has two columns {twice!r}: give one of them another name")
    return Sheet(path, tuple(columns), records)


def headless(sheet: Sheet) -> Sheet:
    """The table whose first line is a row like the others; its columns are numbered from 1."""
    first = tuple(name or None for name in sheet.columns)
    names = tuple(str(n) for n in range(1, len(first) + 1))
    return Sheet(sheet.path, names, [(1, first), *sheet.rows])


def _text(path: Path) -> tuple[list[str], list[tuple[int, tuple[Cell, ...]]]]:
    header: list[str] | None = None
    records: list[tuple[int, tuple[Cell, ...]]] = []
    for number, row in tables.cells(path, "a table of recordings", strict=False):
        if header is None:
            header = row
            continue
        found: list[Cell] = [_cell(value) for value in row[: len(header)]]
        found += [None] * (len(header) - len(found))
        if len(row) > len(header):
            found[-1] = _cell(row[len(header) - 1 :])
        records.append((number, tuple(found)))
    return header or [], records


def _json(path: Path) -> tuple[list[str], list[tuple[int, tuple[Cell, ...]]]]:
    content = tables.text(path, "a table of recordings")
    try:
        whole = json.loads(content)
    except (ValueError, RecursionError):
        whole = None
    if isinstance(whole, dict) and len(whole) > 1 and all(isinstance(v, dict) for v in whole.values()):
        objects: list[Any] = [{"id": key, **value} for key, value in whole.items()]
    elif isinstance(whole, dict) and len(whole) > 1 and path.suffix.lower() == ".json":
        objects = [{"id": key, "labels": value} for key, value in whole.items()]
    elif isinstance(whole, list):
        objects = whole
    else:
        objects = []
        for number, line in enumerate(content.splitlines(), 1):
            try:
                objects += [json.loads(line)] if line.strip() else []
            except (ValueError, RecursionError) as error:
                raise UsageError(f"{path}, line {number}, is no JSON: {error}") from error
    wrong = next((n for n, o in enumerate(objects, 1) if not isinstance(o, dict)), None)
    if wrong is not None:
        raise UsageError(f"{path}: record {wrong} is no object with names and values")
    columns = list(dict.fromkeys(key for record in objects for key in record))
    return columns, [(n, tuple(_cell(o.get(name)) for name in columns)) for n, o in enumerate(objects, 1)]


def _parquet(path: Path) -> tuple[list[str], list[tuple[int, tuple[Cell, ...]]]]:
    frame = parquet(path)
    rows = frame.itertuples(index=False, name=None)
    return [str(name) for name in frame.columns], [(n, tuple(map(_cell, row))) for n, row in enumerate(rows, 1)]


def parquet(path: Path) -> "pd.DataFrame":
    """The table in a Parquet file, the index of a data frame as columns.

    Raises
    ------
    UsageError
        If it cannot be read as one.
    """
    import pandas as pd  # late: it takes a second, and most stages can read such tables and do not

    try:
        frame = pd.read_parquet(path)
    except _DAMAGE as error:
        said = (str(error) or repr(error)).splitlines()[0]
        raise UsageError(f"{path} is not a Parquet file: {said}") from error
    return frame if isinstance(frame.index, pd.RangeIndex) else frame.reset_index()


def _cell(value: Any) -> Cell:
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, Iterable) and not isinstance(value, bytes | dict):
        return tuple(text for item in value if isinstance(text := _cell(item), str)) or None
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if type(value).__name__ in _MISSING:
        return None
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return str(int(value))
    return str(value)
