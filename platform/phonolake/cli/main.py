"""The program `phonolake`, and the entry point of the scripts in `jobs/`.

Little is imported before the signals are guarded: a command may be stopped as soon as it is typed.
"""

import os
import sys
from collections.abc import Sequence

from phonolake.cli import signals


def console(words: Sequence[str]) -> int:
    """Run the command line as this process's only work; returns its exit code."""
    _occupy_standard_files()
    return signals.guard(lambda: main(words))


def _occupy_standard_files() -> None:
    """If one of the first three is closed, a file of the lake would get its number, and C output would go into it."""
    while (number := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    os.close(number)


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code instead of raising. Without words it is those of the process."""
    if words is None:
        return console(sys.argv[1:])
    from phonolake.cli import group

    return group.run(words)


if __name__ == "__main__":
    sys.exit(main())
