"""Recordings that are left out with what was measured, and what the tables keep of them."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from phonolake.audio.decode import probe
from phonolake.cli.main import main
from phonolake.lineage import CODE_VERSION
from phonolake.stages import ingest
from phonolake.store import query, schema
from phonolake.store.lake import Change, Lake
from phonolake.store.outcomes import now
from phonolake.store.shards import write_rows
from phonolake.store.verify import verify

SR = 8000


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a cluster: one shard after the other."""

    def imap(function, payloads, **_):  # type: ignore[no-untyped-def]
        for payload in payloads:
            yield payload, function(payload)

    monkeypatch.setattr("phonolake.execution.imap", imap)


def write(path: Path, y: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, y, SR, subtype="PCM_16")


def sine(gain: float, n: int = SR) -> np.ndarray:
    return np.clip(gain * np.sin(2 * np.pi * 440 * np.arange(n) / SR), -1, 1)


def rows(lake: Path, sql: str) -> list[tuple]:
    with query.connect(Lake.open(lake)) as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize("gain", [0.5, 0.99, 1.5, 10.0])
def test_the_share_of_clipped_samples_is_that_of_the_sine(tmp_path: Path, gain: float) -> None:
    write(tmp_path / "a.wav", sine(gain))
    found = probe((tmp_path / "a.wav").read_bytes(), extension="wav").clipped
    # A sine of amplitude A is above 1 for 1 - 2 asin(1 / A) / pi of the time.
    expected = 0.0 if gain < 1 else 1 - 2 * np.arcsin(1 / gain) / np.pi
    assert found == pytest.approx(expected, abs=0.02)


def test_a_clipped_recording_is_a_reject_with_its_share(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    write(tmp_path / "m" / "a" / "clean.wav", sine(0.5))
    write(tmp_path / "m" / "a" / "clipped.wav", sine(3.0))
    lake = tmp_path / "lake"
    outcome = ingest.run(ingest.Config(str(lake), str(tmp_path / "m")))
    assert (outcome.inputs, outcome.outputs, outcome.rejects) == (2, 1, 1)
    ((track, reason, detail),) = rows(lake, "SELECT track_id, reason, detail FROM rejects")
    assert (track, reason) == ("m:a/clipped.wav", "clipped")
    assert "% of the samples are at full scale in short tops, and the most is 10.0%" in detail
    # Under another threshold it is looked at again.
    outcome = ingest.run(ingest.Config(str(lake), str(tmp_path / "m"), max_clipped=1.0))
    assert (outcome.inputs, outcome.outputs) == (1, 1)
    assert rows(lake, "SELECT count(*) FROM rejects") == [(0,)]
    assert main(["rejects", "--by", "reason", "--lake", str(lake), "--format", "json"]) == 0
    assert capsys.readouterr().out.strip() == "[]"


def test_published_splits_name_what_was_rejected_too(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = tmp_path / "esc" / "001 - Dog bark"
    write(folder / "1-1-A.wav", sine(0.5))
    write(folder / "2-2-A.wav", sine(0.0))
    lake = tmp_path / "lake"
    ingest.run(ingest.Config(str(lake), str(tmp_path / "esc"), "esc10"))
    assert rows(lake, "SELECT track_id FROM splits") == [("esc10:1-1-A",)]
    official = rows(lake, "SELECT track_id, fold FROM official_splits ORDER BY fold")
    assert official == [("esc10:1-1-A", 1), ("esc10:2-2-A", 2)]
    capsys.readouterr()
    assert main(["rejects", "--by", "dataset", "--lake", str(lake), "--format", "csv"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith('esc10,ingest,silent,1,0,esc10:2-2-A,"peak')
    assert verify(Lake.open(lake)) == []


def test_a_forgotten_track_is_passed_over_and_said_to_be(tmp_path: Path) -> None:
    for name in "abc":
        write(tmp_path / "m" / "x" / f"{name}.wav", sine(0.5))
    lake = Lake.create(tmp_path / "lake")
    table = schema.table("forgotten")
    tombstone = [{"track_id": "m:x/b.wav", "forgotten_at": now(), "why": CODE_VERSION}]
    lake.commit({"forgotten": Change(table, [write_rows(lake.path("forgotten", "t"), table.arrow, tombstone)])})
    outcome = ingest.run(ingest.Config(str(lake.root), str(tmp_path / "m")))
    assert (outcome.inputs, outcome.outputs, outcome.rejects) == (2, 2, 0)
    assert "1 forgotten" in outcome.note
    assert rows(lake.root, "SELECT track_id FROM tracks ORDER BY 1") == [("m:x/a.wav",), ("m:x/c.wav",)]
    again = ingest.run(ingest.Config(str(lake.root), str(tmp_path / "m")))
    assert (again.run_id, again.note) == (None, "nothing new: 2 known and 1 forgotten")
