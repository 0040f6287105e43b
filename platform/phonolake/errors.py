"""Errors, with messages that say what to do.

Every message names the received value and a solution. The command line prints it on one line and exits with
`exit_code`: 2 when the request was wrong, 1 when the work failed.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches

# Letters of a foreign reason that are shown: its beginning and its end, where it is longer.
MOST_SAID = 1200
# Colours, and the lines of a traceback, which tell the reader of a message nothing.
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
FRAME = re.compile(r'Traceback \(most recent|File ".*", line \d+|[\^~]+$')


class PhonolakeError(Exception):
    """Root of every error that Phonolake raises on purpose."""

    exit_code = 1


class UsageError(PhonolakeError):
    """An invalid request: an unknown name, a path of the wrong kind, an argument out of range."""

    exit_code = 2


class AudioError(PhonolakeError):
    """An unusable recording. It goes to `rejects` and never fails a shard.

    Parameters
    ----------
    reason : str
        A short fixed code, such as ``"truncated"``; the values are listed in `schemas/rejects.sql`.
    detail : str
        The measured value, as readable text.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["AudioError"], tuple[str, str]]:
        return type(self), (self.reason, self.detail)


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Build the error for a name that no registry has; it lists the known ones."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return UsageError(f"unknown {kind} {name!r}.{hint} Known: {', '.join(names) or 'none'}.")


def whole_reason(error: BaseException) -> str:
    """The whole message of a library's error, on one line, because the important part often comes last, as with pip."""
    lines = [line.strip() for line in COLOURS.sub("", str(error)).splitlines()]
    said = "; ".join(line for line in lines if line and not FRAME.match(line)) or type(error).__name__
    half = MOST_SAID // 2
    return said if len(said) <= MOST_SAID else f"{said[:half]} ... {said[-half:]}"
