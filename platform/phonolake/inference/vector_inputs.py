"""Inputs that are rows of numbers: feature sets, and the embeddings of another run.

Shape suffixes: N rows, D numbers.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from phonolake.errors import PhonolakeError, UsageError
from phonolake.features.contract import FeatureSet
from phonolake.inference.model_input import ModelInput
from phonolake.inference.outside import OutsideRecording
from phonolake.inference.products import product
from phonolake.store.lake import Lake
from phonolake.store.shards import SEPARATOR


class VectorInput(ModelInput):
    """Rows of numbers: one for each track, or one for each of its segments."""

    def read(self, path: Path) -> tuple[list[str], np.ndarray]:
        """Track ids and x_ND of one shard, row by row; a column of lists gives as many numbers as they hold."""
        table = pq.read_table(path, columns=["track_id", *self.columns])
        x_ND = np.column_stack([_numbers(table[name].combine_chunks()) for name in self.columns])
        return table["track_id"].to_pylist(), x_ND


@dataclass(frozen=True)
class Features(VectorInput):
    """A feature set: ``features:NAME``."""

    recipe: FeatureSet
    kind: ClassVar[str] = "features"
    made_by: ClassVar[str] = "phonolake extract"

    @property
    def name(self) -> str:
        return self.recipe.name

    @property
    def table(self) -> str:
        return product(self.recipe).table.name

    @cached_property
    def columns(self) -> list[str]:
        return [name for name, _ in self.recipe.columns]

    def files(self, lake: Lake) -> list[str]:
        if found := product(self.recipe).published(lake):
            return found
        raise PhonolakeError(f"the lake has no {self.name} yet: run `phonolake extract --features {self.name}` first")

    def of(self, recording: OutsideRecording) -> np.ndarray:
        if self.recipe.segments:
            raise UsageError(
                f"the model reads segments ({self.name}) of the tracks of a lake: it cannot be applied to a file"
            )
        return recording.computed(self.recipe)


@dataclass(frozen=True)
class Embeddings(VectorInput):
    """The embeddings by a network of the lake: ``embeddings:RUN_ID``."""

    run_id: str
    kind: ClassVar[str] = "embeddings"
    table: ClassVar[str] = "embeddings"
    made_by: ClassVar[str] = "phonolake score"

    @property
    def name(self) -> str:
        return self.run_id

    @property
    def columns(self) -> list[str]:
        return ["embedding"]

    def files(self, lake: Lake) -> list[str]:
        if found := [file for file in lake.shards(self.table) if file.startswith(self.run_id + SEPARATOR)]:
            return found
        raise PhonolakeError(
            f"the lake has no embeddings of {self.run_id}: run `phonolake score --run {self.run_id}` first"
        )

    def of(self, recording: OutsideRecording) -> np.ndarray:
        raise UsageError(f"its input are vectors of {self.run_id}, a model of a lake: use the file with that lake")


def _numbers(column: pa.Array) -> np.ndarray:
    if not pa.types.is_list(column.type):
        values: np.ndarray = column.to_numpy(zero_copy_only=False)
        return values
    return column.flatten().to_numpy().reshape(len(column), -1) if len(column) else np.zeros((0, 0))
