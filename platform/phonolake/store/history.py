"""Shards of earlier versions of a table, from the entries of its Delta log."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from urllib.parse import unquote

from phonolake.errors import PhonolakeError
from phonolake.files import sync
from phonolake.store.place import Place

LOG = "_delta_log"
ENTRY = re.compile(r"/(\d{20})\.json$")
# An entry, or a checkpoint.
NUMBERED = re.compile(r"/(\d{20})\.[^/]+$")
PARALLEL = 8


def earlier(place: Place, folder: str, version: int) -> dict[str, int]:
    """Shards of versions before `version` that `version` does not have.

    Parameters
    ----------
    folder : str
        Name of the table's folder in the lake's place.
    version : int
        A version of its log; entries of later ones, which a killed commit can leave, are ignored.

    Returns
    -------
    dict
        The last version with a shard, by its file name.

    Raises
    ------
    PhonolakeError
        If an entry cannot be read.
    """
    named: dict[str, int] = {}
    # Names of entries are numbers with leading zeros, so that they sort.
    numbers = sorted(int(m[1]) for entry in place.list(f"{folder}/{LOG}/") if (m := ENTRY.search(entry.name)))
    numbers = [number for number in numbers if number <= version]
    names = [f"{folder}/{LOG}/{number:020d}.json" for number in numbers]
    read = partial(_actions, place)
    with ThreadPoolExecutor(PARALLEL) as pool:
        # On a disk threads gain nothing, and each keeps some of the memory for a long entry.
        found = pool.map(read, names) if place.is_remote else map(read, names)
        for number, actions in zip(numbers, found, strict=True):
            for kind, file in actions:
                named[file] = version if kind == "add" else number - 1
    return {file: last for file, last in named.items() if last < version}


def entry(folder: Path, version: int) -> Path:
    """Where the entry of a version lies."""
    return folder / LOG / f"{version:020d}.json"


def before(place: Place, folder: str, version: int) -> list[str]:
    """Entries and checkpoints that are not needed to open `version` or a later one with a checkpoint."""
    names = [entry.name for entry in place.list(f"{folder}/{LOG}/")]
    numbered = [(int(found[1]), name) for name in names if (found := NUMBERED.search(name))]
    return [name for number, name in numbered if number < version]


def drop_torn(folder: Path, version: int) -> None:
    """Remove entries after `version` that a power failure left half-written, and those that follow them.

    They were never visible: a version is published when its entry is on the disk.
    """
    torn = False
    for entry in _behind(folder, version):
        torn = torn or not _is_whole(entry)
        if torn:
            entry.unlink()


def force(folder: Path, version: int) -> None:
    """Flush the entries after `version` to disk, with their names."""
    log = folder / LOG
    for path in [*_behind(folder, version), *log.glob("*.checkpoint*"), *log.glob("_last_checkpoint")]:
        sync(path)
    # The folders themselves are new with the first version.
    for path in (log, folder, folder.parent) if version < 0 else (log,):
        sync(path)


def _behind(folder: Path, version: int) -> list[Path]:
    return sorted(entry for entry in (folder / LOG).glob("*.json") if int(entry.stem) > version)


def _is_whole(entry: Path) -> bool:
    try:
        lines = entry.read_text(encoding="utf-8").splitlines()
        return bool(lines) and all(isinstance(json.loads(line), dict) for line in lines)
    except ValueError:
        return False


def _actions(place: Place, name: str) -> list[tuple[str, str]]:
    """The actions of an entry, one in a line; its paths are URL-encoded."""
    try:
        return [
            (kind, unquote(facts["path"]))
            for line in place.read(name).decode("utf-8").splitlines()
            for kind, facts in json.loads(line).items()
            if kind in ("add", "remove")
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PhonolakeError(f"{place.named(name)} cannot be read ({error}): restore it from a copy") from error
