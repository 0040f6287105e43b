"""MTG-Jamendo: 55,609 whole tracks with 195 tags of genre, instrument, mood and theme (Bogdanov et al. 2019)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from phonolake.errors import UsageError
from phonolake.files import here
from phonolake.records import TEST, TRAIN, VALID, Recording
from phonolake.sources import confine, tables, trees
from phonolake.sources.contract import Download, Fact, SourceCard
from phonolake.sources.options import one_of, option

HOST = "https://raw.githubusercontent.com/MTG/mtg-jamendo-dataset/master/data/"
CARD = SourceCard(
    name="mtg_jamendo",
    summary="55,609 whole tracks of Jamendo, 195 tags of genre, instrument, mood and theme, five splits",
    homepage="https://github.com/MTG/mtg-jamendo-dataset",
    licence="metadata CC BY-NC-SA 4.0; each track under the Creative Commons licence its artist chose",
    citation="D. Bogdanov, M. Won, P. Tovstogan, A. Porter, X. Serra, The MTG-Jamendo Dataset for Automatic Music "
    "Tagging, ICML 2019 workshop Machine Learning for Music Discovery",
    layout="DIR/data/autotagging.tsv and DIR/data/splits/split-0/autotagging-train.tsv, -validation.tsv, -test.tsv "
    "(also without data/), and the audio as DIR/audio/14/214.mp3 or 214.low.mp3 (also DIR/14/214.mp3, or any folder "
    "by the option audio)",
    tracks=55_609,
    labels="195 tags such as 'genre---rock', 'instrument---piano', 'mood/theme---calm'; a track has one or more",
    splits=(("split-0", "train, valid and test 60/20/20, no artist on two sides; split-1 to split-4 besides"),),
    downloads=(
        Download(f"{HOST}autotagging.tsv", None, None, "tags of every track"),
        Download(f"{HOST}raw_30s.tsv", None, None, "all tracks of 30 s or more, before tags were merged"),
    ),
)
READS = ("*.tsv",)
# Tracks and tags of the published tables.
SUBSETS = {
    "all": ("autotagging", 55_609, 195),
    "top50tags": ("autotagging_top50tags", 54_380, 50),
    "genre": ("autotagging_genre", 55_215, 95),
    "instrument": ("autotagging_instrument", 25_135, 41),
    "moodtheme": ("autotagging_moodtheme", 18_486, 59),
}
PARTS = {"train": TRAIN, "validation": VALID, "test": TEST}
COLUMNS = ("TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS")
ID = re.compile(r"track_(\d+)")


@dataclass(frozen=True, slots=True)
class Options:
    """Which tags, and where the audio lies."""

    subset: str = option("all", "all, top50tags, genre, instrument or moodtheme: only tracks with such tags, and these")
    audio: str | None = option(None, "folder of the audio instead of DIR/audio or DIR")

    def __post_init__(self) -> None:
        one_of("subset", self.subset, SUBSETS)


DEFAULT = Options()


@dataclass(frozen=True, slots=True)
class TrackRow:
    """A row of a table: the number of a track, what else it says, and its tags."""

    number: str
    artist: str
    album: str
    path: str
    seconds: float
    tags: tuple[str, ...]


def recordings(root: Path, options: Options = DEFAULT) -> Iterator[Recording]:
    """The tracks of a table in its order, with their sides in the splits that are there."""
    base, name = _base(root, options)
    sides = _splits(base, name)
    audio = _audio(root, options)
    finder = trees.Finder()
    for track in _tracks(base / f"{name}.tsv"):
        yield Recording(
            source_id=track.number,
            path=finder.find(confine.below(audio, track.path, base / f"{name}.tsv")),
            labels=track.tags,
            splits=tuple((split, part, None) for split, part in sides.get(track.number, ())),
            artist_id=track.artist,
            album_id=track.album,
            attributes=(("seconds", track.seconds),),
        )


def facts(root: Path, options: Options = DEFAULT) -> Iterator[Fact]:
    """Tracks and tags of a table beside the published figures."""
    base, name = _base(root, options)
    tracks = list(_tracks(base / f"{name}.tsv"))
    _, n_tracks, n_tags = SUBSETS[options.subset]
    yield Fact(f"tracks of {name}.tsv", n_tracks, len(tracks))
    yield Fact(f"tags of {name}.tsv", n_tags, len({tag for track in tracks for tag in track.tags}))


def _base(root: Path, options: Options) -> tuple[Path, str]:
    """The folder of the tables, and the name of the one that is read."""
    name = SUBSETS[options.subset][0]
    base = trees.base(root, f"{name}.tsv", "data")
    if base is None:
        raise UsageError(f"{root} does not hold MTG-Jamendo with {name}.tsv; its layout is {CARD.layout}")
    return base, name


def _audio(root: Path, options: Options) -> Path:
    if options.audio is not None:
        return here(options.audio)
    places = (root / "audio", root / "audio-low", root / "raw_30s" / "audio")
    return next((place for place in places if place.is_dir()), root)


def _tracks(path: Path) -> Iterator[TrackRow]:
    """Rows of a table; the cells behind the header's last column are tags too."""
    about = "a table of MTG-Jamendo"
    header: list[str] = []
    for line, cells in tables.cells(path, about, columns=COLUMNS):
        if not header:
            header = cells
            if tuple(header) != COLUMNS:
                raise UsageError(f"{path} is not {about}: its columns are {', '.join(cells)[:120]!r}")
            continue
        match = ID.fullmatch(cells[0])
        if match is None or len(cells) < len(COLUMNS):
            raise UsageError(f"{path} is not {about}: line {line} has {', '.join(cells)[:80]!r}")
        _, artist, album, name, seconds = cells[:5]
        tags = tuple(dict.fromkeys(tag.strip() for tag in cells[5:] if tag.strip()))
        duration = tables.number(seconds, float, f"{path}, line {line}: DURATION")
        yield TrackRow(str(int(match[1])), artist, album, name, duration, tags)


def _splits(base: Path, name: str) -> dict[str, list[tuple[str, str]]]:
    """Sides of the tracks in the splits that are there."""
    found: dict[str, list[tuple[str, str]]] = {}
    for folder in sorted((base / "splits").glob("split-*")):
        for word, part in PARTS.items():
            path = folder / f"{name}-{word}.tsv"
            for track in _tracks(path) if path.is_file() else ():
                sides = found.setdefault(track.number, [])
                if any(split == folder.name for split, _ in sides):
                    raise UsageError(f"{path}: track {track.number} is on two sides of {folder.name}")
                sides.append((folder.name, part))
    return found
