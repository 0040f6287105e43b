"""The contract of a model's input."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from phonolake.features.configuration import Configuration
from phonolake.features.preprocessing import Preprocessing
from phonolake.inference import transforms
from phonolake.inference.outside import OutsideRecording
from phonolake.inference.transforms import Transforms
from phonolake.store.lake import Lake

# Changes samples.
Change = Callable[[np.ndarray], np.ndarray]
# A value of each column; encoded bytes in pieces are read when they are decoded.
Row = dict[str, Any]


class ModelInput(ABC):
    """An input of models."""

    kind: ClassVar[str]

    @property
    @abstractmethod
    def name(self) -> str:
        """The part after the kind in `text`."""

    @property
    def text(self) -> str:
        """The text from which `parse` makes the same input, as in cards and the table `models`."""
        return f"{self.kind}:{self.name}"

    @property
    @abstractmethod
    def table(self) -> str:
        """Name of the table whose shards are read."""

    @property
    @abstractmethod
    def columns(self) -> list[str]:
        """Columns to read, besides those that every table has."""

    @abstractmethod
    def files(self, lake: Lake) -> list[str]:
        """Published shards to read, in order of their names.

        Raises
        ------
        PhonolakeError
            When there are none; it says which command makes them.
        """

    def paths(self, lake: Lake, files: tuple[str, ...] | list[str]) -> list[Path]:
        """The local paths of these shards."""
        return [lake.local(self.table, file) for file in files]

    @property
    @abstractmethod
    def made_by(self) -> str:
        """The command that computes it for tracks that lack it."""

    # Whether it is computed from samples while it is read, so that augmentation can change them first.
    is_decoded: ClassVar[bool] = False
    # Whether the network gets spectrograms.
    is_spectrogram: ClassVar[bool] = False

    def transforms(self, preprocessing: str | None = None) -> Transforms:
        """The transforms of its windows before a network reads them.

        Parameters
        ----------
        preprocessing : str, optional
            Name of a cell of the grid, such as ``decibel/bypass/x1``.

        Raises
        ------
        UsageError
            For an unknown name, or if the input is not a mel spectrogram in decibels.
        """
        return Transforms(preprocessing=point(preprocessing, None))

    @abstractmethod
    def of(self, recording: OutsideRecording) -> np.ndarray:
        """The bit-identical input of a recording outside the lake.

        Raises
        ------
        AudioError
            When it cannot be computed, as in extraction.
        UsageError
            If it cannot be computed from one recording.
        """


def point(name: str | None, config: Configuration | None) -> Preprocessing | None:
    return None if name is None else transforms.preprocessing(name, config)
