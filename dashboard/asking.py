"""An SQL query that runs beside the page, so that the page can show a timer and cancel it."""

import threading
import time
from contextlib import suppress

import duckdb

from phonolake.analysis.collection import similar_sql
from phonolake.errors import PhonolakeError, UsageError
from phonolake.lookup import answers
from phonolake.store.lake import Lake


class Asking:
    """One question on a connection of its own.

    Parameters
    ----------
    limits
        As for `answers.ask`.
    """

    def __init__(self, lake: Lake, sql: str, **limits: float) -> None:
        self.sql = sql
        self.answer: answers.QueryResult | None = None
        self.error: PhonolakeError | None = None
        self._lake, self._limits = lake, limits
        self._began, self._took = time.monotonic(), None
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    @property
    def seconds(self) -> float:
        """How long it has taken, so far or in all."""
        return (self._took if self._took is not None else time.monotonic()) - self._began

    def wait(self, seconds: float) -> bool:
        """Wait for the answer so long at most; whether there is one, or an error."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Stop it. Between two statements there is nothing to interrupt: again and again until it has ended."""
        self._stopped.set()
        while not self.wait(0.05):
            if (connection := self._connection) is not None:
                # It may have ended, and closed its connection, in this moment.
                with suppress(duckdb.ConnectionException):
                    connection.interrupt()

    def _ask(self) -> None:
        try:
            with similar_sql.connecting(self._lake, files=False) as connection:
                self._connection = connection
                self.answer = answers.ask(connection, self.sql, **self._limits)  # type: ignore[arg-type]
        except PhonolakeError as error:
            self.error = UsageError("stopped") if self._stopped.is_set() else error
        except OSError as error:
            self.error = PhonolakeError(f"the lake cannot be read ({error})")
        except MemoryError:
            self.error = UsageError("the result does not fit into memory: ask for less")
        finally:
            self._connection = None
            self._took = time.monotonic()


def where_wrong(error: PhonolakeError) -> str | None:
    """The line of the statement with DuckDB's error, and a mark below the position; None if it names none."""
    lines = str(error.__cause__ or "").splitlines()
    marked = [n for n, line in enumerate(lines) if n and set(line.strip()) == {"^"}]
    return f"{lines[marked[0] - 1]}\n{lines[marked[0]]}" if marked else None
