"""The tracks of an index: their ids in the order of its vectors, in an Arrow file that is looked at where it lies."""

import json
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# The second is what indexes had until November 2026.
IDS, JSON_IDS = "ids.arrow", "ids.json"
SCHEMA = pa.schema([pa.field("track_id", pa.large_string(), False), pa.field("by_id", pa.int64(), False)])


@dataclass(frozen=True, slots=True)
class Ids:
    """Track ids by the numbers of their vectors, and numbers by ids.

    Parameters
    ----------
    track_ids : pa.LargeStringArray
        In order of the numbers.
    by_id : ndarray of int64
        The numbers in order of the ids.
    """

    track_ids: pa.LargeStringArray
    by_id: np.ndarray

    @classmethod
    def of(cls, track_ids: Iterable[str]) -> "Ids":
        """Ids in the order of the vectors."""
        array = pa.array(track_ids, pa.large_string())
        return cls(array, pc.sort_indices(array).to_numpy(zero_copy_only=False).astype(np.int64))

    @classmethod
    def read(cls, folder: Path) -> "Ids":
        """The ids of the index in a folder; they stay on the disk until they are looked at.

        Raises
        ------
        OSError, ValueError
            When they are missing or damaged.
        """
        if not (folder / IDS).exists():
            return cls.of(_listed(folder / JSON_IDS))
        with pa.memory_map(str(folder / IDS)) as file:
            table = pa.ipc.open_file(file).read_all()
        if table.schema != SCHEMA:
            raise ValueError(f"{folder / IDS} has the columns {', '.join(table.schema.names)}")
        if table["track_id"].num_chunks != 1:
            raise ValueError(f"{folder / IDS} is not in one piece")
        # To combine the chunks, even of one, would copy them.
        return cls(table["track_id"].chunk(0), table["by_id"].chunk(0).to_numpy())

    def write(self, folder: Path) -> None:
        """Write the ids of the index in a folder."""
        batch = pa.record_batch([self.track_ids, pa.array(self.by_id, pa.int64())], schema=SCHEMA)
        with pa.OSFile(str(folder / IDS), "wb") as file, pa.ipc.new_file(file, SCHEMA) as writer:
            writer.write_batch(batch)

    def __len__(self) -> int:
        return len(self.track_ids)

    def to_list(self) -> list[str]:
        """All of them, in order of the numbers."""
        return [str(track_id) for track_id in self.track_ids.to_pylist()]

    def at(self, numbers: Iterable[int]) -> list[str]:
        """The tracks of some numbers."""
        return [self.track_ids[number].as_py() for number in numbers]

    def number(self, track_id: str) -> int | None:
        """The number of a track; None when it is not among them."""
        place = bisect_left(self.by_id, track_id, key=lambda number: self.track_ids[int(number)].as_py())
        found = int(self.by_id[place]) if place < len(self) else None
        return found if found is not None and self.track_ids[found].as_py() == track_id else None

    def table(self) -> pa.Table:
        """Columns track_id and number, for SQL."""
        return pa.table({"track_id": self.track_ids, "number": np.arange(len(self), dtype=np.int64)})


def folders(indexes: Path) -> list[Path]:
    """Folders of indexes below one, in order of their names."""
    return sorted({path.parent for name in (IDS, JSON_IDS) for path in indexes.glob(f"*/{name}")})


def count(folder: Path, track_ids: Iterable[str]) -> int:
    """How many of these tracks the index in a folder holds; one whose ids cannot be read may hold all of them."""
    wanted = pa.array(sorted(set(track_ids)), pa.large_string())
    try:
        return int(pc.sum(pc.is_in(Ids.read(folder).track_ids, wanted)).as_py() or 0)
    except (OSError, ValueError):
        return len(wanted)


def _listed(path: Path) -> list[str]:
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, list) or not all(isinstance(track_id, str) for track_id in found):
        raise ValueError(f"{path} is no list of ids")
    return found
