"""Find files in trees whose metadata do not give paths."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from phonolake.audio.containers import EXTENSIONS


def base(root: Path, marker: str, inner: str) -> Path | None:
    """The folder that holds `marker`: the root, or the folder `inner` that the owners' archive unpacks to."""
    return next((folder for folder in (root, root / inner) if (folder / marker).exists()), None)


def files(root: Path, endings: Collection[str]) -> Iterator[Path]:
    """Files below a folder by the ending of their names (in lower case, without the dot), in a fixed order.

    Hidden files and folders are passed over. A folder that a link leads to is entered once if it lies outside the
    tree: other code decides whether to use its files. Links to places inside the tree are not, as these are
    found anyway, and neither are links to folders around it, which have no end.
    """
    inside = os.path.realpath(root)
    entered: set[str] = set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        subfolders[:] = [
            name for name in sorted(subfolders) if _is_entered(os.path.join(folder, name), inside, entered)
        ]
        for name in sorted(names):
            if name.rpartition(".")[2].lower() in endings and not name.startswith("."):
                yield Path(folder, name)


def _is_entered(folder: str, inside: str, entered: set[str]) -> bool:
    if os.path.basename(folder).startswith("."):
        return False
    if not os.path.islink(folder):
        return True
    real = os.path.realpath(folder)
    if real in entered or os.path.commonpath([real, inside]) in (real, inside):
        return False
    entered.add(real)
    return True


class Finder:
    """Finds clips under the names that tables give them, whatever container they were converted to.

    Folders are listed once, so that a clip needs no call of the file system.
    """

    def __init__(self) -> None:
        self._folders: dict[Path, dict[str, str]] = {}

    def find(self, path: Path) -> Path:
        """The file at a path, else one beside it with another audio file extension, else the path itself."""
        names = self._names(path.parent)
        if path.name in names:
            return path
        other = names.get(_stem(path.name))
        return path.with_name(other) if other else path

    def _names(self, folder: Path) -> dict[str, str]:
        """Names of the files in a folder by themselves, and by what they are without an audio ending."""
        if folder not in self._folders:
            try:
                listed = sorted(os.listdir(folder))
            except OSError:
                listed = []
            names = {name: name for name in listed}
            for name in listed:
                if not name.startswith(".") and name.rpartition(".")[2].lower() in EXTENSIONS:
                    names.setdefault(_stem(name), name)
            self._folders[folder] = names
        return self._folders[folder]


def _stem(name: str) -> str:
    """A name without its audio file extension, and without markers of smaller copies."""
    stem, _, ending = name.rpartition(".")
    return stem.removesuffix(".low") if stem and ending.lower() in EXTENSIONS else name
