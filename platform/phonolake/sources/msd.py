"""The Million Song Dataset (Bertin-Mahieux et al. 2011): metadata and features of a million songs, and tags for them.

It contains **no audio**. You can ingest recordings that you own, in a folder of yours, named by the dataset's track id
or by 7digital's number; the dataset gives their metadata.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from phonolake.audio.containers import EXTENSIONS
from phonolake.errors import UsageError
from phonolake.files import here
from phonolake.records import Recording
from phonolake.sources import msd_tags, trees
from phonolake.sources.contract import Download, Erratum, Fact, SourceCard
from phonolake.sources.msd_files import SongFile, songs
from phonolake.sources.msd_tags import TAGS_50, TRACK_ID, SplitPart
from phonolake.sources.options import option

SITE = "http://millionsongdataset.com"
SPLIT = "https://github.com/keunwoochoi/MSD_split_for_tagging"
CARD = SourceCard(
    name="msd",
    summary="Metadata of a million songs with Last.fm's tags; it ships no audio: yours is read",
    homepage=SITE,
    licence="metadata for research (see LICENSE.MSongsDB); no audio is distributed, yours is under its own terms",
    citation="T. Bertin-Mahieux, D. P. W. Ellis, B. Whitman, P. Lamere, The Million Song Dataset, ISMIR 2011",
    layout="DIR/audio/ with audio that you own, named TRAAABD128F429CF47.mp3 or by 7digital's number "
    "(6010476.clip.mp3), in any tree; the dataset's HDF5 files anywhere below DIR "
    "(data/A/A/A/TRAAABD128F429CF47.h5, or a summary file); lastfm_tags.db or lastfm_train/ and lastfm_test/; the "
    "50-tag split's train_x_msd_id.txt, train_x_7d_id.txt, train_y.npy and so on in DIR or DIR/splits",
    tracks=1_000_000,
    bytes=280 << 30,
    labels="the 50 tags of the split, by its matrices, else Last.fm's tags above the weight; all of these as tags",
    splits=(("tagging-50", "201,680/12,634/28,540 tracks with one of 50 tags of a weight above 50 (Choi et al.)"),),
    errata=(
        Erratum("12 of the clips of the 50-tag split could not be read by its author (8, 1 and 3 of the parts)", SPLIT),
        Erratum("lists of clips of a wrong length and of clips that cannot be decoded lie beside the split", SPLIT),
        Erratum("the year of about half of the songs is unknown, which is written as 0", SITE),
        Erratum(
            "some songs are matched to the wrong track; a list is published",
            f"{SITE}/blog/12-2-12-fixing-matching-errors",
        ),
    ),
    downloads=(
        Download(
            f"{SITE}/sites/default/files/AdditionalFiles/msd_summary_file.h5", None, None, "all songs, metadata only"
        ),
        Download(f"{SITE}/sites/default/files/lastfm/lastfm_train.zip", None, None, "Last.fm's tags as JSON"),
        Download(f"{SITE}/sites/default/files/lastfm/lastfm_test.zip", None, None, "Last.fm's tags as JSON"),
        Download(f"{SITE}/sites/default/files/lastfm/lastfm_tags.db", None, None, "Last.fm's tags as SQLite"),
    ),
)
PUBLISHED_SONGS = 1_000_000
TRACKS_AT_ONCE = 4096
PUBLISHED = {"train": 201_680, "valid": 12_634, "test": 28_540}


@dataclass(frozen=True, slots=True)
class Options:
    """Options: the folder of your audio, and which tags count."""

    audio: str | None = option(None, "folder of your audio instead of DIR/audio")
    splits: str | None = option(None, "folder of the 50-tag split instead of DIR or DIR/splits")
    weight: float = option(50.0, "Last.fm's tags count above this weight (0 to 100)")


DEFAULT = Options()


def recordings(root: Path, options: Options = DEFAULT) -> Iterator[Recording]:
    """Your audio files of tracks that the dataset knows, in order of their track ids.

    A track of the dataset without audio is not a reject.
    """
    audio = _audio(root, options)
    parts = msd_tags.read_split(_split_folder(root, options))
    metadata = _hdf5(root)
    if not metadata and not parts:
        raise UsageError(f"{root} does not hold the Million Song Dataset; its layout is {CARD.layout}")
    by_number = {number: track for part in parts for number, track in zip(part.numbers, part.tracks, strict=False)}
    known, faults = _songs(metadata, {_name(path) for path in trees.files(audio, EXTENSIONS)}, by_number)
    by_number |= {str(song.number_7digital): track for track, song in known.items() if song.number_7digital > 0}
    owned = _owned(audio, by_number)
    places = {track: (part, row) for part in parts for row, track in enumerate(part.tracks)}
    tags = msd_tags.lastfm(root, sorted(owned), options.weight)
    yield from faults.values()
    for track, path in sorted(owned.items()):
        if track in faults:
            continue
        if track not in known and track not in places:
            raise UsageError(f"{path} is named by a track that no file of the dataset in {root} knows: {track}")
        yield _recording(track, path, known.get(track), places.get(track), tags.get(track, ()))


def catalogue(root: Path, options: Options = DEFAULT) -> Iterator[Recording]:
    """Every track that the files of the dataset know, with or without audio: songs of files of their own come first.

    An unreadable file of one song gives a recording with a fault.
    """
    parts = msd_tags.read_split(_split_folder(root, options))
    metadata = _hdf5(root)
    if not metadata and not parts:
        raise UsageError(f"{root} does not hold the Million Song Dataset; its layout is {CARD.layout}")
    places = {track: (part, row) for part in parts for row, track in enumerate(part.tracks)}
    every = _every(metadata, places)
    while batch := list(islice(every, TRACKS_AT_ONCE)):
        tags = msd_tags.lastfm(root, [track for track, _ in batch], options.weight)
        for track, said in batch:
            if isinstance(said, Recording):
                yield said
            else:
                path = root / "audio" / f"{track}.mp3"
                yield _recording(track, path, said, places.get(track), tags.get(track, ()))


def share(root: Path, options: Options = DEFAULT) -> Fact:
    """How many of the million songs have their metadata here, by the names of their files, or in a summary file."""
    paths = _hdf5(root)
    found = {path.stem for path in paths if TRACK_ID.fullmatch(path.stem)}
    found.update(song.track_id for path in paths if path.stem not in found for song in songs(path))
    return Fact("songs with metadata", PUBLISHED_SONGS, len(found))


def _every(metadata: Sequence[Path], places: Iterable[str]) -> Iterator[tuple[str, SongFile | Recording | None]]:
    """Every track once, with its song, or a recording with a fault; those that only the split names come last."""
    seen: set[str] = set()
    for path in sorted(metadata, key=lambda path: (not TRACK_ID.fullmatch(path.stem), path)):
        single = TRACK_ID.fullmatch(path.stem) is not None
        found = [_single(path)] if single else songs(path)
        for said in found:
            track = path.stem if isinstance(said, Recording) else said.track_id
            if track not in seen:
                seen.add(track)
                yield track, said
    for track in places:
        if track not in seen:
            yield track, None


def _single(path: Path) -> SongFile | Recording:
    """The song of a file of its own; a recording with a fault where it cannot be read, or is another one's."""
    try:
        (song,) = songs(path)
        if song.track_id != path.stem:
            raise UsageError(f"{path} holds the track {song.track_id}: its name and its content differ")
    except (UsageError, ValueError) as error:
        return Recording(source_id=path.stem, path=path, fault=str(error))
    return song


def _recording(
    track: str, path: Path, song: SongFile | None, place: tuple[SplitPart, int] | None, tags: tuple[str, ...]
) -> Recording:
    return Recording(
        source_id=track,
        path=path,
        title=song.title or None if song else None,
        artist=song.artist or None if song else None,
        album=song.album or None if song else None,
        year=song.year if song else None,
        labels=_labels(place, tags),
        tags=tags,
        splits=(("tagging-50", place[0].name, None),) if place else (),
        artist_id=song.artist_id or None if song else None,
        attributes=_attributes(song),
    )


def facts(root: Path, options: Options = DEFAULT) -> Iterator[Fact]:
    """Tracks of the 50-tag split beside the published figures, and songs that the HDF5 files and the audio share."""
    parts = msd_tags.read_split(_split_folder(root, options))
    for part in parts:
        yield Fact(f"{part.name} tracks of the 50-tag split", PUBLISHED[part.name], len(part.tracks))
        if part.matrix is not None:
            yield Fact(f"{part.name} tracks of the split without a tag", 0, int((~part.matrix.any(axis=1)).sum()))


def _songs(
    paths: Sequence[Path], names: set[str], by_number: Mapping[str, str]
) -> tuple[dict[str, SongFile], dict[str, Recording]]:
    """Songs that audio is named by, out of HDF5 files, and files that cannot be read; those of a file of its own win.

    A whole dataset has a million of them: files of songs that nobody asks for are not opened, unless it takes them all
    to find what a number stands for.
    """
    wanted = {by_number.get(name, name) for name in names} | names
    unknown = {name for name in names if not TRACK_ID.fullmatch(name)} - by_number.keys()
    found: dict[str, SongFile] = {}
    faults: dict[str, Recording] = {}
    for path in paths:
        single = TRACK_ID.fullmatch(path.stem) is not None
        if single and path.stem not in wanted and not unknown:
            continue
        for song in [_single(path)] if single else songs(path, wanted):
            if isinstance(song, Recording):
                faults[path.stem] = song
                continue
            found[song.track_id] = song
            unknown.discard(str(song.number_7digital))
    return found, faults


def _hdf5(root: Path) -> list[Path]:
    """HDF5 files below a folder, those of one song last."""
    files = trees.files(root, {"h5"})
    return sorted(files, key=lambda path: (bool(TRACK_ID.fullmatch(path.stem)), path))


def _name(audio: Path) -> str:
    """What an audio file is named by: a track id, or a number."""
    return audio.name.partition(".")[0]


def _audio(root: Path, options: Options) -> Path:
    folder = here(options.audio) if options.audio else root / "audio"
    if not folder.is_dir():
        raise UsageError(
            f"{root} does not hold audio for the Million Song Dataset, which ships none: put recordings that you own "
            f"into {folder}, or name their folder with --option audio=FOLDER; the layout is {CARD.layout}"
        )
    return folder


def _split_folder(root: Path, options: Options) -> Path:
    if options.splits:
        return here(options.splits)
    return root / "splits" if (root / "splits").is_dir() else root


def _owned(audio: Path, by_number: dict[str, str]) -> dict[str, Path]:
    """Audio files by the track that their names give, as a track id or as 7digital's number."""
    found: dict[str, Path] = {}
    for path in trees.files(audio, EXTENSIONS):
        name = _name(path)
        track = name if TRACK_ID.fullmatch(name) else by_number.get(name)
        if track is None:
            raise UsageError(f"{path} is named neither by a track id nor by a number of 7digital that the lists know")
        if track in found:
            raise UsageError(f"{found[track]} and {path} both stand for {track}: remove one of them")
        found[track] = path
    return found


def _labels(place: tuple[SplitPart, int] | None, tags: tuple[str, ...]) -> tuple[str, ...]:
    """Labels by the matrix where there is one, else those of the fifty tags that Last.fm gives."""
    if place is not None and place[0].matrix is not None:
        return place[0].labels(place[1])
    return tuple(tag for tag in TAGS_50 if tag in tags)


def _attributes(song: SongFile | None) -> tuple[tuple[str, object], ...]:
    if song is None:
        return ()
    numbers = (("song_id", song.song_id), ("track_7digitalid", song.number_7digital), ("song_seconds", song.duration))
    return (*numbers, *sorted(song.facts.items()))
