"""Samples to listen to: for each label, tracks that have it and tracks that do not (Choi et al. 2018, Sec. IV).

A sample is drawn once and stored in the table `samples`, in the order of its questions: every rater hears the same.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import numpy as np

from phonolake.errors import UsageError, unknown
from phonolake.lineage import CODE_VERSION, canonical, digest, settings
from phonolake.store import query, schema
from phonolake.store.attempts import attempts
from phonolake.store.lake import Change, Lake, Reads
from phonolake.store.schema import TableSchema
from phonolake.store.shards import SUFFIX, keep_rows

TABLE = "samples"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")


@dataclass(frozen=True, slots=True)
class Config:
    """What to draw.

    Parameters
    ----------
    name : str
        Name of the sample: letters, digits, dots, underscores and hyphens.
    labels : tuple of str
        Labels to ask about; empty for all of the source.
    n_positive, n_negative : int
        For each label, how many tracks that have it and how many that do not.
    source : str
        Source of the labels to check (`labels.source`).
    seed : int
        Decides which tracks, and in which order.
    """

    lake: str
    name: str
    labels: tuple[str, ...] = ()
    n_positive: int = 10
    n_negative: int = 10
    source: str = "dataset"
    seed: int = 0

    def __post_init__(self) -> None:
        check_name(self.name)
        if min(self.n_positive, self.n_negative) < 0 or not self.n_positive + self.n_negative:
            raise UsageError(f"a sample has tracks, received {self.n_positive} and {self.n_negative} for each label")


@dataclass(frozen=True, slots=True)
class BlindCheck:
    """Suspect labels to hear again, hidden among others.

    Parameters
    ----------
    name : str
        As in `Config`.
    asked : tuple of (track_id, label)
        The suspects. For each, another unsuspected track is drawn for which the given label is the same (present, or
        absent), as long as there are some.
    source : str
        Source of the suspects.
    seed : int
        Decides the others and the order.
    """

    lake: str
    name: str
    asked: tuple[tuple[str, str], ...]
    source: str = "dataset"
    seed: int = 0

    def __post_init__(self) -> None:
        check_name(self.name)
        if not self.asked:
            raise UsageError("no label is suspect, so there is none to check by ear")


@dataclass(frozen=True, slots=True)
class Stratum:
    """How many tracks of one label and one given value there are, and how many were drawn."""

    label: str
    value: int
    available: int
    drawn: int


@dataclass(frozen=True, slots=True)
class _Drawn:
    items: list[tuple[str, str, int]] = field(default_factory=list)
    strata: list[Stratum] = field(default_factory=list)


def check_name(name: str) -> None:
    """Raise a `UsageError` for an invalid name of a sample."""
    if not NAME.fullmatch(name):
        raise UsageError(f"a sample's name has letters, digits, '.', '_' and '-' only, received {name!r}")


def draw(config: Config | BlindCheck) -> list[Stratum]:
    """Draw a sample and publish it.

    Returns
    -------
    list of Stratum
        Two for each label; `drawn` is less than requested if there are not enough tracks.

    Raises
    ------
    UsageError
        For the name of another sample, an unknown label, or a source without labels.
    """
    lake = Lake.open(config.lake)
    for attempt in attempts(lake):
        with attempt as seen:
            return _publish(lake, seen, config)
    raise AssertionError("the last attempt raises")


def _publish(published: Lake, lake: Lake, config: Config | BlindCheck) -> list[Stratum]:
    with query.connect(lake) as connection:
        drawn = _draw(connection, config) if isinstance(config, Config) else _draw_blind(connection, config)
    columns = ("track_id", "label", "value")
    keep(published, lake, schema.table(TABLE), config, columns, drawn.items, source=config.source)
    return drawn.strata


def keep(
    published: Lake,
    seen: Lake,
    table: TableSchema,
    config: Any,
    columns: Sequence[str],
    items: Sequence[tuple[Any, ...]],
    **same: str,
) -> None:
    """Publish the drawn questions, in this order, as a sample in a table.

    Parameters
    ----------
    seen : Lake
        The lake of the draw.
    config : dataclass
        Configuration of the draw, with the sample's name and the seed.
    columns, items
        Names of the question's columns, and their values for each question.
    **same : str
        Columns that are the same for all.

    Raises
    ------
    UsageError
        For a name that is taken by another sample.
    """
    name, said = config.name, settings(config)
    stamp = {"config": canonical(said), "config_hash": digest(said), "code_version": CODE_VERSION} | same
    stem = f"{name}--{stamp['config_hash']}--{digest(items, length=8)}"
    before = [file for file in seen.shards(table.name) if file.startswith(f"{name}--")]
    if before and before != [stem + SUFFIX]:
        raise UsageError(f"there is another sample called {name!r}: its raters rely on it, choose a new name")
    rows = [
        {"sample": name, "position": n} | dict(zip(columns, item, strict=True)) | stamp
        for n, item in enumerate(items, start=1)
    ]
    shard = keep_rows(seen.path(table.name, stem), table.arrow, rows)
    # No other job may have drawn a sample of this name.
    published.commit({table.name: Change(table, [shard])}, Reads({table.name: seen.versions().get(table.name, -1)}))


def _draw(connection: duckdb.DuckDBPyConnection, config: Config) -> _Drawn:
    tracks = _column(connection, "SELECT DISTINCT track_id FROM labels WHERE source = $1 ORDER BY 1", [config.source])
    known = _column(
        connection, "SELECT DISTINCT label FROM labels WHERE source = $1 AND value = 1 ORDER BY 1", [config.source]
    )
    if not known:
        sources = _column(connection, "SELECT DISTINCT source FROM labels ORDER BY 1", [])
        raise unknown("label source", config.source, sources)
    for label in config.labels:
        if label not in known:
            raise unknown("label", label, known)
    drawn = _Drawn()
    for label in sorted(set(config.labels)) or known:
        _draw_label(connection, config, label, tracks, drawn)
    order = np.random.default_rng(config.seed).permutation(len(drawn.items))
    items = [drawn.items[k] for k in order]
    return _Drawn(items, drawn.strata)


def _draw_blind(connection: duckdb.DuckDBPyConnection, config: BlindCheck) -> _Drawn:
    has: dict[str, set[str]] = {}
    rows = connection.execute(
        "SELECT track_id, label FROM labels WHERE source = $1 AND value = 1 ORDER BY ALL", [config.source]
    ).fetchall()
    for track_id, label in rows:
        has.setdefault(label, set()).add(track_id)
    tracks = _column(connection, "SELECT DISTINCT track_id FROM labels WHERE source = $1 ORDER BY 1", [config.source])
    drawn, rng, doubtful = _Drawn(), np.random.default_rng(config.seed), set(config.asked)
    for label in sorted({label for _, label in config.asked}):
        if label not in has:
            raise unknown("label", label, sorted(has))
        for value in (1, 0):
            mine = sorted(t for t, name in doubtful if name == label and (t in has[label]) == bool(value))
            others = [t for t in tracks if (t in has[label]) == bool(value) and (t, label) not in doubtful]
            chosen = [others[k] for k in rng.permutation(len(others))[: len(mine)]]
            drawn.items.extend((track_id, label, value) for track_id in [*mine, *chosen])
            if mine:
                drawn.strata.append(Stratum(label, value, len(mine) + len(others), len(mine) + len(chosen)))
    return _Drawn([drawn.items[k] for k in rng.permutation(len(drawn.items))], drawn.strata)


def _draw_label(
    connection: duckdb.DuckDBPyConnection, config: Config, label: str, tracks: Sequence[str], drawn: _Drawn
) -> None:
    """Add one label's tracks. Its draw depends on the seed, the label and the tracks alone, not on other labels."""
    having = _column(
        connection,
        "SELECT DISTINCT track_id FROM labels WHERE source = $1 AND label = $2 AND value = 1 ORDER BY 1",
        [config.source, label],
    )
    rng = np.random.default_rng(int(digest([config.seed, label], length=16), 16))
    positive = [having[k] for k in rng.permutation(len(having))[: config.n_positive]]
    negative: list[str] = []
    has = set(having)
    for k in rng.permutation(len(tracks)):
        if len(negative) == config.n_negative:
            break
        if tracks[k] not in has:
            negative.append(tracks[k])
    available = len(having), len(tracks) - len(having)
    for value, found, n in ((1, positive, available[0]), (0, negative, available[1])):
        drawn.items.extend((track_id, label, value) for track_id in found)
        drawn.strata.append(Stratum(label, value, n, len(found)))


def _column(connection: duckdb.DuckDBPyConnection, sql: str, parameters: list) -> list[str]:
    return [value for (value,) in connection.execute(sql, parameters).fetchall()]
