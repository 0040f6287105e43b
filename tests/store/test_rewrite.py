"""Taking rows out: the others stay as they are, down to the bytes of their audio."""

import hashlib
from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonolake.store import catalog, query, schema
from phonolake.store.lake import Change, Lake
from phonolake.store.rewrite import without
from phonolake.store.shards import describe, write_rows, writing

AUDIO = schema.table("audio")
ARROW = AUDIO.arrow
# Several row groups in a shard, of several rows each.
SIZE, GROUP = 1000, 3000


def data(track_id: str) -> bytes:
    return np.random.default_rng(list(track_id.encode())).bytes(SIZE)


def row(track_id: str) -> dict[str, Any]:
    facts = {"container": "MP3", "codec": "MP3", "sr": 8000, "channels": 1, "n_samples": 1, "peak_dbfs": -1.5}
    source = {"sha256": hashlib.sha256(data(track_id)).hexdigest(), "source_path": "p", "source_bytes": SIZE}
    return {"track_id": track_id, "bytes": data(track_id), "rms_dbfs": -9.25, "source_mtime": 7} | facts | source


def fill(lake: Lake, content: dict[str, Collection[str]]) -> None:
    """Commit shards of these tracks."""
    for stem, track_ids in content.items():
        with writing(lake.path("audio", stem), ARROW, group_bytes=GROUP) as append:
            for track_id in track_ids:
                append(row(track_id))
    lake.commit({"audio": Change(AUDIO, [describe(lake.path("audio", stem)) for stem in content])})


def stored(lake: Lake) -> list[dict[str, Any]]:
    """Every row that a reader sees, in order of the track ids."""
    with query.connect(lake) as connection:
        return connection.sql("SELECT * FROM audio ORDER BY track_id").to_arrow_table().to_pylist()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake.create(tmp_path / "lake")
    fill(made, {"a": [f"a{n}" for n in range(8)], "b": ["b0", "b1"], "c": ["c0"], "none": []})
    return made


def test_rows_are_taken_out_and_the_others_are_as_they_were(lake: Lake) -> None:
    before = stored(lake)
    change = without(lake, AUDIO, {"a0", "a3", "a7"})
    assert stored(lake) == before, "nothing changes before the commit"
    lake.commit({"audio": change})
    assert stored(lake) == [r for r in before if r["track_id"] not in {"a0", "a3", "a7"}]
    for r in stored(lake):
        assert r["bytes"] == data(r["track_id"])
        assert hashlib.sha256(r["bytes"]).hexdigest() == r["sha256"]


def test_shards_without_these_rows_are_not_touched(lake: Lake) -> None:
    times = {file: (lake.folder("audio") / file).stat().st_mtime_ns for file in lake.shards("audio")}
    change = without(lake, AUDIO, {"a1"})
    assert change.remove == ["a.parquet"]
    assert [shard.rows for shard in change.add] == [7]
    lake.commit({"audio": change})
    for file in ("b.parquet", "c.parquet", "none.parquet"):
        assert (lake.folder("audio") / file).stat().st_mtime_ns == times[file]
        assert file in lake.shards("audio")
    # The old file stays for those who read the version before.
    assert lake.path("audio", "a").is_file()
    assert "a.parquet" not in lake.shards("audio")


def test_a_shard_that_would_be_empty_is_only_removed(lake: Lake) -> None:
    change = without(lake, AUDIO, {"b0", "b1", "c0"})
    assert (change.remove, change.add) == (["b.parquet", "c.parquet"], [])
    lake.commit({"audio": change})
    assert {r["track_id"][0] for r in stored(lake)} == {"a"}


@pytest.mark.parametrize("track_ids", [set(), {"never"}])
def test_nothing_to_take_out_changes_nothing(lake: Lake, track_ids: set[str]) -> None:
    files = sorted(lake.folder("audio").iterdir())
    change = without(lake, AUDIO, track_ids)
    assert (change.add, change.remove) == ([], [])
    assert sorted(lake.folder("audio").iterdir()) == files


def test_a_table_that_was_never_written_has_nothing_to_take_out(lake: Lake) -> None:
    change = without(lake, schema.table("labels"), {"a0"})
    assert (change.add, change.remove) == ([], [])


def test_the_same_request_writes_the_same_file(lake: Lake) -> None:
    """A run that was killed after it is made again and leaves no second file."""
    first = without(lake, AUDIO, ["a2", "a1"])
    content = (lake.folder("audio") / first.add[0].file).read_bytes()
    files = sorted(lake.folder("audio").iterdir())
    assert without(lake, AUDIO, ["a1", "a2"]) == first
    assert sorted(lake.folder("audio").iterdir()) == files
    assert (lake.folder("audio") / first.add[0].file).read_bytes() == content


def test_other_requests_write_other_files(lake: Lake) -> None:
    names = [without(lake, AUDIO, ids).add[0].file for ids in (["a1"], ["a2"], ["a1", "a2"])]
    assert len(set(names)) == 3


def test_rows_can_be_taken_out_again_and_again(lake: Lake) -> None:
    for n in range(3):
        lake.commit({"audio": without(lake, AUDIO, {f"a{n}"})})
        assert [r["track_id"] for r in stored(lake)] == [f"a{m}" for m in range(n + 1, 8)] + ["b0", "b1", "c0"]
    # Names grow with every round only up to a bound.
    assert max(len(path.name) for path in lake.folder("audio").iterdir()) < 120


def test_new_rows_take_the_place_in_the_same_commit(lake: Lake) -> None:
    change = without(lake, AUDIO, {"c0"})
    change.add.append(write_rows(lake.path("audio", "new"), ARROW, [row("c0") | {"sr": 16_000}]))
    lake.commit({"audio": change})
    assert [r["sr"] for r in stored(lake) if r["track_id"] == "c0"] == [16_000]


def test_an_error_while_writing_leaves_no_file(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    files = sorted(lake.folder("audio").iterdir())

    def refuse(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("phonolake.store.shards.ShardWriter.append", refuse)
    with pytest.raises(OSError, match="No space left"):
        without(lake, AUDIO, {"a1"})
    assert sorted(lake.folder("audio").iterdir()) == files


names = st.sampled_from([f"t{n}" for n in range(6)] + ["it's", 'a"b', "%", "ü"])


@settings(max_examples=10)
@given(st.lists(st.sets(names, max_size=5), max_size=3), st.sets(names, max_size=6))
def test_a_lake_without_some_tracks_has_exactly_the_others(shards: list[set[str]], gone: set[str]) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        # The shards themselves are read, so that no views are needed.
        patch.setattr(catalog, "build", lambda _: None)
        lake = Lake.create(Path(folder) / "lake")
        fill(lake, {f"s{n}": sorted(ids) for n, ids in enumerate(shards)})
        lake.commit({"audio": without(lake, AUDIO, gone)})
        tables = [pq.read_table(lake.folder("audio") / file) for file in lake.shards("audio")]
    found = sorted((r["track_id"], r["bytes"]) for table in tables for r in table.to_pylist())
    assert found == sorted((t, data(t)) for ids in shards for t in ids - gone)
