"""A lake of an earlier version opens, answers as it did, grows, and is in order."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from phonolake.analysis.collection import neighbours, similar_sql, taggrams
from phonolake.cli.main import main
from phonolake.errors import PhonolakeError, UsageError
from phonolake.inference.predictor import Predictor
from phonolake.search.index import read_card
from phonolake.stages import extract, forget, index, ingest, score, train
from phonolake.store import query, tracks, trained
from phonolake.store.lake import Lake
from phonolake.store.verify import verify

ARCHIVE = Path(__file__).resolve().parents[1] / "data" / "lake-2026-11.zip"
NETWORK = "k2c2-1e4c39acb4a8"
SVM = "svm-rbf-108a505eceaa"
STORED = "SELECT track_id, list(probability ORDER BY label) FROM predictions WHERE run_id = '{}' GROUP BY 1 ORDER BY 1"


@pytest.fixture
def old(tmp_path: Path) -> Lake:
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(tmp_path)
    return Lake.open(tmp_path / "lake")


def rows(lake: Lake, sql: str) -> list[tuple]:
    with query.connect(lake) as connection:
        return connection.execute(sql).fetchall()


def test_it_is_in_order_and_answers(old: Lake) -> None:
    assert verify(old) == []
    assert rows(old, "SELECT count(*) FROM tracks") == [(24,)]
    assert rows(old, "SELECT reason FROM rejects") == [("not-audio",)]
    assert rows(
        old, "SELECT count(DISTINCT track_id), count(DISTINCT run_id) FROM held_out('logistic-regression')"
    ) == [(24, 3)]
    first = rows(old, "SELECT min(track_id) FROM tracks")[0][0]
    found = neighbours.similar(old, first, k=5, model_or_run=NETWORK)
    exactly = rows(old, f"SELECT track_id FROM neighbors('{first}', k := 5, model_or_run := '{NETWORK}')")
    assert [(n.track_id,) for n in found] == exactly


@pytest.mark.parametrize("run_id", [NETWORK, SVM])
def test_its_models_say_what_they_said(old: Lake, run_id: str) -> None:
    predictor = Predictor.load(trained.weights(old.root, run_id))
    stored = dict(
        rows(
            old,
            f"SELECT track_id, list(probability ORDER BY label) FROM predictions WHERE run_id = '{run_id}' GROUP BY 1",
        )
    )
    (file,) = predictor.input.files(old)
    (path,) = predictor.input.paths(old, (file,))
    said = {scored.track_id: scored.probabilities for scored in predictor.score_shard(path)}
    assert said.keys() == stored.keys()
    for track_id, probabilities in said.items():
        np.testing.assert_allclose(probabilities, stored[track_id], atol=1e-5)


def test_labels_over_time_are_those_of_the_preprocessed_network(old: Lake) -> None:
    track_id, wanted = rows(old, STORED.format(NETWORK))[0]
    with query.connect(old) as connection:
        found = taggrams.of_track(old, connection, track_id)
    assert found.run_id == NETWORK
    # One piece is all of a track of a second.
    np.testing.assert_allclose(found.taggram.probabilities[0], wanted, atol=1e-5)


def test_the_same_request_is_the_same_run(old: Lake) -> None:
    """Nothing is trained again, and nothing scored."""
    lake = str(old.root)
    (network,) = train.plan(train.Config(lake, "k2c2", max_epochs=1, preprocessing="linear/per-frequency/x1"))
    (svm,) = train.plan(train.Config(lake, "svm-rbf", input="embeddings:k2c2"))
    assert (network.run_id, svm.run_id) == (NETWORK, SVM)
    assert network.finished
    assert svm.finished
    assert score.plan(score.Config(lake)) == []
    assert extract.plan(extract.Config(lake, ("mfcc-120",), ("mel-96-12k",))) == []


@pytest.mark.long
def test_it_grows(old: Lake, tmp_path: Path) -> None:
    lake = str(old.root)
    (tmp_path / "more" / "a").mkdir(parents=True)
    y = 0.2 * np.random.default_rng(0).normal(size=24_000)
    sf.write(tmp_path / "more" / "a" / "new.wav", y, 24_000)
    before = old.shards("embeddings")
    ingest.run(ingest.Config(lake, str(tmp_path / "more"), "folder", "music", join=True))
    extract.run(extract.Config(lake, ("mfcc-120",), ("mel-96-12k",)))
    score.run(score.Config(lake))
    index.run(index.Config(lake))
    grown = Lake.open(lake)
    assert verify(grown) == []
    assert rows(grown, "SELECT count(*), count(DISTINCT track_id) FROM tracks") == [(25, 25)]
    assert rows(grown, "SELECT DISTINCT model FROM predictions WHERE track_id = 'music:a/new.wav' ORDER BY 1") == [
        ("k2c2",),
        ("svm-rbf",),
    ]
    # What was there is kept as it was.
    assert set(before) < set(grown.shards("embeddings"))


def test_its_index_answers_and_the_next_one_is_of_today(old: Lake) -> None:
    folder = old.root / "indexes" / NETWORK
    assert (folder / "ids.json").exists()
    first = rows(old, "SELECT min(track_id) FROM tracks")[0][0]
    before = neighbours.similar(old, first, k=5, where="true", model_or_run=NETWORK)
    index.run(index.Config(str(old.root)))
    card = read_card(folder)
    assert card is not None
    assert sorted(path.name for path in folder.iterdir()) == sorted(["card.json", card.parts[0].name])
    assert neighbours.similar(old, first, k=5, where="true", model_or_run=NETWORK) == before


def test_its_tracks_can_be_forgotten_with_its_index(old: Lake) -> None:
    first = rows(old, "SELECT min(track_id) FROM tracks")[0][0]
    forget.run(forget.Config(str(old.root), (first,)))
    assert not (old.root / "indexes" / NETWORK).exists()
    assert forget.verify(old, (first,)) == []


def test_a_part_of_a_track_is_heard_by_itself(old: Lake, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """All of a track sounds as the track does; a part sounds as a file of that part."""
    ids = [track_id for (track_id,) in rows(old, "SELECT track_id FROM tracks ORDER BY 1 LIMIT 2")]
    with neighbours.Searcher(old) as searcher:
        whole = searcher.ask(neighbours.SimilarityQuestion((ids[0],), k=5, model_or_run=NETWORK, span=(0.0, 99.0)))
        expected = searcher.similar(ids[0], k=5, model_or_run=NETWORK)
        assert [n.track_id for n in whole] == [n.track_id for n in expected]
        np.testing.assert_allclose([n.similarity for n in whole], [n.similarity for n in expected], atol=1e-4)
        with query.connect(old) as connection:
            stored = tracks.read_audio(connection, ids[1]).data
        y, sr = sf.read(io.BytesIO(stored))
        sf.write(tmp_path / "part.wav", y[sr // 4 : sr // 2], sr, subtype="FLOAT")
        sf.write(tmp_path / "whole.wav", y, sr, subtype="FLOAT")
        of_file = {
            n.track_id: n.similarity for n in searcher.similar(str(tmp_path / "part.wav"), k=24, model_or_run=NETWORK)
        }
        for like in (str(tmp_path / "whole.wav"), ids[1]):
            part = searcher.ask(neighbours.SimilarityQuestion((like,), k=5, model_or_run=NETWORK, span=(0.25, 0.5)))
            # It was resampled before it was cut, and the file after it.
            np.testing.assert_allclose([n.similarity for n in part], [of_file[n.track_id] for n in part], atol=0.02)
        for span in ((-1.0, 2.0), (2.0, 2.0)):
            with pytest.raises(UsageError, match="from a start to a later end"):
                searcher.ask(neighbours.SimilarityQuestion((ids[0],), span=span))
        with pytest.raises(PhonolakeError, match="ends before 50 s"):
            searcher.ask(neighbours.SimilarityQuestion((ids[0],), model_or_run=NETWORK, span=(50.0, 51.0)))
    command = ["similar", ids[1], "--from", "0.25", "--to", "0.5", "-k", "5", "--model", NETWORK, "--format", "json"]
    assert main([*command, "--lake", str(old.root)]) == 0
    assert [row["track_id"] for row in json.loads(capsys.readouterr().out)] == [n.track_id for n in part]
    sql = f"FROM similar_to_part('{ids[1]}', 0.25, 0.5, k := 5, model := '{NETWORK}') ORDER BY rank"
    with similar_sql.connecting(old) as connection:
        found = query.fetch(query.select(connection, f"SELECT track_id FROM ({sql})"))
    assert [track_id for (track_id,) in found] == [n.track_id for n in part]
