"""SQL over the published shards of a table, and its views in the catalog."""

import math
from pathlib import Path
from typing import Protocol

import duckdb
import pyarrow as pa

from phonolake.store import schema as schemas
from phonolake.store.place import Place
from phonolake.store.schema import TableSchema, literal, quote
from phonolake.store.shards import COUNTED, Shard

# Evaluating a part takes some five times as long as opening a shard, so a few shards stay in one part.
PARTS, LEAST_IN_PART = 0.45, 32
# What the view of a table reads, a macro that each commit makes anew.
SHARDS_OF = "shards_of_"
PATTERNS = str.maketrans({c: f"[{c}]" for c in "*?["})


class PublishedTables(Protocol):
    """Methods of a lake that views and the catalog use, see `phonolake.store.lake`, which imports both."""

    place: Place

    @property
    def root(self) -> Path: ...

    def versions(self) -> dict[str, int]: ...

    def shards(self, table: str, version: int | None = None) -> dict[str, Shard]: ...

    def published_schema(self, table: str, version: int | None = None) -> pa.Schema: ...

    def name(self, table: str, file: str) -> str: ...

    def build_catalog(self) -> None: ...

    @property
    def is_pinned(self) -> bool: ...

    @property
    def is_whole(self) -> bool: ...


def selecting(lake: PublishedTables, name: str, shards: list[Shard]) -> str:
    """SQL that reads some shards of a declared table, with all declared columns."""
    table = schemas.table(name)
    return select_from(lake, table, shards, set(lake.published_schema(name).names)) if shards else no_rows(table)


def select_from(lake: PublishedTables, table: TableSchema, shards: list[Shard], stored: set[str]) -> str:
    """Read a table; a column that was declared after its shards were written is NULL.

    Shards with all columns are read without checking each of them. Many shards are read in parts with bounds of track
    ids, so that a query for one track opens only the shards of one part.
    """
    shards = [shard for shard in shards if shard.rows]
    if not shards:
        return no_rows(table)
    columns = ", ".join(
        f"{quote(c.name) if c.name in stored or not c.nullable else 'NULL'}::{c.type} AS {quote(c.name)}"
        for c in table.columns
    )
    wanted = {c.name for c in table.columns[:COUNTED] if c.nullable} & stored
    whole = [s for s in shards if s.first is not None and wanted <= s.nulls.keys()]
    others = [s.file for s in shards if s.first is None or not wanted <= s.nulls.keys()]
    selects = []
    if others:
        # If none of them has a column, it comes from a SELECT without rows.
        named = f"{no_rows(table)} UNION ALL BY NAME SELECT * FROM {reading(lake, table.name, others)}"
        selects.append(f"SELECT {columns} FROM ({named})")
    parts = _parts(whole)
    for part in parts:
        where = ""
        if len(parts) > 1:
            low, high = min(s.first or "" for s in part), max(s.last or "" for s in part)
            where = f" WHERE track_id BETWEEN {literal(low)} AND {literal(high)}"
        selects.append(f"SELECT {columns} FROM {reading(lake, table.name, [s.file for s in part], alike=True)}{where}")
    return " UNION ALL ".join(selects)


def _parts(shards: list[Shard]) -> list[list[Shard]]:
    """Shards in order of their tracks, in as many parts that evaluating all parts takes as long as opening one."""
    if not shards:
        return []
    ordered = sorted(shards, key=lambda s: (s.first or "", s.last or ""))
    size = max(LEAST_IN_PART, math.ceil(len(ordered) / max(1, round(PARTS * math.sqrt(len(ordered))))))
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]


def no_rows(table: TableSchema, where: str = "false") -> str:
    return "SELECT " + ", ".join(f"NULL::{c.type} AS {quote(c.name)}" for c in table.columns) + f" WHERE {where}"


def reading(lake: PublishedTables, table: str, files: list[str], *, names: bool = False, alike: bool = False) -> str:
    """SQL that reads these shards of a table; `names` adds the column ``filename``, `alike`: all have all columns."""
    folder = lake.place.named(lake.name(table, ""))
    if not lake.place.is_remote:
        folder, files = no_glob(folder), list(map(no_glob, files))
    # One text, since DuckDB takes twice as long over a list of thousands of them. No path has a line break in it.
    paths = literal("\n".join(f"{folder.removesuffix('/')}/{file}" for file in files))
    # Otherwise a folder dataset=fma above the lake would replace the column `dataset`.
    options = "hive_partitioning = false" + ("" if alike else ", union_by_name = true")
    options += ", filename = true" if names else ""
    return f"read_parquet(string_split({paths}, chr(10)), {options})"


def no_glob(path: str) -> str:
    """A path escaped for DuckDB, which reads *, ? and [ as patterns."""
    return path.translate(PATTERNS)


def let_read(connection: duckdb.DuckDBPyConnection, table: TableSchema, select: str) -> None:
    """Let the view of a table read the result of a SELECT; raises DuckDB's error if that cannot be read."""
    macro = quote(SHARDS_OF + table.name)
    connection.execute(f"CREATE OR REPLACE MACRO {macro}() AS TABLE {select}")
    connection.execute(f"DESCRIBE FROM {macro}()")


def create_view(connection: duckdb.DuckDBPyConnection, table: TableSchema) -> None:
    """Create the view of one table, with its comments: making these at each commit took a third of its time."""
    name = quote(table.name)
    connection.execute(f"CREATE OR REPLACE VIEW {name} AS FROM {quote(SHARDS_OF + table.name)}()")
    connection.execute(f"COMMENT ON VIEW {name} IS {literal(table.comment)}")
    for column in table.columns:
        connection.execute(f"COMMENT ON COLUMN {name}.{quote(column.name)} IS {literal(column.comment)}")
