"""Forget: remove tracks from every table, model list, index and journal; a tombstone keeps them out.

Raters' answers about the tracks are wiped from their journals first, so that nobody publishes them again. Then the rows
and the tombstones change in one publication. Then old shards with rows of these tracks, on which Delta's time travel
depends, are deleted from the disk. The same command finishes a killed run. The weights of models that were trained on
the tracks stay as they are.
"""

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from phonolake.annotation import journal
from phonolake.errors import UsageError
from phonolake.files import TEMPORARY, replacing
from phonolake.lineage import digest
from phonolake.lookup import indexed
from phonolake.search import earlier, tracks
from phonolake.stages import index
from phonolake.store import catalog, folders, jobs, schema, trained
from phonolake.store.attempts import attempts
from phonolake.store.lake import Change, Lake, Reads
from phonolake.store.naming import TOMBSTONES, holding, holds, names
from phonolake.store.outcomes import Outcome, finish, now
from phonolake.store.rewrite import purge, renamed, without
from phonolake.store.shards import SUFFIX, keep_rows


@dataclass(frozen=True, slots=True)
class Config:
    """Which tracks to forget, and the reason to store with their ids."""

    lake: str
    track_ids: tuple[str, ...]
    why: str = "not stated"


@dataclass(frozen=True, slots=True)
class Removed:
    """What was removed from one place: published rows, and deleted or rewritten files."""

    where: str
    rows: int
    files: int


@dataclass(frozen=True, slots=True)
class _Said:
    """The request in the table of runs, without the ids."""

    lake: str
    n_tracks: int
    why: str


def run(config: Config) -> list[Removed]:
    """Forget the tracks; what went, place by place. Jobs that write meanwhile do without the tracks: their
    commits are refused else.

    Raises
    ------
    UsageError
        When no id is given, or one is unknown to the lake.
    """
    started = now()
    lake = Lake.open(config.lake)
    ids = sorted(set(config.track_ids))
    _check_known(lake, ids)
    with jobs.working(lake.place, "forget"):
        removed = [Removed("journals", lines, 1) for _, lines in journal.forget(lake, ids)]
        for attempt in attempts(lake):
            with attempt as seen:
                removed += _publish(lake, seen, config, ids, started)
                break
        removed += list(purge_tables(lake, ids))
        removed += [*purge_models(lake, ids), *purge_indexes(lake, ids)]
    merged: dict[str, Removed] = {}
    for r in removed:
        before = merged.get(r.where, Removed(r.where, 0, 0))
        merged[r.where] = Removed(r.where, before.rows + r.rows, before.files + r.files)
    return [r for r in merged.values() if r.rows or r.files]


def plan(config: Config) -> list[Removed]:
    """Count the published rows to remove, without changing anything; the errors are those of `run`."""
    lake = Lake.open(config.lake)
    ids = sorted(set(config.track_ids))
    _check_known(lake, ids)
    return [Removed(table, n, 0) for table, n in _counts(lake, ids).items() if n]


def verify(lake: Lake, track_ids: tuple[str, ...]) -> list[str]:
    """Files of the lake that still contain rows of these tracks, published or not; tombstones do not count."""
    wanted = pa.array(sorted(set(track_ids)), pa.string())
    found = [*journal.naming(lake, track_ids), *_objects_holding(lake, wanted)]
    for path in sorted(lake.root.rglob("*")):
        if not path.is_file() or path.parent in (lake.folder(TOMBSTONES), lake.root / jobs.FOLDER):
            continue
        if path.suffix == SUFFIX:
            held = holds(path, wanted)
        elif path.suffix == ".json" and "_delta_log" not in path.parts:
            held = bool(set(_texts(json.loads(path.read_text(encoding="utf-8")))) & set(track_ids))
        elif path.name == earlier.IDS:
            held = _held_by_earlier(path.parent, wanted) > 0
        elif path.name == tracks.TRACKS:
            held = _is_held(path.parent, wanted)
        else:
            held = path.name.endswith(TEMPORARY)
        if held:
            found.append(str(path.relative_to(lake.root)))
    return found


def _is_held(segment: Path, wanted: pa.Array) -> bool:
    """Whether a segment of an index contains any of the tracks; True for an unreadable one."""
    try:
        return len(tracks.Tracks.read(segment).numbers_of(wanted)) > 0
    except (OSError, ValueError):
        return True


def _check_known(lake: Lake, ids: list[str]) -> None:
    if not ids:
        raise UsageError("no track to forget: name one or more ids, such as fma:000002")
    known: set[str] = set()
    with catalog.connect(lake) as connection:
        for table in [*_tables(lake), TOMBSTONES]:
            rows = connection.execute(
                f"SELECT DISTINCT track_id FROM {schema.quote(table)} WHERE list_contains($1, track_id)", [ids]
            ).fetchall()
            known |= {track_id for (track_id,) in rows}
    for track_id in ids:
        if track_id not in known:
            raise UsageError(f"the lake never heard of {track_id!r}: nothing was forgotten")


def _tables(lake: Lake) -> list[str]:
    """Published tables whose rows name tracks."""
    return [t for t in lake.versions() if t != TOMBSTONES and "track_id" in lake.published_schema(t).names]


def _counts(lake: Lake, ids: list[str]) -> dict[str, int]:
    wanted = pa.array(ids, pa.string())
    found = {}
    for table in _tables(lake):
        found[table] = sum(_count(lake.opened(table, file), wanted) for file in lake.shards(table))
    return found


def _count(shard: Path | IO[bytes], wanted: pa.Array) -> int:
    return int(pc.sum(holding(names(shard), wanted)).as_py() or 0)


def _objects_holding(lake: Lake, wanted: pa.Array) -> Iterator[str]:
    """Objects with rows of some tracks in a lake on object storage; downloads its folders."""
    if not lake.place.is_remote:
        return
    for table, ready in lake.ready_shards().items():
        for file in sorted(ready) if table != TOMBSTONES else ():
            if holds(lake.opened(table, file), wanted):
                yield lake.name(table, file)
    for kind in (trained.FOLDER, indexed.FOLDER):
        for name in folders.names(lake.place, f"{kind}/"):
            folders.fetch(lake.place, name)


def _publish(published: Lake, lake: Lake, config: Config, ids: list[str], started: datetime) -> list[Removed]:
    """Tombstones and tables without the tracks, in one commit."""
    counts = _counts(lake, ids)
    with catalog.connect(lake) as connection:
        buried = {track_id for (track_id,) in connection.execute(f"SELECT track_id FROM {TOMBSTONES}").fetchall()}
    changes = changes_without(lake, [table for table, n in counts.items() if n], ids)
    new = [track_id for track_id in ids if track_id not in buried]
    if new:
        stones = schema.table(TOMBSTONES)
        rows = [{"track_id": track_id, "forgotten_at": now(), "why": config.why} for track_id in new]
        changes[TOMBSTONES] = Change(stones, [keep_rows(lake.path(TOMBSTONES, digest(new)), stones.arrow, rows)])
    if changes:
        outcome = Outcome("forget", f"forget-{digest(ids)}", len(ids), len(ids), 0)
        said = _Said(config.lake, len(ids), config.why)
        # Rows that other jobs add to these tables meanwhile may be about the tracks.
        reads = Reads({table: version for table, version in lake.versions().items() if table in counts})
        published.commit(changes | {"runs": finish(lake, said, [outcome], started)}, reads)
    return [Removed(table, n, 0) for table, n in counts.items()]


def changes_without(lake: Lake, tables: Iterable[str], ids: Collection[str]) -> dict[str, Change]:
    """Some published tables without the rows about some tracks."""
    versions, declared = lake.versions(), schema.tables()
    return {
        table: without(lake, declared.get(table) or catalog.published_set(lake, table, versions[table]), ids)
        for table in tables
    }


def purge_tables(lake: Lake, ids: list[str]) -> Iterator[Removed]:
    """Delete unpublished shards with rows of the tracks, and unfinished files of dead writers."""
    removed = purge(lake, pa.array(ids, pa.string()))
    lake.drop_copies()
    for path in (lake.root / "tables").glob(f"*/.*{TEMPORARY}"):
        # A live job commits without the tracks, and then deletes its unneeded files.
        if not jobs.is_at_work(lake.root, jobs.owner_of(path)):
            path.unlink(missing_ok=True)
            removed[path.parent.name] = removed.get(path.parent.name, 0) + 1
    for table, gone in removed.items():
        yield Removed(table, 0, gone)


def purge_models(lake: Lake, ids: list[str]) -> Iterator[Removed]:
    """Remove the tracks from the lists of training and test tracks of models."""
    wanted = pa.array(ids, pa.string())
    for name in folders.names(lake.place, f"{trained.FOLDER}/"):
        path = folders.fetch(lake.place, name) / trained.TRACKS
        if not path.is_file():
            continue
        rows = pq.read_table(path)
        held = holding(rows, wanted)
        if pc.any(held).as_py():
            with replacing(path) as temporary:
                pq.write_table(rows.filter(pc.invert(held)), temporary)
            folders.send(lake.place, name)
            yield Removed("models", int(pc.sum(held).as_py()), 1)


def purge_indexes(lake: Lake, ids: list[str]) -> Iterator[Removed]:
    """Remove the tracks from indexes; indexes of earlier formats and damaged ones are deleted."""
    wanted = pa.array(sorted(ids), pa.string())
    for name in folders.names(lake.place, f"{indexed.FOLDER}/"):
        folder = folders.fetch(lake.place, name)
        try:
            n = index.without(lake, folder.name, wanted, lambda file: renamed(file, wanted))
        except (OSError, RuntimeError, ValueError, KeyError):
            # The tracks of a damaged one are unknown.
            n = _held_by_earlier(folder, wanted)
            if n:
                folders.remove(lake.place, name)
        if n:
            yield Removed("indexes", n, 1)


def _held_by_earlier(folder: Path, wanted: pa.Array) -> int:
    """Vectors of the tracks in an index from before December 2026; one with unreadable ids may contain all of them."""
    try:
        return int(pc.sum(pc.is_in(earlier.ids(folder), wanted)).as_py() or 0)
    except (OSError, ValueError):
        return len(wanted)


def _texts(value: object) -> Iterator[str]:
    """Every string in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
