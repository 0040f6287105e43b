"""Jobs: every writer registers, so that others know the owner of unfinished files and can name it.

    LAKE/jobs/ID.json       what runs where since when; its driver keeps it locked until it ends in any way

Object storage has no locks: there the driver rewrites the object every few seconds, and a job with an old object is
dead. Its unfinished files are on its own machine, where the lock of the copy shows whether it lives.

The names of a job's unfinished files end in its id (`phonolake.files.temporary_beside`).
"""

import getpass
import json
import os
import re
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from phonolake import files
from phonolake.files import TEMPORARY, TOUCHED, remove
from phonolake.store.objects import Entry, StorageError
from phonolake.store.place import Place

FOLDER = "jobs"
SUFFIX = ".json"
# On object storage: interval of a job's heartbeat, and the age at which it counts as dead.
HEARD_SECONDS, DEAD_SECONDS = 15, 120
CLOCK = f"{FOLDER}/clock"
# Age at which unfinished files without an owner are deleted.
UNOWNED_SECONDS = 24 * 3600
# Folders of unfinished files in the lake, besides its tables.
PLACES = (".*", "models/*/.*", "indexes/.*", "indexes/*/.*", "indexes/*/*/.*")
_OWNED = re.compile(r"\.[0-9a-f]{8}\.(?P<job>[a-z]+-[0-9a-f]{12})" + re.escape(TEMPORARY))


@dataclass(frozen=True, slots=True)
class Job:
    """A writing command: `what` it does, `who` runs it where, and since when (ISO 8601, UTC)."""

    id: str
    what: str
    who: str
    since: str

    def __str__(self) -> str:
        return f"{self.what} of {self.who}, since {self.since}"


_current: ContextVar[Job | None] = ContextVar("job", default=None)


def current() -> Job:
    """The job of the running code."""
    return _current.get() or _new("command")


@contextmanager
def working(place: Place | Path, what: str) -> Iterator[Job]:
    """Register a job while the block runs; delete unfinished files of dead jobs first, and its own at the end.

    Parameters
    ----------
    place : Place or Path
        Of the lake.
    what : str
        Name of the stage, in small letters.
    """
    place = Place.at(place)
    root = place.root
    sweep(root)
    job = _new(what)
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with _held(root, job), _heard_of(place, job) if place.is_remote else nullcontext():
        yield job


@contextmanager
def _held(root: Path, job: Job) -> Iterator[None]:
    """Hold the lock of a job on this machine."""
    folder = root / FOLDER
    path, born = folder / f"{job.id}{SUFFIX}", folder / f".{job.id}"
    with open(born, "w", encoding="utf-8") as held:
        # It is locked before it has its name, so that nobody considers it dead.
        files.lock(held)
        held.write(json.dumps(asdict(job)) + "\n")
        held.flush()
        os.rename(born, path)
        job_before, owner_before = _current.set(job), files.owner.set(job.id)
        try:
            yield
        finally:
            _current.reset(job_before)
            files.owner.reset(owner_before)
            _sweep_of(root, {job.id})
            path.unlink(missing_ok=True)


@contextmanager
def _heard_of(place: Place, job: Job) -> Iterator[None]:
    """Rewrite the object of a job repeatedly, until it ends."""
    over, name, said = threading.Event(), f"{FOLDER}/{job.id}{SUFFIX}", (json.dumps(asdict(job)) + "\n").encode()
    place.delete(entry.name for entry in _unheard_of(place))
    place.put(name, said)

    def beat() -> None:
        while not over.wait(HEARD_SECONDS):
            # Ignore a failed heartbeat: the next one may succeed.
            with suppress(StorageError):
                place.put(name, said)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        with suppress(StorageError):
            place.delete([name])


def living(place: Place | Path) -> list[Job]:
    """Running jobs, the oldest first."""
    place = Place.at(place)
    if place.is_remote:
        dead = {entry.name for entry in _unheard_of(place)}
        alive = [entry.name for entry in place.list(f"{FOLDER}/") if entry.name not in dead]
        found = [_parsed(place.read(name)) for name in alive if name.endswith(SUFFIX)]
    else:
        found = [_read(path) for path in (place.root / FOLDER).glob(f"*{SUFFIX}") if files.is_locked(path)]
    return sorted((job for job in found if job is not None), key=lambda job: (job.since, job.id))


def _unheard_of(place: Place) -> list[Entry]:
    """Objects of dead jobs, by the clock of the storage and not of this machine."""
    entries = [entry for entry in place.list(f"{FOLDER}/") if entry.name.endswith(SUFFIX)]
    if not entries:
        return []
    now = _time_there(place)
    old = [entry for entry in entries if (now - entry.modified).total_seconds() > DEAD_SECONDS]
    return [entry for entry in old if not files.is_locked(place.root / entry.name)]


def _time_there(place: Place) -> datetime:
    """The time of the storage; with read access only, the local time."""
    try:
        place.put(CLOCK, b"")
    except StorageError:
        return datetime.now(UTC)
    return next(entry.modified for entry in place.list(f"{FOLDER}/") if entry.name == CLOCK)


def sweep(root: Path) -> None:
    """Delete unfinished files of dead jobs, and after a day those of lakes from before there were jobs."""
    dead = [place for place in (root / FOLDER).glob(f"*{SUFFIX}") if not files.is_locked(place)]
    _sweep_of(root, {place.stem for place in dead})
    for place in dead:
        place.unlink(missing_ok=True)
    for path in _hidden_shards(root):
        if not path.name.endswith((TEMPORARY, TOUCHED)) or owner_of(path) is not None:
            continue
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > UNOWNED_SECONDS:
                path.unlink()


def owner_of(path: Path) -> str | None:
    """Id of the job that owns an unfinished file or folder; None for those from before there were jobs."""
    found = _OWNED.search(path.name)
    return found["job"] if found else None


def is_at_work(root: Path, job_id: str | None) -> bool:
    """Whether a job is alive."""
    return job_id is not None and files.is_locked(root / FOLDER / f"{job_id}{SUFFIX}")


def _sweep_of(root: Path, ids: set[str]) -> None:
    if not ids:
        return
    for path in [*_hidden_shards(root), *(path for pattern in PLACES for path in root.glob(pattern))]:
        if owner_of(path) in ids:
            remove(path)


def _hidden_shards(root: Path) -> list[Path]:
    """Unfinished files in the folders of tables, which may contain a hundred thousand files."""
    folders = [folder for folder in (root / "tables").glob("*") if folder.is_dir()]
    return [folder / name for folder in folders for name in os.listdir(folder) if name.startswith(".")]


def _new(what: str) -> Job:
    who = f"{_user()}@{socket.gethostname()} (process {os.getpid()})"
    return Job(f"{what}-{uuid.uuid4().hex[:12]}", what, who, datetime.now(UTC).isoformat(sep=" ", timespec="seconds"))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return str(os.getuid())


def _read(path: Path) -> Job | None:
    try:
        return _parsed(path.read_bytes())
    except OSError:
        return None


def _parsed(said: bytes) -> Job | None:
    try:
        return Job(**json.loads(said))
    except (ValueError, TypeError):
        return None
