"""A recording that kills its worker is left out after a while, by name, and nothing else is lost."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from phonolake import execution, files
from phonolake.stages import extract, ingest, ingest_rows
from phonolake.stages.ingest import Config
from phonolake.stages.suspects import LOSSES, Suspects
from phonolake.store import query
from phonolake.store.lake import Lake
from phonolake.store.verify import verify

from . import in_process


@pytest.fixture(autouse=True)
def in_forks() -> Iterator[None]:
    with execution.session():
        execution.use(0)
        yield


def die(*_: object, **__: object) -> None:
    """What the kernel does where memory is short."""
    os.kill(os.getpid(), signal.SIGKILL)


def rejects(lake: str) -> list[tuple]:
    with query.connect(Lake.open(lake)) as connection:
        sql = "SELECT track_id, stage, reason, detail LIKE '%lost 2 times%' FROM rejects ORDER BY ALL"
        return connection.execute(sql).fetchall()


def test_a_file_that_kills_its_worker_is_rejected_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        in_process.write_track(tmp_path / "music" / f"{number}.wav", number)
    (tmp_path / "music" / "2.wav").write_bytes(b"")
    in_process.write_track(tmp_path / "music" / "2.wav", 2)
    encoded = ingest_rows.encoded
    monkeypatch.setattr(
        ingest_rows, "encoded", lambda file: die() if file.recording.path.stem == "2" else encoded(file)
    )
    config = Config(str(tmp_path / "lake"), str(tmp_path / "music"))
    assert (ingest.run(config).outputs, rejects(config.lake)) == (4, [("music:2.wav", "ingest", "killed", True)])
    assert verify(Lake.open(config.lake)) == []
    # It is not tried again and again; another configuration tries it.
    assert ingest.run(config).run_id is None
    monkeypatch.setattr(ingest_rows, "encoded", encoded)
    assert ingest.run(Config(config.lake, config.root, max_seconds=60.0)).outputs == 1
    assert rejects(config.lake) == []


def test_a_track_that_kills_its_worker_in_extraction_is_rejected_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        in_process.write_track(tmp_path / "music" / f"{number}.wav", number)
    lake = str(tmp_path / "lake")
    ingest.run(Config(lake, str(tmp_path / "music")))
    monkeypatch.setattr(
        extract,
        "pieces",
        type("Killing", (), {"stored": staticmethod(lambda path: _killing(original(path), "music:1.wav"))}),
    )
    (outcome,) = extract.run(extract.Config(lake, features=("mfcc-120",)))
    assert (outcome.outputs, outcome.rejects) == (3, 1)
    assert rejects(lake) == [("music:1.wav", "extract", "killed", True)]
    assert verify(Lake.open(lake)) == []


original = extract.pieces.stored


class _Deadly:
    """Audio whose length nobody asks for twice."""

    __len__ = __getitem__ = die


def _killing(stored: Iterator[tuple], name: str) -> Iterator[tuple]:
    for track_id, data, duration in stored:
        yield track_id, _Deadly() if track_id == name else data, duration


def test_whoever_ends_a_command_and_starts_it_again_has_lost_no_worker(tmp_path: Path) -> None:
    for job in ("one", "other", "third"):
        token = files.owner.set(job)
        suspects = Suspects(tmp_path / "shard")
        assert suspects.touch("a")
        files.owner.reset(token)
    for n in range(LOSSES + 1):
        token = files.owner.set("third")
        suspects = Suspects(tmp_path / "shard")
        assert suspects.touch("a") is (n + 1 < LOSSES)
        files.owner.reset(token)
    # What was left out stays so until the shard is done.
    suspects = Suspects(tmp_path / "shard")
    assert not suspects.touch("a")
    assert suspects.touch("b")
    suspects.close()
    assert list(tmp_path.iterdir()) == []


def test_a_note_that_was_cut_short_is_passed_over(tmp_path: Path) -> None:
    Suspects(tmp_path / "shard").touch("a")
    (note,) = tmp_path.iterdir()
    for n in range(len(note.read_bytes())):
        note.write_bytes(note.read_bytes()[:n])
        assert Suspects(tmp_path / "shard").touch("a")
