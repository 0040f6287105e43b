"""Training as a stage: what is learned, what is refused before it begins, and what a kill leaves."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from phonolake.errors import PhonolakeError, UsageError
from phonolake.features import contract
from phonolake.inference import products
from phonolake.inference.predictor import Predictor
from phonolake.lineage import digest
from phonolake.models import registry, storage
from phonolake.models.network import Network
from phonolake.models.registry import Model, NetworkCard
from phonolake.stages import crossval, examples, fitting, score, train
from phonolake.stages.examples import Examples
from phonolake.store import query, schema, trained, unfinished
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import write_rows
from phonolake.store.verify import mend, verify
from phonolake.training.loop import Hardware

from .small_lake import CLASSES, N_FRAMES, SR, make


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return make(tmp_path / "lake")


def rows(lake: Lake, sql: str) -> list[tuple]:
    with query.connect(lake) as connection:
        return connection.execute(sql).fetchall()


def learn(lake: Lake, config: train.Config) -> dict:
    """Train without Ray, in this process; the card of the model."""
    (task,) = train.plan(config)
    fitting.train_model(task)
    return storage.read_card(task.folder / trained.WEIGHTS)


class Listener(Network):
    """The smallest network that reads waveforms: band energies by two filters, and a linear layer."""

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.filters = nn.Conv1d(1, 8, 16, stride=4)
        self.head = nn.Linear(8, n_classes)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return self.filters(x.unsqueeze(1)).square().mean(dim=2).add(1e-6).log()

    def classify(self, embedding_BE: torch.Tensor) -> torch.Tensor:
        return self.head(embedding_BE)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classify(self.embed(x))


class FrozenListener(Listener):
    def frozen(self, x: torch.Tensor) -> torch.Tensor:
        return self.embed(x)


def register(monkeypatch: pytest.MonkeyPatch, kind: type[Listener], **recipe: object) -> None:
    card = NetworkCard(
        "listener", f"audio:{SR}", "A test.", "none",
        recipe={"lr": 0.02, "max_epochs": 12, "batch_size": 8, "crops_per_track": 2} | recipe, n_frames=1_500,
    )  # fmt: skip

    def build(n_classes: int, *, n_frames: int, seed: int) -> Network:
        torch.manual_seed(seed)
        return kind(n_classes)

    found = registry.models() | {"listener": Model(card, build, build)}
    monkeypatch.setattr(registry, "models", lambda: found)


def test_a_network_learns_what_can_be_seen(lake: Lake) -> None:
    card = learn(lake, train.Config(str(lake.root), "k2c2", max_epochs=6))
    assert len(card["curve"]) == 6
    assert set(card["curve"][0]["valid"]) == {"accuracy", "macro-f1", "roc-auc", "pr-auc"}
    test = {row["metric"]: row for row in card["metrics"] if row["part"] == "test" and row["label"] is None}
    assert test["accuracy"]["value"] > test["accuracy"]["chance"] == pytest.approx(1 / 3)
    assert card["hardware"]["device"] == "cpu"
    assert card["activation"] == "softmax"


def test_figures_name_the_tracks_that_they_were_measured_on(lake: Lake) -> None:
    config = train.Config(str(lake.root), "k2c2", max_epochs=1)
    card = learn(lake, config)
    (task,) = train.plan(config)
    for row in card["metrics"]:
        assert row["clips"] == digest(sorted(task.examples.of(row["part"])))
        assert row["n"] == len(task.examples.of(row["part"]))


@pytest.mark.parametrize("kind", [Listener, FrozenListener])
def test_waveforms_from_the_stored_audio(lake: Lake, monkeypatch: pytest.MonkeyPatch, kind: type[Listener]) -> None:
    register(monkeypatch, kind)
    (task,) = train.plan(train.Config(str(lake.root), "listener"))
    assert task.n_steps == 1_500
    filters = task.model.build(3, n_frames=1_500, seed=0).filters.weight.detach().clone()
    fitting.train_model(task)
    card = storage.read_card(task.folder / trained.WEIGHTS)
    accuracy = [row for row in card["metrics"] if row["metric"] == "accuracy" and row["part"] == "test"]
    assert accuracy[-1]["value"] == 1
    assert card["curve"][-1]["train_loss"] < 0.7 * card["curve"][0]["train_loss"]
    learned = storage.load(task.folder / trained.WEIGHTS).network.filters.weight
    assert torch.equal(learned, filters) == (kind is FrozenListener)


def test_many_labels(tmp_path: Path) -> None:
    lake = make(tmp_path / "lake", many=True)
    config = train.Config(str(lake.root), "k2c2", max_epochs=1)
    (task,) = train.plan(config)
    assert task.examples.many
    targets = task.examples.of("train")
    assert {tuple(row) for row in map(np.ndarray.tolist, targets.values())} >= {(1.0, 1.0, 0.0), (0.0, 1.0, 0.0)}
    card = learn(lake, config)
    assert card["activation"] == "sigmoid"
    assert set(card["curve"][0]["valid"]) == {"roc-auc", "pr-auc"}
    test = [row for row in card["metrics"] if row["part"] == "test"]
    overall = {row["metric"]: row["chance"] for row in test if row["label"] is None}
    y = np.stack([*task.examples.of("test").values()])
    assert overall == {"roc-auc": 0.5, "pr-auc": pytest.approx(y.mean())}
    assert {(row["metric"], row["label"]) for row in test if row["label"]} == {
        (metric, label) for metric in ("roc-auc", "pr-auc") for label in CLASSES
    }
    with pytest.raises(PhonolakeError, match="several dataset labels"):
        train.plan(replace(config, multi_label=False))
    with pytest.raises(PhonolakeError, match="several dataset labels"):
        examples.collect(lake, labels="dataset", split="fixed", test_fold=None, dataset=None)


def test_the_most_common_labels(tmp_path: Path) -> None:
    lake = make(tmp_path / "lake", n_tracks=29)  # the class pulse has one track less
    found = examples.collect(lake, labels="dataset", split="fixed", test_fold=None, dataset=None, top=2)
    assert found.classes == ("drone", "noise")
    assert len(found.track_ids) == 20


# -- refused before training begins -----------------------------------------------------------------------------------


def test_no_split(tmp_path: Path) -> None:
    lake = make(tmp_path / "lake", split=False)
    with pytest.raises(UsageError, match="no tracks are split yet: run `phonolake split`"):
        train.plan(train.Config(str(lake.root), "k2c2"))
    with pytest.raises(UsageError, match="unknown split 'other'"):
        train.plan(train.Config(str(lake.root), "k2c2", split="other"))


def test_one_class_only(lake: Lake) -> None:
    with pytest.raises(UsageError, match="nothing to tell apart: 1 class"):
        examples.collect(lake, labels="dataset", split="fixed", test_fold=None, dataset=None, top=1)


def test_a_class_without_training_tracks() -> None:
    taught = [("t0", ["a"], "train", None), ("t1", ["b"], "train", None)]
    with pytest.raises(PhonolakeError, match="no training track of class 'rare' in split 'fixed'"):
        examples.dealt([*taught, ("t2", ["rare"], "test", None)], "fixed", None, False)


def test_a_label_matrix_of_the_wrong_width() -> None:
    with pytest.raises(UsageError, match=r"count from 0 to 2, and there are 2 classes: .* wrong width"):
        Examples(("a", "b"), ("x", "y"), ((0,), (2,)), ("train", "train"))
    with pytest.raises(UsageError, match="differ in number"):
        Examples(("a", "b"), ("x", "y"), ((0,),), ("train", "train"))


def test_no_input(lake: Lake) -> None:
    with pytest.raises(PhonolakeError, match="run `phonolake extract --features mfcc-120`"):
        train.plan(train.Config(str(lake.root), "random-forest"))
    (task,) = train.plan(train.Config(str(lake.root), "k2c2"))
    elsewhere = replace(task.examples, track_ids=tuple(f"other:{n}" for n in range(len(task.examples.track_ids))))
    with pytest.raises(PhonolakeError, match="none of the training tracks has spectrogram:mel-96-12k"):
        fitting.train_model(replace(task, examples=elsewhere))


def test_what_an_estimator_cannot_do(lake: Lake) -> None:
    with pytest.raises(UsageError, match="learns one label per track"):
        train.examples_of(lake, train.Config(str(lake.root), "random-forest", multi_label=True),
                        registry.get("random-forest").CARD, "fixed", None)  # fmt: skip


def test_an_estimator_learns_from_validation_tracks_alone_too() -> None:
    rows = [("t0", ["a"], "train", None), ("t1", ["b"], "valid", None), ("t2", ["b"], "test", None)]
    assert examples.dealt(rows, "fixed", None, False, validates=False).parts == ("train", "train", "test")
    with pytest.raises(PhonolakeError, match="no training track of class 'b'"):
        examples.dealt(rows, "fixed", None, False)


def relabel(lake: Lake, labels: list[tuple[str, str]], source: str) -> None:
    """Labels of a source of their own, and rows of numbers for every track."""
    table = schema.table("labels")
    said = [{"track_id": track, "label": label, "value": 1, "source": source} for track, label in labels]
    changes = {"labels": Change(table, [write_rows(lake.path("labels", source), table.arrow, said)])}
    features = products.product(contract.feature_set("mfcc-120"))
    its = features.table
    if its.name not in lake.versions():
        names = [name for name in its.arrow.names if name.startswith("mfcc")]
        blank = {field.name: "" for field in its.arrow if field.type == "string"}
        drawn = np.random.default_rng(0).normal(size=(30, len(names)))
        values = [blank | {"track_id": f"toy:{n:03}"} | dict(zip(names, x, strict=True)) for n, x in enumerate(drawn)]
        changes[its.name] = Change(its, [write_rows(lake.path(its.name, features.stem("toy")), its.arrow, values)])
    lake.commit(changes)


def test_too_few_tracks_for_an_estimator_are_said_before_the_fit(lake: Lake) -> None:
    rare = [(f"toy:{n:03}", "rare" if n in (0, 1, 2, 9) else "common") for n in range(30)]
    relabel(lake, rare, "uneven")
    relabel(lake, rare[:10], "few")
    for model in ("svm-rbf", "svm-rbf-power"):
        config = train.Config(str(lake.root), model, labels="uneven", input="features:mfcc-120")
        # Three in the training part, one in that for validation.
        with pytest.raises(PhonolakeError, match=rf"{model} needs 5 training tracks .* each class, and 'rare' has 4:"):
            train.plan(config)
    with pytest.raises(PhonolakeError, match="knn-pca needs 18 training tracks or more and there are"):
        train.plan(train.Config(str(lake.root), "knn-pca", labels="few"))
    # Said again where rows of numbers are missing, of which the plan knows nothing.
    (task,) = train.plan(train.Config(str(lake.root), "svm-rbf"))
    elsewhere = tuple(t if n < 12 else f"other:{n}" for n, t in enumerate(task.examples.track_ids))
    with pytest.raises(PhonolakeError, match="'drone' has 4, 'noise' has 4, 'pulse' has 4"):
        fitting.train_model(replace(task, examples=replace(task.examples, track_ids=elsewhere)))


def test_what_models_need_is_what_they_need() -> None:
    """One track less, and scikit-learn refuses."""
    rng = np.random.default_rng(0)
    for name in ("svm-rbf", "svm-rbf-power", "knn-pca"):
        model = registry.get(name)
        n = max(model.NEEDS.tracks, 2 * model.NEEDS.per_class)
        x, y = rng.normal(size=(n, 20)), np.arange(n) % 2
        model.build(seed=0).fit(x, y).predict_proba(x[:1])
        with pytest.raises(ValueError, match=r"neighbors|examples|members"):
            model.build(seed=0).fit(x[1:], y[1:]).predict_proba(x[:1])


def test_a_few_tracks_with_two_labels_are_left_out_and_named(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    labels = [(f"toy:{n:03}", CLASSES[n % 3]) for n in range(30)]
    relabel(lake, [*labels, ("toy:004", CLASSES[0])], "corrected")
    (task,) = train.plan(train.Config(str(lake.root), "random-forest", labels="corrected"))
    assert set(task.examples.track_ids) == {track for track, _ in labels} - {"toy:004"}
    assert "1 track(s) with several corrected labels left out" in (said := capsys.readouterr().err)
    assert "toy:004" in said


# -- on its way -------------------------------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_leaves_no_model(lake: Lake) -> None:
    (task,) = train.plan(train.Config(str(lake.root), "k2c2", max_epochs=2))
    shard = task.paths[0]
    table = pq.read_table(shard)
    bad = [np.full_like(np.frombuffer(data, "<f2"), np.nan).tobytes() for data in table["data"].to_pylist()]
    column = table.schema.get_field_index("data")
    pq.write_table(table.set_column(column, table.schema.field(column), [bad]), shard)
    with pytest.raises(PhonolakeError, match=r"training loss in epoch 1 is nan at step 1"):
        fitting.train_model(task)
    assert not task.finished
    assert rows(lake, "SELECT count(*) FROM runs") == [(0,)]


def test_killed_and_started_again_ends_the_same(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = train.Config(str(lake.root), "k2c2", max_epochs=2)
    shutil.copytree(lake.root, tmp_path / "other")
    expected = learn(Lake.open(tmp_path / "other"), replace(config, lake=str(tmp_path / "other")))
    (task,) = train.plan(config)

    def die(n: int = 1) -> None:
        raise RuntimeError("stands for a kill")

    monkeypatch.setattr(fitting.execution, "tick", die)
    with pytest.raises(RuntimeError, match="stands for a kill"):
        fitting.train_model(task)
    assert verify(lake) == []
    assert mend(lake) == []  # it may go on
    assert (task.hidden / "checkpoint.pt").is_file()
    monkeypatch.setattr(fitting.execution, "tick", lambda n=1: None)
    assert learn(lake, config) == expected
    weights = [
        path / "models" / task.run_id / "weights" / "model.safetensors" for path in (lake.root, tmp_path / "other")
    ]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    mend(lake)
    assert not task.hidden.exists()
    assert task.finished


def test_a_checkpoint_is_kept_while_its_training_may_go_on(lake: Lake) -> None:
    folder = lake.root / "models" / "k2c2-run" / unfinished.TRAINING
    holder = "import sys, time; from pathlib import Path; from phonolake.store import unfinished\n"
    holder += "with unfinished.held(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", holder, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        checkpoint = folder / "checkpoint.pt"
        checkpoint.write_bytes(b"")
        two_days_ago = time.time() - 2 * 24 * 3600
        os.utime(checkpoint, (two_days_ago, two_days_ago))
        assert mend(lake) == []
    finally:
        process.kill()  # as by kill -9: the lock goes with the process
        process.wait()
    os.utime(checkpoint)
    assert mend(lake) == []
    os.utime(checkpoint, (two_days_ago, two_days_ago))
    assert [finding.problem for finding in verify(lake)] == ["an unfinished file"]
    assert mend(lake) == [folder]
    assert not folder.exists()


def test_layers_and_windows(lake: Lake) -> None:
    learn(lake, train.Config(str(lake.root), "k2c2", max_epochs=1))
    (task,) = train.plan(train.Config(str(lake.root), "k2c2", max_epochs=1))
    loaded = storage.load(task.folder / trained.WEIGHTS)
    source = task.files[0]
    for layer, segments in (("convs.2", False), ("embedding", True)):
        wanted = score.Task(lake.place, task.run_id, "k2c2", "k2c2", source, False, layer, segments)
        score.score_one(wanted, Predictor.of(loaded))
        path = lake.path("activations", score.activations_of(task.run_id, layer, segments).stem(source))
        found = pq.read_table(path).to_pylist()
        assert len(found) == 15
        assert {len(row["activation"]) for row in found} == {32 if layer == "convs.2" else 160}
        assert {row["segment"] for row in found} == {0 if segments else None}
    embedded = pq.read_table(lake.path("embeddings", score.embeddings_of(task.run_id).stem(source))).to_pylist()
    # Clips of one window: the window's activation is the track's embedding.
    assert [row["embedding"] for row in embedded] == [row["activation"] for row in found]
    with pytest.raises(UsageError, match=r"unknown layer 'convs\.9'"):
        score.score_one(
            score.Task(lake.place, task.run_id, "k2c2", "k2c2", source, False, "convs.9", False), Predictor.of(loaded)
        )


# -- through Ray -------------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.timeout(300)
def test_cross_validated_and_scored_by_actors(ray_session: None, tmp_path: Path) -> None:
    del ray_session
    lake = make(tmp_path / "lake")
    outcomes = train.run(train.Config(str(lake.root), "k2c2", max_epochs=1))
    scored = score.run(score.Config(str(lake.root), layer="convs.4", segments=True))
    assert [o.run_id for o in outcomes] == [row[0] for row in rows(lake, "SELECT run_id FROM models")]
    assert [o.outputs for o in scored] == [30]
    assert rows(lake, "SELECT count(DISTINCT track_id), count(*) FROM predictions") == [(30, 90)]
    assert rows(lake, "SELECT layer, min(segment), count(*) FROM activations GROUP BY layer") == [("convs.4", 0, 30)]
    assert score.plan(score.Config(str(lake.root), layer="convs.4", segments=True)) == []
    assert verify(lake) == []
    assert json.loads(rows(lake, "SELECT config FROM runs WHERE stage = 'train'")[0][0])["model"] == "k2c2"
    assert (
        storage.read_card(lake.root / "models" / outcomes[0].run_id / trained.WEIGHTS)["build"]["n_frames"] == N_FRAMES
    )
    with pytest.raises(UsageError, match="GPUs are requested"):
        train.run(train.Config(str(lake.root), "k2c2", max_epochs=2), Hardware(device="cuda"))
    with pytest.raises(UsageError, match="split 'fixed' has no folds"):
        crossval.plan(crossval.Config(str(lake.root), ("k2c2",), split="fixed"))
