"""The DuckDB instance of this process, for short internal queries: making one takes some 30 times as long as a query.

Global properties of the instance (settings, file systems, Python functions) are never changed here.
"""

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count

import duckdb

_NUMBERS = count()
# By process id: threads of the parent do not survive a fork.
_instances: dict[int, duckdb.DuckDBPyConnection] = {}
# Closed before Python ends, otherwise its bindings report leaks.
atexit.register(_instances.clear)


@contextmanager
def connection() -> Iterator[tuple[duckdb.DuckDBPyConnection, str]]:
    """A connection, and the name under which it must attach a database file, which is detached after the block.

    An instance cannot attach a file twice: concurrent queries attach copies.
    """
    instance, name = _instance(), f"attached_{next(_NUMBERS)}"
    cursor = instance.cursor()
    try:
        cursor.execute("SET TimeZone = 'UTC'")
        yield cursor, name
    finally:
        # Closed first, which ends open transactions.
        cursor.close()
        with suppress(duckdb.Error), instance.cursor() as closing:
            closing.execute(f"DETACH DATABASE IF EXISTS {name}")


def _instance() -> duckdb.DuckDBPyConnection:
    process = os.getpid()
    if process not in _instances:
        _instances.setdefault(process, duckdb.connect())
    return _instances[process]
