"""A lake as it is without what stands under other licences: models, vectors, predictions and what was made of them."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from phonolake.lookup import licences
from phonolake.store import catalog
from phonolake.store.lake import NOTHING, Change, Lake, Reads
from phonolake.store.place import Place
from phonolake.store.shards import SEPARATOR, SUFFIX, Shard

# Tables whose shards are called by the run that they are of.
MADE = ("activations", "embeddings", "metrics", "models", "neighbours", "predictions")


class LicensedLake(Lake):
    """A lake that shows, beside all that no model made, what stands under licences of one kind; writing sees it whole.

    Parameters
    ----------
    place : Place or Path
    kind : str
        One of `licences.KINDS`.
    versions : mapping of str to int, optional
        As `Lake`.

    Raises
    ------
    UsageError
        For an unknown kind.
    """

    def __init__(self, place: Place | Path, kind: str, versions: Mapping[str, int] | None = None) -> None:
        super().__init__(place, versions)
        licences.check_kind(kind)
        self.kind = kind
        # Runs that are left out, by the version of `models`.
        self._left_out: dict[int, frozenset[str]] = {}

    @property
    def is_whole(self) -> bool:
        return False

    def shards(self, table: str, version: int | None = None) -> dict[str, Shard]:
        found = super().shards(table, version)
        if table not in MADE or not found:
            return found
        hidden = self._hidden()
        return {file: shard for file, shard in found.items() if _run_of(file) not in hidden}

    def commit(self, changes: Mapping[str, Change], reads: Reads = NOTHING) -> dict[str, int]:
        return Lake(self.place).commit(changes, reads)

    @contextmanager
    def alone(self, reads: Reads = NOTHING) -> Iterator[None]:
        with Lake(self.place).alone(reads):
            yield

    def discard(self, shards: Mapping[str, Collection[str]]) -> None:
        Lake(self.place).discard(shards)

    def build_catalog(self) -> None:
        Lake(self.place).build_catalog()

    def _hidden(self) -> frozenset[str]:
        versions = self.versions()
        number = versions.get("models", -1)
        if number not in self._left_out:
            with catalog.connect(Lake(self.place, versions)) as connection:
                stated = licences.of_runs(connection)
            self._left_out[number] = frozenset(run_id for run_id, found in stated.items() if found.kind != self.kind)
        return self._left_out[number]

    def _another(self, versions: Mapping[str, int] | None = None) -> "LicensedLake":
        lake = LicensedLake(self.place, self.kind, versions)
        lake._known = self._known
        lake._left_out = self._left_out
        return lake


def opened(path: str | Path | Place, kind: str | None) -> Lake:
    """A lake, or what of it stands under licences of a kind; the errors are those of `Lake.open` and of the kind."""
    lake = Lake.open(path)
    return lake if kind is None else LicensedLake(lake.place, kind)


def _run_of(file: str) -> str:
    """The run in the name of a shard; activations name their layer behind it."""
    return file.removesuffix(SUFFIX).split(SEPARATOR)[0].split("@")[0]
