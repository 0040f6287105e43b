"""The vectors that a question searches for: of a stored track, of an audio file, or of a part of either.

Shape suffixes: D values.
"""

import numpy as np

from phonolake.analysis.collection import heard_files
from phonolake.analysis.collection.published import Publication
from phonolake.errors import AudioError, PhonolakeError
from phonolake.lookup.searched import Searched
from phonolake.records import Seconds
from phonolake.search.vectors import unit
from phonolake.store import tracks


def of_track_or_file(opened: Publication, searched: Searched, track_or_file: str, exclude: set[str]) -> np.ndarray:
    """The vector of a track or file; identical tracks are excluded."""
    vector_D = searched.vector(track_or_file)
    if vector_D is not None:
        exclude.add(track_or_file)
        return vector_D
    with heard_files.opened(opened, track_or_file, searched.run_id) as path:
        vector_D = heard_files.embed_file(opened.lake, searched.run_id, path)
        exclude |= heard_files.same_content(opened.connection, path)
    return vector_D


def of_part(
    opened: Publication, searched: Searched, track_or_file: str, span: tuple[float, float], exclude: set[str]
) -> np.ndarray:
    """The vector of a part of a track or file, by the model of a run; the whole is excluded."""
    run_id = searched.run_id
    if searched.vector(track_or_file) is None:
        with heard_files.opened(opened, track_or_file, run_id) as path:
            exclude |= heard_files.same_content(opened.connection, path)
            return heard_files.embed_file(opened.lake, run_id, path, span)
    from phonolake.inference import embedding, outside  # late: this brings torch

    start, end = map(Seconds, span)
    exclude.add(track_or_file)
    try:
        stored = outside.RecordingFile(tracks.read_audio(opened.connection, track_or_file).data, end)
        return unit(embedding.embed(opened.lake, run_id, outside.Excerpt(stored, start, end))[None])[0]
    except AudioError as error:
        raise PhonolakeError(f"{track_or_file} cannot be used ({error})") from error
