"""Which tracks sound like one: by a stored track, or by an audio file never seen before."""

import threading
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from phonolake.audio.encoded import OnDisk, sha256
from phonolake.errors import AudioError, PhonolakeError, UsageError
from phonolake.lookup import runs
from phonolake.progress import say
from phonolake.search import index as faiss_index
from phonolake.search.index import Index
from phonolake.store import query, tracks
from phonolake.store.lake import Lake

# Tables of a connection that only conditions are joined with.
INDEXED, ALLOWED = "indexed_tracks", "allowed_tracks"


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
                self._opened.connection.close()
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
            index = opened.index(run_id)
            vector_D = _stored_embedding(opened.connection, index, track_or_file, run_id)
            exclude = {track_or_file}
            if vector_D is None:
                vector_D = _embed_file(opened.lake, opened.connection, track_or_file, run_id)
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
                vector_D = embedding.embed(opened.lake, run_id, Upload(data, extension))
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
    """One publication of a lake: a connection to it, and the indexes that were asked for."""

    def __init__(self, lake: Lake, published: tuple[int, int] | None) -> None:
        self.lake = lake
        self.published = published
        self.connection = query.connect(lake)
        self._runs: list[runs.ModelRun] | None = None
        self._indexes: dict[str, tuple[tuple[int, int], Index]] = {}

    def choose(self, model_or_run: str | None) -> str:
        """The run whose embeddings count."""
        if self._runs is None:
            self._runs = runs.with_embeddings(self.connection)
        found = runs.find(self._runs, model_or_run, what="model with embeddings")
        if found is None:
            raise PhonolakeError("the lake has no embeddings yet: `phonolake run` or `phonolake score` makes them")
        return found.run_id

    def index(self, run_id: str) -> Index | None:
        """The index of a run as it lies there now; None when it is missing or out of date."""
        folder = self.lake.root / "indexes" / run_id
        stamp = faiss_index.stamp(folder)
        known = self._indexes.pop(run_id, None)
        if stamp is None:
            return None
        if known is None or known[0] != stamp:
            card = faiss_index.read_card(folder)
            if card is None or card.get("files") != self.lake.shards_by_family("embeddings").get(run_id):
                return None
            known = stamp, faiss_index.load(folder)
        self._indexes[run_id] = known
        return known[1]

    def nearest(
        self, run_id: str, vector_D: np.ndarray, k: int, where: str | None, exclude: set[str]
    ) -> list[Neighbour]:
        """The k tracks whose vectors are nearest."""
        if where is not None and not where.strip():
            raise UsageError('an empty condition: leave --where out, or give one such as "year > 2000"')
        index = self.index(run_id)
        if index is None:
            say("No up-to-date index: searching exactly (`phonolake index` makes one).")
            found = _search_exactly(self.connection, run_id, vector_D, k, where, exclude)
        else:
            among = None if where is None else _numbers(self.connection, index, where)
            # More than asked for, since the track itself comes first.
            nearest = faiss_index.search(index, vector_D, k + len(exclude), among=among)
            named = zip(index.ids.at(n for n, _ in nearest), (s for _, s in nearest), strict=True)
            found = [(track_id, s) for track_id, s in named if track_id not in exclude][:k]
        return _describe(self.connection, found)


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


def _stored_embedding(
    connection: duckdb.DuckDBPyConnection, index: Index | None, track_id: str, run_id: str
) -> np.ndarray | None:
    number = None if index is None else index.ids.number(track_id)
    if index is not None:
        return None if number is None else index.vector(number)
    rows = connection.execute(
        "SELECT embedding FROM embeddings WHERE track_id = $1 AND run_id = $2", [track_id, run_id]
    ).fetchall()
    return np.array(rows[0][0], np.float32) if rows else None


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


def _numbers(connection: duckdb.DuckDBPyConnection, index: Index, where: str) -> np.ndarray:
    """Numbers of the vectors whose tracks fulfil a condition."""
    connection.register(INDEXED, index.ids.table())
    found = query.arrow(
        query.select(connection, f"SELECT number FROM {INDEXED} SEMI JOIN ({_matching(where)}) USING (track_id)")
    )
    return np.sort(found["number"].to_numpy())


def _matching(where: str) -> str:
    return f"SELECT track_id FROM tracks WHERE (\n{where}\n)"


def _search_exactly(
    connection: duckdb.DuckDBPyConnection,
    run_id: str,
    vector_D: np.ndarray,
    k: int,
    where: str | None,
    exclude: set[str],
) -> list[tuple[str, float]]:
    if where is not None:
        connection.register(ALLOWED, query.arrow(query.select(connection, _matching(where))))
    among = "" if where is None else f"AND track_id IN (SELECT track_id FROM {ALLOWED}) "
    rows = connection.execute(
        "SELECT track_id, coalesce(nullif(list_cosine_similarity(embedding, $1::FLOAT[]), 'nan'), 0) AS similarity "
        "FROM embeddings "
        "WHERE run_id = $2 AND NOT list_contains($3::VARCHAR[], track_id) "
        f"{among}ORDER BY similarity DESC, track_id LIMIT $4",
        [vector_D.tolist(), run_id, sorted(exclude), k],
    ).fetchall()
    return [(track_id, similarity) for track_id, similarity in rows]


def _describe(connection: duckdb.DuckDBPyConnection, found: list[tuple[str, float]]) -> list[Neighbour]:
    ids = [track_id for track_id, _ in found]
    rows = connection.execute(
        "SELECT t.track_id, any_value(t.title), any_value(t.artist), "
        "string_agg(DISTINCT l.label, ', ' ORDER BY l.label) FROM tracks t "
        "LEFT JOIN labels l ON l.track_id = t.track_id AND l.value = 1 AND l.source = 'dataset' "
        "WHERE t.track_id IN (SELECT unnest($1::VARCHAR[])) GROUP BY t.track_id",
        [ids],
    ).fetchall()
    facts = {track_id: rest for track_id, *rest in rows}
    return [Neighbour(rank, t, s, *facts.get(t, (None,) * 3)) for rank, (t, s) in enumerate(found, start=1)]
