"""Batches of spectrogram crops, streamed from shards: memory holds a few row groups, whatever the number of tracks.

Shape suffixes: B batch, F bands, T frames.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from phonolake.training.crops import crop_rng, random_crop, windows

# Crops that wait to be drawn: enough to mix the tracks of several row groups.
POOL = 256


class SpectrogramBatches:
    """Spectrograms of labelled tracks in a set of shards.

    Parameters
    ----------
    files : sequence of Path
        Spectrogram shards.
    targets : mapping
        Class number by track id; other tracks are passed over.
    n_frames : int
        Length of a crop in frames.
    batch_size : int
    seed : int
        Decides order and crops, together with the epoch.
    """

    def __init__(
        self, files: Sequence[Path], targets: Mapping[str, int], *, n_frames: int, batch_size: int, seed: int
    ) -> None:
        self.targets = targets
        self.n_frames = n_frames
        self.batch_size = batch_size
        self.seed = seed
        self._groups: list[tuple[Path, int]] = []
        self._found: set[str] = set()
        for file in files:
            reader = pq.ParquetFile(file)
            for group in range(reader.num_row_groups):
                held = targets.keys() & set(reader.read_row_group(group, ["track_id"])["track_id"].to_pylist())
                self._found |= held
                if held:
                    self._groups.append((file, group))

    def __len__(self) -> int:
        """Number of tracks that have both a target and a spectrogram."""
        return len(self._found)

    def training(self, epoch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Batches (x_BFT float32, y_B int64) of one random crop of each track, in an order of the epoch's own."""
        rng = np.random.default_rng([self.seed, epoch])
        pool: list[tuple[np.ndarray, int]] = []
        batch: list[tuple[np.ndarray, int]] = []
        for index in rng.permutation(len(self._groups)):
            for track_id, spec_FT in read_spectrograms(*self._groups[index]):
                if track_id not in self.targets:
                    continue
                crop_FT = random_crop(spec_FT, self.n_frames, crop_rng(self.seed, epoch, track_id))
                pool.append((crop_FT.astype(np.float32), self.targets[track_id]))
                if len(pool) > POOL:
                    batch.append(_draw(pool, rng))
                if len(batch) == self.batch_size:
                    yield _stack(batch)
                    batch = []
        while pool:
            batch.append(_draw(pool, rng))
            if len(batch) == self.batch_size or not pool:
                yield _stack(batch)
                batch = []

    def validation(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Batches of the middle window of each track, always the same."""
        batch: list[tuple[np.ndarray, int]] = []
        for file, group in self._groups:
            for track_id, spec_FT in read_spectrograms(file, group):
                if track_id in self.targets:
                    middle = windows(spec_FT, self.n_frames)
                    batch.append((middle[len(middle) // 2].astype(np.float32), self.targets[track_id]))
                if len(batch) == self.batch_size:
                    yield _stack(batch)
                    batch = []
        if batch:
            yield _stack(batch)


def read_spectrograms(file: Path, group: int) -> Iterator[tuple[str, np.ndarray]]:
    """Track ids and spectrograms (float16, shape (F, T)) of one row group."""
    columns = ["track_id", "n_bands", "n_frames", "data"]
    for row in pq.ParquetFile(file).read_row_group(group, columns).to_pylist():
        yield row["track_id"], np.frombuffer(row["data"], "<f2").reshape(row["n_bands"], row["n_frames"])


def _draw(pool: list[tuple[np.ndarray, int]], rng: np.random.Generator) -> tuple[np.ndarray, int]:
    index = int(rng.integers(len(pool)))
    pool[index], pool[-1] = pool[-1], pool[index]
    return pool.pop()


def _stack(batch: list[tuple[np.ndarray, int]]) -> tuple[np.ndarray, np.ndarray]:
    crops, targets = zip(*batch, strict=True)
    return np.stack(crops), np.array(targets, np.int64)
