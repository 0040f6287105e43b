"""A folder of this machine that stands for one on object storage: its names, sizes and times, without the bytes.

Readers of datasets go through folders, as `os.walk` and `pathlib` do. What they open, such as tables, is brought; all
else is an empty file of the right length, of which the disk holds nothing. It lies among the copies of this machine,
and only what has changed is done when it is needed again.
"""

import errno
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from phonolake import files
from phonolake.errors import PhonolakeError, UsageError
from phonolake.lineage import digest
from phonolake.store import objects
from phonolake.store.objects import Entry
from phonolake.store.place import CLOUDS, URL, Place, caches

FOLDER = "sources"
# Objects that are brought at once.
PARALLEL = 16
EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Mirror:
    """What stands for a folder on object storage.

    Parameters
    ----------
    folder : Path
        On this machine.
    address : str
        What it stands for, such as ``s3://music/jazz``.
    unnamed : list of str
        Objects that no file can stand for, since they are folders as well or their names are too long.
    """

    folder: Path
    address: str
    unnamed: list[str] = field(default_factory=list)

    def url(self, path: Path) -> str | None:
        """The object that a path stands for; None for one outside of the folder."""
        inside = os.fspath(self.folder) + os.sep
        text = os.fspath(path)
        return f"{self.address}/{text.removeprefix(inside)}" if text.startswith(inside) else None

    def said(self, text: str) -> str:
        """A text about files in which they are called as the user knows them."""
        return text.replace(os.fspath(self.folder), self.address)

    def exists(self, url: str) -> bool:
        """Whether an object is there, here or elsewhere; one of which that cannot be known counts as there."""
        inside = f"{self.address}/"
        return (self.folder / url.removeprefix(inside)).exists() if url.startswith(inside) else exists(url)


def is_remote(text: str) -> bool:
    """Whether a text names a folder or an object on object storage."""
    found = URL.match(text)
    return found is not None and found["scheme"].lower() in CLOUDS


@contextmanager
def standing(text: str, kind: str, brought: Callable[[str], bool]) -> Iterator[Mirror]:
    """List a folder on object storage and give what stands for it, as it is now, to nobody else at the same time.

    Parameters
    ----------
    text : str
        Its address.
    kind : str
        What reads it: others may want other files.
    brought : callable
        Whether a file of this name is read, so that its bytes are needed.

    Raises
    ------
    UsageError
        When nothing is there.
    StorageError
        When it cannot be listed.
    """
    bucket, prefix = split(text)
    address = f"{bucket}/{prefix}".rstrip("/")
    home = caches().resolve() / FOLDER / digest([address, kind], length=16)
    mirror = Mirror(home / address.rpartition("/")[2], address)
    mirror.folder.mkdir(parents=True, exist_ok=True)
    with files.locked(home / ".lock"):
        _Copying(mirror, Place(bucket), f"{prefix}/" if prefix else "", brought).bring_up_to_date()
        with _said(mirror):
            yield mirror


@contextmanager
def brought(text: str | Path, *, folder: bool = False) -> Iterator[Path]:
    """A file that a user names, on this machine: what a path says, or a copy of what is at an address, for the block.

    Parameters
    ----------
    folder : bool
        Whether it may be a folder; all that is below the address is brought then.

    Raises
    ------
    UsageError
        When nothing is at the address.
    StorageError
        When it cannot be had.
    """
    if not is_remote(str(text)):
        yield local(text)
        return
    bucket, name = split(str(text))
    address, place = f"{bucket}/{name}".rstrip("/"), Place(bucket)
    is_object = bool(name) and place.exists(name)
    if not is_object and not folder:
        raise UsageError(f"there is no file at {address}")
    (caches() / FOLDER).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=caches() / FOLDER) as home:
        above, _, last = address.rpartition("/")
        path = Path(home) / last
        if is_object:
            entry = objects.entry(bucket, name)
            place.bring(name, path, entry.size, entry.tag)
        else:
            path.mkdir()
            _Copying(Mirror(path, address), place, f"{name}/" if name else "", lambda _: True).bring_up_to_date()
        with _said(Mirror(Path(home), above)):
            yield path


def local(text: str | Path) -> Path:
    """The path of this machine that a path or a ``file:`` URL names; the errors are those of `files.here`."""
    return Place.at(text).root if str(text).lower().startswith("file://") else files.here(text)


@contextmanager
def _said(mirror: Mirror) -> Iterator[None]:
    """Call files in errors of the block as the user knows them."""
    try:
        yield
    except PhonolakeError as error:
        if os.fspath(mirror.folder) not in str(error):
            raise
        raise type(error)(mirror.said(str(error))) from error


def split(url: str) -> tuple[str, str]:
    """Address of the bucket, and name below it, of what a URL names; a `UsageError` where it names nothing."""
    found = URL.match(url)
    bucket, _, name = (found["rest"] if found else "").partition("/")
    name = name.strip("/")
    if not found or not bucket or {"", ".", ".."} & set(name.split("/") if name else []):
        raise UsageError(f"{url} names nothing on object storage: name a bucket and a folder, such as s3://music/jazz")
    # A bucket is a place of its own: in names below it any character may stand.
    return Place.at(f"{found['scheme'].lower()}://{bucket}").address, name


@contextmanager
def reading(url: str, size: int, most: int) -> Iterator[tuple[bytes | Path, Entry]]:
    """The bytes of an object, and what it is; of a large one a file that goes with the block, even after a kill.

    Parameters
    ----------
    size : int
        Its bytes, as it was listed.
    most : int
        Bytes that are held in memory.

    Raises
    ------
    FileNotFoundError
        When it is not there.
    StorageError
        When it cannot be had; a `TakenError` when it changes meanwhile.
    """
    bucket, name = split(url)
    if size <= most:
        yield objects.read(bucket, name)
        return
    entry = objects.entry(bucket, name)
    (caches() / FOLDER).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=caches() / FOLDER) as file:
        Place(bucket).copy(name, file, entry.size, entry.tag)
        file.flush()
        os.utime(file.fileno(), ns=(nanoseconds(entry.modified),) * 2)
        yield Path(f"/dev/fd/{file.fileno()}"), entry


def exists(url: str) -> bool:
    """Whether an object is there; one of which that cannot be known counts as there."""
    try:
        return Place(split(url)[0]).exists(split(url)[1])
    except PhonolakeError:
        return True


def nanoseconds(modified: datetime) -> int:
    """A time as file systems have it, since 1970."""
    return (modified - EPOCH) // timedelta(microseconds=1) * 1000


class _Copying:
    """Makes a folder what a listing says."""

    def __init__(self, mirror: Mirror, place: Place, prefix: str, brought: Callable[[str], bool]) -> None:
        self._mirror, self._place, self._prefix, self._brought = mirror, place, prefix, brought
        self._there: set[str] = set()
        self._to_bring: list[Entry] = []

    def bring_up_to_date(self) -> None:
        """Add, change and remove what has to be."""
        folders_too = [entry for entry in self._entries() if not self._put(entry)]
        if not self._there:
            raise UsageError(f"there is nothing at {self._mirror.address}: name a bucket and a folder that holds files")
        self._remove_others()
        for entry in folders_too:
            if not self._put(entry):
                self._pass_over(entry)
        with ThreadPoolExecutor(PARALLEL) as pool:
            for _ in pool.map(self._bring, self._to_bring):
                pass

    def _entries(self) -> Iterator[Entry]:
        for entry in objects.streamed(self._place.address, self._prefix):
            below = entry.name.removeprefix(self._prefix)
            # A listing that broke off is begun again, and names them again.
            if below and below not in self._there:
                self._there.add(below)
                yield entry

    def _put(self, entry: Entry) -> bool:
        """Let a file stand for an object, whose bytes come last where they are read; False where a folder is."""
        path = self._path(entry)
        try:
            facts = os.lstat(path)
        except OSError:
            facts = None
        if facts is not None and stat.S_ISDIR(facts.st_mode):
            return False
        if facts is not None and (facts.st_size, facts.st_mtime_ns) == (entry.size, nanoseconds(entry.modified)):
            return True
        try:
            self._make_folder(path.parent)
            with open(path, "wb") as file:
                file.truncate(entry.size)
            if self._brought(path.name):
                self._to_bring.append(entry)
            else:
                _date(path, entry)
        except OSError as error:
            self._cannot(entry, error)
        return True

    def _make_folder(self, folder: Path) -> None:
        """Make a folder, also where an object has its name."""
        if folder.is_dir():
            return
        for path in (folder, *folder.parents):
            if path.is_file():
                if path.stat().st_size:
                    self._mirror.unnamed.append(f"{self._mirror.url(path)}")
                path.unlink()
            if path == self._mirror.folder:
                break
        folder.mkdir(parents=True, exist_ok=True)

    def _cannot(self, entry: Entry, error: OSError) -> None:
        if error.errno != errno.ENAMETOOLONG:
            raise error
        self._pass_over(entry)

    def _pass_over(self, entry: Entry) -> None:
        # What programs put to show an empty folder is no file.
        if entry.size:
            self._mirror.unnamed.append(f"{self._place.address}/{entry.name}")

    def _bring(self, entry: Entry) -> None:
        path = self._path(entry)
        if path.is_dir():  # it gave way to a folder
            return
        try:
            self._place.bring(entry.name, path, entry.size, entry.tag)
        except FileNotFoundError:  # it went since it was listed
            path.unlink(missing_ok=True)
        except OSError as error:
            path.unlink(missing_ok=True)
            self._cannot(entry, error)
        else:
            _date(path, entry)

    def _remove_others(self) -> None:
        top = os.fspath(self._mirror.folder)
        for folder, _, names in os.walk(top, topdown=False):
            below = folder.removeprefix(top).lstrip(os.sep)
            for name in names:
                if os.path.join(below, name) not in self._there:
                    os.unlink(os.path.join(folder, name))
            if below:
                with suppress(OSError):  # it is not empty
                    os.rmdir(folder)

    def _path(self, entry: Entry) -> Path:
        return self._mirror.folder / entry.name.removeprefix(self._prefix)


def _date(path: Path, entry: Entry) -> None:
    """Give a file the time of its object."""
    when = nanoseconds(entry.modified)
    os.utime(path, ns=(when, when))
