"""Audio files whose neighbours are wanted: where they are, their vectors, and the tracks with the same content."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import numpy as np

from phonolake.analysis.collection.published import Publication
from phonolake.audio.encoded import OnDisk, sha256
from phonolake.errors import PhonolakeError, UsageError
from phonolake.progress import say
from phonolake.records import Seconds
from phonolake.search.vectors import unit
from phonolake.store import mirror, tracks
from phonolake.store.lake import Lake


@contextmanager
def opened(published: Publication, name: str, run_id: str) -> Iterator[str]:
    """The path of a file that is no track with an embedding; one at an address is downloaded while the block runs."""
    if published.files and mirror.is_remote(name):
        with mirror.brought(name) as path:
            yield str(path)
        return
    if not published.files:
        tracks.check_known(published.connection, name)
    elif not Path(name).expanduser().is_file():
        _check_known(published.connection, name)
    if not published.files or not Path(name).expanduser().is_file():
        raise PhonolakeError(f"{name!r} has no embedding by {run_id}: run `phonolake extract` and `phonolake score`")
    yield name


def embed_file(lake: Lake, run_id: str, path: str, span: tuple[float, float] | None = None) -> np.ndarray:
    """The unit vector of a file, or of a part of it from a start to an end in seconds, by the model of a run."""
    # Late: this brings torch, and neighbours of stored tracks need no network.
    from phonolake.inference import embedding, outside

    with outside.opened(path) as recording:
        part = recording if span is None else outside.Excerpt(recording, *map(Seconds, span))
        return unit(embedding.embed(lake, run_id, part)[None])[0]


def _check_known(connection: duckdb.DuckDBPyConnection, track_or_file: str) -> None:
    try:
        tracks.check_known(connection, track_or_file)
    except UsageError as error:
        raise UsageError(f"{error}; and no file of that name") from error


def same_content(connection: duckdb.DuckDBPyConnection, file: str) -> set[str]:
    """Tracks of the lake that are this very file."""
    with OnDisk(Path(file).expanduser()) as data:
        rows = connection.execute("SELECT DISTINCT track_id FROM audio WHERE sha256 = $1", [sha256(data)]).fetchall()
    found = {track_id for (track_id,) in rows}
    if found:
        say(f"The lake holds this very file, which is left out: {', '.join(sorted(found))}.")
    return found
