"""Score the rows of one shard with a stored model: a clip's answer is the mean over its windows.

Shape suffixes: W windows, X any axes, T steps in time, N tracks, D features, K classes, E embedding values.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from phonolake.models.storage import LoadedModel
from phonolake.training import inputs
from phonolake.training.crops import whole_windows, windows
from phonolake.training.inputs import TrackInput, Waveforms
from phonolake.training.prefetch import prefetched

# Windows of one track that go through the network at once: an hour of music does not fill the memory.
WINDOWS = 64


@dataclass(frozen=True, slots=True)
class Scored:
    """What a model says about a track.

    Parameters
    ----------
    track_id : str
    probabilities : ndarray, shape (K,)
        In the order of the model's classes.
    embedding : ndarray, shape (E,), or None
        Where the model has one: mean over the windows.
    p_WK, e_WE : ndarray or None
        The same of each window; None for models of features, which know no windows.
    """

    track_id: str
    probabilities: np.ndarray
    embedding: np.ndarray | None
    p_WK: np.ndarray | None = None
    e_WE: np.ndarray | None = None


def score_shard(model: LoadedModel, path: Path, columns: Sequence[str], kind: TrackInput | None) -> Iterator[Scored]:
    """Score every track of a shard.

    Parameters
    ----------
    model : LoadedModel
    path : Path
        A shard of what the model reads.
    columns : sequence of str
        Names of the features; empty for a network.
    kind : TrackInput or None
        What a network reads.
    """
    return _score_features(model, path, columns) if kind is None else _score_tracks(model, path, kind)


def score_spectrogram(model: LoadedModel, track_id: str, spec_FT: np.ndarray) -> Scored:
    """Score one spectrogram of any length."""
    return score_windows(model, track_id, windows(spec_FT, model.card["build"]["n_frames"]))


def score_windows(model: LoadedModel, track_id: str, x_WXT: np.ndarray) -> Scored:
    """Score a track by its windows."""
    probabilities, embeddings = [], []
    for start in range(0, len(x_WXT), WINDOWS):
        p_WK, e_WE = model.predict_and_embed(x_WXT[start : start + WINDOWS].astype(np.float32))
        probabilities.append(p_WK)
        if e_WE is not None:
            embeddings.append(e_WE)
    all_p_WK = np.concatenate(probabilities)
    all_e_WE = np.concatenate(embeddings) if embeddings else None
    embedding = None if all_e_WE is None else all_e_WE.mean(axis=0)
    return Scored(track_id, all_p_WK.mean(axis=0), embedding, all_p_WK, all_e_WE)


def window_starts(kind: TrackInput, n_received: int, n_steps: int) -> list[int]:
    """First step of each window that `score_shard` takes; see `_cut`."""
    return list(range(0, max(n_steps, n_received) - n_steps + 1, n_steps)) if isinstance(kind, Waveforms) else []


def read_features(path: Path, columns: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Track ids and x_ND of one shard."""
    table = pq.read_table(path, columns=["track_id", *columns])
    x_ND = np.column_stack([table[name].to_numpy() for name in columns])
    return table["track_id"].to_pylist(), x_ND


def _score_tracks(model: LoadedModel, path: Path, kind: TrackInput) -> Iterator[Scored]:
    n_steps = model.card["build"]["n_frames"]
    groups: Iterable[int] = range(pq.ParquetFile(path).num_row_groups)
    whole = (track for group in groups for track in inputs.tracks(path, group, kind))
    # Waveforms are cut as they were published, side by side; the rest of a spectrogram gets a window of its own.
    cut = whole_windows if isinstance(kind, Waveforms) else windows

    def prepare(track: tuple[str, np.ndarray]) -> tuple[str, np.ndarray]:
        return track[0], cut(track[1], n_steps)

    for track_id, x_WXT in prefetched(whole, prepare):
        yield score_windows(model, track_id, x_WXT)


def _score_features(model: LoadedModel, path: Path, columns: Sequence[str]) -> Iterator[Scored]:
    track_ids, x_ND = read_features(path, columns)
    if not track_ids:
        return
    p_NK, e_NE = model.predict_and_embed(x_ND)
    for n, track_id in enumerate(track_ids):
        yield Scored(track_id, p_NK[n], None if e_NE is None else e_NE[n])
