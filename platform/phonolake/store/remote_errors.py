"""DuckDB's errors when object storage fails during a read."""

import duckdb

# DuckDB's form of errors from a file system.
RAISED = "Traceback (most recent call last)"


def is_gone(error: BaseException | None) -> bool:
    """Whether DuckDB's error says that an object does not exist."""
    return isinstance(error, duckdb.Error) and RAISED in str(error) and "FileNotFoundError" in str(error)


def said(error: duckdb.Error) -> str | None:
    """The error of object storage while DuckDB read, in one line; None for other errors."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].partition(": ")[2] if lines and RAISED in str(error) else None
