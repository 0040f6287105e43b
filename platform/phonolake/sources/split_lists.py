"""Named splits that papers publish as lists of clips, read from the user's copy.

A folder that holds the three lists is one split::

    DIR/splits/NAME/train*  valid* or val*  test*

Each list is text (``.txt``, ``.csv``, ``.tsv``: one clip a line, in the first or second column), a NumPy array of texts
(``.npy``), or a pickled list (``.cP``, ``.pkl``, ``.pickle``), which is read without unpickling. Files with another
ending are passed over.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from phonolake.errors import UsageError
from phonolake.files import here
from phonolake.records import TEST, TRAIN, VALID
from phonolake.sources import pickled, tables

FOLDER = "splits"
PARTS = {"train": TRAIN, "valid": VALID, "val": VALID, "test": TEST}
LIST = re.compile(r"(?P<part>train|valid|val|test)(?![a-z])[^/]*\.(?P<ending>txt|csv|tsv|npy|cP|pkl|pickle)")
# Label matrices and lists of other ids lie beside the lists of clips.
OTHER = re.compile(r"(^|_)y(_|\.|$)|_id\.|_y\.")

# A first line without a digit or a folder in it names columns.
HEADER = re.compile(r"[A-Za-z_ ,;\t\"']+")

Membership = dict[str, list[tuple[str, str | None, int | None]]]


def read(
    root: Path, folder: str | None, key: Callable[[str], str | None], known: dict[tuple[int, int, int], str]
) -> Membership:
    """Membership of clips in the splits whose lists the user has.

    Parameters
    ----------
    root : Path
        The dataset.
    folder : str, optional
        Folder of the splits, or of one split, instead of ``root/splits``.
    key : callable
        Makes the source id of an entry in a list; None where the entry names no clip of this dataset.
    known : dict
        Names of published splits by their numbers of clips for training, validation and test; a split of any other size
        goes by the name of its folder.

    Raises
    ------
    UsageError
        If the folder was named and holds no lists, a list cannot be read, or a clip stands on two sides.
    """
    base = here(folder) if folder else root / FOLDER
    found: Membership = {}
    names: set[str] = set()
    for place in [base, *sorted(p for p in base.glob("*") if p.is_dir())]:
        lists = {part: _entries(path, key) for part, path in _lists(place)}
        if set(lists) != {TRAIN, VALID, TEST}:
            continue
        name = known.get((len(lists[TRAIN]), len(lists[VALID]), len(lists[TEST])), place.resolve().name)
        # Two copies of one published split, or another one of its size, keep apart.
        name = place.resolve().name if name in names else name
        names.add(name)
        _add(found, name, lists, place)
    if folder and not names:
        raise UsageError(f"{folder} holds no lists of a split: its files are called train..., valid... and test...")
    return found


def _add(found: Membership, name: str, lists: dict[str, list[str]], place: Path) -> None:
    for part, clips in lists.items():
        for clip in clips:
            sides = found.setdefault(clip, [])
            if any(split == name for split, _, _ in sides):
                raise UsageError(f"{place} names {clip} twice: a clip has one place in a split")
            sides.append((name, part, None))


def _lists(place: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(place.glob("*")):
        match = LIST.fullmatch(path.name)
        if match and path.is_file() and not OTHER.search(path.name):
            yield PARTS[match["part"]], path


def _entries(path: Path, key: Callable[[str], str | None]) -> list[str]:
    clips = []
    for number, entry in enumerate(_texts(path)):
        between = next((delimiter for delimiter in ("\t", ";") if delimiter in entry), ",")
        # Lists come from Windows too, and out of spreadsheets.
        columns = [column.strip(" \"'").replace("\\", "/") for column in entry.split(between)[:2]]
        clip = next(filter(None, map(key, columns)), None)
        if clip is not None:
            clips.append(clip)
        elif number or not HEADER.fullmatch(entry):
            raise UsageError(f"{path} names {entry[:80]!r}, which is no clip of this dataset")
    return clips


def _texts(path: Path) -> list[str]:
    if path.suffix in (".cP", ".pkl", ".pickle"):
        return pickled.read_list(path)
    if path.suffix == ".npy":
        try:
            return [str(item) for item in np.load(path, allow_pickle=False).ravel()]
        except (OSError, ValueError, EOFError) as error:
            raise UsageError(f"{path} is no NumPy array of texts: {error}") from error
    return tables.lines(path, "a list of clips, one a line")
