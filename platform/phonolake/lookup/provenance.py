"""The origin of a figure: its run, configuration, inputs and shards."""

from dataclasses import dataclass
from datetime import datetime

import duckdb

from phonolake.store.lake import Lake


@dataclass(frozen=True, slots=True)
class Origin:
    """A finished run.

    Parameters
    ----------
    config, snapshot : str
        JSON: the configuration, and the version of every table that was read.
    """

    run_id: str
    stage: str
    config: str
    config_hash: str
    snapshot: str
    started_at: datetime
    finished_at: datetime
    code_version: str


@dataclass(frozen=True, slots=True)
class Holding:
    """One shard with rows behind a figure."""

    table: str
    version: int
    shard: str
    n_rows: int
    n_bytes: int


def origin(connection: duckdb.DuckDBPyConnection, run_id: str) -> Origin | None:
    """The run `run_id`; None if the lake has no such run."""
    rows = connection.execute(
        "SELECT run_id, stage, config, config_hash, snapshot, started_at, finished_at, code_version FROM runs "
        "WHERE run_id = $1",
        [run_id],
    ).fetchall()
    return Origin(*rows[0]) if rows else None


def holdings(lake: Lake, tables: tuple[str, ...], *, run_id: str | None = None) -> list[Holding]:
    """The published shards of some tables; only those of a run if one is named."""
    versions = lake.versions()
    return [
        Holding(table, versions[table], shard.file, shard.rows, shard.bytes)
        for table in tables
        if table in versions
        for shard in lake.shards(table).values()
        if run_id is None or shard.file.startswith(run_id)
    ]
