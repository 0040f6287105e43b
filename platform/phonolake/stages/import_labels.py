"""Import labels: a table about recordings becomes rows of `labels` under a source of its own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from phonolake.errors import UsageError
from phonolake.lineage import digest
from phonolake.sources import label_sheets
from phonolake.sources.label_sheets import Given, Keyed, Labels, SheetColumns
from phonolake.sources.names import Names
from phonolake.stages import imported
from phonolake.stages.imported import Matcher, Report
from phonolake.store import mirror
from phonolake.store.lake import Change, Lake
from phonolake.store.outcomes import Outcome, now

TABLE = "labels"
# Sources that ingest writes, and words with another meaning for `labels_by`.
RESERVED = ("dataset", "tags", "file-tag", "resolved")


@dataclass(frozen=True, slots=True)
class Config:
    """Which table to import.

    Parameters
    ----------
    file : str
        CSV, TSV, Parquet, JSON lines or JSON; a path or an address.
    source : str, optional
        Source of the labels (`labels.source`); the name of the file by default.
    dataset : str, optional
        Only recordings of this dataset are meant.
    choice : label_sheets.SheetColumns
        Choices that the table does not show.
    """

    lake: str
    file: str
    source: str | None = None
    dataset: str | None = None
    choice: SheetColumns = field(default_factory=SheetColumns)

    @property
    def name(self) -> str:
        """The source of the labels."""
        path = Path(self.file)
        default = path.name if path.stem in RESERVED else path.stem
        return imported.check_name(self.source or default, "the source", RESERVED)


def run(config: Config) -> tuple[Outcome, Report]:
    """Import the table; it replaces the earlier labels of its source.

    Returns
    -------
    Outcome
        Inputs are the rows that name a recording, outputs those whose recording is in the lake.

    Raises
    ------
    UsageError
        If the table cannot be read or understood, names none of the recordings, or contradicts itself.
    """
    with mirror.brought(config.file) as path:
        return _run(config, path)


def _run(config: Config, path: Path) -> tuple[Outcome, Report]:
    started, reports = now(), []

    def make(seen: Lake) -> tuple[Mapping[str, Change], Outcome, Config]:
        table, report = _read(seen, config, path)
        reports.append(report)
        version = digest([config.name, imported.file_digest(table.path), config.choice, sorted(table.tracks.items())])
        change = imported.replacing(seen, TABLE, {config.name: _rows(table, config.name)}, version)
        left = report.rows - report.matched
        note = f"{change.add[0].rows} labels of the source {config.name!r}"
        run_id = f"labels-import-{version}"
        return {TABLE: change}, Outcome("labels import", run_id, report.rows, report.matched, left, note), config

    outcome = imported.publish(Lake.open(config.lake), make, reads=[TABLE], what="import", started=started)
    return outcome, reports[-1]


def plan(config: Config) -> Report:
    """The report of an import, without writing anything; the errors are those of `run`."""
    with mirror.brought(config.file) as path:
        return _read(Lake.open(config.lake), config, path)[1]


def check(file: str, names: Names, choice: SheetColumns) -> None:
    """Raise the `UsageError` that an import would raise for a table about these recordings."""
    with mirror.brought(file) as path:
        keyed = label_sheets.key(path, names, choice.id_column)
        for _ in label_sheets.given(keyed, label_sheets.labels(keyed, choice)):
            pass


def remove(lake_path: str, source: str) -> Outcome:
    """Remove all labels of an imported source from the lake."""
    return imported.remove(lake_path, [TABLE], "source", source)


@dataclass(frozen=True, slots=True)
class _Table:
    """A parsed table: the columns of its labels, and the track of each of its names."""

    path: Path
    keyed: Keyed
    labels: Labels
    tracks: dict[str, str]


def _read(lake: Lake, config: Config, path: Path) -> tuple[_Table, Report]:
    """The table, and names without a counterpart."""
    report = Report()
    matcher = Matcher(lake, config.dataset)
    keyed = label_sheets.key(path, matcher.names, config.choice.id_column)
    found = label_sheets.labels(keyed, config.choice)
    report.understood.append(f"{config.file}: {label_sheets.understood(keyed, found)}")
    tracks = matcher.match(keyed, report)
    if not tracks:
        raise UsageError(f"none of the {report.rows} rows of {config.file} names one recording: {report.said}")
    matcher.without_row(set(tracks.values()), report)
    return _Table(path, keyed, found, tracks), report


def _rows(table: _Table, source: str) -> Iterator[dict[str, Any]]:
    """Rows of `labels` in order of track and label, each once.

    Raises
    ------
    UsageError
        If two rows contradict each other.
    """
    said: dict[tuple[str, str], Given] = {}
    for given in label_sheets.given(table.keyed, table.labels):
        if (track_id := table.tracks.get(given.name)) is None:
            continue
        before = said.setdefault((track_id, given.label), given)
        if (before.value, before.confidence) != (given.value, given.confidence):
            lines = f"in lines {before.line} and {given.line}"
            raise UsageError(f"{table.path} says two things of {given.name!r} and {given.label!r}, {lines}: keep one")
    for (track_id, label), given in sorted(said.items(), key=lambda item: item[0]):
        value, sure = int(given.value), given.confidence
        yield {"track_id": track_id, "label": label, "value": value, "source": source, "confidence": sure}
