"""Whoever asks a model the same gets the same: the stored track, the file, the upload, the taggram, to the last bit."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import torch

from phonolake.features import contract
from phonolake.features.preprocessing import grid
from phonolake.inference import embedding, inputs, outside, products, taggram
from phonolake.inference.predictor import Predictor
from phonolake.inference.recordings import Description, describe
from phonolake.inference.series_inputs import Audio, ComputedSpectrogram, SeriesInput, StoredSpectrogram
from phonolake.models import registry, storage
from phonolake.models.registry import NetworkCard
from phonolake.records import Seconds
from phonolake.store import schema, trained
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import write_rows

CLASSES = ("a", "b", "c")
SR = 16_000
# Shorter than any window, and longer than most by a part of one.
LENGTHS = {"t:short": 0.9, "t:long": 3.3}
POINT = "linear/per-frequency/x1"


# Of each shape of input one; the others run with the slow tests.
QUICK = ("choi-msd", "frame-raw-243-81", "k2c2", "residual-cnn")


def wav(seconds: float, seed: int) -> bytes:
    time = np.arange(int(seconds * SR)) / SR
    y = 0.3 * np.sin(2 * np.pi * (200 + 300 * time) * time) + 0.05 * np.random.default_rng(seed).normal(size=len(time))
    file = io.BytesIO()
    sf.write(file, y.astype(np.float32), SR, format="WAV", subtype="PCM_16")
    return file.getvalue()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    made = {}
    for seed, (track_id, seconds) in enumerate(LENGTHS.items()):
        made[track_id] = folder / f"{seed}.wav"
        made[track_id].write_bytes(wav(seconds, seed))
    return made


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, files: dict[str, Path]) -> Lake:
    """Audio of the files; what models read is added when it is asked for."""
    lake = Lake.create(tmp_path_factory.mktemp("lake"))
    rows = [
        {"track_id": track_id, "bytes": path.read_bytes(), "container": "WAV", "codec": "PCM_16", "sr": SR,
         "channels": 1, "n_samples": 1, "peak_dbfs": 0.0, "rms_dbfs": 0.0, "sha256": track_id, "source_path": "",
         "source_bytes": 1,
         "source_mtime": 0}
        for track_id, path in files.items()
    ]  # fmt: skip
    table = schema.table("audio")
    lake.commit({"audio": Change(table, [write_rows(lake.path("audio", "one"), table.arrow, rows)])})
    return lake


def extracted(lake: Lake, read: StoredSpectrogram, files: dict[str, Path]) -> Path:
    """The shard of a spectrogram, as `extract` writes it."""
    made = products.product(read.recipe)
    path = lake.path("spectrograms", made.stem("one.parquet"))
    if not path.exists():
        rows = []
        for track_id, file in files.items():
            found = describe([read.recipe], file.read_bytes(), Seconds(LENGTHS[track_id]))[read.recipe.name]
            (answer,) = found if isinstance(found, list) else []
            assert isinstance(answer, Description)
            n_bands, n_frames = answer.values.shape[-2:]
            rows.append({"track_id": track_id, "spectrogram": read.recipe.name, "n_channels": read.recipe.n_channels,
                         "n_bands": n_bands, "n_frames": n_frames, "data": answer.values.tobytes(),
                         "source_shard": "one.parquet", "config_hash": "", "code_version": ""})  # fmt: skip
        lake.commit({"spectrograms": Change(made.table, [write_rows(path, made.table.arrow, rows)])})
    return path


def stored(lake: Lake, name: str, read: SeriesInput, preprocessing: str | None) -> str:
    """An untrained network in the lake, with windows of a second unless it is made for another length."""
    model = registry.get(name)
    n_frames = model.CARD.n_frames or int(read.steps_per_second) + 1
    build: dict[str, Any] = {"n_classes": len(CLASSES), "n_frames": n_frames, "seed": 1}
    network = model.blank(**build)
    torch.manual_seed(0)
    for module in network.modules():  # statistics of batch norm as after some training
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.1)
    card = {"model": name, "input": read.text, "preprocessing": preprocessing, "build": build, "classes": list(CLASSES),
            "activation": "softmax"}  # fmt: skip
    run_id = f"{name}-{preprocessing or 'plain'}-{read.kind}".replace("/", "-")
    storage.save(network.eval(), card, trained.weights(lake.root, run_id))
    return run_id


def variants(name: str) -> list[tuple[SeriesInput, str | None]]:
    """What a network can read, each with and without preprocessing where there may be one."""
    own = inputs.series(registry.get(name).CARD.input)
    read: list[SeriesInput] = [own]
    if isinstance(own, StoredSpectrogram):
        config = own.recipe.config
        if config is None or config.picture or config.duration is not None:
            return [(own, None)]
        read.append(ComputedSpectrogram(own.name))
        if config.scale == "decibel" and config.n_mels is not None:
            return [(kind, point) for kind in read for point in (None, POINT)]
    return [(kind, None) for kind in read]


def check(lake: Lake, files: dict[str, Path], name: str) -> None:
    for read, point in variants(name):
        run_id = stored(lake, name, read, point)
        predictor = Predictor.load(trained.weights(lake.root, run_id))
        is_stored = isinstance(read, StoredSpectrogram)
        shard = extracted(lake, read, files) if is_stored else lake.folder("audio") / "one.parquet"
        in_lake = {scored.track_id: scored for scored in predictor.score_shard(shard)}
        assert set(in_lake) == set(LENGTHS)
        for track_id, file in files.items():
            (alone,) = predictor.score_shard(shard, {track_id})
            with outside.opened(str(file)) as recording:
                of_file = predictor.score_recording(recording)
                vector = embedding.embed(lake, run_id, recording)
            np.testing.assert_array_equal(of_file.probabilities, alone.probabilities)
            np.testing.assert_array_equal(of_file.embedding, alone.embedding)
            np.testing.assert_array_equal(vector, alone.embedding)
            # Companions in a batch may change the order of sums, and nothing else.
            np.testing.assert_allclose(in_lake[track_id].probabilities, alone.probabilities, atol=2e-4)
            x_XT = in_memory(read, file)
            heard = taggram.taggram(predictor, x_XT)
            assert heard.probabilities.shape == (len(heard.starts), len(CLASSES))
            if len(heard.starts) == 1 and len(predictor.score(x_XT).starts) == 1 and x_XT.shape[-1] <= predictor.window:
                np.testing.assert_array_equal(heard.probabilities[0], alone.probabilities)


def in_memory(read: SeriesInput, file: Path) -> np.ndarray:
    with outside.opened(str(file)) as recording:
        return read.of(recording)


@pytest.mark.parametrize("name", QUICK)
def test_every_way_gives_the_same(lake: Lake, files: dict[str, Path], name: str) -> None:
    check(lake, files, name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [card.name for card in registry.cards() if isinstance(card, NetworkCard) and card.name not in QUICK]
)
def test_every_way_gives_the_same_with_all_other_networks(lake: Lake, files: dict[str, Path], name: str) -> None:
    check(lake, files, name)


def test_what_was_handed_in_is_asked_about_as_a_file_is(lake: Lake, files: dict[str, Path]) -> None:
    read = ComputedSpectrogram("mel-96-12k")
    predictor = Predictor.load(trained.weights(lake.root, stored(lake, "k2c2", read, POINT)))
    file = files["t:long"]
    with outside.opened(str(file)) as recording:
        of_file = predictor.score_recording(recording)
    upload = predictor.score_recording(outside.Upload(file.read_bytes(), "wav"))
    np.testing.assert_array_equal(upload.probabilities, of_file.probabilities)
    np.testing.assert_array_equal(upload.embedding, of_file.embedding)


def test_the_preprocessing_of_the_card_is_what_the_network_was_asked_about(lake: Lake, files: dict[str, Path]) -> None:
    """By hand: the windows of a stored spectrogram, preprocessed, then the network; not the windows as they are."""
    read = StoredSpectrogram("mel-96-12k")
    run_id = stored(lake, "k2c2", read, POINT)
    predictor = Predictor.load(trained.weights(lake.root, run_id))
    x_FT = in_memory(read, files["t:long"]).astype(np.float32)
    heard = taggram.taggram(predictor, x_FT)
    config = contract.spectrogram("mel-96-12k").config
    assert config is not None
    point = grid(sr=config.sr, fmin=config.fmin, fmax=config.fmax)[POINT]
    length, starts = taggram.pieces(x_FT.shape[1], predictor.window, read.steps_per_second)
    x_SFT = np.stack([x_FT[:, start + np.arange(predictor.window) % length] for start in starts])
    wanted = predictor.model.predict(point(torch.from_numpy(x_SFT)).numpy())
    np.testing.assert_array_equal(heard.probabilities, wanted)
    assert np.abs(heard.probabilities - predictor.model.predict(x_SFT)).max() > 1e-3


def test_a_long_waveform_is_asked_about_some_windows_at_a_time(
    lake: Lake, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "sample-3-9"
    read = Audio(inputs.series(registry.get(name).CARD.input).sr)  # type: ignore[arg-type]
    predictor = Predictor.load(trained.weights(lake.root, stored(lake, name, read, None)))
    with outside.opened(str(files["t:long"])) as recording:
        at_once = predictor.score_recording(recording)
        monkeypatch.setattr("phonolake.inference.predictor.WINDOWS", 1)
        one_by_one = predictor.score_recording(recording)
    np.testing.assert_allclose(one_by_one.probabilities, at_once.probabilities, atol=1e-6)
    np.testing.assert_allclose(one_by_one.embedding, at_once.embedding, rtol=1e-4, atol=1e-5)
