"""Where a source lies: a folder, or a prefix on object storage, for which a folder of this machine stands."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from phonolake.errors import UsageError
from phonolake.sources import contract
from phonolake.stages.ingest_files import Looker, readable
from phonolake.store import mirror
from phonolake.store.mirror import Mirror


@dataclass(frozen=True, slots=True)
class Root:
    """What a source lies under.

    Parameters
    ----------
    path : Path
        The folder, or the one that stands for it.
    standing : Mirror, optional
        Where it is one that stands for another.
    """

    path: Path
    standing: Mirror | None = None

    @property
    def address(self) -> str:
        """Its path or address, as it stands in tables; no slash ends it."""
        return readable(self.path) if self.standing is None else self.standing.address

    @property
    def unnamed(self) -> list[str]:
        """Objects that no source can name."""
        return [] if self.standing is None else self.standing.unnamed

    def named(self, path: Path) -> str:
        """A path, or the address of what it stands for, as it stands in tables."""
        return (self.standing.url(path) if self.standing is not None else None) or readable(path)

    def exists(self, where: str) -> bool:
        """Whether something is at a path or an address."""
        if not mirror.is_remote(where):
            return os.path.exists(where)
        return mirror.exists(where) if self.standing is None else self.standing.exists(where)

    def looker(self, follows_links: bool) -> Looker:
        """What asks the file system about recordings under it."""
        return Looker(None if follows_links else self.path, self.standing)


@contextmanager
def opened(text: str, source: contract.Source) -> Iterator[Root]:
    """What a user names, as it is now; one on object storage is listed.

    Raises
    ------
    UsageError
        If it is neither a folder nor an address of a prefix that holds something.
    StorageError
        When object storage cannot be listed.
    """
    if mirror.is_remote(text):
        with mirror.standing(text, source.CARD.name, lambda name: contract.opens(source, name)) as standing:
            yield Root(standing.folder, standing)
        return
    path = mirror.local(text)
    if not path.is_dir():
        raise UsageError(f"{text} is no folder: name the folder that holds the {source.CARD.name} files")
    yield Root(path.resolve())
