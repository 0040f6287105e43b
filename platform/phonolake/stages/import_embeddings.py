"""Import embeddings: vectors that were computed elsewhere become a run of the lake, like those of its own networks.

A run of vectors has a row of `models` without labels, whose input is ``import:FILE``, and rows of `embeddings`. If a
recording has several vectors, one for each segment, these are stored in `activations`, and their mean is its embedding.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from phonolake.errors import UsageError, unknown
from phonolake.features import contract
from phonolake.lineage import CODE_VERSION, canonical, digest
from phonolake.lookup import indexed, runs
from phonolake.models import registry
from phonolake.models.loaded import EMBEDDING
from phonolake.sources import vector_files
from phonolake.sources.label_sheets import Keyed
from phonolake.sources.sheets import Sheet
from phonolake.sources.vector_files import Choice, VectorFile
from phonolake.stages import imported, score
from phonolake.stages.imported import Matcher, RemovedImport, Report
from phonolake.store import catalog, folders, mirror, schema
from phonolake.store.lake import Change, Lake
from phonolake.store.outcomes import Outcome, now
from phonolake.store.product import Product
from phonolake.store.shards import SEPARATOR, describe, keep_rows, writing

TABLES = MODELS, EMBEDDINGS, ACTIVATIONS = "models", "embeddings", "activations"
# Source name of the shards, which are not derived from a shard of the lake.
SOURCE = "import"


@dataclass(frozen=True, slots=True)
class Config:
    """Which vectors to import.

    Parameters
    ----------
    model : str
        Their name, like the name of a model for its vectors.
    file : str
        .npy, .npz, CSV or Parquet; a path or an address, as `choice.ids` may be.
    dataset : str, optional
        Only recordings of this dataset are meant.
    choice : vector_files.Choice
        Choices that the file does not show.
    segments : bool
        Whether a recording may have several vectors, one for each segment of it in the order of the file.
    licence, origin : str, optional
        Licence and origin of the vectors.
    """

    lake: str
    model: str
    file: str
    dataset: str | None = None
    choice: Choice = field(default_factory=Choice)
    segments: bool = False
    licence: str | None = None
    origin: str | None = None

    @property
    def file_name(self) -> str:
        return Path(self.file).name

    @property
    def name(self) -> str:
        """`model`, if it is a valid name of vectors."""
        own = {*registry.names(), *contract.feature_sets()}
        name = imported.check_name(self.model, "the name", own)
        if SEPARATOR in name or "/" in name or "@" in name or name.startswith("."):
            raise UsageError(f"the name {name!r} must not contain '/', '@' or '{SEPARATOR}', or begin with a dot")
        return name


def run(config: Config) -> tuple[Outcome, Report]:
    """Import the vectors; they replace earlier ones of the same name.

    Returns
    -------
    Outcome
        Inputs are the vectors, outputs those whose recording is in the lake. Its run identifies the vectors.

    Raises
    ------
    UsageError
        If the file cannot be read, names none of the recordings, or has two vectors for one.
    """
    with _brought(config) as (path, choice):
        return _run(config, path, choice)


def _run(config: Config, path: Path, choice: Choice) -> tuple[Outcome, Report]:
    started, reports = now(), []

    def make(seen: Lake) -> tuple[dict[str, Change], Outcome, Config]:
        given, tracks, report = _read(seen, config, path, choice)
        reports.append(report)
        sha256 = imported.file_digest(path)
        asked = [config.name, sha256, config.choice, config.segments, config.licence, config.origin]
        version = digest([*asked, sorted(tracks.items())])
        run_id = f"{config.name}-{version}"
        changes = _changes(seen, config, run_id, sha256, _by_track(given, tracks))
        left = report.rows - report.matched
        note = f"vectors of {given.E_ND.shape[1]} numbers for {len(set(tracks.values()))} tracks"
        return changes, Outcome("embeddings import", run_id, report.rows, report.matched, left, note), config

    lake = Lake.open(config.lake)
    before = _runs(lake, config.name)
    outcome = imported.publish(lake, make, reads=TABLES, what="import", started=started)
    _drop_indexes(lake, [run_id for run_id in before if run_id != outcome.run_id])
    return outcome, reports[-1]


def plan(config: Config) -> Report:
    """The report of an import, without writing anything; the errors are those of `run`."""
    with _brought(config) as (path, choice):
        return _read(Lake.open(config.lake), config, path, choice)[2]


def remove(lake_path: str, name: str) -> Outcome:
    """Remove imported vectors from the lake.

    Raises
    ------
    UsageError
        For a name without imported vectors; the message lists the known ones.
    """
    started, lake = now(), Lake.open(lake_path)
    before = _runs(lake, name)

    def make(seen: Lake) -> tuple[dict[str, Change], Outcome, RemovedImport]:
        gone = _runs(seen, name)
        if not gone:
            raise unknown("imported embeddings", name, _runs(seen).values())
        changes = {table: Change(schema.table(table)) for table in TABLES}
        for run_id in gone:
            _take_out(seen, changes, run_id)
        n = sum(seen.shards(EMBEDDINGS)[file].rows for file in changes[EMBEDDINGS].remove)
        run_id = f"embeddings-remove-{digest([name, sorted(gone), seen.versions()])}"
        note = f"vectors called {name!r}"
        outcome = Outcome("embeddings remove", run_id, n, n, 0, note)
        return {t: c for t, c in changes.items() if c.remove}, outcome, RemovedImport(lake_path, name)

    outcome = imported.publish(lake, make, reads=TABLES, what="remove", started=started)
    _drop_indexes(lake, before)
    return outcome


@contextmanager
def _brought(config: Config) -> Iterator[tuple[Path, Choice]]:
    """The file, and the choice with the names beside it, on this machine."""
    with mirror.brought(config.file) as path:
        if config.choice.ids is None:
            yield path, config.choice
            return
        with mirror.brought(config.choice.ids) as ids:
            yield path, replace(config.choice, ids=str(ids))


def _read(lake: Lake, config: Config, path: Path, choice: Choice) -> tuple[VectorFile, dict[str, str], Report]:
    """The file, the track of each of its names, and names without a counterpart."""
    _check_free(lake, config.name)
    matcher, report = Matcher(lake, config.dataset), Report()
    given = vector_files.read(path, matcher.names, choice)
    report.understood.append(f"{config.file}: {given.understood}")
    sheet = Sheet(given.path, ("name",), [(n, (name,)) for n, name in enumerate(given.names, 1)])
    keyed = Keyed(sheet, 0, {name: matcher.names.find(name) for name in set(given.names)})
    tracks = matcher.match(keyed, report)
    if not tracks:
        raise UsageError(f"none of the {report.rows} vectors of {config.file} names one recording: {report.said}")
    if not config.segments:
        _check_single(given, tracks)
    matcher.without_row(set(tracks.values()), report)
    return given, tracks, report


def _check_single(given: VectorFile, tracks: dict[str, str]) -> None:
    rows: dict[str, int] = {}
    for n, name in enumerate(given.names):
        if (track_id := tracks.get(name)) is None:
            continue
        if (before := rows.setdefault(track_id, n)) != n:
            raise UsageError(
                f"{given.path} has two vectors of {track_id}, called {given.names[before]!r} (row {before + 1}) and "
                f"{name!r} (row {n + 1}): keep one, or use --segments if each is of a segment"
            )


def _by_track(given: VectorFile, tracks: dict[str, str]) -> dict[str, np.ndarray]:
    """The vectors x_SD of each track, one for each of its segments."""
    rows: dict[str, list[int]] = {}
    for n, name in enumerate(given.names):
        if name in tracks:
            rows.setdefault(tracks[name], []).append(n)
    return {track_id: given.E_ND[rows[track_id]] for track_id in sorted(rows)}


def _changes(lake: Lake, config: Config, run_id: str, sha256: str, x: dict[str, np.ndarray]) -> dict[str, Change]:
    """The rows of a run of vectors; earlier ones of the same name are removed."""
    name, table = config.name, schema.table(MODELS)
    card: dict[str, Any] = {
        "model": name,
        "kind": "vectors",
        "classes": [],
        "licence": config.licence,
        "origin": config.origin,
        "file": {"name": config.file_name, "sha256": sha256},
        "dimension": int(next(iter(x.values())).shape[1]),
        "segments": config.segments,
        "code_version": CODE_VERSION,
    }
    row: dict[str, Any] = {
        "run_id": run_id,
        "model": name,
        "input": f"{runs.IMPORTED}{config.file_name}",
        "labels": [],
        "split": "none",
        "test_fold": None,
        "card": canonical(card),
        "code_version": CODE_VERSION,
    }
    changes = {MODELS: Change(table, [keep_rows(lake.path(MODELS, run_id), table.arrow, [row])])}
    stamp = {"model": name, "run_id": run_id, "source_shard": config.file_name, "code_version": CODE_VERSION}
    wanted: dict[Product, Iterator[dict[str, Any]]] = {score.embeddings_of(run_id): _embeddings(x, stamp)}
    if config.segments:
        wanted[score.activations_of(run_id, EMBEDDING, True)] = _activations(x, stamp)
    for product, rows in wanted.items():
        path = lake.path(product.table.name, product.stem(SOURCE))
        if path.name not in lake.shards(product.table.name) or not path.exists():
            with writing(path, product.table.arrow) as append:
                for found in rows:
                    append(found)
        changes[product.table.name] = Change(product.table, [describe(path)])
    changes.setdefault(ACTIVATIONS, Change(schema.table(ACTIVATIONS)))
    for old in _runs(lake, name):
        if old != run_id:
            _take_out(lake, changes, old)
    return {name: change for name, change in changes.items() if change.add or change.remove}


def _embeddings(x: dict[str, np.ndarray], stamp: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for track_id, x_SD in x.items():
        yield stamp | {"track_id": track_id, "embedding": x_SD.mean(axis=0, dtype=np.float64).tolist()}


def _activations(x: dict[str, np.ndarray], stamp: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for track_id, x_SD in x.items():
        for n, vector_D in enumerate(x_SD):
            yield stamp | {
                "track_id": track_id,
                "layer": EMBEDDING,
                "segment": n,
                "first_step": None,
                "activation": vector_D.tolist(),
            }


def _runs(lake: Lake, name: str | None = None) -> dict[str, str]:
    """Names of imported vectors by run."""
    with catalog.connect(lake) as connection:
        known = runs.model_runs(connection)
    return {run.run_id: run.model for run in known if _is_own(run) and name in (None, run.model)}


def _is_own(run: runs.ModelRun) -> bool:
    """Whether a run is one of imported vectors; imported predictions have labels."""
    return not run.has_weights and not run.labels


def _check_free(lake: Lake, name: str) -> None:
    """Refuse the name of another model of the lake."""
    with catalog.connect(lake) as connection:
        taken = [run for run in runs.model_runs(connection) if not _is_own(run)]
    imported.check_name(name, "the name", {known for run in taken for known in (run.model, run.run_id)})


def _take_out(lake: Lake, changes: dict[str, Change], run_id: str) -> None:
    """All shards of a run."""
    begins = {MODELS: f"{run_id}.", EMBEDDINGS: run_id + SEPARATOR, ACTIVATIONS: f"{run_id}@"}
    for table, begin in begins.items():
        changes[table].remove += [file for file in lake.shards(table) if file.startswith(begin)]


def _drop_indexes(lake: Lake, run_ids: Any) -> None:
    """Indexes of vectors that are no longer in the lake."""
    for run_id in run_ids:
        folders.remove(lake.place, f"{indexed.FOLDER}/{run_id}")
