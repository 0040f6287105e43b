"""The DuckDB of this process, for our own short questions: to make one takes some 30 times as long as to ask it.

What belongs to an instance as a whole (settings, file systems, functions of Python) is never changed here.
"""

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count

import duckdb

_NUMBERS = count()
# By the number of the process: threads of the parent's do not survive a fork.
_instances: dict[int, duckdb.DuckDBPyConnection] = {}
# Closed before Python ends, or its bindings say that they leak.
atexit.register(_instances.clear)


@contextmanager
def connection() -> Iterator[tuple[duckdb.DuckDBPyConnection, str]]:
    """A connection, and the name under which it has to attach a database file, which is let go after the block.

    An instance attaches no file twice: who asks at the same time as others attaches a copy.
    """
    instance, name = _instance(), f"attached_{next(_NUMBERS)}"
    cursor = instance.cursor()
    try:
        cursor.execute("SET TimeZone = 'UTC'")
        yield cursor, name
    finally:
        # Closed first, which ends what was begun and not committed.
        cursor.close()
        with suppress(duckdb.Error), instance.cursor() as closing:
            closing.execute(f"DETACH DATABASE IF EXISTS {name}")


def _instance() -> duckdb.DuckDBPyConnection:
    process = os.getpid()
    if process not in _instances:
        _instances.setdefault(process, duckdb.connect())
    return _instances[process]
