"""Query vectors: of a stored track, of an audio file, or of a part of either.

Shape suffixes: D numbers.
"""

from pathlib import Path

import duckdb
import numpy as np

from phonolake.analysis.collection.published import Publication
from phonolake.audio.encoded import OnDisk, sha256
from phonolake.errors import AudioError, PhonolakeError, UsageError
from phonolake.lookup.searched import Searched
from phonolake.progress import say
from phonolake.records import Seconds
from phonolake.search.vectors import unit
from phonolake.store import tracks


def of_track_or_file(opened: Publication, searched: Searched, track_or_file: str, exclude: set[str]) -> np.ndarray:
    """The vector of a track or file; identical tracks are excluded."""
    vector_D = searched.vector(track_or_file)
    if vector_D is not None:
        exclude.add(track_or_file)
        return vector_D
    vector_D = unit(_embed_file(opened, track_or_file, searched.run_id)[None])[0]
    exclude |= _same_content(opened.connection, track_or_file)
    return vector_D


def of_part(
    opened: Publication, searched: Searched, track_or_file: str, span: tuple[float, float], exclude: set[str]
) -> np.ndarray:
    """The vector of a part of a track or file, by the model of a run; the whole is excluded."""
    from phonolake.inference import embedding, outside  # late: this brings torch

    start, end = map(Seconds, span)
    run_id = searched.run_id
    if searched.vector(track_or_file) is None:
        _check_file(opened, track_or_file, run_id)
        exclude |= _same_content(opened.connection, track_or_file)
        with outside.opened(track_or_file) as recording:
            return unit(embedding.embed(opened.lake, run_id, outside.Excerpt(recording, start, end))[None])[0]
    exclude.add(track_or_file)
    try:
        stored = outside.RecordingFile(tracks.read_audio(opened.connection, track_or_file).data, end)
        return unit(embedding.embed(opened.lake, run_id, outside.Excerpt(stored, start, end))[None])[0]
    except AudioError as error:
        raise PhonolakeError(f"{track_or_file} cannot be used ({error})") from error


def _embed_file(opened: Publication, file: str, run_id: str) -> np.ndarray:
    _check_file(opened, file, run_id)
    # Late: this imports torch, and neighbours of stored tracks need no network.
    from phonolake.inference import embedding, outside

    with outside.opened(file) as recording:
        return embedding.embed(opened.lake, run_id, recording)


def _check_file(opened: Publication, file: str, run_id: str) -> None:
    if not opened.files:
        tracks.check_known(opened.connection, file)
    elif not Path(file).expanduser().is_file():
        _check_known(opened.connection, file)
    if not opened.files or not Path(file).expanduser().is_file():
        raise PhonolakeError(f"{file!r} has no embedding by {run_id}: run `phonolake extract` and `phonolake score`")


def _check_known(connection: duckdb.DuckDBPyConnection, track_or_file: str) -> None:
    try:
        tracks.check_known(connection, track_or_file)
    except UsageError as error:
        raise UsageError(f"{error}; and no file of that name") from error


def _same_content(connection: duckdb.DuckDBPyConnection, file: str) -> set[str]:
    """Tracks of the lake with the same bytes as this file."""
    with OnDisk(Path(file).expanduser()) as data:
        rows = connection.execute("SELECT DISTINCT track_id FROM audio WHERE sha256 = $1", [sha256(data)]).fetchall()
    found = {track_id for (track_id,) in rows}
    if found:
        say(f"The lake holds this very file, which is left out: {', '.join(sorted(found))}.")
    return found
