"""Where a lake lies: a folder, or a prefix on object storage, of which a folder of this machine keeps copies.

A place knows files by names with slashes. In a folder all that holds for `phonolake.files` holds. On object storage
they are objects: each is put as a whole, can be created by one writer only, or replaced only by whoever knows its last
version. There is no rename, no lock and no append there, so nothing relies on them.
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
# Delta logs take a path for a URL: they decode '%' and turn a backslash round.
UNADDRESSABLE = "%\\"
# SQL reads patterns in the names of files, and URLs have parts of their own.
UNADDRESSABLE_URL = UNADDRESSABLE + "*?[]#"
# Parts of an object that are brought at once.
AT_ONCE = 4
# Whoever reads some columns reads at least so much at once.
READ_AHEAD = 256 << 10
# Where copies lie, and how much of them stays.
CACHE, MOST = "PHONOLAKE_CACHE", "PHONOLAKE_CACHE_GB"
MOST_GB = 50.0
# Copies that somebody may be about to open stay.
FRESH_SECONDS = 600
# Bytes that this process has brought since it last looked at what there is.
_brought: list[int] = []


@dataclass(frozen=True, slots=True)
class Place:
    """A folder or a prefix on object storage. `Place.at` makes one of what a user writes.

    Parameters
    ----------
    address : str
        An absolute path, or a URL without a slash at its end.
    """

    address: str

    @classmethod
    def at(cls, text: "str | Path | Place") -> "Place":
        """The place that a path or a URL names.

        Raises
        ------
        UsageError
            For a URL of another kind, and for what neither a file system nor a Delta log can address.
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
        """Its folder; for object storage the one on this machine that keeps copies, and what is about to be put."""
        if not self.is_remote:
            return Path(self.address)
        return caches() / f"{self.address.rpartition('/')[2]}-{digest(self.address, length=12)}"

    def uri(self, name: str) -> str:
        """How Delta names a file or a folder."""
        return f"{self.address}/{name}" if self.is_remote else (self.root / name).as_uri()

    def named(self, name: str) -> str:
        """How SQL, and a user, names a file."""
        return f"{self.address}/{name}" if self.is_remote else str(self.root / name)

    # -- files as a whole ---------------------------------------------------------------------------------------------

    def read(self, name: str) -> bytes:
        """What a file holds; `FileNotFoundError` when it is not there."""
        if not self.is_remote:
            return (self.root / name).read_bytes()
        return objects.read(self.address, name)[0]

    def read_tagged(self, name: str) -> tuple[bytes, str]:
        """What a file holds, and its tag."""
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
            What to write, or the file of this machine that holds it.
        create : bool
            Only where there is none; of several writers one succeeds.
        match : str, optional
            Only where the file still has this tag.
        facts : mapping of str to str, optional
            Kept with an object; `facts` of this class reads them.

        Raises
        ------
        TakenError
            When there is one, or another one.
        """
        if not self.is_remote:
            self._put_local(name, data, create, match)
            return
        objects.put(self.address, name, data, create=create, match=match, kept=facts or {})
        if data != self.root / name:
            (self.root / name).unlink(missing_ok=True)

    def facts(self, name: str) -> tuple[int, dict[str, str]]:
        """Bytes of an object, and what was kept with it; `FileNotFoundError` when it is not there."""
        return objects.facts(self.address, name)

    def list(self, prefix: str, *, after: str = "") -> Iterator[Entry]:
        """Files below a folder, in order of their names; on object storage what was put before is seen.

        Parameters
        ----------
        prefix : str
            Name of the folder, with a slash at its end; empty for all.
        after : str, optional
            Only names that sort behind this one.
        """
        if not self.is_remote:
            yield from self._list_local(prefix, after)
            return
        yield from objects.listed(self.address, prefix, after)

    def delete(self, names: Iterable[str]) -> None:
        """Remove files; those that are gone are gone. Copies on this machine go too."""
        names = list(names)
        if self.is_remote:
            objects.delete(self.address, names)
        for name in names:
            (self.root / name).unlink(missing_ok=True)

    # -- copies on this machine ---------------------------------------------------------------------------------------

    def fetch(self, name: str, size: int | None = None) -> Path:
        """Where a file lies on this machine; it is brought there where it is on object storage.

        A copy of the same size is taken for it: what is fetched, such as a shard, is not replaced by another one.

        Parameters
        ----------
        size : int, optional
            Its bytes, where they are known.
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
        """Put the copy of this machine; in a folder it is there already. The errors are those of `put`."""
        if self.is_remote:
            self.put(name, self.root / name, create=create, facts=facts)

    def size(self, name: str) -> int:
        """Bytes of a file; `FileNotFoundError` when it is not there."""
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
        """What reads parts of a file, for those that need not all of it."""
        return self.reader(name, self.size(name)) if self.is_remote else self.root / name

    def reader(self, name: str, size: int) -> Path | IO[bytes]:
        """As `open`, of an object of so many bytes: its copy, where there is one."""
        copy = self.root / name
        if _is_copy(copy, size):
            return copy
        return BufferedReader(objects.Parts(self.address, name, size), READ_AHEAD)

    # -- inside -------------------------------------------------------------------------------------------------------

    def bring(self, name: str, path: Path, size: int, tag: str | None = None) -> None:
        """Write an object of so many bytes to a path of this machine, which has all of it or none.

        With a tag a `TakenError` is raised where it is another object by now.
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
        """Write an object of so many bytes into a file, some parts at once; for the tag see `bring`."""
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
    """Folder of the copies of what lies on object storage: ``PHONOLAKE_CACHE``, or one in the user's cache folder."""
    given = os.environ.get(CACHE)
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "phonolake"


def most_bytes() -> float:
    """How much of the shards of all lakes stays on this machine: ``PHONOLAKE_CACHE_GB``, 50 by default."""
    given = os.environ.get(MOST, str(MOST_GB))
    try:
        return float(given) * 1e9
    except ValueError as error:
        raise UsageError(f"{MOST} is a number of gigabytes, received {given!r}") from error


def trim() -> None:
    """Remove the copies of shards that nobody has used for longest, where there are more than may stay."""
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
    """Whether a copy of so many bytes is there; then it is one that was used now."""
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
        raise UsageError("credentials and ports do not belong into an address: put them into the environment")
    parts = prefix.split("/") if prefix else []
    if not bucket or not rest.isprintable() or any(c in rest for c in UNADDRESSABLE_URL) or {"", ".", ".."} & {*parts}:
        raise UsageError(
            f"a lake cannot lie at {text!r}: name a bucket and a prefix, such as s3://music/lake, without any of "
            f"{' '.join(UNADDRESSABLE_URL)}"
        )
    return f"{scheme}://{'/'.join([bucket, *parts])}"


def _local(text: str, scheme: str, rest: str) -> Path:
    """A path, or that of a ``file:`` URL."""
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
