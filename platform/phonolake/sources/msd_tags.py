"""Tags for the Million Song Dataset: Last.fm's, a database or a tree of JSON, and the 50-tag split with matrices."""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from phonolake.errors import UsageError
from phonolake.records import TEST, TRAIN, VALID
from phonolake.sources import tables

PARTS = {"train": TRAIN, "valid": VALID, "test": TEST}
TRACK_ID = re.compile(r"TR[A-Z0-9]{16}")
N_TAGS = 50
BATCH = 500  # below SQLite's limit of parameters in one query

# Choi's fifty tags, in the order of the columns of his matrices.
TAGS_50 = (
    "rock", "pop", "alternative", "indie", "electronic", "female vocalists", "dance", "00s", "alternative rock", "jazz",
    "beautiful", "metal", "chillout", "male vocalists", "classic rock", "soul", "indie rock", "Mellow", "electronica",
    "80s", "folk", "90s", "chill", "instrumental", "punk", "oldies", "blues", "hard rock", "ambient", "acoustic",
    "experimental", "female vocalist", "guitar", "Hip-Hop", "70s", "party", "country", "easy listening", "sexy",
    "catchy", "funk", "electro", "heavy metal", "Progressive rock", "60s", "rnb", "indie pop", "sad", "House", "happy",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SplitPart:
    """One part of the 50-tag split.

    Parameters
    ----------
    name : str
        train, valid or test.
    tracks : list of str
        Track ids in the order of the lists.
    numbers : list of str
        7digital's numbers in the same order; empty where that list is not there.
    matrix : np.ndarray or None, shape (n_tracks, 50), bool
        Which tags a track has; None where the matrix is not there (that of the training part was never published with
        the lists).
    """

    name: str
    tracks: list[str]
    numbers: list[str]
    matrix: np.ndarray | None

    def labels(self, row: int) -> tuple[str, ...]:
        """Tags of the track in a row; empty where there is no matrix."""
        return () if self.matrix is None else tuple(TAGS_50[i] for i in np.flatnonzero(self.matrix[row]))


def read_split(folder: Path) -> list[SplitPart]:
    """The parts of the 50-tag split whose lists are in a folder.

    Raises
    ------
    UsageError
        If a list holds something else, lists and matrix differ in length, or a track stands in two parts.
    """
    parts = [_part(folder, name) for name in PARTS if (folder / f"{name}_x_msd_id.txt").is_file()]
    tracks = [track for part in parts for track in part.tracks]
    if len(set(tracks)) < len(tracks):
        raise UsageError(f"the lists in {folder} name a track twice: fetch the published lists again")
    return parts


def _part(folder: Path, name: str) -> SplitPart:
    path = folder / f"{name}_x_msd_id.txt"
    tracks = tables.lines(path, "a list of track ids")
    wrong = next((track for track in tracks if not TRACK_ID.fullmatch(track)), None)
    if wrong is not None:
        raise UsageError(f"{path} is not a list of track ids such as TRAAABD128F429CF47: it holds {wrong[:40]!r}")
    other = folder / f"{name}_x_7d_id.txt"
    numbers = list(map(tables.numeral, tables.lines(other, "7digital's numbers"))) if other.is_file() else []
    if other.is_file() and len(numbers) != len(tracks):
        raise UsageError(f"{other} has {len(numbers)} lines, and {path.name} has {len(tracks)}: they belong together")
    matrix = folder / f"{name}_y.npy"
    return SplitPart(PARTS[name], tracks, numbers, _matrix(matrix, len(tracks)) if matrix.is_file() else None)


def _matrix(path: Path, n_tracks: int) -> np.ndarray:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UsageError(f"{path} is not a NumPy array of labels: {error}") from error
    if values.shape != (n_tracks, N_TAGS):
        raise UsageError(f"{path} is {values.shape}, and {n_tracks} tracks with {N_TAGS} tags are {(n_tracks, N_TAGS)}")
    if not np.isin(values, (0, 1)).all():
        raise UsageError(f"{path} holds values other than 0 and 1")
    return values.astype(bool)


def lastfm(root: Path, tracks: list[str], least: float) -> dict[str, tuple[str, ...]]:
    """Last.fm's tags of some tracks, heaviest first, out of `lastfm_tags.db`, else out of the JSON tree.

    Parameters
    ----------
    least : float
        Only tags whose weight (0 to 100) lies above.
    """
    database = next((p for p in (root / "lastfm_tags.db", root / "lastfm" / "lastfm_tags.db") if p.is_file()), None)
    found = _from_database(database, tracks) if database else _from_tree(root, tracks)
    tags = {}
    for track, weighed in found:
        heavy = sorted((-weight, tag) for tag, weight in weighed if weight > least and tag.strip())
        tags[track] = tuple(dict.fromkeys(tag for _, tag in heavy))
    return tags


def _from_database(path: Path, tracks: list[str]) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    """Tags by track; the tables are tids(tid), tags(tag) and tid_tag(tid, tag, val), the last by row numbers."""
    query = (
        "SELECT tids.tid, tags.tag, tid_tag.val FROM tid_tag JOIN tids ON tids.ROWID = tid_tag.tid "
        "JOIN tags ON tags.ROWID = tid_tag.tag WHERE tids.tid IN ({})"
    )
    found: dict[str, list[tuple[str, float]]] = {}
    try:
        # Read-only and without its journal: nothing is ever written beside the user's file.
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            for start in range(0, len(tracks), BATCH):
                batch = tracks[start : start + BATCH]
                for track, tag, weight in connection.execute(query.format(", ".join("?" * len(batch))), batch):
                    found.setdefault(track, []).append((str(tag), float(weight)))
    except (sqlite3.Error, ValueError, TypeError) as error:
        raise UsageError(f"{path} is not Last.fm's tag database: {error}") from error
    return iter(found.items())


def _from_tree(root: Path, tracks: list[str]) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    """Tags out of ``lastfm_train/A/B/C/TRABC....json`` and ``lastfm_test/...``."""
    folders = [
        p for p in (root / "lastfm_train", root / "lastfm_test", root / "lastfm_subset", root / "lastfm") if p.is_dir()
    ]
    for track in tracks:
        places = (folder / track[2] / track[3] / track[4] / f"{track}.json" for folder in folders)
        path = next((place for place in places if place.is_file()), None)
        if path:
            try:
                yield (
                    track,
                    [(str(tag), float(weight)) for tag, weight in json.loads(tables.text(path, "tags"))["tags"]],
                )
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise UsageError(f"{path} is not Last.fm's JSON with a list of tags: {error}") from error
