"""A rate limit that several processes share."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from phonolake.files import lock


@dataclass(frozen=True, slots=True)
class Pace:
    """At most `per_second` requests a second over all processes that share the file `path`.

    The file holds the time of the next free slot, in seconds since 1970. The kernel frees the lock of a process that
    was killed, and an old slot is simply in the past, so there is nothing to clean up.

    Parameters
    ----------
    path : Path
        On a file system that all of them see; its folder must exist.
    per_second : float
        Above 0.
    """

    path: Path
    per_second: float

    def wait(self) -> None:
        """Take the next free slot and sleep until it comes."""
        while (delay := self._take()) > 0:
            time.sleep(delay)

    def hold(self, seconds: float) -> None:
        """Block all slots for this many seconds, because the server asked to wait."""
        with open(self.path, "a+", encoding="ascii") as file:
            lock(file)
            _write(file, max(_read(file), time.time() + seconds))

    def _take(self) -> float:
        """Take a slot that is free now (0), or return the seconds until one is."""
        with open(self.path, "a+", encoding="ascii") as file:
            lock(file)
            now, free = time.time(), _read(file)
            if free > now:
                return free - now
            _write(file, now + 1 / self.per_second)
            return 0.0


def _read(file: TextIO) -> float:
    file.seek(0)
    try:
        return float(file.read() or 0)
    except ValueError:
        return 0.0  # an interrupted write: nobody has to wait


def _write(file: TextIO, moment: float) -> None:
    file.seek(0)
    file.truncate()
    file.write(repr(moment))
    file.flush()
