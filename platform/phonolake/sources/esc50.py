"""ESC-50: 2,000 environmental sounds of 5 s in 50 classes, with 5 folds (Piczak 2015)."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from phonolake.errors import UsageError
from phonolake.records import Recording
from phonolake.sources import confine, tables, trees
from phonolake.sources.contract import Download, Fact, SourceCard

CARD = SourceCard(
    name="esc50",
    summary="2,000 environmental recordings of 5 s, 50 classes, 5 folds",
    homepage="https://github.com/karolpiczak/ESC-50",
    licence="CC BY-NC 3.0; the clips of ESC-10 CC BY 3.0",
    citation="K. J. Piczak, ESC: Dataset for Environmental Sound Classification, ACM Multimedia 2015",
    layout="DIR/meta/esc50.csv and DIR/audio/1-100032-A-0.wav (fold-clip-take-class; also below DIR/ESC-50-master)",
    tracks=2_000,
    labels="50 classes such as 'dog', in five groups of ten",
    splits=(("folds", "5 folds; clips of one Freesound recording are in one fold"),),
    downloads=(
        Download("https://github.com/karolpiczak/ESC-50/archive/refs/heads/master.zip", None, None, "everything"),
    ),
)
TABLE = "meta/esc50.csv"
COLUMNS = ("filename", "fold", "target", "category", "esc10", "src_file", "take")
FOLDS = range(1, 6)


def recordings(root: Path) -> Iterator[Recording]:
    """The clips of `esc50.csv` in its order; the clips of ESC-10 have the licence CC BY 3.0."""
    base = trees.base(root, TABLE, "ESC-50-master")
    if base is None:
        raise UsageError(f"{root} does not hold ESC-50; its layout is {CARD.layout}")
    path = base / TABLE
    finder = trees.Finder()
    for row in tables.rows(path, COLUMNS, "ESC-50's metadata"):
        name = confine.component(row["filename"], path)
        fold = tables.whole(row["fold"], f"{path}, {name}: fold")
        if fold not in FOLDS:
            raise UsageError(f"{path}, {name}: fold is {fold}, and there are five")
        esc10 = tables.boolean(row["esc10"], f"{path}, {name}: esc10")
        yield Recording(
            source_id=name.rpartition(".")[0] or name,
            path=finder.find(base / "audio" / name),
            licence="CC BY 3.0" if esc10 else "CC BY-NC 3.0",
            labels=(row["category"],),
            splits=(("folds", None, fold),),
            attributes=(("freesound_id", tables.numeral(row["src_file"])), ("take", row["take"]), ("esc10", esc10)),
        )


def facts(root: Path) -> Iterator[Fact]:
    """Clips, classes, and the clips that are ESC-10's, beside the published figures."""
    listed = list(recordings(root))
    counts = Counter(label for recording in listed for label in recording.labels)
    yield Fact("clips", 2_000, len(listed))
    yield Fact("classes", 50, len(counts))
    yield Fact("clips of the rarest class", 40, min(counts.values(), default=0))
    yield Fact("clips of ESC-10", 400, sum(dict(recording.attributes)["esc10"] for recording in listed))
