"""Parse a table with another model's probabilities for recordings: one for each label, in rows or in columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from phonolake.errors import UsageError
from phonolake.sources import tables
from phonolake.sources.label_sheets import CONFIDENCES, LABELS, OTHERS, Keyed, as_text, column_named, spelt
from phonolake.sources.sheets import Cell

PROBABILITIES = CONFIDENCES | {"p", "proba", "probabilities", "pred", "prediction", "predictions", "output"}
# Tolerance for rounding: a softmax in 32 bits can give 1.0000001.
ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class ProbabilityColumns:
    """The user's choices about a table that it does not show.

    Parameters
    ----------
    id_column : str, optional
        Column that names the recordings.
    label_column, probability_column : str, optional
        The columns with label and probability, if a row has one of each.
    """

    id_column: str | None = None
    label_column: str | None = None
    probability_column: str | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of probabilities.

    Parameters
    ----------
    label : int or None
        Column with the label of each row; None where each of `probabilities` is one.
    probabilities : tuple of int
    passed_over : tuple of int
        Columns that hold something else.
    """

    label: int | None
    probabilities: tuple[int, ...]
    passed_over: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Probability:
    """The content of one cell: the recording as the table names it, the label, and its probability from 0 to 1."""

    line: int
    name: str
    label: str
    value: float


def find(keyed: Keyed, choice: ProbabilityColumns) -> Layout:
    """Find the columns with labels and probabilities.

    Raises
    ------
    UsageError
        If a named column does not exist, or none could be meant.
    """
    sheet = keyed.sheet
    rest = [i for i, name in enumerate(sheet.columns) if i != keyed.id_column and spelt(name)]
    names = [spelt(name) for name in sheet.columns]
    label = _one_of(keyed, choice.label_column, [i for i in rest if names[i] in LABELS and not _holds(keyed, i)])
    value = _one_of(keyed, choice.probability_column, [i for i in rest if names[i] in PROBABILITIES])
    if label is not None and value is not None:
        return Layout(label, (value,))
    wide = [i for i in rest if names[i] not in OTHERS and not names[i].startswith("unnamed_") and _holds(keyed, i)]
    texts = [i for i in rest if i not in wide and names[i] not in OTHERS and not names[i].startswith("unnamed_")]
    chosen = choice.label_column or choice.probability_column
    # One column of numbers beside one of words may be a label, or the probability of what the words say.
    if chosen or not {names[i] for i in wide} - PROBABILITIES or (len(wide) == 1 and texts):
        raise UsageError(
            f"it is not clear where {sheet.path} holds probabilities: in one column for each label, or in one beside a "
            f"column of labels (--label-column, --probability-column); it has {', '.join(sheet.columns)}"
        )
    return Layout(None, tuple(wide), tuple(i for i in rest if i not in wide and not names[i].startswith("unnamed_")))


def given(keyed: Keyed, layout: Layout) -> Iterator[Probability]:
    """Every probability that the table gives, in its order.

    Raises
    ------
    UsageError
        For a missing label, or a probability that is missing, not a number, or not from 0 to 1.
    """
    columns = keyed.sheet.columns
    for line, name, cells in keyed.named():
        for i in layout.probabilities:
            label = columns[i] if layout.label is None else as_text(cells[layout.label])
            where = f"{keyed.sheet.path}, line {line}"
            if not label:
                raise UsageError(f"{where}: {columns[layout.label or 0]} is empty, but a probability needs a label")
            yield Probability(line, name, label, _probability(cells[i], f"{where}: the probability of {label!r}"))


def understood(keyed: Keyed, layout: Layout) -> str:
    """The interpretation of a table, in one line."""
    columns = keyed.sheet.columns
    said = f"recordings are named by the column {keyed.id_name!r}"
    if layout.label is not None:
        (value,) = layout.probabilities
        return f"{said}, labels stand in {columns[layout.label]!r}, probabilities in {columns[value]!r}"
    shown = [repr(columns[i]) for i in layout.probabilities[:3]]
    more = len(layout.probabilities) - len(shown)
    said += f", each of {len(layout.probabilities)} columns is a label ({', '.join(shown)}"
    said += f" and {more} more)" if more else ")"
    left = ", ".join(repr(columns[i]) for i in layout.passed_over)
    return said + (f"; passed over: {left}" if left else "")


def _one_of(keyed: Keyed, chosen: str | None, found: Sequence[int]) -> int | None:
    """The column that was named, or the only one that could be meant."""
    if chosen is not None:
        return column_named(keyed.sheet, chosen)
    return found[0] if len(found) == 1 else None


def _holds(keyed: Keyed, column: int) -> bool:
    """Whether a column holds numbers, right or wrong: what they should be is said where they are read."""
    cell = next((cell for cell in keyed.sheet.column(column) if cell is not None), None)
    try:
        tables.number(as_text(cell), float, "")
    except UsageError as error:
        return "finite" in str(error)
    return True


def _probability(cell: Cell, where: str) -> float:
    if cell is None:
        raise UsageError(f"{where} is missing: a model gives one for each of its labels; leave such rows out")
    found = tables.number(as_text(cell), float, where)
    if not -ROUNDING <= found <= 1 + ROUNDING:
        raise UsageError(f"{where} should be from 0 to 1 and is {as_text(cell)!r}: no percentages, no logits")
    return min(max(found, 0.0), 1.0)
