"""Read the text tables that datasets come with, and say clearly when one is not what it should be."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from phonolake.errors import UsageError

DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons"}


def text(path: Path, about: str) -> str:
    """The text of a file as UTF-8, without a byte order mark; line ends of every kind come as they are.

    Raises
    ------
    UsageError
        If there is no such file, or it is no text.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(f"{path} is missing: {about}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as {about}: {error}") from error


def lines(path: Path, about: str) -> list[str]:
    """Lines of a list, one entry each, without the empty ones and without spaces around them."""
    return [line for line in (part.strip() for part in text(path, about).splitlines()) if line]


def rows(
    path: Path, columns: Sequence[str], about: str, *, delimiter: str = ",", strict: bool = True
) -> Iterator[dict[str, str]]:
    """Rows of a table with a header, as dictionaries of all its columns.

    Parameters
    ----------
    columns : sequence of str
        Columns that must be there; more may be.
    about : str
        What the file is, for messages: ``"UrbanSound8K's metadata"``.
    strict : bool
        Whether a quote inside a quoted cell has to be doubled; False for tables of titles, whose owners may not have.

    Raises
    ------
    UsageError
        If the file is missing, is no text, lacks a column or has one twice, or a row has another number of cells.
    """
    content = text(path, about)
    # Line ends may be mixed: inside quotes they are kept, elsewhere each of them ends a row.
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=strict)
    try:
        if other := _other_delimiter(re.split(r"[\r\n]", content, maxsplit=1)[0], delimiter):
            between = f"{DELIMITERS[other]} stand between its cells, not {DELIMITERS[delimiter]}"
            raise UsageError(f"{path} is not {about}: {between}")
        header = [name.strip() for name in next(reader, [])]
        missing = [name for name in columns if name not in header]
        if missing or len(set(header)) < len(header):
            wrong = f"it has no column {missing[0]!r}" if missing else "a column stands in it twice"
            raise UsageError(f"{path} is not {about}: {wrong}; its first line is {', '.join(header)[:120]!r}")
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                raise UsageError(
                    f"{path} is not {about}: line {reader.line_num} has {len(cells)} cells, the header {len(header)}"
                )
            yield dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise UsageError(f"{path} is not {about}: line {reader.line_num}: {error}") from error


def _other_delimiter(line: str, delimiter: str) -> str | None:
    """What stands between the cells of a line that has none of the delimiter."""
    commonest = max(DELIMITERS, key=line.count)
    return commonest if commonest in line and delimiter not in line else None


def number(value: str, kind: type[int] | type[float], where: str) -> float:
    """A number in a table; anything else raises a `UsageError` that says where."""
    try:
        found = kind(value)
    except ValueError as error:
        raise UsageError(f"{where} should be a number and is {value!r}") from error
    if not abs(found) < float("inf"):
        raise UsageError(f"{where} should be a finite number and is {value!r}")
    return found


def whole(value: str, where: str) -> int:
    """A whole number in a table; anything else raises a `UsageError` that says where."""
    return int(number(value, int, where))
