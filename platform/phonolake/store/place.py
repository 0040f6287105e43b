"""The place of a lake: a folder, or a prefix on object storage with a local folder of copies.

A place names files with slashes. In a folder they have the guarantees of `phonolake.files`. On object storage they are
objects: each is written as a whole, can be created by one writer only, or replaced only by a writer that knows its last
version. There is no rename, lock or append there, so nothing relies on them.
"""

import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path
from typing import IO

from phonolake import files
from phonolake.errors import UsageError
from phonolake.lineage import digest
from phonolake.store import objects
from phonolake.store.objects import Entry, TakenError

URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)://(?P<rest>.*)", re.DOTALL)
CLOUDS = ("s3", "gs", "az")
# Delta logs treat a path as a URL: they decode '%' and turn backslashes into slashes.
UNADDRESSABLE = "%\\"
# SQL interprets patterns in file names, and URLs have reserved characters.
UNADDRESSABLE_URL = UNADDRESSABLE + "*?[]#"
# Parts of an object that are downloaded at once.
AT_ONCE = 4
# Minimum size of a read of some columns.
READ_AHEAD = 256 << 10
# Environment variables for the folder of copies, and its size.
CACHE, MOST = "PHONOLAKE_CACHE", "PHONOLAKE_CACHE_GB"
MOST_GB = 50.0
# Age below which copies stay, because a reader may be about to open them.
FRESH_SECONDS = 600
# Bytes that this process has downloaded since its last check of the cache.
_brought: list[int] = []


@dataclass(frozen=True, slots=True)
class Place:
    """A folder or a prefix on object storage. `Place.at` makes one from user input.

    Parameters
    ----------
    address : str
        An absolute path, or a URL without a slash at its end.
    """

    address: str

    @classmethod
    def at(cls, text: "str | Path | Place") -> "Place":
        """The place of a path or a URL.

        Raises
        ------
        UsageError
            For a URL of another kind, and for a path that the file system or a Delta log cannot address.
        """
        if isinstance(text, Place):
            return text
        found = URL.match(str(text))
        scheme = found["scheme"].lower() if found else ""
        if found and scheme in CLOUDS:
            return cls(_url(str(text), scheme, found["rest"]))
        return cls(str(_folder(text, _local(str(text), scheme, found["rest"] if found else ""))))

    def __str__(self) -> str:
        return self.address

    @property
    def is_remote(self) -> bool:
        """Whether it is on object storage."""
        return URL.match(self.address) is not None

    @property
    def root(self) -> Path:
        """Its folder; for object storage the local one with copies and files to upload."""
        if not self.is_remote:
            return Path(self.address)
        return caches() / f"{self.address.rpartition('/')[2]}-{digest(self.address, length=12)}"

    def uri(self, name: str) -> str:
        """Delta's name of a file or a folder."""
        return f"{self.address}/{name}" if self.is_remote else (self.root / name).as_uri()

    def named(self, name: str) -> str:
        """The name of a file for SQL and users."""
        return f"{self.address}/{name}" if self.is_remote else str(self.root / name)

    # -- files as a whole ---------------------------------------------------------------------------------------------

    def read(self, name: str) -> bytes:
        """The content of a file; `FileNotFoundError` if it does not exist."""
        if not self.is_remote:
            return (self.root / name).read_bytes()
        return objects.read(self.address, name)[0]

    def read_tagged(self, name: str) -> tuple[bytes, str]:
        """The content of a file, and its tag."""
        if not self.is_remote:
            with open(self.root / name, "rb") as file:
                return file.read(), _tag(os.fstat(file.fileno()))
        data, entry = objects.read(self.address, name)
        return data, entry.tag

    def put(
        self,
        name: str,
        data: bytes | Path,
        *,
        create: bool = False,
        match: str | None = None,
        facts: Mapping[str, str] | None = None,
    ) -> None:
        """Write a file: readers see the old one or all of the new one.

        Parameters
        ----------
        data : bytes or Path
            The content, or a local file with it.
        create : bool
            Only if there is none; of several writers one succeeds.
        match : str, optional
            Only if the file still has this tag.
        facts : mapping of str to str, optional
            Metadata of an object; the method `facts` reads them.

        Raises
        ------
        TakenError
            If there is one, or it has changed.
        """
        if not self.is_remote:
            self._put_local(name, data, create, match)
            return
        objects.put(self.address, name, data, create=create, match=match, kept=facts or {})
        if data != self.root / name:
            (self.root / name).unlink(missing_ok=True)

    def facts(self, name: str) -> tuple[int, dict[str, str]]:
        """Size of an object and its metadata; `FileNotFoundError` if it does not exist."""
        return objects.facts(self.address, name)

    def list(self, prefix: str, *, after: str = "") -> Iterator[Entry]:
        """Files below a folder, in order of their names; on object storage it includes all earlier writes.

        Parameters
        ----------
        prefix : str
            Name of the folder, with a slash at its end; empty for all.
        after : str, optional
            Only names that sort after this one.
        """
        if not self.is_remote:
            yield from self._list_local(prefix, after)
            return
        yield from objects.listed(self.address, prefix, after)

    def delete(self, names: Iterable[str]) -> None:
        """Delete files and their local copies; missing ones are ignored."""
        names = list(names)
        if self.is_remote:
            objects.delete(self.address, names)
        for name in names:
            (self.root / name).unlink(missing_ok=True)

    # -- copies on this machine ---------------------------------------------------------------------------------------

    def fetch(self, name: str, size: int | None = None) -> Path:
        """The local path of a file, which is downloaded if it is on object storage.

        A copy of the same size counts as the file, because such files (shards) are never replaced by others.

        Parameters
        ----------
        size : int, optional
            Its size in bytes, if known.
        """
        path = self.root / name
        if not self.is_remote:
            return path
        if size is None:
            size = self.size(name)
        if not _is_copy(path, size):
            self.bring(name, path, size)
        return path

    def send(self, name: str, *, create: bool = False, facts: Mapping[str, str] | None = None) -> None:
        """Upload the local copy; in a folder there is nothing to do. The errors are those of `put`."""
        if self.is_remote:
            self.put(name, self.root / name, create=create, facts=facts)

    def size(self, name: str) -> int:
        """Size of a file in bytes; `FileNotFoundError` if it does not exist."""
        if not self.is_remote:
            return (self.root / name).stat().st_size
        return objects.facts(self.address, name)[0]

    def exists(self, name: str) -> bool:
        """Whether a file is there."""
        try:
            self.size(name)
        except FileNotFoundError:
            return False
        return True

    def open(self, name: str) -> Path | IO[bytes]:
        """A reader of parts of a file."""
        return self.reader(name, self.size(name)) if self.is_remote else self.root / name

    def reader(self, name: str, size: int) -> Path | IO[bytes]:
        """As `open`, for an object of known size; uses its copy if there is one."""
        copy = self.root / name
        if _is_copy(copy, size):
            return copy
        return BufferedReader(objects.Parts(self.address, name, size), READ_AHEAD)

    # -- inside -------------------------------------------------------------------------------------------------------

    def bring(self, name: str, path: Path, size: int, tag: str | None = None) -> None:
        """Download an object of known size to a local path, completely or not at all.

        With a tag it raises `TakenError` if the object has changed.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = files.temporary_beside(path)
        try:
            with open(temporary, "wb") as file:
                self.copy(name, file, size, tag)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        _brought.append(size)
        if sum(_brought) > most_bytes() / 20:
            _brought.clear()
            trim()

    def copy(self, name: str, file: IO[bytes], size: int, tag: str | None = None) -> None:
        """Download an object of known size into a file, some parts at once; for the tag see `bring`."""
        starts = range(0, size, objects.PART)

        def part(start: int) -> bytes:
            return objects.part(self.address, name, start, min(size, start + objects.PART), tag)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            for first in range(0, len(starts), AT_ONCE):
                for found in pool.map(part, starts[first : first + AT_ONCE]):
                    file.write(found)

    def _put_local(self, name: str, data: bytes | Path, create: bool, match: str | None) -> None:
        path = self.root / name
        content = data.read_bytes() if isinstance(data, Path) else data
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.locked_folder(path.parent):
            tag = _tag(path.stat()) if path.exists() else None
            if (create and tag is not None) or (match is not None and match != tag):
                raise TakenError(f"another job wrote {path} meanwhile: run the command again")
            files.write(path, content)

    def _list_local(self, prefix: str, after: str) -> Iterator[Entry]:
        found = {path.relative_to(self.root).as_posix(): path for path in (self.root / prefix).rglob("*")}
        for name in sorted(found):
            if name > after and found[name].is_file():
                facts = found[name].stat()
                yield Entry(name, facts.st_size, datetime.fromtimestamp(facts.st_mtime, UTC), _tag(facts))


def caches() -> Path:
    """Folder of the copies of object storage: ``PHONOLAKE_CACHE``, or one in the user's cache folder."""
    given = os.environ.get(CACHE)
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "phonolake"


def most_bytes() -> float:
    """Size of the cache of shards of all lakes: ``PHONOLAKE_CACHE_GB``, 50 by default."""
    given = os.environ.get(MOST, str(MOST_GB))
    try:
        return float(given) * 1e9
    except ValueError as error:
        raise UsageError(f"{MOST} is a number of gigabytes, received {given!r}") from error


def trim() -> None:
    """Delete the least recently used copies of shards if the cache is too large."""
    found = []
    for path in caches().glob("*/tables/*/[!.]*"):
        with suppress(FileNotFoundError):
            facts = path.stat()
            found.append((facts.st_mtime, facts.st_size, path))
    left = sum(size for _, size, _ in found)
    for used, size, path in sorted(found):
        if left <= most_bytes() or time.time() - used < FRESH_SECONDS:
            break
        path.unlink(missing_ok=True)
        left -= size


def _is_copy(path: Path, size: int) -> bool:
    """Whether there is a copy of this size; if so, mark it as used."""
    try:
        if path.stat().st_size != size:
            return False
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _tag(facts: os.stat_result) -> str:
    return f"{facts.st_ino}-{facts.st_mtime_ns}-{facts.st_size}"


def _url(text: str, scheme: str, rest: str) -> str:
    bucket, _, prefix = rest.rstrip("/").partition("/")
    if "@" in bucket or ":" in bucket:
        raise UsageError("credentials and ports do not belong in an address: put them into the environment")
    parts = prefix.split("/") if prefix else []
    if not bucket or not rest.isprintable() or any(c in rest for c in UNADDRESSABLE_URL) or {"", ".", ".."} & {*parts}:
        raise UsageError(
            f"a lake cannot lie at {text!r}: name a bucket and a prefix, such as s3://music/lake, without any of "
            f"{' '.join(UNADDRESSABLE_URL)}"
        )
    return f"{scheme}://{'/'.join([bucket, *parts])}"


def _local(text: str, scheme: str, rest: str) -> Path:
    """A path, or the path of a ``file:`` URL."""
    if not scheme:
        files.refuse_address(text)
        return Path(text)
    host, _, path = rest.partition("/")
    if scheme == "file" and host in ("", "localhost"):
        return Path(f"/{path}")
    raise UsageError(f"a lake lies in a folder, or at an address of s3://, gs:// or az://: {text!r} is neither")


def _folder(text: str | Path, path: Path) -> Path:
    """The absolute path of a lake's folder."""
    try:
        root = path.expanduser().resolve()
        is_file = root.exists() and not root.is_dir()
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"a lake cannot lie at {str(text)!r} ({error}): name another path with --lake") from error
    if is_file:
        raise UsageError(f"{text} is a file, and a lake is a folder: name another path with --lake")
    if not str(root).isprintable() or any(c in str(root) for c in UNADDRESSABLE):
        raise UsageError(
            f"a lake cannot lie at {str(root)!r}: its path may hold no '%', no backslash and no control characters"
        )
    return root
