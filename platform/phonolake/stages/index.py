"""Index: FAISS indexes over the embeddings of each model, so that neighbours are found without reading them all.

An index grows by segments: new vectors become a segment, which absorbs those that are at most twice as large, so that
each vector is rewritten only a few times and there are few segments. The metadata of tracks is stored beside their
vectors and updated when it changes.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from phonolake import progress
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

# A new segment absorbs those that are at most this many times as large.
GROWTH = 2
# The measured recall may be this much below the required one without a message, because it uses other tracks.
SHORT = 0.01
# No more than this share of a segment may be of shards that are no longer published.
DEAD = 0.1


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
    licence : str, optional
        Only embeddings under licences of this kind.
    """

    lake: str
    again: bool = False
    kind: str | None = None
    recall: float | None = None
    seed: int | None = None
    licence: str | None = None


def run(config: Config) -> list[Outcome]:
    """Build the indexes that are missing or out of date; one outcome for each.

    Raises
    ------
    UsageError
        For an unknown kind of index or licence, or an invalid recall.
    PhonolakeError
        When the lake has no embeddings.
    """
    if config.kind is not None and config.kind not in kinds.KINDS:
        raise unknown("kind of index", config.kind, kinds.KINDS)
    if config.recall is not None and not 0 < config.recall < 1:
        raise UsageError(f"recall is a share of the nearest, above 0 and below 1; received {config.recall:g}")
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
    """The new state of an index: segments to keep, and shards of a new one."""

    card: Card
    new: tuple[SourceShard, ...]
    is_there: bool

    @classmethod
    def of(cls, card: Card | None, config: Config, lake: Lake, run_id: str) -> "_Wanted":
        known = card.settings if card is not None else {}
        settings = {
            "kind": config.kind or known.get("kind", kinds.AUTO),
            "recall": config.recall or known.get("recall", recall.WANTED),
            "seed": known.get("seed", 0) if config.seed is None else config.seed,
        }
        published = indexed.published(lake, run_id)
        serves = card is not None and card.format == faiss_index.FORMAT and card.settings == settings
        kept: list[IndexSegment] = []
        if card is not None and serves and not config.again:
            kept = [part for part in card.parts if indexed.dead_rows(part, published) <= DEAD * part.n]
        missing = indexed.missing(kept, published)
        if missing:
            kept = _larger(kept, sum(source.rows or 0 for source in missing))
            missing = indexed.missing(kept, published)
        shown = indexed.shown(lake)
        is_there = card is not None and not missing and card.parts == tuple(replace(part, shown=shown) for part in kept)
        return cls(Card(run_id, tuple(kept), settings), missing, is_there)


def _larger(parts: list[IndexSegment], n: int) -> list[IndexSegment]:
    """The segments that n new vectors do not absorb."""
    rest = sorted(parts, key=lambda part: part.n)
    while rest and rest[0].n <= GROWTH * n:
        n += rest.pop(0).n
    return rest


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
    parts = list(wanted.card.parts)
    if wanted.new:
        new = _build(change, lake, wanted.new, wanted.card.settings)
    else:
        change.lock()
    # Look up metadata under the lock, so that no track that was just forgotten comes back.
    parts = [_with_shown(lake, change.folder, part) for part in parts]
    change.finish(replace(wanted.card, parts=tuple([*parts, new] if wanted.new else parts)))


def _build(change: _Change, lake: Lake, sources: tuple[SourceShard, ...], settings: dict[str, object]) -> IndexSegment:
    """Write a new segment."""
    recipe = building.BuildPlan(str(settings["kind"]), float(str(settings["recall"])), int(str(settings["seed"])))
    n = sum(source.rows or 0 for source in sources)
    name = digest([[s.file, s.rows, s.bytes] for s in sources] + [settings, faiss_index.FORMAT])
    with replacing_folder(change.folder / name) as staging, indexed.showing(lake) as show:
        d = indexed.values(lake, sources[0])
        facts = building.build(staging, indexed.blocks(lake, sources), n, d, show, recipe)
        for path in staging.iterdir():
            sync(path)
        if facts["recall"] < recipe.recall - SHORT:
            say(
                f"The index finds {facts['recall']:.1%} of the 10 nearest, and {recipe.recall:.1%} were wanted: "
                "try another --kind."
            )
        # An index of unpublished shards would bring back forgotten tracks.
        change.lock([source.file for source in sources])
    return IndexSegment(name, sources, indexed.shown(lake), facts)


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
