"""The published version of each table, and who wrote it last.

LAKE/lake.json                 in a folder: replaced in one rename, under a lock
LAKE/published/000000123.json  on object storage: each a new object, which only one writer can create
"""

import json
import os
import re
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from phonolake.errors import PhonolakeError
from phonolake.files import replacing
from phonolake.store import jobs
from phonolake.store.objects import Entry, StorageError
from phonolake.store.place import Place

FORMAT = 1
MARKER = "lake.json"
FOLDER = "published/"
_NUMBERED = re.compile(re.escape(FOLDER) + r"\d{9}\.json")
# The newest number that this process has seen at a place: earlier ones need not be listed again.
_seen: dict[Place, int] = {}


@dataclass(frozen=True, slots=True)
class State:
    """The published state: versions of tables, their writers, and the number of the publication, 0 in a folder."""

    tables: dict[str, int] = field(default_factory=dict)
    writers: dict[str, str] = field(default_factory=dict)
    number: int = 0


def exists(place: Place) -> bool:
    """Whether there is a lake."""
    return _newest(place) is not None if place.is_remote else (place.root / MARKER).is_file()


def stamp(place: Place) -> tuple[int, int]:
    """A value that changes with each publication; cheaper than `read`."""
    if place.is_remote:
        newest = _there(place)
        return _number(newest), int(newest.modified.timestamp())
    try:
        # Called before each search for neighbours.
        facts = os.stat(f"{place.root}/{MARKER}")
    except OSError as error:
        raise PhonolakeError(f"{place.root / MARKER} cannot be read ({error}): restore it from a copy") from error
    return facts.st_ino, facts.st_mtime_ns


def read(place: Place) -> State:
    """The current state.

    Raises
    ------
    PhonolakeError
        If it cannot be read, or the lake has another format.
    """
    if place.is_remote:
        newest = _there(place)
        return State(**_parsed(place, _read_object(place, newest), named=newest.name), number=_number(newest))
    try:
        text = (place.root / MARKER).read_bytes()
    except OSError as error:
        raise PhonolakeError(f"{place.root / MARKER} cannot be read ({error}): restore it from a copy") from error
    return State(**_parsed(place, text, named=MARKER))


def publish(place: Place, before: State, versions: dict[str, int], changed: Collection[str]) -> None:
    """Publish versions of tables, all at once.

    Parameters
    ----------
    before : State
        The state on which they depend.
    changed : collection of str
        Tables that this job wrote.

    Raises
    ------
    TakenError
        On object storage, when another job has published meanwhile.
    """
    writers = before.writers | {table: str(jobs.current()) for table in changed}
    state: dict[str, Any] = {"format": FORMAT, "tables": dict(sorted(versions.items()))}
    state |= {"writers": dict(sorted(writers.items()))} if writers else {}
    if not place.is_remote:
        with replacing(place.root / MARKER) as temporary:
            temporary.write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
        return
    name = _name(before.number + 1)
    data = (json.dumps(state | {"id": uuid.uuid4().hex}, indent=2) + "\n").encode()
    try:
        place.put(name, data, create=True)
    except StorageError:
        # The response to the first try may have been lost: the object itself shows whose it is.
        if not _is_there(place, name, data):
            raise
    _seen[place] = max(_seen.get(place, 0), before.number + 1)


def _there(place: Place) -> Entry:
    newest = _newest(place)
    if newest is None:
        raise PhonolakeError(f"no lake at {place}: it was deleted")
    return newest


def _is_there(place: Place, name: str, data: bytes) -> bool:
    try:
        return place.read(name) == data
    except FileNotFoundError:
        return False


def _name(number: int) -> str:
    return f"{FOLDER}{number:09d}.json"


def _newest(place: Place) -> Entry | None:
    """The newest publication on object storage."""
    known = _seen.get(place, 0)
    found = [e for e in place.list(FOLDER, after=_name(known - 1) if known > 0 else "") if _NUMBERED.fullmatch(e.name)]
    if not found and known:
        # The lake was deleted, or created again.
        del _seen[place]
        return _newest(place)
    if found:
        _seen[place] = _number(found[-1])
    return found[-1] if found else None


def _number(entry: Entry) -> int:
    return int(entry.name[len(FOLDER) : -len(".json")])


@lru_cache(maxsize=256)
def _read_object(place: Place, entry: Entry) -> bytes:
    return place.read(entry.name)


def _parsed(place: Place, text: bytes, *, named: str) -> dict[str, Any]:
    path = place.named(named)
    try:
        state = json.loads(text)
    except ValueError as error:
        raise PhonolakeError(f"{path} cannot be read ({error}): restore it from a copy") from error
    if not isinstance(state, dict) or "format" not in state:
        raise PhonolakeError(f"{path} cannot be read (it names no format): restore it from a copy")
    if state["format"] != FORMAT:
        raise PhonolakeError(
            f"{place} has lake format {state['format']!r}, and this Phonolake reads {FORMAT}: "
            "use the version that wrote it"
        )
    tables = state.get("tables")
    if not isinstance(tables, dict) or not all(isinstance(version, int) for version in tables.values()):
        raise PhonolakeError(f"{path} cannot be read (it names no versions): restore it from a copy")
    return {"tables": tables, "writers": dict(state.get("writers", {}))}
