"""Predictions of other models: taken in whole or not at all, used like those of runs, replaced, taken out."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from phonolake.analysis.results import coverage, ensembles
from phonolake.errors import PhonolakeError, UsageError
from phonolake.lookup import held_out, licences
from phonolake.stages import forget, import_labels, import_predictions, imported, score
from phonolake.stages.import_predictions import Config
from phonolake.store import query
from phonolake.store.lake import Lake
from phonolake.store.verify import verify

from . import small_lake
from .small_lake import CLASSES

N = 30
TRUE_N = np.arange(N) % 3


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return small_lake.make(tmp_path / "lake", n_tracks=N)


def ask(lake: Lake, sql: str) -> list[tuple]:
    with query.connect(lake) as connection:
        return connection.execute(sql).fetchall()


def drawn(seed: int) -> np.ndarray:
    """Probabilities P_NK of a model that is often right."""
    rng = np.random.default_rng(seed)
    p_NK = rng.dirichlet([1, 1, 1], size=N) + np.eye(3)[TRUE_N] * 0.3
    return np.round(p_NK / p_NK.sum(axis=1, keepdims=True), 4).clip(0, 1)


def wide(folder: Path, p_NK: np.ndarray, name: str = "theirs.csv", more: str = "") -> str:
    lines = [f"toy:{n:03d},{','.join(map(str, p_K))}" for n, p_K in enumerate(p_NK)]
    (folder / name).write_text("\n".join([f"track,{','.join(CLASSES)}", *lines]) + "\n" + more)
    return str(folder / name)


def test_predictions_become_a_run_with_its_figures(lake: Lake, tmp_path: Path) -> None:
    p_NK = drawn(0)
    file = wide(tmp_path, p_NK, more="toy:900,1,0,0\n")
    outcome, report = import_predictions.run(Config(str(lake.root), file, licence="CC BY 4.0"))
    assert (outcome.inputs, outcome.outputs, outcome.rejects) == (N + 1, N, 1)
    assert report.unmatched == [imported.Unmatched("rows without audio in the lake", "toy:900", N + 2)]
    assert "30 of 30 tracks count as held out, because no --split says" in report.understood[-1]
    stored = ask(lake, "SELECT track_id, label, probability, part, source_shard FROM predictions ORDER BY ALL")
    assert len(stored) == N * 3
    for track_id, label, probability, part, file_name in stored:
        assert probability == pytest.approx(p_NK[int(track_id[-3:]), CLASSES.index(label)], abs=1e-6)
        assert (part, file_name) == ("test", "theirs.csv")
    figures = dict(ask(lake, "SELECT metric, value FROM metrics WHERE label IS NULL"))
    assert figures["accuracy"] == pytest.approx(accuracy_score(TRUE_N, p_NK.argmax(axis=1)))
    assert figures["roc-auc"] == pytest.approx(roc_auc_score(TRUE_N, p_NK / p_NK.sum(1)[:, None], multi_class="ovr"))
    with query.connect(lake) as connection:
        (run,) = coverage.runs(connection)
    assert (run.model, run.split, run.n_clips, run.value) == ("theirs", "none", N, figures["accuracy"])
    ((licence, named),) = ask(lake, "SELECT card->>'$.licence', card->>'$.file.name' FROM models")
    assert (licence, named) == ("CC BY 4.0", "theirs.csv")
    import_predictions.run(Config(str(lake.root), wide(tmp_path, p_NK, "more.csv"), origin="a paper"))
    with query.connect(lake) as connection:
        stated = {one.model: (one.licence, one.kind, one.origin) for one in licences.of_runs(connection).values()}
    assert stated == {"theirs": ("CC BY 4.0", "permissive", None), "more": (None, "not stated", "a paper")}
    assert verify(lake) == []


def test_imported_models_are_joined_compared_and_doubted_with(lake: Lake, tmp_path: Path) -> None:
    a_NK, b_NK = drawn(1), drawn(2)
    import_predictions.run(Config(str(lake.root), wide(tmp_path, a_NK), "a"))
    long = "".join(f"toy:{n:03d},{k},{b_NK[n, i]}\n" for n in range(N) for i, k in enumerate(CLASSES))
    (tmp_path / "b.csv").write_text("id,label,probability\n" + long)
    import_predictions.run(Config(str(lake.root), str(tmp_path / "b.csv"), "b"))
    with query.connect(lake) as connection:
        common = ensembles.common_clips(connection, ["a", "b"])
        *_, joined = ensembles.compare(common, "mean")
        compared = {c.metric: c for c in coverage.compare(connection, "a", "b")}
        held = held_out.read_held_out(connection, model="a")
    assert common.probabilities == pytest.approx(np.stack([a_NK, b_NK]), abs=1e-6)
    assert joined.accuracy == accuracy_score(TRUE_N, (a_NK + b_NK).argmax(axis=1))
    assert compared["accuracy"].second == accuracy_score(TRUE_N, b_NK.argmax(axis=1))
    np.testing.assert_allclose(held.P_NL, a_NK, atol=1e-6)


def test_an_import_is_replaced_and_taken_out_whole(lake: Lake, tmp_path: Path) -> None:
    import_predictions.run(Config(str(lake.root), wide(tmp_path, drawn(0), "other.csv")))
    config = Config(str(lake.root), wide(tmp_path, drawn(1)))
    import_predictions.run(config)
    versions = lake.versions()
    import_predictions.run(config)
    assert lake.versions() == versions
    wide(tmp_path, drawn(2)[:6])
    import_predictions.run(config)
    counts = "SELECT model, count(*) FROM predictions GROUP BY model ORDER BY model"
    assert ask(lake, counts) == [("other", N * 3), ("theirs", 18)]
    assert ask(lake, "SELECT model FROM models ORDER BY model") == [("other",), ("theirs",)]
    outcome = import_predictions.remove(str(lake.root), "theirs")
    assert (outcome.stage, outcome.inputs) == ("predictions remove", 18 + 1 + 2 * 3 + 3 + 4)
    assert ask(lake, counts) == [("other", N * 3)]
    assert len(ask(lake, "SELECT DISTINCT run_id FROM metrics")) == 1
    assert verify(lake) == []
    with pytest.raises(UsageError, match=r"unknown imported model 'theirs'. Did you mean 'other'|Known: other"):
        import_predictions.remove(str(lake.root), "theirs")


def test_figures_are_made_anew_where_the_labels_changed(lake: Lake, tmp_path: Path) -> None:
    p_NK = drawn(4)
    config = Config(str(lake.root), wide(tmp_path, p_NK), labels="ears")
    heard = (TRUE_N + 1) % 3
    for said in (TRUE_N, heard):
        rows = "".join(f"toy:{n:03d},{CLASSES[k]}\n" for n, k in enumerate(said))
        (tmp_path / "ears.csv").write_text("id,label\n" + rows)
        import_labels.run(import_labels.Config(str(lake.root), str(tmp_path / "ears.csv")))
        import_predictions.run(config)
        accuracy = ask(lake, "SELECT value FROM metrics WHERE metric = 'accuracy'")
        assert accuracy == [(accuracy_score(said, p_NK.argmax(axis=1)),)]


@pytest.mark.parametrize(
    ("text", "config", "says"),
    [
        ("id,noise,pulse\ntoy:000,0.5,1.5\n", {}, "should be from 0 to 1 and is '1.5'"),
        ("id,noise,pulse\ntoy:000,0.5,nan\n", {}, "should be a finite number|is missing"),
        (
            "id,label,p\ntoy:000,noise,0.5\ntoy:000,noise,0.6\n",
            {},
            "of 'toy:000' twice, 0.5 and 0.6 in line 3",
        ),
        ("id,label,p\ntoy:000,noise,0.5\ntoy:001,pulse,0.6\n", {}, "has no probability of '(noise|pulse)' for toy:00"),
        ("id,noise,pulse\nx,0.5,0.5\n", {}, "names any of the 30 recordings"),
        ("id,noise,pulse\ntoy:000,0.5,0.5\n", {"model": "k2c2"}, "'k2c2' is not that of an imported table"),
        ("id,noise,pulse\ntoy:000,0.5,0.5\n", {"labels": "datset"}, "unknown label source 'datset'"),
        ("id,noise,pulse\ntoy:000,0.5,0.5\n", {"split": "fix"}, "unknown split 'fix'. Did you mean 'fixed'"),
        ("id,noise,pulse\ntoy:000,0.5,0.5\n", {"split": "fixed", "fold": 1}, "has no folds"),
        ("id,noise,pulse\ntoy:000,0.5,0.5\n", {"fold": 1}, "name it with --split"),
    ],
)
def test_a_wrong_table_changes_nothing(lake: Lake, tmp_path: Path, text: str, config: dict, says: str) -> None:
    versions, before = lake.versions(), sorted(lake.root.rglob("*.parquet"))
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(UsageError, match=says):
        import_predictions.run(Config(str(lake.root), str(tmp_path / "p.csv"), **config))
    assert (lake.versions(), sorted(lake.root.rglob("*.parquet"))) == (versions, before)


def test_labels_that_no_track_has_are_listed(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id,noise,pulse,polka\ntoy:001,0.5,0.25,0.25\ntoy:002,0.1,0.8,0.1\n")
    _, report = import_predictions.run(Config(str(lake.root), str(tmp_path / "p.csv")))
    assert imported.Unmatched("labels that no track has", "polka", 0) in report.unmatched
    # A tagger with words of its own: its predictions can be asked for, and nobody can judge them.
    (tmp_path / "q.csv").write_text("id,polka\ntoy:001,0.25\ntoy:002,0.1\n")
    _, report = import_predictions.run(Config(str(lake.root), str(tmp_path / "q.csv")))
    assert "1 labels that no track has (such as polka)" in report.said
    assert ask(lake, "SELECT probability FROM top_tags('toy:001', model_or_run := 'q')") == [(0.25,)]
    assert ask(lake, "SELECT count(*) FROM metrics JOIN models USING (run_id) WHERE model = 'q'") == [(0,)]


def test_only_what_a_split_held_out_counts(lake: Lake, tmp_path: Path) -> None:
    p_NK = drawn(3)
    import_predictions.run(Config(str(lake.root), wide(tmp_path, p_NK), split="fixed"))
    parts = dict(ask(lake, "SELECT DISTINCT track_id, part FROM splits"))
    assert dict(ask(lake, "SELECT DISTINCT track_id, part FROM predictions")) == parts
    test = [n for n in range(N) if parts[f"toy:{n:03d}"] == "test"]
    ((value, n),) = ask(lake, "SELECT value, n FROM metrics WHERE (part, metric) = ('test', 'accuracy')")
    assert (value, n) == (accuracy_score(TRUE_N[test], p_NK[test].argmax(axis=1)), len(test))
    assert len(ask(lake, "SELECT DISTINCT track_id FROM held_out('theirs')")) == len(test)


def test_a_model_that_is_not_here_scores_nothing(lake: Lake, tmp_path: Path) -> None:
    import_predictions.run(Config(str(lake.root), wide(tmp_path, drawn(0))))
    with pytest.raises(UsageError, match="predictions that were imported, and no model to score with"):
        score.plan(score.Config(str(lake.root), ("theirs",)))
    with pytest.raises(PhonolakeError, match="no model was trained yet"):
        score.plan(score.Config(str(lake.root)))


def test_a_track_that_is_forgotten_has_no_predictions_left(lake: Lake, tmp_path: Path) -> None:
    config = Config(str(lake.root), wide(tmp_path, drawn(0)))
    import_predictions.run(config)
    forget.run(forget.Config(str(lake.root), ("toy:003",)))
    assert ask(lake, "SELECT count(*) FROM predictions WHERE track_id = 'toy:003'") == [(0,)]
    assert verify(lake) == []
    # It does not come back with a second import, and what replaces the rest replaces all of it.
    import_predictions.run(config)
    assert ask(lake, "SELECT count(*), count(DISTINCT track_id) FROM predictions") == [((N - 1) * 3, N - 1)]
    assert verify(lake) == []
