"""Which tracks sound like one: by a stored track, or by an audio file never seen before."""

import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import duckdb
import numpy as np

from phonolake.analysis.collection.searched import Found, Searched
from phonolake.audio.encoded import OnDisk, sha256
from phonolake.errors import AudioError, PhonolakeError, UsageError
from phonolake.lookup import indexed, runs
from phonolake.progress import say
from phonolake.search import index as faiss_index
from phonolake.search.vectors import unit
from phonolake.store import query, tracks
from phonolake.store.lake import Lake

# A table of a connection that only conditions are joined with.
INDEXED = "indexed_tracks"
# Conditions, and tracks that are not beside an index, that are remembered until something is published.
CONDITIONS, REMEMBERED = 32, 10_000


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A track that sounds alike, with its cosine similarity in [-1, 1]."""

    rank: int
    track_id: str
    similarity: float
    title: str | None
    artist: str | None
    labels: str | None


class Searcher:
    """Answers questions about the neighbours in one lake, and keeps open what each question needs.

    When something was published since the last question, or an index was built, the next one is answered from that.
    Several threads may ask; one at a time is answered.

    Parameters
    ----------
    lake : Lake
        One that is pinned shows its moment for ever.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._lock = threading.RLock()
        self._opened: _Opened | None = None

    def __enter__(self) -> "Searcher":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files; another question opens them again."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
            self._opened = None

    def similar(
        self, track_or_file: str, *, k: int = 10, where: str | None = None, model_or_run: str | None = None
    ) -> list[Neighbour]:
        """The k tracks most alike.

        Parameters
        ----------
        track_or_file : str
            A track id, or the path of an audio file, which is embedded by the same model.
        k : int
            How many; fewer come back only when fewer exist (that fulfil the condition).
        where : str, optional
            SQL condition over `tracks`, such as ``"year > 2000"``; other tables by subqueries on `track_id`.
        model_or_run : str, optional
            Whose embeddings; the newest model's by default.

        Raises
        ------
        UsageError
            For a track or file that is not there, a condition that is no SQL, an unknown model, or k below 1.
        PhonolakeError
            When the lake has no embeddings, or the file cannot be decoded.
        """
        if k < 1:
            raise UsageError(f"k is the number of neighbours, at least 1; received {k}")
        with self._lock:
            opened = self._current()
            run_id = opened.choose(model_or_run)
            vector_D = opened.searched(run_id).vector(track_or_file)
            exclude = {track_or_file}
            if vector_D is None:
                vector_D = unit(_embed_file(opened.lake, opened.connection, track_or_file, run_id)[None])[0]
                exclude = _same_content(opened.connection, track_or_file)
            return opened.nearest(run_id, vector_D, k, where, exclude)

    def similar_to_upload(
        self, data: bytes, *, extension: str, k: int = 10, model_or_run: str | None = None
    ) -> list[Neighbour]:
        """The k tracks most alike to audio that somebody handed in; it is decoded in a confined process.

        Parameters
        ----------
        data : bytes
            The file as received.
        extension : str
            Ending of its name without the dot.

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
            return opened.nearest(run_id, vector_D, k, None, set())

    def _current(self) -> "_Opened":
        """What is published now."""
        published = None if self._lake.is_pinned else self._lake.publication()
        if self._opened is None or self._opened.published != published:
            self.close()
            self._opened = _Opened(self._lake if self._lake.is_pinned else self._lake.pinned(), published)
        return self._opened


class _Opened:
    """One publication of a lake: a connection to it, and the embeddings that were asked for."""

    def __init__(self, lake: Lake, published: tuple[int, int] | None) -> None:
        self.lake = lake
        self.published = published
        self._runs: list[runs.ModelRun] | None = None
        self._chosen: dict[str | None, str] = {}
        self._folders: dict[str, Path] = {}
        self._searched: dict[str, Searched] = {}
        # The vectors that fulfil a condition, and what is shown of tracks, by run.
        self._among: dict[tuple[str, str], np.ndarray] = {}
        self._shown: dict[str, tuple[str | None, ...]] = {}

    @cached_property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """What SQL is asked through; a question by an index does without."""
        return query.connect(self.lake)

    def close(self) -> None:
        """Let go of the connection."""
        if "connection" in self.__dict__:
            self.connection.close()

    def choose(self, model_or_run: str | None) -> str:
        """The run whose embeddings count."""
        if model_or_run not in self._chosen:
            self._chosen[model_or_run] = self._choose(model_or_run)
        return self._chosen[model_or_run]

    def _choose(self, model_or_run: str | None) -> str:
        embedded = indexed.runs(self.lake)
        if model_or_run is None and len(embedded) == 1:
            return embedded[0]
        if self._runs is None:
            self._runs = [run for run in runs.model_runs(self.connection) if run.run_id in embedded]
        found = runs.find(self._runs, model_or_run, what="model with embeddings")
        if found is None:
            raise PhonolakeError("the lake has no embeddings yet: `phonolake run` or `phonolake score` makes them")
        return found.run_id

    def searched(self, run_id: str) -> Searched:
        """The embeddings of a run, and its index as it lies there now."""
        known = self._searched.get(run_id)
        folder = self._folders.setdefault(run_id, indexed.folder(self.lake, run_id))
        if known is None or known.stamp != faiss_index.stamp(folder):
            known = self._searched[run_id] = Searched(self.lake, run_id)
            self._among.clear()
        return known

    def nearest(
        self, run_id: str, vector_D: np.ndarray, k: int, where: str | None, exclude: set[str]
    ) -> list[Neighbour]:
        """The k tracks whose vectors are nearest."""
        if where is not None and not where.strip():
            raise UsageError('an empty condition: leave --where out, or give one such as "year > 2000"')
        among = None if where is None else self._numbers(run_id, where)
        found = self.searched(run_id).nearest(vector_D, k, among=among, exclude=exclude)
        shown = self._describe(found)
        return [Neighbour(i, f.track_id, f.similarity, *shown[f.track_id]) for i, f in enumerate(found, start=1)]

    def _numbers(self, run_id: str, where: str) -> np.ndarray:
        """Numbers of the vectors whose tracks fulfil a condition."""
        searched = self.searched(run_id)
        if (run_id, where) not in self._among:
            if len(self._among) >= CONDITIONS:
                self._among.clear()
            self.connection.register(INDEXED, searched.table())
            matching = f"SELECT track_id FROM tracks WHERE (\n{where}\n)"
            sql = f"SELECT number FROM {INDEXED} SEMI JOIN ({matching}) USING (track_id)"
            found = query.arrow(query.select(self.connection, sql))
            self._among[run_id, where] = np.sort(found["number"].to_numpy())
        return self._among[run_id, where]

    def _describe(self, found: list[Found]) -> dict[str, tuple[str | None, ...]]:
        """Title, artist and labels of some tracks."""
        shown = {}
        for f in found:
            facts = f.piece.shown(f) or self._shown.get(f.track_id)
            if facts is not None:
                shown[f.track_id] = facts
        rest = [f.track_id for f in found if f.track_id not in shown]
        if rest:
            if len(self._shown) >= REMEMBERED:
                self._shown.clear()
            self._shown |= _look_up(self.connection, rest)
            shown |= {track_id: self._shown[track_id] for track_id in rest}
        return shown


def similar(
    lake: Lake, track_or_file: str, *, k: int = 10, where: str | None = None, model_or_run: str | None = None
) -> list[Neighbour]:
    """One question of `Searcher.similar`, after which all is closed."""
    with Searcher(lake) as searcher:
        return searcher.similar(track_or_file, k=k, where=where, model_or_run=model_or_run)


def similar_to_upload(
    lake: Lake, data: bytes, *, extension: str, k: int = 10, model_or_run: str | None = None
) -> list[Neighbour]:
    """One question of `Searcher.similar_to_upload`, after which all is closed."""
    with Searcher(lake) as searcher:
        return searcher.similar_to_upload(data, extension=extension, k=k, model_or_run=model_or_run)


def _embed_file(lake: Lake, connection: duckdb.DuckDBPyConnection, file: str, run_id: str) -> np.ndarray:
    if not Path(file).expanduser().is_file():
        _check_known(connection, file)
        raise PhonolakeError(f"{file!r} has no embedding by {run_id}: run `phonolake extract` and `phonolake score`")
    # Late: this brings torch, and neighbours of stored tracks need no network.
    from phonolake.inference import embedding, outside

    with outside.opened(file) as recording:
        return embedding.embed(lake, run_id, recording)


def _check_known(connection: duckdb.DuckDBPyConnection, track_or_file: str) -> None:
    try:
        tracks.check_known(connection, track_or_file)
    except UsageError as error:
        raise UsageError(f"{error}; and no file of that name") from error


def _same_content(connection: duckdb.DuckDBPyConnection, file: str) -> set[str]:
    """Tracks of the lake that are this very file."""
    with OnDisk(Path(file).expanduser()) as data:
        rows = connection.execute("SELECT DISTINCT track_id FROM audio WHERE sha256 = $1", [sha256(data)]).fetchall()
    found = {track_id for (track_id,) in rows}
    if found:
        say(f"The lake holds this very file, which is left out: {', '.join(sorted(found))}.")
    return found


def _look_up(connection: duckdb.DuckDBPyConnection, ids: list[str]) -> dict[str, tuple[str | None, ...]]:
    rows = connection.execute(
        "SELECT t.track_id, any_value(t.title), any_value(t.artist), "
        "string_agg(DISTINCT l.label, ', ' ORDER BY l.label) FROM tracks t "
        "LEFT JOIN labels l ON l.track_id = t.track_id AND l.value = 1 AND l.source = 'dataset' "
        "WHERE t.track_id IN (SELECT unnest($1::VARCHAR[])) GROUP BY t.track_id",
        [ids],
    ).fetchall()
    return dict.fromkeys(ids, (None, None, None)) | {track_id: tuple(rest) for track_id, *rest in rows}
