"""Score the rows of one shard with a stored model: a clip's answer is the mean over its windows.

Shape suffixes: W windows, F bands, T frames, N tracks, D features, K classes, E embedding values.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from phonolake.models.storage import LoadedModel
from phonolake.training.batches import read_spectrograms
from phonolake.training.crops import windows

# Windows of one track that go through the network at once: an hour of music does not fill the memory.
WINDOWS = 64


@dataclass(frozen=True, slots=True)
class Scored:
    """Probabilities (K,) in the order of the model's classes, and the embedding (E,) where it has one."""

    track_id: str
    probabilities: np.ndarray
    embedding: np.ndarray | None


def score_shard(model: LoadedModel, path: Path, columns: Sequence[str]) -> Iterator[Scored]:
    """Score every track of a shard.

    Parameters
    ----------
    model : LoadedModel
    path : Path
        A shard of the spectrogram or the feature set that the model reads.
    columns : sequence of str
        Names of the features; empty for a spectrogram.
    """
    yield from _score_features(model, path, columns) if columns else _score_spectrograms(model, path)


def score_spectrogram(model: LoadedModel, track_id: str, spec_FT: np.ndarray) -> Scored:
    """Score one spectrogram of any length."""
    windows_WFT = windows(spec_FT, model.card["build"]["n_frames"]).astype(np.float32)
    probabilities, embeddings = [], []
    for start in range(0, len(windows_WFT), WINDOWS):
        p_WK, e_WE = model.predict_and_embed(windows_WFT[start : start + WINDOWS])
        probabilities.append(p_WK)
        if e_WE is not None:
            embeddings.append(e_WE)
    embedding = np.concatenate(embeddings).mean(axis=0) if embeddings else None
    return Scored(track_id, np.concatenate(probabilities).mean(axis=0), embedding)


def read_features(path: Path, columns: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Track ids and x_ND of one shard."""
    table = pq.read_table(path, columns=["track_id", *columns])
    x_ND = np.column_stack([table[name].to_numpy() for name in columns])
    return table["track_id"].to_pylist(), x_ND


def _score_spectrograms(model: LoadedModel, path: Path) -> Iterator[Scored]:
    for group in range(pq.ParquetFile(path).num_row_groups):
        for track_id, spec_FT in read_spectrograms(path, group):
            yield score_spectrogram(model, track_id, spec_FT)


def _score_features(model: LoadedModel, path: Path, columns: Sequence[str]) -> Iterator[Scored]:
    track_ids, x_ND = read_features(path, columns)
    if not track_ids:
        return
    p_NK, e_NE = model.predict_and_embed(x_ND)
    for n, track_id in enumerate(track_ids):
        yield Scored(track_id, p_NK[n], None if e_NE is None else e_NE[n])
