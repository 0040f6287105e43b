"""Labelled tracks of a split as a torch dataset."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from phonolake.errors import UsageError, unknown
from phonolake.inference import inputs
from phonolake.inference.series_inputs import SeriesInput
from phonolake.inference.vector_inputs import VectorInput
from phonolake.records import TEST, TRAIN, VALID
from phonolake.stages import examples
from phonolake.store import catalog
from phonolake.store.lake import Lake

if TYPE_CHECKING:
    from phonolake.training.streams import TensorDataset, TrackStream

# Crops to read at once; they are returned one by one.
READ_TOGETHER = 32


@dataclass(frozen=True, slots=True)
class Config:
    """The tracks and their input; see `phonolake.api.OpenLake.dataset`."""

    lake: str
    split: str
    input: str
    part: str = TRAIN
    fold: int | None = None
    labels: str = "dataset"
    seconds: float | None = None
    seed: int = 0


def of(config: Config) -> "TensorDataset | TrackStream":
    """The data set.

    Raises
    ------
    UsageError
        For an unknown split, part or input, or a length that is none.
    PhonolakeError
        When the input was not extracted.
    """
    from phonolake.training import streams
    from phonolake.training.batches import TrackBatches

    if config.part not in (TRAIN, VALID, TEST):
        raise unknown("part", config.part, (TRAIN, VALID, TEST))
    if config.seconds is not None and not config.seconds > 0:
        raise UsageError(f"crops last longer than 0 s, received {config.seconds:g}")
    lake = Lake.open(config.lake)
    found = examples.collect(
        lake, labels=config.labels, split=config.split, test_fold=config.fold, dataset=None, many=None
    )
    targets = found.of(config.part)
    read = inputs.parse(config.input)
    paths = read.paths(lake, read.files(lake))
    if isinstance(read, VectorInput):
        ids, rows = zip(*(read.read(path) for path in paths), strict=True)
        return streams.of_rows([track_id for own in ids for track_id in own], np.concatenate(rows), targets)
    assert isinstance(read, SeriesInput)
    if config.seconds is None:
        with catalog.connect(lake) as connection:
            n_steps = read.crop_length(connection)
    else:
        n_steps = max(1, round(config.seconds * read.steps_per_second))
    batches = TrackBatches(paths, targets, kind=read, n_steps=n_steps, batch_size=READ_TOGETHER, seed=config.seed)
    return streams.TrackStream(batches, classes=found.classes, shuffled=config.part == TRAIN)
