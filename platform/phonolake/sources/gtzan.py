"""GTZAN: 1,000 clips of 30 s in 10 genres (Tzanetakis and Cook 2002), the unfiltered tree and filtered lists of it."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from phonolake.audio.containers import EXTENSIONS
from phonolake.errors import UsageError
from phonolake.records import Recording
from phonolake.sources import split_lists
from phonolake.sources.contract import Download, Erratum, Fact, SourceCard
from phonolake.sources.options import option

STURM = "B. L. Sturm, An Analysis of the GTZAN Music Genre Dataset, ACM MIRUM 2012; the catalogue: arXiv:1306.1461"
GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
CARD = SourceCard(
    name="gtzan",
    summary="1,000 clips of 30 s, 10 genres of 100; known for its faults",
    homepage="https://marsyas.info/downloads/datasets.html",
    licence="none stated; the recordings are under copyright",
    citation="G. Tzanetakis, P. Cook, Musical genre classification of audio signals, IEEE TSAP 2002",
    layout="DIR/genres/blues/blues.00000.au (or .wav and so on; also "
    "genres_original, Data/genres_original, or the genres in DIR itself), and lists of a "
    "split in DIR/splits/NAME/train_filtered.txt, valid_filtered.txt, test_filtered.txt",
    tracks=1_000,
    labels="10 genres: " + ", ".join(GENRES),
    splits=(
        (
            "fault-filtered",
            "443/197/290 without repetitions and with no artist on two sides (Kereliuk et al. 2015), "
            "read from your copy of the lists",
        ),
    ),
    errata=(
        Erratum(
            "jazz.00054 is broken in common copies and cannot be decoded", "checksum lists of mirdata", ("jazz.00054",)
        ),
        Erratum(
            "50 clips repeat another one exactly, one of them in two genres; 22 are from the same recording", STURM
        ),
        Erratum("13 clips are versions of the same piece", STURM),
        Erratum("43 clips are plainly mislabelled, the genre of 63 more is contentious", STURM),
        Erratum("several clips are distorted, one of them useless but for 5 s", STURM),
        Erratum("few artists make up a genre: 35 of the reggae clips are Bob Marley, 24 of pop Britney Spears", STURM),
    ),
    downloads=(
        Download(
            "http://opihi.cs.uvic.ca/sound/genres.tar.gz", None, "md5:5b3d6dddb579ab49814ab86dba69e7c7", "all clips"
        ),
    ),
)
KNOWN_SPLITS = {(443, 197, 290): "fault-filtered"}
CLIP = re.compile(rf"(?P<genre>{'|'.join(GENRES)})[._-]?(?P<number>\d{{5}})")


@dataclass(frozen=True, slots=True)
class Options:
    """Where the lists of splits lie."""

    splits: str | None = option(None, "folder of the lists instead of DIR/splits")


DEFAULT = Options()


def recordings(root: Path, options: Options = DEFAULT) -> Iterator[Recording]:
    """Every clip in the genre folders, and missing clips that a split names."""
    base = _base(root)
    splits = split_lists.read(root, options.splits, _clip_of, KNOWN_SPLITS)
    files = sorted(p for genre in GENRES for p in (base / genre).glob("*") if _is_clip(p))
    found = {clip: path for path in files if (clip := _clip_of(path.stem))}
    if len(found) < len(files):
        twice, _ = Counter(_clip_of(path.stem) for path in files).most_common(1)[0]
        raise UsageError(f"{base} has two files of {twice}: remove one of them")
    ending = files[0].suffix if files else ".au"
    for clip in sorted(found.keys() | splits.keys()):
        genre = clip.partition(".")[0]
        yield Recording(
            source_id=clip,
            path=found.get(clip) or base / genre / f"{clip}{ending}",
            labels=(genre,),
            splits=tuple(splits.get(clip, ())),
        )


def facts(root: Path, options: Options = DEFAULT) -> Iterator[Fact]:
    """Clips of each genre beside the published 100."""
    counts = Counter(r.labels[0] for r in recordings(root, options) if r.path.is_file())
    for genre in GENRES:
        yield Fact(f"clips of {genre}", 100, counts[genre])


def _base(root: Path) -> Path:
    # The copy at Kaggle has a folder Data around its genres.
    for base in (*(top / name for top in (root, root / "Data") for name in ("genres", "genres_original")), root):
        if any((base / genre).is_dir() for genre in GENRES):
            return base
    raise UsageError(f"{root} does not hold GTZAN; its layout is {CARD.layout}")


def _is_clip(path: Path) -> bool:
    return path.suffix[1:].lower() in EXTENSIONS and CLIP.fullmatch(path.stem) is not None


def _clip_of(entry: str) -> str | None:
    """The clip of a name: ``blues.00029`` of ``blues/blues.00029.wav`` and of ``blues00029``."""
    match = CLIP.match(entry.rpartition("/")[2])
    return f"{match['genre']}.{match['number']}" if match else None
