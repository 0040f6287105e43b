"""Every flipped byte of a shard is found, wherever it lies; older lakes have no checksums and still verify."""

from pathlib import Path

import pytest

from phonolake.lineage import CODE_VERSION
from phonolake.store import checksums, schema
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import write_rows
from phonolake.store.verify import verify


def commit(lake: Lake, stem: str) -> Path:
    table = schema.table("labels")
    rows = [{"track_id": f"toy:{stem}{n}", "label": "rock", "value": 1, "source": "dataset"} for n in range(3)]
    lake.commit({"labels": Change(table, [write_rows(lake.path("labels", stem), table.arrow, rows)])})
    return lake.path("labels", stem)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake.create(tmp_path / "lake")
    table = schema.table("tracks")
    stamp = {"dataset": "toy", "duration_seconds": 1.0, "config_hash": "c", "code_version": CODE_VERSION}
    rows = [{"track_id": f"toy:{s}{n}", "source_id": f"{s}{n}"} | stamp for s in "ab" for n in range(3)]
    lake.commit({"tracks": Change(table, [write_rows(lake.path("tracks", "t"), table.arrow, rows)])})
    return lake


def changed(lake: Lake) -> list[tuple[str, str]]:
    return [(f.where, f.problem) for f in verify(lake) if f.table == "labels"]


def test_a_flipped_bit_is_found_in_every_byte(lake: Lake) -> None:
    path = commit(lake, "a")
    before = path.read_bytes()
    missed = []
    for n in range(len(before)):
        path.write_bytes(before[:n] + bytes([before[n] ^ 1]) + before[n + 1 :])
        if checksums.recorded(path.parent)[path.name] == checksums.sha256(path):
            missed.append(n)
    assert missed == []


def test_verify_names_a_shard_that_parquet_takes_for_whole(lake: Lake) -> None:
    path = commit(lake, "a")
    before = path.read_bytes()
    # The text in the footer that names the writer has no checksum of its own.
    path.write_bytes(before.replace(b"parquet-cpp-arrow", b"parquet-cpp-arrov"))
    assert changed(lake) == [("a.parquet", "its bytes changed since it was written")]
    path.write_bytes(before)
    assert changed(lake) == []


def test_what_the_worker_noted_is_not_read_again_unless_somebody_wrote_the_shard_again(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checksums, "LARGE", 1)
    table = schema.table("labels")
    row = {"track_id": "toy:a0", "label": "rock", "value": 1, "source": "dataset"}
    found = [write_rows(lake.path("labels", stem), table.arrow, [row | {"label": stem}]) for stem in "xyz"]
    for shard in found:
        lake.send("labels", shard.file)
    notes = lake.folder("labels") / checksums.FOLDER
    (notes / "z.parquet.txt").write_bytes((notes / "z.parquet.txt").read_bytes()[:70])
    path = lake.path("labels", "y")
    path.write_bytes(path.read_bytes())
    read: list[str] = []
    original = checksums.sha256
    monkeypatch.setattr(checksums, "sha256", lambda path: (read.append(path.name), original(path))[1])
    lake.commit({"labels": Change(table, found)})
    assert sorted(read) == ["y.parquet", "z.parquet"]
    assert list(notes.iterdir()) == []
    assert changed(lake) == []


def test_a_shard_without_a_checksum_is_held_against_parquets_own(lake: Lake) -> None:
    path = commit(lake, "a")
    (path.parent / checksums.NAME).unlink()
    assert changed(lake) == []
    later = commit(lake, "b")
    assert list(checksums.recorded(path.parent)) == [later.name]
    assert changed(lake) == []


def test_a_line_that_a_kill_left_half_written_harms_no_other(lake: Lake) -> None:
    path = commit(lake, "a")
    with open(path.parent / checksums.NAME, "a", encoding="utf-8") as lines:
        lines.write("0123456789abcdef")
    commit(lake, "b")
    assert list(checksums.recorded(path.parent)) == ["a.parquet", "b.parquet"]
    assert changed(lake) == []


def test_the_same_commit_again_adds_no_line(lake: Lake) -> None:
    path = commit(lake, "a")
    before = (path.parent / checksums.NAME).read_bytes()
    commit(lake, "a")
    assert (path.parent / checksums.NAME).read_bytes() == before
