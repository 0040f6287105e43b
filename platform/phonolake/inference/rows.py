"""The tracks of one row group of a shard, for inputs with a time axis."""

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from phonolake.inference.model_input import Row
from phonolake.inference.series_inputs import DecodedInput, SeriesInput
from phonolake.store import pieces
from phonolake.store.pieces import Pieces


@dataclass(frozen=True, slots=True)
class LongRecording:
    """Audio that is too long to be in memory as a whole: its samples in blocks."""

    blocks: Iterable[np.ndarray]


def first_rows(reader: pq.ParquetFile, group: int) -> list[tuple[int, str]]:
    """Number and track of the first row of each track in a row group, without rows of further pieces of its audio."""
    found = reader.read_row_group(group, ["track_id", pieces.NUMBER])
    track_ids = found["track_id"].to_pylist()
    if pieces.NUMBER not in found.column_names:
        return list(enumerate(track_ids))
    numbers = found[pieces.NUMBER].to_pylist()
    return [(n, track_id) for n, track_id in enumerate(track_ids) if not numbers[n]]


def row(table: pa.Table, n: int, file: Path) -> Row:
    """One of the `first_rows` of a table from `file`; its values are not copied."""
    found = {name: table[name][n] for name in table.column_names}
    if pieces.NUMBER in found and found[pieces.NUMBER].is_valid:
        found["bytes"] = Pieces(file, found["track_id"].as_py())
    return found


def tracks(
    file: Path, group: int, kind: SeriesInput, wanted: Set[str] | None = None
) -> Iterator[tuple[str, np.ndarray | LongRecording]]:
    """Track ids and whole arrays of one row group, or of the `wanted` tracks in it; long audio in blocks."""
    reader = pq.ParquetFile(file)
    held = [(n, track_id) for n, track_id in first_rows(reader, group) if wanted is None or track_id in wanted]
    if not held:
        return
    table = reader.read_row_group(group, kind.columns)
    for n, track_id in held:
        found = row(table, n, file)
        if isinstance(kind, DecodedInput) and kind.is_long(found):
            yield track_id, LongRecording(kind.blocks(found))
        else:
            yield track_id, kind.array(found)
