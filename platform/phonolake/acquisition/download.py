"""Download and unpack the files that a dataset's owners publish."""

import json
from dataclasses import dataclass
from pathlib import Path

from phonolake import progress
from phonolake.errors import UsageError
from phonolake.files import here, make_folder, replacing
from phonolake.sources import contract
from phonolake.sources.contract import Download
from phonolake.transfer import archives
from phonolake.transfer.http import Patience, fetch

# The downloader's notes are in a hidden folder, where no source looks for audio.
PRIVATE = ".phonolake"
PATIENCE, LIMITS = Patience(), archives.Limits()


@dataclass(frozen=True, slots=True)
class Config:
    """What to download.

    Parameters
    ----------
    source : str
        Name of a dataset.
    root : str
        Folder that will hold its layout.
    files : tuple of str
        Only files whose name contains one of these; all that the card lists, by default.
    mirror : str, optional
        Download the files, by their names, from below this address instead of the owners'.
    unpack : bool
        Whether archives are unpacked into `root` afterwards.
    """

    source: str
    root: str
    files: tuple[str, ...] = ()
    mirror: str | None = None
    unpack: bool = True
    patience: Patience = PATIENCE
    limits: archives.Limits = LIMITS


@dataclass(frozen=True, slots=True)
class Fetched:
    """One file: its size in bytes, what was done, and the number of unpacked files."""

    file: str
    bytes: int
    what: str
    unpacked: int | None


def plan(config: Config) -> list[Download]:
    """The files that would be downloaded.

    Raises
    ------
    UsageError
        For an unknown dataset, one whose card lists no files, or names that match none.
    """
    card = contract.get(config.source).CARD
    if not card.downloads:
        where = f": see {card.homepage}" if card.homepage else ""
        raise UsageError(f"the card of {card.name} lists no files to download{where}")
    chosen = [d for d in card.downloads if not config.files or any(word in _name(d) for word in config.files)]
    if not chosen:
        names = ", ".join(map(_name, card.downloads))
        raise UsageError(f"no file of {card.name} is called {config.files[0]!r}; it has {names}")
    return chosen


def run(config: Config) -> list[Fetched]:
    """Download missing files and unpack archives that are not unpacked yet; one row for each file.

    Raises
    ------
    UsageError
        If the root is a file, or lies below one.
    PhonolakeError
        When a server refuses, or sends something else than expected, or an archive is not safe. Earlier files are kept,
        and the same command continues there.
    """
    chosen = plan(config)
    root = here(config.root)
    make_folder(root)
    total = sum(d.bytes or 0 for d in chosen)
    done = []
    with progress.task(f"download {config.source}", total, in_bytes=True) as advance:
        for download in chosen:
            target = root / _name(download)
            new = fetch(
                _url(download, config.mirror),
                target,
                size=download.bytes,
                checksum=download.checksum,
                patience=config.patience,
                on_bytes=advance,
            )
            unpacked = _unpack(target, root, config) if config.unpack else None
            done.append(Fetched(target.name, target.stat().st_size, "fetched" if new else "was there", unpacked))
    return done


def _name(download: Download) -> str:
    return download.url.partition("?")[0].rstrip("/").rpartition("/")[2]


def _url(download: Download, mirror: str | None) -> str:
    return download.url if mirror is None else f"{mirror.rstrip('/')}/{_name(download)}"


def _unpack(file: Path, root: Path, config: Config) -> int | None:
    """Unpack an archive once, with the last of its pieces; the number of its files, or None where nothing was done."""
    whole = archives.whole_of(file.name)
    archive = file.with_name(whole or file.name)
    pieces: list[Path] = []
    if whole:
        names = map(_name, contract.get(config.source).CARD.downloads)
        pieces = sorted(root / name for name in names if archives.whole_of(name) == whole)
        if not all(path.is_file() for path in pieces):
            return None
    elif not archives.is_archive(file.name):
        return None
    stamp = [[path.stat().st_size, path.stat().st_mtime_ns] for path in pieces or [archive]]
    marker = root / PRIVATE / "unpacked" / f"{archive.name}.json"
    if marker.is_file() and json.loads(marker.read_text(encoding="utf-8")) == stamp:
        return None
    files = archives.unpack(archive, root, limits=config.limits, pieces=pieces)
    with replacing(marker) as temporary:
        temporary.write_text(json.dumps(stamp), encoding="utf-8")
    return len(files)
