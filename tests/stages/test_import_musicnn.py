"""The networks of musicnn from the package to the tags and neighbours of a lake, and how pip gets the package."""

import csv
import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from phonolake import execution
from phonolake.analysis.labels import label_vectors
from phonolake.cli.main import main
from phonolake.errors import PhonolakeError
from phonolake.inference import embedding, outside
from phonolake.models import home
from phonolake.models.importers import musicnn_package
from phonolake.stages import fetch_model, import_model, ingest, pipeline, score
from phonolake.store import query
from phonolake.store.lake import Lake
from phonolake.store.verify import verify

from .test_large_files import in_process

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
WHEEL = SHARED / "musicnn" / musicnn_package.WHEEL
MUSIC = SHARED / "cc_music"
TRUMPET = "sorohanro_-_solo-trumpet-06.hq.ogg"
published = pytest.mark.skipif(not WHEEL.is_file() or not MUSIC.is_dir(), reason="the shared data are not here")


@pytest.fixture(autouse=True)
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(home.VARIABLE, str(tmp_path / "home"))
    monkeypatch.delenv("PHONOLAKE_LAKE", raising=False)
    return tmp_path / "home"


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "imap", in_process)
    monkeypatch.setattr(execution, "gpus", lambda: 0)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def trumpet(tmp_path: Path) -> Path:
    """A folder with the shortest of the recordings: five seconds, so one window of three."""
    folder = tmp_path / "music"
    folder.mkdir()
    shutil.copy(MUSIC / TRUMPET, folder)
    return folder


def expected(folder: str) -> np.ndarray:
    answers = np.load(SHARED / "musicnn" / "reference_cc_music.npz")
    mean_K: np.ndarray = answers[f"{TRUMPET}|{folder}|probabilities"].mean(axis=0)
    return mean_K


# -- in the model home and in a lake -----------------------------------------------------------------------------------


@published
def test_it_is_imported_with_a_card_that_tells_where_it_comes_from(call: Callable[..., tuple]) -> None:
    code, out, _ = call("models", "import", "vgg-msd", WHEEL, "--format", "csv")
    assert code == 0
    (row,) = csv.DictReader(io.StringIO(out))
    assert row["run_id"].startswith("vgg-msd-")
    card = home.load("vgg-msd").card
    assert card["weights"]["licence"].startswith("ISC")
    assert card["weights"]["url"] == "https://pypi.org/project/musicnn/0.1.0/"
    assert card["published"] == {"collection": "Million Song Dataset", "roc_auc": 0.8768, "pr_auc": 0.2819}
    assert card["classes"][:2] == ["rock", "pop"]
    names, W_KD = label_vectors.label_vectors_at_home("vgg-msd")
    assert W_KD.shape == (len(names), 256)


@pytest.mark.long
@published
def test_a_lake_gets_tags_and_neighbours_by_it(alone: None, tmp_path: Path, trumpet: Path) -> None:
    lake_path = str(tmp_path / "lake")
    noise = np.random.default_rng(0).normal(0, 0.1, 7 * 16_000)
    for seconds in (1, 7):
        sf.write(trumpet / f"{seconds}.wav", noise[: seconds * 16_000], 16_000)
    ingest.run(ingest.Config(lake_path, str(trumpet)))
    (outcome,) = import_model.run(import_model.Config("vgg-msd", str(WHEEL), lake=lake_path))
    score.run(score.Config(lake_path, segments=True), device="cpu")
    lake = Lake.open(lake_path)
    with query.connect(lake) as connection:
        rows = connection.execute("SELECT model, input, split FROM models").fetchall()
        found = dict(
            connection.execute(
                "SELECT label, probability FROM predictions WHERE track_id = $1", [f"music:{TRUMPET}"]
            ).fetchall()
        )
        assert connection.execute("SELECT len(embedding) FROM embeddings").fetchall() == [(256,)] * 3
        windows = connection.execute("SELECT track_id, first_step FROM activations ORDER BY ALL").fetchall()
    assert rows == [("vgg-msd", "computed:mel-96-16k-musicnn", "none")]
    # Windows of 187 frames side by side: what is left counts nothing, and what is shorter is repeated.
    assert windows == [("music:1.wav", 0), ("music:7.wav", 0), ("music:7.wav", 187), (f"music:{TRUMPET}", 0)]
    names = home.load("vgg-msd").classes
    np.testing.assert_allclose([found[name] for name in names], expected("MSD_vgg"), atol=0.02, rtol=0)
    assert max(found, key=lambda label: found[label]) == "jazz"
    with outside.opened(str(trumpet / TRUMPET)) as recording:
        of_file = embedding.embed(lake, outcome.run_id, recording)
    with query.connect(lake) as connection:
        ((stored,),) = connection.execute(
            "SELECT embedding FROM embeddings WHERE track_id = $1", [f"music:{TRUMPET}"]
        ).fetchall()
    np.testing.assert_allclose(of_file, np.array(stored, np.float32), rtol=1e-4, atol=1e-5)
    assert verify(lake) == []
    # The same from the model home, once.
    assert import_model.of_home("vgg-msd", lake_path).run_id == outcome.run_id
    assert Lake.open(lake_path).shards("models") == lake.shards("models")


@pytest.mark.slow
@published
def test_music_without_labels_gets_tags_and_neighbours_by_the_tagger_at_home(
    alone: None, tmp_path: Path, trumpet: Path
) -> None:
    import_model.run(import_model.Config("vgg-msd", str(WHEEL)))
    assert pipeline.tagger(None) == "vgg-msd"
    assert pipeline.tagger("none") is None
    lake = str(tmp_path / "lake")
    outcomes = pipeline.run(pipeline.Config(ingest.Config(lake, str(trumpet)), pretrained=pipeline.tagger(None)))
    assert [outcome.stage for outcome in outcomes] == ["ingest", "extract", "import", "score", "index"]
    with query.connect(Lake.open(lake)) as connection:
        tags = connection.execute("SELECT model, label FROM top_tags($1, 1)", [f"music:{TRUMPET}"]).fetchall()
        assert connection.execute("SELECT model FROM embedding_models").fetchall() == [("vgg-msd",)]
    assert tags == [("vgg-msd", "jazz")]


def test_a_tagger_that_is_not_there_is_said_before_anything_is_done(tmp_path: Path, call: Callable[..., tuple]) -> None:
    (tmp_path / "music").mkdir()
    assert pipeline.tagger(None) is None
    code, out, err = call("run", tmp_path / "music", "--lake", tmp_path / "lake", "--pretrained", "musicnn-msd")
    assert (code, out) == (2, "")
    assert "`phonolake models fetch musicnn-msd`" in err
    assert not (tmp_path / "lake").exists()


@published
def test_wrong_requests_are_one_line_and_leave_nothing(
    tmp_path: Path, empty_home: Path, call: Callable[..., tuple]
) -> None:
    with zipfile.ZipFile(tmp_path / "musicnn-0.1.1-py3-none-any.whl", "w") as archive:
        archive.writestr("musicnn-0.1.1.dist-info/METADATA", "Version: 0.1.1")
    (tmp_path / "truncated.whl").write_bytes(WHEEL.read_bytes()[:1_000_000])
    for words, says in [
        (("vgg-msd", tmp_path / "musicnn-0.1.1-py3-none-any.whl"), "is musicnn 0.1.1, and the weights of 0.1.0"),
        (("vgg-msd", tmp_path / "truncated.whl"), "cannot be read as the wheel of musicnn 0.1.0"),
        (("vgg-msd", tmp_path / "gone.whl"), "`phonolake models fetch vgg-msd`"),
        (("vgg-msd", WHEEL, "--calibrate", MUSIC), "needs no calibration, because its file has the statistics"),
        (("vgg-msd", WHEEL, "--lake", tmp_path / "no"), "no lake"),
        (("vgg-mds", WHEEL), "Did you mean 'vgg-msd'?"),
    ]:
        code, out, err = call("models", "import", *words)
        assert code in (1, 2)
        assert out == ""
        assert says in err.splitlines()[-1]
        assert err.count("phonolake:") == 1
    assert not empty_home.exists()


# -- from the package index --------------------------------------------------------------------------------------------


@pytest.fixture
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all that pip looks at."""
    folder = tmp_path / "links"
    folder.mkdir()
    for name in ("PIP_CONFIG_FILE", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONSTRAINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.mark.slow
@published
def test_pip_gets_the_package_once(links: Path, call: Callable[..., tuple], empty_home: Path) -> None:
    wheel = Path(shutil.copy(WHEEL, links))
    assert call("models", "fetch", "vgg-mtt")[0] == 0
    wheel.chmod(0o600)
    wheel.unlink()
    assert call("models", "fetch", "vgg-msd")[0] == 0
    assert home.has("vgg-msd")
    assert home.has("vgg-mtt")
    assert [path.name for path in (empty_home / "downloads").iterdir()] == [musicnn_package.WHEEL]


@pytest.mark.slow
def test_what_pip_cannot_get_or_gets_wrong_is_said(links: Path, empty_home: Path) -> None:
    config = fetch_model.Config("musicnn-msd")
    with pytest.raises(PhonolakeError, match=r"pip cannot download musicnn==0\.1\.0 \(.*; if you have the wheel"):
        fetch_model.run(config)
    with zipfile.ZipFile(links / musicnn_package.WHEEL, "w") as archive:
        folder = "musicnn-0.1.0.dist-info"
        archive.writestr(f"{folder}/METADATA", "Metadata-Version: 2.1\nName: musicnn\nVersion: 0.1.0\n")
        archive.writestr(f"{folder}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{folder}/RECORD", "")
    with pytest.raises(PhonolakeError, match=r"pip downloaded another musicnn-0\.1\.0-py3-none-any\.whl"):
        fetch_model.run(config)
    assert list((empty_home / "downloads").iterdir()) == []
    assert not home.has("musicnn-msd")


@pytest.mark.slow
@published
def test_a_mirror_may_have_it(tmp_path: Path, server: str) -> None:
    shutil.copy(WHEEL, tmp_path / "served")
    fetch_model.run(fetch_model.Config("vgg-mtt", f"{server}/{musicnn_package.WHEEL}"))
    assert home.has("vgg-mtt")
