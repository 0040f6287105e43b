"""Batches of crops, streamed from shards: memory holds a few row groups and some hundred crops, however many tracks.

Shape suffixes: B batch, N tracks, X any axes, T steps in time.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from phonolake.audio.augment import Augmentation
from phonolake.inference import rows
from phonolake.inference.crops import random_crop, spread
from phonolake.inference.model_input import Change, Row
from phonolake.inference.series_inputs import SeriesInput
from phonolake.records import Hertz
from phonolake.seeds import track_rng
from phonolake.training import group, order

Target = int | np.ndarray
Cut = Callable[[str, np.ndarray], list[np.ndarray]]
# From a track to the function that changes its samples in an epoch.
ChangeOf = Callable[[str], Change | None]
# Crops by track by unit.
Wanted = dict[int, dict[int, list[int]]]

# Batches whose tracks are decoded in advance.
AHEAD = 4
# Row groups kept in memory: as many as the lanes of an epoch read.
KEPT_GROUPS = 2 * order.LANES


class TrackBatches:
    """Crops of labelled tracks in a set of shards, this worker's share of each batch.

    Parameters
    ----------
    files : sequence of Path
        Shards that hold `kind`.
    targets : mapping
        Class number, or multi-hot row, by track id; other tracks are skipped.
    kind : SeriesInput
        An input with a time axis, see `phonolake.inference.inputs`.
    n_steps : int
        Length of a crop.
    batch_size : int
        Crops per batch over all workers, at most.
    seed : int
        Decides order and crops, together with the epoch.
    crops : int
        Crops per track in an epoch.
    augmentation : Augmentation, optional
        Changes of the training recordings; `kind` must be audio.
    """

    def __init__(
        self,
        files: Sequence[Path],
        targets: Mapping[str, Target],
        *,
        kind: SeriesInput,
        n_steps: int,
        batch_size: int,
        seed: int,
        crops: int = 1,
        augmentation: Augmentation | None = None,
    ) -> None:
        self.targets = targets
        self.kind = kind
        self.n_steps = n_steps
        self.batch_size = batch_size
        self.seed = seed
        self.crops = crops
        self._augmentation = augmentation
        self.track_ids: list[str] = []
        self._groups: list[tuple[Path, int]] = []
        places: list[tuple[int, int]] = []
        for file in files:
            reader = pq.ParquetFile(file)
            for number in range(reader.num_row_groups):
                held = rows.first_rows(reader, number)
                wanted = [(row, track_id) for row, track_id in held if track_id in targets]
                if wanted:
                    places += [(len(self._groups), row) for row, _ in wanted]
                    self.track_ids += [track_id for _, track_id in wanted]
                    self._groups.append((file, number))
        self._group_N, self._row_N = np.array(places, np.int64).reshape(-1, 2).T

    def __len__(self) -> int:
        """Number of tracks that have both a target and the input."""
        return len(self.track_ids)

    def training(self, epoch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Batches (x_BXT, y) of random crops of each track, in the epoch's own order."""
        ordered = order.of_epoch(
            self._group_N, crops=self.crops, batch_size=self.batch_size, seed=self.seed, epoch=epoch
        )

        def cut(track_id: str, x_XT: np.ndarray) -> list[np.ndarray]:
            rng = track_rng(self.seed, epoch, track_id)
            return [random_crop(x_XT, self.n_steps, rng) for _ in range(self.crops)]

        own = [group.own_part(batch) for batch in ordered.batches]
        return self._stream(own, ordered.units, cut, lambda track_id: self._change(track_id, epoch))

    def _change(self, track_id: str, epoch: int) -> Change | None:
        if (made := self._augmentation) is None:
            return None
        return lambda y: made.take(y, sr=Hertz(self.kind.sr), track_id=track_id, epoch=epoch, seed=self.seed)

    def validation(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Batches of the same windows of each track, side by side: one from the middle, or several spread out."""

        def cut(_: str, x_XT: np.ndarray) -> list[np.ndarray]:
            return spread(x_XT, self.n_steps, self.crops)

        own = group.own_part(np.arange(len(self)))
        crop_C = (own[:, None] * self.crops + np.arange(self.crops)).ravel()
        n_batches = -(-len(crop_C) // self.batch_size)
        batches = np.array_split(crop_C, max(1, n_batches))
        return self._stream(batches, order.units(self._group_N, longest=max(1, self.batch_size)), cut)

    def row(self, track: int, kept: "OrderedDict[int, pa.Table]") -> Row:
        """The stored row of a track by number; `kept` holds the most recently read row groups."""
        number = int(self._group_N[track])
        file, its_number = self._groups[number]
        if number not in kept:
            kept[number] = pq.ParquetFile(file).read_row_group(its_number, self.kind.columns)
            if len(kept) > KEPT_GROUPS:
                kept.popitem(last=False)
        kept.move_to_end(number)
        return rows.row(kept[number], int(self._row_N[track]), file)

    def _stream(
        self, batches: list[np.ndarray], unit_N: np.ndarray, cut: Cut, change_of: ChangeOf = lambda _: None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        wanted: Wanted = {}
        for crop in np.sort(np.concatenate([np.zeros(0, np.int64), *batches])).tolist():
            track = crop // self.crops
            wanted.setdefault(int(unit_N[track]), {}).setdefault(track, []).append(crop)
        with _Desk(self, unit_N, wanted, cut, change_of) as desk:
            for n, crops in enumerate(batches):
                for ahead in batches[n : n + AHEAD]:
                    desk.order(ahead)
                if len(crops):
                    x = np.stack([desk.take(int(crop)) for crop in crops])
                    targets = [self.targets[self.track_ids[crop // self.crops]] for crop in crops]
                    yield x, np.array(targets, np.float32 if np.ndim(targets[0]) else np.int64)


class _Desk:
    """Crops that were requested and not taken yet; a track is read once, when the first of its crops is requested."""

    def __init__(self, source: TrackBatches, unit_N: np.ndarray, wanted: Wanted, cut: Cut, change_of: ChangeOf) -> None:
        self._source = source
        self._unit_N = unit_N
        self._wanted = wanted
        self._cut = cut
        self._change_of = change_of
        self._crops: dict[int, Future[dict[int, np.ndarray]]] = {}
        self._tables: OrderedDict[int, pa.Table] = OrderedDict()
        self._pool = ThreadPoolExecutor(source.kind.threads) if source.kind.threads else None

    def __enter__(self) -> "_Desk":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def order(self, crops: np.ndarray) -> None:
        """Start to read the tracks of these crops."""
        for unit in dict.fromkeys(self._unit_N[crops // self._source.crops].tolist()):
            for track, its_crops in self._wanted.pop(unit, {}).items():
                made = self._make(self._source.row(track, self._tables), its_crops)
                self._crops.update(dict.fromkeys(its_crops, made))

    def take(self, crop: int) -> np.ndarray:
        """The array of a requested crop, which is removed here."""
        return self._crops.pop(crop).result()[crop]

    def _make(self, row: Row, crops: list[int]) -> "Future[dict[int, np.ndarray]]":
        def work() -> dict[int, np.ndarray]:
            track_id = row["track_id"].as_py()
            cut = self._cut(track_id, self._source.kind.array(row, self._change_of(track_id)))
            # Copies, since views would keep the whole track alive.
            return {crop: cut[crop % self._source.crops].copy() for crop in crops}

        if self._pool is not None:
            return self._pool.submit(work)
        done: Future[dict[int, np.ndarray]] = Future()
        done.set_result(work())
        return done
