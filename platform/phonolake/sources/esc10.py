"""ESC-10: 400 environmental sounds of 5 s in 10 classes, with 5 folds (Piczak 2015)."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from phonolake.audio.containers import EXTENSIONS
from phonolake.errors import UsageError
from phonolake.records import Recording
from phonolake.sources.contract import Download, Fact, SourceCard

CARD = SourceCard(
    name="esc10",
    summary="400 environmental recordings of 5 s, 10 classes, 5 folds",
    homepage="https://github.com/karolpiczak/ESC-10",
    licence="CC BY 3.0",
    citation="K. J. Piczak, ESC: Dataset for Environmental Sound Classification, ACM Multimedia 2015",
    layout="DIR/'001 - Dog bark'/1-100032-A.ogg: numbered class folders, and the first digit of a name is its fold "
    "(also below DIR/ESC-10-master)",
    tracks=400,
    labels="10 classes such as 'Dog bark'",
    splits=(("folds", "5 folds; clips of one Freesound recording are in one fold"),),
    downloads=(
        Download(
            "https://github.com/karolpiczak/ESC-10/archive/refs/heads/master.zip", None, None, "the whole repository"
        ),
    ),
)
READS = ()
CLASS = re.compile(r"\d{3} - (?P<label>.+)")
CLIP = re.compile(rf"(?P<fold>[1-5])-\d+-[A-Z]\.(?i:{'|'.join(EXTENSIONS)})")


def recordings(root: Path) -> Iterator[Recording]:
    """Every clip in the numbered class folders, with its fold in the split ``folds``."""
    found = False
    places = [p for base in (root, root / "ESC-10-master") if base.is_dir() for p in base.iterdir()]
    for folder in sorted(p for p in places if p.is_dir() and CLASS.fullmatch(p.name)):
        for path in sorted(folder.iterdir()):
            if clip := CLIP.fullmatch(path.name):
                found = True
                label = CLASS.sub(r"\g<label>", folder.name)
                yield Recording(
                    source_id=path.stem,
                    path=path,
                    licence=CARD.licence,
                    labels=(label,),
                    splits=(("folds", None, int(clip["fold"])),),
                )
    if not found:
        raise UsageError(f"{root} does not hold ESC-10; its layout is {CARD.layout}")


def facts(root: Path) -> Iterator[Fact]:
    """Clips, classes and clips of the rarest class beside the published figures."""
    counts = Counter(label for recording in recordings(root) for label in recording.labels)
    yield Fact("clips", 400, counts.total())
    yield Fact("classes", 10, len(counts))
    yield Fact("clips of the rarest class", 40, min(counts.values()))
