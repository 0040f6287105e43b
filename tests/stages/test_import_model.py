"""Published weights from the file to tags of real music, into the model home and into a lake."""

import csv
import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from phonolake.analysis.labels import label_vectors
from phonolake.audio.decode import decode
from phonolake.cli.main import main
from phonolake.errors import PhonolakeError, UsageError
from phonolake.files import sha256
from phonolake.inference import predictor, tagging
from phonolake.models import home, storage
from phonolake.models.importers import choi_weights
from phonolake.records import Hertz
from phonolake.stages import fetch_model, import_model, ingest
from phonolake.store import query
from phonolake.store.lake import Lake

from ..models import keras_files

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
WEIGHTS = SHARED / "choi_msd_tagger" / "compact_cnn_weights_theano.hdf5"
MUSIC = SHARED / "cc_music"

published = pytest.mark.skipif(not WEIGHTS.is_file() or not MUSIC.is_dir(), reason="the shared data are not here")

FILES = ("low.flac", "high.flac")

# Second row of Table III of the robustness paper, in its order.
TABLE_3 = (
    *(("electronica", "electronic"), ("indie rock", "indie"), ("female vocalist", "female vocalists")),
    *(("heavy metal", "hard rock"), ("indie", "indie pop"), ("sad", "beautiful"), ("alternative rock", "rock")),
    *(("alternative rock", "alternative"), ("happy", "catchy"), ("indie rock", "alternative")),
    *(("alternative", "indie"), ("rnb", "sexy"), ("electro", "electronic"), ("sad", "Mellow"), ("Mellow", "beautiful")),
    *(("60s", "oldies"), ("House", "dance"), ("heavy metal", "metal"), ("chillout", "chill")),
    ("electro", "electronica"),
)


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model home with the tagger, calibrated on the real recordings."""
    place = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(home.VARIABLE, str(place))
        import_model.run(import_model.Config("choi-msd", str(WEIGHTS), str(MUSIC)))
    return place


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of the published layout with weights of our own, which passes for the published one."""
    path = tmp_path / "made.hdf5"
    keras_files.write(path, keras_files.made(), monkeypatch)
    monkeypatch.setattr(choi_weights, "SHA256", sha256(path))
    return path


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """A folder with two recordings: one shorter than a clip of the tagger, one a little longer than two."""
    folder = tmp_path / "made-music"
    folder.mkdir()
    for name, seconds in (("low", 3), ("high", 60)):
        t_S = np.arange(seconds * 12_000) / 12_000
        noise_S = np.random.default_rng(seconds).normal(0, 0.01, len(t_S))
        sf.write(folder / f"{name}.flac", np.sin(2 * np.pi * 40 * seconds * t_S) / 3 + noise_S, 12_000)
    return folder


@pytest.fixture
def at_home(calibrated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(home.VARIABLE, str(calibrated))
    monkeypatch.delenv("PHONOLAKE_LAKE", raising=False)


@pytest.fixture
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(home.VARIABLE, str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.mark.long
@published
def test_real_weights_are_calibrated_with_real_music(at_home: None) -> None:
    card = home.load("choi-msd").card
    assert card["weights"]["sha256"] == choi_weights.SHA256
    # Eight recordings of 5 s to 133 s, cut into clips of 29 s.
    assert {k: card["calibration"][k] for k in ("music", "recordings", "clips")} == {
        "music": "cc_music",
        "recordings": 8,
        "clips": 22,
    }


def test_the_card_says_what_it_was_calibrated_with(weights: Path, music: Path, empty_home: Path) -> None:
    import_model.run(import_model.Config("choi-msd", str(weights), str(music)))
    card = home.load("choi-msd").card
    assert card["weights"]["sha256"] == sha256(weights)
    calibration = {k: card["calibration"][k] for k in ("music", "recordings", "clips")}
    assert calibration == {"music": "made-music", "recordings": 2, "clips": 1 + 3}


@published
@pytest.mark.parametrize(
    ("name", "top", "expected"),
    [
        ("442789*ragtime*", 3, {"jazz", "instrumental"}),
        ("Karissa_Hobbs*", 3, {"pop", "female vocalists"}),
        ("admiralbob77*Drum-bass*", 2, {"funk", "electronic"}),
        ("sorohanro*trumpet*", 1, {"jazz"}),
    ],
)
def test_real_music_gets_tags_that_fit_it(at_home: None, name: str, top: int, expected: set[str]) -> None:
    (file,) = MUSIC.glob(name + ".ogg")
    assert {tag.tag for tag in tagging.tag([str(file)], top=top)} >= expected


def test_a_clip_has_the_same_tags_alone_and_among_others(weights: Path, music: Path, empty_home: Path) -> None:
    import_model.run(import_model.Config("choi-msd", str(weights), str(music)))
    tagger = home.load("choi-msd")
    clips = [import_model.cut(decode((music / name).read_bytes(), sr=Hertz(12_000)))[0] for name in FILES]
    together, embeddings = tagger.predict_and_embed(np.stack(clips))
    assert together.shape == (2, 50)
    assert embeddings is not None
    assert embeddings.shape == (2, 160)
    np.testing.assert_allclose(tagger.predict(clips[1][None])[0], together[1], atol=1e-5)


@pytest.mark.long
def test_tags_are_the_mean_over_all_windows(
    weights: Path, music: Path, empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_model.run(import_model.Config("choi-msd", str(weights), str(music)))
    file = music / "high.flac"
    tags = {tag.tag: tag.probability for tag in tagging.tag([str(file)], top=50)}
    tagger = home.load("choi-msd")
    y_S = decode(file.read_bytes(), sr=Hertz(12_000))
    n = 29 * 12_000
    mean_K = np.mean([tagger.predict(y_S[None, start : start + n])[0] for start in (0, n)], axis=0)
    assert [tags[name] for name in tagger.classes] == pytest.approx(list(mean_K), abs=1e-6)
    monkeypatch.setattr(predictor, "WINDOWS", 1)
    one_by_one = {tag.tag: tag.probability for tag in tagging.tag([str(file)], top=50)}
    assert tags == pytest.approx(one_by_one, abs=1e-6)


@published
def test_label_vectors_give_the_papers_table_without_a_lake(at_home: None, call: Callable[..., tuple]) -> None:
    """20 pairs in their order under the cosine; the values at ranks 6, 9 and 12 are in the text."""
    words = ("--model", "choi-msd", "--similarity", "cosine", "--top", "20", "--format", "csv")
    code, out, _ = call("labels", "vectors", *words)
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [{row["label_i"], row["label_j"]} for row in rows] == [set(pair) for pair in TABLE_3]
    assert [round(float(rows[rank - 1]["similarity"]), 2) for rank in (6, 9, 12)] == [0.88, 0.86, 0.82]


@published
def test_the_dot_product_of_the_text_is_not_the_printed_table(at_home: None) -> None:
    names, W_KD = label_vectors.label_vectors_at_home("choi-msd")
    pairs = label_vectors.ranked_pairs(names, label_vectors.label_vector_similarity(W_KD, kind="dot"), 20)
    assert [{pair.label_i, pair.label_j} for pair in pairs] != [set(pair) for pair in TABLE_3]


def test_without_music_it_has_label_vectors_and_no_tags(
    weights: Path, music: Path, empty_home: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[..., tuple]
) -> None:
    monkeypatch.delenv("PHONOLAKE_LAKE", raising=False)
    assert call("models", "import", "choi-msd", weights)[0] == 0
    assert call("labels", "vectors", "--model", "choi-msd")[0] == 0
    code, out, err = call("tag", music / "low.flac")
    assert (code, out) == (2, "")
    assert "models import choi-msd FILE --calibrate MUSIC" in err


def test_wrong_requests_say_what_to_do(
    weights: Path, empty_home: Path, tmp_path: Path, call: Callable[..., tuple]
) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "song.mp3").write_bytes(b"not music")
    for words, says in [
        (("tag", "song.mp3"), "`phonolake models fetch choi-msd`"),
        (("tag", "song.mp3", "--model", "svm-rbf"), "svm-rbf is no network"),
        (("models", "import", "k2c2", weights), "Known: choi-msd"),
        (("models", "fetch", "k2c2"), "Known: choi-msd, musicnn-msd, musicnn-mtt, resnet50, vgg-msd, vgg-mtt, vgg16"),
        (("models", "import", "choi-msd", tmp_path / "no.hdf5"), "there is no file"),
        (("models", "import", "choi-msd", weights, "--calibrate", tmp_path / "no"), "neither a lake nor a folder"),
        (("models", "import", "choi-msd", weights, "--calibrate", tmp_path / "none"), "nothing to calibrate with"),
        (("models", "import", "choi-msd", weights, "--calibrate", tmp_path / "bad"), "nothing to calibrate with"),
        (("models", "show", "k2c3"), "Did you mean 'k2c2'?"),
        (("labels", "vectors"), "--model"),
    ]:
        code, out, err = call(*words)
        assert code in (1, 2)
        assert out == ""
        assert says in err.splitlines()[-1]
        assert err.count("phonolake:") == 1
    assert not home.has("choi-msd")


def test_a_file_that_cannot_be_decoded_is_named(weights: Path, music: Path, empty_home: Path, tmp_path: Path) -> None:
    import_model.run(import_model.Config("choi-msd", str(weights), str(music)))
    (tmp_path / "song.mp3").write_bytes(b"not music")
    with pytest.raises(PhonolakeError, match=r"song\.mp3 cannot be used \(not-audio"):
        list(tagging.tag([str(tmp_path / "song.mp3")]))
    with pytest.raises(UsageError, match="there is no file"):
        list(tagging.tag([str(tmp_path / "gone.mp3")]))


def test_a_lake_gets_it_as_a_run_once(weights: Path, empty_home: Path, tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake")
    config = import_model.Config("choi-msd", str(weights), lake=str(lake.root))
    (outcome,) = import_model.run(config)
    (again,) = import_model.run(config)
    assert again.run_id == outcome.run_id
    with query.connect(lake) as connection:
        rows = connection.execute("SELECT run_id, model, input, len(labels), split FROM models").fetchall()
        assert rows == [(outcome.run_id, "choi-msd", "audio:12000", 50, "none")]
        assert connection.execute("SELECT stage FROM runs").fetchall() == [("import",)]
        names, W_KD = label_vectors.label_vectors(lake, connection)
    assert (len(names), W_KD.shape) == (50, (50, 32))
    stored = storage.load(lake.root / "models" / str(outcome.run_id) / "weights")
    assert stored.card["weights"]["sha256"] == choi_weights.SHA256


@pytest.mark.long
def test_a_lake_can_be_the_music(weights: Path, music: Path, empty_home: Path, tmp_path: Path) -> None:
    ingest.run(ingest.Config(str(tmp_path / "lake"), str(music), "folder"))
    import_model.run(import_model.Config("choi-msd", str(weights), str(tmp_path / "lake")))
    of_lake = dict(home.load("choi-msd").card["calibration"])
    import_model.run(import_model.Config("choi-msd", str(weights), str(music)))
    of_folder = dict(home.load("choi-msd").card["calibration"])
    assert (of_lake.pop("music"), of_folder.pop("music")) == ("lake", "made-music")
    assert of_lake == of_folder


# -- download ----------------------------------------------------------------------------------------------------------


def test_the_published_file_is_downloaded_once(weights: Path, tmp_path: Path, empty_home: Path, server: str) -> None:
    served = Path(shutil.copy(weights, tmp_path / "served" / "weights.hdf5"))
    config = fetch_model.Config("choi-msd", f"{server}/weights.hdf5")
    fetch_model.run(config)
    assert home.load("choi-msd").classes[:2] == ("rock", "pop")
    served.chmod(0o600)
    served.unlink()
    fetch_model.run(config)


def test_another_file_is_refused_and_not_kept(tmp_path: Path, empty_home: Path, server: str) -> None:
    (tmp_path / "served" / "weights.hdf5").write_bytes(b"something else")
    with pytest.raises(PhonolakeError, match="sent another file than expected"):
        fetch_model.run(fetch_model.Config("choi-msd", f"{server}/weights.hdf5"))
    with pytest.raises(PhonolakeError, match="cannot be downloaded"):
        fetch_model.run(fetch_model.Config("choi-msd", f"{server}/gone.hdf5"))
    assert list((empty_home / "downloads").iterdir()) == []
    assert not home.has("choi-msd")
