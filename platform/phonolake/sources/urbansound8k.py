"""UrbanSound8K: 8,732 urban sounds of at most 4 s in 10 classes, with 10 folds (Salamon et al. 2014).

Clips are taken as they are; a study that needs a window longer than a clip repeats it when it reads (`training.crops`).
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from phonolake.errors import UsageError
from phonolake.records import Recording
from phonolake.sources import confine, tables, trees
from phonolake.sources.contract import Download, Erratum, Fact, SourceCard

CARD = SourceCard(
    name="urbansound8k",
    summary="8,732 urban sounds of at most 4 s, 10 classes, 10 folds",
    homepage="https://urbansounddataset.weebly.com/urbansound8k.html",
    licence="CC BY-NC 3.0",
    citation="J. Salamon, C. Jacoby, J. P. Bello, A Dataset and Taxonomy for Urban Sound Research, ACM Multimedia 2014",
    layout="DIR/metadata/UrbanSound8K.csv and DIR/audio/fold1/101415-3-0-2.wav (also below DIR/UrbanSound8K)",
    tracks=8_732,
    labels="10 classes such as 'dog_bark'",
    splits=(
        ("folds", "10 folds; slices of one Freesound recording lie in one fold (but see errata): never shuffle them"),
    ),
    errata=(
        Erratum(
            "slices of five recordings, 77751, 106905, 132016, 176638 and 180937, lie in two folds",
            "counted in UrbanSound8K.csv",
        ),
        Erratum(
            "the classes are unbalanced: car_horn 429, gun_shot 374, siren 929, the other seven 1,000 each",
            "UrbanSound8K.csv",
        ),
    ),
    downloads=(
        Download(
            "https://zenodo.org/record/1203745/files/UrbanSound8K.tar.gz?download=1",
            None,
            "md5:9aa69802bbf37fb986f71ec1483a196e",
            "audio and metadata",
        ),
    ),
)
TABLE = "metadata/UrbanSound8K.csv"
COLUMNS = ("slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class")
FOLDS = range(1, 11)
CLASSES = {
    "air_conditioner": 1000,
    "car_horn": 429,
    "children_playing": 1000,
    "dog_bark": 1000,
    "drilling": 1000,
    "engine_idling": 1000,
    "gun_shot": 374,
    "jackhammer": 1000,
    "siren": 929,
    "street_music": 1000,
}


def recordings(root: Path) -> Iterator[Recording]:
    """The slices of `UrbanSound8K.csv` in its order.

    What it says of a slice is kept: the Freesound recording, where the slice lies in it (seconds), and the salience
    (1 foreground, 2 background).
    """
    base = trees.base(root, TABLE, "UrbanSound8K")
    if base is None:
        raise UsageError(f"{root} does not hold UrbanSound8K; its layout is {CARD.layout}")
    path = base / TABLE
    finder = trees.Finder()
    for row in tables.rows(path, COLUMNS, "UrbanSound8K's metadata"):
        name = confine.component(row["slice_file_name"], path)
        where = f"{path}, {name}"
        fold = tables.whole(row["fold"], f"{where}: fold")
        if fold not in FOLDS or row["class"] not in CLASSES:
            raise UsageError(f"{where}: no fold {fold} or no class {row['class']!r} is in UrbanSound8K")
        yield Recording(
            source_id=name.removesuffix(".wav"),
            path=finder.find(base / "audio" / f"fold{fold}" / name),
            licence=CARD.licence,
            labels=(row["class"],),
            splits=(("folds", None, fold),),
            attributes=(
                ("freesound_id", tables.numeral(row["fsID"])),
                ("start_seconds", tables.number(row["start"], float, f"{where}: start")),
                ("end_seconds", tables.number(row["end"], float, f"{where}: end")),
                ("salience", tables.whole(row["salience"], f"{where}: salience")),
            ),
        )


def facts(root: Path) -> Iterator[Fact]:
    """Slices and slices of each class beside the published figures."""
    counts = Counter(label for recording in recordings(root) for label in recording.labels)
    yield Fact("slices", 8_732, counts.total())
    for label, published in CLASSES.items():
        yield Fact(f"slices of {label}", published, counts[label])
