"""Analyse: store the result of an analysis, with its parameters and the versions of the tables that it read.

The analyses themselves are in `phonolake.analysis`, which writes nothing.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from phonolake.lineage import digest
from phonolake.store import schema
from phonolake.store.lake import Change, Lake
from phonolake.store.outcomes import Outcome, finish, now, versions
from phonolake.store.shards import SUFFIX, keep_rows

__all__ = ["Config", "run", "versions"]


@dataclass(frozen=True, slots=True)
class Config:
    """The analysis.

    Parameters
    ----------
    table : str
        Table for the rows.
    parameters : mapping
        Everything that determines the result, except the data; JSON values.
    reads : mapping of str to int
        The tables on which the result depends, with the versions that were read (see `versions`).
    """

    lake: str
    table: str
    parameters: Mapping[str, Any]
    reads: Mapping[str, int]


def run(config: Config, rows: Iterable[Any]) -> Outcome:
    """Write the rows of a result; the same analysis of the same data is the same run, and is not written twice.

    Parameters
    ----------
    rows : iterable of dataclass instances or mappings
        With the columns of the table, apart from `run_id`. Numbers that are not finite become NULL.
    """
    started = now()
    lake = Lake.open(config.lake)
    table = schema.table(config.table)
    run_id = f"analyse-{digest([config.table, config.parameters, config.reads])}"
    known = lake.shards(config.table).get(run_id + SUFFIX)
    if known is not None:
        return Outcome("analyse", run_id, known.rows, known.rows, 0, f"{config.table}: known")
    names = [column.name for column in table.columns if column.name != "run_id"]
    written = [{"run_id": run_id} | _row(row, names) for row in rows]
    shard = keep_rows(lake.path(config.table, run_id), table.arrow, written)
    outcome = Outcome("analyse", run_id, shard.rows, shard.rows, 0, config.table)
    lake.commit({config.table: Change(table, [shard]), "runs": finish(lake, config, [outcome], started)})
    return outcome


def _row(row: Any, names: list[str]) -> dict[str, Any]:
    values = dict(row) if isinstance(row, Mapping) else {f.name: getattr(row, f.name) for f in dataclasses.fields(row)}
    assert set(values) <= set(names), f"{set(values) - set(names)} are no columns"
    return {n: None if isinstance(v, float) and not math.isfinite(v) else v for n, v in values.items()}
