"""Which labels a network hears when: its probabilities for one piece of a track after the other.

Shape suffixes: S pieces, K labels, X the axes of a spectrogram before time, T frames.
"""

from dataclasses import dataclass

import duckdb
import numpy as np

from phonolake.errors import PhonolakeError, unknown
from phonolake.features import contract
from phonolake.store import tracks
from phonolake.store.lake import Lake

# Bounds the work: one pass of the network over this many pieces, however long the track is.
PIECES = 24
LEAST_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Taggram:
    """Probabilities over time.

    Parameters
    ----------
    starts : tuple of float
        Where each piece starts, in seconds; pieces are `piece_seconds` long.
    probabilities : ndarray of float32, shape (S, K)
        Probability of each label in each piece, in [0, 1].
    """

    run_id: str
    model: str
    labels: tuple[str, ...]
    starts: tuple[float, ...]
    piece_seconds: float
    probabilities: np.ndarray


def taggram(lake: Lake, connection: duckdb.DuckDBPyConnection, track_id: str, *, run: str | None = None) -> Taggram:
    """Score a track piece by piece with the newest network, or with the one of a run.

    Raises
    ------
    UsageError
        For a run that trained no network.
    PhonolakeError
        When no network was trained, or the track lacks the spectrogram that it reads.
    """
    from phonolake.models import storage  # late: it brings torch

    run_id, name, model_input = _network(connection, run)
    recipe = contract.spectrogram(model_input.partition(":")[2])
    spec_XT = tracks.read_spectrogram(connection, track_id, recipe.name)
    if spec_XT is None:
        tracks.check_known(connection, track_id)
        raise PhonolakeError(
            f"{track_id} has no {recipe.name}, which {name} reads: `phonolake extract --spectrogram {recipe.name}`"
        )
    model = storage.load(lake.root / "models" / run_id / "weights")
    n_frames = model.card["build"]["n_frames"]
    length, starts = pieces(spec_XT.shape[-1], n_frames, recipe.frames_per_second)
    # A piece that is shorter than the network was built for is repeated, as short clips are in training.
    place_T = np.arange(n_frames) % length
    x_SXT = np.stack([spec_XT[..., start + place_T] for start in starts]).astype(np.float32)
    seconds = tuple(start / recipe.frames_per_second for start in starts)
    return Taggram(run_id, name, model.classes, seconds, length / recipe.frames_per_second, model.predict(x_SXT))


def pieces(n_total: int, n_frames: int, frames_per_second: float) -> tuple[int, list[int]]:
    """Length of a piece in frames, and where the pieces start.

    Pieces lie side by side. There are at most 24, none is shorter than a second (unless the track is) nor longer than
    `n_frames`, which the network was built for; in a very long track they are spread evenly.
    """
    length = min(n_total, n_frames, max(round(LEAST_SECONDS * frames_per_second), -(-n_total // PIECES)))
    n = min(PIECES, n_total // length)
    return length, [round(k * n_total / n) if n * length < n_total - length else k * length for k in range(n)]


def _network(connection: duckdb.DuckDBPyConnection, run: str | None) -> tuple[str, str, str]:
    from phonolake.models import registry

    rows = connection.execute(
        "SELECT m.run_id, m.model, m.input FROM models m JOIN runs r USING (run_id) WHERE len(m.labels) > 0 "
        "AND m.input LIKE 'spectrogram:%' ORDER BY r.finished_at DESC, m.run_id"
    ).fetchall()
    known = {card.name for card in registry.cards() if card.kind == "network"}
    networks = [row for row in rows if row[1] in known]
    for row in networks:
        if run in (None, row[0]):
            return row
    if run is not None:
        raise unknown("network run", run, [run_id for run_id, *_ in networks])
    raise PhonolakeError("labels over time come from a network, and none was trained: `phonolake train k2c2`")
