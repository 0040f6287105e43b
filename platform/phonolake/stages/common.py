"""What every stage returns, and the row of `runs` that says it is finished."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from phonolake.lineage import CODE_VERSION, canonical, digest
from phonolake.store import schema
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import Shard, write_rows


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a stage did: inputs = outputs + rejects. `run_id` is None when there was nothing to do."""

    stage: str
    run_id: str | None
    inputs: int
    outputs: int
    rejects: int
    note: str = ""


def run_change(
    lake: Lake, run_id: str, stage: str, config: Any, *, inputs: int, outputs: int, rejects: int, started: datetime
) -> Change:
    """Write the row of `runs` for a run that is about to be committed."""
    assert inputs == outputs + rejects, f"{run_id}: {inputs} inputs, {outputs} outputs, {rejects} rejects"
    table = schema.table("runs")
    if f"{run_id}.parquet" in lake.shards("runs"):
        return Change(table)
    row = {
        "run_id": run_id,
        "stage": stage,
        "config": canonical(config),
        "config_hash": digest(config),
        "inputs": inputs,
        "outputs": outputs,
        "rejects": rejects,
        "snapshot": canonical(lake.versions()),
        "started_at": started,
        "finished_at": datetime.now(UTC),
        "code_version": CODE_VERSION,
    }
    return Change(table, [write_rows(lake.path("runs", run_id), table.arrow, [row])])


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def merge(*changes: Change) -> Change:
    """One change that adds and removes what all of them do; all are about the same table."""
    added: dict[str, Shard] = {s.file: s for c in changes for s in c.add}
    removed = dict.fromkeys(f for c in changes for f in c.remove)
    return Change(changes[0].schema, list(added.values()), list(removed))
