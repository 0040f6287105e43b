"""Import predictions: the output of another model for the lake's tracks becomes a run.

It has no weights, so it cannot score new tracks; everything that uses stored predictions works with it.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from phonolake.errors import UsageError, unknown
from phonolake.lineage import CODE_VERSION, canonical, digest, settings
from phonolake.lookup import runs
from phonolake.lookup.label_matrix import check_source, places
from phonolake.models import registry
from phonolake.records import TEST, VALID
from phonolake.sources import label_sheets, probability_sheets
from phonolake.sources.label_sheets import Keyed
from phonolake.sources.probability_sheets import Layout, ProbabilityColumns
from phonolake.stages import examples, imported
from phonolake.stages.imported import Matcher, Report, Unmatched
from phonolake.store import catalog, mirror
from phonolake.store.lake import Change, Lake
from phonolake.store.outcomes import Outcome, now
from phonolake.training import report as figures

TABLES = ("predictions", "models", "metrics")


@dataclass(frozen=True, slots=True)
class Config:
    """Which predictions to import.

    Parameters
    ----------
    file : str
        CSV, TSV, Parquet, JSON lines or JSON; a path or an address.
    model : str, optional
        Name of the model; the name of the file by default.
    labels : str
        Source of the labels for its figures (`labels.source`).
    split, fold : str and int, optional
        The split of the lake with which it was trained, and the fold that it held out. Without a split, or without a
        fold if the split has folds, every track counts as held out.
    dataset : str, optional
        Only recordings of this dataset are meant.
    licence, origin : str, optional
        Licence and origin of the predictions; stored on the model's card.
    columns : ProbabilityColumns
        Choices that the table does not show.
    """

    lake: str
    file: str
    model: str | None = None
    labels: str = "dataset"
    split: str | None = None
    fold: int | None = None
    dataset: str | None = None
    licence: str | None = None
    origin: str | None = None
    columns: ProbabilityColumns = field(default_factory=ProbabilityColumns)

    @property
    def name(self) -> str:
        """The name of the model."""
        return self.model or Path(self.file).stem


@dataclass(frozen=True, slots=True)
class _Predictions:
    """Probabilities P_NK of tracks, in order of their ids, and classes; and the part of each track."""

    track_ids: tuple[str, ...]
    classes: tuple[str, ...]
    P_NK: np.ndarray
    parts: tuple[str, ...]


def run(config: Config) -> tuple[Outcome, Report]:
    """Import the predictions; they replace earlier ones of the same model.

    Returns
    -------
    Outcome
        Inputs are the recordings that the table names, outputs those that are in the lake.

    Raises
    ------
    UsageError
        If the table cannot be read or understood, names none of the recordings, has a value that is not a probability,
        contradicts itself or lacks a label of a recording; for an unknown source of labels, split or fold; or for the
        name of another model.
    """
    with mirror.brought(config.file) as path:
        return _run(config, path)


def _run(config: Config, path: Path) -> tuple[Outcome, Report]:
    started, reports = now(), []

    def make(seen: Lake) -> tuple[Mapping[str, Change], Outcome, Config]:
        found, report = _read(seen, config, path)
        reports.append(report)
        sha256 = imported.file_digest(path)
        Y_NK = _truth(seen, config, found)
        asked = settings(replace(config, lake=""))
        truth = hashlib.sha256(np.packbits(Y_NK > 0).tobytes()).hexdigest()
        version = digest([asked, sha256, found.track_ids, found.parts, truth])
        run_id = f"{config.name}-{version}"
        rows = {
            "models": [_model(config, found, run_id, sha256)],
            "predictions": _rows(config, found, run_id),
            "metrics": _metrics(found, Y_NK, run_id),
        }
        changes = {table: imported.replacing(seen, table, {config.name: rows[table]}, version) for table in TABLES}
        note = f"{len(found.classes)} labels by the model {config.name!r}"
        left = report.rows - report.matched
        return changes, Outcome("predictions import", run_id, report.rows, report.matched, left, note), config

    reads = (*TABLES, "labels", "splits")
    outcome = imported.publish(Lake.open(config.lake), make, reads=reads, what="import", started=started)
    return outcome, reports[-1]


def plan(config: Config) -> Report:
    """The report of an import, without writing anything; the errors are those of `run`."""
    with mirror.brought(config.file) as path:
        return _read(Lake.open(config.lake), config, path)[1]


def remove(lake_path: str, model: str) -> Outcome:
    """Remove an imported model and all of its predictions from the lake."""
    return imported.remove(lake_path, TABLES, "model", model)


def _read(lake: Lake, config: Config, path: Path) -> tuple[_Predictions, Report]:
    """The predictions for tracks of the lake, and rows without a counterpart."""
    imported.check_name(config.name, "the model", _others(lake, config.name))
    matcher, report = Matcher(lake, config.dataset), Report()
    keyed = label_sheets.key(path, matcher.names, config.columns.id_column)
    layout = probability_sheets.find(keyed, config.columns)
    report.understood.append(f"{config.file}: {probability_sheets.understood(keyed, layout)}")
    tracks = matcher.match(_once(keyed), report)
    if not tracks:
        raise UsageError(f"none of the {report.rows} recordings of {config.file} is in the lake: {report.said}")
    matcher.without_row(set(tracks.values()), report)
    track_ids, classes, P_NK = _matrix(keyed, layout, tracks)
    _check_labels(lake, config, classes, report)
    parts = _parts(lake, config, track_ids)
    report.understood.append(_held_out(config, parts))
    return _Predictions(track_ids, classes, P_NK, parts), report


def _others(lake: Lake, name: str) -> set[str]:
    """Reserved names: built-in models, and models trained in the lake."""
    own = {*imported.files(lake, "models", name)}
    with catalog.connect(lake) as connection:
        taken = [run for run in runs.model_runs(connection) if not (own and run.model == name)]
    return {*registry.names(), *(known for run in taken for known in (run.model, run.run_id))}


def _once(keyed: Keyed) -> Keyed:
    """The table with the first row of each recording alone: it is counted once, however many labels it has."""
    first: dict[str, tuple[int, Any]] = {}
    for line, name, cells in keyed.named():
        first.setdefault(name, (line, cells))
    return replace(keyed, sheet=replace(keyed.sheet, rows=list(first.values())))


def _matrix(
    keyed: Keyed, layout: Layout, tracks: Mapping[str, str]
) -> tuple[tuple[str, ...], tuple[str, ...], np.ndarray]:
    """Tracks, classes and P_NK; rows about recordings outside the lake are checked, too."""
    told = [one.label for one in probability_sheets.given(keyed, layout) if one.name in tracks]
    track_ids, classes = tuple(sorted(set(tracks.values()))), tuple(dict.fromkeys(told))
    row = {track_id: n for n, track_id in enumerate(track_ids)}
    column = {label: k for k, label in enumerate(classes)}
    P_NK = np.full((len(track_ids), len(classes)), np.nan)
    for one in probability_sheets.given(keyed, layout):
        if one.name in tracks:
            n, k = row[tracks[one.name]], column[one.label]
            if P_NK[n, k] != one.value and not np.isnan(P_NK[n, k]):
                raise UsageError(
                    f"{keyed.sheet.path} has {one.label!r} of {one.name!r} twice, {P_NK[n, k]:g} and {one.value:g} in "
                    f"line {one.line}: a model gives one probability"
                )
            P_NK[n, k] = one.value
    if (missing := np.argwhere(np.isnan(P_NK))).size:
        n, k = missing[0]
        raise UsageError(
            f"{keyed.sheet.path} has no probability of {classes[k]!r} for {track_ids[n]}, and of others it has: a "
            "model gives one for each of its labels"
        )
    return track_ids, classes, P_NK


def _check_labels(lake: Lake, config: Config, classes: Sequence[str], report: Report) -> None:
    """Note labels that no track has by the source: their predictions cannot be evaluated."""
    with catalog.connect(lake) as connection:
        check_source(connection, config.labels)
        known = {
            label
            for (label,) in connection.execute("SELECT DISTINCT label FROM labels_by($1)", [config.labels]).fetchall()
        }
    report.unmatched += [Unmatched("labels that no track has", label, 0) for label in classes if label not in known]


def _parts(lake: Lake, config: Config, track_ids: Sequence[str]) -> tuple[str, ...]:
    """The part of each track for the model; ``""`` if the split does not name it."""
    if config.split is None:
        if config.fold is not None:
            raise UsageError("--fold needs a split: name it with --split")
        return (TEST,) * len(track_ids)
    with catalog.connect(lake) as connection:
        rows = connection.execute("SELECT track_id, part, fold FROM splits WHERE split = $1", [config.split]).fetchall()
        known = [split for (split,) in connection.execute("SELECT DISTINCT split FROM splits").fetchall()]
    if not rows:
        raise unknown("split", config.split, known)
    folds = [fold for *_, fold in rows]
    if config.fold is None and any(fold is not None for fold in folds):
        sides = [TEST] * len(rows)  # a model for each fold, which held it out
    else:
        sides = examples.parts([part for _, part, _ in rows], folds, config.split, config.fold)
    side = {track_id: part for (track_id, *_), part in zip(rows, sides, strict=True)}
    return tuple(side.get(track_id, "") for track_id in track_ids)


def _held_out(config: Config, parts: Sequence[str]) -> str:
    n = sum(part == TEST for part in parts)
    by = f"by the split {config.split!r}" if config.split else "because no --split says what the model was trained on"
    return f"{n} of {len(parts)} tracks count as held out, {by}"


def _model(config: Config, found: _Predictions, run_id: str, sha256: str) -> dict[str, Any]:
    card = {
        "model": config.name,
        "input": f"{runs.IMPORTED}{Path(config.file).name}",
        "classes": list(found.classes),
        "config": {"labels": config.labels},
        "file": {"name": Path(config.file).name, "sha256": sha256},
        "kind": "predictions",
        "licence": config.licence,
        "origin": config.origin,
        "code_version": CODE_VERSION,
    }
    return {
        "run_id": run_id,
        "model": config.name,
        "input": f"{runs.IMPORTED}{Path(config.file).name}",
        "labels": list(found.classes),
        "split": config.split or "none",
        "test_fold": config.fold,
        "card": canonical(card),
        "code_version": CODE_VERSION,
    }


def _rows(config: Config, found: _Predictions, run_id: str) -> Iterator[dict[str, Any]]:
    stamp = {"model": config.name, "run_id": run_id, "code_version": CODE_VERSION}
    stamp["source_shard"] = Path(config.file).name
    for track_id, part, p_K in zip(found.track_ids, found.parts, found.P_NK.tolist(), strict=True):
        row = stamp | {"track_id": track_id, "part": part or None}
        for label, p in zip(found.classes, p_K, strict=True):
            yield row | {"label": label, "probability": p}


def _truth(lake: Lake, config: Config, found: _Predictions) -> np.ndarray:
    """Y_NK: which of the model's classes each track has by the source."""
    with catalog.connect(lake) as connection:
        given = connection.sql(
            "SELECT DISTINCT track_id, label FROM labels_by($1) WHERE value = 1", params=[config.labels]
        ).to_arrow_table()
    row, column = places(given["track_id"], found.track_ids), places(given["label"], found.classes)
    known = (row >= 0) & (column >= 0)
    Y_NK = np.zeros(found.P_NK.shape, np.float32)
    Y_NK[row[known], column[known]] = 1
    return Y_NK


def _metrics(found: _Predictions, Y_NK: np.ndarray, run_id: str) -> list[dict[str, Any]]:
    """Figures on held-out tracks with a label that the model knows."""
    measured = []
    for part in (VALID, TEST):
        kept = [n for n, its_part in enumerate(found.parts) if its_part == part and Y_NK[n].any()]
        if kept:
            y = Y_NK[kept] if (Y_NK.sum(axis=1) > 1).any() else Y_NK[kept].argmax(axis=1)
            ids = [found.track_ids[n] for n in kept]
            measured += figures.of_part(run_id, part, found.classes, ids, y, found.P_NK[kept])
    return measured
