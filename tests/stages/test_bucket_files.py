"""Files that users bring from object storage: what comes of them is what comes of the same files in a folder."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from tests.object_store import using

from phonolake.analysis.labels import noise_grading, reannotation
from phonolake.annotation import exchange
from phonolake.cli.main import main
from phonolake.errors import UsageError
from phonolake.inference import outside
from phonolake.lookup import label_matrix
from phonolake.models import home
from phonolake.records import Hertz
from phonolake.store import mirror
from phonolake.store.lake import Lake
from phonolake.store.place import Place
from phonolake.store.verify import verify

from . import encoder_folders, small_lake
from .in_process import rows, work_here, write_track

N, D = 12, 5
IDS = [f"toy:{n:03d}" for n in range(N)]


@pytest.fixture
def lakes(kept: Lake, tmp_path: Path) -> tuple[Path, Path]:
    """Two that are alike, for what lies in a folder and for what lies in a bucket."""
    return tuple(shutil.copytree(kept.root, tmp_path / name) for name in ("here", "there"))


@pytest.fixture
def bucket(objects_server: str, tmp_path: Path) -> Iterator[str]:
    with using(objects_server, tmp_path / "cache") as url:
        yield url


def upload(folder: Path, url: str) -> None:
    place, prefix = Place(mirror.split(url)[0]), mirror.split(url)[1]
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        place.put(f"{prefix}/{path.relative_to(folder).as_posix()}", path)


def left(tmp_path: Path) -> list[Path]:
    """Copies that a command left behind."""
    return [path for path in (tmp_path / "cache" / mirror.FOLDER).rglob("*") if path.is_file()]


def table(lake: Path, name: str) -> list[tuple]:
    return rows(lake, f"SELECT * FROM {name} ORDER BY ALL")


@pytest.mark.timeout(120)
@pytest.mark.long
def test_vectors_and_predictions_are_taken_from_a_bucket(
    lakes: tuple[Path, Path], bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder, rng = tmp_path / "files", np.random.default_rng(0)
    folder.mkdir()
    E_ND = rng.normal(size=(N, D)).astype(np.float32)
    np.save(folder / "rows.npy", E_ND)
    (folder / "ids.txt").write_text("\n".join(IDS) + "\n")
    np.savez(folder / "both.npz", track_ids=np.array(IDS), embeddings=E_ND)
    frame = pd.DataFrame(E_ND, columns=[f"x{k}" for k in range(D)]).assign(track_id=IDS)
    frame.to_csv(folder / "table.csv", index=False)
    pd.DataFrame({"track_id": IDS, "vector": list(E_ND)}).to_parquet(folder / "lists.parquet")
    p_NK = rng.dirichlet([1, 1, 1], size=N).round(4)
    pd.DataFrame(p_NK, index=IDS, columns=small_lake.CLASSES).rename_axis("track").to_csv(folder / "theirs.csv")
    upload(folder, bucket)
    for lake, where in zip(lakes, (str(folder), bucket), strict=True):
        for name, file in (("one", "both.npz"), ("two", "table.csv"), ("three", "lists.parquet")):
            assert main(["embeddings", "import", name, f"{where}/{file}", "--lake", str(lake)]) == 0
        given = ["embeddings", "import", "four", f"{where}/rows.npy", "--lake", str(lake)]
        assert main([*given, "--ids", f"{where}/ids.txt"]) == 0
        assert f"{where}/rows.npy: the rows are named by ids.txt; {N} vectors of {D} numbers" in capsys.readouterr().err
        for more in ([], ["--dry-run"]):
            assert main(["predictions", "import", f"{where}/theirs.csv", "--lake", str(lake), *more]) == 0
    here, there = lakes
    # Where a file lies is no part of what it says; a run of .npy names the file of its ids, which is another one.
    same = "SELECT model, track_id, embedding, source_shard FROM embeddings ORDER BY ALL"
    assert rows(here, same) == rows(there, same)
    assert len(rows(there, same)) == 4 * N
    for name in ("predictions", "metrics"):
        less = f"SELECT * EXCLUDE (run_id) FROM {name} ORDER BY ALL"
        assert rows(here, less) == rows(there, less)
    asked = rows(there, "SELECT config->>'$.file' FROM runs WHERE stage LIKE '%import' ORDER BY 1")
    files = ("both.npz", "lists.parquet", "rows.npy", "table.csv", "theirs.csv")
    assert asked == [(f"{bucket}/{file}",) for file in files]
    assert verify(Lake.open(there)) == []
    assert left(tmp_path) == []


@pytest.mark.timeout(120)
def test_answers_and_tables_of_truth_are_taken_from_a_bucket(
    lakes: tuple[Path, Path], bucket: str, tmp_path: Path
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "answers.csv").write_text(
        "track_id,label,value,rater,annotated_at\ntoy:000,drone,1,ann,2024-01-01\ntoy:001,drone,0,ann,2024-01-02\n"
    )
    (folder / "said.csv").write_text("label,given,answer\na,1,1\na,0,1\n")
    (folder / "counts.csv").write_text("label,count\na,3\n")
    (folder / "truth.csv").write_text("track_id,label\ntoy:000,drone\n")
    (folder / "names.txt").write_text("a\nb\n")
    np.save(folder / "Y.npy", np.eye(2, dtype=np.uint8))
    sparse.save_npz(folder / "Y.npz", sparse.csr_array(np.eye(2, dtype=np.uint8)))
    upload(folder, bucket)
    for lake, where in zip(lakes, (str(folder), bucket), strict=True):
        assert main(["annotations", "import", f"{where}/answers.csv", "--lake", str(lake)]) == 0
    assert table(lakes[0], "annotations") == table(lakes[1], "annotations")
    assert len(table(lakes[1], "annotations")) == 2
    assert exchange.read_csv(Lake.open(lakes[1]), f"{bucket}/answers.csv").known == 2
    assert reannotation.read_answers_csv(f"{bucket}/said.csv").label == ("a", "a")
    assert reannotation.read_counts_csv(f"{bucket}/counts.csv", 9).given == {"a": 3}
    assert noise_grading.read_truth(f"{bucket}/truth.csv") == {"toy:000": {"drone"}}
    for matrix in ("Y.npy", "Y.npz"):
        found = label_matrix.read_matrix(f"{bucket}/{matrix}", f"{bucket}/names.txt")
        assert found.labels == ("a", "b")
        assert found.Y_NL[1, 1] == 1
    assert left(tmp_path) == []


@pytest.mark.timeout(120)
@pytest.mark.long
def test_a_model_and_recordings_are_taken_from_a_bucket(
    lakes: tuple[Path, Path],
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    pytest.importorskip("transformers")
    work_here(monkeypatch)
    monkeypatch.setenv(home.VARIABLE, str(tmp_path / "home"))
    folder, lake = tmp_path / "files", lakes[1]
    encoder_folders.encoder(folder / "encoder", "wav2vec2")
    write_track(folder / "sound.wav", 3)
    write_track(folder / "silence.wav", 3)
    (folder / "silence.wav").write_bytes((folder / "silence.wav").read_bytes()[:44] + bytes(9600))
    upload(folder, bucket)
    assert main(["models", "import", "transformers", f"{bucket}/encoder", "--lake", str(lake), "--licence", "MIT"]) == 0
    assert main(["score", "--run", "encoder", "--lake", str(lake)]) == 0
    capsys.readouterr()
    said = []
    for where in (str(folder), bucket):
        for more in ([], ["--from", "0.1", "--to", "0.5"]):
            words = ["similar", f"{where}/sound.wav", "-k", "3", *more, "--lake", str(lake), "--format", "json"]
            assert main(words) == 0
            said.append(json.loads(capsys.readouterr().out))
    assert said[:2] == said[2:]
    assert [len(each) for each in said] == 4 * [3]
    with outside.opened(f"{bucket}/sound.wav") as there, outside.opened(f"{folder}/sound.wav") as here:
        assert np.array_equal(there.samples(Hertz(8_000)), here.samples(Hertz(8_000)))
    assert main(["similar", f"{bucket}/silence.wav", "--lake", str(lake)]) == 1
    assert f"{bucket}/silence.wav cannot be used (silent" in capsys.readouterr().err
    assert left(tmp_path) == []


@pytest.mark.timeout(120)
def test_what_is_not_there_or_no_file_is_said_on_one_line(
    lakes: tuple[Path, Path], bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "files" / "folder").mkdir(parents=True)
    (tmp_path / "files" / "folder" / "theirs.csv").write_text("no,table\n")
    upload(tmp_path / "files", bucket)
    for file, says in (
        ("gone.csv", f"there is no file at {bucket}/gone.csv"),
        # A folder is not brought, however much there is in it.
        ("folder", f"there is no file at {bucket}/folder"),
        ("folder/theirs.csv", f"{bucket}/folder/theirs.csv"),
    ):
        for words in (["embeddings", "import", "mine"], ["predictions", "import"], ["annotations", "import"]):
            assert main([*words, f"{bucket}/{file}", "--lake", str(lakes[1])]) == 2, (words, file)
            (line,) = capsys.readouterr().err.splitlines()
            assert says in line, words
    assert main(["similar", f"{bucket}/gone.wav", "--lake", str(lakes[1])]) != 0
    assert main(["models", "import", "transformers", f"{bucket}/gone", "--lake", str(lakes[1])]) == 2
    assert f"there is nothing at {bucket}/gone" in capsys.readouterr().err
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    "words",
    [
        ["synth", "esc50", "s3://music/made"],
        ["demo", "s3://music/demo"],
        ["download", "fma", "s3://music/fma"],
        ["embeddings", "export", "s3://music/vectors.npz", "--lake", "{lake}"],
        ["models", "filters", "sample-3-9", "--out", "s3://music/filters", "--lake", "{lake}"],
        ["study", "fma-genres", "--figure", "gs://music/figure.png", "--dry-run", "--lake", "{lake}"],
    ],
)
@pytest.mark.timeout(60)
def test_what_is_written_to_this_machine_makes_no_folder_of_an_address(
    kept: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([word.format(lake=kept.root) for word in words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is an address on object storage, and here goes a path of this machine" in line
    assert "s3://music/" in line or "gs://music/" in line
    assert list(tmp_path.iterdir()) == []


def test_pathlib_makes_no_lake_of_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It makes one slash of two."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="s3://music/lake is an address on object storage"):
        Lake.create(Path("s3://music/lake"))
    assert list(tmp_path.iterdir()) == []
