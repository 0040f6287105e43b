"""ONNX files of others: the library's own numbers, and a card that does not fit is refused before anything is kept."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from phonolake.cli.main import main  # noqa: E402
from phonolake.errors import PhonolakeError, UsageError  # noqa: E402
from phonolake.features import contract  # noqa: E402
from phonolake.features.clip import Clip  # noqa: E402
from phonolake.inference import tagging  # noqa: E402
from phonolake.models import home  # noqa: E402
from phonolake.records import Hertz  # noqa: E402
from phonolake.stages import foreign_models, import_onnx, score  # noqa: E402

from . import small_lake  # noqa: E402
from .in_process import rows, work_here  # noqa: E402

FRONT_END, WINDOW, BANDS, LABELS = "mel-96-16k-musicnn", 187, 96, ("quiet", "loud", "bright")


def tagger(
    path: Path, *, batch: Any = "batch", bands: Any = BANDS, window: Any = WINDOW, scores: str = "Sigmoid"
) -> Path:
    """A network: the mean over time of each band, a dense layer of 4 (the embedding), and one of 3 scores."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    width = bands if isinstance(bands, int) else BANDS
    dense = numpy_helper.from_array(rng.normal(size=(width, 4)).astype(np.float32), "dense")
    last = numpy_helper.from_array(rng.normal(size=(4, 3)).astype(np.float32), "last")
    nodes = [
        helper.make_node("ReduceMean", ["mel"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["mean", "dense"], ["embedding"]),
        helper.make_node("MatMul", ["embedding", "last"], ["logits"]),
        helper.make_node(scores, ["logits"], ["scores"]),
    ]
    given = helper.make_tensor_value_info("mel", TensorProto.FLOAT, [batch, window, bands])
    gives = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("scores", "embedding")]
    graph = helper.make_graph(nodes, "tagger", [given], gives, [dense, last])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def card(path: Path, **changes: Any) -> Path:
    content: dict[str, Any] = {
        "name": "three-tags",
        "input": f"computed:{FRONT_END}",
        "window": WINDOW,
        "inputs": {"name": "mel", "axes": "BTF"},
        "outputs": {"scores": "scores", "embedding": "embedding", "activation": "identity"},
        "labels": list(LABELS),
        "licence": "CC-BY-NC-SA-4.0",
        "origin": "https://example.org/three-tags",
    }
    path.write_text(json.dumps(content | changes))
    return path


@pytest.fixture
def homely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(home.VARIABLE, str(tmp_path / "home"))
    return tmp_path


def direct(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Scores and embedding of the probe clip by the library alone, window by window."""
    recipe = contract.spectrogram(FRONT_END)
    mel_FT = recipe.compute(Clip(foreign_models.probe().samples(Hertz(16_000)), Hertz(16_000)))
    n = mel_FT.shape[1] // WINDOW
    windows = np.stack([mel_FT[:, k * WINDOW : (k + 1) * WINDOW].T for k in range(n)]).astype(np.float32)
    session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    found = [session.run(["scores", "embedding"], {"mel": windows[k : k + 1]}) for k in range(n)]
    return np.mean([s[0] for s, _ in found], axis=0), np.mean([e[0] for _, e in found], axis=0)


@pytest.mark.parametrize("batch", ["batch", 1])
def test_it_answers_as_the_library_does(homely: Path, batch: Any) -> None:
    file = tagger(homely / "t.onnx", batch=batch)
    (outcome,) = import_onnx.run(import_onnx.Config(str(file), str(card(homely / "c.json"))))
    assert outcome.note == "three-tags"
    from phonolake.inference.predictor import Predictor

    found = Predictor.of(home.load("three-tags")).score_recording(foreign_models.probe())
    scores, embedding = direct(file)
    np.testing.assert_allclose(found.probabilities, scores, atol=1e-5)
    np.testing.assert_allclose(found.embedding, embedding, rtol=1e-5, atol=1e-5)


def test_it_is_a_model_of_the_home_and_of_the_lake_like_any_other(
    homely: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = small_lake.make(homely / "lake", n_tracks=6)
    file, said = tagger(homely / "t.onnx"), card(homely / "c.json")
    words = ["models", "import", "onnx", str(file), "--card", str(said), "--name", "three", "--lake", str(lake.root)]
    assert main(words) == 0
    work_here(monkeypatch)
    score.run(score.Config(str(lake.root)))
    said_of = "SELECT model, label, count(*) FROM predictions GROUP BY ALL ORDER BY label"
    assert rows(lake, said_of) == [("three", label, 6) for label in sorted(LABELS)]
    assert rows(lake, "SELECT DISTINCT model, len(embedding) FROM embeddings") == [("three", 4)]
    assert rows(lake, "SELECT licence, origin FROM model_licences") == [
        ("CC-BY-NC-SA-4.0", "https://example.org/three-tags")
    ]
    wav = homely / "x.wav"
    wav.write_bytes(rows(lake, "SELECT bytes FROM audio ORDER BY track_id LIMIT 1")[0][0])
    tags = {tag.tag: tag.probability for tag in tagging.tag([str(wav)], model="three")}
    stored = dict(rows(lake, "SELECT label, probability FROM predictions WHERE track_id = 'toy:000'"))
    assert tags == pytest.approx(stored, abs=1e-6)


def test_what_essentia_publishes_is_a_card(homely: Path) -> None:
    content = {
        "name": "MSD Three",
        "link": "https://example.org/three.onnx",
        "classes": list(LABELS),
        "inference": {"sample_rate": 16000, "algorithm": "TensorflowPredictMusiCNN"},
        "schema": {
            "inputs": [{"name": "mel", "type": "float", "shape": [187, 96]}],
            "outputs": [
                {"name": "scores", "output_purpose": "predictions"},
                {"name": "embedding", "output_purpose": "embeddings"},
            ],
        },
    }
    (homely / "e.json").write_text(json.dumps(content))
    (outcome,) = import_onnx.run(import_onnx.Config(str(tagger(homely / "t.onnx")), str(homely / "e.json")))
    assert outcome.note == "msd-three"
    assert home.load("msd-three").classes == LABELS
    content["inference"] = {"algorithm": "TensorflowPredictVGGish"}
    (homely / "e.json").write_text(json.dumps(content))
    with pytest.raises(UsageError, match=r"unknown front end .* 'TensorflowPredictVGGish'"):
        import_onnx.run(import_onnx.Config(str(homely / "t.onnx"), str(homely / "e.json")))


WRONG: list[tuple[dict, dict, str]] = [
    ({}, {"inputs": {"name": "mel", "axes": "BCTF"}}, "rank 3 .* and its card says BCTF"),
    ({"bands": "bands"}, {}, "leaves its number of bands open"),
    ({"bands": 64}, {}, "reads 64 bands, and the front end of its card, .* has 96"),
    ({"window": 128}, {}, "windows of 128 steps, and its card says 187"),
    ({}, {"inputs": {"name": "melspectrogram", "axes": "BTF"}}, "no input 'melspectrogram': it has mel"),
    ({}, {"outputs": {"scores": "tags"}}, "no output 'tags'"),
    ({}, {"labels": ["a", "b"]}, "gives 3 scores, and its card has 2 labels"),
    ({"scores": "Identity"}, {}, "no probabilities: its card says the activation 'identity'"),
    ({}, {"probe": [0.0, 1.0, 0.5]}, "away from what its card promises"),
    ({}, {"input": "audio:16000"}, "these do not go together"),
    ({}, {"input": "computed:mel-97"}, "mel-97"),
    ({}, {"inputs": {"name": "mel", "axes": "FBT"}}, "unknown order of axes 'FBT'"),
    ({}, {"window": 0}, "at least 1"),
    ({}, {"name": "k2c2"}, "'k2c2' is not that of an imported"),
    ({}, {"labels": []}, "has 0 labels"),
]


@pytest.mark.parametrize(("graph", "changes", "says"), WRONG)
def test_a_card_that_does_not_fit_is_refused_in_one_line(homely: Path, graph: dict, changes: dict, says: str) -> None:
    file, said = tagger(homely / "t.onnx", **graph), card(homely / "c.json", **changes)
    with pytest.raises(PhonolakeError, match=says) as caught:
        import_onnx.run(import_onnx.Config(str(file), str(said)))
    assert "\n" not in str(caught.value)
    assert not (homely / "home").exists()


def test_a_promise_that_is_kept_is_taken(homely: Path) -> None:
    file = tagger(homely / "t.onnx")
    promised = direct(file)[0].tolist()
    import_onnx.run(import_onnx.Config(str(file), str(card(homely / "c.json", probe=promised))))
    assert home.has("three-tags")


def test_what_is_no_onnx_file_is_refused(homely: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = card(homely / "c.json")
    broken = homely / "b.onnx"
    whole = tagger(homely / "t.onnx").read_bytes()
    for data in (b"", b"PK\x03\x04", whole[: len(whole) // 2], np.random.default_rng(0).bytes(300)):
        broken.write_bytes(data)
        assert main(["models", "import", "onnx", str(broken), "--card", str(said)]) == 1
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert main(["models", "import", "onnx", str(homely / "t.onnx")]) == 2
    assert main(["models", "import", "onnx", str(homely / "gone.onnx"), "--card", str(said)]) == 2
    assert main(["train", "onnx", "--lake", str(homely / "lake")]) == 2
