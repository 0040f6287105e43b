"""A view of a lake without other licences: without their models, vectors, predictions and results."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from phonolake.lookup import licences
from phonolake.store import catalog, schema, views
from phonolake.store.lake import NOTHING, Change, Lake, Reads
from phonolake.store.place import Place
from phonolake.store.shards import SEPARATOR, SUFFIX, Shard

# Tables whose shards are named after their run, or after that run's shard of `models`.
MADE = ("activations", "embeddings", "metrics", "models", "neighbours", "predictions")
# Stored results of analyses that use models, which are named after the run of the analysis.
KEPT = (
    "class_removals", "confusions", "evaluation_checks", "label_similarities", "label_suspects", "noise_rates",
    "roc_points", "track_maps",
)  # fmt: skip
# Tables whose rows name the models that they depend on, and the SQL for it; NULL means not recorded.
COMPARED = {
    "benchmark_answers": "representation",
    "benchmark_vectors": "representation",
    "study_cells": "coalesce(cell->>'$.input', '')",
    "study_claims": "unnest(if(models_read = [], [''], coalesce(models_read, [NULL])))",
    "study_rows": "unnest(if(models_read = [], [''], coalesce(models_read, [NULL])))",
}
# The shards of one table have the names of the shards of another.
OF_CELLS = {"study_predictions": "study_cells"}
# Prefixes of vectors by models: runs of the lake, and networks of the model home.
EMBEDDINGS, HOME = "embeddings", "home"


class LicensedLake(Lake):
    """A lake that shows only models of one kind of licence, and all that no model made; writers see everything.

    It shows stored analyses from times with other models only if they had the same restriction.

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
        # Cached decisions, by the table and the versions on which they depend.
        self._decided: dict[tuple[str, int, int], frozenset[str]] = {}

    @property
    def is_whole(self) -> bool:
        return False

    def shards(self, table: str, version: int | None = None) -> dict[str, Shard]:
        found = super().shards(table, version)
        if not found or table not in (*MADE, *KEPT, *COMPARED, *OF_CELLS):
            return found
        versions = self.versions() | ({} if version is None else {table: version})
        hidden = self._once("models", versions, self._hidden_runs)
        if table in KEPT and hidden:
            shown = self._once("runs", versions, self._asked_alike)
            return {file: shard for file, shard in found.items() if file.removesuffix(SUFFIX) in shown}
        if table in (*COMPARED, *OF_CELLS):
            made = OF_CELLS.get(table, table)
            hidden = self._once(made, versions, partial(self._compared, made, hidden))
            return {file: shard for file, shard in found.items() if file not in hidden}
        return {file: shard for file, shard in found.items() if not hidden & {file, _run_of(file)}}

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

    def _once(self, table: str, versions: Mapping[str, int], find: Callable[[Lake], frozenset[str]]) -> frozenset[str]:
        """The result of `find` in the whole lake; once for each version of a table, and of the models."""
        key = (table, versions.get(table, -1), versions.get("models", -1))
        if key not in self._decided:
            self._decided[key] = find(Lake(self.place, versions))
        return self._decided[key]

    def _hidden_runs(self, lake: Lake) -> frozenset[str]:
        """Runs under other licences, and their shards of `models`, after which all shards of imports are named."""
        with catalog.connect(lake) as connection:
            stated = licences.of_runs(connection)
            hidden = {run_id for run_id, found in stated.items() if found.kind != self.kind}
            if not hidden:
                return frozenset()
            source = views.reading(lake, "models", list(lake.shards("models")), names=True)
            rows = connection.execute(f"SELECT filename, run_id FROM {source}").fetchall()
        return frozenset(hidden | {path.rpartition("/")[2] for path, run_id in rows if run_id in hidden})

    def _asked_alike(self, lake: Lake) -> frozenset[str]:
        """Runs of analyses that used only what this lake shows."""
        with catalog.connect(lake) as connection:
            rows = connection.execute(
                "SELECT run_id FROM runs WHERE stage = 'analyse' AND config->>'$.parameters.licence' = $1", [self.kind]
            ).fetchall()
        return frozenset(run_id for (run_id,) in rows)

    def _compared(self, table: str, hidden: frozenset[str], lake: Lake) -> frozenset[str]:
        """Shards of a benchmark or a study that are about vectors of models under other licences."""
        if not (shards := list(lake.shards(table))):
            return frozenset()
        # A column may be younger than all of the shards.
        columns = views.no_rows(schema.table(table))
        source = f"({columns} UNION ALL BY NAME SELECT * FROM {views.reading(lake, table, shards, names=True)})"
        with catalog.connect(lake) as connection:
            names = {found.model for run_id, found in licences.of_runs(connection).items() if run_id in hidden}
            rows = connection.execute(f"SELECT DISTINCT filename, {COMPARED[table]} FROM {source}").fetchall()
        return frozenset(path.rpartition("/")[2] for path, text in rows if _is_hidden(text, hidden | names))

    def _another(self, versions: Mapping[str, int] | None = None) -> "LicensedLake":
        lake = LicensedLake(self.place, self.kind, versions)
        lake._known = self._known
        lake._decided = self._decided
        return lake


def opened(path: str | Path | Place, kind: str | None) -> Lake:
    """A lake, or its view for a kind of licences; the errors are those of `Lake.open` and of the kind."""
    lake = Lake.open(path)
    return lake if kind is None else LicensedLake(lake.place, kind)


def _is_hidden(text: str | None, hidden: frozenset[str]) -> bool:
    """Whether a row is by a hidden model, or by a network outside, whose licence no lake knows.

    A row without a record of its models is hidden as soon as any model is.
    """
    if text is None:
        return bool(hidden)
    kind, _, name = text.partition(":")
    return kind == HOME or (kind == EMBEDDINGS and name in hidden)


def _run_of(file: str) -> str:
    """The run in the name of a shard; activations have their layer after it."""
    return file.removesuffix(SUFFIX).split(SEPARATOR)[0].split("@")[0]
