"""AudioSet (Gemmeke et al. 2017): ten-second segments of YouTube videos with labels from an ontology of sounds.

`segments` lists the wanted segments, also for downloads; `recordings` lists those with their files. The rule for
segments that carry several of the wanted labels is the option ``rule``:

``all``
    A segment keeps all of its labels. With ``per-class`` each wanted label draws its own sample; a segment that several
    drew is there once, so that a label may end with more segments than were drawn for it.
``single``
    As in the study of music roles, where a segment counts for one class: among the wanted labels that a segment carries
    one is drawn, with equal chances, and it is the only label left. Each label then draws from the segments that are
    its own. (That study took the first of an unordered set, which cannot be repeated.)

Draws depend on the seed, the segment and the label alone, not on the order of the files.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from phonolake.audio.containers import EXTENSIONS
from phonolake.errors import UsageError
from phonolake.records import TEST, TRAIN, Recording, Seconds
from phonolake.sources import audioset_files as files
from phonolake.sources import trees
from phonolake.sources.audioset_files import SEGMENTS, VideoSegment
from phonolake.sources.audioset_labels import ROLES, Ontology
from phonolake.sources.contract import Download, Fact, SourceCard, Term
from phonolake.sources.options import one_of, option

BASE = "http://storage.googleapis.com/us_audioset/youtube_corpus/v1/"
CARD = SourceCard(
    name="audioset",
    summary="2 million ten-second segments of YouTube videos, 527 sound classes in an ontology of 632",
    homepage="https://research.google.com/audioset/",
    licence="labels CC BY 4.0, ontology CC BY-SA 4.0; the audio belongs to who uploaded it",
    citation="J. F. Gemmeke et al., Audio Set: An ontology and human-labeled dataset for audio events, ICASSP 2017",
    layout="DIR/balanced_train_segments.csv, eval_segments.csv, unbalanced_train_segments.csv (one or more of them), "
    "class_labels_indices.csv, ontology.json and, if you have it, qa_true_counts.csv (also in DIR/metadata); audio "
    "anywhere below as YTID.wav, YYTID.wav, YTID_START.wav or YTID_START_END.wav (s or ms; any other ending will do)",
    tracks=2_084_320,
    labels="display names such as 'Lullaby', each segment with one or more; the ontology says which lies below which",
    splits=(
        ("balanced", "train = balanced_train_segments.csv (22,160), test = eval_segments.csv (20,371)"),
        ("full", "train = the balanced and the unbalanced segments, test = eval_segments.csv"),
    ),
    downloads=(
        *(Download(f"{BASE}csv/{name}", None, None, "segments and their labels") for name in SEGMENTS.values()),
        Download(f"{BASE}csv/class_labels_indices.csv", None, None, "ids and display names of the 527 classes"),
        Download(f"{BASE}qa/qa_true_counts.csv", None, None, "how many labels were checked, and how many were right"),
        Download(
            "https://raw.githubusercontent.com/audioset/ontology/master/ontology.json",
            None,
            None,
            "hierarchy of labels",
        ),
    ),
)
READS = ("*.csv", "*.json")
RULES = ("all", "single")
# What people name a segment's file: the id, with Y before it in a well-known copy, then start and end in s or ms.
NAME = re.compile(r"Y?(?P<ytid>[A-Za-z0-9_-]{11})(_(?P<start>\d+(\.\d+)?)(_(?P<end>\d+(\.\d+)?))?)?")
START = re.compile(r"[^0-9A-Za-z]+(\d+(?:\.\d+)?)(?!\d)")
# Published figures that an official file must show: segments, those with a music role, and those with more than one.
PUBLISHED = {"balanced": (22_160, 508, 32), "eval": (20_371, 501, 61)}


@dataclass(frozen=True, slots=True)
class Options:
    """Options: which segments to use."""

    segments: tuple[str, ...] = option((), "balanced, eval or unbalanced; all whose CSV is there, else")
    labels: tuple[str, ...] = option((), "only segments with one of these labels or labels below them (name or id)")
    roles: int = option(0, "1 for the nine music roles as labels")
    per_class: int = option(0, "draw so many segments for each label; 0 takes all")
    seed: int = option(0, "seed of the draws")
    rule: str = option("all", "what a segment with several wanted labels keeps: all, or a single one")

    def __post_init__(self) -> None:
        one_of("rule", self.rule, RULES)
        for name in self.segments:
            one_of("segments", name, SEGMENTS)


DEFAULT = Options()


def segments(root: Path, options: Options = DEFAULT) -> list[VideoSegment]:
    """The wanted segments, in the order of the files; with ``rule=single`` each has one label.

    Raises
    ------
    UsageError
        If a file is missing or damaged, or a label is unknown.
    """
    if not files.present(root):
        raise UsageError(f"{root} does not hold AudioSet; its layout is {CARD.layout}")
    ontology = Ontology.read(root)
    wanted = _wanted(ontology, options)
    found = files.read_segments(root, options.segments, ontology.names)
    if not wanted and not options.per_class and options.rule == "all":
        return found
    choosing = {label for labels in wanted.values() for label in labels} if wanted else set(ontology.names.values())
    found = [s for s in found if choosing.intersection(s.labels)]
    if options.rule == "single":
        found = [_single(s, choosing, options.seed) for s in found]
    if options.per_class:
        drawn = _draw(found, wanted or {label: {label} for label in choosing}, options)
        found = [s for s in found if s.ytid in drawn]
    return found


def available(root: Path, options: Options = DEFAULT) -> dict[str, int]:
    """Number of segments with each wanted label, before any are drawn and before a single one is left."""
    ontology = Ontology.read(root)
    wanted = _wanted(ontology, options) or {name: {name} for name in ontology.names.values()}
    found = files.read_segments(root, options.segments, ontology.names)
    return {name: len(ids) for name, ids in _carriers(found, wanted).items()}


def recordings(root: Path, options: Options = DEFAULT) -> Iterator[Recording]:
    """The wanted segments, each with its file; segments without a file are included."""
    wanted = segments(root, options)
    audio = _index(root, {s.ytid for s in wanted})
    parts = {"balanced": TRAIN, "eval": TEST, "unbalanced": TRAIN}
    for s in wanted:
        names = ("balanced", "full") if s.file != "unbalanced" else ("full",)
        yield Recording(
            source_id=s.ytid,
            path=_find(audio, s) or root / "audio" / f"{s.ytid}_{s.start:g}.wav",
            labels=s.labels,
            splits=tuple((name, parts[s.file], None) for name in names),
            attributes=(("start_seconds", s.start), ("end_seconds", s.end), ("segments", s.file)),
        )


def vocabulary(root: Path, options: Options = DEFAULT) -> Iterator[Term]:
    """The 632 labels of the ontology with their parents, and the results of the quality check."""
    return Ontology.read(root).terms(files.read_quality(root))


def facts(root: Path, options: Options = DEFAULT) -> Iterator[Fact]:
    """Published figures of the segments that are there."""
    ontology = Ontology.read(root)
    counts: Counter[tuple[str, int]] = Counter()
    for s in files.read_segments(root, options.segments, ontology.names):
        roles = len(set(s.labels) & ROLES.keys())
        counts.update({(s.file, 0): 1, (s.file, 1): bool(roles), (s.file, 2): roles > 1})
    abouts = ("segments", "segments with a music role", "segments with several music roles")
    for name, published in PUBLISHED.items():
        for i, about in enumerate(abouts if counts[name, 0] else ()):
            yield Fact(f"{name}: {about}", published[i], counts[name, i])
    yield Fact("labels in class_labels_indices.csv", 527, len(ontology.names))


def _wanted(ontology: Ontology, options: Options) -> dict[str, set[str]]:
    """For each requested label, its own name and those below it; empty if none was requested."""
    asked = [*options.labels, *(ROLES if options.roles else ())]
    return {name: ontology.below(name) for text in asked for name in ontology.resolve(text)}


def _single(segment: VideoSegment, choosing: set[str], seed: int) -> VideoSegment:
    """The segment with one of the wanted labels that it carries."""
    label = min(choosing.intersection(segment.labels), key=lambda name: _chance(seed, "single", segment.ytid, name))
    return VideoSegment(segment.ytid, segment.start, segment.end, (label,), segment.file)


def _draw(found: Iterable[VideoSegment], wanted: dict[str, set[str]], options: Options) -> set[str]:
    """Ids of the segments that the labels draw."""
    drawn: set[str] = set()
    for name, ids in _carriers(found, wanted).items():
        drawn.update(sorted(ids, key=lambda i: _chance(options.seed, "draw", i, name))[: options.per_class])
    return drawn


def _carriers(found: Iterable[VideoSegment], wanted: dict[str, set[str]]) -> dict[str, list[str]]:
    """Ids of the segments that carry each wanted label, or one below it."""
    asking: dict[str, list[str]] = defaultdict(list)
    for name, labels in wanted.items():
        for label in labels:
            asking[label].append(name)
    carriers: dict[str, list[str]] = {name: [] for name in wanted}
    for s in found:
        for name in {name for label in s.labels if label in asking for name in asking[label]}:
            carriers[name].append(s.ytid)
    return carriers


def _chance(*what: object) -> bytes:
    """A pseudo-random number that depends only on its arguments."""
    return sha256("\0".join(map(str, what)).encode()).digest()


def _index(root: Path, wanted: Set[str]) -> dict[str, list[tuple[Path, str | None]]]:
    """Audio files below `root` by the id in their name, with the start that it names.

    A name of another form is that of the one wanted segment whose id stands in it.
    """
    found: dict[str, list[tuple[Path, str | None]]] = defaultdict(list)
    for path in trees.files(root, EXTENSIONS):
        stem = path.name.rpartition(".")[0]
        match = NAME.fullmatch(stem)
        if match and match["ytid"] in wanted:
            found[match["ytid"]].append((path, match["start"]))
            continue
        ids = {stem[i : i + 11] for i in range(len(stem) - 10)} & wanted
        if len(ids) == 1:
            ytid = ids.pop()
            start = START.match(stem.partition(ytid)[2])
            found[ytid].append((path, start[1] if start else None))
    return found


def _find(audio: dict[str, list[tuple[Path, str | None]]], segment: VideoSegment) -> Path | None:
    """The file of a segment: one that names its start, else one that names none."""
    files_of = audio.get(segment.ytid, [])
    exact = [path for path, start in files_of if start is not None and _is_start(Seconds(float(start)), segment.start)]
    return next(iter([*exact, *(path for path, start in files_of if start is None)]), None)


def _is_start(named: float, start: float) -> bool:
    """Whether a number in a file name is the start: in seconds, cut to whole seconds, or in milliseconds."""
    return abs(named - start) < 0.001 or named == int(start) or named == round(1000 * start)
