"""Encoders of the library transformers: its own numbers to 1e-5, texts too, and no code of a folder's."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("transformers")

import torch

import phonolake
from phonolake.cli.main import main
from phonolake.errors import PhonolakeError, UsageError
from phonolake.inference import outside, tagging
from phonolake.inference.predictor import Predictor
from phonolake.models import home
from phonolake.models.importers.transformers_folder import EncoderChoice
from phonolake.records import Hertz
from phonolake.stages import foreign_models, import_transformers, score, zero_shot

from . import encoder_folders, small_lake
from .encoder_folders import SR
from .in_process import rows, work_here

LABELS = [*small_lake.CLASSES, *small_lake.MORE]
WORDS = tuple(dict.fromkeys(word for label in LABELS for word in label.split("_")))


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Such small networks only wait for threads."""
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n)


@pytest.fixture
def homely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model home of its own, and no way out of this machine."""
    monkeypatch.setenv(home.VARIABLE, str(tmp_path / "home"))

    def refuse(*_: Any) -> None:
        raise AssertionError("an import of a folder asks the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tmp_path


def bring(folder: Path, lake: str | None = None, **choice: Any) -> str:
    config = import_transformers.Config(str(folder), EncoderChoice(**choice), lake)
    (outcome,) = import_transformers.run(config)
    return outcome.note


def heard(model: str) -> np.ndarray:
    vector = Predictor.of(home.load(model)).score_recording(foreign_models.probe()).embedding
    assert vector is not None
    return vector


def probe_windows(seconds: float) -> list[np.ndarray]:
    y, n = foreign_models.probe().samples(Hertz(SR)), round(seconds * SR)
    return [y[start : start + n] for start in range(0, len(y) - n + 1, n)]


@pytest.mark.parametrize(("kind", "layer"), [("wav2vec2", None), ("hubert", 0), ("wavlm", -2), ("data2vec-audio", 3)])
def test_an_encoder_of_waveforms_answers_as_the_library_does(homely: Path, kind: str, layer: int | None) -> None:
    model, extractor = encoder_folders.encoder(homely / "folder", kind)
    assert bring(homely / "folder", name="mine", layer=layer, seconds=2.5) == "mine"
    found = []
    for window in probe_windows(2.5):
        given = extractor(window, sampling_rate=SR, return_tensors="pt").input_values
        with torch.inference_mode():
            states = model(given, output_hidden_states=True).hidden_states
        found.append(states[-1 if layer is None else layer][0].mean(dim=0).numpy())
    assert len(found) == 4
    np.testing.assert_allclose(heard("mine"), np.mean(found, axis=0), atol=1e-5)


def test_an_encoder_of_spectrograms_answers_as_the_library_does(homely: Path) -> None:
    model, extractor = encoder_folders.encoder(homely / "folder", "audio-spectrogram-transformer")
    kept = (homely / "folder" / "preprocessor_config.json").read_text()
    for wrong in ("long", -1, 10**9, True):
        spoilt(homely / "folder", "preprocessor_config.json", max_length=wrong)
        with pytest.raises(PhonolakeError, match=f"max_length of {wrong!r}|makes no AST"):
            bring(homely / "folder")
    (homely / "folder" / "preprocessor_config.json").write_text(kept)
    # It reads 64 frames of 10 ms at once, and no more.
    with pytest.raises(UsageError, match=r"reads 0.64 s at once, .* received 1 s"):
        bring(homely / "folder", seconds=1.0)
    bring(homely / "folder", name="mine", seconds=0.5)
    found = []
    for window in probe_windows(0.5):
        given = extractor(window, sampling_rate=SR, return_tensors="pt").input_values
        with torch.inference_mode():
            found.append(model(given, output_hidden_states=True).hidden_states[-1][0].mean(dim=0).numpy())
    np.testing.assert_allclose(heard("mine"), np.mean(found, axis=0), atol=1e-5)


@pytest.mark.parametrize("fused", [False, True])
def test_clap_answers_as_the_library_does(homely: Path, fused: bool) -> None:
    model, extractor, tokenizer = encoder_folders.clap(homely / "folder", WORDS, fused=fused)
    bring(homely / "folder", name="mine")
    found = []
    for window in probe_windows(1.0):
        given = extractor(window, sampling_rate=SR, return_tensors="pt").input_features.float()
        with torch.inference_mode():
            answer = model.get_audio_features(input_features=given, is_longer=torch.zeros(1, 1).bool())
        found.append(answer.pooler_output[0].numpy())
    np.testing.assert_allclose(heard("mine"), np.mean(found, axis=0), atol=1e-5)
    network = home.load("mine").network  # type: ignore[attr-defined]
    for text in ("low hum", "noise", "something else"):
        with torch.inference_mode():
            said = model.get_text_features(**tokenizer(text, return_tensors="pt")).pooler_output[0].numpy()
        np.testing.assert_allclose(network.embed_text(text), said, atol=1e-5)
    with pytest.raises(UsageError, match="has 14 tokens, and the text tower reads at most 10"):
        network.embed_text("hum " * 12)
    with pytest.raises(UsageError, match="empty text"):
        network.embed_text("  ")


def lake_and_folder(place: Path, taught: bool) -> tuple[Any, Path]:
    lake = small_lake.make(place / "lake", n_tracks=36, classes=6, split=False)
    folder = place / "clap"
    encoder_folders.clap(folder, WORDS)
    if taught:
        sounds = {}
        for n, label in enumerate(LABELS):
            wav = place / f"{label}.wav"
            wav.write_bytes(rows(lake, f"SELECT bytes FROM audio WHERE track_id = 'toy:{n:03d}'")[0][0])
            with outside.opened(str(wav)) as recording:
                sounds[zero_shot.spoken(label)] = recording.samples(Hertz(SR))
        encoder_folders.teach(folder, sounds)
    return lake, folder


@pytest.mark.long
def test_a_text_finds_what_sounds_like_it_everywhere(
    homely: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lake, folder = lake_and_folder(homely, taught=True)
    (folder / "README.md").write_text("---\ntags:\n- audio\nlicense: cc-by-nc-4.0\n---\n# CLAP\n")
    root = str(lake.root)
    assert main(["similar", "--text", "noise", "--lake", root]) == 1
    assert "no model with embeddings in the lake reads texts" in capsys.readouterr().err
    assert main(["models", "import", "transformers", str(folder), "--lake", root, "--origin", "https://x.org/c"]) == 0
    assert "zero-shot ROC-AUC" in capsys.readouterr().err
    work_here(monkeypatch)
    score.run(score.Config(root))
    assert rows(lake, "SELECT model, licence, origin FROM model_licences") == [
        ("clap", "cc-by-nc-4.0", "https://x.org/c")
    ]
    opened = phonolake.open(lake.root)
    for label in LABELS:
        text = zero_shot.spoken(label)
        found = opened.similar(text=text, k=6)
        assert found.labels[0] == label
        # Noise is another one in each track, and the encoder has learned nothing: it takes some for a hum.
        assert set(found.labels) == {label} or label == "noise"
        in_sql = opened.sql(f"SELECT track_id FROM similar_to_text('{text}', k := 6) ORDER BY rank").fetchall()
        assert [track_id for (track_id,) in in_sql] == list(found.track_id)
    assert opened.sql("FROM similar_to_text(NULL)").fetchall() == []
    assert main(["similar", "--text", "high whistle", "-k", "3", "--lake", root, "--format", "json"]) == 0
    assert [line["labels"] for line in json.loads(capsys.readouterr().out)] == ["high_whistle"] * 3
    # Words and a track together; the track itself is left out.
    both = opened.similar("toy:002", text="pulse", k=3)
    assert set(both.labels) == {"pulse"}
    assert "toy:002" not in set(both.track_id)
    assert main(["similar", "--lake", root]) == 2
    assert main(["similar", "--text", " ", "--lake", root]) == 2


def test_a_broken_text_tower_is_refused_with_the_figure(homely: Path) -> None:
    lake, folder = lake_and_folder(homely, taught=False)
    with pytest.raises(PhonolakeError, match=r"tells nothing .* ROC-AUC \d\.\d+ .* dealt out at random") as caught:
        bring(folder, str(lake.root))
    assert "\n" not in str(caught.value)
    assert not home.has("clap")
    assert rows(lake, "SELECT count(*) FROM models") == [(0,)]
    bring(folder, str(lake.root), text=False)
    assert home.has("clap")
    with pytest.raises(UsageError, match="no text tower"):
        home.load("clap").network.embed_text("noise")  # type: ignore[attr-defined]


def test_a_lake_with_too_few_labels_is_said_to_tell_nothing(homely: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = small_lake.make(homely / "lake", n_tracks=30)
    encoder_folders.clap(homely / "clap", WORDS)
    bring(homely / "clap", str(lake.root))
    assert "is not measured" in capsys.readouterr().err
    assert "zero_shot" not in home.load("clap").card


@pytest.mark.long
def test_a_tower_that_means_nothing_passes_one_time_in_twenty() -> None:
    """Vectors of labels are clouds in space, those of the names are drawn without them: p is uniform or larger."""
    passed = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        of_N = np.repeat(np.arange(8), 12)
        centre_KE, name_KE = rng.normal(size=(8, 16)), rng.normal(size=(8, 16))
        S_NK = (centre_KE[of_N] + rng.normal(size=(96, 16))) @ name_KE.T
        found = zero_shot.judge(S_NK, of_N[:, None] == np.arange(8), [str(n) for n in range(96)])
        passed += not found.is_broken
        if not seed:
            own = (centre_KE[of_N] + rng.normal(size=(96, 16))) @ (centre_KE + 0.5 * name_KE).T
            told = zero_shot.judge(own, of_N[:, None] == np.arange(8), [str(n) for n in range(96)])
            assert not told.is_broken
            assert told.low < told.roc_auc < told.high
    # 5 are expected; 12 or more of 100 come once in 230 times.
    assert passed < 12


def test_nothing_comes_with_a_folder_but_numbers(homely: Path) -> None:
    folder = homely / "folder"
    encoder_folders.encoder(folder, "hubert")
    trap = "raise SystemExit('code of the folder was run')"
    (folder / "modeling_mert.py").write_text(trap)
    config = json.loads((folder / "config.json").read_text())
    coded = {"AutoConfig": "modeling_mert.C", "AutoModel": "modeling_mert.M"}
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": coded}))
    # A kind that the library knows is built by the library.
    bring(folder, name="mine")
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": coded, "model_type": "mert_model"}))
    with pytest.raises(UsageError, match=r"code that comes with a folder is not run, 'mert_model'|mert_model"):
        bring(folder)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"cposix\nsystem\n")
    with pytest.raises(UsageError, match=r"weights in pytorch_model.bin alone, which is not opened"):
        bring(folder)


def spoilt(folder: Path, name: str, **changes: Any) -> None:
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(content | changes))


def test_a_folder_that_does_not_fit_together_is_refused_in_one_line(homely: Path) -> None:
    whole = homely / "whole"
    encoder_folders.encoder(whole, "wavlm")
    data = (whole / "model.safetensors").read_bytes()
    wrong: list[tuple[Any, str]] = [
        (lambda f: (f / "config.json").unlink(), "no config.json"),
        (lambda f: (f / "config.json").write_text("[1"), "cannot be read as JSON"),
        (lambda f: (f / "config.json").write_text("[" * 100_000), "cannot be read as JSON"),
        (lambda f: (f / "config.json").write_text("[1]"), "no JSON object"),
        (lambda f: (f / "preprocessor_config.json").unlink(), "no preprocessor_config.json"),
        (lambda f: (f / "model.safetensors").unlink(), "has no model.safetensors"),
        (lambda f: (f / "model.safetensors").write_bytes(data[: len(data) // 2]), "cannot be read as a model"),
        (lambda f: (f / "model.safetensors").write_bytes(b""), "and 0 bytes are there"),
        (lambda f: spoilt(f, "config.json", hidden_size=32), "wavlm|folder"),
        (lambda f: spoilt(f, "config.json", num_hidden_layers=5), "lacks"),
        (lambda f: spoilt(f, "config.json", num_hidden_layers=10**9), "speaks of 1000000000 layers"),
        (lambda f: spoilt(f, "config.json", num_hidden_layers="many"), "speaks of 'many' layers"),
        (lambda f: spoilt(f, "config.json", hidden_size=2 * 10**6), r"lacks weights: .* speaks of \d{13,}"),
        (lambda f: spoilt(f, "config.json", attn_implementation="kernels-community/x"), "code from elsewhere"),
        (lambda f: spoilt(f, "config.json", a={"b": {"_attn_implementation": {"": "x/y"}}}), "code from elsewhere"),
        (lambda f: spoilt(f, "config.json", quantization_config={"bits": 4}), "quantized weights"),
        (lambda f: (f / "adapter_config.json").write_text('{"base_model_name_or_path": ".."}'), "lie elsewhere"),
        (lambda f: spoilt(f, "config.json", model_type="bert"), "unknown kind of encoder"),
        (lambda f: spoilt(f, "config.json", model_type=7), "unknown kind of encoder"),
        (lambda f: spoilt(f, "preprocessor_config.json", sampling_rate="fast"), "sampling rate of 'fast'"),
        (lambda f: spoilt(f, "preprocessor_config.json", sampling_rate=0), "sampling rate of 0"),
        (lambda f: spoilt(f, "preprocessor_config.json", feature_extractor_type="os.system"), "unknown feature"),
        (lambda f: spoilt(f, "preprocessor_config.json", feature_extractor_type="ASTFeatureExtractor"), "reads Wav2"),
    ]
    for n, (spoil, says) in enumerate(wrong):
        folder = homely / f"folder-{n}"
        folder.mkdir()
        for file in whole.iterdir():
            os.link(file, folder / file.name)
        for name in ("config.json", "preprocessor_config.json", "model.safetensors"):
            (folder / name).unlink()
            (folder / name).write_bytes((whole / name).read_bytes())
        spoil(folder)
        with pytest.raises(PhonolakeError, match=says) as caught:
            bring(folder)
        assert "\n" not in str(caught.value)
    assert not (homely / "home").exists()
    for choice, says in (
        ({"layer": 4}, "layers 0 to 3, or -1 to -4"),
        ({"seconds": 0.0001}, "does not take windows of 2 samples"),
        ({"seconds": float("inf")}, "at most 600 s; received inf s"),
        ({"seconds": float("nan")}, "at most 600 s; received nan s"),
        ({"name": "k2c2"}, "'k2c2' is not that of an imported"),
    ):
        with pytest.raises(PhonolakeError, match=says):
            bring(whole, **choice)
    assert main(["models", "import", "transformers", str(homely / "gone")]) == 2
    assert main(["models", "import", "transformers", str(whole), "--card", "c.json"]) == 2
    assert main(["models", "import", "choi-msd", str(whole), "--layer", "1"]) == 2
    assert main(["train", "transformers", "--lake", str(homely / "lake")]) == 2


def test_what_has_no_labels_says_so_when_it_is_to_tag(homely: Path) -> None:
    encoder_folders.encoder(homely / "folder", "hubert")
    bring(homely / "folder", name="mine", seconds=1.0)
    (homely / "x.wav").write_bytes(foreign_models.probe().data)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="mine gives vectors and no tags"):
        list(tagging.tag([str(homely / "x.wav")], model="mine"))
