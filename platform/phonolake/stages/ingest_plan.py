"""Which files an ingest has to read, and into which shards they go."""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from phonolake.lineage import digest
from phonolake.records import Recording
from phonolake.store import catalog
from phonolake.store.lake import MARKER, Lake

# A corpus below 16 full shards is cut finer, so that its shards can be worked on side by side; but not into crumbs.
PARALLEL_SHARDS = 16
CRUMB_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class File:
    """A recording and what the file system says of it; `size` (bytes) and `mtime` (ns) are None where it is missing."""

    recording: Recording
    size: int | None
    mtime: int | None


@dataclass(slots=True)
class Plan:
    """Shards to write by name, tracks whose rows they replace, and how many files need nothing."""

    shards: dict[str, tuple[File, ...]] = field(default_factory=dict)
    replaced: set[str] = field(default_factory=set)
    known: int = 0


def look(recording: Recording) -> File:
    """Ask the file system about a recording; anything but a regular file counts as missing."""
    try:
        facts = os.stat(recording.path)
    except OSError:
        return File(recording, None, None)
    if not stat.S_ISREG(facts.st_mode):
        return File(recording, None, None)
    return File(recording, facts.st_size, facts.st_mtime_ns)


def make(files: Iterable[File], lake: str, dataset: str, fingerprint: str, shard_bytes: int) -> Plan:
    """Leave out what the lake has unchanged, and group the rest in a way that depends on nothing but the files."""
    known = _known(lake, dataset)
    plan = Plan()
    work = []
    for file in files:
        track_id = f"{dataset}:{file.recording.source_id}"
        before = known.get(track_id)
        if before is None:
            work.append(file)
        elif _unchanged(file, before, fingerprint):
            plan.known += 1
        else:
            work.append(file)
            plan.replaced.add(track_id)
    slug = re.sub(r"[^A-Za-z0-9_]+", "-", dataset).strip("-")[:40] or "dataset"
    for index, group in enumerate(_groups(work, shard_bytes)):
        identity = [(f.recording.source_id, f.size, f.mtime) for f in group]
        plan.shards[f"{slug}-{index:05d}-{digest([dataset, fingerprint, identity])}"] = tuple(group)
    return plan


def readable(path: Path) -> str:
    """A path as valid Unicode, whatever bytes its name holds."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _known(lake: str, dataset: str) -> dict[str, tuple[int | None, int | None, str | None]]:
    """Size, mtime and, for rejects, the configuration of every file that the lake has an answer for."""
    if not (Path(lake).expanduser() / MARKER).is_file():
        return {}
    with catalog.connect(Lake.open(lake)) as connection:
        rows = connection.execute(
            "SELECT track_id, source_bytes, source_mtime, NULL FROM audio JOIN tracks USING (track_id) "
            "WHERE dataset = $1 "
            "UNION ALL SELECT track_id, source_bytes, source_mtime, config_hash FROM rejects "
            "WHERE dataset = $1 AND stage = 'ingest'",
            [dataset],
        ).fetchall()
    return {track_id: (size, mtime, rejected_by) for track_id, size, mtime, rejected_by in rows}


def _unchanged(file: File, before: tuple[int | None, int | None, str | None], fingerprint: str) -> bool:
    """A file that vanished after it was taken in is not lost; under new thresholds a reject is looked at again."""
    size, mtime, rejected_by = before
    if rejected_by is None and file.size is None:
        return True
    return (file.size, file.mtime) == (size, mtime) and rejected_by in (None, fingerprint)


def _groups(files: list[File], shard_bytes: int) -> Iterator[list[File]]:
    total = sum(f.size or 0 for f in files)
    limit = min(shard_bytes, max(CRUMB_BYTES, total // PARALLEL_SHARDS))
    group: list[File] = []
    filled = 0
    for file in files:
        if group and filled + (file.size or 0) > limit:
            yield group
            group, filled = [], 0
        group.append(file)
        filled += file.size or 0
    if group:
        yield group
