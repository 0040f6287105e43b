"""What earlier versions of a table held, read from the entries of its Delta log."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from phonolake.errors import PhonolakeError

LOG = "_delta_log"


def earlier(folder: Path, version: int) -> dict[str, int]:
    """Shards that versions before `version` named and `version` does not.

    Parameters
    ----------
    folder : Path
        Folder of the table.
    version : int
        A version of its log; entries of later ones, as a killed commit leaves them, tell nothing.

    Returns
    -------
    dict
        The last version that named a shard, by its file name.

    Raises
    ------
    PhonolakeError
        If an entry cannot be read.
    """
    named: dict[str, int] = {}
    # Names of entries are numbers with leading zeros, so that they sort.
    for entry in sorted((folder / LOG).glob("*.json")):
        number = int(entry.stem)
        if number > version:
            break
        for kind, file in _actions(entry):
            named[file] = version if kind == "add" else number - 1
    return {file: last for file, last in named.items() if last < version}


def _actions(entry: Path) -> Iterator[tuple[str, str]]:
    """What an entry adds and removes, one action in a line; the paths in it are those of URLs."""
    try:
        for line in entry.read_text(encoding="utf-8").splitlines():
            for kind, facts in json.loads(line).items():
                if kind in ("add", "remove"):
                    yield kind, unquote(facts["path"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PhonolakeError(f"{entry} cannot be read ({error}): restore it from a copy") from error
