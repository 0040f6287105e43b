"""Jobs: whoever writes into a lake says so, so that others know whose unfinished files these are, and whom to name.

    LAKE/jobs/ID.json       what runs where since when; its driver keeps it locked until it ends, however it ends

The id of a job ends the names of all that it has not finished (`phonolake.files.temporary_beside`).
"""

import getpass
import json
import os
import re
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from phonolake import files
from phonolake.files import TEMPORARY, remove

FOLDER = "jobs"
SUFFIX = ".json"
# Unfinished files of nobody are so old when they are swept.
UNOWNED_SECONDS = 24 * 3600
# Where unfinished files lie, below the lake.
PLACES = (".*", "tables/*/.*", "models/*/.*", "indexes/.*", "indexes/*/.*", "indexes/*/*/.*")
_OWNED = re.compile(r"\.[0-9a-f]{8}\.(?P<job>[a-z]+-[0-9a-f]{12})" + re.escape(TEMPORARY))


@dataclass(frozen=True, slots=True)
class Job:
    """A command that writes: `what` it does, `who` runs it where, and since when (ISO 8601, UTC)."""

    id: str
    what: str
    who: str
    since: str

    def __str__(self) -> str:
        return f"{self.what} of {self.who}, since {self.since}"


_current: ContextVar[Job | None] = ContextVar("job", default=None)


def current() -> Job:
    """The job that this code works for."""
    return _current.get() or _new("command")


@contextmanager
def working(root: Path, what: str) -> Iterator[Job]:
    """Be a job while the block runs; what dead ones left unfinished is swept first, and what this one left last.

    Parameters
    ----------
    root : Path
        The lake.
    what : str
        Name of the stage, in small letters.
    """
    sweep(root)
    job = _new(what)
    folder = root / FOLDER
    folder.mkdir(exist_ok=True)
    place, born = folder / f"{job.id}{SUFFIX}", folder / f".{job.id}"
    with open(born, "w", encoding="utf-8") as held:
        # It is locked before it has its name: nobody takes it for dead.
        files.lock(held)
        held.write(json.dumps(asdict(job)) + "\n")
        held.flush()
        os.rename(born, place)
        job_before, owner_before = _current.set(job), files.owner.set(job.id)
        try:
            yield job
        finally:
            _current.reset(job_before)
            files.owner.reset(owner_before)
            _sweep_of(root, {job.id})
            place.unlink(missing_ok=True)


def living(root: Path) -> list[Job]:
    """Jobs that are at work, the oldest first."""
    found = [_read(place) for place in (root / FOLDER).glob(f"*{SUFFIX}") if files.is_locked(place)]
    return sorted((job for job in found if job is not None), key=lambda job: (job.since, job.id))


def sweep(root: Path) -> None:
    """Remove what dead jobs left unfinished, and what was so in lakes from before there were jobs, after a day."""
    dead = [place for place in (root / FOLDER).glob(f"*{SUFFIX}") if not files.is_locked(place)]
    _sweep_of(root, {place.stem for place in dead})
    for place in dead:
        place.unlink(missing_ok=True)
    for path in root.glob(f"tables/*/.*{TEMPORARY}"):
        with suppress(FileNotFoundError):
            if owner_of(path) is None and time.time() - path.stat().st_mtime > UNOWNED_SECONDS:
                path.unlink()


def owner_of(path: Path) -> str | None:
    """Id of the job that an unfinished file or folder belongs to; None for those from before there were jobs."""
    found = _OWNED.search(path.name)
    return found["job"] if found else None


def is_at_work(root: Path, job_id: str | None) -> bool:
    """Whether a job is alive."""
    return job_id is not None and files.is_locked(root / FOLDER / f"{job_id}{SUFFIX}")


def _sweep_of(root: Path, ids: set[str]) -> None:
    if not ids:
        return
    for pattern in PLACES:
        for path in root.glob(pattern):
            if owner_of(path) in ids:
                remove(path)


def _new(what: str) -> Job:
    who = f"{_user()}@{socket.gethostname()} (process {os.getpid()})"
    return Job(f"{what}-{uuid.uuid4().hex[:12]}", what, who, datetime.now(UTC).isoformat(sep=" ", timespec="seconds"))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return str(os.getuid())


def _read(place: Path) -> Job | None:
    try:
        return Job(**json.loads(place.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
