"""Training from stored audio, from other takes of the tracks, and with preprocessing that stays with the model."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from phonolake.audio.decode import decode
from phonolake.errors import PhonolakeError, UsageError
from phonolake.features import contract
from phonolake.features.preprocessing import grid
from phonolake.inference import embedding, outside, products
from phonolake.inference.predictor import Predictor
from phonolake.models import storage
from phonolake.models.importers import imagenet
from phonolake.models.loaded import LoadedModel
from phonolake.models.transfer import Transfer
from phonolake.models.vgg16 import Vgg16Base
from phonolake.records import Hertz
from phonolake.stages import fitting, score, train
from phonolake.store import query, trained
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import write_rows

from .small_lake import make

SECOND = 47  # frames of mel-96-12k


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return make(tmp_path / "lake")


def learn(lake: Lake, **wanted: Any) -> fitting.Task:
    """Train in this process."""
    (task,) = train.plan(train.Config(str(lake.root), "k2c2", **wanted))
    fitting.train_model(task)
    return task


def scored(lake: Lake, task: fitting.Task) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Probabilities and embeddings by track, of the first shard."""
    model = storage.load(task.folder / trained.WEIGHTS)
    wanted = score.Task(lake.place, task.run_id, "k2c2", "k2c2", task.files[0], False, None, False)
    score.score_one(wanted, Predictor.of(model))
    read = [
        pq.read_table(lake.path(product.table.name, product.stem(task.files[0]))).to_pylist()
        for product in (score.predictions_of(task.run_id, False), score.embeddings_of(task.run_id))
    ]
    probabilities: dict[str, list[float]] = {}
    for row in read[0]:
        probabilities.setdefault(row["track_id"], []).append(row["probability"])
    return probabilities, {row["track_id"]: row["embedding"] for row in read[1]}


def stored_audio(lake: Lake, sr: int) -> dict[str, np.ndarray]:
    with query.connect(lake) as connection:
        rows = connection.execute("SELECT track_id, bytes FROM audio").fetchall()
    return {track_id: decode(data, sr=Hertz(sr)) for track_id, data in rows}


@pytest.mark.long
def test_from_audio_without_an_extracted_spectrogram(lake: Lake, tmp_path: Path) -> None:
    task = learn(lake, from_audio=True, max_epochs=5)
    assert (task.input, task.n_steps) == ("computed:mel-96-12k", SECOND)
    card = storage.read_card(task.folder / trained.WEIGHTS)
    assert card["input"] == task.input
    assert {row["value"] for row in card["metrics"] if row["part"] == "test" and row["metric"] == "accuracy"} == {1.0}
    # What scoring computes from the audio is what the network gives for the spectrogram that extract would have made.
    recipe = contract.spectrogram("mel-96-12k")
    model = storage.load(task.folder / trained.WEIGHTS)
    found, embeddings = scored(lake, task)
    audio = stored_audio(lake, recipe.sr)
    for track_id, probabilities in found.items():
        wanted_P, wanted_E = model.predict_and_embed(recipe.of(audio[track_id])[None])
        np.testing.assert_allclose(probabilities, wanted_P[0], atol=2e-3)
        np.testing.assert_allclose(embeddings[track_id], wanted_E[0], atol=2e-3)
    # So does the search for what sounds like a file.
    with query.connect(lake) as connection:
        ((data,),) = connection.execute("SELECT bytes FROM audio WHERE track_id = 'toy:000'").fetchall()
    found_E = embedding.embed(lake, task.run_id, outside.Upload(data, "wav"))
    np.testing.assert_allclose(found_E, embeddings["toy:000"], rtol=1e-4, atol=1e-5)


def test_what_has_no_spectrogram_to_compute(lake: Lake) -> None:
    for model, message in (
        ("sample-3-9", "reads audio:22050, no spectrogram"),
        ("random-forest", "no spectrogram"),
        ("vgg16-random", "extract them"),
    ):
        with pytest.raises(UsageError, match=message):
            train.plan(train.Config(str(lake.root), model, from_audio=True))
    with pytest.raises(UsageError, match="is not a network"):
        train.plan(train.Config(str(lake.root), "random-forest", augment=("gain",)))
    with pytest.raises(UsageError, match="are computed once"):
        train.plan(train.Config(str(lake.root), "vgg16-random", augment=("mixup",)))
    with pytest.raises(PhonolakeError, match="or train a network with --from-audio"):
        train.plan(train.Config(str(lake.root), "k2c2-stft"))


@pytest.mark.long
def test_other_takes_are_another_run_that_goes_on_to_the_bit(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make(tmp_path / "other")
    wanted = {"from_audio": True, "max_epochs": 2, "augment": ("gain", "noise", "spec-augment", "mixup")}
    undisturbed = learn(other, **wanted)
    assert undisturbed.run_id not in {
        task.run_id
        for more in ({"augment": ()}, {"augment": ("gain",)}, {"from_audio": False, "augment": ("mixup",)})
        for task in train.plan(train.Config(str(lake.root), "k2c2", **(wanted | more)))
    }

    def die(n: int = 1) -> None:
        raise RuntimeError("stands for a kill")

    with monkeypatch.context() as patch:
        patch.setattr(fitting.execution, "tick", die)
        with pytest.raises(RuntimeError, match="stands for a kill"):
            learn(lake, **wanted)
    gone_on = learn(lake, **wanted)
    weights = [task.folder / "weights" / "model.safetensors" for task in (undisturbed, gone_on)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    plain = storage.read_card(learn(lake, from_audio=True, max_epochs=1).folder / trained.WEIGHTS)
    assert (
        plain["curve"][0]["train_loss"] != storage.read_card(gone_on.folder / trained.WEIGHTS)["curve"][0]["train_loss"]
    )


@pytest.mark.parametrize("name", ["decibel/per-frequency/x10", "linear/a-weighted/x1"])
def test_preprocessing_stays_with_the_model(lake: Lake, name: str) -> None:
    task = learn(lake, preprocessing=name, max_epochs=2)
    card = storage.read_card(task.folder / trained.WEIGHTS)
    assert card["preprocessing"] == name
    assert card["build"]["standardise"] is False  # or a scale of ten would be undone
    model = storage.load(task.folder / trained.WEIGHTS)
    found, _ = scored(lake, task)
    for row in pq.read_table(task.paths[0]).to_pylist():
        decibels = np.frombuffer(row["data"], "<f2").reshape(96, -1).astype(np.float32)
        x = grid(sr=12_000)[name](torch.from_numpy(decibels[None])).numpy()
        np.testing.assert_allclose(found[row["track_id"]], model.predict(x)[0], atol=1e-5)
        assert not np.allclose(found[row["track_id"]], model.predict(decibels[None])[0], atol=1e-3)


def test_twelve_points_are_twelve_runs(lake: Lake) -> None:
    config = train.Config(str(lake.root), "k2c2")
    runs = {task.run_id for name in grid() for task in train.plan(replace(config, preprocessing=name))}
    assert len(runs) == 12


# -- frozen networks ---------------------------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path: Path) -> Lake:
    """The small lake with a picture for each track, one colour for each class."""
    lake = make(tmp_path / "pictures", n_tracks=15, shards=1)
    product = products.product(contract.spectrogram("mel-96-picture"))
    rng = np.random.default_rng(0)
    rows = []
    for n in range(15):
        picture = rng.uniform(0, 0.3, (3, 216, 216))
        picture[n % 3] += 0.6
        rows.append(
            {
                "track_id": f"toy:{n:03d}",
                "spectrogram": "mel-96-picture",
                "n_bands": 216,
                "n_frames": 216,
                "n_channels": 3,
                "data": picture.astype("<f2").tobytes(),
                "source_shard": "toy-0.parquet",
                "config_hash": "",
                "code_version": "",
            }
        )
    shard = write_rows(lake.path("spectrograms", product.stem("toy-0")), product.table.arrow, rows)
    lake.commit({"spectrograms": Change(product.table, [shard])})
    return lake


def test_a_frozen_network_is_for_one_worker(pictures: Lake, ray_session: None) -> None:
    del ray_session
    config = train.Config(str(pictures.root), "vgg16-random", max_epochs=1)
    with pytest.raises(UsageError, match="only the head of vgg16-random is trained, by one worker"):
        train.run(config, train.Hardware(workers=2))
    assert not (train.plan(config)[0].folder).exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("model", ["vgg16-random", "vgg16"])
def test_a_frozen_base_is_asked_once(
    pictures: Lake, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "home" / "imagenet" / "weights.pth"
    weights.parent.mkdir(parents=True)
    torch.manual_seed(0)
    base = Vgg16Base().state_dict()
    torch.save({name: 0.05 * torch.randn_like(value) for name, value in base.items()}, weights)
    path = weights.with_name(f"vgg16-{hashlib.sha256(weights.read_bytes()).hexdigest()[:8]}.pth")
    weights.rename(path)
    monkeypatch.setenv("PHONOLAKE_MODELS", str(tmp_path / "home"))
    monkeypatch.setitem(imagenet.FILES, "vgg16", f"https://localhost/{path.name}")
    asked = []
    compute = Transfer.frozen

    def frozen(self: Transfer, x: torch.Tensor) -> torch.Tensor:
        asked.append(len(x))
        return compute(self, x)

    monkeypatch.setattr(Transfer, "frozen", frozen)
    (task,) = train.plan(train.Config(str(pictures.root), model, max_epochs=3))
    fitting.train_model(task)
    # 9 tracks train and 3 validate, whatever the epochs; 3 + 3 more are measured in the end.
    assert sum(asked) == 9 + 3 + 6
    card = storage.read_card(task.folder / trained.WEIGHTS)
    assert len(card["curve"]) == 3
    assert card["curve"][2]["train_loss"] < card["curve"][0]["train_loss"]
    stored = storage.load(task.folder / trained.WEIGHTS)
    kept = stored.network.base.state_dict()
    if model == "vgg16":
        loaded = torch.load(path, weights_only=True)
        assert all(torch.equal(kept[name], value) for name, value in loaded.items())
    assert score_probabilities(pictures, task, model, stored) == 15


def score_probabilities(lake: Lake, task: fitting.Task, model: str, stored: LoadedModel) -> int:
    """Score the shard; the number of tracks, each with probabilities that sum to 1."""
    wanted = score.Task(lake.place, task.run_id, model, model, task.files[0], False, None, False)
    score.score_one(wanted, Predictor.of(stored))
    path = lake.path("predictions", score.predictions_of(task.run_id, False).stem(task.files[0]))
    sums: dict[str, float] = {}
    for row in pq.read_table(path).to_pylist():
        sums[row["track_id"]] = sums.get(row["track_id"], 0.0) + row["probability"]
    assert all(total == pytest.approx(1, abs=1e-5) for total in sums.values())
    return len(sums)
