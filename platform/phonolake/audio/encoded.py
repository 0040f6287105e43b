"""Encoded recordings that need not be in memory: objects with a length and slices of bytes, like `bytes`."""

import hashlib
import io
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self, cast

from phonolake.errors import AudioError

# Bytes that a decoder is handed at once, and a hash.
AT_ONCE = 1 << 20


class Encoded(Protocol):
    """The bytes of a file as received: `bytes`, a file on the disk, or pieces in a table."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> bytes: ...


class OnDisk:
    """A file that is read on demand, inside a ``with``.

    Raises
    ------
    AudioError
        ``unreadable``, here or at a slice, when the file cannot be read or got shorter since it was opened.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise _unreadable(error) from error
        self._size = os.fstat(self._file).st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _ = part.indices(self._size)
        wanted = max(0, stop - start)
        try:
            found = os.pread(self._file, wanted, start)
        except OSError as error:
            raise _unreadable(error) from error
        if len(found) < wanted:
            raise AudioError("unreadable", "the file became shorter while it was read")
        return found

    @property
    def modified(self) -> int:
        """Modification time in nanoseconds since 1970, as it is now."""
        return os.fstat(self._file).st_mtime_ns


class EncodedPart:
    """A recording inside a file, or one whose header is put right: some of its bytes, a few of them others.

    Parameters
    ----------
    data : Encoded
        The whole file.
    start, stop : int
        Where the part begins and ends.
    put : mapping of int to bytes
        What stands in the place of the bytes from each of these places on, counted from the beginning of the part.
    """

    def __init__(self, data: Encoded, start: int, stop: int, put: Mapping[int, bytes] | None = None) -> None:
        self._data, self._start, self._stop = data, start, stop
        self._put = dict(put or {})

    def __len__(self) -> int:
        return self._stop - self._start

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _ = part.indices(len(self))
        found = self._data[self._start + start : self._start + max(start, stop)]
        for place, bytes_ in self._put.items():
            low, high = max(place, start), min(place + len(bytes_), start + len(found))
            if low < high:
                found = found[: low - start] + bytes_[low - place : high - place] + found[high - start :]
        return found


def opened(data: Encoded) -> BinaryIO:
    """A file object to read it from, at any place."""
    if isinstance(data, bytes):
        return io.BytesIO(data)
    return cast(BinaryIO, io.BufferedReader(_Reader(data), AT_ONCE))


def sha256(data: Encoded) -> str:
    """SHA-256 in hexadecimal digits."""
    found = hashlib.sha256()
    for start in range(0, len(data), AT_ONCE):
        found.update(data[start : start + AT_ONCE])
    return found.hexdigest()


def find(data: Encoded, mark: bytes, start: int = 0) -> Iterator[int]:
    """All places of a short mark from one place on, in order."""
    for first in range(start, len(data), AT_ONCE):
        piece = data[first : first + AT_ONCE + len(mark) - 1]
        at = piece.find(mark)
        while at >= 0:
            yield first + at
            at = piece.find(mark, at + 1)


class _Reader(io.RawIOBase):
    def __init__(self, data: Encoded) -> None:
        self._data = data
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: len(self._data)}[whence]
        self._place = max(0, base + offset)
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        found = self._data[self._place : self._place + len(buffer)]
        buffer[: len(found)] = found
        self._place += len(found)
        return len(found)


def _unreadable(error: OSError) -> AudioError:
    return AudioError("unreadable", error.strerror or str(error))
