"""Retry work on the next state of a lake if another job published in between."""

from collections.abc import Iterator
from types import TracebackType

import duckdb

from phonolake.store import naming, remote_errors
from phonolake.store.lake import Lake, OvertakenError
from phonolake.store.naming import TOMBSTONES
from phonolake.store.rewrite import purge
from phonolake.store.shards import GoneError

# After this many attempts the job gives up and names the other; its results stay for the next run.
MOST = 8
# Errors of reading a shard that another job removed.
GONE = (FileNotFoundError, GoneError, duckdb.IOException)


class Attempt:
    """A context with a fixed state of the lake; it suppresses `OvertakenError`, unless it is the last attempt."""

    def __init__(self, lake: Lake, *, last: bool) -> None:
        self._lake = lake
        self._last = last
        self._seen: dict[str, int] = {}

    def __enter__(self) -> Lake:
        pinned = self._lake.pinned()
        self._seen = pinned.versions()
        return pinned

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not (isinstance(error, (OvertakenError, *GONE)) or remote_errors.is_gone(error)):
            return False
        now = self._lake.versions()
        if now.get(TOMBSTONES) != self._seen.get(TOMBSTONES):
            # Remove what this attempt wrote about tracks that were forgotten meanwhile.
            purge(self._lake, naming.buried(self._lake))
        overtaken = isinstance(error, OvertakenError) or now != self._seen
        return overtaken and not self._last


def attempts(lake: Lake) -> Iterator[Attempt]:
    """The attempts of a job, each to be used with `with`; the block returns or breaks when it has committed.

    Raises
    ------
    OvertakenError
        By the last of them.
    """
    for n in range(1, MOST + 1):
        yield Attempt(lake, last=n == MOST)
