"""From tables that people keep to the test figures of a model: labels and splits that came in, learned to the end."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from phonolake.cli.main import main
from phonolake.store import query
from phonolake.store.lake import Lake

from .in_process import write_track

N_TRACKS = 24
PARTS = ("train", "train", "train", "validation", "test", "test")
Call = Callable[..., tuple[int, list[dict], str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """Run the command line without Ray, on the lake; gives the exit code, rows of CSV, and standard error."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)

    def run(*words: object) -> tuple[int, list[dict], str]:
        code = main([*map(str, words), "--lake", str(tmp_path / "lake"), "--format", "csv"])
        captured = capsys.readouterr()
        return code, list(csv.DictReader(io.StringIO(captured.out))), captured.err

    return run


@pytest.fixture
def jamendo(tmp_path: Path) -> Path:
    """The tables of MTG-Jamendo as they are published, and the audio in its small copies, of 24 tracks."""
    root = tmp_path / "mtg-jamendo"
    lines: dict[str, list[str]] = {"": [], "train": [], "validation": [], "test": []}
    for n in range(N_TRACKS):
        number = 200 + 7 * n
        write_track(root / "audio" / f"{number % 100:02d}" / f"{number}.low.wav", seed=n)
        tags = ["genre---rock" if n % 2 else "genre---folk", *(["mood/theme---calm"] if n % 3 == 0 else [])]
        facts = [f"track_{number:07d}", f"artist_{n:06d}", f"album_{n:06d}", f"{number % 100:02d}/{number}.mp3", "0.6"]
        for part in ("", PARTS[n // 2 % len(PARTS)]):
            lines[part].append("\t".join([*facts, *tags]))
    for part, rows in lines.items():
        path = root / "data" / (f"splits/split-0/autotagging-{part}.tsv" if part else "autotagging.tsv")
        path.parent.mkdir(parents=True, exist_ok=True)
        header = "\t".join(["TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS"])
        path.write_text("\n".join([header, *rows]) + "\n")
    return root


def ask(folder: Path, sql: str) -> list[tuple]:
    with query.connect(Lake.open(folder / "lake")) as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.long
def test_a_model_learns_what_tables_say_on_the_split_that_they_name(call: Call, jamendo: Path, tmp_path: Path) -> None:
    """A folder of audio, one class a track in a spreadsheet, and the lists of a split in a folder."""
    code, *_ = call("ingest", "folder", jamendo / "audio", "--workers", "0")
    assert code == 0
    published = (jamendo / "data" / "autotagging.tsv").read_text().splitlines()[1:]
    rows = [(line.split("\t")[3], line.split("\t")[5].removeprefix("genre---")) for line in published]
    (tmp_path / "moods.csv").write_text("file;mood\n" + "".join(f"{file};{mood}\n" for file, mood in rows))
    assert call("labels", "import", tmp_path / "moods.csv", "--source", "ann")[0] == 0
    assert call("splits", "import", jamendo / "data" / "splits" / "split-0")[0] == 0
    assert call("extract", "--features", "mfcc-120", "--workers", "0")[0] == 0
    code, figures, err = call("train", "logistic-regression", "--labels", "ann", "--split", "split-0", "--workers", "0")
    assert code == 0, err
    (accuracy,) = [row for row in figures if row["metric"] == "accuracy"]
    assert accuracy["n_tracks"] == "8"
    learned = ask(tmp_path, "SELECT split, card->>'$.config.labels', labels FROM models")
    assert learned == [("split-0", "ann", ["folk", "rock"])]
    told = dict(ask(tmp_path, "SELECT part, count(*) FROM splits WHERE split = 'split-0' GROUP BY part"))
    assert told == {"train": 12, "valid": 4, "test": 8}
    code, _, err = call("train", "logistic-regression", "--labels", "an", "--split", "split-0", "--workers", "0")
    assert (code, "unknown label source 'an'. Did you mean 'ann'?" in err, len(err.splitlines())) == (2, True, 1)


def test_mtg_jamendos_tables_are_read_into_a_lake_that_has_its_audio(call: Call, jamendo: Path, tmp_path: Path) -> None:
    """By its own reader, and as tables beside a folder: the same tags, of the same tracks, on the same sides."""
    assert call("ingest", "folder", jamendo / "audio", "--workers", "0")[0] == 0
    code, (taken,), err = call("labels", "import", jamendo / "data" / "autotagging.tsv", "--source", "mtg")
    assert (code, taken["inputs"], taken["rejects"]) == (0, "24", "0"), err
    assert call("splits", "import", jamendo / "data" / "splits" / "split-0")[0] == 0
    assert call("ingest", "mtg_jamendo", jamendo, "--workers", "0")[0] == 0
    by_folder, by_name = (
        ask(
            tmp_path,
            "SELECT regexp_extract(track_id, '([0-9]+)[.a-z]*$', 1)::INTEGER AS number, label, part FROM labels "
            f"JOIN tracks USING (track_id) JOIN splits USING (track_id) WHERE {which} ORDER BY ALL",
        )
        for which in ("source = 'mtg'", "dataset = 'mtg_jamendo' AND split = 'split-0'")
    )
    assert by_folder == by_name
    assert len(by_name) == N_TRACKS + N_TRACKS // 3


@pytest.mark.slow
def test_a_network_learns_mtg_jamendos_tags_from_tables(call: Call, jamendo: Path, tmp_path: Path) -> None:
    data = jamendo / "data"
    lists = ("--labels", data / "autotagging.tsv", "--splits", data / "splits" / "split-0")
    assert call("ingest", "folder", jamendo / "audio", *lists, "--workers", "0")[0] == 0
    assert call("extract", "--spectrogram", "mel-96-12k", "--workers", "0")[0] == 0
    words = ("train", "k2c2", "--labels", "autotagging", "--split", "split-0", "--max-epochs", "1", "--workers", "0")
    code, figures, err = call(*words)
    assert code == 0, err
    assert {row["metric"] for row in figures} >= {"roc-auc", "pr-auc"}
    ((labels,),) = ask(tmp_path, "SELECT labels FROM models")
    assert labels == ["genre---folk", "genre---rock", "mood/theme---calm"]
