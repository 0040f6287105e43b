"""Facts of recordings from the file system, and a hash of their metadata in the dataset."""

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from phonolake.audio.encoded import Encoded, OnDisk
from phonolake.errors import AudioError
from phonolake.lineage import DIGITS, canonical, digest
from phonolake.records import Recording
from phonolake.store import mirror, pieces
from phonolake.store.mirror import Mirror
from phonolake.store.objects import StorageError, TakenError

# Prefix of shards of tracks without audio, so that others need not be searched.
METADATA_ONLY = "metadata-only-"


def slug(dataset: str) -> str:
    """Prefix of the names of a dataset's other shards."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", dataset).strip("-")[:40] or "dataset"


@dataclass(frozen=True, slots=True)
class File:
    """A recording and its facts from the file system.

    Parameters
    ----------
    size, mtime : int or None
        In bytes and in nanoseconds since 1970; None where the file is missing.
    said : str
        Hash of the recording's metadata in the dataset.
    outside : Path or None
        The target of a link that leaves the tree and is not followed.
    url : str or None
        The object that a local file represents, if any.
    """

    recording: Recording
    size: int | None
    mtime: int | None
    said: str
    outside: Path | None = None
    url: str | None = None

    @property
    def where(self) -> str:
        """Its path or address, as in tables."""
        return self.url or readable(self.recording.path)


class Looker:
    """Gets the facts of recordings from the file system.

    Parameters
    ----------
    within : Path or None
        Tree that links must not leave, because an archive may have created them; None follows all.
    standing : Mirror or None
        What stands for a tree on object storage.
    """

    def __init__(self, within: Path | None, standing: Mirror | None = None) -> None:
        self.within, self.standing = within, standing
        self._folders: dict[str, bool] = {}
        self._rests: dict[tuple[Any, ...], str] = {}

    def look(self, recording: Recording) -> File:
        """Get the facts of one recording; anything but a regular file counts as missing."""
        if self.standing is None:
            return self._look(recording)
        if recording.fault:
            recording = replace(recording, fault=self.standing.said(recording.fault))
        return replace(self._look(recording), url=self.standing.url(recording.path))

    def _look(self, recording: Recording) -> File:
        said = self._digest(recording)
        path = os.fspath(recording.path)
        try:
            facts = os.lstat(path)
            linked = stat.S_ISLNK(facts.st_mode)
            facts = os.stat(path) if linked else facts
        except (OSError, ValueError):
            return File(recording, None, None, said)
        if not stat.S_ISREG(facts.st_mode):
            return File(recording, None, None, said)
        if self._leaves(path, linked):
            return File(recording, None, None, said, recording.path.resolve())
        return File(recording, facts.st_size, facts.st_mtime_ns, said)

    def _digest(self, recording: Recording) -> str:
        """`digest` of what a dataset says; of many recordings all but the id is the same, and is put to text once."""
        said = (_said_with_fault if recording.fault else _said)(recording)
        # Attributes may be equal but differ as text, such as 1 and 1.0, or be unhashable.
        if recording.attributes:
            return digest(said)
        rest = self._rests.get(said[1:])
        if rest is None:
            if len(self._rests) >= MOST_RESTS:
                self._rests.clear()
            rest = self._rests[said[1:]] = canonical(said[1:])[1:]
        text = f"[{canonical(said[0])},{rest}"
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]

    def _leaves(self, path: str, linked: bool) -> bool:
        """Whether a file is really outside the tree; folders are resolved once."""
        if self.within is None:
            return False
        if linked:
            return not Path(path).resolve().is_relative_to(self.within)
        folder = os.path.dirname(path)
        if folder not in self._folders:
            self._folders[folder] = not Path(folder).resolve().is_relative_to(self.within)
        return self._folders[folder]


@contextmanager
def encoded(file: File) -> Iterator[Encoded]:
    """The bytes of a file; those of a large one are on the disk until the block ends.

    Raises
    ------
    AudioError
        ``unreadable``, when it cannot be read, or has changed since it was listed.
    """
    if file.url is None:
        with OnDisk(file.recording.path) as opened:
            yield opened if len(opened) > pieces.PIECE else opened[:]
        return
    try:
        with mirror.reading(file.url, file.size or 0, pieces.PIECE) as (data, entry):
            if (entry.size, mirror.nanoseconds(entry.modified)) != (file.size, file.mtime):
                raise AudioError("unreadable", "it changed since it was listed")
            if isinstance(data, bytes):
                yield data
            else:
                with OnDisk(data) as opened:
                    yield opened
    except FileNotFoundError as error:
        raise AudioError("unreadable", "it is no longer there") from error
    except TakenError as error:
        raise AudioError("unreadable", "it changed while it was read") from error
    except StorageError as error:
        if not error.refused:
            raise
        raise AudioError("unreadable", f"object storage refuses it ({error.refused})") from error


# Texts that are kept.
MOST_RESTS = 4096
# All of a recording but its path: what decides about its rows, wherever the tree lies. Lakes from before there were
# faults have hashes without one.
_NAMES = tuple(field.name for field in fields(Recording) if field.name not in ("path", "fault"))
_said, _said_with_fault = attrgetter(*_NAMES), attrgetter(*_NAMES, "fault")


def readable(path: Path | str) -> str:
    """A path as valid Unicode, whatever bytes its name holds."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
