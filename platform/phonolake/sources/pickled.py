"""Read lists of strings from pickles without unpickling: parse opcodes, and accept only those that make lists.

Papers publish lists of clips as pickles of Python 2 (``.cP``). A pickle is a program; here it can only build lists of
strings and numbers, and everything else is refused before it has an effect.
"""

import pickletools
from pathlib import Path
from typing import Any

from phonolake.errors import UsageError

LARGEST = 64 << 20  # bytes; published lists have about one
IGNORED = {"PROTO", "FRAME", "STOP"}
VALUES = {
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1",
}  # fmt: skip
STORES = {"PUT", "BINPUT", "LONG_BINPUT"}
FETCHES = {"GET", "BINGET", "LONG_BINGET"}
MARK = object()


def read_list(path: Path) -> list[str]:
    """The list of texts that a pickle holds.

    Raises
    ------
    UsageError
        If the file is missing, too large or broken, or holds anything but one list of texts.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise UsageError(f"{path} is larger than {LARGEST >> 20} MiB, and no list of clips is")
        found = _build(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    # What `pickletools` raises for bytes that are no pickle; below, what a program that makes no sense runs into.
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is not a pickled list of texts: {error}") from error
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise UsageError(f"{path} is not a pickled list of texts: it contains something else")
    return found


def _build(data: bytes) -> Any:
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    for opcode, argument, _ in pickletools.genops(data):
        name = opcode.name
        if name in VALUES:
            stack.append(argument.decode("utf-8") if isinstance(argument, bytes) else argument)
        elif name == "MARK":
            stack.append(MARK)
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "LIST":
            stack.append(_above_mark(stack))
        elif name == "APPEND":
            item = stack.pop()
            stack[-1].append(item)
        elif name == "APPENDS":
            items = _above_mark(stack)
            stack[-1].extend(items)
        elif name in STORES or name == "MEMOIZE":
            memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in FETCHES:
            stack.append(memo[argument])
        elif name not in IGNORED:
            raise ValueError(f"lists of texts do not need its opcode {name}")
    (result,) = stack
    return result


def _above_mark(stack: list[Any]) -> list[Any]:
    """Take what lies above the last mark off the stack, and the mark."""
    at = len(stack) - 1 - stack[::-1].index(MARK)
    items = stack[at + 1 :]
    del stack[at:]
    return items
