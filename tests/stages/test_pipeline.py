"""The whole way on real and synthetic music, and the stages that learn."""

import json
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from phonolake import demo as whole
from phonolake.analysis.collection import neighbours
from phonolake.analysis.labels import noise_grading, noise_rates, noise_suspects
from phonolake.errors import PhonolakeError, UsageError
from phonolake.lookup import held_out
from phonolake.models import storage
from phonolake.records import Seconds
from phonolake.stages import crossval, examples, index, ingest, pipeline, score, train
from phonolake.store import query, trained
from phonolake.store.lake import Lake
from phonolake.store.verify import verify
from phonolake.synthesis import fma

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def rows(lake, sql):
    with query.connect(Lake.open(lake)) as connection:
        return connection.execute(sql).fetchall()


def test_inputs_are_tracks_and_rejects(demo):
    (counts,) = rows(
        demo / "lake",
        "SELECT (SELECT count(*) FROM tracks), (SELECT count(*) FROM rejects), (SELECT sum(inputs) FROM runs "
        "WHERE stage = 'ingest')",
    )
    assert counts == (90, 6, 96)
    assert verify(Lake.open(demo / "lake")) == []


def test_every_track_is_scored_by_both_models_and_embedded_by_the_network(demo):
    found = rows(
        demo / "lake",
        "SELECT model, count(DISTINCT track_id), count(*), min(s), max(s) FROM (SELECT *, sum(probability) OVER "
        "(PARTITION BY track_id, run_id) AS s FROM predictions JOIN runs USING (run_id) "
        "WHERE json_array_length(config, '$.folds') = 0) GROUP BY model ORDER BY model",
    )
    assert [(model, n, total) for model, n, total, *_ in found] == [("k2c2", 90, 720), ("random-forest", 90, 720)]
    for *_, least, most in found:
        assert least == pytest.approx(1, abs=1e-4)
        assert most == pytest.approx(1, abs=1e-4)
    assert rows(demo / "lake", "SELECT model, count(*), min(len(embedding)) FROM embeddings GROUP BY model") == [
        ("k2c2", 90, 160)
    ]


def test_cross_validation_judges_every_track_once_by_a_model_that_never_saw_it(demo):
    found = rows(
        demo / "lake",
        "SELECT p.track_id, count(DISTINCT p.run_id), any_value(m.test_fold), any_value(s.fold) FROM predictions p "
        "JOIN models m USING (run_id) JOIN splits s ON s.track_id = p.track_id AND s.split = m.split "
        "WHERE m.test_fold IS NOT NULL GROUP BY p.track_id",
    )
    assert len(found) == 90
    assert all(n == 1 and held_out == fold for _, n, held_out, fold in found)


def test_test_metrics_agree_with_the_stored_predictions(demo):
    """The figures in `metrics` can be computed again from `predictions` and `labels` with SQL alone."""
    recomputed = rows(
        demo / "lake",
        "SELECT p.run_id, avg((p.best = l.label)::INT) FROM "
        "(SELECT run_id, track_id, arg_max(label, probability) AS best FROM predictions WHERE part = 'test' "
        "GROUP BY ALL) p JOIN labels l ON l.track_id = p.track_id "
        "AND l.source = 'dataset' GROUP BY p.run_id",
    )
    stored = dict(
        rows(
            demo / "lake",
            "SELECT run_id, value FROM metrics WHERE metric = 'accuracy' AND part = 'test' AND epoch IS NULL",
        )
    )
    assert len(stored) == 7
    for run_id, accuracy in recomputed:
        assert stored[run_id] == pytest.approx(accuracy)


@pytest.mark.long
def test_running_again_does_nothing_twice(demo, tmp_path):
    shutil.copytree(demo, tmp_path / "demo")
    lake = tmp_path / "demo" / "lake"
    before = rows(lake, "SELECT run_id, started_at FROM runs ORDER BY 1")
    corpus = fma.Config(n_tracks=96, seed=0, label_noise=0.1, n_corrupt=6, duration=Seconds(2))
    # The copy's files have the originals' times, and its shards are named after its inputs.
    whole.run(whole.Config(tmp_path / "demo", corpus, max_epochs=2))
    assert rows(lake, "SELECT run_id, started_at FROM runs ORDER BY 1") == before
    assert verify(Lake.open(lake)) == []


def test_suspects_are_found_better_than_by_chance(demo):
    truth = {
        f"fma:{int(line.split(',')[0]):06d}"
        for line in (demo / "music" / "truth.csv").read_text().splitlines()[1:]
        if line.split(",")[3] == "True"
    }
    with query.connect(Lake.open(demo / "lake")) as connection:
        held = held_out.read_held_out(connection)
    ranked = [held.track_ids[n] for n, *_ in noise_suspects.rank(held)]
    planted = truth & set(ranked)
    assert len(ranked) == 90
    assert len(planted) == 9
    found = noise_suspects.suspects(held, noise_rates.estimate(held))
    assert [s.rank for s in found] == list(range(1, len(found) + 1))
    assert all(a.doubt >= b.doubt > 0 for a, b in pairwise(found))
    assert all(s.label != s.instead for s in found)
    precision = noise_grading.precision_at([track_id in planted for track_id in ranked], 18)
    assert precision > 2 * len(planted) / len(ranked)


def test_neighbours_agree_with_sql_with_a_missing_index_and_with_the_file_itself(demo, tmp_path):
    lake = Lake.open(demo / "lake")
    by_index = neighbours.similar(lake, "fma:000002", k=7)
    by_sql = rows(demo / "lake", "SELECT track_id, similarity FROM neighbors('fma:000002', k := 7)")
    assert [n.track_id for n in by_index] == [track_id for track_id, _ in by_sql]
    np.testing.assert_allclose([n.similarity for n in by_index], [s for _, s in by_sql], atol=1e-5)
    shutil.copytree(lake.root, tmp_path / "lake")
    shutil.rmtree(tmp_path / "lake" / "indexes")
    exact = neighbours.similar(Lake.open(tmp_path / "lake"), "fma:000002", k=7)
    assert [n.track_id for n in exact] == [n.track_id for n in by_index]
    # The file itself is left out, by its content; one that only sounds the same is the first neighbour.
    shutil.copy(demo / "music" / "fma_small" / "000" / "000002.mp3", tmp_path / "copy.mp3")
    by_copy = neighbours.similar(lake, str(tmp_path / "copy.mp3"), k=7)
    assert [n.track_id for n in by_copy] == [n.track_id for n in by_index]
    tagged = (tmp_path / "copy.mp3").read_bytes() + b"TAG" + bytes(125)
    (tmp_path / "tagged.mp3").write_bytes(tagged)
    by_file = neighbours.similar(lake, str(tmp_path / "tagged.mp3"), k=8)
    assert by_file[0].track_id == "fma:000002"
    assert by_file[0].similarity == pytest.approx(1, abs=1e-4)
    assert [n.track_id for n in by_file[1:]] == [n.track_id for n in by_index]


def test_a_condition_still_gives_k_neighbours(demo):
    lake = Lake.open(demo / "lake")
    rare = "track_id IN (SELECT track_id FROM labels WHERE label = 'Folk')"
    (n_folk,) = rows(demo / "lake", f"SELECT count(*) FROM tracks WHERE {rare}")[0]
    found = neighbours.similar(lake, "fma:000002", k=5, where=rare)
    assert len(found) == 5
    assert all("Folk" in (n.labels or "") for n in found)
    everything = neighbours.similar(lake, "fma:000002", k=1000, where=rare)
    assert len(everything) in (n_folk, n_folk - 1)  # the track itself is no neighbour
    assert neighbours.similar(lake, "fma:000002", where="false") == []


@pytest.mark.parametrize("split", ["official", "random-5-seed-0"])
def test_examples_of_a_split_leave_nothing_out(demo, split):
    found = examples.collect(Lake.open(demo / "lake"), labels="dataset", split=split, test_fold=None, dataset=None)
    assert len(found.track_ids) == 90
    assert len(found.classes) == 8
    assert set(found.parts) == {"train", "valid", "test"}
    assert sum(len(found.of(part)) for part in ("train", "valid", "test")) == 90


def test_labels_that_are_no_classes_are_refused(demo):
    lake = Lake.open(demo / "lake")
    with pytest.raises(PhonolakeError, match="several tags labels"):
        examples.collect(lake, labels="tags", split="official", test_fold=None, dataset=None)
    with pytest.raises(UsageError, match="unknown label source 'nobody'"):
        examples.collect(lake, labels="nobody", split="official", test_fold=None, dataset=None)


@pytest.mark.slow
def test_one_seed_one_model(demo, tmp_path):
    """The same training gives the same run, and weights equal to the last bit."""
    shutil.copytree(demo / "lake", tmp_path / "lake")
    config = train.Config(str(tmp_path / "lake"), "logistic-regression")
    (outcome,) = train.run(config)
    folder = tmp_path / "lake" / "models" / outcome.run_id / trained.WEIGHTS
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    shutil.rmtree(folder)
    (again,) = train.run(config)
    assert again.run_id == outcome.run_id
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first
    (other,) = train.run(replace(config, seed=1))
    assert other.run_id != outcome.run_id


def test_the_card_tells_how_the_model_came_about(demo):
    (run_id,) = rows(
        demo / "lake", "SELECT run_id FROM models JOIN runs USING (run_id) WHERE model = 'k2c2' ORDER BY 1 LIMIT 1"
    )[0]
    card = storage.read_card(demo / "lake" / "models" / run_id / trained.WEIGHTS)
    assert card["config"]["seed"] == 0
    assert card["config"]["split"] == "official"
    assert len(card["curve"]) == 2
    assert json.loads(rows(demo / "lake", f"SELECT card FROM models WHERE run_id = '{run_id}'")[0][0]) == card


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared recordings are not here")
@pytest.mark.slow
def test_music_without_labels_gets_neighbours_by_timbre(ray_session, tmp_path):
    lake = str(tmp_path / "lake")
    pipeline.run(pipeline.Config(ingest.Config(lake, str(DATA / "cc_music"))))
    assert rows(lake, "SELECT count(*), count(DISTINCT label) FROM labels WHERE source = 'dataset'") == [(8, 1)]
    assert rows(lake, "SELECT model, count(*), min(len(embedding)) FROM embeddings GROUP BY model") == [
        ("scaled-mfcc", 8, 120)
    ]
    track = "cc_music:Karissa_Hobbs_-_Lets_Go_Fishin.hq.ogg"
    assert len(neighbours.similar(Lake.open(lake), track, k=3)) == 3
    by_file = neighbours.similar(Lake.open(lake), str(DATA / "cc_music" / track.partition(":")[2]), k=3)
    assert [n.track_id for n in by_file] == [n.track_id for n in neighbours.similar(Lake.open(lake), track, k=3)]
    assert verify(Lake.open(lake)) == []


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="the shared recordings are not here")
def test_a_forest_beats_chance_on_real_sounds(ray_session, tmp_path):
    """Two folds of three classes of ESC-10, through the source that knows its folds."""
    for name in ("001 - Dog bark", "002 - Rain", "009 - Rooster"):
        for path in (DATA / "esc10" / name).glob("[12]-*.ogg"):
            (tmp_path / "esc" / name).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, tmp_path / "esc" / name)
    lake = str(tmp_path / "lake")
    ingest.run(ingest.Config(lake, str(tmp_path / "esc"), "esc10"))
    from phonolake.stages import extract

    extract.run(extract.Config(lake, ("mfcc-120",)))
    outcomes = crossval.run(crossval.Config(lake, ("random-forest",)))
    assert len(outcomes) == 2
    accuracies = rows(lake, "SELECT value, chance FROM metrics WHERE metric = 'accuracy' AND part = 'test'")
    assert all(value > chance + 0.2 for value, chance in accuracies)


def test_score_and_index_are_up_to_date_after_the_demo(demo, tmp_path):
    shutil.copytree(demo / "lake", tmp_path / "lake")
    outcomes = score.run(score.Config(str(tmp_path / "lake")))
    assert {o.note for o in outcomes} == {"k2c2", "random-forest"}
    assert [o.outputs for o in index.run(index.Config(str(tmp_path / "lake")))] == [90]
    assert verify(Lake.open(tmp_path / "lake")) == []
