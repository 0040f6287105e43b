"""Extended Ballroom: 4,180 excerpts of 30 s in 13 dances with their tempo (Marchand and Peeters 2016)."""

import xml.etree.ElementTree as ElementTree
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phonolake.errors import UsageError
from phonolake.records import Recording
from phonolake.sources import confine, tables, trees
from phonolake.sources.contract import Erratum, Fact, SourceCard
from phonolake.sources.folds import stratified
from phonolake.sources.options import option

XML = "extendedballroom_v1.1.xml"
CARD = SourceCard(
    name="extended_ballroom",
    summary="4,180 excerpts of 30 s, 13 ballroom dances, tempo, and which excerpts repeat another",
    homepage="http://anasynth.ircam.fr/home/media/ExtendedBallroom/",
    licence="metadata as published; no audio is distributed, its copyright stays with the labels",
    citation="U. Marchand, G. Peeters, The Extended Ballroom Dataset, ISMIR 2016 late-breaking session",
    layout=f"DIR/{XML} and DIR/Waltz/100601.mp3 (also DIR/extendedballroom_v1.1/...): dances and numbers as in the XML",
    tracks=4_180,
    labels="13 dances: Chacha, Foxtrot, Jive, Pasodoble, Quickstep, Rumba, Salsa, Samba, Slowwaltz, Tango, "
    "Viennesewaltz, Waltz, Wcswing",
    splits=(
        ("stratified-10", "10 stratified folds, shuffled inside each dance (option seed); none where no dance has 10"),
        ("stratified-10-unshuffled", "10 stratified folds in the order of the XML, as scikit-learn deals for cv=10"),
    ),
    errata=(
        Erratum(
            "the XML marks repetitions itself: exact (the same excerpt), version, time (the same piece at another "
            "tempo) and karaoke; random folds put them on both sides",
            "readme of version 1.1",
        ),
        Erratum("a script in the owners' archive downloads the excerpts: no address is published", "readme"),
        Erratum("names are scraped from a website, some with broken characters", "readme of version 1.1"),
    ),
)
RELATIONS = ("exact", "version", "time", "karaoke")
N_FOLDS = 10
DANCES, SONGS = 13, 4_180
LARGEST = 64 << 20  # bytes; the official file has 0.6 MB


@dataclass(frozen=True, slots=True)
class Options:
    """How the folds are dealt."""

    seed: int = option(0, "seed of the split stratified-10")


DEFAULT = Options()


@dataclass(frozen=True, slots=True)
class ListedExcerpt:
    """One excerpt, as the XML has it; `relations` maps exact, version, time and karaoke to the numbers of others."""

    number: str
    dance: str
    said: dict[str, str]
    relations: dict[str, list[str]]


def songs(path: Path) -> list[ListedExcerpt]:
    """The excerpts of the official XML in its order.

    Raises
    ------
    UsageError
        If the file is missing, is no such XML, names an excerpt twice or relates it to one that is not there.
    """
    root = _parse(path)
    found: dict[str, ListedExcerpt] = {}
    for dance in root:
        for node in dance.iter("song"):
            number = confine.component(node.get("id", ""), path)
            if number in found:
                raise UsageError(f"{path} names the song {number} twice")
            relations: dict[str, list[str]] = defaultdict(list)
            for child in node:
                if child.tag in RELATIONS:
                    relations[child.tag].append(child.get("id", ""))
            said = {key: value.strip() for key, value in node.attrib.items() if value.strip()}
            found[number] = ListedExcerpt(number, confine.component(dance.tag, path), said, dict(relations))
    if not found:
        raise UsageError(f"{path} is not Extended Ballroom's metadata: it names no song")
    return list(found.values())


def recordings(root: Path, options: Options = DEFAULT) -> Iterator[Recording]:
    """The excerpts in the order of the XML, with their tempo, relations and both sets of folds."""
    base = _base(root)
    listed = songs(base / XML)
    dances = [song.dance for song in listed]
    folds = _folds(dances, options.seed)
    finder = trees.Finder()
    for i, song in enumerate(listed):
        yield Recording(
            source_id=song.number,
            path=finder.find(base / song.dance / f"{song.number}.mp3"),
            title=song.said.get("title"),
            artist=song.said.get("artist"),
            album=song.said.get("album"),
            labels=(song.dance,),
            splits=tuple((name, None, dealt[i]) for name, dealt in folds.items()),
            attributes=_attributes(song, base / XML),
        )


def facts(root: Path, options: Options = DEFAULT) -> Iterator[Fact]:
    """Dances and excerpts beside the published figures."""
    listed = songs(_base(root) / XML)
    yield Fact("dances", DANCES, len(Counter(song.dance for song in listed)))
    yield Fact("excerpts", SONGS, len(listed))
    numbers = {song.number for song in listed}
    dangling = sum(other not in numbers for song in listed for others in song.relations.values() for other in others)
    yield Fact("relations to excerpts that are not in the XML", 0, dangling)


def _folds(dances: list[str], seed: int) -> dict[str, list[int]]:
    """Both sets of folds; none where a part of the dataset is too small for them."""
    if max(Counter(dances).values()) < N_FOLDS:
        return {}
    return {
        "stratified-10": stratified(dances, N_FOLDS, seed=seed),
        "stratified-10-unshuffled": stratified(dances, N_FOLDS),
    }


def _attributes(song: ListedExcerpt, path: Path) -> tuple[tuple[str, Any], ...]:
    bpm = song.said.get("bpm")
    tempo = [("bpm", tables.number(bpm, float, f"{path}, song {song.number}: bpm"))] if bpm else []
    md5 = [("md5", song.said["hash"])] if "hash" in song.said else []
    return (*tempo, *md5, *sorted(song.relations.items()))


def _base(root: Path) -> Path:
    for base in (root, root / "extendedballroom_v1.1"):
        if (base / XML).is_file():
            return base
    raise UsageError(f"{root} does not hold Extended Ballroom; its layout is {CARD.layout}")


def _parse(path: Path) -> ElementTree.Element:
    if path.stat().st_size > LARGEST:
        raise UsageError(f"{path} is larger than {LARGEST >> 20} MiB, and is not Extended Ballroom's metadata")
    content = tables.text(path, "Extended Ballroom's metadata")
    # Entities of its own are what makes an XML of some bytes fill the memory; the official file has none.
    if "<!ENTITY" in content or "<!DOCTYPE" in content:
        raise UsageError(f"{path} declares entities, and Extended Ballroom's metadata do not")
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise UsageError(f"{path} is not Extended Ballroom's metadata: {error}") from error
    if root.tag != "ballroom":
        raise UsageError(f"{path} is not Extended Ballroom's metadata: it begins with <{root.tag}>, not <ballroom>")
    return root
