"""The hand-crafted features that Korosteleva and Gerstner published: seven CSV files and a list of test clips.

A row is a clip, named ``<number>_<class>.wav``; the order of the rows is theirs and matters for one of their splits.

Shape suffixes: N clips, D features.
"""

import csv
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from phonolake.errors import UsageError, unknown

# In the authors' order, which is that of their confusion matrices.
ROLES = (
    "Background",
    "Theme",
    "Jingle",
    "Soundtrack",
    "Lullaby",
    "Video game",
    "Christmas",
    "Dance",
    "Wedding",
)
VAGUE = ("Background", "Theme", "Soundtrack")

# The nine roles are in the first two; the others lack the three vague ones.
VECTORS = {
    "original": "df_features_original.csv",
    "full-7-all-roles": "df_features_mfcc7_all_classes.csv",
    "full-20": "df_features_cutted_classes_mfcc20.csv",
    "full-13": "df_features_cutted_classes_mfcc13.csv",
    "full-7": "df_features_cutted_classes_mfcc7.csv",
    "reduced-13": "df_features_cutted_classes_mfcc13_cutted_features.csv",
    "reduced-7": "df_features_cutted_classes_mfcc7_cutted_features.csv",
}
TEST_CLIPS = "authors_test_files.txt"


@dataclass(frozen=True, slots=True)
class Clips:
    """Clips of the roles in `classes`, with their features x (N, D) and class numbers y (N,)."""

    names: tuple[str, ...]
    classes: tuple[str, ...]
    columns: tuple[str, ...]
    x: np.ndarray
    y: np.ndarray


@lru_cache(maxsize=4)
def read(folder: Path, vector: str, without: tuple[str, ...] = ()) -> Clips:
    """Read one feature vector.

    Parameters
    ----------
    folder : Path
        Where the authors' files lie.
    vector : str
        Key of `VECTORS`.
    without : tuple of str
        Roles whose clips are left out.

    Raises
    ------
    UsageError
        If the vector is unknown, or its file is missing or no such table.
    """
    if vector not in VECTORS:
        raise unknown("feature vector", vector, VECTORS)
    path = folder / VECTORS[vector]
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        end = len(header) - (header[-1] == "label")
        roles = [_role(row[0]) for row in rows]
        x_ND = np.array([row[1:end] for row in rows], np.float64)
    except FileNotFoundError as error:
        raise UsageError(f"{path} is missing: --features names the folder of the authors' CSV files") from error
    except (ValueError, IndexError) as error:
        raise UsageError(f"{path} is no table of features with one clip a row: {error}") from error
    classes = tuple(role for role in ROLES if role in set(roles) - set(without))
    kept = [n for n, role in enumerate(roles) if role in classes]
    return Clips(
        names=tuple(rows[n][0] for n in kept),
        classes=classes,
        columns=tuple(header[1:end]),
        x=x_ND[kept],
        y=np.array([classes.index(roles[n]) for n in kept]),
    )


def _role(name: str) -> str:
    """The role in a name such as ``20000_Video_game_music.wav``."""
    role = name.removesuffix(".wav").partition("_")[2].removesuffix("_music").replace("_", " ")
    if role not in ROLES:
        raise ValueError(f"the clip {name!r} names none of the roles {', '.join(ROLES)}")
    return role


def authors_test(folder: Path, names: Collection[str]) -> np.ndarray:
    """Mark the clips that the authors tested on.

    Returns
    -------
    test_N : ndarray of bool

    Raises
    ------
    UsageError
        If their list is missing, or names clips that are not there.
    """
    path = folder / TEST_CLIPS
    if not path.is_file():
        raise UsageError(f"{path} is missing: it lists the clips that the authors tested on, one a line")
    wanted = set(path.read_text(encoding="utf-8").split())
    if absent := wanted - set(names):
        raise UsageError(f"{path} names {len(absent)} clips without features, such as {min(absent)}")
    return np.array([name in wanted for name in names])
