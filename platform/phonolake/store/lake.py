"""A lake: one Delta log per table, and one small file with the published version of each table.

    LAKE/lake.json          format, and the published version of every table: replaced in one rename
    LAKE/published/         on object storage, in place of that, a numbered object for each publication
    LAKE/catalog.duckdb     views over exactly those versions, rebuilt at each publication
    LAKE/tables/NAME/       Parquet shards, their Delta log and their checksums
    LAKE/models/RUN_ID/     weights and card
    LAKE/indexes/RUN_ID/    FAISS index, and the track ids in its order as an Arrow file
    LAKE/scans/             digests of ingested files, and notes of an unfinished `verify`
    LAKE/jobs/              running jobs
    LAKE/annotations/       the raters' answers, one journal for each rater

A stage commits its tables one by one to their Delta logs and then publishes them together, so that a reader never sees
a track without its audio, and a killed run is invisible until it is finished: the next commit starts from the published
versions, and undoes log entries of a killed one. A commit states its dependencies: if another job has changed them, it
is refused, and its job tries again from the new state (`phonolake.store.attempts`).
"""

import os
import random
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import pyarrow as pa

from phonolake.errors import UsageError
from phonolake.files import TEMPORARY, locked
from phonolake.store import catalog, checksums, delta, history, jobs, overtaking, publications, sending
from phonolake.store.changes import NOTHING, Change, OvertakenError, Reads
from phonolake.store.objects import StorageError, TakenError
from phonolake.store.place import Place
from phonolake.store.publications import MARKER, State
from phonolake.store.shards import SEPARATOR, SUFFIX, Shard

__all__ = ["MARKER", "Change", "Lake", "OvertakenError", "Reads"]

NONE: Mapping[str, Shard] = {}
# Races for a publication on object storage to lose before giving up, and failures to tolerate. Each that is
# lost is another job's that is done: this many are no fault, but the end of a busy quarter of an hour.
RACES, FAULTS = 400, 5
LONGEST_WAIT = 2.0


class Lake:
    """A lake. `Lake.open` finds one that exists, `Lake.create` makes one where there is none.

    Parameters
    ----------
    place : Place or Path
        Its folder or address.
    versions : mapping of str to int, optional
        Show these versions of the tables instead of the currently published ones (`pinned`).
    """

    def __init__(self, place: Place | Path, versions: Mapping[str, int] | None = None) -> None:
        self.place = Place.at(place)
        self._pinned = None if versions is None else dict(versions)
        # A version that was published stays as it is, and a log takes some milliseconds to open for every thousand
        # shards, or many on object storage: all that come of one lake share what they have read.
        self._known: dict[tuple[str, int], delta.Version] = {}

    @classmethod
    def open(cls, path: str | Path | Place) -> "Lake":
        """Open an existing lake, in a folder or at a URL.

        Raises
        ------
        UsageError
            If there is nothing, a file, or another folder, or a Delta log cannot address the path.
        """
        lake = cls.find(path)
        if lake is None:
            raise UsageError(f"no lake at {path}: `phonolake run MUSIC --lake {path}` makes one")
        return lake

    @classmethod
    def find(cls, path: str | Path | Place) -> "Lake | None":
        """Open the lake at `path` if there is one, else None; other errors are those of `open`."""
        place = Place.at(path)
        if not publications.exists(place):
            return None
        publications.read(place)
        return cls(place)

    @classmethod
    def create(cls, path: str | Path | Place) -> "Lake":
        """Open the lake at `path`, or start an empty one.

        Raises
        ------
        UsageError
            If `path` is a file, a folder with other things in it, or has a character that a Delta log cannot address.
        """
        place = Place.at(path)
        if (there := cls.find(place)) is not None:
            return there
        lake = cls(place)
        # Files of a first run that was killed before its first publication belong to this lake.
        foreign = [name for name in lake._first_names() if not _ours(name)]
        if foreign:
            raise UsageError(f"{path} holds other files ({sorted(foreign)[0]!r}): give the lake a folder of its own")
        try:
            lake.root.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise UsageError(f"{path} lies below a file: name another path with --lake") from error
        if place.is_remote:
            with suppress(TakenError):  # another job was faster: it is the same lake
                lake.write_state({}, before=State())
            return lake
        with lake.alone():
            if not publications.exists(place):
                lake.write_state({}, before=State())
        return lake

    @property
    def root(self) -> Path:
        """Its folder; on object storage, the folder of the local copies."""
        return self.place.root

    @property
    def forks(self) -> bool:
        """Whether forks of this process can read and write it: clients of object storage do not work in them."""
        return not self.place.is_remote

    # -- what readers see -------------------------------------------------------------------------------------------

    def versions(self) -> dict[str, int]:
        """Published version of every table that has one; for a pinned lake those of its state."""
        return dict(publications.read(self.place).tables if self._pinned is None else self._pinned)

    def publication(self) -> tuple[int, int]:
        """A value that changes with each publication; cheaper than `versions`."""
        return publications.stamp(self.place)

    def pinned(self, versions: Mapping[str, int] | None = None) -> "Lake":
        """The lake in its current state, whatever is published later; or with given versions of its tables."""
        return self._another(self.versions() if versions is None else versions)

    @property
    def is_pinned(self) -> bool:
        """Whether it shows a fixed state."""
        return self._pinned is not None

    @property
    def is_whole(self) -> bool:
        """Whether it shows everything that is published, so that the stored catalog applies."""
        return True

    def shards(self, table: str, version: int | None = None) -> dict[str, Shard]:
        """Shards of a version of a table (the published one) by file name, in order of their names; empty if none."""
        if version is None:
            version = self.versions().get(table)
        if version is None:
            return {}
        return dict(self._version(table, version).shards)

    def shards_by_family(self, table: str) -> dict[str, list[str]]:
        """Published files by the first part of their names; those of `embeddings` by the run that made their model."""
        families: dict[str, list[str]] = {}
        for file in self.shards(table):
            families.setdefault(file.split(SEPARATOR)[0], []).append(file)
        return families

    def published_schema(self, table: str, version: int | None = None) -> pa.Schema:
        """Arrow schema of a version of a table (the published one), with its column comments."""
        return self._version(table, self.versions()[table] if version is None else version).schema

    def folder(self, table: str) -> Path:
        """Folder of a table's shards, or of their copies on this machine."""
        return self.root / delta.folder(table)

    def path(self, table: str, stem: str) -> Path:
        """Path of the shard called `stem`, whether or not it exists yet; `send` uploads it."""
        return self.folder(table) / (stem + SUFFIX)

    def name(self, table: str, file: str) -> str:
        """Name of a shard in the lake's place."""
        return f"{delta.folder(table)}/{file}"

    def ready(self, table: str) -> set[str]:
        """Names of all shards in a table's folder, published or not."""
        if not self.place.is_remote:
            folder = self.folder(table)
            # Hidden ones are unfinished.
            names = os.listdir(folder) if folder.is_dir() else []
            return {name for name in names if name.endswith(SUFFIX) and not name.startswith(".")}
        prefix = self.name(table, "")
        found = (entry.name.removeprefix(prefix) for entry in self.place.list(prefix))
        return {name for name in found if name.endswith(SUFFIX) and "/" not in name}

    def ready_shards(self) -> dict[str, set[str]]:
        """Names of the existing shards, by table, in order of the tables' names."""
        if not self.place.is_remote:
            folders = sorted((self.root / delta.FOLDER).glob("*/"))
            return {folder.name: self.ready(folder.name) for folder in folders}
        found: dict[str, set[str]] = {}
        for entry in self.place.list(f"{delta.FOLDER}/"):
            _, table, *rest = entry.name.split("/")
            shards = found.setdefault(table, set())
            if len(rest) == 1 and rest[0].endswith(SUFFIX):
                shards.add(rest[0])
        return found

    def local(self, table: str, file: str) -> Path:
        """The local path of a whole shard; `FileNotFoundError` if it is gone."""
        return self.place.fetch(self.name(table, file))

    def opened(self, table: str, file: str) -> Path | IO[bytes]:
        """A reader of some columns of a shard, local or remote; `FileNotFoundError` if it is gone."""
        return self.place.open(self.name(table, file))

    def drop_copies(self) -> None:
        """Delete local copies of shards that are no longer published; a lake in a folder has none."""
        for folder in (self.root / delta.FOLDER).glob("*/") if self.place.is_remote else ():
            for path in folder.glob(f"*{SUFFIX}"):
                if path.name not in self.shards(folder.name):
                    path.unlink(missing_ok=True)

    def describe(self, table: str, files: Collection[str], known: Mapping[str, Shard] = NONE) -> list[Shard]:
        """The facts of finished shards, if they are not known; the errors are those of `store.shards.describe`."""
        names = {file: self.name(table, file) for file in files if file not in known}
        found = dict(zip(names, sending.described(self.place, names.values()), strict=True))
        return [known.get(file) or found[file] for file in files]

    # -- writing ------------------------------------------------------------------------------------------------------

    def commit(self, changes: Mapping[str, Change], reads: Reads = NOTHING) -> dict[str, int]:
        """Commit finished shards to their tables and publish all of them at once.

        Shards that a table already has, and removals of shards that it no longer has, change nothing: repeating a
        commit gives the same lake. Shards that others published meanwhile stay.

        Parameters
        ----------
        reads : Reads
            Dependencies of the changes. In addition, a shard that they replace must be published, and none of their
            tracks forgotten.

        Returns
        -------
        dict of str to int
            The versions of all tables that this publication names.

        Raises
        ------
        OvertakenError
            When a dependency has changed: rows would be duplicated, or come back. Then nothing is changed.
        """
        if self.place.is_remote:
            return self._commit_among_others(changes, reads)
        # Hold one lock from the first log to the catalog: no other job publishes half of this commit.
        with locked(self.root / ".lock"):
            published = self._commit_once(changes, reads)
            catalog.build(self._another())
        return published

    def send(self, table: str, file: str, *, create: bool = False) -> None:
        """Upload a shard that was written at `path`; in a folder there is nothing to do.

        Its worker computes the checksum.

        Raises
        ------
        TakenError
            With `create`, when there is one.
        """
        if self.place.is_remote:
            sending.send(self.place, self.name(table, file), create=create)
        else:
            checksums.note(self.folder(table) / file)

    @contextmanager
    def alone(self, reads: Reads = NOTHING) -> Iterator[None]:
        """Lock the lake while the block runs, so that no other job can publish; checks the dependencies first.

        Raises
        ------
        OvertakenError
            When it is not.
        """
        if self.place.is_remote:
            # There is no lock. If this raises at its end, the files written in the block must be removed.
            overtaking.check_read(Lake(self.place), reads)
            yield
            overtaking.check_read(Lake(self.place), reads)
            return
        with locked(self.root / ".lock"):
            overtaking.check_read(Lake(self.place), reads)
            yield

    def discard(self, shards: Mapping[str, Collection[str]]) -> None:
        """Remove unneeded shards of this job, by their tables; published ones stay.

        On object storage, where another job may publish them, they stay for `phonolake verify --mend`.
        """
        if not self.place.is_remote:
            with locked(self.root / ".lock"):
                self._discard(shards)

    def build_catalog(self) -> None:
        """Rewrite `catalog.duckdb` from the published versions."""
        with self.alone():
            catalog.build(self._another(), anew=True)

    # -- inside -------------------------------------------------------------------------------------------------------

    def write_state(self, versions: dict[str, int], changed: Sequence[str] = (), before: State | None = None) -> None:
        """Publish versions of tables, all at once, after the state `before`."""
        publications.publish(self.place, before or publications.read(self.place), versions, changed)

    def _commit_once(self, changes: Mapping[str, Change], reads: Reads) -> dict[str, int]:
        """Check and publish a commit; a `TakenError` on object storage when another job was faster."""
        state = publications.read(self.place)
        lake = self._another(state.tables)
        try:
            overtaking.check(lake, changes, reads)
        except OvertakenError:
            # The next attempt reuses a stage's shards, but not rewritten ones.
            added = {name: [] if c.reusable else [shard.file for shard in c.add] for name, c in changes.items()}
            if not self.place.is_remote:
                self._discard({name: [*added[name], *change.replaces] for name, change in changes.items()})
            raise
        newest = {name: lake.commit_table(name, change) for name, change in changes.items()}
        # Remains of a killed publication: no other job writes here while the lock is held.
        for unfinished in () if self.place.is_remote else self.root.glob(f".*{TEMPORARY}"):
            unfinished.unlink(missing_ok=True)
        changed = [name for name in newest if newest[name] != state.tables.get(name)]
        lake.write_state(state.tables | newest, changed, state)
        return state.tables | newest

    def _commit_among_others(self, changes: Mapping[str, Change], reads: Reads) -> dict[str, int]:
        """Commit without a lock: the second job reads again what the first has published."""
        changes = {name: sending.sent(self, name, change) for name, change in changes.items()}
        lost = faults = 0
        while True:
            try:
                published = self._commit_once(changes, reads)
                break
            except StorageError as error:
                lost += isinstance(error, TakenError)
                faults += not isinstance(error, TakenError)
                if not error.passing or lost == RACES or faults == FAULTS:
                    raise
                time.sleep(random.uniform(0, min(LONGEST_WAIT, 0.02 * 2 ** (lost + faults))))
        catalog.publish(self._another())
        return published

    def _another(self, versions: Mapping[str, int] | None = None) -> "Lake":
        """The same lake, or some versions of it, with the tables that this one has already read."""
        lake = Lake(self.place, versions)
        lake._known = self._known
        return lake

    def _version(self, table: str, version: int) -> delta.Version:
        """A published version of a table."""
        if (table, version) not in self._known:
            self._known[table, version] = delta.version(self.place, table, version)
        return self._known[table, version]

    def _first_names(self) -> list[str]:
        """First parts of the names at the place of a new lake."""
        if self.place.is_remote:
            return sorted({entry.name.partition("/")[0] for entry in self.place.list("")})
        return [path.name for path in self.root.iterdir()] if self.root.exists() else []

    def _discard(self, shards: Mapping[str, Collection[str]]) -> None:
        published = self._another()
        for table, files in shards.items():
            for file in set(files) - published.shards(table).keys() if files else ():
                (self.folder(table) / file).unlink(missing_ok=True)

    def overtaken(self, table: str) -> OvertakenError:
        """The error when another job has published a table; it names the job."""
        writer = publications.read(self.place).writers.get(table)
        who = f"the {writer}," if writer else "another job"
        return OvertakenError(f"{who} changed {table} meanwhile: run the command again")

    def commit_table(self, table: str, change: Change) -> int:
        """Commit the published version with the change as the newest of a table's log; returns its number."""
        published = self.versions().get(table, -1)
        folder = self.folder(table)
        if not self.place.is_remote:
            folder.mkdir(parents=True, exist_ok=True)
            # The published version is not read again.
            there = self.shards(table)
            checksums.record(folder, [shard.file for shard in change.add if there.get(shard.file) != shard])
            history.drop_torn(folder, published)
        found = delta.commit(self.place, table, change, self.shards(table), published)
        if not self.place.is_remote:
            history.force(folder, published)
        self._known[table, found.number] = found
        return found.number


def _ours(name: str) -> bool:
    folders = {"tables", "models", "indexes", "annotations", "scans", jobs.FOLDER}
    return name in folders | {".lock", catalog.FILE} or name.endswith(TEMPORARY)
