"""What an estimator reads, chosen by the user: other features, vectors of a network, several rows for a track."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from phonolake.errors import PhonolakeError, UsageError
from phonolake.inference import embedding, inputs, outside, products
from phonolake.inference.extractors import feature_set
from phonolake.inference.predictor import Predictor
from phonolake.models import storage
from phonolake.stages import fitting, score, train
from phonolake.store import query, schema, trained
from phonolake.store.lake import Change, Lake
from phonolake.store.outcomes import now
from phonolake.store.shards import describe, write_rows

from .small_lake import make

SEGMENTED = "mfcc-120-per-500ms"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return make(tmp_path / "lake")


def add_features(lake: Lake, name: str, rows_per_track: int = 1) -> None:
    """Features whose mean over a track tells its class, however far its rows lie apart."""
    recipe = feature_set(name)
    product = products.product(recipe)
    change = Change(product.table)
    for shard in lake.shards("audio"):
        rows = []
        for track_id in pq.read_table(lake.folder("audio") / shard, columns=["track_id"])["track_id"].to_pylist():
            n = int(track_id.removeprefix("toy:"))
            rng = np.random.default_rng(n)
            values = rng.normal(10 * (n % 3), 1, (rows_per_track, len(recipe.columns)))
            keys = {"track_id": track_id, "feature_set": name, "source_shard": shard, "config_hash": "",
                    "code_version": ""}  # fmt: skip
            names = [column for column, _ in recipe.columns]
            rows += [keys | dict(zip(names, map(float, row), strict=True)) for row in values]
        path = lake.path(product.table.name, product.stem(shard))
        change.add.append(write_rows(path, product.table.arrow, rows))
    lake.commit({product.table.name: change})


def publish(lake: Lake, config: train.Config) -> str:
    """Train without Ray, score every shard, and commit what `run` of both would."""
    (task,) = train.plan(config)
    fitting.train_model(task)
    train.publish(lake, [task], now())
    embedded = Change(schema.table("embeddings"))
    predicted = Change(schema.table("predictions"))
    predictor = Predictor.load(task.folder / trained.WEIGHTS)
    for source in task.files:
        wanted = score.Task(lake.place, task.run_id, config.model, config.model, source, False, None, False)
        score.score_one(wanted, predictor)
        path = lake.path("embeddings", score.embeddings_of(task.run_id).stem(source))
        embedded.add += [describe(path)] if path.exists() else []
        predicted.add.append(describe(lake.path("predictions", score.predictions_of(task.run_id, False).stem(source))))
    lake.commit({"embeddings": embedded, "predictions": predicted})
    return task.run_id


def rows(lake: Lake, sql: str) -> list[tuple]:
    with query.connect(lake) as connection:
        return connection.execute(sql).fetchall()


def accuracy(card: dict) -> float:
    wanted = ("accuracy", "test", None)
    (value,) = [row["value"] for row in card["metrics"] if (row["metric"], row["part"], row["label"]) == wanted]
    return float(value)


def test_other_features_are_another_run_and_are_told_everywhere(lake: Lake) -> None:
    add_features(lake, "mfcc-120")
    add_features(lake, "music-role-97")
    plain = train.Config(str(lake.root), "svm-rbf")
    other = replace(plain, input="features:music-role-97")
    ids = {train.plan(config)[0].run_id for config in (plain, replace(plain, input="features:mfcc-120"), other)}
    assert len(ids) == 2
    run_id = publish(lake, other)
    assert run_id in ids
    assert rows(lake, "SELECT run_id, input FROM models") == [(run_id, "features:music-role-97")]
    card = storage.read_card(trained.weights(lake.root, run_id))
    assert card["input"] == "features:music-role-97"
    assert accuracy(card) == 1
    learned = storage.load(trained.weights(lake.root, run_id))
    assert learned.estimator.n_features_in_ == 97
    assert rows(lake, "SELECT count(*), count(DISTINCT track_id) FROM predictions") == [(90, 30)]


@pytest.mark.long
def test_the_vectors_of_a_network(lake: Lake) -> None:
    network = publish(lake, train.Config(str(lake.root), "k2c2", max_epochs=2))
    config = train.Config(str(lake.root), "svm-rbf", input="embeddings:k2c2")
    by_run = replace(config, input=f"embeddings:{network}")
    assert train.plan(config)[0].run_id == train.plan(by_run)[0].run_id
    run_id = publish(lake, config)
    assert rows(lake, f"SELECT input FROM models WHERE run_id = '{run_id}'") == [(f"embeddings:{network}",)]
    loaded = storage.load(trained.weights(lake.root, run_id))
    ((vector, probabilities),) = rows(
        lake,
        "SELECT any_value(e.embedding), list(p.probability ORDER BY p.label) FROM embeddings e JOIN predictions p "
        f"USING (track_id) WHERE track_id = 'toy:004' AND e.run_id = '{network}' AND p.run_id = '{run_id}'",
    )
    np.testing.assert_allclose(loaded.predict(np.array([vector]))[0], probabilities, atol=1e-6)


def test_a_file_never_seen_is_embedded_by_the_network_first(lake: Lake, tmp_path: Path) -> None:
    network = publish(lake, train.Config(str(lake.root), "k2c2", max_epochs=1))
    embedder = publish(lake, train.Config(str(lake.root), "scaled-mfcc", input=f"embeddings:{network}"))
    ((data,),) = rows(lake, "SELECT bytes FROM audio WHERE track_id = 'toy:000'")
    (tmp_path / "new.wav").write_bytes(data)
    with outside.opened(str(tmp_path / "new.wav")) as recording:
        by_both = embedding.embed(lake, embedder, recording)
        by_one = embedding.embed(lake, network, recording)
    scaler = storage.load(trained.weights(lake.root, embedder))
    np.testing.assert_array_equal(by_both, scaler.embed(by_one[None])[0])
    assert rows(lake, f"SELECT count(*) FROM embeddings WHERE run_id = '{embedder}'") == [(30,)]


@pytest.mark.long
def test_segments_are_examples_and_a_track_gets_their_mean(lake: Lake, tmp_path: Path) -> None:
    add_features(lake, SEGMENTED, rows_per_track=3)
    (task,) = train.plan(train.Config(str(lake.root), "random-forest", input=f"features:{SEGMENTED}"))
    run_id = publish(lake, task.config)
    assert rows(lake, "SELECT count(*), count(DISTINCT (track_id, label)) FROM predictions") == [(90, 90)]
    loaded = storage.load(trained.weights(lake.root, run_id))
    columns = inputs.parse(task.input).columns
    table = pq.read_table(task.paths[0]).to_pylist()
    track_id = table[0]["track_id"]
    x_ND = np.array([[row[name] for name in columns] for row in table if row["track_id"] == track_id])
    assert x_ND.shape == (3, 120)
    ((stored,),) = rows(lake, f"SELECT list(probability ORDER BY label) FROM predictions WHERE track_id = '{track_id}'")
    np.testing.assert_allclose(loaded.predict(x_ND).mean(axis=0), stored, atol=1e-6)
    embedder = publish(lake, train.Config(str(lake.root), "scaled-mfcc", input=f"features:{SEGMENTED}"))
    assert rows(lake, "SELECT count(*), count(DISTINCT track_id) FROM embeddings") == [(30, 30)]
    ((data,),) = rows(lake, "SELECT bytes FROM audio WHERE track_id = 'toy:000'")
    (tmp_path / "new.wav").write_bytes(data)
    with outside.opened(str(tmp_path / "new.wav")) as recording, pytest.raises(UsageError, match="reads segments"):
        embedding.embed(lake, embedder, recording)


def test_what_cannot_be_read(lake: Lake) -> None:
    config = train.Config(str(lake.root), "svm-rbf")
    with pytest.raises(UsageError, match="k2c2 reads spectrogram:mel-96-12k only"):
        train.plan(replace(config, model="k2c2", input="features:mfcc-120"))
    with pytest.raises(UsageError, match="unknown feature set 'mfcc-12'"):
        train.plan(replace(config, input="features:mfcc-12"))
    with pytest.raises(PhonolakeError, match="phonolake extract --features music-role-97"):
        train.plan(replace(config, input="features:music-role-97"))
    with pytest.raises(PhonolakeError, match="no embeddings yet: run `phonolake score`"):
        train.plan(replace(config, input="embeddings:k2c2"))
    add_features(lake, "mfcc-120")
    publish(lake, train.Config(str(lake.root), "scaled-mfcc"))
    with pytest.raises(UsageError, match="scaled-mfcc is not a network"):
        train.plan(replace(config, input="embeddings:scaled-mfcc"))
    with pytest.raises(UsageError, match="unknown model with embeddings 'k2c3'"):
        train.plan(replace(config, input="embeddings:k2c3"))
