"""Index: FAISS indexes over the embeddings of each model, so that neighbours are found without reading them all.

An index grows by segments: new vectors become a segment, which absorbs those that are at most twice as large, so that
each vector is rewritten only a few times and there are few segments. None grows beyond a partition: of more vectors
several segments are built, in parallel. The metadata of tracks is stored beside their vectors and updated when it
changes.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from phonolake import execution, progress
from phonolake.errors import PhonolakeError, UsageError, unknown
from phonolake.files import TEMPORARY, remove, replacing_folder, sync
from phonolake.lineage import digest
from phonolake.lookup import indexed, licensed
from phonolake.progress import say
from phonolake.search import building, kinds, recall, tracks
from phonolake.search import index as faiss_index
from phonolake.search.index import Card, IndexSegment, SourceShard
from phonolake.search.segment import Segment
from phonolake.store import jobs
from phonolake.store.attempts import attempts
from phonolake.store.lake import Lake, Reads
from phonolake.store.outcomes import Outcome, finish, now
from phonolake.store.place import Place

# A new segment absorbs those that are at most this many times as large.
GROWTH = 2
# The measured recall may be this much below the required one without a message, because it uses other tracks.
SHORT = 0.01
# No more than this share of a segment may be of shards that are no longer published.
DEAD = 0.1
# Vectors of the largest segment of a new index.
PARTITION = 10_000_000
# Settings that all segments of an index share.
SHARED = ("kind", "recall", "seed")
# Of one core.
SECONDS_PER_VECTOR = 1e-4


@dataclass(frozen=True, slots=True)
class Config:
    """How to index the embeddings of every model.

    Parameters
    ----------
    again : bool
        Also rebuild indexes that are up to date.
    kind : str, optional
        One of `phonolake.search.kinds.KINDS`; by default the index's own, ``auto`` for a new one.
    recall : float, optional
        Required recall of the 10 nearest, below 1; likewise, .98 for a new one.
    seed : int, optional
        Seed of the training sample; likewise, 0 for a new one.
    partition : int, optional
        Most vectors of a segment, though a shard of embeddings is never split; likewise, ten million for a new one.
        Segments that are larger are only cut up when it is given.
    licence : str, optional
        Only embeddings under licences of this kind.
    """

    lake: str
    again: bool = False
    kind: str | None = None
    recall: float | None = None
    seed: int | None = None
    partition: int | None = None
    licence: str | None = None


def run(config: Config) -> list[Outcome]:
    """Build the indexes that are missing or out of date; one outcome for each.

    Raises
    ------
    UsageError
        For an unknown kind of index or licence, or an invalid recall or partition.
    PhonolakeError
        When the lake has no embeddings.
    """
    if config.kind is not None and config.kind not in kinds.KINDS:
        raise unknown("kind of index", config.kind, kinds.KINDS)
    if config.recall is not None and not 0 < config.recall < 1:
        raise UsageError(f"recall is a share of the nearest, above 0 and below 1; received {config.recall:g}")
    if config.partition is not None and config.partition < 1:
        raise UsageError(f"a partition has at least 1 vector; received {config.partition}")
    started = now()
    lake = Lake.open(config.lake)
    groups = licensed.opened(config.lake, config.licence).shards_by_family("embeddings")
    if not groups:
        raise PhonolakeError("the lake has no embeddings yet: run `phonolake score` first")
    with jobs.working(lake.place, "index"), progress.task("index", len(groups)) as advance:
        outcomes = [_index(lake, run_id, config) for run_id in _counted(groups, advance)]
        lake.commit({"runs": finish(lake, config, outcomes, started)})
    return outcomes


def _counted(groups: Iterable[str], advance: progress.Advance) -> Iterator[str]:
    for run_id in groups:
        yield run_id
        advance(1)


def _index(lake: Lake, run_id: str, config: Config) -> Outcome:
    """Update the index of one model."""
    folder = indexed.folder(lake, run_id)
    for attempt in attempts(lake):
        with attempt as seen:
            stamp, card = faiss_index.stamp(folder), faiss_index.read_card(folder)
            wanted = _Wanted.of(card, config, seen, run_id)
            if not wanted.is_there:
                with ExitStack() as stack:
                    _write(_Change(stack, lake, folder, stamp), seen, wanted)
            shards = indexed.published(seen, run_id)
            n = sum(source.rows or 0 for source in shards.values())
            return Outcome("index", f"index-{run_id}-{digest(sorted(shards), length=8)}", n, n, 0, run_id)
    raise AssertionError("the last attempt raises")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The new state of an index: segments to keep, and the shards of each new one."""

    card: Card
    new: list[tuple[SourceShard, ...]]
    is_there: bool

    @classmethod
    def of(cls, card: Card | None, config: Config, lake: Lake, run_id: str) -> "_Wanted":
        known = card.settings if card is not None else {}
        settings: dict[str, Any] = {
            "kind": config.kind or known.get("kind", kinds.AUTO),
            "recall": config.recall or known.get("recall", recall.WANTED),
            "seed": known.get("seed", 0) if config.seed is None else config.seed,
            "partition": config.partition or known.get("partition", PARTITION),
        }
        # Earlier cards have no partition.
        known = {"partition": PARTITION} | known
        published = indexed.published(lake, run_id)
        serves = card is not None and card.format == faiss_index.FORMAT
        serves = serves and all(known[name] == settings[name] for name in SHARED)
        kept: list[IndexSegment] = []
        if card is not None and serves and not config.again:
            most = config.partition or card.n
            kept = [
                part
                for part in card.parts
                if indexed.dead_rows(part, published) <= DEAD * part.n and (part.n <= most or len(part.shards) == 1)
            ]
        missing = indexed.missing(kept, published)
        if missing:
            kept = _larger(kept, sum(source.rows or 0 for source in missing), settings["partition"])
            missing = indexed.missing(kept, published)
        shown = indexed.shown(lake)
        parts = tuple(replace(part, shown=shown) for part in kept)
        is_there = card is not None and not missing and known == settings and card.parts == parts
        return cls(Card(run_id, tuple(kept), settings), _partitions(missing, settings["partition"]), is_there)


def _larger(parts: list[IndexSegment], n: int, most: int) -> list[IndexSegment]:
    """The segments that n new vectors do not absorb."""
    rest = sorted(parts, key=lambda part: part.n)
    # Only what is left beside full segments absorbs others.
    n %= most
    while rest and rest[0].n <= min(GROWTH * n, most - n):
        n += rest.pop(0).n
    return rest


def _partitions(sources: tuple[SourceShard, ...], most: int) -> list[tuple[SourceShard, ...]]:
    """Shards in their order, in groups of at most so many vectors, or of one shard."""
    groups: list[tuple[SourceShard, ...]] = []
    n = most
    for source in sources:
        n += source.rows or 0
        if n > most:
            groups.append(())
            n = source.rows or 0
        groups[-1] += (source,)
    return groups


@dataclass(frozen=True, slots=True)
class _Change:
    """A change of an index: once its lock is taken, no other job publishes until the stack is left."""

    stack: ExitStack
    lake: Lake
    folder: Path
    stamp: tuple[int, int] | None

    def lock(self, embeddings: Collection[str] = ()) -> None:
        """Lock the lake; these shards must still be published, and no other job may have been faster."""
        self.stack.enter_context(Lake(self.lake.place).alone(Reads(shards={"embeddings": embeddings})))
        if faiss_index.stamp(self.folder) != self.stamp:
            raise self.lake.overtaken("embeddings")

    def finish(self, card: Card) -> None:
        """Publish a card, and delete files that it does not name."""
        if card.parts:
            faiss_index.write_card(self.folder, card)
        for path in self.strays(card):
            remove(path)
        indexed.send(self.lake, self.folder.name)

    def strays(self, card: Card) -> list[Path]:
        """Files that a card does not name: earlier segments, and those of killed jobs."""
        named = {faiss_index.CARD, *(part.name for part in card.parts)} if card.parts else set()
        found = list(self.folder.iterdir()) if self.folder.is_dir() else []
        return [path for path in found if path.name not in named and not path.name.endswith(TEMPORARY)]


def _write(change: _Change, lake: Lake, wanted: _Wanted) -> None:
    """Write the new state, and publish it."""
    with ExitStack() as staged:
        new = _build(staged, change.folder, lake, wanted)
        # An index of unpublished shards would bring back forgotten tracks.
        change.lock([source.file for part in new for source in part.shards])
    # Look up metadata under the lock, so that no track that was just forgotten comes back.
    parts = [_with_shown(lake, change.folder, part) for part in wanted.card.parts]
    change.finish(replace(wanted.card, parts=(*parts, *new)))


def _build(staged: ExitStack, folder: Path, lake: Lake, wanted: _Wanted) -> list[IndexSegment]:
    """Write the new segments, which take their places when `staged` is left."""
    settings = {name: wanted.card.settings[name] for name in SHARED}
    tasks: dict[str, SegmentTask] = {}
    for sources in wanted.new:
        name = digest([[s.file, s.rows, s.bytes] for s in sources] + [settings, faiss_index.FORMAT])
        staging = staged.enter_context(replacing_folder(folder / name))
        tasks[name] = SegmentTask(lake.place, lake.versions(), staging, sources, building.BuildPlan(**settings))
    facts = {task.staging: facts for task, facts in _built(list(tasks.values()))}
    parts = [IndexSegment(name, t.sources, indexed.shown(lake), facts[t.staging]) for name, t in tasks.items()]
    if parts:
        _tell(Card(wanted.card.run_id, tuple(parts), settings), settings["recall"])
    return parts


def _tell(new: Card, recall: float) -> None:
    assert new.recall is not None
    if new.recall < recall - SHORT:
        say(f"The index finds {new.recall:.1%} of the 10 nearest, and {recall:.1%} were wanted: try another --kind.")


@dataclass(frozen=True, slots=True)
class SegmentTask:
    """A segment to build into an empty folder.

    Parameters
    ----------
    versions : dict of str to int
        The state of the lake that is indexed.
    """

    lake: Place
    versions: dict[str, int]
    staging: Path
    sources: tuple[SourceShard, ...]
    recipe: building.BuildPlan

    @property
    def n(self) -> int:
        """Number of its vectors."""
        return sum(source.rows or 0 for source in self.sources)


def _built(tasks: list[SegmentTask]) -> Iterable[tuple[SegmentTask, dict[str, Any]]]:
    if len(tasks) < 2 or tasks[0].lake.is_remote:
        # Machines that share object storage do not share this folder.
        return [(task, build_segment(task)) for task in tasks]
    cpus = max(1, min(execution.cores(), execution.all_cores() // len(tasks)))
    return execution.imap(build_segment, tasks, cpus=cpus, seconds=sum(task.n for task in tasks) * SECONDS_PER_VECTOR)


def build_segment(task: SegmentTask) -> dict[str, Any]:
    """Write a segment; returns its facts for the card."""
    # Of a worker that was lost.
    for path in task.staging.iterdir():
        remove(path)
    lake = Lake(task.lake).pinned(task.versions)
    d = indexed.values(lake, task.sources[0])
    with indexed.showing(lake) as show:
        facts = building.build(task.staging, indexed.blocks(lake, task.sources), task.n, d, show, task.recipe)
    for path in task.staging.iterdir():
        sync(path)
    return facts


def _with_shown(lake: Lake, folder: Path, part: IndexSegment) -> IndexSegment:
    """A segment with the published metadata of its tracks."""
    shown = indexed.shown(lake)
    if part.shown == shown:
        return part
    changed = indexed.touched(lake, part)
    known = tracks.Tracks.read(folder / part.name)
    if changed is None or len(known.numbers_of(changed)):
        with indexed.showing(lake) as show:
            tracks.write(folder / part.name, known.ids(), known.shards(), show(known.ids()))
    return replace(part, shown=shown)


# -- forgotten tracks --------------------------------------------------------------------------------------------------


def without(lake: Lake, run_id: str, track_ids: pa.Array, renamed: Callable[[str], str]) -> int:
    """Rewrite the segments of an index without some tracks; returns the number of removed vectors.

    Parameters
    ----------
    renamed : callable
        Gives the new name of a shard of embeddings after it was rewritten without the tracks.

    Raises
    ------
    OSError, ValueError, KeyError
        When the index cannot be read.
    """
    folder = indexed.folder(lake, run_id)
    for attempt in attempts(lake):
        with attempt as seen, ExitStack() as stack:
            change = _Change(stack, lake, folder, faiss_index.stamp(folder))
            card = faiss_index.read_card(folder)
            if card is None or card.format < faiss_index.FORMAT:
                raise ValueError(f"{folder} is no index of this format")
            held = [tracks.Tracks.read(folder / part.name).numbers_of(track_ids) for part in card.parts]
            parts = []
            with ExitStack() as staged:
                for part, numbers in zip(card.parts, held, strict=True):
                    if not len(numbers):
                        parts.append(_renamed(seen, part, renamed))
                    elif len(numbers) < part.n:
                        parts.append(_rest(staged, seen, folder, part, numbers, renamed))
                if tuple(parts) == card.parts and not change.strays(card):
                    return 0
                change.lock()
            change.finish(replace(card, parts=tuple(parts)))
            return sum(map(len, held))
    raise AssertionError("the last attempt raises")


def _rest(
    staged: ExitStack, lake: Lake, folder: Path, part: IndexSegment, gone: np.ndarray, renamed: Callable[[str], str]
) -> IndexSegment:
    """A segment without some of its vectors, which replaces it when `staged` is left."""
    segment = Segment.read(folder / part.name, part.facts)
    keep = np.setdiff1d(np.arange(part.n), gone)
    published = indexed.published(lake, folder.name)
    left = np.bincount(segment.tracks.shards()[keep], minlength=len(part.shards))
    # A shard that had no other tracks is gone.
    sources = tuple(
        _after(source, published, renamed) if n else replace(source, rows=0)
        for source, n in zip(part.shards, left, strict=True)
    )
    name = digest([part.name, [[s.file, s.rows, s.bytes] for s in sources], len(keep)])
    staging = staged.enter_context(replacing_folder(folder / name))
    rest, d = building.again(segment, keep), segment.vectors.shape[1]
    with indexed.showing(lake) as show:
        facts = building.build(staging, rest, len(keep), d, show, building.BuildPlan(like=segment))
    return IndexSegment(name, sources, indexed.shown(lake), part.facts | facts)


def _renamed(lake: Lake, part: IndexSegment, renamed: Callable[[str], str]) -> IndexSegment:
    """A segment whose shards of metadata may have been rewritten."""
    shown = {
        table: tuple(_after(source, {s.file: s for s in sources}, renamed) for source in part.shown[table])
        for table, sources in indexed.shown(lake).items()
    }
    return replace(part, shown=shown)


def _after(source: SourceShard, published: dict[str, SourceShard], renamed: Callable[[str], str]) -> SourceShard:
    """A shard with its new name."""
    return source if source.is_in(published) else published.get(renamed(source.file), source)
