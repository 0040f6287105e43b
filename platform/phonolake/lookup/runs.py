"""Resolve the name of a model or run, for commands, pages and Python.

The id of a run means that run. A model's name means its newest run. Without a name it is the newest run that can
answer. Newest means finished last; ties are broken by the first id.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb

from phonolake.errors import unknown

# Prefix of the input of a model of which only predictions or vectors were imported; the file's name follows.
IMPORTED = "import:"


@dataclass(frozen=True, slots=True)
class ModelRun:
    """A run that trained or imported a model.

    Parameters
    ----------
    architecture : str
        Its name in the registry; differs from `model` if the user named an imported network.
    input : str
        What the model reads, as for `phonolake.inference.inputs.parse`; `IMPORTED` if it is not here.
    labels : tuple of str
        Its classes; empty for a model without probabilities.
    label_source : str
        Source of the labels it was trained on.
    is_fold : bool
        Whether it was trained as one of several folds.
    reads_text : bool
        Whether it can embed texts and audio in the same space.
    """

    run_id: str
    model: str
    architecture: str
    input: str
    labels: tuple[str, ...]
    label_source: str
    split: str
    test_fold: int | None
    is_fold: bool
    finished_at: datetime | None
    reads_text: bool = False

    @property
    def has_weights(self) -> bool:
        """Whether the model itself is here, and not only its predictions or vectors."""
        return not self.input.startswith(IMPORTED)


def model_runs(connection: duckdb.DuckDBPyConnection) -> list[ModelRun]:
    """Every run that trained or imported a model, the newest first."""
    rows = connection.execute(
        "SELECT m.run_id, m.model, coalesce(m.card->>'$.model', m.model), m.input, m.labels, "
        "coalesce(m.card->>'$.config.labels', 'dataset'), m.split, m.test_fold, "
        "coalesce(json_array_length(r.config, '$.folds'), 0) > 0, r.finished_at, "
        "coalesce(m.card->>'$.text' = 'true', false) "
        "FROM models m LEFT JOIN runs r USING (run_id) ORDER BY r.finished_at DESC NULLS LAST, m.run_id"
    ).fetchall()
    return [
        ModelRun(run_id, model, architecture, read, tuple(labels), *rest)
        for run_id, model, architecture, read, labels, *rest in rows
    ]


def with_embeddings(connection: duckdb.DuckDBPyConnection) -> list[ModelRun]:
    """Runs whose embeddings are in the lake, the newest first."""
    rows = connection.execute("SELECT DISTINCT run_id FROM embedding_models").fetchall()
    scored = {run_id for (run_id,) in rows}
    return [run for run in model_runs(connection) if run.run_id in scored]


def find(
    runs: Sequence[ModelRun],
    name: str | None,
    *,
    what: str = "model or run",
    among: Callable[[ModelRun], bool] | None = None,
) -> ModelRun | None:
    """The run of a name; None if there are no runs at all.

    Parameters
    ----------
    runs : sequence of ModelRun
        The newest first.
    name : str, optional
        A run, or a model.
    what : str
        What the name refers to, for the error message.
    among : callable, optional
        Whether a run can answer; the others are skipped.

    Raises
    ------
    UsageError
        For a name that no suitable run has.
    """
    able = [run for run in runs if among is None or among(run)]
    if name is None:
        return able[0] if able else None
    if not able:
        return None
    # An id takes precedence, so that a model of the same name cannot hide a run.
    for known in ([run.run_id for run in able], [run.model for run in able]):
        if name in known:
            return able[known.index(name)]
    raise unknown(what, name, {known for run in able for known in (run.run_id, run.model)})


def label_source(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    """Source of the labels of a run, or of a model's newest run; the dataset's if there is no such run."""
    called = [run for run in model_runs(connection) if name in (run.run_id, run.model)]
    found = find(called, name)
    return "dataset" if found is None else found.label_source
