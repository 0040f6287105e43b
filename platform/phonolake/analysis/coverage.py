"""On which clips a figure was computed, and what two runs reach on the clips that both were tested on.

Shape suffixes: N clips, K labels.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from phonolake.analysis.label_matrix import coded
from phonolake.errors import PhonolakeError, unknown
from phonolake.lineage import digest
from phonolake.metrics import classification
from phonolake.records import TEST


def fingerprint(ids: Iterable[str]) -> str:
    """Digits that stand for a set of clips in whatever order, as in `metrics.clips`; ``""`` for none."""
    listed = sorted(set(ids))
    return digest(listed) if listed else ""


@dataclass(frozen=True, slots=True)
class Coverage:
    """A trained run: its test figure, and the clips that it was computed on.

    Parameters
    ----------
    n_clips : int
        Clips that the figure was computed on.
    n_official : int or None
        Clips that the published split names for this part, in the lake or not; None for a split that is not published.
    share : float or None
        Of these, the share that was tested, in [0, 1].
    clips : str
        Fingerprint of the ids of the clips; None in lakes from before it was kept, unless their predictions are stored.
        Two figures with the same one were computed on the same clips.
    """

    run_id: str
    model: str
    split: str
    test_fold: int | None
    metric: str
    value: float | None
    n_clips: int
    n_official: int | None
    share: float | None
    clips: str | None


def runs(connection: duckdb.DuckDBPyConnection, *, metric: str = "accuracy") -> list[Coverage]:
    """Every trained run with its test figure, the newest first.

    Parameters
    ----------
    metric : str
        Figure to show; the macro ROC-AUC stands for runs that have none of this name.
    """
    rows = connection.execute(
        """
        WITH figures AS (
            SELECT run_id, metric, value, n, clips FROM metrics
            WHERE part = 'test' AND label IS NULL AND epoch IS NULL
            QUALIFY row_number() OVER (PARTITION BY run_id ORDER BY metric <> $1, metric <> 'roc-auc', metric) = 1
        )
        SELECT m.run_id, m.model, m.split, m.test_fold, coalesce(f.metric, ''), f.value, coalesce(f.n, 0), f.clips
        FROM models m LEFT JOIN figures f USING (run_id) LEFT JOIN runs r USING (run_id)
        ORDER BY r.finished_at DESC NULLS LAST, m.run_id
        """,
        [metric],
    ).fetchall()
    tested = _tested(connection)
    official = _official(connection)
    found = []
    for run_id, model, split, fold, name, value, n, said in rows:
        ids = tested.get(run_id, set())
        whole = official.get((split, TEST if fold is None else fold))
        share = None if not whole else (len(ids & whole) if ids else n) / len(whole)
        clips = said or fingerprint(ids) or None
        found.append(Coverage(run_id, model, split, fold, name, value, n, len(whole) if whole else None, share, clips))
    return found


def _tested(connection: duckdb.DuckDBPyConnection) -> dict[str, set[str]]:
    """Ids of the test clips of every run whose predictions are stored."""
    rows = connection.execute(
        "SELECT run_id, list(DISTINCT track_id) FROM predictions WHERE part = 'test' GROUP BY run_id"
    ).fetchall()
    return {run_id: set(ids) for run_id, ids in rows}


def _official(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str | int], set[str]]:
    """Ids that a published split names, by split and part or fold."""
    rows = connection.execute(
        "SELECT split, part, fold, list(track_id) FROM official_splits GROUP BY split, part, fold"
    ).fetchall()
    found: dict[tuple[str, str | int], set[str]] = {}
    for split, part, fold, ids in rows:
        for side in (part, fold):
            if side is not None:
                found.setdefault((split, side), set()).update(ids)
    return found


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of two runs on the clips that both were tested on."""

    metric: str
    first: float
    second: float
    difference: float
    n_clips: int
    share_of_first: float
    share_of_second: float
    clips: str


def compare(connection: duckdb.DuckDBPyConnection, first: str, second: str) -> list[Comparison]:
    """Hold two runs, or two cross-validated models, against each other on their common test clips.

    Parameters
    ----------
    first, second : str
        Run ids, or names of models: all the runs of a model then count together, each for the clips that it held out.

    Raises
    ------
    UsageError
        For an unknown run or model.
    PhonolakeError
        When there are no stored test predictions, no common clips, or the two know different labels.
    """
    a, b = _held_out(connection, first), _held_out(connection, second)
    if a.labels != b.labels:
        different = sorted(set(a.labels) ^ set(b.labels))[:5]
        raise PhonolakeError(f"{first} and {second} know different labels: {different}")
    common = sorted(a.row.keys() & b.row.keys())
    if not common:
        raise PhonolakeError(f"{first} and {second} were tested on no common clip")
    Y_NK = _truth(connection, common, a.labels, a.source)
    figures = [_figures(Y_NK, run.P_NK[[run.row[clip] for clip in common]]) for run in (a, b)]
    facts = (len(common), len(common) / len(a.row), len(common) / len(b.row), fingerprint(common))
    return [
        Comparison(metric, one, two, two - one, *facts)
        for (metric, one), two in zip(figures[0].items(), figures[1].values(), strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _HeldOut:
    """Probabilities P_NK of the test clips of some runs of one model; labels in order, and the row of each clip."""

    labels: list[str]
    source: str
    row: dict[str, int]
    P_NK: np.ndarray


def _held_out(connection: duckdb.DuckDBPyConnection, name: str) -> _HeldOut:
    known = connection.execute(
        "SELECT m.run_id, m.model, m.labels, coalesce(m.card->>'$.config.labels', 'dataset') "
        "FROM models m LEFT JOIN runs r USING (run_id) ORDER BY r.finished_at NULLS FIRST, m.run_id"
    ).fetchall()
    chosen = [row for row in known if name in row[:2]]
    if not chosen:
        raise unknown("run or model", name, {value for row in known for value in row[:2]})
    # Of several trainings that tested a clip the newest counts, which comes last.
    found = connection.sql(
        "WITH chosen AS (SELECT unnest($1::VARCHAR[]) AS run_id, unnest(range(len($1::VARCHAR[]))) AS place), "
        "p AS (SELECT track_id, label, probability, place FROM predictions JOIN chosen USING (run_id) "
        "WHERE part = 'test'), newest AS (SELECT track_id, max(place) AS place FROM p GROUP BY track_id) "
        "SELECT track_id, label, probability FROM p JOIN newest USING (track_id, place)",
        params=[[run_id for run_id, *_ in chosen]],
    ).to_arrow_table()
    run_id, _, its_labels, source = chosen[-1]
    if not len(found):
        raise PhonolakeError(f"no test predictions of {name} are stored: run `phonolake score --run {run_id}` first")
    labels = sorted(its_labels)
    clips, row = coded(found["track_id"])
    column = _places(found["label"], labels)
    p_NK = np.zeros((len(clips), len(labels)))
    p_NK[row[column >= 0], column[column >= 0]] = found["probability"].to_numpy()[column >= 0]
    return _HeldOut(labels, source, {clip: n for n, clip in enumerate(clips)}, p_NK)


def _truth(connection: duckdb.DuckDBPyConnection, ids: list[str], names: list[str], source: str) -> np.ndarray:
    """Y_NK, 1 where a label holds."""
    said = connection.sql("SELECT track_id, label FROM labels_by($1) WHERE value = 1", params=[source]).to_arrow_table()
    row, column = _places(said["track_id"], ids), _places(said["label"], names)
    known = (row >= 0) & (column >= 0)
    Y_NK = np.zeros((len(ids), len(names)), int)
    Y_NK[row[known], column[known]] = 1
    return Y_NK


def _places(values: pa.ChunkedArray, among: list[str]) -> np.ndarray:
    """The place of each value in a list, -1 for those that are not in it."""
    return pc.fill_null(pc.index_in(values, pa.array(among, pa.string())), -1).to_numpy().astype(np.int64)


def _figures(Y_NK: np.ndarray, p_NK: np.ndarray) -> dict[str, float]:
    """Macro ROC-AUC and PR-AUC; accuracy and macro F1 where every clip has one label."""
    found = {}
    if (Y_NK.sum(axis=1) == 1).all():
        y_N, guess_N = Y_NK.argmax(axis=1), p_NK.argmax(axis=1)
        found["accuracy"] = classification.accuracy(y_true=y_N, y_pred=guess_N)
        found["macro-f1"] = classification.macro_f1(y_true=y_N, y_pred=guess_N, n_classes=Y_NK.shape[1])
    found["roc-auc"] = classification.macro(classification.roc_auc(y_true=Y_NK, scores=p_NK))
    found["pr-auc"] = classification.macro(classification.average_precision(y_true=Y_NK, scores=p_NK))
    return found
