"""The result of a stage, and its row in `runs`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from phonolake.lineage import CODE_VERSION, canonical, digest, settings
from phonolake.store import schema
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import SUFFIX, Shard, keep_rows


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a stage: inputs = outputs + rejects. `run_id` is None if there was nothing to do."""

    stage: str
    run_id: str | None
    inputs: int
    outputs: int
    rejects: int
    note: str = ""


def finish(lake: Lake, config: Any, outcomes: Sequence[Outcome], started: datetime) -> Change:
    """Write the rows of `runs` for runs that are about to be committed; existing ones stay."""
    table = schema.table("runs")
    change = Change(table)
    known = lake.shards("runs")
    for o in outcomes:
        assert o.run_id is not None
        assert o.inputs == o.outputs + o.rejects, o
        if o.run_id + SUFFIX in known:
            continue
        row = {
            "run_id": o.run_id,
            "stage": o.stage,
            "config": canonical(settings(config)),
            "config_hash": digest(settings(config)),
            "inputs": o.inputs,
            "outputs": o.outputs,
            "rejects": o.rejects,
            "snapshot": canonical(lake.versions()),
            "started_at": started,
            "finished_at": now(),
            "code_version": CODE_VERSION,
        }
        # An interrupted publication has logged the file with its size already: it must not change.
        change.add.append(keep_rows(lake.path("runs", o.run_id), table.arrow, [row]))
    return change


def count_tracks(lake: Lake, table: str, files: Iterable[str]) -> int:
    """Number of tracks in some shards of a table; with segments, most have several rows. Few shards need to be read."""
    published = lake.shards(table)

    def count(file: str) -> int:
        known = published[file].tracks if file in published else None
        if known is not None:
            return known
        found: int = pc.count_distinct(
            pq.read_table(lake.opened(table, file), columns=["track_id"])["track_id"]
        ).as_py()
        return found

    return sum(map(count, files))


def versions(lake: Lake, *tables: str) -> dict[str, int]:
    """Versions of these tables in a lake, to be read before the tables; -1 for those that have none yet."""
    published = lake.versions()
    return {name: published.get(name, -1) for name in tables}


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def merge(*changes: Change) -> Change:
    """Merge several changes of the same table into one."""
    added: dict[str, Shard] = {s.file: s for c in changes for s in c.add}
    removed = dict.fromkeys(f for c in changes for f in c.remove)
    replaced = {new: old for c in changes for new, old in c.replaces.items()}
    reusable = any(change.reusable for change in changes)
    return Change(changes[0].schema, list(added.values()), list(removed), replaced, reusable)
