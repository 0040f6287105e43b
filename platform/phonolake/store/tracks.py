"""Read one track: its audio and its spectrogram, without the rest of a shard."""

from dataclasses import dataclass

import duckdb
import numpy as np

from phonolake.errors import AudioError, UsageError


@dataclass(frozen=True, slots=True)
class StoredAudio:
    """Encoded bytes as received, and their container (``MP3``, ``OGG`` ...)."""

    data: bytes
    container: str
    sr: int


def check_known(connection: duckdb.DuckDBPyConnection, track_id: str) -> None:
    """Raise a `UsageError` for an unknown track; it gives a known id as an example."""
    if connection.execute("SELECT 1 FROM tracks WHERE track_id = $1 LIMIT 1", [track_id]).fetchall():
        return
    some = connection.execute("SELECT min(track_id) FROM tracks").fetchall()[0][0]
    example = f"; ids look like {some!r}" if some else "; the lake is empty"
    raise UsageError(f"no track {track_id!r} in the lake{example}")


def read_audio(connection: duckdb.DuckDBPyConnection, track_id: str, *, most_bytes: int | None = None) -> StoredAudio:
    """The whole encoded audio of a track, in memory.

    Parameters
    ----------
    most_bytes : int, optional
        Refuse larger files.

    Raises
    ------
    UsageError
        For an unknown track.
    AudioError
        ``too-large``.
    """
    rows = connection.execute(
        "SELECT container, sr, source_bytes, piece FROM audio WHERE track_id = $1 ORDER BY piece", [track_id]
    ).fetchall()
    if not rows:
        check_known(connection, track_id)
        raise UsageError(f"the lake holds no audio of {track_id!r}")
    container, sr, size, _ = rows[0]
    if most_bytes is not None and size > most_bytes:
        raise AudioError(
            "too-large", f"{track_id} has {size >> 20} MiB, and at most {most_bytes >> 20} are read at once"
        )
    # One by one, so that DuckDB holds only one piece.
    parts = [
        connection.execute(
            "SELECT bytes FROM audio WHERE track_id = $1 AND coalesce(piece, 0) = $2", [track_id, piece or 0]
        ).fetchall()[0][0]
        for *_, piece in rows
    ]
    return StoredAudio(parts[0] if len(parts) == 1 else b"".join(parts), container, sr)


def read_spectrogram(connection: duckdb.DuckDBPyConnection, track_id: str, spectrogram: str) -> np.ndarray | None:
    """The stored spectrogram of a track (the first one, if it has segments), or None if it was not extracted.

    Returns
    -------
    np.ndarray of float32, shape (bands, frames) or (channels, bands, frames)
    """
    rows = connection.execute(
        "SELECT data, coalesce(n_channels, 1), n_bands, n_frames FROM spectrograms "
        "WHERE track_id = $1 AND spectrogram = $2 ORDER BY start_seconds LIMIT 1",
        [track_id, spectrogram],
    ).fetchall()
    if not rows:
        return None
    data, n_channels, *shape = rows[0]
    return np.frombuffer(data, "<f2").reshape(*([n_channels] if n_channels > 1 else []), *shape).astype(np.float32)
