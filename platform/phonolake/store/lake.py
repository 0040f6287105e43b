"""A lake on disk: one Delta log per table, and one small file that says which version of each table readers see.

    LAKE/lake.json          format, and the published version of every table: replaced in one rename
    LAKE/catalog.duckdb     views over exactly those versions, rebuilt at each publication
    LAKE/tables/NAME/       Parquet shards, their Delta log and their checksums
    LAKE/models/RUN_ID/     weights and card
    LAKE/indexes/RUN_ID/    FAISS index, and the track ids in its order as an Arrow file
    LAKE/jobs/              who is at work
    LAKE/annotations/       the raters' answers as they were given, one journal for each rater

A stage commits its tables one by one to their Delta logs and then publishes them together, so that a reader never sees
a track without its audio, and a run that was killed half-way is invisible until it is finished: the next commit starts
from what is published, and undoes what a killed one left in a log. A commit says what it rests on: where others have
changed that meanwhile it is refused, and its job tries again from what is published then (`phonolake.store.attempts`).
"""

import json
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction, RemoveAction

from phonolake.errors import PhonolakeError, UsageError
from phonolake.files import TEMPORARY, locked, replacing
from phonolake.store import catalog, checksums, history, jobs, naming
from phonolake.store.naming import TOMBSTONES
from phonolake.store.schema import TableSchema, shape
from phonolake.store.shards import SEPARATOR, SUFFIX, Shard

FORMAT = 1
MARKER = "lake.json"
URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)://(?P<rest>.*)", re.DOTALL)
# Delta logs take a path for a URL: they decode '%' and turn a backslash round.
UNADDRESSABLE = "%\\"
# Entries of a log are some hundred bytes, and tell which shards earlier versions had: they are kept, not cleaned up.
KEEP_LOG = {"delta.enableExpiredLogCleanup": "false"}


@dataclass(slots=True)
class Change:
    """What one table gains and loses in one commit.

    Parameters
    ----------
    schema : TableSchema
        Of the table.
    add, remove : list
        Shards that lie ready, and files that go.
    replaces : dict
        The old shard of each that is written again.
    reusable : bool
        Whether the added shards are the work of a stage, which its next attempt takes up; others go with a refusal.
    """

    schema: TableSchema
    add: list[Shard] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)
    replaces: dict[str, str] = field(default_factory=dict)
    reusable: bool = False


@dataclass(frozen=True, slots=True)
class Reads:
    """What a commit rests on.

    Parameters
    ----------
    whole : mapping of str to int
        Tables that were read as a whole, with their versions (-1 for one that had none): nobody may change them before
        the commit. The version of the table of forgotten tracks only says that the job knew of those.
    shards : mapping of str to collection of str
        Shards that must still be published, by their tables; others may come.
    """

    whole: Mapping[str, int] = field(default_factory=dict)
    shards: Mapping[str, Collection[str]] = field(default_factory=dict)


class OvertakenError(PhonolakeError):
    """What a commit rests on is no longer what is published: another job was faster."""


class Lake:
    """A lake in a folder. `Lake.open` finds one that exists, `Lake.create` makes one where there is none.

    Parameters
    ----------
    root : Path
        The folder.
    versions : mapping of str to int, optional
        Look at these versions of the tables instead of those that are published at each moment (`pinned`).
    """

    def __init__(self, root: Path, versions: Mapping[str, int] | None = None) -> None:
        self.root = root
        self._pinned = None if versions is None else dict(versions)
        self._known: dict[tuple[str, int], dict[str, Shard]] = {}

    @classmethod
    def open(cls, path: str | Path) -> "Lake":
        """Open an existing lake.

        Raises
        ------
        UsageError
            If nothing, a file, or a folder that is no lake is there, or a Delta log cannot address the path.
        """
        root = _root(path)
        if not (root / MARKER).is_file():
            raise UsageError(f"no lake at {path}: `phonolake run MUSIC --lake {path}` makes one")
        lake = cls(root)
        lake._state()
        return lake

    @classmethod
    def find(cls, path: str | Path) -> "Lake | None":
        """Open the lake at `path` if there is one; the errors are those of `open`, but that there is none."""
        return cls.open(path) if (_root(path) / MARKER).is_file() else None

    @classmethod
    def create(cls, path: str | Path) -> "Lake":
        """Open the lake at `path`, or start an empty one.

        Raises
        ------
        UsageError
            If `path` is a file, a folder with other things in it, or has a character that a Delta log cannot address.
        """
        root = _root(path)
        if (root / MARKER).is_file():
            return cls.open(path)
        # What a first run left when it was killed before its first publication is still this lake's.
        foreign = [p.name for p in root.iterdir() if not _ours(p.name)] if root.exists() else []
        if foreign:
            raise UsageError(f"{path} holds other files ({sorted(foreign)[0]!r}): give the lake a folder of its own")
        lake = cls(root)
        try:
            root.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise UsageError(f"{path} lies below a file: name another path with --lake") from error
        with lake.alone():
            if not (root / MARKER).is_file():
                lake.write_state({})
        return lake

    # -- what readers see -------------------------------------------------------------------------------------------

    def versions(self) -> dict[str, int]:
        """Published version of every table that has one; of a pinned lake those that were published then."""
        return dict(self._state()["tables"] if self._pinned is None else self._pinned)

    def publication(self) -> tuple[int, int]:
        """What is another one after each publication; cheaper than `versions`."""
        try:
            facts = (self.root / MARKER).stat()
        except OSError as error:
            raise PhonolakeError(f"{self.root / MARKER} cannot be read ({error}): restore it from a copy") from error
        return facts.st_ino, facts.st_mtime_ns

    def pinned(self) -> "Lake":
        """The lake as it is published now, whatever is published later."""
        return Lake(self.root, self.versions())

    @property
    def is_pinned(self) -> bool:
        """Whether it shows one moment, and not what is published now."""
        return self._pinned is not None

    def shards(self, table: str, version: int | None = None) -> dict[str, Shard]:
        """Shards of a version of a table (the published one) by file name, in order of their names; empty if none."""
        if version is None:
            version = self.versions().get(table)
        if version is None:
            return {}
        if not self.is_pinned:
            return self._delta_shards(table, version)
        # What is pinned stays as it is, and a log takes some milliseconds to open.
        if (table, version) not in self._known:
            self._known[table, version] = self._delta_shards(table, version)
        return dict(self._known[table, version])

    def shards_by_family(self, table: str) -> dict[str, list[str]]:
        """Published files by the first part of their names; those of `embeddings` by the run that made their model."""
        families: dict[str, list[str]] = {}
        for file in self.shards(table):
            families.setdefault(file.split(SEPARATOR)[0], []).append(file)
        return families

    def published_schema(self, table: str, version: int | None = None) -> pa.Schema:
        """Arrow schema of a version of a table (the published one), with its column comments."""
        return _arrow_schema(self._log(table, self.versions()[table] if version is None else version))

    def folder(self, table: str) -> Path:
        """Folder of a table's shards."""
        return self.root / "tables" / table

    def path(self, table: str, stem: str) -> Path:
        """Path of the shard called `stem`, whether or not it exists yet."""
        return self.folder(table) / (stem + SUFFIX)

    # -- writing ------------------------------------------------------------------------------------------------------

    def commit(self, changes: Mapping[str, Change], reads: Reads = Reads()) -> None:
        """Commit shards that lie ready to their tables and publish all of them at once.

        Shards that a table already has, and removals of shards that it no longer has, change nothing: the same
        commit twice is the same lake. Shards that others published meanwhile stay.

        Parameters
        ----------
        reads : Reads
            What the changes rest on. That a shard which they replace was published, and that no track of theirs was
            forgotten, they rest on anyway.

        Raises
        ------
        OvertakenError
            When any of that is no longer so: rows would stand there twice, or come back. Nothing is changed then.
        """
        lake = Lake(self.root)
        # Under one lock from the first log to the catalog: no other job publishes half of this commit with its own.
        with locked(self.root / ".lock"):
            lake._check(changes, reads)
            before = lake.versions()
            newest = {name: lake.commit_table(name, change) for name, change in changes.items()}
            # What a killed publication left: nobody else writes here while the lock is held.
            for unfinished in self.root.glob(f".*{TEMPORARY}"):
                unfinished.unlink(missing_ok=True)
            lake.write_state(before | newest, [name for name in newest if newest[name] != before.get(name)])
            catalog.build(lake)

    @contextmanager
    def alone(self, reads: Reads = Reads()) -> Iterator[None]:
        """Hold the lake while the block runs, in which nobody else can publish; what was read must still be so.

        Raises
        ------
        OvertakenError
            When it is not.
        """
        with locked(self.root / ".lock"):
            Lake(self.root)._check_read(reads)
            yield

    def discard(self, shards: Mapping[str, Collection[str]]) -> None:
        """Remove shards that this job wrote and has no use for, by their tables; those that are published stay."""
        with locked(self.root / ".lock"):
            self._discard(shards)

    def build_catalog(self) -> None:
        """Write `catalog.duckdb` again, from what is published."""
        with self.alone():
            catalog.build(Lake(self.root))

    # -- inside -------------------------------------------------------------------------------------------------------

    def _state(self) -> dict[str, Any]:
        try:
            state = json.loads((self.root / MARKER).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise PhonolakeError(f"{self.root / MARKER} cannot be read ({error}): restore it from a copy") from error
        if not isinstance(state, dict) or "format" not in state:
            raise PhonolakeError(f"{self.root / MARKER} cannot be read (it names no format): restore it from a copy")
        if state["format"] != FORMAT:
            raise PhonolakeError(
                f"{self.root} has lake format {state['format']!r}, and this Phonolake reads {FORMAT}: "
                "use the version that wrote it"
            )
        tables = state.get("tables")
        if not isinstance(tables, dict) or not all(isinstance(version, int) for version in tables.values()):
            raise PhonolakeError(f"{self.root / MARKER} cannot be read (it names no versions): restore it from a copy")
        return state

    def write_state(self, versions: dict[str, int], changed: Sequence[str] = ()) -> None:
        """Publish versions of tables, all at once."""
        writers = self._state().get("writers", {}) if changed else {}
        writers |= {table: str(jobs.current()) for table in changed}
        state = {"format": FORMAT, "tables": dict(sorted(versions.items()))}
        state |= {"writers": dict(sorted(writers.items()))} if writers else {}
        with replacing(self.root / MARKER) as temporary:
            temporary.write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")

    def _uri(self, table: str) -> str:
        return self.folder(table).as_uri()

    def _log(self, table: str, version: int | None = None) -> DeltaTable:
        try:
            return DeltaTable(self._uri(table), version=version)
        except DeltaError as error:
            raise PhonolakeError(
                f"the log of {table} cannot be read ({error}): restore {self.folder(table) / '_delta_log'} from a copy"
            ) from error

    def _delta_shards(self, table: str, version: int | None = None) -> dict[str, Shard]:
        actions = pa.table(self._log(table, version).get_add_actions(flatten=True))
        rows = actions.select(["path", "num_records", "size_bytes"]).to_pylist()
        shards = sorted((Shard(r["path"], r["num_records"], r["size_bytes"]) for r in rows), key=lambda s: s.file)
        return {shard.file: shard for shard in shards}

    def _check(self, changes: Mapping[str, Change], reads: Reads) -> None:
        """Refuse a commit that others have overtaken, with what it wrote again."""
        try:
            self._check_read(reads)
            for name, change in changes.items():
                self._check_current(name, change)
            self._check_forgotten(changes, reads)
        except OvertakenError:
            added = {name: [] if c.reusable else [shard.file for shard in c.add] for name, c in changes.items()}
            self._discard({name: [*added[name], *change.replaces] for name, change in changes.items()})
            raise

    def _check_read(self, reads: Reads) -> None:
        for table, version in reads.whole.items():
            if table != TOMBSTONES and self.versions().get(table, -1) != version:
                raise self.overtaken(table)
        for table, files in reads.shards.items():
            if not set(files) <= self.shards(table).keys():
                raise self.overtaken(table)

    def _discard(self, shards: Mapping[str, Collection[str]]) -> None:
        published = Lake(self.root)
        for table, files in shards.items():
            for file in set(files) - published.shards(table).keys():
                (self.folder(table) / file).unlink(missing_ok=True)

    def _check_current(self, table: str, change: Change) -> None:
        """What is replaced must be published, unless all that takes its place is: then it was replaced by this."""
        published = self.shards(table)
        for new, old in change.replaces.items():
            if new not in published and old not in published:
                raise self.overtaken(table)

    def _check_forgotten(self, changes: Mapping[str, Change], reads: Reads) -> None:
        """New rows may name no track that was forgotten, since the job read the table of those or ever."""
        version = self.versions().get(TOMBSTONES, -1)
        if version < 0 or reads.whole.get(TOMBSTONES) == version:
            return
        ids = naming.buried(self.folder(TOMBSTONES), self.shards(TOMBSTONES))
        for table, change in changes.items():
            published = self.shards(table)
            for shard in change.add:
                new = table != TOMBSTONES and shard.file not in published
                if new and naming.holds(self.folder(table) / shard.file, ids):
                    raise self.overtaken(TOMBSTONES)

    def overtaken(self, table: str) -> OvertakenError:
        """What to raise when somebody else has published a table: it names the job."""
        writer = self._state().get("writers", {}).get(table)
        who = f"the {writer}," if writer else "another job"
        return OvertakenError(f"{who} changed {table} meanwhile: run the command again")

    def commit_table(self, table: str, change: Change) -> int:
        """Make the newest version of a table's log what is published, with the change; returns its number."""
        kept = self.shards(table)
        wanted = {f: s for f, s in kept.items() if f not in change.remove} | {s.file: s for s in change.add}
        arrow = change.schema.arrow
        self.folder(table).mkdir(parents=True, exist_ok=True)
        checksums.record(self.folder(table), [shard.file for shard in change.add])
        published = self.versions().get(table, -1)
        history.drop_torn(self.folder(table), published)
        try:
            log = DeltaTable.create(self._uri(table), arrow, mode="ignore", configuration=KEEP_LOG)
            if shape(_arrow_schema(log)) != shape(arrow):
                # A feature set with other columns. Only an overwrite changes a log's schema, and it empties the table.
                log.create_write_transaction([], mode="overwrite", schema=arrow)
                log = self._log(table)
            present = self._delta_shards(table)
            now = int(time.time() * 1000)
            adds = [
                AddAction(s.file, s.bytes, {}, now, True, json.dumps({"numRecords": s.rows}))
                for s in wanted.values()
                if present.get(s.file) != s
            ]
            removes = [RemoveAction(f, True, now, present[f].bytes, {}) for f in sorted(present.keys() - wanted.keys())]
            if adds or removes:
                log.create_write_transaction(adds + removes, mode="append", schema=arrow)
        except DeltaError as error:
            raise PhonolakeError(f"{table} could not be committed ({error}): run the command again") from error
        history.force(self.folder(table), published)
        return self._log(table).version()


def _root(path: str | Path) -> Path:
    """The absolute path of a lake's folder."""
    path = _local(path)
    try:
        root = Path(path).expanduser().resolve()
        is_file = root.exists() and not root.is_dir()
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"a lake cannot lie at {str(path)!r} ({error}): name another path with --lake") from error
    if is_file:
        raise UsageError(f"{path} is a file, and a lake is a folder: name another path with --lake")
    if not str(root).isprintable() or any(c in str(root) for c in UNADDRESSABLE):
        raise UsageError(
            f"a lake cannot lie at {str(root)!r}: its path may hold no '%', no backslash and no control characters"
        )
    return root


def _local(path: str | Path) -> Path:
    """A path, or that of a ``file:`` URL; a lake lies on a file system."""
    found = URL.match(str(path))
    if found is None:
        return Path(path)
    host, _, rest = found["rest"].partition("/")
    if found["scheme"].lower() == "file" and host in ("", "localhost"):
        return Path(f"/{rest}")
    raise UsageError(
        f"a lake lies on a file system, and {str(path)!r} is none: object storage is not supported yet, name a folder "
        "with --lake"
    )


def _arrow_schema(log: DeltaTable) -> pa.Schema:
    return pa.schema(
        pa.field(f.name, f.type, f.nullable, metadata=f.metadata) for f in pa.schema(log.schema().to_arrow())
    )


def _ours(name: str) -> bool:
    return name in {".lock", "tables", "models", "indexes", "annotations", jobs.FOLDER} or name.endswith(TEMPORARY)
