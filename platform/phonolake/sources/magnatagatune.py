"""MagnaTagATune: 25,863 clips of 29 s with 188 tags out of a game (Law et al. 2009).

A 0 in its table means that players did not agree on a tag, not that the tag is wrong: no negative labels are stored.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from phonolake.errors import UsageError
from phonolake.records import TEST, TRAIN, VALID, Recording
from phonolake.sources import confine, split_lists, tables, trees
from phonolake.sources.contract import Download, Erratum, Fact, SourceCard
from phonolake.sources.magnatagatune_tags import TOP_50, canonical
from phonolake.sources.options import one_of, option

BASE = "https://mirg.city.ac.uk/datasets/magnatagatune/"
CARD = SourceCard(
    name="magnatagatune",
    summary="25,863 clips of 29 s out of 5,405 songs, 188 tags",
    homepage="https://mirg.city.ac.uk/codeapps/the-magnatagatune-dataset",
    licence="CC BY-NC-SA 3.0 (Magnatune)",
    citation="E. Law, K. West, M. Mandel, M. Bay, J. S. Downie, Evaluation of algorithms using games: the case of "
    "music tagging, ISMIR 2009",
    layout="DIR/annotations_final.csv, DIR/clip_info_final.csv and DIR/f/artist-album-01-title-0-29.mp3 (sixteen "
    "folders 0 to f, in DIR, DIR/mp3 or DIR/mp3s), and lists of splits in DIR/splits/NAME/train*, valid*, test*",
    tracks=25_863,
    bytes=2_972_769_864,
    labels="the 50 most frequent tags; or all 188; or the 50 most frequent after synonyms were merged. "
    "All 188 are kept as tags besides",
    splits=(
        ("folders", "train 0 to b, valid c, test d to f: the split by folder of the first papers"),
        (
            "sample-level",
            "15,244/1,529/4,332 with a top-50 tag and more than 29.1 s (Lee et al. 2017), from your lists",
        ),
        ("cleaned-15247", "15,247/1,529/4,332, the same idea elsewhere, from your lists"),
    ),
    errata=(
        Erratum(
            "tags overlap: 'female vocal', 'female vocals', 'female singing' and so on stand beside each other",
            "https://github.com/keunwoochoi/magnatagatune-list",
        ),
        Erratum("three clips hold no audio", "left out in code of many users", ("35644", "55753", "57881")),
    ),
    downloads=(
        Download(f"{BASE}mp3.zip.001", 1_100_000_000, None, "clips, part 1 of 3: join the parts, then unzip"),
        Download(f"{BASE}mp3.zip.002", 1_100_000_000, None, "clips, part 2 of 3"),
        Download(f"{BASE}mp3.zip.003", 772_769_864, None, "clips, part 3 of 3"),
        Download(f"{BASE}annotations_final.csv", None, None, "tags of every clip"),
        Download(f"{BASE}clip_info_final.csv", None, None, "title, artist, album and position of every clip"),
    ),
)
KNOWN_SPLITS = {(15_244, 1_529, 4_332): "sample-level", (15_247, 1_529, 4_332): "cleaned-15247"}
PARTS = {**dict.fromkeys("0123456789ab", TRAIN), "c": VALID, **dict.fromkeys("def", TEST)}
VOCABULARIES = ("top-50", "all", "merged-50")
INFO = ("clip_id", "track_number", "title", "artist", "album", "segmentStart", "segmentEnd", "mp3_path")
N_CLIPS, N_TAGS = 25_863, 188


@dataclass(frozen=True, slots=True)
class Options:
    """Which tags are the labels, and where lists of splits lie."""

    vocabulary: str = option("top-50", "labels: top-50, all, or merged-50 (synonyms merged, then the 50 most frequent)")
    splits: str | None = option(None, "folder of the lists instead of DIR/splits")

    def __post_init__(self) -> None:
        one_of("vocabulary", self.vocabulary, VOCABULARIES)


DEFAULT = Options()


@dataclass(frozen=True, slots=True)
class AnnotatedClip:
    """A row of the annotations: number, path of its mp3 and the tags that players agreed on."""

    number: str
    path: str
    tags: tuple[str, ...]


def recordings(root: Path, options: Options = DEFAULT) -> Iterator[Recording]:
    """The clips of `annotations_final.csv` in its order, also those without any of the labels."""
    annotations = root / "annotations_final.csv"
    if not annotations.is_file():
        raise UsageError(f"{root} does not hold MagnaTagATune; its layout is {CARD.layout}")
    clips = list(_clips(annotations))
    audio = next((root / name for name in ("mp3", "mp3s") if (root / name).is_dir()), root)
    finder = trees.Finder()
    paths = {clip.number: finder.find(confine.below(audio, clip.path, annotations)) for clip in clips}
    info = _info(root)
    labels = _labels(clips, options.vocabulary)
    named = {_bare(clip.path): clip.number for clip in clips} | {clip.number: clip.number for clip in clips}
    # Lists name a clip by its path with any ending (papers have f/...-0-29.npy), or by its number.
    splits = split_lists.read(root, options.splits, lambda entry: named.get(_bare(entry)), KNOWN_SPLITS)
    for clip in clips:
        part = PARTS.get(clip.path.replace("\\", "/").partition("/")[0])
        said = info.get(clip.number, {})
        yield Recording(
            source_id=clip.number,
            path=paths[clip.number],
            title=said.get("title") or None,
            artist=said.get("artist") or None,
            album=said.get("album") or None,
            licence=CARD.licence,
            labels=labels[clip.number],
            tags=clip.tags,
            splits=((("folders", part, None),) if part else ()) + tuple(splits.get(clip.number, ())),
            attributes=_position(said, clip),
        )


def facts(root: Path, options: Options = DEFAULT) -> Iterator[Fact]:
    """Clips, tags and clips of the top 50 beside the published figures, and clips that the clip info does not know."""
    path = root / "annotations_final.csv"
    clips = list(_clips(path))
    yield Fact("clips in annotations_final.csv", N_CLIPS, len(clips))
    yield Fact("tags in annotations_final.csv", N_TAGS, len({tag for clip in clips for tag in clip.tags}))
    frequent = {tag for tag, _ in Counter(tag for clip in clips for tag in clip.tags).most_common(len(TOP_50))}
    if (root / "clip_info_final.csv").is_file():
        yield Fact("clips that clip_info_final.csv lacks", 0, len({clip.number for clip in clips} - _info(root).keys()))
    yield Fact("top-50 tags that are the most frequent here", len(TOP_50), len(frequent.intersection(TOP_50)))


def _clips(path: Path) -> Iterator[AnnotatedClip]:
    about = "MagnaTagATune's annotations"
    for row in tables.rows(path, ("clip_id", "mp3_path"), about):
        number, mp3 = tables.numeral(row.pop("clip_id")), row.pop("mp3_path")
        said = {tag: tables.truth(value) for tag, value in row.items()}
        wrong = min((row[tag] for tag, value in said.items() if value is None), default=None)
        if wrong is not None or not number.isdigit():
            raise UsageError(f"{path}, clip {number}: a tag is 0 or 1, not {number if wrong is None else wrong!r}")
        yield AnnotatedClip(number, mp3, tuple(tag for tag, value in said.items() if value))


def _info(root: Path) -> dict[str, dict[str, str]]:
    """Rows of `clip_info_final.csv` by clip; empty where the user has no such file."""
    path = root / "clip_info_final.csv"
    if not path.is_file():
        return {}
    rows = tables.rows(path, INFO, "MagnaTagATune's clip info", strict=False)
    return {tables.numeral(row["clip_id"]): row for row in rows}


def _position(said: dict[str, str], clip: AnnotatedClip) -> tuple[tuple[str, object], ...]:
    """Where a clip was cut, and the song it was cut from: clips of one song belong on one side of a split."""
    song = PurePosixPath(clip.path.replace("\\", "/")).stem.rpartition("-")[0].rpartition("-")[0]
    cut = [(f"{name}_seconds", tables.numeral(said.get(f"segment{name.title()}", ""))) for name in ("start", "end")]
    return (("song", song), *((name, float(value)) for name, value in cut if value.isdigit()))


def _labels(clips: list[AnnotatedClip], vocabulary: str) -> dict[str, tuple[str, ...]]:
    if vocabulary == "all":
        return {clip.number: clip.tags for clip in clips}
    if vocabulary == "top-50":
        return {clip.number: tuple(tag for tag in clip.tags if tag in TOP_50) for clip in clips}
    merged = {clip.number: tuple(dict.fromkeys(map(canonical, clip.tags))) for clip in clips}
    counts = Counter(tag for tags in merged.values() for tag in tags)
    kept = set(sorted(counts, key=lambda tag: (-counts[tag], tag))[:50])
    return {number: tuple(tag for tag in tags if tag in kept) for number, tags in merged.items()}


def _bare(path: str) -> str:
    """A path without the ending of its file name."""
    path = path.replace("\\", "/")
    return str(PurePosixPath(path).with_suffix("")) if "/" in path else path
