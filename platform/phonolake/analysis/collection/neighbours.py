"""Which tracks sound like one: by a stored track, or by an audio file never seen before."""

from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from phonolake.audio.encoded import OnDisk, sha256
from phonolake.errors import AudioError, PhonolakeError, UsageError
from phonolake.lookup import runs
from phonolake.progress import say
from phonolake.search import index as faiss_index
from phonolake.store import query, tracks
from phonolake.store.lake import Lake


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A track that sounds alike, with its cosine similarity in [-1, 1]."""

    rank: int
    track_id: str
    similarity: float
    title: str | None
    artist: str | None
    labels: str | None


def similar(
    lake: Lake, track_or_file: str, *, k: int = 10, where: str | None = None, model_or_run: str | None = None
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
    with query.connect(lake) as connection:
        run_id = _choose_run(connection, model_or_run)
        vector_D = _stored_embedding(connection, track_or_file, run_id)
        exclude = {track_or_file}
        if vector_D is None:
            vector_D = _embed_file(lake, connection, track_or_file, run_id)
            exclude = _same_content(connection, track_or_file)
        allowed = None if where is None else _matching(connection, where)
        found = _search_index(lake, run_id, vector_D, k, allowed, exclude)
        if found is None:
            found = _search_exactly(connection, run_id, vector_D, k, allowed, exclude)
        return _describe(connection, found)


def similar_to_upload(
    lake: Lake, data: bytes, *, extension: str, k: int = 10, model_or_run: str | None = None
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
        For an unknown model.
    PhonolakeError
        When the lake has no embeddings, or the audio cannot be decoded within the limits.
    """
    from phonolake.inference import embedding  # late: this brings torch
    from phonolake.inference.outside import Upload

    with query.connect(lake) as connection:
        run_id = _choose_run(connection, model_or_run)
        try:
            vector_D = embedding.embed(lake, run_id, Upload(data, extension))
        except AudioError as error:
            raise PhonolakeError(f"the upload cannot be used ({error})") from error
        found = _search_index(lake, run_id, vector_D, k, None, set())
        if found is None:
            found = _search_exactly(connection, run_id, vector_D, k, None, set())
        return _describe(connection, found)


def _choose_run(connection: duckdb.DuckDBPyConnection, model_or_run: str | None) -> str:
    found = runs.find(runs.with_embeddings(connection), model_or_run, what="model with embeddings")
    if found is None:
        raise PhonolakeError("the lake has no embeddings yet: `phonolake run` or `phonolake score` makes them")
    return found.run_id


def _stored_embedding(connection: duckdb.DuckDBPyConnection, track_id: str, run_id: str) -> np.ndarray | None:
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


def _matching(connection: duckdb.DuckDBPyConnection, where: str) -> set[str]:
    if not where.strip():
        raise UsageError('an empty condition: leave --where out, or give one such as "year > 2000"')
    rows = query.fetch(query.select(connection, f"SELECT track_id FROM tracks WHERE (\n{where}\n)"))
    return {track_id for (track_id,) in rows}


def _search_index(
    lake: Lake, run_id: str, vector_D: np.ndarray, k: int, allowed: set[str] | None, exclude: set[str]
) -> list[tuple[str, float]] | None:
    """Answer from FAISS; None when its index is missing, out of date, or found too few."""
    folder = lake.root / "indexes" / run_id
    card = faiss_index.read_card(folder)
    if card is None or card.get("files") != lake.shards_by_family("embeddings").get(run_id):
        say("No up-to-date index: searching exactly (`phonolake index` makes one).")
        return None
    index = faiss_index.load(folder)
    # More than asked for, since the track itself comes first.
    wanted = min(k + max(1, len(exclude)), len(index.track_ids))
    among = None
    if allowed is not None:
        among = np.array([n for n, track_id in enumerate(index.track_ids) if track_id in allowed], np.int64)
    found = faiss_index.search(index, vector_D, wanted, among=among)
    named = [(index.track_ids[n], s) for n, s in found if index.track_ids[n] not in exclude][:k]
    exist = (len(index.track_ids) if among is None else len(among)) - max(1, len(exclude))
    return named if index.exact or len(named) >= min(k, exist) else None


def _search_exactly(
    connection: duckdb.DuckDBPyConnection,
    run_id: str,
    vector_D: np.ndarray,
    k: int,
    allowed: set[str] | None,
    exclude: set[str],
) -> list[tuple[str, float]]:
    rows = connection.execute(
        "SELECT track_id, coalesce(nullif(list_cosine_similarity(embedding, $1::FLOAT[]), 'nan'), 0) AS similarity "
        "FROM embeddings "
        "WHERE run_id = $2 AND NOT list_contains($3::VARCHAR[], track_id) "
        "AND ($4 IS NULL OR track_id IN (SELECT unnest($4::VARCHAR[]))) "
        "ORDER BY similarity DESC, track_id LIMIT $5",
        [vector_D.tolist(), run_id, sorted(exclude), None if allowed is None else sorted(allowed), k],
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
