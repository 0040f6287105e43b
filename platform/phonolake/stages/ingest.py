"""Ingest: recordings of a source become rows of `tracks`, `audio`, `labels` and `splits`, or of `rejects`.

Inputs = tracks + rejects, always. Known files are skipped; the rows of a changed file replace the old ones.
"""

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pyarrow.parquet as pq

from phonolake import execution, progress
from phonolake.errors import UsageError
from phonolake.files import locked
from phonolake.inference.products import product, rejects
from phonolake.lineage import digest
from phonolake.records import Recording
from phonolake.sources import contract
from phonolake.stages import absent, derive, extraction, imported, prune, source_root
from phonolake.stages import ingest_passed_over as passing
from phonolake.stages import ingest_plan as planning
from phonolake.stages import ingest_vocabulary as vocabulary
from phonolake.stages.extraction import RecipeNames
from phonolake.stages.ingest_config import Config
from phonolake.stages.ingest_files import File, readable
from phonolake.stages.ingest_rows import rows_of
from phonolake.stages.ingest_scan import RESTS_ON, Scan
from phonolake.stages.source_root import Root
from phonolake.stages.suspects import watched
from phonolake.store import compaction, jobs, mirror, schema
from phonolake.store.attempts import attempts
from phonolake.store.lake import Change, Lake, Reads
from phonolake.store.naming import TOMBSTONES
from phonolake.store.objects import TakenError
from phonolake.store.outcomes import Outcome, finish, merge, now, versions
from phonolake.store.place import Place
from phonolake.store.shards import SUFFIX, write_rows, writing

__all__ = ["Config", "Task", "ingest_shard", "make_plan", "run"]

# In the order they are written: when `tracks` exists, the shard is complete.
TABLES = ("rejects", "official_splits", "labels", "splits", "metadata", "audio", "tracks")

# Lock while the shards of some files get their names.
PLACING = ".placing"

SECONDS_PER_FILE, SECONDS_PER_BYTE = 0.02, 2e-7


@dataclass(frozen=True, slots=True)
class Task:
    """One shard of work."""

    lake: Place
    config: Config
    stem: str
    files: tuple[File, ...]
    recipes: RecipeNames = extraction.NONE


def run(config: Config, recipes: RecipeNames = extraction.NONE) -> Outcome:
    """Ingest everything that is new or changed under the root.

    Parameters
    ----------
    recipes : RecipeNames
        What to compute for each file while it is decoded. `extract` then publishes it (`stages.take_in` does both).
    """
    started = now()
    products = [p for r in extraction.recipes(recipes) for p in (product(r), rejects(r))]
    there = _there(config)
    plan, planned = _plan(config, there), there.versions() if there else {}
    pruned = prune.take_down(config, plan, started) if config.prune else ""
    if not plan.shards:
        return _nothing_new(config, there, plan, pruned)
    lake = Lake.create(config.lake)
    with jobs.working(lake.place, "ingest"):
        for attempt in attempts(lake):
            with attempt as seen:
                # Files that another job has ingested since are known, and those that it has removed are not.
                if seen.versions() != planned:
                    before, plan, planned = plan, _plan(config, seen), seen.versions()
                    useless = [stem + SUFFIX for stem in before.shards.keys() - plan.shards.keys()]
                    lake.discard(dict.fromkeys(TABLES, useless))
                    derive.discard(seen, products, "audio", useless)
                if not plan.shards:
                    return _nothing_new(config, seen, plan, pruned)
                _write(lake, config, plan, recipes)
                return _publish(lake, seen, config, plan, pruned, started)
    raise AssertionError("the last attempt raises")


def _nothing_new(config: Config, seen: Lake | None, plan: planning.IngestPlan, pruned: str) -> Outcome:
    _commit_passed_over(config, plan)
    if plan.scan is not None and seen is not None and not plan.gone:
        plan.scan.keep(seen, versions(seen, *RESTS_ON))
    note = [f"nothing new: {plan.said}{plan.lost}{pruned}", passing.said(plan.passed_over)]
    return Outcome("ingest", None, 0, 0, 0, "; ".join(filter(None, note)))


def _write(lake: Lake, config: Config, plan: planning.IngestPlan, recipes: RecipeNames) -> None:
    """Write the unfinished shards."""
    tasks = [Task(lake.place, config, stem, files, recipes) for stem, files in plan.shards.items()]
    ready = lake.ready("tracks")
    missing = [task for task in tasks if task.stem + SUFFIX not in ready]
    # The longest first, so that none of them starts last.
    missing.sort(key=lambda task: -sum(file.size or 0 for file in task.files))
    total = sum(len(task.files) for task in tasks)
    with progress.task("ingest", total, done=total - sum(len(task.files) for task in missing)) as advance:
        seconds = _seconds(missing)
        forks = lake.forks and not mirror.is_remote(config.root)
        for _ in execution.imap(ingest_shard, missing, seconds=seconds, forks=forks, on_tick=advance):
            pass


def _publish(
    lake: Lake,
    seen: Lake,
    config: Config,
    plan: planning.IngestPlan,
    pruned: str,
    started: datetime,
) -> Outcome:
    """Commit the shards of a plan, which depends on the tracks and rejects that were read."""
    changes = {name: _collect(seen, name, plan) for name in TABLES}
    changes["vocabulary"] = vocabulary.replacing(seen, config.dataset_name, plan.terms)
    changes["passed_over"] = passing.replacing(seen, config.dataset_name, plan.passed_over)
    total = sum(map(len, plan.shards.values()))
    outputs = sum(s.rows for s in changes["tracks"].add if s.file.removesuffix(".parquet") in plan.shards)
    run_id = f"ingest-{digest([config.fingerprint, list(plan.shards)])}"
    note = "; ".join(filter(None, [f"{plan.said} before{plan.lost}{pruned}", passing.said(plan.passed_over)]))
    outcome = Outcome("ingest", run_id, total, outputs, total - outputs, note)
    said = replace(config, root=readable(config.root))
    changes["runs"] = finish(seen, said, [outcome], started)
    committed = lake.commit(changes, Reads(versions(seen, "tracks", "rejects", "passed_over", TOMBSTONES)))
    committed = compaction.compact(lake.pinned(committed), at_once=max(compaction.AT_ONCE, len(plan.shards)))
    if plan.scan is not None and not plan.gone:
        plan.scan.keep(lake, committed, _retried(lake, plan))
    return outcome


def make_plan(config: Config) -> planning.IngestPlan:
    """Plan the work, without doing it.

    Raises
    ------
    UsageError
        For an unknown source, a root that is not a folder or lacks the layout, or one without any recording; when none
        of the files that the source names exists, or the lake has another dataset of this name.
    """
    return _plan(config, _there(config))


def _there(config: Config) -> Lake | None:
    """The current lake, if there is one."""
    lake = Lake.find(config.lake)
    return lake.pinned() if lake else None


def _plan(config: Config, lake: Lake | None) -> planning.IngestPlan:
    source = contract.get(config.source)
    if ":" in config.dataset_name or not config.dataset_name.isprintable():
        raise UsageError(
            f"dataset name {config.dataset_name!r} must not contain colons or control characters: use --name"
        )
    with source_root.opened(config.root, source) as root:
        return _plan_under(root, source, config, lake)


def _plan_under(root: Root, source: contract.Source, config: Config, lake: Lake | None) -> planning.IngestPlan:
    scan = None
    if root.standing is None and contract.folders(source, root.path) is not None and contract.follows_links(source):
        scan = Scan(source, root.path, config.dataset_name, config.fingerprint, lake)
    files = _NamedFiles(source, root, config, scan)
    plan = planning.make(
        files,
        lake,
        config.dataset_name,
        config.fingerprint,
        config.shard_bytes,
        within=None if config.join else root.address,
        exists=root.exists,
        scan=scan,
    )
    others = scan.others if scan else contract.passed_over(source, root.path)
    plan.passed_over = [*map(root.named, others), *root.unnamed]
    # Read before any work: an invalid table of labels ends it with nothing written.
    plan.terms = contract.vocabulary(source, root.path, config.options) if plan.shards else []
    if plan.known or any(_is_there(file) for group in plan.shards.values() for file in group):
        return plan
    listed = list(files)
    if not listed:
        none = f"no audio in {config.root}: {source.CARD.layout}"
        raise UsageError("; ".join(filter(None, [none, passing.said(plan.passed_over)])))
    if not any(map(_is_there, listed)):
        raise UsageError(absent.explain(source, root.path, listed, config.options))
    return plan


class _NamedFiles:
    """The files of all recordings that a source names under a root, checked again in each iteration.

    With a scan, those of the runs that have changed.
    """

    def __init__(self, source: contract.Source, root: Root, config: Config, scan: Scan | None) -> None:
        self._source, self._root, self._config, self._scan = source, root, config, scan

    def __iter__(self) -> Iterator[File]:
        follows = self._config.follow_links or contract.follows_links(self._source)
        looker = self._root.looker(follows)
        try:
            yield from map(looker.look, self._recordings())
        except UsageError as error:
            hint = absent.elsewhere(self._source, self._root.path, self._config.options)
            raise UsageError(f"{error}; {hint}" if hint else str(error)) from error

    def _recordings(self) -> Iterator[Recording]:
        if self._scan is not None:
            return self._scan.recordings()
        return contract.recordings(self._source, self._root.path, self._config.options)


def _is_there(file: File) -> bool:
    """Whether there is something to ingest or to reject."""
    return file.size is not None or file.outside is not None


def _commit_passed_over(config: Config, plan: planning.IngestPlan) -> None:
    """Store the skipped files when no recording is new."""
    lake = Lake.open(config.lake)
    for attempt in attempts(lake):
        with attempt as seen:
            change = passing.replacing(seen, config.dataset_name, plan.passed_over)
            if {shard.file for shard in change.add} != set(change.remove):
                lake.commit({"passed_over": change}, Reads(versions(seen, "passed_over")))
            return


def _retried(lake: Lake, plan: planning.IngestPlan) -> list[str]:
    """Tracks of a plan that the next ingest tries again."""
    there = lake.ready("rejects")
    files = [lake.opened("rejects", stem + SUFFIX) for stem in plan.shards if stem + SUFFIX in there]
    rows = [row for file in files for row in pq.read_table(file, columns=["track_id", "retryable"]).to_pylist()]
    return [row["track_id"] for row in rows if row["retryable"]]


def _seconds(tasks: list[Task]) -> float:
    """How long one core takes, roughly: compressed audio is decoded some 300 times as fast as it plays."""
    found = 0.0
    for task in tasks:
        n_bytes = sum(file.size or 0 for file in task.files)
        found += len(task.files) * SECONDS_PER_FILE + n_bytes * SECONDS_PER_BYTE
        found += extraction.seconds(task.recipes, n_bytes)
    return found


def _collect(lake: Lake, name: str, plan: planning.IngestPlan) -> Change:
    """The change of a table: added shards, and rows of changed files to remove."""
    table = schema.table(name)
    files, ready = [stem + SUFFIX for stem in plan.shards], lake.ready(name)
    gone = imported.without_replaced(lake, table, plan.replaced, files)
    return merge(Change(table, lake.describe(name, [f for f in files if f in ready]), reusable=True), gone)


# -- one shard, on a worker --------------------------------------------------------------------------------------------


def ingest_shard(task: Task) -> None:
    """Read, decode and store the files of one shard; only `audio` is ever larger than its rows."""
    lake = Lake(task.lake)
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    audio = lake.path("audio", task.stem)
    n_audio = 0
    tracks = lake.path("tracks", task.stem)
    # The lock is released last: no other job names shards of these files until all exist.
    recipes = extraction.recipes(task.recipes)
    with suppress(_FinishedError), ExitStack() as places:
        with (
            watched(audio) as suspects,
            extraction.products_of(lake, recipes, audio.name) as add,
            writing(audio, schema.table("audio").arrow) as append,
        ):
            for file in task.files:
                is_lost = not suspects.touch(file.recording.source_id)
                for name, row in rows_of(file, task.config, recipes, add, is_lost=is_lost):
                    if name == "audio":
                        append(row)
                        n_audio += 1
                    else:
                        rows[name].append(row)
                execution.tick()
            places.enter_context(locked(lake.root / "tables" / PLACING))
            if lake.place.exists(lake.name("tracks", tracks.name)):
                # Another job has, and may have published them: they stay as they are.
                raise _FinishedError
        if not n_audio:
            lake.place.delete([lake.name("audio", audio.name)])
        for name in TABLES:
            if name == "audio":
                continue
            path = lake.path(name, task.stem)
            if rows[name] or name == "tracks":
                write_rows(path, schema.table(name).arrow, rows[name])
            else:
                # An interrupted attempt may have seen a file in another state.
                lake.place.delete([lake.name(name, path.name)])
        if lake.place.is_remote:
            _send(lake, task)
    if not lake.place.is_remote:
        # Others need not wait until the shard has been read again.
        _send(lake, task)


def _send(lake: Lake, task: Task) -> None:
    """Upload the shards of some files: that of `tracks` last, and by one job only."""
    stem = task.stem
    extraction.send(lake, extraction.recipes(task.recipes), stem + SUFFIX)
    for name in TABLES:
        path = lake.path(name, stem)
        if name != "tracks" and path.exists():
            lake.send(name, path.name)
    with suppress(TakenError):
        lake.send("tracks", stem + SUFFIX, create=True)


class _FinishedError(Exception):
    """The shards of these files exist already."""
