"""Read a user's splits from tables: a column with the part or fold of each recording, or a list for each part."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from phonolake.errors import UsageError
from phonolake.records import TEST, TRAIN, VALID
from phonolake.sources import label_sheets, tables
from phonolake.sources.label_sheets import Keyed
from phonolake.sources.names import Names

PARTS = {
    **dict.fromkeys(("train", "training", "tr"), TRAIN),
    **dict.fromkeys(("valid", "validation", "validate", "val", "cv"), VALID),
    **dict.fromkeys(("test", "testing", "eval", "evaluation", "evaluate", "te"), TEST),
}
COLUMNS = {"split", "splits", "part", "subset", "set", "partition", "fold", "folds", "data_split", "side"}
LISTED = re.compile(r"(?<![a-z])(training|train|validation|valid|val|testing|test|evaluation|eval)(?![a-z])", re.I)
ENDINGS = {".csv", ".tsv", ".txt", ".lst", ".parquet", ".pq", ".json", ".jsonl", ".ndjson"}


@dataclass(frozen=True, slots=True)
class Side:
    """The part, or the fold from 1, of a recording in one row; `name` is the recording as the table names it."""

    line: int
    name: str
    split: str
    part: str | None
    fold: int | None


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a split with its content, and its interpretation in one line."""

    keyed: Keyed
    sides: list[Side]
    said: str


def read(path: Path, names: Names, *, name: str | None = None, id_column: str | None = None) -> list[Table]:
    """Read a split from a table, or from a folder with a list for each part.

    Parameters
    ----------
    name : str, optional
        Name of the split; that of the file or folder by default. Where there are several splits, each has this before
        its own name.

    Raises
    ------
    UsageError
        If a table cannot be read, no column could be meant, or a cell is neither a part nor a fold.
    """
    if path.is_dir():
        return list(_lists(path, names, name or path.resolve().name, id_column))
    match = LISTED.search(path.stem)
    keyed = label_sheets.key(path, names, id_column)
    columns = [i for i, c in enumerate(keyed.sheet.columns) if i != keyed.id_column and _is_called(c)]
    if not columns:
        hint = f": name the folder {path.parent}, of which it is one of the lists" if match else ""
        called = ", ".join(keyed.sheet.columns)
        raise UsageError(f"no column of {path} is called split, part, subset or fold; it has {called}{hint}")
    name = name or path.stem
    tables_ = [_column(keyed, i, name if len(columns) == 1 else f"{name}-{keyed.sheet.columns[i]}") for i in columns]
    return [table for table in tables_ if table.sides]


def _column(keyed: Keyed, column: int, name: str) -> Table:
    """The split that a column is."""
    called = keyed.sheet.columns[column]
    where = f"{keyed.sheet.path}: {called}"
    cells = [(line, n, cell) for line, n, row in keyed.named() if isinstance(cell := row[column], str)]
    if all(cell.strip().lower() in PARTS for _, _, cell in cells):
        sides = [Side(line, n, name, PARTS[cell.strip().lower()], None) for line, n, cell in cells]
        return Table(keyed, sides, f"the split {name!r}: parts in {called!r} by {keyed.id_name!r}")
    odd = [(line, cell) for line, _, cell in cells if not re.fullmatch(r"(fold)?[ _-]*\d+([.,]0+)?", cell, re.I)]
    if odd:
        # Where some are parts, what is neither is at fault.
        line, cell = next((one for one in odd if one[1].strip().lower() not in PARTS), odd[0])
        raise UsageError(f"{where} has {cell!r} in line {line}: a part is train, valid or test, and a fold a number")
    folds = [int(tables.whole(re.sub(r"(?i)^fold[ _-]*", "", cell), where)) for _, _, cell in cells]
    # Folds are counted from 1; programs often count from 0.
    shift = 1 if folds and min(folds) == 0 else 0
    sides = [Side(line, n, name, None, fold + shift) for (line, n, _), fold in zip(cells, folds, strict=True)]
    counted = ", counted from 1 instead of 0" if shift else ""
    return Table(keyed, sides, f"the split {name!r}: folds in {called!r} by {keyed.id_name!r}{counted}")


def _lists(folder: Path, names: Names, name: str, id_column: str | None) -> Iterator[Table]:
    groups: dict[str, dict[str, Path]] = {}
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in ENDINGS and p.is_file()):
        if match := LISTED.search(path.stem):
            group = f"{path.stem[: match.start()]}{path.stem[match.end() :]}".strip("-_. ")
            part = PARTS[match[1].lower()]
            if part in groups.setdefault(group, {}):
                raise UsageError(f"{groups[group][part]} and {path} are both lists of {part}: remove one of them")
            groups[group][part] = path
    if not groups:
        raise UsageError(f"{folder} holds no lists of a split: their names have train, valid or test in them")
    for group, lists in sorted(groups.items()):
        split = name if len(groups) == 1 else "-".join(filter(None, (name, group)))
        tables_ = {part: label_sheets.key(path, names, id_column, needed=False) for part, path in lists.items()}
        # Of a part of a dataset one side may have nothing: the column is called as in the others.
        best = max(tables_.values(), key=lambda keyed: sum(map(bool, keyed.matches.values())))
        label_sheets.key(best.sheet.path, names, id_column)
        for part, path in sorted(lists.items()):
            keyed = tables_[part]
            if not any(keyed.matches.values()) and best.id_name in keyed.sheet.columns:
                keyed = label_sheets.key(path, names, best.id_name)
            sides = [Side(line, n, split, part, None) for line, n, _ in keyed.named()]
            yield Table(keyed, sides, f"{part} of the split {split!r}: {path.name} by {keyed.id_name!r}")


def _is_called(column: str) -> bool:
    return column.strip().lower().replace(" ", "_").replace("-", "_") in COLUMNS
