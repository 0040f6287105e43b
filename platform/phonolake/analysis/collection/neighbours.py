"""Find similar tracks: by a stored track, by a new audio file, or by a text."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phonolake.analysis.collection import neighbour_paths, query_vectors
from phonolake.analysis.collection.published import Publication
from phonolake.errors import AudioError, UsageError, unknown
from phonolake.lookup.partitions import Partitions
from phonolake.lookup.searched import Hit, Searched
from phonolake.search.vectors import unit
from phonolake.store.lake import Lake

COMBINATIONS = ("centroid", "best")
# Weight of tracks to move away from.
UNLIKE = 0.5
# Longest delay until a publication is seen: checking at each query can take a tenth of FAISS's own time.
GLANCE_SECONDS = 0.01
# If one artist has most of the neighbours, search this many times more.
DEEPER = 4

Shown = tuple[str | None, ...]


# Not frozen: making a frozen one takes longer than half of an indexed query.
@dataclass(slots=True)
class Neighbour:
    """A track that sounds alike, with its cosine similarity in [-1, 1]."""

    rank: int
    track_id: str
    similarity: float
    title: str | None
    artist: str | None
    labels: str | None


@dataclass(frozen=True, slots=True)
class SimilarityQuestion:
    """A query for tracks that sound like some tracks, and unlike others.

    Parameters
    ----------
    like : tuple of str
        Track ids, or paths of audio files, which are embedded by the same model.
    unlike : tuple of str
        Likewise: their mean is subtracted from that of `like`, with half the weight (after Rocchio 1971).
    k : int
        How many; fewer are returned only if fewer exist (that meet the condition).
    where : str, optional
        SQL condition over `tracks`, such as ``"year > 2000"``; other tables by subqueries on `track_id`.
    model_or_run : str, optional
        Model or run of the embeddings; the newest model by default.
    combine : {"centroid", "best"}
        Whether to search near the mean of several tracks, or near any of them.
    per_artist : int, optional
        At most so many tracks of one artist; tracks without an artist count as one each.
    span : (float, float), optional
        Start and end in seconds: use only this part of the one track or file in `like`.
    text : str, optional
        Description of the sound, with the tracks of `like` or alone; needs a model that reads texts.
    """

    like: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()
    k: int = 10
    where: str | None = None
    model_or_run: str | None = None
    combine: str = "centroid"
    per_artist: int | None = None
    span: tuple[float, float] | None = None
    text: str | None = None

    def check(self) -> None:
        """Raise a `UsageError` for an invalid query."""
        if self.k < 1:
            raise UsageError(f"k is the number of neighbours, at least 1; received {self.k}")
        if not self.like and self.text is None:
            raise UsageError("name a track or a file whose neighbours are wanted, or describe them in a text")
        if self.text is not None and not self.text.strip():
            raise UsageError("an empty text is like nothing: describe what is wanted in words")
        if self.combine not in COMBINATIONS:
            raise unknown("way to combine", self.combine, COMBINATIONS)
        if self.per_artist is not None and self.per_artist < 1:
            raise UsageError(f"at least one track of each artist; received {self.per_artist}")
        if self.span is not None and (len(self.like) != 1 or not 0 <= self.span[0] < self.span[1]):
            raise UsageError(
                f"a part is of one track or file, from a start to a later end in seconds; received {self.span[0]:g} to "
                f"{self.span[1]:g} of {len(self.like)}"
            )
        if self.unlike and self.combine == "best":
            raise UsageError("what it should not sound like is taken from a centroid: leave `best` out")

    def queries(self, like: list[np.ndarray], unlike: list[np.ndarray]) -> list[np.ndarray]:
        """The query vectors, given those of the tracks."""
        if self.combine == "best" or (len(like) == 1 and not unlike):
            return like
        wanted_D = unit(np.mean(like, axis=0)[None])[0]
        if unlike:
            wanted_D = wanted_D - UNLIKE * unit(np.mean(unlike, axis=0)[None])[0]
        return [unit(wanted_D[None])[0]]


class Searcher:
    """Searches neighbours in one lake, and keeps its index open for the next query.

    A query uses the newest publication and index. Thread-safe; queries run one at a time.

    Parameters
    ----------
    lake : Lake
        A pinned lake always gives results of its state.
    files : bool
        Whether a query may name audio files of this machine.
    seconds : float, optional
        Time limit of a condition.
    partitions : Partitions, optional
        They search the segments of indexes; this process by default.
    on_gpu : bool
        Whether to put indexes onto a GPU, if there is one, which pays for many queries.
    """

    def __init__(
        self,
        lake: Lake,
        *,
        files: bool = True,
        seconds: float | None = None,
        partitions: Partitions | None = None,
        on_gpu: bool = False,
    ) -> None:
        self._lake, self.files, self._seconds = lake, files, seconds
        self._partitions, self._on_gpu = partitions, on_gpu
        self._lock = threading.RLock()
        self._opened: Publication | None = None
        self._glanced = 0.0

    def __enter__(self) -> "Searcher":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; the next query opens them again."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
            self._opened = None

    def similar(
        self, track_or_file: str, *, k: int = 10, where: str | None = None, model_or_run: str | None = None
    ) -> list[Neighbour]:
        """The k most similar tracks: `ask` about one track or file."""
        return self.ask(SimilarityQuestion((track_or_file,), k=k, where=where, model_or_run=model_or_run))

    def nearest(
        self, track_id: str, *, k: int = 10, where: str | None = None, model_or_run: str | None = None
    ) -> tuple[list[str], np.ndarray]:
        """The k tracks most similar to one, without titles: the fastest query; the errors are those of `ask`.

        Returns
        -------
        track_ids : list of str
            Best first.
        similarity : ndarray of float64
            Cosine similarity of each, in [-1, 1].
        """
        if k < 1:
            raise UsageError(f"k is the number of neighbours, at least 1; received {k}")
        with self._lock:
            opened = self._current()
            searched = opened.searched(opened.choose(model_or_run))
            exclude: set[str] = set()
            vector_D = query_vectors.of_track_or_file(opened, searched, track_id, exclude)
            found = searched.nearest(vector_D, k, among=opened.among(searched, where), exclude=exclude)
        return [hit.track_id for hit in found], np.array([-hit.distance for hit in found])

    def ask(self, question: SimilarityQuestion) -> list[Neighbour]:
        """The tracks of a query, best first; fewer than k only if fewer exist.

        Raises
        ------
        UsageError
            For an unknown track or file, an invalid SQL condition, an unknown model, k below 1, or a text
            that is empty or too long.
        PhonolakeError
            When the lake has no embeddings, or none of a model that reads texts; when a file cannot be decoded.
        """
        question.check()
        with self._lock:
            opened = self._current()
            searched = opened.searched(opened.choose(question.model_or_run, text=question.text is not None))
            exclude: set[str] = set()
            if question.span is None:
                like = [query_vectors.of_track_or_file(opened, searched, name, exclude) for name in question.like]
            else:
                like = [query_vectors.of_part(opened, searched, question.like[0], question.span, exclude)]
            if question.text is not None:
                like.append(unit(opened.text_reader(searched.run_id)(question.text)[None])[0])
            unlike = [query_vectors.of_track_or_file(opened, searched, name, exclude) for name in question.unlike]
            return _answer(opened, searched, question.queries(like, unlike), question, exclude)

    def similar_many(
        self, track_ids: Sequence[str], *, k: int = 10, where: str | None = None, model_or_run: str | None = None
    ) -> list[list[Neighbour]]:
        """The k tracks most similar to each of many; the errors are those of `ask`."""
        question = SimilarityQuestion(tuple(track_ids) or ("",), k=k, where=where, model_or_run=model_or_run)
        question.check()
        with self._lock:
            opened = self._current()
            searched = opened.searched(opened.choose(model_or_run))
            vectors = [query_vectors.of_track_or_file(opened, searched, track_id, set()) for track_id in track_ids]
            if not vectors:
                return []
            found = searched.nearest_many(np.stack(vectors), k, opened.among(searched, where), track_ids)
            shown = opened.shown(f for each in found for f in each)
            return [_named(each, shown) for each in found]

    def path(self, start: str, end: str, *, model_or_run: str | None = None) -> list[neighbour_paths.PathStep]:
        """The path from one track to another in steps that sound alike: see `neighbour_paths.path`."""
        with self._lock:
            return neighbour_paths.path(self._current().connection, start, end, model_or_run=model_or_run)

    def recall(self, model_or_run: str | None = None, *, text: bool = False) -> float | None:
        """The measured share of the 10 nearest in a result; None if not measured.

        Tracks outside the index are searched exactly.
        """
        with self._lock:
            opened = self._current()
            return opened.searched(opened.choose(model_or_run, text=text)).recall

    def similar_to_upload(
        self, data: bytes, *, extension: str, k: int = 10, model_or_run: str | None = None
    ) -> list[Neighbour]:
        """The k tracks most similar to uploaded audio, which is decoded in a confined process.

        Parameters
        ----------
        data : bytes
            The file as received.
        extension : str
            Its file extension without the dot.

        Raises
        ------
        UsageError
            For an unknown model, or audio that cannot be decoded within the limits.
        PhonolakeError
            When the lake has no embeddings.
        """
        from phonolake.inference import embedding  # late: this brings torch
        from phonolake.inference.outside import Upload

        with self._lock:
            opened = self._current()
            run_id = opened.choose(model_or_run)
            try:
                vector_D = unit(embedding.embed(opened.lake, run_id, Upload(data, extension))[None])[0]
            except AudioError as error:
                raise UsageError(f"the upload cannot be used ({error})") from error
            return _answer(opened, opened.searched(run_id), [vector_D], SimilarityQuestion(("",), k=k), set())

    def _current(self) -> "Publication":
        """The current publication."""
        if self._opened is not None and time.monotonic() < self._glanced + GLANCE_SECONDS:
            return self._opened
        self._glanced = time.monotonic()
        published = None if self._lake.is_pinned else self._lake.publication()
        if self._opened is None or self._opened.published != published:
            self.close()
            lake = self._lake if self._lake.is_pinned else self._lake.pinned()
            self._opened = Publication(
                lake,
                published,
                files=self.files,
                seconds=self._seconds,
                partitions=self._partitions,
                on_gpu=self._on_gpu,
            )
        return self._opened


def similar(
    lake: Lake, track_or_file: str, *, k: int = 10, where: str | None = None, model_or_run: str | None = None
) -> list[Neighbour]:
    """One query of `Searcher.similar`, which then closes everything."""
    with Searcher(lake) as searcher:
        return searcher.similar(track_or_file, k=k, where=where, model_or_run=model_or_run)


def similar_to_upload(
    lake: Lake, data: bytes, *, extension: str, k: int = 10, model_or_run: str | None = None
) -> list[Neighbour]:
    """One query of `Searcher.similar_to_upload`, which then closes everything."""
    with Searcher(lake) as searcher:
        return searcher.similar_to_upload(data, extension=extension, k=k, model_or_run=model_or_run)


def _answer(
    opened: Publication,
    searched: Searched,
    queries: list[np.ndarray],
    question: SimilarityQuestion,
    exclude: set[str],
) -> list[Neighbour]:
    """The tracks most similar to any of some vectors, with a limit per artist."""
    among, depth = opened.among(searched, question.where), question.k
    while True:
        found = searched.nearest(queries[0], depth, among=among, exclude=exclude)
        if len(queries) > 1:
            more = [searched.nearest(query_D, depth, among=among, exclude=exclude) for query_D in queries[1:]]
            found = _best([found, *more], depth)
        shown = opened.shown(found)
        if question.per_artist is None:
            return _named(found, shown)
        kept = _diverse(found, shown, question.per_artist)
        if len(kept) >= question.k or len(found) < depth:
            return _named(kept[: question.k], shown)
        depth *= DEEPER


def _best(lists: list[list[Hit]], k: int) -> list[Hit]:
    best: dict[str, Hit] = {}
    for found in (f for each in lists for f in each):
        if found.track_id not in best or found.similarity > best[found.track_id].similarity:
            best[found.track_id] = found
    return sorted(best.values())[:k]


def _diverse(found: list[Hit], shown: dict[str, Shown], most: int) -> list[Hit]:
    counts: dict[str, int] = {}
    kept = []
    for f in found:
        artist = shown[f.track_id][1]
        if artist is not None:
            counts[artist] = counts.get(artist, 0) + 1
        if artist is None or counts[artist] <= most:
            kept.append(f)
    return kept


def _named(found: list[Hit], shown: dict[str, Shown]) -> list[Neighbour]:
    return [Neighbour(i, f.track_id, -f.distance, *shown[f.track_id]) for i, f in enumerate(found, start=1)]
