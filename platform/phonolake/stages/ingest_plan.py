"""Which files an ingest must read, and their shards."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from phonolake.lineage import digest
from phonolake.sources.contract import Term
from phonolake.stages import ingest_known
from phonolake.stages.ingest_files import File, slug
from phonolake.stages.ingest_scan import Scan
from phonolake.store.lake import Lake

# A corpus with few full shards is cut finer, so that many cores share it and none is at work when the others have long
# been done. Small ones are cut for fewer cores, and none into crumbs.
PARALLEL_SHARDS, FEW_SHARDS = 256, 16
SMALL_BYTES, CRUMB_BYTES = 16 << 20, 4 << 20


@dataclass(slots=True)
class IngestPlan:
    """Shards to write by name, tracks whose rows they replace, and how many files need nothing or were forgotten.

    `passed_over` are files under the root that are no recordings by their names, `gone` the tracks and rejects whose
    files are no longer there, `terms` the labels that the dataset can give. `scan` is what was found of files that need
    not be compared one by one, where there is.
    """

    shards: dict[str, tuple[File, ...]] = field(default_factory=dict)
    replaced: set[str] = field(default_factory=set)
    known: int = 0
    forgotten: int = 0
    passed_over: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    terms: list[Term] = field(default_factory=list)
    scan: Scan | None = None

    @property
    def said(self) -> str:
        """A readable count of skipped files."""
        return f"{self.known} known" + (f" and {self.forgotten} forgotten" if self.forgotten else "")

    @property
    def lost(self) -> str:
        """The note about files that no longer exist."""
        return f"; {len(self.gone)} known files no longer exist (--prune removes their tracks)" if self.gone else ""


def make(
    files: Iterable[File],
    lake: Lake | None,
    dataset: str,
    fingerprint: str,
    shard_bytes: int,
    *,
    within: str | None = None,
    exists: Callable[[str], bool] = os.path.exists,
    scan: Scan | None = None,
) -> IngestPlan:
    """Leave out unchanged files, and group the rest in a way that depends only on the files.

    Parameters
    ----------
    files : iterable of File
        Gone through once, and again where something is wrong with them; only those that need work are kept.
    within : str, optional
        Path or address of their folder: a dataset of the lake is refused that has files elsewhere, and none of these.
    exists : callable
        Whether something is at a path or an address.
    scan : Scan, optional
        Where `files` are those of the runs that have changed, what is known of the others.

    Raises
    ------
    UsageError
        When two files have the same id, the dataset is another one, or it has the files under other ids.
    """
    version = lake.versions().get("rejects", 0) if lake else 0
    plan, work = IngestPlan(scan=scan), []
    runs = scan.changed if scan is not None and scan.is_partial else None
    tries: dict[str, int] = {}
    with ingest_known.known_files(lake, dataset, fingerprint, runs) as known:
        if within is not None and runs is None:
            known.check_same(files, within)
        for file, before in known.changed(files):
            work.append(file)
            if before is not None:
                plan.replaced.add(f"{dataset}:{file.recording.source_id}")
                if before.rejected_by == ingest_known.TRY_AGAIN:
                    tries[file.recording.source_id] = version
        if within is not None:
            known.check_ids(work)
        plan.known, plan.forgotten, plan.gone = known.n_unchanged, known.n_forgotten, known.gone(exists)
    if scan is not None:
        plan.known, plan.forgotten = plan.known + scan.known, plan.forgotten + scan.forgotten
    for index, group in enumerate(_groups(work, shard_bytes)):
        # A file that is tried again looks as before; the version of the rejects tells the tries apart.
        identity: list[Any] = [(f.recording.source_id, f.size, f.mtime, f.said) for f in group]
        identity += [tries[f.recording.source_id] for f in group if f.recording.source_id in tries]
        plan.shards[f"{slug(dataset)}-{index:05d}-{digest([dataset, fingerprint, identity])}"] = tuple(group)
    return plan


def _groups(files: list[File], shard_bytes: int) -> Iterator[list[File]]:
    total = sum(f.size or 0 for f in files)
    for_few = min(total // FEW_SHARDS, SMALL_BYTES)
    limit = min(shard_bytes, max(CRUMB_BYTES, for_few, total // PARALLEL_SHARDS))
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
