"""Files that an ingest leaves out by their names are counted and named; so are recordings whose channels cancel."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from phonolake.cli.main import main
from phonolake.errors import UsageError
from phonolake.stages import ingest
from phonolake.store import query
from phonolake.store.lake import Lake
from phonolake.store.verify import verify

SR = 8000


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a cluster: one shard after the other."""

    def imap(function, payloads, **_):  # type: ignore[no-untyped-def]
        return ((payload, function(payload)) for payload in payloads)

    monkeypatch.setattr("phonolake.execution.imap", imap)


def tone(path: Path, gains: tuple[float, ...] = (1.0,), **options: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    y_T = 0.5 * np.sin(2 * np.pi * 440 * np.arange(SR) / SR)
    sf.write(path, np.stack([gain * y_T for gain in gains], axis=1), SR, **options)


def rows(lake: Path, sql: str) -> list[tuple]:
    with query.connect(Lake.open(lake)) as connection:
        return connection.execute(sql).fetchall()


def test_what_is_passed_over_is_counted_and_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    music, lake = tmp_path / "music", tmp_path / "lake"
    tone(music / "a" / "one.wav")
    for name in ("x.ra", "y.RA", "cover.jpg", "list.m3u", "notes", ".hidden.ra"):
        (music / "a" / name).touch()
    outcome = ingest.run(ingest.Config(str(lake), str(music)))
    assert (outcome.inputs, outcome.outputs) == (1, 1)
    passed = (
        "passed over 5 files by their names, 2 of them audio that no decoder here reads: 2 .ra, 1 without an ending"
    )
    assert outcome.note == f"0 known before; {passed}, 1 .jpg, 1 .m3u"
    kept = "SELECT ending, files, example FROM passed_over ORDER BY ending"
    assert [row[:2] for row in rows(lake, kept)] == [("", 1), (".jpg", 1), (".m3u", 1), (".ra", 2)]
    assert rows(lake, kept)[0][2] == str(music / "a" / "notes")
    capsys.readouterr()
    assert main(["status", "--lake", str(lake), "--format", "csv"]) == 0
    assert "passed over,music: .ra,,,2," in capsys.readouterr().out.splitlines()
    # What is there now stands in the place of what was, also where no recording is new.
    (music / "a" / "x.ra").unlink()
    assert "passed over 4 files" in ingest.run(ingest.Config(str(lake), str(music))).note
    assert (".ra", 1) in [row[:2] for row in rows(lake, kept)]
    version = Lake.open(lake).versions()
    ingest.run(ingest.Config(str(lake), str(music)))
    assert Lake.open(lake).versions() == version
    for name in ("y.RA", "cover.jpg", "list.m3u", "notes"):
        (music / "a" / name).unlink()
    assert ingest.run(ingest.Config(str(lake), str(music))).note == "nothing new: 1 known"
    assert rows(lake, kept) == []
    assert verify(Lake.open(lake)) == []


def test_a_folder_without_audio_says_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "book.aax").touch()
    with pytest.raises(UsageError, match=r"no audio in .*; passed over 1 file by its name, 1 .*: 1 \.aax"):
        ingest.run(ingest.Config(str(tmp_path / "lake"), str(tmp_path)))


def test_other_names_of_known_containers_are_taken(tmp_path: Path) -> None:
    music = tmp_path / "music"
    for name, format_ in (
        ("a.aifc", "AIFF"),
        ("b.caf", "CAF"),
        ("c.w64", "W64"),
        ("d.wave", "WAV"),
        ("e.rf64", "RF64"),
    ):
        tone(music / name, format=format_)
    outcome = ingest.run(ingest.Config(str(tmp_path / "lake"), str(music)))
    assert (outcome.outputs, outcome.rejects, outcome.note) == (5, 0, "0 known before")


@pytest.mark.parametrize(
    ("gains", "is_taken"), [((1, -1), False), ((1, -0.999), False), ((1, -0.9), True), ((1, 0), True)]
)
def test_channels_that_cancel_are_silent(tmp_path: Path, gains: tuple[float, ...], is_taken: bool) -> None:
    tone(tmp_path / "m" / "a.wav", gains)
    outcome = ingest.run(ingest.Config(str(tmp_path / "lake"), str(tmp_path / "m")))
    assert outcome.outputs == is_taken
    if not is_taken:
        ((reason, detail),) = rows(tmp_path / "lake", "SELECT reason, detail FROM rejects")
        assert reason == "silent"
        assert detail.startswith("cancels: the channels have -9.0 dBFS, and their mean, which is what is used, -")


def test_the_files_of_a_dataset_are_not_taken_in_again_under_other_ids(tmp_path: Path) -> None:
    """By another reader, or from a folder further down: each track would be there twice."""
    music, lake = tmp_path / "music", tmp_path / "lake"
    for name in ("a/one.wav", "a/two.wav", "b/three.wav"):
        tone(music / name, gains=(len(name) / 20,))
    ingest.run(ingest.Config(str(lake), str(music), dataset="m"))
    below = ingest.Config(str(lake), str(music / "a"), dataset="m")
    with pytest.raises(UsageError, match=r"a/one\.wav is m:a/one\.wav in the lake, and would be m:one\.wav besides"):
        ingest.run(below)
    assert rows(lake, "SELECT count(*) FROM tracks") == [(3,)]
    # New files beside those that are known, and files that moved, are no such case.
    tone(music / "c" / "four.wav")
    (music / "b" / "three.wav").rename(music / "c" / "three.wav")
    assert ingest.run(ingest.Config(str(lake), str(music), dataset="m")).outputs >= 1
    assert ingest.run(dataclasses.replace(below, join=True)).outputs == 2
