"""Score the rows of one shard with a stored model: a clip's answer is the mean over its windows.

Shape suffixes: W windows, X any axes, T steps in time, N tracks, D features, K classes, E embedding values.
"""

from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from phonolake.errors import UsageError
from phonolake.models.loaded import EMBEDDING, LoadedModel, LoadedNetwork
from phonolake.training import inputs, intake
from phonolake.training.crops import window_starts, windows
from phonolake.training.inputs import TrackInput, Waveforms
from phonolake.training.intake import Intake
from phonolake.training.prefetch import prefetched

# Windows that go through the network at once: short tracks are scored together, and an hour of music does not fill the
# memory.
TOGETHER, WINDOWS = 16, 64

# Track id, windows_WXT, and the first step of each window.
Cut = tuple[str, np.ndarray, list[int]]


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
    window_activations : ndarray, shape (W, channels), or None
        What the layer that was asked for gives for each window.
    starts : list of int
        First step of each window.
    """

    track_id: str
    probabilities: np.ndarray
    embedding: np.ndarray | None
    window_activations: np.ndarray | None = None
    starts: list[int] = field(default_factory=list)


def score_shard(
    model: LoadedModel,
    path: Path,
    columns: Sequence[str],
    kind: TrackInput | None,
    wanted: Set[str] | None = None,
    layer: str | None = None,
) -> Iterator[Scored]:
    """Score the tracks of a shard.

    Parameters
    ----------
    model : LoadedModel
    path : Path
        A shard of what the model reads.
    columns : sequence of str
        Names of the columns of numbers, or of lists of numbers; empty for a network. Where a track has several rows,
        one for each segment of it, its answer is their mean.
    kind : TrackInput or None
        What a network reads.
    wanted : set of str, optional
        Ids of the tracks to score; all of them by default.
    layer : str, optional
        Layer of a network whose activations are wanted too; see `LoadedNetwork.listening`.
    """
    if kind is None:
        return _score_features(model, path, columns, wanted)
    return _score_tracks(model, path, kind, wanted, layer)


def score_track(model: LoadedModel, track_id: str, x_XT: np.ndarray, kind: TrackInput) -> Scored:
    """Score one track of any length, as it comes from `kind`."""
    (scored,) = _score_together(model, [_cut(model, track_id, x_XT, kind)], None)
    return scored


def _cut(model: LoadedModel, track_id: str, x_XT: np.ndarray, kind: TrackInput) -> Cut:
    n_steps = model.card["build"]["n_frames"]
    # Waveforms are cut as they were published, side by side; the rest of a spectrogram gets a window of its own, unless
    # the card says otherwise.
    whole = isinstance(kind, Waveforms) or model.card.get("windows") == "whole"
    starts = window_starts(x_XT.shape[-1], n_steps, whole=whole)
    return track_id, windows(x_XT, n_steps, whole=whole), starts


def _gathered(tracks: Iterable[Cut]) -> Iterator[list[Cut]]:
    """Tracks in groups of `TOGETHER` windows or a little more."""
    waiting: list[Cut] = []
    for track in tracks:
        waiting.append(track)
        if sum(len(starts) for *_, starts in waiting) >= TOGETHER:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def _score_together(model: LoadedModel, tracks: Sequence[Cut], layer: str | None) -> Iterator[Scored]:
    x_WXT = np.concatenate([x for _, x, _ in tracks])
    with _listening(model, layer) as heard:
        answers = [
            model.predict_and_embed(_ready(model, x_WXT[n : n + WINDOWS].astype(np.float32)))
            for n in range(0, len(x_WXT), WINDOWS)
        ]
    p_WK = np.concatenate([p for p, _ in answers])
    embeddings = [e for _, e in answers if e is not None]
    e_WE = np.concatenate(embeddings) if embeddings else None
    activations = e_WE if layer == EMBEDDING else np.concatenate(heard) if heard else None
    first = 0
    for track_id, _, starts in tracks:
        own = slice(first, first + len(starts))
        first += len(starts)
        embedding = None if e_WE is None else e_WE[own].mean(axis=0)
        kept = None if activations is None else activations[own]
        yield Scored(track_id, p_WK[own].mean(axis=0), embedding, kept, starts)


def _ready(model: LoadedModel, x: np.ndarray) -> np.ndarray:
    """What the network reads: with the preprocessing that it was trained with, computed where it computes."""
    found = intake.of_card(model.card)
    if not isinstance(model, LoadedNetwork) or found == Intake():
        return x
    ready: np.ndarray = found.read(torch.from_numpy(x).to(model.device)).cpu().numpy()
    return ready


def _listening(model: LoadedModel, layer: str | None) -> AbstractContextManager[list[np.ndarray]]:
    if layer in (None, EMBEDDING):
        return nullcontext([])
    if not isinstance(model, LoadedNetwork):
        raise UsageError(f"{model.card['model']} has no layers: leave --layer out")
    return model.listening(layer)


def read_features(path: Path, columns: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Track ids and x_ND of one shard, row by row; a column of lists gives as many values as they hold."""
    table = pq.read_table(path, columns=["track_id", *columns])
    x_ND = np.column_stack([_numbers(table[name].combine_chunks()) for name in columns])
    return table["track_id"].to_pylist(), x_ND


def _numbers(column: pa.Array) -> np.ndarray:
    if not pa.types.is_list(column.type):
        values: np.ndarray = column.to_numpy(zero_copy_only=False)
        return values
    return column.flatten().to_numpy().reshape(len(column), -1) if len(column) else np.zeros((0, 0))


def _score_tracks(
    model: LoadedModel, path: Path, kind: TrackInput, wanted: Set[str] | None, layer: str | None
) -> Iterator[Scored]:
    groups = range(pq.ParquetFile(path).num_row_groups)
    tracks = (track for group in groups for track in inputs.tracks(path, group, kind, wanted))
    for together in _gathered(prefetched(tracks, lambda track: _cut(model, *track, kind))):
        yield from _score_together(model, together, layer)


def _score_features(
    model: LoadedModel, path: Path, columns: Sequence[str], wanted: Set[str] | None
) -> Iterator[Scored]:
    track_ids, x_ND = read_features(path, columns)
    if wanted is not None:
        held = [n for n, track_id in enumerate(track_ids) if track_id in wanted]
        track_ids, x_ND = [track_ids[n] for n in held], x_ND[held]
    if not track_ids:
        return
    p_NK, e_NE = model.predict_and_embed(x_ND)
    rows: dict[str, list[int]] = {}
    for n, track_id in enumerate(track_ids):
        rows.setdefault(track_id, []).append(n)
    for track_id, own in rows.items():
        yield Scored(track_id, p_NK[own].mean(axis=0), None if e_NE is None else e_NE[own].mean(axis=0))
