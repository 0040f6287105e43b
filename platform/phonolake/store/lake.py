"""A lake on disk: one Delta log per table, and one small file that says which version of each table readers see.

    LAKE/lake.json          format, and the published version of every table: replaced in one rename
    LAKE/catalog.duckdb     views over exactly those versions, rebuilt at each publication
    LAKE/tables/NAME/       Parquet shards, their Delta log and their checksums
    LAKE/models/RUN_ID/     weights and card
    LAKE/indexes/RUN_ID/    FAISS index and the track ids in its order
    LAKE/annotations/       the raters' answers as they were given, one journal for each rater

A stage commits its tables one by one to their Delta logs and then publishes them together, so that a reader never sees
a track without its audio, and a run that was killed half-way is invisible until it is finished: the next commit starts
from what is published, and undoes what a killed one left in a log.
"""

import json
import time
from collections.abc import Iterator, Mapping
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
from phonolake.store import catalog, checksums, history
from phonolake.store.schema import TableSchema, shape
from phonolake.store.shards import SEPARATOR, SUFFIX, Shard

FORMAT = 1
MARKER = "lake.json"
# Delta logs take a path for a URL: they decode '%' and turn a backslash round.
UNADDRESSABLE = "%\\"
# Entries of a log are some hundred bytes, and tell which shards earlier versions had: they are kept, not cleaned up.
KEEP_LOG = {"delta.enableExpiredLogCleanup": "false"}


@dataclass(slots=True)
class Change:
    """What one table gains and loses in one commit; `replaces` names the old shard of each that is written again."""

    schema: TableSchema
    add: list[Shard] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)
    replaces: dict[str, str] = field(default_factory=dict)


class Lake:
    """A lake in a folder. `Lake.open` finds one that exists, `Lake.create` makes one where there is none."""

    def __init__(self, root: Path) -> None:
        self.root = root

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
        with lake._locked():
            if not (root / MARKER).is_file():
                lake._write_state({})
        return lake

    # -- what readers see -------------------------------------------------------------------------------------------

    def versions(self) -> dict[str, int]:
        """Published version of every table that has one."""
        return dict(self._state()["tables"])

    def shards(self, table: str, version: int | None = None) -> dict[str, Shard]:
        """Shards of a version of a table (the published one) by file name, in order of their names; empty if none."""
        if version is None:
            version = self.versions().get(table)
        return {} if version is None else self._delta_shards(table, version)

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

    def commit(self, changes: Mapping[str, Change]) -> None:
        """Commit shards that lie ready to their tables and publish all of them at once.

        Shards that a table already has, and removals of shards that it no longer has, change nothing: the same
        commit twice is the same lake.

        Raises
        ------
        PhonolakeError
            When another job has meanwhile changed a shard that was written again here: both versions would stay.
        """
        # Under one lock from the first log to the catalog: no other job publishes half of this commit with its own.
        with self._locked():
            for name, change in changes.items():
                self._check_current(name, change)
            newest = {name: self._commit_table(name, change) for name, change in changes.items()}
            # What a killed publication left: nobody else writes here while the lock is held.
            for unfinished in self.root.glob(f".*{TEMPORARY}"):
                unfinished.unlink(missing_ok=True)
            self._write_state(self.versions() | newest)
            catalog.build(self)

    def build_catalog(self) -> None:
        """Write `catalog.duckdb` again, from what is published."""
        with self._locked():
            catalog.build(self)

    def clean(self, table: str, stems: list[str]) -> None:
        """Remove what a killed worker left half-written for these shards."""
        wanted = {stem + SUFFIX for stem in stems}
        for path in self.folder(table).glob(f".*{TEMPORARY}"):
            if path.name[1:].rsplit(".", 2)[0] in wanted:
                path.unlink(missing_ok=True)

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

    def _write_state(self, versions: dict[str, int]) -> None:
        state = {"format": FORMAT, "tables": dict(sorted(versions.items()))}
        with replacing(self.root / MARKER) as temporary:
            temporary.write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One publication at a time; the kernel frees the lock of a process that was killed."""
        with locked(self.root / ".lock"):
            yield

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

    def _check_current(self, table: str, change: Change) -> None:
        published = self.shards(table)
        for new, old in change.replaces.items():
            if new not in published and old not in published:
                raise PhonolakeError(f"another job changed {old} of {table} meanwhile: run the command again")

    def _commit_table(self, table: str, change: Change) -> int:
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


def _arrow_schema(log: DeltaTable) -> pa.Schema:
    return pa.schema(
        pa.field(f.name, f.type, f.nullable, metadata=f.metadata) for f in pa.schema(log.schema().to_arrow())
    )


def _ours(name: str) -> bool:
    return name in {".lock", "tables", "models", "indexes", "annotations"} or name.endswith(TEMPORARY)
