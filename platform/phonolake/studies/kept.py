"""Finished cells in a lake: they are not computed again, and those of a killed study are found.

A worker writes the results of a cell as two shards, the one that marks it as finished last. They are published some at
a time.

Shape suffixes: N tracks, K classes, D values of a label vector.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import duckdb
import numpy as np

from phonolake import execution, progress
from phonolake.lineage import CODE_VERSION, canonical
from phonolake.store import catalog, jobs, schema, views
from phonolake.store.lake import Change, Lake
from phonolake.store.objects import TakenError
from phonolake.store.outcomes import now
from phonolake.store.place import Place
from phonolake.store.shards import SUFFIX, keep_rows

CELLS, PREDICTIONS = "study_cells", "study_predictions"
# Protocol of held-out predictions by a model whose settings were not chosen here.
PROTOCOL_TEST = "test"

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class HeldOutAnswers:
    """Probabilities P_NK of held-out tracks, in the order of the ids, and the fold that each was in, -1 for none."""

    track_ids: tuple[str, ...]
    P_NK: np.ndarray
    folds: np.ndarray


@dataclass(frozen=True, slots=True)
class Finished:
    """The results of a cell.

    Parameters
    ----------
    figures : mapping
        Figures measured by the worker.
    answers : mapping
        By protocol; see the table `study_predictions`.
    label_vectors : ndarray (K, D), optional
    """

    cell_id: str
    classes: tuple[str, ...]
    figures: Mapping[str, float]
    seconds: float
    answers: Mapping[str, HeldOutAnswers] = field(default_factory=dict)
    label_vectors: np.ndarray | None = None


def keep(place: Place, model: str, cell: Any, found: Finished) -> None:
    """Write the results of a cell, on a worker."""
    lake = Lake(place)
    predictions, cells = schema.table(PREDICTIONS), schema.table(CELLS)
    rows = [
        {
            "track_id": track_id,
            "cell_id": found.cell_id,
            "protocol": protocol,
            "fold": None if fold < 0 else int(fold),
            "probabilities": p_K.tolist(),
        }
        for protocol, said in found.answers.items()
        for track_id, p_K, fold in zip(said.track_ids, said.P_NK, said.folds, strict=True)
    ]
    keep_rows(lake.path(PREDICTIONS, found.cell_id), predictions.arrow, rows)
    _send(lake, PREDICTIONS, found.cell_id)
    vectors = found.label_vectors
    row = {
        "cell_id": found.cell_id,
        "model": model,
        "cell": canonical(cell),
        "classes": list(found.classes),
        "figures": canonical(dict(found.figures)),
        "label_vectors": None if vectors is None else vectors.ravel().tolist(),
        "seconds": found.seconds,
        "finished_at": now(),
        "code_version": CODE_VERSION,
    }
    keep_rows(lake.path(CELLS, found.cell_id), cells.arrow, [row])
    _send(lake, CELLS, found.cell_id)


def _send(lake: Lake, table: str, cell_id: str) -> None:
    with suppress(TakenError):  # another job was faster
        lake.send(table, cell_id + SUFFIX, create=True)


def _ready(lake: Lake, table: str, cell_ids: Iterable[str]) -> list[str]:
    """Those of some cells that lie ready in a table, published or not."""
    ready = lake.ready(table)
    return [one for one in dict.fromkeys(cell_ids) if one + SUFFIX in ready]


def finished(lake: Lake, cell_ids: Iterable[str]) -> set[str]:
    """The finished ones of some cells."""
    wanted = set(cell_ids)
    ready = set(_ready(lake, CELLS, wanted))
    if ready == wanted:
        return ready
    with catalog.connect(lake) as connection:
        rows = connection.execute(
            f"SELECT cell_id FROM {CELLS} WHERE list_contains($1, cell_id)", [sorted(wanted - ready)]
        ).fetchall()
    return ready | {cell_id for (cell_id,) in rows}


def complete(
    lake: Lake,
    work: Mapping[str, Item],
    function: Callable[[Item], None],
    *,
    what: str,
    seconds: float | None = None,
    gpus: int = 0,
) -> None:
    """Compute unfinished cells, each on one core; `unpublished` publishes them.

    Parameters
    ----------
    work : mapping
        Arguments of `function`, which calls `keep`, by the id of a cell.
    what : str
        For those who watch.
    seconds : float, optional
        How long one core takes for all of them, roughly.
    """
    done = finished(lake, work)
    todo = [item for cell_id, item in work.items() if cell_id not in done]
    if not todo:
        return
    with jobs.working(lake.place, "study"), progress.task(what, len(work)) as advance:
        advance(len(work) - len(todo))
        for _ in execution.imap(function, todo, gpus=gpus, seconds=seconds, forks=lake.forks):
            advance(1)


def unpublished(lake: Lake, cell_ids: Iterable[str]) -> dict[str, Change]:
    """What publishes those of some cells that lie ready and are not published yet."""
    published = lake.shards(CELLS)
    new = [one + SUFFIX for one in _ready(lake, CELLS, cell_ids) if one + SUFFIX not in published]
    if not new:
        return {}
    return {name: Change(schema.table(name), lake.describe(name, new)) for name in (CELLS, PREDICTIONS)}


def read(lake: Lake, cell_ids: Iterable[str]) -> dict[str, Finished]:
    """Results of finished cells, by their ids, from finished or published shards."""
    wanted = sorted(set(cell_ids))
    ready = _ready(lake, PREDICTIONS, _ready(lake, CELLS, wanted))
    others = sorted(set(wanted) - set(ready))
    found: dict[str, Finished] = {}
    with catalog.connect(lake) as connection:
        if ready:
            files = [one + SUFFIX for one in ready]
            found = _read(connection, ready, *(views.reading(lake, name, files) for name in (CELLS, PREDICTIONS)))
        if others:
            found |= _read(connection, others, CELLS, PREDICTIONS)
    return found


def _read(
    connection: duckdb.DuckDBPyConnection, wanted: list[str], cells_from: str, predictions_from: str
) -> dict[str, Finished]:
    cells = connection.execute(
        f"SELECT cell_id, classes, figures, seconds, label_vectors FROM {cells_from} WHERE list_contains($1, cell_id)",
        [wanted],
    ).fetchall()
    rows = connection.execute(
        f"SELECT cell_id, protocol, list(track_id ORDER BY track_id), list(coalesce(fold, -1) ORDER BY track_id), "
        f"list(probabilities ORDER BY track_id) FROM {predictions_from} WHERE list_contains($1, cell_id) GROUP BY ALL",
        [wanted],
    ).fetchall()
    answers: dict[str, dict[str, HeldOutAnswers]] = {}
    for cell_id, protocol, track_ids, folds, probabilities in rows:
        said = HeldOutAnswers(tuple(track_ids), np.array(probabilities, np.float64), np.array(folds, int))
        answers.setdefault(cell_id, {})[protocol] = said
    return {
        cell_id: Finished(
            cell_id,
            tuple(classes),
            json.loads(figures),
            seconds,
            answers.get(cell_id, {}),
            None if vectors is None else np.array(vectors, np.float64).reshape(len(classes), -1),
        )
        for cell_id, classes, figures, seconds, vectors in cells
    }
