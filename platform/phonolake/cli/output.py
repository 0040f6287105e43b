"""Rows on standard output as a table, CSV or JSON."""

import csv
import dataclasses
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TextIO

import click
from rich.console import Console
from rich.table import Table

from phonolake.errors import PhonolakeError
from phonolake.records import plain

# A pipe has no width: use one that cuts no value.
PIPE_WIDTH = 400


@contextmanager
def forgiving() -> Iterator[None]:
    """Print characters that a terminal cannot show as escapes, and flush before the block ends.

    Raises
    ------
    PhonolakeError
        When standard output was closed before.
    """
    stream = sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    try:
        yield
        if stream is not None:
            stream.flush()
    except OSError:
        _give_up(stream)
        raise
    except PhonolakeError as error:
        if isinstance(error.__cause__, BrokenPipeError):
            _give_up(stream)
        raise


def _give_up(stream: TextIO | None) -> None:
    """Discard remaining output: otherwise Python complains when it ends."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # type: ignore[union-attr]


def emit(rows: Iterable[Any], form: str, *, columns: Sequence[str] | None = None, of: type | None = None) -> None:
    """Print rows.

    Parameters
    ----------
    rows : iterable
        Dataclass instances, or tuples in the order of `columns`.
    form : {"table", "csv", "json"}
        JSON is one array of objects; bytes become base64, NaN becomes null.
    columns : sequence of str, optional
        Names, where the rows are tuples.
    of : dataclass, optional
        Class of the rows: CSV needs it for its header when there are no rows.
    """
    listed = list(rows)
    if sys.stdout is None:
        raise PhonolakeError(f"standard output is closed: {len(listed)} rows could not be printed")
    if columns is None:
        kind = of if of is not None else type(listed[0])
        columns = [f.name for f in dataclasses.fields(kind)]
        listed = [dataclasses.astuple(row) for row in listed]
        if form == "table" and not listed:
            click.echo("no rows", err=True)
            return
    {"table": _table, "csv": _csv, "json": _json}[form](columns, listed)


def emit_parts(parts: Iterable[Sequence[Any]], form: str) -> list[Any]:
    """Print dataclass instances as they come, so that long work shows its results early, and return them all.

    Each part has at least one row and becomes a table of its own. CSV has a single header; JSON is one array, so it
    waits for the last part.
    """
    rows: list[Any] = []
    for part in parts:
        if form == "table":
            emit(part, form, of=type(part[0]))
        elif form == "csv":
            names = [] if rows else [f.name for f in dataclasses.fields(part[0])]
            _csv(names, [dataclasses.astuple(row) for row in part])
        rows += part
    if form == "json":
        emit(rows, form, of=type(rows[0]))
    return rows


def _write(text: str) -> None:
    # Click alone treats ASCII as a mistake, and writes UTF-8.
    click.echo(text, file=sys.stdout, nl=False)


def _table(columns: Sequence[str], rows: list[Sequence[Any]]) -> None:
    table = Table(*(str(name) for name in columns), header_style="bold")
    for column, name in zip(table.columns, columns, strict=True):
        values = [row[columns.index(name)] for row in rows]
        column.overflow = "fold"
        if values and all(isinstance(v, int | float) or v is None for v in values):
            column.justify = "right"
    for row in rows:
        table.add_row(*(_short(value) for value in row))
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    console = Console(width=width, markup=False, highlight=False, emoji=False)
    with console.capture() as captured:
        console.print(table)
    _write(captured.get())


def _csv(columns: Sequence[str], rows: list[Sequence[Any]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if columns:
        writer.writerow(columns)
    writer.writerows([[_cell(value) for value in row] for row in rows])
    _write(text.getvalue())


def _cell(value: Any) -> Any:
    """A value for CSV, which has no lists: they become JSON."""
    held = plain(value)
    return json.dumps(held, ensure_ascii=False, default=str) if isinstance(held, dict | list) else held


def _json(columns: Sequence[str], rows: list[Sequence[Any]]) -> None:
    objects = [{name: plain(value) for name, value in zip(columns, row, strict=True)} for row in rows]
    # JSON escapes if the terminal has no others.
    unicode = "utf" in (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    _write(json.dumps(objects, indent=2, ensure_ascii=not unicode, default=str) + "\n")


def _short(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e5 else f"{value:,.0f}"
    if isinstance(value, bytes | bytearray):
        return f"<{len(value)} bytes>"
    # Control characters in names stay visible and harmless to the terminal.
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(value))
