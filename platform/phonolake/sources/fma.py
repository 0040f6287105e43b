"""FMA: a dataset for music analysis (Defferrard et al. 2017), in the layout of its official archives."""

import ast
import csv
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from phonolake.errors import UsageError
from phonolake.records import TEST, TRAIN, VALID, Recording
from phonolake.sources import tables, trees
from phonolake.sources.contract import Download, Erratum, Fact, SourceCard, Term
from phonolake.sources.options import one_of, option

WIKI = "M. Defferrard, https://github.com/mdeff/fma/wiki (known issues of release rc1)"
# Clips of fma_medium that are shorter than 30 s, since their tracks were cut by a wrong length; 0 to 27.4 s are left.
SHORT = (
    "001486 005574 065753 080391 098558 098559 098560 098565 098566 098567 098568 098569 098571 099134 105247 108924 "
    "108925 126981 127336 133297 143992"
)
SHORT_IN_SMALL = ("098565", "098567", "098569", "099134", "108925", "133297")
HOST = "https://os.unil.cloud.switch.ch/fma/"
CARD = SourceCard(
    name="fma",
    summary="Free Music Archive: 30-s clips (small, medium, large) or whole tracks (full), genres, official split",
    homepage="https://github.com/mdeff/fma",
    licence="metadata CC BY 4.0; each track under the licence its artist chose",
    citation="M. Defferrard, K. Benzi, P. Vandergheynst, X. Bresson, FMA: A Dataset for Music Analysis, ISMIR 2017",
    layout="DIR/fma_metadata/tracks.csv and DIR/fma_small/000/000002.mp3 (or fma_medium, fma_large, fma_full)",
    tracks=106_574,
    bytes=879 << 30,
    labels="top genres (16; small has 8 of them), or any of the 163 genres in their hierarchy; the artists' tags",
    splits=(("official", "column set,split: train, valid and test 80/10/10, no artist on two sides"),),
    errata=(
        Erratum(
            "6 clips of fma_small hold less than 30 s of audio (0 to 1.6 s)",
            WIKI,
            SHORT_IN_SMALL,
        ),
        Erratum("21 clips of fma_medium hold less than 30 s of audio (0 to 27.4 s)", WIKI, tuple(SHORT.split())),
        Erratum(
            "105,637 of the 106,574 files of fma_full are different: the others repeat one of them, byte for byte",
            "E. J. Humphrey, https://github.com/mdeff/fma/issues/23",
        ),
        Erratum(
            "the ID3 tags inside some files contradict tracks.csv or claim impossible bit rates",
            "https://github.com/mdeff/fma/issues/27",
        ),
    ),
    downloads=(
        Download(
            f"{HOST}fma_metadata.zip",
            None,
            "sha1:f0df49ffe5f2a6008d7dc83c6915b31835dfe733",
            "tracks, genres and features (342 MiB)",
        ),
        Download(
            f"{HOST}fma_small.zip",
            None,
            "sha1:ade154f733639d52e35e32f5593efe5be76c6d70",
            "8,000 clips of 30 s, 8 balanced genres (7.2 GiB)",
        ),
        Download(
            f"{HOST}fma_medium.zip",
            None,
            "sha1:c67b69ea232021025fca9231fc1c7c1a063ab50b",
            "25,000 clips of 30 s, 16 genres (22 GiB)",
        ),
        Download(
            f"{HOST}fma_large.zip",
            None,
            "sha1:497109f4dd721066b5ce5e5f250ec604dc78939e",
            "106,574 clips of 30 s, 161 genres (93 GiB)",
        ),
        Download(
            f"{HOST}fma_full.zip",
            None,
            "sha1:0f0ace23fbe9ba30ecb7e95f763e435ea802b8ab",
            "106,574 whole tracks, 161 genres (879 GiB)",
        ),
    ),
)
READS = ("tracks.csv", "genres.csv")
# Each size holds the tracks of the smaller ones.
SIZES = {"small": 8_000, "medium": 25_000, "large": 106_574, "full": 106_574}
LEVELS = ("top", "track", "all")
PARTS = {"training": TRAIN, "validation": VALID, "test": TEST}
COLUMNS = {
    ("set", "split"): "split",
    ("set", "subset"): "subset",
    ("track", "title"): "title",
    ("track", "genre_top"): "genre",
    ("track", "genres"): "genres",
    ("track", "genres_all"): "genres_all",
    ("track", "license"): "licence",
    ("track", "tags"): "tags",
    ("artist", "id"): "artist_id",
    ("artist", "name"): "artist",
    ("album", "id"): "album_id",
    ("album", "title"): "album",
    ("album", "date_released"): "released",
}


@dataclass(frozen=True, slots=True)
class Options:
    """Which tracks, and which of their genres."""

    size: str | None = option(None, "small, medium, large or full; the largest on disk, else")
    genres: str = option("top", "top: the one top genre; track: those the artist chose; all: with the genres above")

    def __post_init__(self) -> None:
        one_of("genres", self.genres, LEVELS)
        if self.size is not None:
            one_of("size", self.size, SIZES)


DEFAULT = Options()


def recordings(root: Path, options: Options = DEFAULT) -> Iterator[Recording]:
    """The tracks that `tracks.csv` puts into a size, in order of their ids.

    Tracks without an mp3 are included: they go to `rejects`.
    """
    size = _size(root, options)
    audio = root / f"fma_{size}"
    finder = trees.Finder()
    titles = {} if options.genres == "top" else {t.source_id: t.label for t in vocabulary(root)}
    for row in _tracks(root, size).itertuples():
        name = f"{row.Index:06d}"
        part = PARTS.get(row.split)
        yield Recording(
            source_id=name,
            path=finder.find(audio / name[:3] / f"{name}.mp3"),
            title=_text(row.title),
            artist=_text(row.artist),
            album=_text(row.album),
            year=int(year[0]) if (year := re.match(r"\d{4}", row.released)) else None,
            licence=_text(row.licence),
            labels=_genres(row, name, options.genres, titles),
            tags=_words(row.tags, name, "tags"),
            splits=(("official", part, None),) if part else (),
            artist_id=tables.numeral(row.artist_id) or None,
            album_id=tables.numeral(row.album_id) or None,
            attributes=(("subset", row.subset),),
        )


def vocabulary(root: Path, options: Options = DEFAULT) -> Iterator[Term]:
    """The genres of `genres.csv`, each with the one above it."""
    path = root / "fma_metadata" / "genres.csv"
    rows = list(tables.rows(path, ("genre_id", "parent", "title"), "FMA's genres"))
    titles = {tables.numeral(row["genre_id"]): row["title"] for row in rows}
    for row in rows:
        parent = tables.numeral(row["parent"])
        if parent != "0" and parent not in titles:
            raise UsageError(f"{path}: the parent {parent!r} of {row['title']!r} does not stand in the table")
        yield Term(row["title"], tables.numeral(row["genre_id"]), () if parent == "0" else (titles[parent],))


def facts(root: Path, options: Options = DEFAULT) -> Iterator[Fact]:
    """Tracks of a size, genres and the parts of the split of fma_small, beside the published figures."""
    size = _size(root, options)
    table = _tracks(root, size)
    yield Fact(f"tracks of fma_{size} in tracks.csv", SIZES[size], len(table))
    if size == "small":
        found = Counter(PARTS.get(part, "none") for part in table["split"])
        for part, published in ((TRAIN, 6_400), (VALID, 800), (TEST, 800)):
            yield Fact(f"{part} tracks of fma_small", published, found[part])
        yield Fact("top genres of fma_small", 8, table["genre"].nunique())
    if (root / "fma_metadata" / "genres.csv").is_file():
        yield Fact("genres in genres.csv", 163, len(list(vocabulary(root))))


def _size(root: Path, options: Options) -> str:
    """The size to read: the requested one, or the largest on disk."""
    found = [size for size in SIZES if (root / f"fma_{size}").is_dir()]
    if not found:
        raise UsageError(f"{root} does not hold FMA audio; its layout is {CARD.layout}")
    return options.size or found[-1]


def _tracks(root: Path, size: str) -> pd.DataFrame:
    """Rows of `tracks.csv` that belong to a size, in order of their ids."""
    table = _read_tracks(root / "fma_metadata" / "tracks.csv")
    names = list(SIZES)
    return table[table["subset"].isin(names[: names.index(size) + 1])].sort_index()


def _read_tracks(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise UsageError(f"{path} is missing: unpack the official fma_metadata.zip beside the audio")
    try:
        header, skipped, delimiter = _header(path)
        missing = [",".join(column) for column in COLUMNS if column not in header]
        if missing:
            raise ValueError(f"it has no column {missing[0]!r}")
        wanted = {header.index(column): name for column, name in COLUMNS.items()}
        table = pd.read_csv(
            path, sep=delimiter, skiprows=skipped, header=None, names=range(len(header)), usecols=[0, *wanted],
            dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=0,
        )  # fmt: skip
        # The third line of the official table names the index.
        named = len(table) and not tables.numeral(table.index[0]).isdigit()
        table = table.iloc[int(named) :].rename(columns=wanted)
        # Cells that a row does not have, as where a copy was cut short, are read as empty ones.
        wrong = table.index[~table["subset"].isin(SIZES)]
        if len(wrong):
            raise ValueError(f"track {wrong[0]} is in the subset {table.loc[wrong[0], 'subset']!r}")
        table.index = table.index.map(tables.numeral).astype(int)
    except ValueError as error:
        raise UsageError(f"{path} is no FMA tracks.csv with its two header rows: {error}") from error
    return table


def _header(path: Path) -> tuple[list[tuple[str, str]], int, str]:
    """The columns of `tracks.csv` as pairs of group and name, the lines that say so, and what stands between cells.

    Programs flatten the two header rows into one, as ``track.genre_top`` or ``('track', 'genre_top')``, or number the
    groups that they take for columns of one name (``track.3``).
    """
    with open(path, encoding="utf-8-sig", newline="") as file:
        lines = [file.readline(), file.readline()]
    groups = {group for group, _ in COLUMNS}
    found = []
    for delimiter in tables.DELIMITERS:
        first, second = (next(csv.reader([line], delimiter=delimiter), []) for line in lines)
        two = [(re.sub(r"\.\d+$", "", g.strip()), name.strip()) for g, name in zip(first, second, strict=False)]
        one = [_pair(tuple(re.findall(r"[a-z]+(?:_[a-z]+)*", name.lower())), groups) for name in first]
        found += [(two, 2, delimiter), (one, 1, delimiter)]
    return max(found, key=lambda header: len(COLUMNS.keys() & set(header[0])))


def _pair(words: tuple[str, ...], groups: set[str]) -> tuple[str, str]:
    """Group and name out of a flattened name: of two words, or of one that begins with the group."""
    if len(words) == 2:
        return words[0], words[1]
    group, _, name = (words[0] if words else "").partition("_")
    return (group, name) if group in groups else ("", "")


def _genres(row: Any, track: str, level: str, titles: dict[str, str]) -> tuple[str, ...]:
    """Genres of a track by title: the top one, or those of a list of numbers."""
    if level == "top":
        return (row.genre,) if _text(row.genre) else ()
    numbers = _words(row.genres if level == "track" else row.genres_all, track, "genres")
    unknown = [number for number in numbers if number not in titles]
    if unknown:
        raise UsageError(f"track {track} has the genre {unknown[0]}, which does not stand in genres.csv")
    return tuple(titles[number] for number in numbers)


def _words(value: str, track: str, what: str) -> tuple[str, ...]:
    """The words of a list written as Python writes it."""
    try:
        words = ast.literal_eval(value.strip() or "[]")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        words = None
    if not isinstance(words, list):
        raise UsageError(f"the {what} of track {track} in tracks.csv are no list like ['rock', 'live']: {value[:80]!r}")
    return tuple(dict.fromkeys(str(word) for word in words))


def _text(value: str) -> str | None:
    return value.strip() or None
