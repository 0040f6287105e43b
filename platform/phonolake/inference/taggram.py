"""Labels over time: a network's probabilities for consecutive pieces of a track.

Shape suffixes: S pieces, K labels, X the axes of an input before time, T steps.
"""

from dataclasses import dataclass

import numpy as np

from phonolake.errors import UsageError
from phonolake.inference.predictor import Predictor
from phonolake.inference.series_inputs import SeriesInput

# Limits the work: one pass of the network over this many pieces, however long the track is.
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

    labels: tuple[str, ...]
    starts: tuple[float, ...]
    piece_seconds: float
    probabilities: np.ndarray


def taggram(predictor: Predictor, x_XT: np.ndarray) -> Taggram:
    """Apply a network to a track piece by piece.

    Parameters
    ----------
    predictor : Predictor
    x_XT : ndarray
        The track as the network's input.

    Raises
    ------
    UsageError
        For a model whose input has no time axis.
    """
    read = predictor.input
    if not isinstance(read, SeriesInput):
        raise UsageError(f"{predictor.model.card['model']} reads {read.text}: it cannot give labels over time")
    length, starts = pieces(x_XT.shape[-1], predictor.window, read.steps_per_second)
    # A piece shorter than the network's input is repeated, like short clips in training.
    place_T = np.arange(predictor.window) % length
    x_SXT = np.stack([x_XT[..., start + place_T] for start in starts]).astype(np.float32)
    seconds = tuple(start / read.steps_per_second for start in starts)
    return Taggram(predictor.classes, seconds, length / read.steps_per_second, predictor.score_windows(x_SXT))


def pieces(n_total: int, n_frames: int, frames_per_second: float) -> tuple[int, list[int]]:
    """Length of a piece in steps, and the starts of the pieces.

    Pieces lie side by side. There are at most 24, none is shorter than a second (unless the track is) nor longer than
    `n_frames`, the network's input; in a very long track they are evenly spaced.
    """
    length = min(n_total, n_frames, max(round(LEAST_SECONDS * frames_per_second), -(-n_total // PIECES)))
    n = min(PIECES, n_total // length)
    return length, [round(k * n_total / n) if n * length < n_total - length else k * length for k in range(n)]
