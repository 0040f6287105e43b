"""Read the text tables of datasets, with clear errors for invalid ones.

Tables may have been saved by spreadsheets and scripts. The same rules apply to all of them: cells are separated by
commas, tabs or semicolons, any line ends, booleans and numbers as spreadsheets write them; ambiguous values are
refused.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from phonolake.errors import UsageError

DELIMITERS = (",", "\t", ";")
AS_CSV = "save it as 'CSV UTF-8', as Excel calls it"
# First bytes of files in a spreadsheet's own format.
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
# As pandas, R and Excel write them; Excel in the user's language.
TRUTHS = {
    **dict.fromkeys(("1", "1.0", "1,0", "true", "t", "yes", "y", "x"), True),
    **dict.fromkeys(("wahr", "vrai", "verdadero", "verdadeiro", "vero", "waar", "prawda"), True),
    **dict.fromkeys(("0", "0.0", "0,0", "false", "f", "no", "n"), False),
    **dict.fromkeys(("falsch", "faux", "falso", "onwaar", "fałsz"), False),
}
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
TWO_WAYS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
WHOLE = re.compile(r"([+-]?\d+)[.,]0+")


def text(path: Path, about: str) -> str:
    """The text of a file in UTF-8, or in UTF-16 with its mark; line ends of every kind come as they are.

    Raises
    ------
    UsageError
        If the file does not exist, or is not such text.
    """
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(f"{path} is missing: {about}") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read as {about}: {error}") from error
    if data.startswith(WORKBOOKS):
        raise UsageError(f"{path} cannot be read as {about}: it is a workbook or an archive; {AS_CSV}")
    try:
        return data.decode("utf-16" if data.startswith(UTF_16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} cannot be read as {about}: byte {error.start} is no UTF-8; {AS_CSV}") from error


def lines(path: Path, about: str) -> list[str]:
    """Lines of a list, one entry each, without the empty ones and without spaces around them."""
    return [line for line in (part.strip() for part in re.split(r"[\r\n]", text(path, about))) if line]


def rows(path: Path, columns: Sequence[str], about: str, *, strict: bool = True) -> Iterator[dict[str, str]]:
    """Rows of a table with a header, as dictionaries of all its columns.

    Cells are separated by commas, tabs or semicolons: those with which the header has `columns`. Empty rows and
    columns, which spreadsheets leave at the ends, are skipped.

    Parameters
    ----------
    columns : sequence of str
        Required columns; there may be more.
    about : str
        Description of the file, for messages: ``"UrbanSound8K's metadata"``.
    strict : bool
        Whether a quote inside a quoted cell has to be doubled; False for tables of titles, whose owners may not have.

    Raises
    ------
    UsageError
        If the file is missing, is no text, lacks a column or has one twice, or a row has another number of cells.
    """
    header: list[str] | None = None
    for number, row in cells(path, about, columns=columns, strict=strict):
        if header is None:
            header = row
            _check_header(path, header, columns, about)
        elif len(row) != len(header):
            raise UsageError(f"{path} is not {about}: line {number} has {len(row)} cells, the header {len(header)}")
        else:
            yield dict(zip(header, row, strict=True))
    if header is None:
        _check_header(path, [], columns, about)


def cells(
    path: Path, about: str, *, columns: Sequence[str] = (), strict: bool = True
) -> Iterator[tuple[int, list[str]]]:
    """Cells of every row with its line number, the header first, whose cells have no spaces around them.

    Rows without any text are passed over. What is too much at the end of a row and empty is left out; a row may still
    be longer or shorter than the header.
    """
    content = text(path, about)
    first, _, rest = content.partition("\n")
    # Excel's own word for what stands between the cells.
    stated = re.fullmatch(r"sep=([,;\t])\r?", first)
    content = rest if stated else content
    # Line ends may be mixed: inside quotes they are kept, elsewhere each of them ends a row.
    delimiter = stated[1] if stated else _delimiter(content, columns)
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=strict)
    width = None
    try:
        for row in reader:
            if not any(row):
                continue
            if width is None:
                row = _without_end([name.strip() for name in row], 1)
                width = len(row)
            yield reader.line_num + bool(stated), _without_end(row, width)
    except csv.Error as error:
        raise UsageError(f"{path} is not {about}: line {reader.line_num}: {error}") from error


def _without_end(row: list[str], width: int) -> list[str]:
    """A row without the empty cells behind its first `width`."""
    while len(row) > width and not row[-1]:
        row = row[:-1]
    return row


def _delimiter(content: str, columns: Sequence[str]) -> str:
    """What stands between the cells: that which makes the header name the columns, else that which is commonest."""
    header = next((line for line in re.split(r"[\r\n]+", content[: 1 << 20]) if line.strip()), "")
    found = {d: [name.strip() for name in next(csv.reader([header], delimiter=d), [])] for d in DELIMITERS}
    fitting = [d for d, names in found.items() if columns and all(name in names for name in columns)]
    return max(fitting or DELIMITERS, key=lambda d: len(found[d]))


def _check_header(path: Path, header: list[str], columns: Sequence[str], about: str) -> None:
    missing = [name for name in columns if name not in header]
    if missing or len(set(header)) < len(header):
        wrong = f"it has no column {missing[0]!r}" if missing else "a column stands in it twice"
        raise UsageError(f"{path} is not {about}: {wrong}; its first line is {', '.join(header)[:120]!r}")


def number(value: str, kind: type[int] | type[float], where: str) -> float:
    """A number in a table, also with a decimal comma; anything else raises a `UsageError` with its position.

    ``1,234`` is refused: it may be 1.234 or 1234. Whole numbers may have a decimal part of zeros.
    """
    written = value.strip()
    if TWO_WAYS.fullmatch(written):
        raise UsageError(f"{where} should be a number and is {value!r}, which can be read in two ways")
    if DECIMAL_COMMA.fullmatch(written):
        written = written.replace(",", ".")
    if kind is int:
        written = numeral(written)
    try:
        # Python also accepts 1_000 as a number, which tables do not have.
        found = kind(written if "_" not in written else "")
    except ValueError as error:
        raise UsageError(f"{where} should be a {'whole ' * (kind is int)}number and is {value!r}") from error
    if not abs(found) < float("inf"):
        raise UsageError(f"{where} should be a finite number and is {value!r}")
    return found


def whole(value: str, where: str) -> int:
    """A whole number in a table; anything else raises a `UsageError` with its position."""
    return int(number(value, int, where))


def numeral(value: str) -> str:
    """A number that is a name, restored after a program treated it as a quantity: ``42`` for ``42.0``."""
    match = WHOLE.fullmatch(value.strip())
    return match[1] if match else value.strip()


def truth(value: str) -> bool | None:
    """The boolean value of a cell (``TRUE``, ``1.0``, ``no``, ``WAHR``); None for any other."""
    return TRUTHS.get(value.strip().lower())


def boolean(value: str, where: str) -> bool:
    """A boolean in a table; anything else raises a `UsageError` with its position."""
    found = truth(value)
    if found is None:
        raise UsageError(f"{where} should be true or false and is {value!r}")
    return found
