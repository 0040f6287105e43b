"""The contract of a source module.

A module in this folder is a source when it defines

    CARD : SourceCard
        Who publishes the data, under which terms, and its layout on disk.
    recordings(root: Path, options: Options = ...) -> Iterator[Recording]
        Every recording that the dataset names under `root`, present or missing, in a fixed order. It reads metadata and
        file names, never audio, and raises a `UsageError` when `root` does not hold the layout.

and optionally

    Options
        A frozen dataclass of options (`sources.options`); without it `recordings` takes `root` alone.
    vocabulary(root: Path, options: Options = ...) -> Iterator[Term]
        The labels that the dataset can give, with their hierarchy.
    facts(root: Path, options: Options = ...) -> Iterator[Fact]
        Published figures, each beside that of `root`.
    passed_over(root: Path) -> Iterator[Path]
        Files under `root` that `recordings` leaves out by their names, where a user might expect them to be taken.
    folders(root: Path) -> Iterator[Folder]
    recordings_in(root: Path, folder: Folder) -> Iterator[Recording]
        Where recordings follow from the names of their files alone, all folders in the order of `recordings`, and the
        recordings of one: folders that are as they were need not be compared file by file.
    catalogue(root: Path, options: Options = ...) -> Iterator[Recording]
        Every recording that its metadata know, whether or not there is audio, for a dataset that ships none.
    share(root: Path, options: Options = ...) -> Fact
        How much of the whole dataset is there, where that is not the number of recordings.
    FOLLOWS_LINKS : bool
        Whether links out of `root` are accepted; they are rejects otherwise.
    READS : tuple of str
        Names of the files that are opened, as patterns such as ``"*.csv"``; empty where names of files say all. Of a
        dataset on object storage no others are brought; without it all are that hold no sound and are no archives.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, cast

from phonolake import registry
from phonolake.audio.containers import EXTENSIONS, OTHER_AUDIO
from phonolake.errors import UsageError
from phonolake.records import Recording
from phonolake.sources import options as choices

# File extensions of audio, and of archives, which must be unpacked before they are read.
UNREAD = {f".{ending}" for ending in (*EXTENSIONS, *OTHER_AUDIO, "zip", "tar", "tgz", "gz", "bz2", "7z", "rar")}


@dataclass(frozen=True, slots=True)
class Download:
    """One file that its owners publish.

    Parameters
    ----------
    url : str
        Its address.
    bytes : int or None
        Its size, if published.
    checksum : str or None
        ``"sha1:..."``, ``"sha256:..."`` or ``"md5:..."`` in hexadecimal digits, if published.
    about : str
        Its content.
    """

    url: str
    bytes: int | None
    checksum: str | None
    about: str


@dataclass(frozen=True, slots=True)
class Erratum:
    """A known fault of a dataset.

    Parameters
    ----------
    about : str
        The fault.
    source : str
        Who published it, and where.
    tracks : tuple of str
        Affected source ids, if published.
    """

    about: str
    source: str
    tracks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceCard:
    """What users should know about a dataset.

    Parameters
    ----------
    layout : str
        Its layout on disk under ``DIR``.
    tracks, bytes : int or None
        Published number of recordings, and size of the downloads.
    labels : str
        The label vocabulary: what `Recording.labels` and `Recording.tags` hold.
    splits : tuple of (name, parts)
        Names of its splits, and their parts.
    """

    name: str
    summary: str
    homepage: str
    licence: str
    citation: str
    layout: str
    tracks: int | None = None
    bytes: int | None = None
    labels: str = ""
    splits: tuple[tuple[str, str], ...] = ()
    errata: tuple[Erratum, ...] = ()
    downloads: tuple[Download, ...] = ()


@dataclass(frozen=True, slots=True)
class Term:
    """A label that a dataset can give.

    Parameters
    ----------
    label : str
        As in `Recording.labels`.
    source_id : str
        The dataset's own name for it, such as ``/m/04rlf``.
    parents : tuple of str
        Labels right above it.
    rated, true : int or None
        How many of its uses the owners checked, and how many of those were right.
    """

    label: str
    source_id: str
    parents: tuple[str, ...] = ()
    rated: int | None = None
    true: int | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """A published figure, beside the one found."""

    about: str
    published: int
    found: int


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of a tree, and the names of its files.

    Parameters
    ----------
    path : str
    prefix : str
        How the source ids of its recordings begin.
    names, others : list of str
        Files that are recordings, in their order, and those that a user might take for some.
    """

    path: str
    prefix: str
    names: list[str]
    others: list[str]


class Source(Protocol):
    """A source module, as the stages see it."""

    CARD: SourceCard

    # The options where there are any; see `recordings` below.
    def recordings(self, root: Path, *options: Any) -> Iterator[Recording]: ...


def cards() -> list[SourceCard]:
    """Card of every source."""
    return [module.CARD for module in registry.modules("phonolake.sources", "CARD").values()]


def get(name: str) -> Source:
    """The source called `name`, also with hyphens; an unknown name raises a `UsageError` that lists the known ones."""
    return cast(Source, registry.module("phonolake.sources", "CARD", "dataset", name.replace("-", "_")))


def recordings(source: Source, root: Path, chosen: Sequence[str] = ()) -> Iterator[Recording]:
    """Recordings of a source with options as text (``"per-class=600"``); raises a `UsageError` for one it has not."""
    return source.recordings(root, *_parsed(source, chosen))


def vocabulary(source: Source, root: Path, chosen: Sequence[str] = ()) -> list[Term]:
    """Labels that a source can give; empty if unknown."""
    listing = getattr(source, "vocabulary", None)
    return list(listing(root, *_parsed(source, chosen))) if listing else []


def facts(source: Source, root: Path, chosen: Sequence[str] = ()) -> list[Fact]:
    """Published figures beside those found; empty where a source has none."""
    listing = getattr(source, "facts", None)
    return list(listing(root, *_parsed(source, chosen))) if listing else []


def catalogue(source: Source, root: Path, chosen: Sequence[str] = ()) -> Iterator[Recording]:
    """Every recording that the metadata of a source know; raises a `UsageError` for one that has no such list."""
    listing = getattr(source, "catalogue", None)
    if listing is None:
        name = source.CARD.name
        raise UsageError(f"{name} comes with its audio: leave --metadata-only out, which is for datasets without audio")
    return cast(Iterator[Recording], listing(root, *_parsed(source, chosen)))


def share(source: Source, root: Path, chosen: Sequence[str], n_present: int) -> Fact | None:
    """How much of a dataset is present: its own count, else the recordings; None if no size is published."""
    counting = getattr(source, "share", None)
    if counting is not None:
        return cast(Fact, counting(root, *_parsed(source, chosen)))
    return Fact("recordings", source.CARD.tracks, n_present) if source.CARD.tracks else None


def chooses(source: Source, option: str) -> bool:
    """Whether a source has an option of this name."""
    return option in [choice.name for choice in choices.listing(getattr(source, "Options", None))]


def passed_over(source: Source, root: Path) -> list[Path]:
    """Files that a source skips by their names; empty if unknown."""
    listing = getattr(source, "passed_over", None)
    return list(listing(root)) if listing else []


def folders(source: Source, root: Path) -> Iterator[Folder] | None:
    """The folders of a tree, if file names determine the recordings; None for other sources."""
    listing = getattr(source, "folders", None)
    return cast(Iterator[Folder], listing(root)) if listing else None


def recordings_in(source: Source, root: Path, folder: Folder) -> Iterator[Recording]:
    """Recordings of one of the `folders` of a source."""
    return cast(Iterator[Recording], cast(Any, source).recordings_in(root, folder))


def follows_links(source: Source) -> bool:
    """Whether links out of the tree are accepted."""
    return bool(getattr(source, "FOLLOWS_LINKS", False))


def opens(source: Source, name: str) -> bool:
    """Whether a source may open a file of this name."""
    read = getattr(source, "READS", None)
    if read is None:
        return PurePosixPath(name.lower()).suffix not in UNREAD
    return any(fnmatchcase(name, pattern) for pattern in read)


def _parsed(source: Source, chosen: Sequence[str]) -> tuple[Any, ...]:
    kind = getattr(source, "Options", None)
    parsed = choices.parse(source.CARD.name, kind, chosen)
    return () if parsed is None else (parsed,)
