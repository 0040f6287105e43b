"""Which files an ingest has to read, and into which shards they go."""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from phonolake.audio.encoded import OnDisk, sha256
from phonolake.errors import AudioError, UsageError
from phonolake.lineage import digest
from phonolake.records import Recording
from phonolake.store import catalog
from phonolake.store.lake import Lake

# A corpus below 16 full shards is cut finer, so that its shards can be worked on side by side; but not into crumbs.
PARALLEL_SHARDS = 16
CRUMB_BYTES = 4 << 20
# What stands for the configuration of a reject that the same file may escape next time.
TRY_AGAIN = ""
# What stands for it of a track of which the lake has no audio yet.
WITHOUT_AUDIO = "without audio"


@dataclass(frozen=True, slots=True)
class File:
    """A recording and what the file system says of it.

    Parameters
    ----------
    size, mtime : int or None
        In bytes and in nanoseconds since 1970; None where the file is missing.
    said : str
        Hash of what the dataset says of the recording.
    outside : Path or None
        Where a link leads that leaves the tree and is not followed.
    """

    recording: Recording
    size: int | None
    mtime: int | None
    said: str
    outside: Path | None = None


@dataclass(frozen=True, slots=True)
class KnownFile:
    """What the lake has of a file: its size and mtime, the configuration that rejected it, and what the dataset said.

    `said` is None for a reject, and for a track from before such hashes were kept.
    """

    size: int | None
    mtime: int | None
    rejected_by: str | None
    said: str | None
    path: str | None
    sha256: str | None


@dataclass(slots=True)
class IngestPlan:
    """Shards to write by name, tracks whose rows they replace, and how many files need nothing or were forgotten.

    `passed_over` are files under the root that are no recordings by their names, `gone` the tracks and rejects whose
    files are no longer there.
    """

    shards: dict[str, tuple[File, ...]] = field(default_factory=dict)
    replaced: set[str] = field(default_factory=set)
    known: int = 0
    forgotten: int = 0
    passed_over: list[Path] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)

    @property
    def said(self) -> str:
        """What is left alone, for a person to read."""
        return f"{self.known} known" + (f" and {self.forgotten} forgotten" if self.forgotten else "")

    @property
    def lost(self) -> str:
        """What is no longer there, behind what is left alone."""
        return f"; {len(self.gone)} known files are no longer there (--prune takes them down)" if self.gone else ""


class Looker:
    """Asks the file system about recordings.

    Parameters
    ----------
    within : Path or None
        Tree that links may not lead out of, as its owner may not know what an archive put there; None follows all.
    """

    def __init__(self, within: Path | None) -> None:
        self.within = within
        self._folders: dict[str, bool] = {}

    def look(self, recording: Recording) -> File:
        """Ask about one recording; anything but a regular file counts as missing."""
        said = digest(list(_said(recording)))
        path = os.fspath(recording.path)
        try:
            facts = os.lstat(path)
            linked = stat.S_ISLNK(facts.st_mode)
            facts = os.stat(path) if linked else facts
        except (OSError, ValueError):
            return File(recording, None, None, said)
        if not stat.S_ISREG(facts.st_mode):
            return File(recording, None, None, said)
        if self._leaves(path, linked):
            return File(recording, None, None, said, recording.path.resolve())
        return File(recording, facts.st_size, facts.st_mtime_ns, said)

    def _leaves(self, path: str, linked: bool) -> bool:
        """Whether a file really lies outside the tree; folders are resolved once."""
        if self.within is None:
            return False
        if linked:
            return not Path(path).resolve().is_relative_to(self.within)
        folder = os.path.dirname(path)
        if folder not in self._folders:
            self._folders[folder] = not Path(folder).resolve().is_relative_to(self.within)
        return self._folders[folder]


def _said(recording: Recording) -> Iterator[Any]:
    """All of a recording but its path: what decides about its rows, wherever the tree lies."""
    # Lakes from before there were faults have hashes without one.
    passed_over = {"path"} if recording.fault else {"path", "fault"}
    return (getattr(recording, field.name) for field in fields(recording) if field.name not in passed_over)


def make(
    files: Iterable[File],
    lake: Lake | None,
    dataset: str,
    fingerprint: str,
    shard_bytes: int,
    *,
    within: Path | None = None,
) -> IngestPlan:
    """Leave out what the lake has unchanged, and group the rest in a way that depends on nothing but the files.

    Parameters
    ----------
    within : Path, optional
        Folder of the files: a dataset of the lake is refused that has files elsewhere, and none of these.

    Raises
    ------
    UsageError
        When two files have the same id, or the dataset is another one.
    """
    known, gone = _known(lake, dataset)
    version = lake.versions().get("rejects", 0) if lake else 0
    plan = IngestPlan()
    work = []
    seen: dict[str, File] = {}
    tries: dict[str, int] = {}
    for file in files:
        track_id = f"{dataset}:{file.recording.source_id}"
        if track_id in seen:
            paths = " and ".join(readable(f.recording.path) for f in (seen[track_id], file))
            raise UsageError(f"{track_id} stands for two files, {paths}: remove one of them")
        seen[track_id] = file
        if track_id in gone:
            plan.forgotten += 1
            continue
        before = known.get(track_id)
        if before is None:
            work.append(file)
        elif _unchanged(file, before, fingerprint):
            plan.known += 1
        else:
            work.append(file)
            plan.replaced.add(track_id)
            if before.rejected_by == TRY_AGAIN:
                tries[file.recording.source_id] = version
    if within is not None:
        _check_same(seen, {i: before for i, before in known.items() if before.path}, dataset, within)
    plan.gone = [track_id for track_id, before in known.items() if _is_gone(before, seen.get(track_id))]
    slug = re.sub(r"[^A-Za-z0-9_]+", "-", dataset).strip("-")[:40] or "dataset"
    for index, group in enumerate(_groups(work, shard_bytes)):
        # A file that is tried again looks as before; the version of the rejects tells the tries apart.
        identity: list[Any] = [(f.recording.source_id, f.size, f.mtime, f.said) for f in group]
        identity += [tries[f.recording.source_id] for f in group if f.recording.source_id in tries]
        plan.shards[f"{slug}-{index:05d}-{digest([dataset, fingerprint, identity])}"] = tuple(group)
    return plan


def readable(path: Path | str) -> str:
    """A path as valid Unicode, whatever bytes its name holds."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _known(lake: Lake | None, dataset: str) -> tuple[dict[str, KnownFile], set[str]]:
    """What the lake has an answer for, by track id, and the ids of tracks that were taken down, which stay out."""
    if lake is None:
        return {}, set()
    with catalog.connect(lake) as connection:
        rows = connection.execute(
            "SELECT track_id, source_bytes, source_mtime, NULL, metadata_hash, source_path, sha256 "
            "FROM audio JOIN tracks USING (track_id) LEFT JOIN metadata USING (track_id) "
            "WHERE dataset = $1 AND coalesce(piece, 0) = 0 "
            "UNION ALL SELECT track_id, source_bytes, source_mtime, "
            "CASE WHEN retryable AND source_bytes IS NOT NULL THEN $2 ELSE config_hash END, NULL, source_path, NULL "
            "FROM rejects WHERE dataset = $1 AND stage = 'ingest' "
            # What is known of without its audio gives way to it.
            "UNION ALL SELECT track_id, NULL, NULL, $3, NULL, NULL, NULL FROM tracks "
            "WHERE dataset = $1 AND duration_seconds = 0",
            [dataset, TRY_AGAIN, WITHOUT_AUDIO],
        ).fetchall()
        gone = {track_id for (track_id,) in connection.execute("SELECT track_id FROM forgotten").fetchall()}
    return {track_id: KnownFile(*facts) for track_id, *facts in rows}, gone


def _unchanged(file: File, before: KnownFile, fingerprint: str) -> bool:
    """A file that vanished after it was taken in is not lost; under new thresholds a reject is looked at again."""
    if before.rejected_by is None and file.size is None:
        return True
    same = (file.size, file.mtime) == (before.size, before.mtime) or _is_copy(file, before)
    return same and before.rejected_by in (None, fingerprint) and before.said in (None, file.said)


def _is_copy(file: File, before: KnownFile) -> bool:
    """Whether a file that looks new has the very bytes of the one that was taken in: a tree may have been copied."""
    if file.size is None or file.size != before.size or before.sha256 is None:
        return False
    try:
        with OnDisk(file.recording.path) as data:
            return sha256(data) == before.sha256
    except AudioError:
        return False


def _is_gone(before: KnownFile, file: File | None) -> bool:
    """Whether a file that was there when it was taken in, or rejected, is no longer where it was, nor anywhere else."""
    if before.size is None or before.path is None or (file is not None and file.size is not None):
        return False
    return not os.path.exists(before.path)


def _check_same(seen: dict[str, File], known: dict[str, KnownFile], dataset: str, root: Path) -> None:
    """Raise a `UsageError` when the lake has another dataset of this name: from elsewhere, with other files."""
    if not known:
        return
    paths = {readable(file.recording.path) for file in seen.values()}
    inside = readable(root) + os.sep
    if any(k.path in paths or k.path.startswith(inside) for k in known.values() if k.path):
        return
    alike = sum(before.size == file.size for i, file in seen.items() if (before := known.get(i)) is not None)
    if 2 * alike <= min(len(seen), len(known)):
        example = next((k.path for k in known.values() if k.path), "")
        raise UsageError(
            f"the lake has another dataset {dataset!r}, of {len(known)} files such as {example}: "
            "choose another name (--name), or add these files to it (--join)"
        )


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
