"""Unpack untrusted zip and tar archives: no path, link or size in them is trusted."""

import bisect
import errno
import io
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from phonolake.errors import PhonolakeError
from phonolake.files import remove, sync, temporary_beside

# A zip that its owners split: mp3.zip.001, mp3.zip.002 ...
PIECE = re.compile(r"(?P<whole>.+\.zip)\.\d{3}", re.IGNORECASE)
ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz")
BLOCK = 1 << 20
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits that an archive bomb would exceed.

    Parameters
    ----------
    files : int
        Entries at most.
    bytes : int
        Bytes of all files at most; FMA's largest archive holds 879 GiB.
    ratio : float
        Bytes unpacked for each byte of the archive, at most; audio gives about 1, metadata in CSV up to 20. The first
        mebibyte is free.
    """

    files: int = 2_000_000
    bytes: int = 1 << 40
    ratio: float = 100.0


def is_archive(name: str) -> bool:
    """Whether a file of this name can be unpacked."""
    return name.lower().endswith(ENDINGS)


def whole_of(name: str) -> str | None:
    """Name of the archive that a file of this name is a piece of; None where it is none."""
    found = PIECE.fullmatch(name)
    return found["whole"] if found else None


def unpack(archive: Path, target: Path, *, limits: Limits = Limits(), pieces: Sequence[Path] = ()) -> list[Path]:
    """Unpack into a folder.

    Everything is written into a hidden folder inside `target` and moved to its place when it is complete and safe;
    files of the same name are replaced.

    Parameters
    ----------
    archive, target : Path
    limits : Limits
    pieces : sequence of Path
        The pieces of a zip called `archive`, in their order, if it comes in pieces.

    Returns
    -------
    list of Path
        The files, in the order of the archive.

    Raises
    ------
    PhonolakeError
        For a damaged archive, and for one with an absolute path, a ``..``, a link, a device, two files of one name, or
        more than `limits` allow. Nothing is changed then.
    """
    target.mkdir(parents=True, exist_ok=True)
    staging = temporary_beside(target / archive.name)
    staging.mkdir()
    try:
        names = list(_write_all(archive, pieces, staging, limits))
        _check_places(archive, target, names)
        for name in names:
            place = target / name
            place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(staging / name, place)
        for folder in sorted({(target / name).parent for name in names}):
            sync(folder)
    except DAMAGE as error:
        # An impossible place (EINVAL) is the archive's fault, anything else that has a number is the disk's.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise PhonolakeError(f"{archive} is damaged ({error}): remove it and download it again") from error
    finally:
        remove(staging)
    return [target / name for name in names]


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of an archive, as it calls itself."""

    name: str
    is_folder: bool
    is_file: bool
    stream: IO[bytes] | None


def _write_all(archive: Path, pieces: Sequence[Path], staging: Path, limits: Limits) -> Iterator[str]:
    packed = sum(path.stat().st_size for path in pieces or [archive])
    allowance = min(limits.bytes, max(1 << 20, int(packed * limits.ratio)))
    written = 0
    seen: set[str] = set()
    for count, entry in enumerate(_entries(archive, pieces), start=1):
        if count > limits.files:
            raise _refused(archive, f"more than {limits.files} entries")
        name = _safe_name(archive, entry.name)
        if entry.is_folder:
            continue
        if not entry.is_file or entry.stream is None:
            raise _refused(archive, f"{entry.name!r} is a link or a device")
        if name in seen:
            raise _refused(archive, f"two files are called {entry.name!r}")
        seen.add(name)
        place = staging / name
        place.parent.mkdir(parents=True, exist_ok=True)
        with entry.stream as source, open(place, "xb") as sink:
            # The sizes in headers are not trusted: bytes are counted as they come.
            while block := source.read(BLOCK):
                written += len(block)
                if written > allowance:
                    raise _refused(archive, f"it unpacks to more than {allowance} bytes, like an archive bomb")
                sink.write(block)
        sync(place)
        yield name


def _entries(archive: Path, pieces: Sequence[Path]) -> Iterator[_Entry]:
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(io.BufferedReader(_Joined(pieces or [archive]))) as opened:
            for info in opened.infolist():
                mode = info.external_attr >> 16
                kind = stat.S_IFMT(mode)
                plain = kind in (0, stat.S_IFREG)
                folder = info.is_dir()
                yield _Entry(info.orig_filename, folder, plain, opened.open(info) if plain and not folder else None)
        return
    with tarfile.open(archive, "r:*") as opened_tar:
        for member in opened_tar:
            stream = opened_tar.extractfile(member) if member.isreg() else None
            yield _Entry(member.name, member.isdir(), member.isreg(), stream)


class _Joined(io.RawIOBase):
    """Several files, one after the other, as one to read from."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._starts = [0]
        for path in paths:
            self._starts.append(self._starts[-1] + path.stat().st_size)
        self._place = 0
        self._opened: tuple[int, IO[bytes]] | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._starts[-1]}[whence]
        if base + offset < 0:
            raise OSError(errno.EINVAL, "a position before the beginning")
        self._place = base + offset
        return self._place

    def readinto(self, buffer: Any) -> int:
        number = bisect.bisect_right(self._starts, self._place) - 1
        if number >= len(self._paths):
            return 0
        if self._opened is None or self._opened[0] != number:
            self._let_go()
            self._opened = (number, open(self._paths[number], "rb"))  # noqa: SIM115 - closed by _let_go
        file = self._opened[1]
        file.seek(self._place - self._starts[number])
        data = file.read(len(buffer))
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def close(self) -> None:
        self._let_go()
        super().close()

    def _let_go(self) -> None:
        if self._opened is not None:
            self._opened[1].close()
            self._opened = None


def _safe_name(archive: Path, name: str) -> str:
    """The path of an entry below the folder; any other path is refused."""
    path = PurePosixPath(name)
    parts = [part for part in path.parts if part != "."]
    unsafe = path.is_absolute() or ".." in parts or "\\" in name or "\0" in name or (parts and ":" in parts[0][:2])
    if unsafe:
        raise _refused(archive, f"the entry {name!r} leads out of the folder")
    return "/".join(parts)


def _check_places(archive: Path, target: Path, names: list[str]) -> None:
    """An existing symbolic link in the folder must not lead the files out of it."""
    root = target.resolve()
    for folder in sorted({str(PurePosixPath(name).parent) for name in names}):
        if not (root / folder).resolve().is_relative_to(root):
            raise _refused(archive, f"{folder!r} is a link that leads out of {target}")
    for name in names:
        if (root / name).is_dir():
            raise _refused(archive, f"{name!r} is a folder there already")


def _refused(archive: Path, reason: str) -> PhonolakeError:
    return PhonolakeError(f"{archive} was not unpacked: {reason}")
