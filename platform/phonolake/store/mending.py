"""Repair faults from before commits stated their dependencies: duplicate tracks, and dropped rows."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from phonolake.errors import PhonolakeError
from phonolake.store import catalog, delta, history, schema, views
from phonolake.store.lake import Change, Lake, Reads
from phonolake.store.naming import TOMBSTONES, naming
from phonolake.store.rewrite import without
from phonolake.store.shards import SEPARATOR, SUFFIX

# Tables from which others are derived, shard by shard.
INPUTS = ("audio", "features_", "spectrograms", "embeddings")


@dataclass(frozen=True, slots=True)
class Dropped:
    """A derived shard that a job removed from a table although its input is published; its file may still exist."""

    table: str
    file: str
    is_there: bool


@dataclass(slots=True)
class Doubled:
    """Tracks that several ingests added: the rows to remove, by the common name of their shards."""

    losing: dict[str, set[str]] = field(default_factory=dict)

    @property
    def track_ids(self) -> list[str]:
        return sorted({track_id for ids in self.losing.values() for track_id in ids})


def dropped(lake: Lake) -> Iterator[Dropped]:
    """Shards of an earlier version, if others of the same product are published, and so is their input."""
    versions = lake.versions()
    published = {table: set(lake.shards(table)) for table in versions}
    # Other tables have shards of the same names, which stay when the audio is rewritten without some tracks.
    inputs = {file for table, files in published.items() if table.startswith(INPUTS) for file in files}
    for table, files in published.items():
        makings = {SEPARATOR.join(file.split(SEPARATOR)[:2]) for file in files}
        made_of = {_family_and_source(file) for file in files}
        for file in sorted(history.earlier(lake.place, delta.folder(table), versions[table])):
            parts = file.split(SEPARATOR, 2)
            if len(parts) < 3 or SEPARATOR.join(parts[:2]) not in makings or parts[2] not in inputs:
                continue
            if _family_and_source(file) not in made_of:
                yield Dropped(table, file, _is_readable(lake, table, file))


def bring_back(lake: Lake) -> list[Dropped]:
    """Publish dropped shards again if their files exist."""
    seen = lake.pinned()
    found = [shard for shard in dropped(seen) if shard.is_there]
    changes: dict[str, Change] = {}
    for shard in found:
        change = changes.setdefault(shard.table, Change(schema_of(seen, shard.table), reusable=True))
        change.add += seen.describe(shard.table, [shard.file])
    if changes:
        # Without the version of the forgotten tracks, because these shards may contain some: they are checked.
        whole = {table: version for table, version in seen.versions().items() if table != TOMBSTONES}
        lake.commit(changes, Reads(whole))
    return found


def doubled(lake: Lake) -> Doubled:
    """Tracks with several rows; those of the newest file stay."""
    found = Doubled()
    files = {table: list(lake.shards(table)) for table in ("tracks", "audio")}
    if not all(files.values()):
        return found
    tracks = views.reading(lake, "tracks", files["tracks"], names=True)
    audio = views.reading(lake, "audio", files["audio"], names=True)
    with catalog.connect(lake) as connection:
        # Apart, since as a rule there are none: the rest would sort all tracks.
        twice = connection.execute(f"SELECT track_id FROM {tracks} GROUP BY track_id HAVING count(*) > 1").fetchall()
        if not twice:
            return found
        rows = connection.execute(
            "WITH twice AS (SELECT unnest($1) AS track_id), "
            f"t AS (SELECT track_id, parse_filename(filename) AS file FROM {tracks} SEMI JOIN twice USING (track_id)), "
            f"a AS (SELECT track_id, parse_filename(filename) AS file, max(source_mtime) AS mtime FROM {audio} "
            "SEMI JOIN twice USING (track_id) GROUP BY ALL) "
            "SELECT t.track_id, t.file FROM t LEFT JOIN a USING (track_id, file) "
            "QUALIFY row_number() OVER (PARTITION BY t.track_id ORDER BY mtime DESC NULLS LAST, t.file DESC) > 1",
            [[track_id for (track_id,) in twice]],
        ).fetchall()
    for track_id, file in rows:
        found.losing.setdefault(file.removesuffix(SUFFIX), set()).add(track_id)
    return found


def take_out_doubles(lake: Lake) -> Doubled:
    """Rewrite the shards of duplicate tracks with one row for each, and the shards derived from them."""
    seen = lake.pinned()
    found = doubled(seen)
    changes: dict[str, Change] = {}
    for table in seen.versions() if found.losing else ():
        declared = schema_of(seen, table)
        if not naming(seen.published_schema(table)):
            continue
        for file in seen.shards(table):
            ids = found.losing.get(file.removesuffix(SUFFIX).rpartition(SEPARATOR)[2])
            if ids:
                one = without(seen, declared, ids, among=[file])
                change = changes.setdefault(table, Change(declared))
                change.add += one.add
                change.remove += one.remove
                change.replaces |= one.replaces
    if changes:
        lake.commit(changes, Reads(seen.versions()))
    return found


def schema_of(lake: Lake, table: str) -> schema.TableSchema:
    """The declared schema of a table, or that of a feature set."""
    return schema.tables().get(table) or catalog.published_set(lake, table, lake.versions()[table])


def _is_readable(lake: Lake, table: str, file: str) -> bool:
    try:
        lake.describe(table, [file])
    except (FileNotFoundError, PhonolakeError):
        return False
    return True


def _family_and_source(file: str) -> tuple[str, str]:
    return file.split(SEPARATOR)[0], file.rpartition(SEPARATOR)[2]
