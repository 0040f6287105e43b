"""Parse a table about recordings: the column with their names, and the columns of labels, confidences or splits."""

import ast
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from phonolake.errors import UsageError, unknown
from phonolake.sources import sheets, tables
from phonolake.sources.names import AS_IT_STANDS, Match, Names
from phonolake.sources.sheets import Cell, Sheet

LABELS = {
    "label", "labels", "tag", "tags", "genre", "genres", "class", "classes", "class_name", "category", "categories",
    "mood", "moods", "emotion", "emotions", "theme", "themes", "mood_theme", "instrument", "instruments", "style",
    "styles", "genre_top", "top_genre", "positive_labels", "display_name", "annotation", "annotations",
}  # fmt: skip
CONFIDENCES = {
    "confidence", "conf", "score", "probability", "prob", "likelihood", "relevance", "weight", "value",
}  # fmt: skip
# Columns with other content, so that a remaining one may be the label.
OTHERS = {
    "title", "artist", "album", "year", "duration", "url", "licence", "license", "split", "subset", "part", "set",
    "partition", "fold", "index", "number", "n", "start", "end", "track_id", "artist_id", "album_id", "id", "md5",
    "sha256", "source", "comment", "notes", "sr", "sample_rate", "rate", "channels", "rater", "annotator", "user",
}  # fmt: skip
SEPARATORS = (";", "|", ",")
# From this confidence on a label holds.
HOLDS = 0.5


@dataclass(frozen=True, slots=True)
class SheetColumns:
    """The user's choices about a table that it does not show.

    Parameters
    ----------
    id_column : str, optional
        Column that names the recordings.
    label_columns : tuple of str
        Columns with labels; several where each column is a label.
    confidence_column : str, optional
        Column with the confidence, 0 to 1, in the label of the row.
    separator : str, optional
        Separator of the labels in a cell; ``""`` for none.
    """

    id_column: str | None = None
    label_columns: tuple[str, ...] = ()
    confidence_column: str | None = None
    separator: str | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """One label of one row: the recording as the table names it, whether the label holds, and how sure that is."""

    line: int
    name: str
    label: str
    value: bool
    confidence: float | None


@dataclass(frozen=True, slots=True)
class Keyed:
    """A table with a known column of recordings, and the recording of each of its names."""

    sheet: Sheet
    id_column: int
    matches: dict[str, Match | None]

    def named(self) -> Iterator[tuple[int, str, tuple[Cell, ...]]]:
        """Line, name and cells of every row that names a recording at all."""
        for line, cells in self.sheet.rows:
            if isinstance(name := cells[self.id_column], str):
                yield line, name, cells

    @property
    def id_name(self) -> str:
        return self.sheet.columns[self.id_column]


@dataclass(frozen=True, slots=True)
class Labels:
    """The columns of labels in a table.

    Parameters
    ----------
    kind : str
        ``names`` where cells hold labels, ``truths`` where each column is a label with 0 or 1, ``confidences`` where
        each is one with a number from 0 to 1.
    columns : tuple of int
    confidences : tuple of (int or None)
        Column with the confidence for each of `columns`.
    separators : tuple of (str or None)
        Separator of the labels in a cell, for each of `columns`.
    """

    kind: str
    columns: tuple[int, ...]
    confidences: tuple[int | None, ...]
    separators: tuple[str | None, ...]


def key(path: Path, names: Names, id_column: str | None = None, *, needed: bool = True) -> Keyed:
    """Read a table, and find the column that names the most of the recordings.

    Parameters
    ----------
    id_column : str, optional
        The column, if known.
    needed : bool
        Whether a table that names none of the recordings is refused.

    Raises
    ------
    UsageError
        If it cannot be read, the named column is not there, or no column names any of the recordings.
    """
    sheet = sheets.read(path)
    if id_column is not None:
        index = column_named(sheet, id_column)
        return Keyed(sheet, index, _matches(sheet, index, names))
    if any(_is_recording(name, names) for name in sheet.columns):
        sheet = sheets.headless(sheet)
    found = {i: _matches(sheet, i, names) for i in range(len(sheet.columns))}
    best = max(found, key=lambda i: (_reached(found[i]), -i))
    if needed and not any(found[best].values()):
        shown = "; ".join(f"{c!r} has {_example(sheet.column(i))!r}" for i, c in list(enumerate(sheet.columns))[:5])
        known = f", which are called such as {min(names)!r}" if len(names) else ", and there are none"
        raise UsageError(f"no column of {path} names any of the {len(names)} recordings{known}: {shown}")
    return Keyed(sheet, best, found[best])


def labels(keyed: Keyed, choice: SheetColumns) -> Labels:
    """Find the columns with labels.

    Raises
    ------
    UsageError
        If a named column does not exist, or none or too many could be meant.
    """
    sheet = keyed.sheet
    if choice.label_columns:
        columns = [column_named(sheet, name) for name in choice.label_columns]
        kind = _kind(sheet, columns)
        named = len(columns) == 1 and spelt(sheet.columns[columns[0]]) in LABELS
        kind = "names" if named and kind == "truths" else kind
    else:
        columns, kind = _guess(keyed)
    confidences = [_confidence(sheet, i, columns, choice, keyed.id_column) for i in columns] if kind == "names" else []
    separators = [_separator(sheet, i, choice.separator) for i in columns] if kind == "names" else []
    return Labels(kind, tuple(columns), tuple(confidences), tuple(separators))


def given(keyed: Keyed, found: Labels) -> Iterator[Given]:
    """Every label that the table gives to a recording, in its order.

    Raises
    ------
    UsageError
        For a confidence that is not a number from 0 to 1.
    """
    columns = keyed.sheet.columns
    for line, name, cells in keyed.named():
        where = f"{keyed.sheet.path}, line {line}"
        for n, i in enumerate(found.columns):
            cell = cells[i]
            if cell is None:
                continue
            if found.kind == "truths":
                yield Given(line, name, columns[i], tables.boolean(as_text(cell), f"{where}: {columns[i]}"), None)
            elif found.kind == "confidences":
                sure = _share(as_text(cell), f"{where}: {columns[i]}")
                yield Given(line, name, columns[i], sure >= HOLDS, sure)
            else:
                place = found.confidences[n]
                beside = None if place is None else cells[place]
                said = (
                    None if beside is None or place is None else _share(as_text(beside), f"{where}: {columns[place]}")
                )
                for label in parts(cell, found.separators[n]):
                    yield Given(line, name, label, said is None or said >= HOLDS, said)


def parts(cell: Cell, separator: str | None) -> list[str]:
    """The labels in a cell: a list's, those between separators, or the one that it is."""
    if cell is None:
        return []
    texts = _listed(cell) if isinstance(cell, str) else cell
    split = [part for text in texts for part in (text.split(separator) if separator else [text])]
    return list(dict.fromkeys(part.strip() for part in split if part.strip()))


def understood(keyed: Keyed, found: Labels) -> str:
    """The interpretation of a table, in one line."""
    names = [keyed.sheet.columns[i] for i in found.columns]
    shown = ", ".join(map(repr, names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    said = f"recordings are named by the column {keyed.id_name!r}"
    if found.kind != "names":
        holds = "0 or 1" if found.kind == "truths" else f"a confidence; a label holds from {HOLDS:g} on"
        return f"{said}, each of {len(names)} columns is a label with {holds} ({shown})"
    said += f", labels stand in {shown}"
    between = sorted({separator for separator in found.separators if separator})
    said += f" between {' or '.join(map(repr, between))}" if between else ""
    sure = [keyed.sheet.columns[i] for i in found.confidences if i is not None]
    return said + (f", confidences in {', '.join(map(repr, dict.fromkeys(sure)))}" if sure else "")


def _is_recording(name: str, names: Names) -> bool:
    """Whether the first line names a recording, so that the table has no header."""
    match = names.find(name) if spelt(name) not in LABELS | OTHERS else None
    return match is not None and (match.level == AS_IT_STANDS or name.isdigit())


def _guess(keyed: Keyed) -> tuple[list[int], str]:
    sheet = keyed.sheet
    # Programs write a column of row numbers without a name.
    named = [i for i, c in enumerate(sheet.columns) if spelt(c) and not spelt(c).startswith("unnamed_")]
    rest = [i for i in named if i != keyed.id_column and any(sheet.column(i))]
    called = [i for i in rest if spelt(sheet.columns[i]) in LABELS]
    other = [i for i in rest if spelt(sheet.columns[i]) not in OTHERS | LABELS]
    truths = [i for i in other if _kind(sheet, [i]) == "truths"]
    worded = [i for i in called if _kind(sheet, [i]) == "names"]
    if worded or (called and not truths):
        return worded or called, "names"
    if truths:
        return sorted([*truths, *called]), "truths"
    plain = [i for i in other if spelt(sheet.columns[i]) not in CONFIDENCES]
    if len(plain) > 1 and _kind(sheet, plain) == "confidences":
        return plain, "confidences"
    texts = [i for i in plain if _kind(sheet, [i]) == "names" and not _numeric(sheet.column(i))]
    if len(texts) == 1:
        return texts, "names"
    listed = ", ".join(sheet.columns)
    raise UsageError(
        f"it is not clear which columns of {sheet.path} hold labels: name them with --label-column; it has {listed}"
    )


def _kind(sheet: Sheet, columns: Sequence[int]) -> str:
    """The type of all cells of some columns: truths, confidences (0 to 1), or else names."""
    cells = [cell for i in columns for cell in sheet.column(i) if cell is not None]
    if cells and all(isinstance(cell, str) and tables.truth(cell) is not None for cell in cells):
        return "truths"
    return "confidences" if cells and all(isinstance(cell, str) and _is_share(cell) for cell in cells) else "names"


def _confidence(sheet: Sheet, label: int, labels: Sequence[int], choice: SheetColumns, id_column: int) -> int | None:
    """The column with the confidence in a label: the one that is named after it, or stands beside it alone."""
    if choice.confidence_column is not None:
        return column_named(sheet, choice.confidence_column)
    places = {spelt(name): i for i, name in enumerate(sheet.columns) if i not in (id_column, *labels)}
    own = [places.get(f"{spelt(sheet.columns[label])}_{name}") for name in sorted(CONFIDENCES)]
    alone = [i for name, i in places.items() if name in CONFIDENCES and len(labels) == 1]
    found = [i for i in (*own, *alone) if i is not None]
    return found[0] if found and _kind(sheet, [found[0]]) in ("truths", "confidences") else None


def _separator(sheet: Sheet, column: int, chosen: str | None) -> str | None:
    """The separator of the labels in a column: only columns with a plural name may have several."""
    if chosen is not None:
        return chosen or None
    cells = [cell for cell in sheet.column(column) if cell is not None]
    if not spelt(sheet.columns[column]).endswith("s") or any(not isinstance(c, str) or _is_list(c) for c in cells):
        return None
    return next((s for s in SEPARATORS if any(s in cell for cell in cells if isinstance(cell, str))), None)


def _is_list(text: str) -> bool:
    return text.startswith(("[", "(", "{")) and text.endswith(("]", ")", "}"))


def _listed(text: str) -> list[str]:
    """The texts of a list that a program wrote, as JSON or as Python has it; else the text itself."""
    if _is_list(text):
        readers: tuple[Callable[[str], object], ...] = (json.loads, ast.literal_eval)
        for read in readers:
            try:
                found = read(text)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                continue
            if isinstance(found, list | tuple | set):
                return sorted(map(str, found)) if isinstance(found, set) else [str(item) for item in found]
    return [text]


def _share(text: str, where: str) -> float:
    truth = tables.truth(text)
    sure = float(truth) if truth is not None else tables.number(text, float, where)
    if not 0 <= sure <= 1:
        raise UsageError(f"{where} should be a confidence from 0 to 1 and is {text!r}")
    return sure


def _is_share(text: str) -> bool:
    try:
        _share(text, "")
    except UsageError:
        return False
    return True


def _numeric(cells: Sequence[Cell]) -> bool:
    texts = [cell for cell in cells if isinstance(cell, str)]
    return all(re.fullmatch(r"[+-]?[\d.,]+([eE][+-]?\d+)?", text) for text in texts)


def as_text(cell: Cell) -> str:
    """The content of a cell, on one line."""
    return cell if isinstance(cell, str) else ", ".join(cell or ())


def _matches(sheet: Sheet, column: int, names: Names) -> dict[str, Match | None]:
    return {name: names.find(name) for name in {cell for cell in sheet.column(column) if isinstance(cell, str)}}


def _reached(matches: dict[str, Match | None]) -> tuple[int, int]:
    """How many recordings a column names: first as they stand or with another ending, then at all."""
    found = [match for match in matches.values() if match is not None and len(match.track_ids) == 1]
    near = {match.track_ids[0] for match in found if match.level < 2}
    return len(near), len({match.track_ids[0] for match in found})


def _example(cells: Sequence[Cell]) -> str:
    return next((as_text(cell) for cell in cells if cell is not None), "")[:60]


def column_named(sheet: Sheet, name: str) -> int:
    """The position of a column; raises a `UsageError` that lists the columns for an unknown name."""
    if name not in sheet.columns:
        raise unknown(f"column of {sheet.path}", name, sheet.columns)
    return sheet.columns.index(name)


def spelt(name: str) -> str:
    """The name of a column in small letters and digits, with one underscore for all that stands between them."""
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")
