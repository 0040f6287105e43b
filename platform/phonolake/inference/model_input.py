"""The contract of what a model reads."""

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

# Makes another version of samples.
Change = Callable[[np.ndarray], np.ndarray]
# A value of each column; encoded bytes that lie in pieces are read when they are decoded.
Row = dict[str, Any]


class ModelInput(ABC):
    """What a model reads."""

    kind: ClassVar[str]

    @property
    @abstractmethod
    def name(self) -> str:
        """What stands behind the kind in `text`."""

    @property
    def text(self) -> str:
        """What `parse` turns into the same; cards and the table `models` hold it."""
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
        """Where these shards lie on this machine."""
        return [lake.local(self.table, file) for file in files]

    @property
    @abstractmethod
    def made_by(self) -> str:
        """The command that gives it to tracks that lack it."""

    # Whether it is made of samples while it is read, so that they can be changed first.
    is_decoded: ClassVar[bool] = False
    # Whether a network gets spectrograms in the end.
    is_spectrogram: ClassVar[bool] = False

    def transforms(self, preprocessing: str | None = None) -> Transforms:
        """What windows of it go through before a network reads them.

        Parameters
        ----------
        preprocessing : str, optional
            Name of a point of the grid, such as ``decibel/bypass/x1``.

        Raises
        ------
        UsageError
            For an unknown name, and where the input is no mel spectrogram in decibels.
        """
        return Transforms(preprocessing=point(preprocessing, None))

    @abstractmethod
    def of(self, recording: OutsideRecording) -> np.ndarray:
        """The same, to the bit, of a recording that no lake holds.

        Raises
        ------
        AudioError
            When the recording has none, as extraction would find.
        UsageError
            Where it cannot be made of one recording.
        """


def point(name: str | None, config: Configuration | None) -> Preprocessing | None:
    return None if name is None else transforms.preprocessing(name, config)
