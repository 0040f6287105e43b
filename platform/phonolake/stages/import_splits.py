"""Import splits: the parts or folds of recordings in a table become rows of `splits`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phonolake.errors import UsageError
from phonolake.lineage import digest
from phonolake.sources import split_sheets
from phonolake.sources.names import Names
from phonolake.stages import imported
from phonolake.stages.imported import Matcher, Report
from phonolake.store import catalog, mirror
from phonolake.store.lake import Change, Lake
from phonolake.store.outcomes import Outcome, now

TABLE = "splits"


@dataclass(frozen=True, slots=True)
class Config:
    """Which split to import.

    Parameters
    ----------
    file : str
        A table with a column for the part or fold, or a folder with a list for each part; a path or an address.
    split : str, optional
        Name of the split; that of the file or folder by default.
    dataset : str, optional
        Only recordings of this dataset are meant.
    id_column : str, optional
        Column that names the recordings.
    """

    lake: str
    file: str
    split: str | None = None
    dataset: str | None = None
    id_column: str | None = None


def run(config: Config) -> tuple[Outcome, Report]:
    """Import the splits of a table or folder; they replace earlier ones of the same names.

    Raises
    ------
    UsageError
        If a table cannot be read or understood, names none of the recordings, or puts one on two sides.
    """
    with mirror.brought(config.file, folder=True) as path:
        return _run(config, path)


def _run(config: Config, path: Path) -> tuple[Outcome, Report]:
    started, reports = now(), []

    def make(seen: Lake) -> tuple[Mapping[str, Change], Outcome, Config]:
        found, report = _read(seen, config, path)
        reports.append(report)
        version = digest(found)
        n, names = sum(map(len, found.values())), ", ".join(map(repr, found))
        left = report.rows - report.matched
        note = f"{n} rows of the splits {names}"
        outcome = Outcome("splits import", f"splits-import-{version}", report.rows, report.matched, left, note)
        return {TABLE: imported.replacing(seen, TABLE, found, version)}, outcome, config

    outcome = imported.publish(Lake.open(config.lake), make, reads=[TABLE], what="import", started=started)
    return outcome, reports[-1]


def plan(config: Config) -> Report:
    """The report of an import, without writing anything; the errors are those of `run`."""
    with mirror.brought(config.file, folder=True) as path:
        return _read(Lake.open(config.lake), config, path)[1]


def check(file: str, names: Names) -> None:
    """Raise the `UsageError` that an import would raise for a table about these recordings."""
    with mirror.brought(file, folder=True) as path:
        split_sheets.read(path, names)


def remove(lake_path: str, split: str) -> Outcome:
    """Remove an imported split from the lake."""
    return imported.remove(lake_path, [TABLE], "split", split)


def _read(lake: Lake, config: Config, path: Path) -> tuple[dict[str, list[dict[str, Any]]], Report]:
    """Rows of `splits` by split, in order of the tracks, and rows without a counterpart."""
    report = Report()
    matcher = Matcher(lake, config.dataset)
    tables = split_sheets.read(path, matcher.names, name=config.split, id_column=config.id_column)
    sides: dict[str, dict[str, dict[str, Any]]] = {}
    for one in tables:
        report.understood.append(f"{config.file}: {one.said}")
        tracks = matcher.match(one.keyed, report)
        for side in one.sides:
            if (track_id := tracks.get(side.name)) is None:
                continue
            row = {"track_id": track_id, "split": side.split, "part": side.part, "fold": side.fold}
            before = sides.setdefault(side.split, {}).setdefault(track_id, row)
            if before != row:
                where = f"{one.keyed.sheet.path}, line {side.line}"
                raise UsageError(f"{where}: {side.name!r} has two places in the split {side.split!r}: keep one of them")
    if not any(sides.values()):
        raise UsageError(f"none of the {report.rows} rows of {config.file} names one recording: {report.said}")
    matcher.without_row({track_id for rows in sides.values() for track_id in rows}, report)
    for name in sides:
        imported.check_name(name, "the split", _others(lake, name))
    return {name: [rows[track_id] for track_id in sorted(rows)] for name, rows in sorted(sides.items())}, report


def _others(lake: Lake, name: str) -> set[str]:
    """The name itself, where the lake has a split of it that was not imported."""
    if imported.files(lake, TABLE, name):
        return set()
    with catalog.connect(lake) as connection:
        return (
            {name} if connection.execute("SELECT 1 FROM splits WHERE split = $1 LIMIT 1", [name]).fetchall() else set()
        )
