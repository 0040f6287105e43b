"""What a lake holds at a glance, against tables written by hand."""

import itertools
from datetime import UTC, datetime

import duckdb
import pytest

from phonolake.analysis.collection import overview
from phonolake.analysis.collection.overview import DatasetSize, DurationBin, LabelCount, NextStep, RejectReason


def add_tracks(lake: duckdb.DuckDBPyConnection, durations: list[float], dataset: str = "toy") -> None:
    for n, seconds in enumerate(durations):
        lake.execute(
            "INSERT INTO tracks (track_id, dataset, source_id, duration_seconds, config_hash, code_version) "
            "VALUES ($1, $2, '', $3, '', '')",
            [f"{dataset}:{n}", dataset, seconds],
        )


def add_label(lake: duckdb.DuckDBPyConnection, track: str, label: str, source: str = "dataset", value: int = 1) -> None:
    lake.execute(
        "INSERT INTO labels (track_id, label, value, source) VALUES ($1, $2, $3, $4)", [track, label, value, source]
    )


def add_run(lake: duckdb.DuckDBPyConnection, run_id: str, hour: int, *, stage: str = "train") -> None:
    started = datetime(2026, 1, 1, hour, tzinfo=UTC)
    lake.execute(
        "INSERT INTO runs VALUES ($1, $2, '{}', '', 1, 1, 0, '{}', $3, $3, '')",
        [run_id, stage, started],
    )


def add_model(lake: duckdb.DuckDBPyConnection, run_id: str, model: str, hour: int, fold: int | None = None) -> None:
    add_run(lake, run_id, hour)
    lake.execute(
        "INSERT INTO models VALUES ($1, $2, 'x', ['a', 'b'], 'folds', $3, '{}', '')",
        [run_id, model, fold],
    )


def add_figure(lake: duckdb.DuckDBPyConnection, run_id: str, metric: str, value: float | None) -> None:
    lake.execute(
        "INSERT INTO metrics (run_id, part, metric, value, chance, n) VALUES ($1, 'test', $2, $3, 0.5, 10)",
        [run_id, metric, value],
    )


def add_prediction(lake: duckdb.DuckDBPyConnection, track: str, part: str) -> None:
    lake.execute("INSERT INTO predictions VALUES ($1, 'm', 'r', 'a', 0.5, $2, '', '')", [track, part])


def test_datasets_have_hours_and_classes(lake: duckdb.DuckDBPyConnection) -> None:
    add_tracks(lake, [1800, 1800, 3600])
    add_tracks(lake, [36], "other")
    add_label(lake, "toy:0", "a")
    add_label(lake, "toy:1", "b")
    add_label(lake, "toy:1", "c", value=0)
    add_label(lake, "toy:1", "d", source="tags")
    assert overview.datasets(lake) == [DatasetSize("toy", 3, 2.0, 2), DatasetSize("other", 1, 0.01, 0)]


def test_labels_are_counted_by_track_and_source(lake: duckdb.DuckDBPyConnection) -> None:
    for track, label, source in [("t0", "b", "tags"), ("t1", "b", "tags"), ("t1", "b", "dataset"), ("t0", "a", "tags")]:
        add_label(lake, track, label, source)
    add_label(lake, "t2", "b", "tags", value=0)
    assert overview.label_counts(lake) == [LabelCount("b", 2), LabelCount("a", 1)]
    assert overview.label_counts(lake, source="dataset") == [LabelCount("b", 1)]
    assert overview.label_counts(lake, top=1) == [LabelCount("b", 2)]
    assert overview.label_sources(lake) == ["dataset", "tags"]


def test_durations_fall_into_bins_of_whole_seconds(lake: duckdb.DuckDBPyConnection) -> None:
    add_tracks(lake, [29.98, 30.0, 30.02, 32.5])
    assert overview.duration_histogram(lake) == [
        DurationBin(29, 30, 1),
        DurationBin(30, 31, 2),
        DurationBin(31, 32, 0),
        DurationBin(32, 33, 1),
    ]


@pytest.mark.parametrize("longest", [3.0, 59.0, 61.0, 3600.0, 36_000.0])
def test_every_track_is_in_one_of_a_few_bins(lake: duckdb.DuckDBPyConnection, longest: float) -> None:
    add_tracks(lake, [0.5, 1.0, longest / 2, longest])
    bins = overview.duration_histogram(lake, max_bins=20)
    assert len(bins) <= 20
    assert sum(b.n_tracks for b in bins) == 4
    assert all(before.end_seconds == after.start_seconds for before, after in itertools.pairwise(bins))
    assert bins[-1].start_seconds <= longest < bins[-1].end_seconds


def test_no_tracks_have_no_durations(lake: duckdb.DuckDBPyConnection) -> None:
    assert overview.duration_histogram(lake) == []


def test_rejects_are_counted_with_an_example(lake: duckdb.DuckDBPyConnection) -> None:
    for track, reason, detail in [("t1", "silent", "later"), ("t0", "silent", "first"), ("t2", "empty", "none")]:
        lake.execute(
            "INSERT INTO rejects (track_id, dataset, stage, reason, detail, retryable, config_hash, code_version) "
            "VALUES ($1, 'd', 'ingest', $2, $3, false, '', '')",
            [track, reason, detail],
        )
    assert overview.reject_reasons(lake) == [
        RejectReason("ingest", "silent", 2, "t0", "first"),
        RejectReason("ingest", "empty", 1, "t2", "none"),
    ]


def test_only_the_newest_training_of_a_model_counts(lake: duckdb.DuckDBPyConnection) -> None:
    add_model(lake, "old", "m", hour=1)
    add_figure(lake, "old", "accuracy", 0.1)
    for fold, accuracy in ((1, 0.6), (2, 0.8)):
        add_model(lake, f"new-{fold}", "m", hour=2, fold=fold)
        add_figure(lake, f"new-{fold}", "accuracy", accuracy)
        add_figure(lake, f"new-{fold}", "roc-auc", None)
    (figure,) = overview.newest_figures(lake)
    assert (figure.model, figure.metric, figure.n_folds, figure.n_tracks) == ("m", "accuracy", 2, 20)
    assert figure.mean == pytest.approx(0.7)
    assert figure.std == pytest.approx(0.02**0.5)
    assert figure.chance == 0.5


def test_held_out_counts_tracks_that_a_model_had_not_seen(lake: duckdb.DuckDBPyConnection) -> None:
    for track in ("t0", "t1", "t2"):
        add_label(lake, track, "a")
    add_prediction(lake, "t0", "test")
    add_prediction(lake, "t0", "test")
    add_prediction(lake, "t1", "train")
    add_prediction(lake, "unlabelled", "test")
    assert overview.held_out(lake) == (1, 3)
    assert overview.held_out(lake, source="tags") == (0, 0)


def test_only_networks_have_label_vectors(lake: duckdb.DuckDBPyConnection) -> None:
    add_model(lake, "k-1", "k2c2", hour=1)
    add_model(lake, "k-2", "k2c2", hour=2, fold=3)
    add_model(lake, "f-1", "random-forest", hour=3)
    add_model(lake, "u-1", "of-another-version", hour=4)
    assert [(n.run_id, n.test_fold) for n in overview.networks(lake)] == [("k-2", 3), ("k-1", None)]


def test_the_next_step_follows_what_is_there(lake: duckdb.DuckDBPyConnection) -> None:
    def commands() -> list[str]:
        return [step.command for step in overview.next_steps(lake)]

    assert overview.next_steps(lake) == [NextStep("The lake holds no music yet.", "run MUSIC")]
    add_tracks(lake, [1.0, 1.0])
    assert commands() == ["extract --features mfcc-120 --spectrogram mel-96-12k"]
    lake.execute("INSERT INTO features VALUES ('toy:0', 'mfcc-120', '', '', '', NULL, NULL)")
    assert commands() == ["train scaled-mfcc"]
    add_label(lake, "toy:0", "a")
    add_label(lake, "toy:1", "b")
    assert commands() == ["train k2c2"]
    add_model(lake, "m-1", "m", hour=1)
    assert commands() == ["score"]
    add_prediction(lake, "toy:0", "test")
    lake.execute("INSERT INTO embeddings VALUES ('toy:0', 'm', 'm-1', [1.0], '', '')")
    assert commands() == ["index", "crossval random-forest"]
    add_run(lake, "i-1", 2, stage="index")
    add_prediction(lake, "toy:1", "test")
    assert commands() == []
