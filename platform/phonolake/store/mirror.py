"""A local folder that represents one on object storage: names, sizes and times, without the bytes.

Readers of datasets use folders, with `os.walk` and `pathlib`. Files that they open, such as tables, are downloaded; all
others are sparse files of the right length, which take no disk space. The folder is in the local cache, and only
changes are applied when it is needed again.
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
# Parallel downloads.
PARALLEL = 16
EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Mirror:
    """The local representation of a folder on object storage.

    Parameters
    ----------
    folder : Path
        On this machine.
    address : str
        The remote folder, such as ``s3://music/jazz``.
    unnamed : list of str
        Objects that no file can represent, because they are folders as well or their names are too long.
    """

    folder: Path
    address: str
    unnamed: list[str] = field(default_factory=list)

    def url(self, path: Path) -> str | None:
        """The object of a path; None for one outside the folder."""
        inside = os.fspath(self.folder) + os.sep
        text = os.fspath(path)
        return f"{self.address}/{text.removeprefix(inside)}" if text.startswith(inside) else None

    def said(self, text: str) -> str:
        """A message about files with their remote names."""
        return text.replace(os.fspath(self.folder), self.address)

    def exists(self, url: str) -> bool:
        """Whether an object exists, local or remote; True if unknown."""
        inside = f"{self.address}/"
        return (self.folder / url.removeprefix(inside)).exists() if url.startswith(inside) else exists(url)


def is_remote(text: str) -> bool:
    """Whether a text is an address on object storage."""
    found = URL.match(text)
    return found is not None and found["scheme"].lower() in CLOUDS


@contextmanager
def standing(text: str, kind: str, brought: Callable[[str], bool]) -> Iterator[Mirror]:
    """List a folder on object storage and return its local representation, under a lock.

    Parameters
    ----------
    text : str
        Its address.
    kind : str
        Its reader, because others may need other files.
    brought : callable
        Whether the bytes of a file of this name are needed.

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
    """The local file of a path, or a copy of an address while the block runs.

    Parameters
    ----------
    folder : bool
        Whether it may be a folder; everything below the address is then copied.

    Raises
    ------
    UsageError
        When nothing is at the address.
    StorageError
        When it cannot be read.
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
    """Use the remote names of files in errors of the block."""
    try:
        yield
    except PhonolakeError as error:
        if os.fspath(mirror.folder) not in str(error):
            raise
        raise type(error)(mirror.said(str(error))) from error


def split(url: str) -> tuple[str, str]:
    """Address of the bucket of a URL, and the name below it; a `UsageError` if it names nothing."""
    found = URL.match(url)
    bucket, _, name = (found["rest"] if found else "").partition("/")
    name = name.strip("/")
    if not found or not bucket or {"", ".", ".."} & set(name.split("/") if name else []):
        raise UsageError(f"{url} names nothing on object storage: name a bucket and a folder, such as s3://music/jazz")
    # A bucket is a place of its own: names below it may contain any character.
    return Place.at(f"{found['scheme'].lower()}://{bucket}").address, name


@contextmanager
def reading(url: str, size: int, most: int) -> Iterator[tuple[bytes | Path, Entry]]:
    """The bytes of an object, and its entry; for a large one a temporary file that does not survive a kill.

    Parameters
    ----------
    size : int
        Its bytes, as it was listed.
    most : int
        Bytes to hold in memory.

    Raises
    ------
    FileNotFoundError
        When it is not there.
    StorageError
        When it cannot be read; a `TakenError` when it changes meanwhile.
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
    """Whether an object exists; True if unknown."""
    try:
        return Place(split(url)[0]).exists(split(url)[1])
    except PhonolakeError:
        return True


def nanoseconds(modified: datetime) -> int:
    """A time as file systems have it, since 1970."""
    return (modified - EPOCH) // timedelta(microseconds=1) * 1000


class _Copying:
    """Makes a folder match a listing."""

    def __init__(self, mirror: Mirror, place: Place, prefix: str, brought: Callable[[str], bool]) -> None:
        self._mirror, self._place, self._prefix, self._brought = mirror, place, prefix, brought
        self._there: set[str] = set()
        self._to_bring: list[Entry] = []

    def bring_up_to_date(self) -> None:
        """Add, change and remove files as needed."""
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
            # An interrupted listing starts again and repeats names.
            if below and below not in self._there:
                self._there.add(below)
                yield entry

    def _put(self, entry: Entry) -> bool:
        """Create the file for an object, with its bytes if they are needed; False if there is a folder."""
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
        """Make a folder, even if an object has its name."""
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
        # Markers of empty folders are not files.
        if entry.size:
            self._mirror.unnamed.append(f"{self._place.address}/{entry.name}")

    def _bring(self, entry: Entry) -> None:
        path = self._path(entry)
        if path.is_dir():  # it gave way to a folder
            return
        try:
            self._place.bring(entry.name, path, entry.size, entry.tag)
        except FileNotFoundError:  # it was deleted since the listing
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
