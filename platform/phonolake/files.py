"""Atomic files and folders, checksums, and locks that the kernel frees.

Everything is written under a hidden name first, flushed to disk, and then renamed, and the rename is flushed, too. So a
kill or a power failure at any line leaves the old or the new one, never neither.
"""

import ctypes
import errno
import fcntl
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any, TypeVar

from phonolake.errors import PhonolakeError, UsageError

Found = TypeVar("Found")

TEMPORARY = ".tmp"
# How addresses on object storage begin; pathlib makes one slash of two.
ADDRESS = re.compile(r"(s3|gs|az):/+", re.IGNORECASE)
# What a worker notes beside its shard (`phonolake.stages.suspects`); a lost one leaves it there.
TOUCHED = ".touched"
# A folder that stepped aside where two folders cannot change places at once.
RETIRED = ".retired"
# What renameat2(2) calls them.
_HERE, _EXCHANGE = -100, 2
# A file system that cannot exchange, as NFS, says one of these.
_CANNOT = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)
# The job whose temporaries are being written: they are swept when it is dead, and not before.
owner: ContextVar[str] = ContextVar("owner", default="")
# A folder that is replaced this often while it is read is replaced by somebody gone wild.
READINGS = 100


def here(path: str | Path) -> Path:
    """A path of this machine, of which ``~`` is somebody's home.

    Raises
    ------
    UsageError
        For an address on object storage, of which a folder called ``s3:`` would be made, and the home of nobody.
    """
    refuse_address(path)
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{path} is no path ({error}): name another one") from error


def refuse_address(path: str | Path) -> None:
    """Raise a `UsageError` for an address on object storage."""
    if begin := ADDRESS.match(str(path)):
        address = f"{begin[1]}://{str(path)[begin.end() :]}"
        raise UsageError(f"{address} is an address on object storage, and here goes a path of this machine")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to that takes the place of `path` when the block ends well, and vanishes when it does not.

    The temporary name is hidden and does not end as `path` does: a glob over the folder never sees it. When the block
    has ended, the file is on the disk under its name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    try:
        yield temporary
        take_place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def take_place(finished: Path, path: Path) -> None:
    """Give a finished file on the same disk the name `path`; what had it goes."""
    sync(finished)
    os.replace(finished, path)
    sync(path.parent)


@contextmanager
def creating(path: Path) -> Iterator[Path]:
    """As `replacing`, but what is at `path` when the block ends stays and what was written goes: the first one wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    try:
        yield temporary
        sync(temporary)
        with suppress(FileExistsError):
            os.link(temporary, path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write(path: Path, data: bytes) -> None:
    """Replace the content of a file with `data`."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder to write into that takes the place of `folder` and all that is in it, as `replacing` does.

    The old and the new folder are exchanged atomically. If the file system cannot do that, the old one is moved aside
    for an instant to a name that `standing` knows.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = temporary_beside(folder)
    staging.mkdir()
    try:
        yield staging
        for below, _, names in os.walk(staging):
            for name in names:
                sync(Path(below, name))
            sync(Path(below))
        _take_place(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def standing(folder: Path) -> Path:
    """Where what was last put at `folder` lies: there, or beside it when a kill fell between its two renames."""
    retired = _retired(folder)
    return retired if not folder.exists() and retired.exists() else folder


def is_spare(hidden: Path) -> bool:
    """Whether nothing is lost with a hidden file or folder: it does not stand for a folder that is missing."""
    name = hidden.name
    return not (name.endswith(RETIRED) and standing(hidden.with_name(name[1 : -len(RETIRED)])) == hidden)


def read_folder(folder: Path, read: Callable[[Path], Found]) -> Found:
    """Read several files of one version of a folder that others may replace meanwhile.

    Parameters
    ----------
    read : callable
        Is given the folder to read from, and is called again when the folder was replaced under it.
    """
    missing: Exception | None = None
    for _ in range(READINGS):
        place = standing(folder)
        before = _identity(place)
        try:
            found = read(place)
        except Exception as error:
            if before is not None and _identity(place) == before and place == standing(folder):
                raise
            # Between two renames it is nowhere for an instant; one that is never there is no folder.
            missing = error if before is None else None
            continue
        if _identity(place) == before:
            return found
    if missing is not None:
        raise missing
    raise PhonolakeError(f"{folder} is replaced again and again while it is read: wait for the jobs that do so")


def sync(path: Path) -> None:
    """Flush a file, or the names in a folder, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is still there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def temporary_beside(path: Path) -> Path:
    """A hidden name beside `path` that nobody else uses; it ends in the job that it belongs to, where there is one."""
    job = f".{owner.get()}" if owner.get() else ""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}{job}{TEMPORARY}")


def sha256(path: Path) -> str:
    """SHA-256 of a file in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock file `path` while the block runs, alone or with others that share it.

    The kernel frees the lock when the process ends in any way.
    """
    with open(path, "a", encoding="utf-8") as file:
        lock(file, shared=shared)
        yield


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """As `locked`, by the folder itself."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def lock(file: IO[Any], *, shared: bool = False, wait: bool = True) -> bool:
    """Lock an open file until it is closed; False if another process holds it and `wait` is False."""
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(file, kind if wait else kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock file `path`; False if it does not exist."""
    try:
        with open(path, encoding="utf-8") as file:
            return not lock(file, wait=False)
    except FileNotFoundError:
        return False


def _retired(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}{RETIRED}")


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        facts = os.stat(folder)
    except FileNotFoundError:
        return None
    return facts.st_ino, facts.st_ctime_ns


def _take_place(staging: Path, folder: Path) -> None:
    """Give `staging` the name of `folder`; what had it goes."""
    retired = _retired(folder)
    try:
        os.rename(staging, folder)  # there is none yet, or an empty one
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        if not exchange(staging, folder):
            # What an earlier kill left aside is older than the folder that stands there.
            shutil.rmtree(retired, ignore_errors=True)
            os.rename(folder, retired)
            sync(folder.parent)
            try:
                os.rename(staging, folder)
            except OSError:
                os.rename(retired, folder)
                raise
    sync(folder.parent)
    shutil.rmtree(retired, ignore_errors=True)


def exchange(one: Path, other: Path) -> bool:
    """Exchange the names of two folders atomically; False if the system or the file system cannot."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    if call(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT:
        return False
    raise OSError(number, os.strerror(number), str(one), None, str(other))


def make_folder(path: Path) -> None:
    """Make a folder that the user named, with those above it.

    Raises
    ------
    UsageError
        If the path is a file, or lies below one.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"{path} is a file, or lies below one: name another folder") from error
