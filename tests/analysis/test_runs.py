"""What runs reached, from tables written by hand, against scikit-learn and counting by hand."""

import duckdb
import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, roc_auc_score, roc_curve

from phonolake.analysis.results import runs, trainings
from phonolake.errors import PhonolakeError
from phonolake.store import schema

CLASSES = ["a", "b", "c"]
N = 60


@pytest.fixture(scope="module")
def scored() -> tuple[duckdb.DuckDBPyConnection, np.ndarray, dict[str, np.ndarray]]:
    """Two runs over the same 60 tracks; one track has no label."""
    rng = np.random.default_rng(0)
    connection = duckdb.connect()
    for path in sorted(schema.sql_folder().glob("*.sql"), key=lambda path: path.stem == schema.MACROS):
        connection.execute(path.read_text(encoding="utf-8"))
    y_N = rng.integers(0, 3, N)
    p = {run: rng.dirichlet(np.ones(3), N) for run in ("one", "two")}
    for run, p_NK in p.items():
        p_NK[np.arange(N), y_N] += 0.3
        connection.execute(
            "INSERT INTO runs VALUES ($1, 'train', '{\"labels\": \"dataset\"}', 'h', 1, 1, 0, '{}', now(), now(), '0')",
            [run],
        )
        connection.execute("INSERT INTO models VALUES ($1, 'm', 'features:x', $2, 's', 1, '{}', '0')", [run, CLASSES])
        rows = [
            (f"t{n}", "m", run, c, float(np.float32(p_NK[n, k])), "test", "s", "0")
            for n in range(N)
            for k, c in enumerate(CLASSES)
        ]
        connection.executemany("INSERT INTO predictions VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    connection.executemany(
        "INSERT INTO labels (track_id, label, value, source) VALUES (?, ?, 1, 'dataset')",
        [(f"t{n}", CLASSES[y_N[n]]) for n in range(1, N)],
    )
    connection.execute("INSERT INTO predictions VALUES ('t1', 'm', 'one', 'c', 1, 'train', 's', '0')")
    return connection, y_N[1:], {run: p_NK[1:].astype(np.float32) for run, p_NK in p.items()}


def test_confusion_is_what_scikit_learn_counts(scored) -> None:
    connection, y_N, p = scored
    found = runs.confusion(connection, "one")
    assert found.labels == ("a", "b", "c")
    assert found.counts.tolist() == confusion_matrix(y_N, p["one"].argmax(axis=1)).tolist()
    i, j = np.argwhere(found.counts > 0)[0]
    tracks = runs.confused_tracks(connection, "one", CLASSES[i], CLASSES[j])
    assert len(tracks) == found.counts[i, j]


def test_roc_is_what_scikit_learn_draws(scored) -> None:
    connection, y_N, p = scored
    found = runs.roc(connection, "two", "b")
    false_P, true_P, _ = roc_curve(y_N == 1, p["two"][:, 1], drop_intermediate=False)
    np.testing.assert_allclose(found.false_positive_rate, false_P)
    np.testing.assert_allclose(found.true_positive_rate, true_P)
    assert found.auc == pytest.approx(roc_auc_score(y_N == 1, p["two"][:, 1]))
    assert (found.n_positive, found.n_negative) == (int((y_N == 1).sum()), int((y_N != 1).sum()))


def test_two_runs_on_common_tracks(scored) -> None:
    connection, y_N, p = scored
    right = {run: p_NK.argmax(axis=1) == y_N for run, p_NK in p.items()}
    found = runs.compare(connection, "one", "two")
    assert found.n == N - 1
    assert found.both == int((right["one"] & right["two"]).sum())
    assert found.only_a == int((right["one"] & ~right["two"]).sum())
    assert found.only_b == int((~right["one"] & right["two"]).sum())
    assert runs.compare(connection, "two", "one").p_value == pytest.approx(found.p_value)
    assert runs.compare(connection, "one", "one").p_value == 1.0


def test_mcnemar_of_a_coin(lake: duckdb.DuckDBPyConnection) -> None:
    """Nine against one among ten: twice the chance of at most one head in ten tosses, 22 / 1024."""
    for n in range(10):
        lake.execute("INSERT INTO labels (track_id, label, value, source) VALUES ($1, 'a', 1, 'dataset')", [f"t{n}"])
        for run, right in (("one", n < 9), ("two", n == 9)):
            lake.execute(
                "INSERT INTO predictions VALUES ($1, 'm', $2, $3, 1, 'test', 's', '0')",
                [f"t{n}", run, "a" if right else "b"],
            )
    assert runs.compare(lake, "one", "two").p_value == pytest.approx(22 / 1024)


def test_models_as_a_whole_count_each_fold_and_its_newest_training(lake: duckdb.DuckDBPyConnection) -> None:
    """Two folds of each model; one fold was trained twice, and its older training was wrong, and very sure of it."""
    folds = [("old", "m", 1, 0), ("m1", "m", 1, 1), ("m2", "m", 2, 2), ("n1", "n", 1, 3), ("n2", "n", 2, 4)]
    for n in range(8):
        lake.execute("INSERT INTO labels (track_id, label, value, source) VALUES ($1, 'a', 1, 'dataset')", [f"t{n}"])
    for run, model, fold, hour in folds:
        lake.execute(
            "INSERT INTO runs VALUES ($1, 'train', '{}', 'h', 1, 1, 0, '{}', now(), "
            "TIMESTAMP '2026-01-01' + to_hours($2), '0')",
            [run, hour],
        )
        for n in range(8):
            if n % 2 + 1 != fold:
                continue
            wrong = run == "old" or (model == "n" and n < 3)
            probability = 1.0 if run == "old" else 0.6
            lake.execute(
                "INSERT INTO predictions VALUES ($1, $2, $3, $4, $5, 'test', 's', '0')",
                [f"t{n}", model, run, "b" if wrong else "a", probability],
            )
    found = runs.compare(lake, "m", "n")
    assert (found.both, found.only_a, found.only_b, found.neither) == (5, 3, 0, 0)
    fold = runs.compare(lake, "m2", "n")
    assert (fold.both, fold.only_a, fold.only_b, fold.neither) == (3, 1, 0, 0)


def test_what_was_not_scored_says_what_to_run(scored) -> None:
    connection, *_ = scored
    with pytest.raises(PhonolakeError, match="phonolake score --run three"):
        runs.confusion(connection, "three")
    with pytest.raises(PhonolakeError, match="no scored test track in common"):
        runs.compare(connection, "one", "three")
    with pytest.raises(PhonolakeError, match="phonolake score"):
        runs.roc(connection, "one", "z")


def test_runs_are_listed_with_their_figures(scored) -> None:
    connection, *_ = scored
    connection.executemany(
        "INSERT INTO metrics (run_id, part, metric, label, epoch, value, n) VALUES ('one', ?, ?, ?, ?, ?, 60)",
        [
            ("test", "accuracy", None, None, 0.75),
            ("test", "f1", "a", None, 0.5),
            ("train", "loss", None, 1, 0.9),
            ("train", "loss", None, 2, 0.8),
        ],
    )
    found = {run.run_id: run for run in runs.training_runs(connection)}
    assert (found["one"].accuracy, found["one"].macro_f1, found["one"].n_labels) == (0.75, None, 3)
    assert found["two"].accuracy is None
    assert [(p.epoch, p.value) for p in runs.curve(connection, "one")] == [(1, 0.9), (2, 0.8)]
    assert runs.per_class(connection, "one") == [runs.ClassFigures("a", 0.5, None, None)]


def test_a_track_is_told_about_by_the_best_run_that_had_not_seen_it(lake: duckdb.DuckDBPyConnection) -> None:
    """Of two cross-validations each speaks by the fold that held the track out, the better one first."""
    for model, value, hour in (("good", 0.9, 0), ("poor", 0.5, 1)):
        for fold in (1, 2):
            run = f"{model}{fold}"
            lake.execute(
                "INSERT INTO runs VALUES ($1, 'train', '{}', 'h', 1, 1, 0, '{}', "
                "TIMESTAMP '2026-01-01' + to_hours($2), TIMESTAMP '2026-01-01' + to_hours($2 + 1), '0')",
                [run, hour],
            )
            lake.execute("INSERT INTO models VALUES ($1, $2, 'features:x', ['a', 'b'], 's', $3, '{}', '0')",
                         [run, model, fold])  # fmt: skip
            lake.execute(
                "INSERT INTO metrics (run_id, part, metric, value, chance, n) "
                "VALUES ($1, 'test', 'accuracy', $2, 0.5, 9)",
                [run, value + fold / 100],
            )
            part = "test" if fold == 2 else "train"
            lake.execute("INSERT INTO predictions VALUES ('t', $1, $2, 'a', 0.7, $3, 's', '0')", [model, run, part])
    found = trainings.best_for(lake, "t")
    assert [(run, training.model) for run, training in found] == [("good2", "good"), ("poor2", "poor")]
    good = found[0][1]
    assert (good.run_ids, good.folds, good.n_tracks, good.seconds) == (("good1", "good2"), (1, 2), 18, 3600)
    assert good.scores["accuracy"].mean == pytest.approx(0.915)
    assert good.skill == pytest.approx(0.83)
    assert trainings.best_for(lake, "nobody") == []
