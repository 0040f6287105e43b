"""A DuckDB file system for one place on object storage, by its own addresses."""

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from fsspec import AbstractFileSystem

from phonolake.store.place import Place

# Smaller objects are downloaded whole: one request instead of several, and none the next time.
WHOLE = 8 << 20
# Shards do not change, so caches of their content stay valid.
UNCHANGED = datetime(2000, 1, 1, tzinfo=UTC)


class Objects(AbstractFileSystem):
    """The objects of a place, read-only. Other addresses do not exist."""

    cachable = False

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.protocol = place.address.partition("://")[0]
        self._place = place
        self._sizes: dict[str, int] = {}

    def glob(self, path: str, **_: Any) -> list[str]:
        """Names of shards are not patterns."""
        return [path]

    def exists(self, path: str, **_: Any) -> bool:
        """Whether there is such an object."""
        try:
            self.size(path)
        except FileNotFoundError:
            return False
        return True

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Name and bytes."""
        return {"name": path, "size": self.size(path), "type": "file"}

    def size(self, path: str) -> int:
        """Bytes of an object."""
        name = self._name(path)
        if name not in self._sizes:
            self._sizes[name] = self._place.size(name)
        return self._sizes[name]

    def modified(self, path: str) -> datetime:
        """The time of the last write, constant because objects do not change."""
        return UNCHANGED

    def open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        """A reader of an object."""
        if mode != "rb":
            raise PermissionError(f"{path} is read-only")
        name, size = self._name(path), self.size(path)
        if size <= WHOLE:
            return open(self._place.fetch(name, size), "rb")
        found = self._place.reader(name, size)
        return open(found, "rb") if isinstance(found, Path) else found

    def _name(self, path: str) -> str:
        prefix = f"{self._place.address}/"
        if not path.startswith(prefix):
            raise FileNotFoundError(2, "is outside the lake", path)
        return path.removeprefix(prefix)


class Hollow(Objects):
    """The same names, but each shard has no rows.

    Parameters
    ----------
    hollow : dict of str to bytes
        The shard of each folder, by its address with a slash at its end.
    """

    def __init__(self, place: Place, hollow: dict[str, bytes]) -> None:
        super().__init__(place)
        self._hollow = hollow

    def size(self, path: str) -> int:
        """Bytes of the shard without rows."""
        return len(self._of(path))

    def open(self, path: str, mode: str = "rb", **_: Any) -> IO[bytes]:
        """A reader of the shard without rows."""
        return BytesIO(self._of(path))

    def _of(self, path: str) -> bytes:
        return self._hollow[path.rpartition("/")[0] + "/"]
