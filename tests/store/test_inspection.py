"""A look at all bytes of a lake goes on where it was cut short, and can be dealt out."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from phonolake import execution
from phonolake.store import inspection, schema
from phonolake.store.inspection import NOTES, Batch, by_threads
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import write_rows
from phonolake.store.verify import verify

N = 8
# Looks at a shard each tenth of a second.
SLOWLY = """
import sys, time
from phonolake.store import inspection
from phonolake.store.lake import Lake
from phonolake.store.verify import verify
inspection.BATCH_SHARDS = 1
look = inspection.look
inspection.look = lambda batch: (time.sleep(0.1), look(batch))[1]
verify(Lake.open(sys.argv[1]), over=lambda function, batches: ((batch, function(batch)) for batch in batches))
"""


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A lake with a shard for each track."""
    monkeypatch.setattr(inspection, "BATCH_SHARDS", 1)
    made, table = Lake.create(tmp_path / "lake"), schema.table("tracks")
    stamp = {"dataset": "d", "duration_seconds": 0.0, "config_hash": "c", "code_version": "0"}
    rows = [{"track_id": f"d:{n}", "source_id": str(n)} | stamp for n in range(N)]
    made.commit(
        {"tracks": Change(table, [write_rows(made.path("tracks", f"s{n}"), table.arrow, [rows[n]]) for n in range(N)])}
    )
    return made


class Counting:
    """Looks at batches, so many of them, and remembers their shards."""

    def __init__(self, most: int = N) -> None:
        self.most = most
        self.seen: list[str] = []

    def __call__(self, function, batches: list[Batch]) -> Iterator[tuple[Batch, list[str | None]]]:
        for batch in batches:
            if len(self.seen) == self.most:
                raise KeyboardInterrupt
            self.seen += [check.shard.file for check in batch]
            yield batch, function(batch)


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.long
def test_one_that_is_killed_goes_on_where_it_was(lake: Lake) -> None:
    spoil(lake.path("tracks", "s0"))
    process = subprocess.Popen([sys.executable, "-c", SLOWLY, str(lake.root)])
    notes = lake.root / NOTES
    while not notes.exists() or notes.read_text().count("tracks/") < 3:
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    noted = notes.read_text().count("tracks/")
    assert 3 <= noted < N - 1
    rest = Counting()
    # What was not in order is looked at again.
    assert [finding.where for finding in verify(lake, over=rest)] == ["s0.parquet"]
    assert len(rest.seen) == N - noted
    assert not notes.exists()
    whole = Counting()
    assert len(verify(lake, over=whole)) == 1
    assert len(whole.seen) == N


def test_notes_count_for_a_day_and_for_the_shard_as_it_was(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        verify(lake, over=Counting(5))
    assert len(inspection.Notes(lake).known) == 5
    # A sample begins anew, and leaves the notes.
    assert verify(lake, sample=1.0, over=(sample := Counting())) == []
    assert len(sample.seen) == N
    name, table = "s0.parquet", schema.table("tracks")
    shard = lake.shards("tracks")[name]
    lake.commit({"tracks": Change(table, remove=[name])})
    time.sleep(0.002)  # the log counts milliseconds
    lake.commit({"tracks": Change(table, [shard])})
    assert verify(lake, over=(rest := Counting())) == []
    assert rest.seen == ["s0.parquet", "s5.parquet", "s6.parquet", "s7.parquet"]
    with pytest.raises(KeyboardInterrupt):
        verify(lake, over=Counting(5))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + inspection.SECONDS_THAT_COUNT + 2)
    assert verify(lake, over=(late := Counting())) == []
    assert len(late.seen) == N


def test_half_a_line_and_a_place_that_cannot_be_written_harm_nothing(lake: Lake) -> None:
    notes = lake.root / NOTES
    notes.parent.mkdir(exist_ok=True)
    notes.write_text(f"{int(time.time())} tracks/s0.parq")
    with pytest.raises(KeyboardInterrupt):
        verify(lake, over=Counting(1))
    assert verify(lake, over=(rest := Counting())) == []
    assert len(rest.seen) == N - 1
    notes.parent.rmdir()
    notes.parent.write_text("no folder")
    assert verify(lake, over=Counting()) == []


def test_processes_find_what_threads_find(lake: Lake) -> None:
    spoil(lake.path("tracks", "s3"))
    lake.path("tracks", "s5").unlink()

    def dealt(function, batches: list[Batch]):
        with execution.session():
            execution.use(0)
            yield from execution.imap(function, batches, seconds=0)

    found = {finding.where for finding in verify(lake, over=dealt)}
    assert found == {finding.where for finding in verify(lake, over=by_threads)} == {"s3.parquet", "s5.parquet"}
