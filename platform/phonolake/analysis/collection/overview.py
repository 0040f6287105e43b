"""An overview of a lake: datasets, labels, durations, rejects, test figures, and next steps."""

from dataclasses import dataclass
from datetime import datetime

import duckdb

from phonolake.analysis.results.evaluation import FoldSummary
from phonolake.lookup import runs

METRICS = ("accuracy", "macro-f1", "roc-auc", "pr-auc")
# Round widths of bins for an axis; fractions of a second do not matter for music.
BIN_SECONDS = tuple(step * 10**power for power in range(6) for step in (1, 2, 5))


@dataclass(frozen=True, slots=True)
class DatasetSize:
    """One dataset: its tracks, their hours, and the classes that it gives them."""

    dataset: str
    n_tracks: int
    hours: float
    n_classes: int


@dataclass(frozen=True, slots=True)
class LabelCount:
    """How many tracks have a label."""

    label: str
    n_tracks: int


@dataclass(frozen=True, slots=True)
class DurationBin:
    """Tracks that last from `start_seconds` up to, but not including, `end_seconds`."""

    start_seconds: int
    end_seconds: int
    n_tracks: int


@dataclass(frozen=True, slots=True)
class TableCoverage:
    """How many of the tracks have a row about them: of one recipe or run, and their share of all."""

    table: str
    name: str
    n_tracks: int
    share: float


@dataclass(frozen=True, slots=True)
class RejectReason:
    """How many inputs a stage rejected for one reason, with the first of them as an example."""

    stage: str
    reason: str
    n: int
    example: str
    detail: str


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """A run that trained a network; `test_fold` is the fold it held out, or None for a fixed split."""

    run_id: str
    model: str
    split: str
    test_fold: int | None
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class NextStep:
    """What a lake lacks, and the command that adds it (without ``phonolake`` and ``--lake``)."""

    lack: str
    command: str


def datasets(connection: duckdb.DuckDBPyConnection) -> list[DatasetSize]:
    """Size of every dataset, the largest first."""
    rows = connection.execute(
        """
        WITH sizes AS (
            SELECT dataset, count(*) AS n, sum(duration_seconds) / 3600 AS hours FROM tracks GROUP BY dataset
        ), classes AS (
            SELECT t.dataset, count(DISTINCT l.label) AS n FROM labels l JOIN tracks t USING (track_id)
            WHERE l.source = 'dataset' AND l.value = 1 GROUP BY t.dataset
        )
        SELECT s.dataset, s.n, s.hours, coalesce(c.n, 0) FROM sizes s LEFT JOIN classes c USING (dataset)
        ORDER BY s.n DESC, s.dataset
        """
    ).fetchall()
    return [DatasetSize(*row) for row in rows]


def label_sources(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The sources of labels: the dataset first, then by number of labels."""
    rows = connection.execute(
        "SELECT source FROM labels WHERE value = 1 GROUP BY source ORDER BY source <> 'dataset', count(*) DESC, source"
    ).fetchall()
    return [source for (source,) in rows]


def label_counts(
    connection: duckdb.DuckDBPyConnection, *, source: str | None = None, top: int | None = None
) -> list[LabelCount]:
    """Positive labels by number of tracks, the most frequent first.

    Parameters
    ----------
    source : str, optional
        Labels of this source only (`labels.source`).
    top : int, optional
        At most this many.
    """
    rows = connection.execute(
        "SELECT label, count(DISTINCT track_id) AS n FROM labels WHERE value = 1 AND ($1 IS NULL OR source = $1) "
        "GROUP BY label ORDER BY n DESC, label" + ("" if top is None else f" LIMIT {int(top)}"),
        [source],
    ).fetchall()
    return [LabelCount(*row) for row in rows]


def duration_histogram(connection: duckdb.DuckDBPyConnection, *, max_bins: int = 40) -> list[DurationBin]:
    """Tracks by duration, in bins of equal width: the least of 1, 2, 5, 10 ... seconds that makes at most `max_bins`.

    Bins without tracks between others are included.
    """
    ((least, most),) = connection.execute("SELECT min(duration_seconds), max(duration_seconds) FROM tracks").fetchall()
    if least is None:
        return []
    width = next((w for w in BIN_SECONDS if most // w - least // w < max_bins), BIN_SECONDS[-1])
    rows = connection.execute(
        "SELECT floor(duration_seconds / $1)::BIGINT AS bin, count(*) FROM tracks GROUP BY bin ORDER BY bin", [width]
    ).fetchall()
    counts = dict(rows)
    return [DurationBin(b * width, (b + 1) * width, counts.get(b, 0)) for b in range(min(counts), max(counts) + 1)]


def coverage(connection: duckdb.DuckDBPyConnection, *, most_runs: int = 10) -> list[TableCoverage]:
    """The coverage of labels, features and spectrograms, and of the predictions and embeddings of the newest runs."""
    rows = connection.execute(
        """
        WITH newest AS (SELECT run_id, model, finished_at FROM models JOIN runs USING (run_id)
            ORDER BY finished_at DESC, run_id LIMIT $1
        ), counted AS (
            SELECT 1 AS place, 'labels' AS kind, source AS name, count(DISTINCT track_id) AS n FROM labels
            WHERE value = 1 GROUP BY source
            UNION ALL SELECT 2, 'features', feature_set, count(*) FROM features GROUP BY feature_set
            UNION ALL SELECT 3, 'spectrograms', spectrogram, count(*) FROM spectrograms GROUP BY spectrogram
            UNION ALL SELECT 4, 'predictions', run_id, count(DISTINCT track_id) FROM predictions
            WHERE run_id IN (SELECT run_id FROM newest) GROUP BY run_id
            UNION ALL SELECT 5, 'embeddings', run_id, count(*) FROM embeddings
            WHERE run_id IN (SELECT run_id FROM newest) GROUP BY run_id
        )
        SELECT kind, name, n, n / (SELECT count(*) FROM tracks) FROM counted ORDER BY place, n DESC, name
        """,
        [most_runs],
    ).fetchall()
    return [TableCoverage(*row) for row in rows]


def reject_reasons(connection: duckdb.DuckDBPyConnection) -> list[RejectReason]:
    """Rejects by stage and reason, the most frequent first."""
    rows = connection.execute(
        "SELECT stage, reason, count(*) AS n, min(track_id), arg_min(detail, track_id) FROM rejects "
        "GROUP BY stage, reason ORDER BY n DESC, stage, reason"
    ).fetchall()
    return [RejectReason(*row) for row in rows]


def newest_figures(connection: duckdb.DuckDBPyConnection) -> list[FoldSummary]:
    """Test figures of the newest training of each model on each split; the mean over its folds where it had several.

    A model trained on other labels than the dataset's is listed separately: ``k2c2 on tags``.

    Figures that are not defined, such as the ROC-AUC of a test part with one class, are left out.
    """
    # Runs that one command trained started together: these are the folds of one cross-validation.
    rows = connection.execute(
        """
        WITH trained AS (
            SELECT m.run_id, m.model || coalesce(' on ' || nullif(m.card->>'$.config.labels', 'dataset'), '') AS model,
                m.input, m.split, r.started_at
            FROM models m JOIN runs r USING (run_id)
        ), newest AS (
            FROM trained QUALIFY started_at = max(started_at) OVER (PARTITION BY model, input, split)
        )
        SELECT model, input, split, metric, avg(value), coalesce(stddev_samp(value), 0), avg(chance), count(*),
            sum(n)::BIGINT
        FROM newest JOIN metrics USING (run_id)
        WHERE part = 'test' AND label IS NULL AND epoch IS NULL AND value IS NOT NULL AND list_contains($1, metric)
        GROUP BY model, input, split, metric ORDER BY model, input, split, list_position($1, metric)
        """,
        [list(METRICS)],
    ).fetchall()
    return [FoldSummary(*row) for row in rows]


def held_out(connection: duckdb.DuckDBPyConnection, *, source: str = "dataset") -> tuple[int, int]:
    """Number of labelled tracks with a held-out prediction, and of all labelled tracks."""
    ((judged, labelled),) = connection.execute(
        "WITH labelled AS (SELECT DISTINCT track_id FROM labels WHERE value = 1 AND source = $1), "
        "judged AS (SELECT DISTINCT track_id FROM predictions WHERE part = 'test') "
        "SELECT (SELECT count(*) FROM labelled SEMI JOIN judged USING (track_id)), (SELECT count(*) FROM labelled)",
        [source],
    ).fetchall()
    return judged, labelled


def labelled(connection: duckdb.DuckDBPyConnection, *, source: str = "dataset") -> int:
    """How many tracks have a label of a source."""
    ((n,),) = connection.execute(
        "SELECT count(DISTINCT track_id) FROM labels WHERE value = 1 AND source = $1", [source]
    ).fetchall()
    return int(n)


def networks(connection: duckdb.DuckDBPyConnection) -> list[TrainedNetwork]:
    """Networks whose output weights are label vectors, the newest first."""
    from phonolake.models import registry  # late: it brings torch, which the other questions do without
    from phonolake.models.registry import NetworkCard

    networks = {card.name for card in registry.cards() if isinstance(card, NetworkCard)}
    return [
        TrainedNetwork(run.run_id, run.model, run.split, run.test_fold, run.finished_at)
        for run in runs.model_runs(connection)
        if run.architecture in networks and run.finished_at is not None
    ]


def next_steps(connection: duckdb.DuckDBPyConnection) -> list[NextStep]:
    """What is still missing, in the order in which to make it; each step stands for itself and those after it."""

    def has(sql: str) -> bool:
        return bool(connection.execute(f"SELECT EXISTS ({sql})").fetchall()[0][0])

    if not has("FROM tracks"):
        return [NextStep("The lake holds no music yet.", "run MUSIC")]
    if not has("FROM spectrograms") and not has("FROM features"):
        extract = "extract --features mfcc-120 --spectrogram mel-96-12k"
        return [NextStep("Nothing was computed from the audio yet.", extract)]
    steps = []
    if not has("FROM models"):
        tellable = len(label_counts(connection, source="dataset", top=2)) == 2
        steps.append(NextStep("No model was trained yet.", f"train {'k2c2' if tellable else 'scaled-mfcc'}"))
    elif not has("FROM embeddings") and not has("FROM predictions"):
        steps.append(NextStep("The trained models have not scored the tracks yet.", "score"))
    elif has("FROM embeddings") and not has("FROM runs WHERE stage = 'index'"):
        steps.append(NextStep("Neighbours are searched without an index.", "index"))
    judged, labelled = held_out(connection)
    if judged < labelled and has("FROM predictions"):
        lack = f"{judged:,} of {labelled:,} labelled tracks were judged by a model that had not seen them."
        steps.append(NextStep(lack, "crossval random-forest"))
    return steps
