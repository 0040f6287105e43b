"""All published embeddings of a run: those in the segments of its index, and those that no segment has yet.

Each vector has its own number, and a segment has consecutive numbers. Vectors outside the index are searched exactly,
and unpublished ones are not found, so that results are never out of date. Partitions may search the segments.

Shape suffixes: N vectors, D values, K neighbours.
"""

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from phonolake.lookup import indexed
from phonolake.lookup.partitions import Found, Partitions, SegmentQuestion, Way, shares
from phonolake.progress import say
from phonolake.search import gpu
from phonolake.search import index as faiss_index
from phonolake.search.allowed import Allowed
from phonolake.search.index import IndexSegment, SourceShard
from phonolake.search.segment import Segment
from phonolake.search.tracks import Tracks
from phonolake.search.vectors import fast, unit
from phonolake.store.lake import Lake

# Vectors outside segments are in memory up to this many bytes, and in a file beyond.
IN_MEMORY = 256 << 20
# Above this many changed tracks their metadata is always looked up.
MOST_CHANGED = 100_000


class Hit(NamedTuple):
    """A found vector: its negative cosine similarity, the track's id, its number among all, and its segment.

    They sort in the order of results: the most similar first, ties in order of their ids.
    """

    distance: float
    track_id: str
    number: int
    piece: "SearchedSegment"

    @property
    def similarity(self) -> float:
        """Cosine similarity."""
        return -self.distance


@dataclass(frozen=True)
class SearchedSegment:
    """One segment among all.

    Parameters
    ----------
    first : int
        Number of its first vector.
    alive : Allowed, optional
        Those of its vectors whose shards are still published; all by default.
    part : Part, optional
        Its entry on the card; tracks outside the index have none.
    """

    lake: Lake
    segment: Segment
    first: int
    alive: Allowed | None = None
    part: IndexSegment | None = None

    @cached_property
    def changed(self) -> frozenset[str] | None:
        """Tracks whose metadata may differ from that stored here; None if it may be any."""
        ids = None if self.part is None else indexed.touched(self.lake, self.part)
        return None if ids is None or len(ids) > MOST_CHANGED else frozenset(ids.to_pylist())

    @property
    def recall(self) -> float | None:
        """As on its card."""
        return None if self.part is None else self.part.facts.get("recall")

    def shown(self, found: Hit) -> tuple[str | None, ...] | None:
        """Title, artist and labels of a track, if they are stored here."""
        if self.changed is None or found.track_id in self.changed:
            return None
        return self.segment.tracks.shown(found.number - self.first)

    def hit(self, similarity: float, number: int) -> Hit:
        """A vector found in it, as a track."""
        return Hit(-similarity, self.segment.tracks.id(number), number + self.first, self)

    def number(self, track_id: str) -> int | None:
        """The number of a track within it, if it is still published."""
        found = self.segment.tracks.number(track_id)
        if found is None or self.alive is None:
            return found
        return found if len(self.alive.keep(np.array([found]))) else None

    def among(self, numbers: np.ndarray) -> Allowed:
        """Those of some global numbers that are here and still published."""
        first, last = np.searchsorted(numbers, [self.first, self.first + len(self.segment)])
        here = numbers[first:last] - self.first
        return Allowed(here if self.alive is None else self.alive.keep(here))


class Searched:
    """The published embeddings of a run, with its current index.

    Parameters
    ----------
    lake : Lake
        A pinned lake.
    published : dict of str to Source, optional
        Its shards of these embeddings, for callers that cannot read logs, such as forks; read by default.
    partitions : Partitions, optional
        They search the segments; this process by default. Vectors outside segments it always searches itself.
    on_gpu : bool
        Whether to put segments onto a GPU, if there is one: for many queries, one at a time.
    """

    def __init__(
        self,
        lake: Lake,
        run_id: str,
        published: dict[str, SourceShard] | None = None,
        *,
        partitions: Partitions | None = None,
        on_gpu: bool = False,
    ) -> None:
        self.run_id = run_id
        self._partitions, self._on_gpu = partitions, on_gpu and partitions is None
        # Tracks that meet a condition, cached for repeated queries.
        self.conditions: dict[str, list[Allowed | None]] = {}
        self.stamp = faiss_index.stamp(indexed.folder(lake, run_id))
        published = indexed.published(lake, run_id) if published is None else published
        self.pieces: list[SearchedSegment] = []
        held: set[str] = set()
        if self.stamp is not None:
            held = self._open(lake, run_id, published)
        lacking = [published[file] for file in sorted(published.keys() - held)]
        if lacking:
            self._add(lake, _read(lake, lacking))
            self._tell(sum(source.rows or 0 for source in lacking))

    def _open(self, lake: Lake, run_id: str, published: dict[str, SourceShard]) -> set[str]:
        """Open the segments, with the shards of their vectors."""
        folder = indexed.folder(lake, run_id)
        card = faiss_index.read_card(folder)
        if card is None:
            return set()
        early = card.format < faiss_index.FORMAT
        if early and not all(source.is_in(published) for part in card.parts for source in part.shards):
            return set()
        index = faiss_index.load(folder, searched=self._partitions is None)
        segments = gpu.placed(index.segments) if self._on_gpu else index.segments
        held = set()
        for part, segment in zip(index.card.parts, segments, strict=True):
            dead = [i for i, source in enumerate(part.shards) if not source.is_in(published)]
            alive = Allowed(np.flatnonzero(~np.isin(segment.tracks.shards(), dead))) if dead else None
            self._add(lake, segment, alive, None if early else part)
            held |= {source.file for source in part.shards if source.is_in(published)}
        return held

    def _add(
        self, lake: Lake, segment: Segment, alive: Allowed | None = None, part: IndexSegment | None = None
    ) -> None:
        self.pieces.append(SearchedSegment(lake, segment, len(self), alive, part))

    def _tell(self, lacking: int) -> None:
        if len(self.pieces) == 1:
            say("No up-to-date index: searching exactly (`phonolake index` makes one).")
        else:
            say(f"The index lacks {lacking} tracks, which are searched exactly (`phonolake index` adds them).")

    def __len__(self) -> int:
        return sum(len(piece.segment) for piece in self.pieces)

    @property
    def recall(self) -> float | None:
        """Measured share of the 10 nearest that are found; None if not measured."""
        known = [1.0 if piece.segment.exact else piece.recall for piece in self.pieces]
        stated = [recall for recall in known if recall is not None]
        if len(stated) < len(known) or not len(self):
            return None
        return sum(r * len(piece.segment) for r, piece in zip(stated, self.pieces, strict=True)) / len(self)

    def vector(self, track_id: str) -> np.ndarray | None:
        """The vector of a track: of length one, or zero; None if it has none."""
        for piece in self.pieces:
            number = piece.number(track_id)
            if number is not None:
                return np.asarray(fast(piece.segment.vectors)[number])
        return None

    def table(self) -> pa.Table:
        """Columns track_id and number, for SQL."""
        chunks = [chunk for piece in self.pieces for chunk in piece.segment.tracks.ids().chunks]
        return pa.table({"track_id": pa.chunked_array(chunks, pa.string()), "number": np.arange(len(self))})

    def among(self, numbers: np.ndarray | None) -> list[Allowed | None]:
        """The allowed vectors of each part: those of some global numbers, in order, or all."""
        return [piece.alive if numbers is None else piece.among(numbers) for piece in self.pieces]

    def nearest(
        self, query_D: np.ndarray, k: int, *, among: Sequence[Allowed | None], exclude: Iterable[str] = ()
    ) -> list[Hit]:
        """The k most similar vectors, ties in order of their tracks' ids.

        Parameters
        ----------
        query_D : ndarray
            Of length one, or zero; float32.
        among : sequence of Allowed or None
            The allowed ones: see `among`.
        exclude : iterable of str
            Tracks to leave out.
        """
        left_out = set(exclude)
        # More than requested, because the track itself comes first.
        depth = k + len(left_out)
        found: list[tuple[float, int, SearchedSegment]] = []
        answers = self._find("candidates", query_D, depth, among)
        for piece, (numbers, similarity) in zip(self.pieces, answers, strict=True):
            found += zip(similarity.tolist(), numbers.tolist(), repeat(piece))
        found.sort(key=itemgetter(0), reverse=True)
        # Ids of vectors that are too far away are not read, but those of ties decide.
        near = depth
        while 0 < near < len(found) and found[near][0] == found[depth - 1][0]:
            near += 1
        hits = [piece.hit(similarity, number) for similarity, number, piece in found[:near]]
        hits.sort()
        return [hit for hit in hits if hit.track_id not in left_out][:k]

    def nearest_many(
        self, query_QD: np.ndarray, k: int, among: Sequence[Allowed | None], exclude: Sequence[str]
    ) -> list[list[Hit]]:
        """The k most similar vectors for each of many, each without the track that `exclude` names."""
        found: list[list[Hit]] = [[] for _ in query_QD]
        answers = self._find("search_many", query_QD, k + 1, among)
        for piece, (number_QK, similarity_QK) in zip(self.pieces, answers, strict=True):
            for each, numbers, similarity in zip(found, number_QK, similarity_QK, strict=True):
                there = numbers >= 0
                each += map(piece.hit, similarity[there].tolist(), numbers[there].tolist())
        for each in found:
            each.sort()
        return [[f for f in each if f.track_id != asked][:k] for each, asked in zip(found, exclude, strict=True)]

    def _find(self, way: Way, query: np.ndarray, k: int, among: Sequence[Allowed | None]) -> Iterable[Found]:
        """What each segment finds."""
        question = SegmentQuestion(self.run_id, way, query, k)
        if self._partitions is None:
            return (question.of(piece.segment, allowed) for piece, allowed in zip(self.pieces, among, strict=True))
        names = [[self._named[i] for i in share] for share in self._shares]
        answers = self._partitions.ask(question, names, [[among[i] for i in share] for share in self._shares])
        found = {i: question.of(piece.segment, among[i]) for i, piece in enumerate(self.pieces) if i not in self._named}
        for share, each in zip(self._shares, answers(), strict=True):
            found |= zip(share, each, strict=True)
        return [found[i] for i in range(len(self.pieces))]

    @cached_property
    def _named(self) -> dict[int, str]:
        """Names of the segments that partitions search, by their places."""
        return {i: piece.part.name for i, piece in enumerate(self.pieces) if piece.part is not None}

    @cached_property
    def _shares(self) -> list[list[int]]:
        """Places of the segments that each partition searches."""
        assert self._partitions is not None
        places = list(self._named)
        sizes = [len(self.pieces[i].segment) for i in places]
        return [[places[i] for i in share] for share in shares(sizes, len(self._partitions))]


def _read(lake: Lake, sources: list[SourceShard]) -> Segment:
    """The vectors of some shards, to be searched exactly."""
    n, d = sum(source.rows or 0 for source in sources), indexed.values(lake, sources[0])
    if n * d * 4 <= IN_MEMORY:
        x_ND = np.empty((n, d), np.float32)
    else:
        x_ND = np.memmap(tempfile.TemporaryFile(), np.float32, "w+", shape=(n, d))  # noqa: SIM115
    track_ids: list[pa.Array] = []
    start = 0
    for block in indexed.blocks(lake, sources):
        x_ND[start : start + len(block.vectors)] = unit(block.vectors)
        start += len(block.vectors)
        track_ids.append(block.track_ids)
    return Segment(Tracks.of(pa.chunked_array(track_ids, pa.string()), np.zeros(n, np.int32)), x_ND)
