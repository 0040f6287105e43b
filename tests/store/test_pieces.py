"""A large recording in pieces is the recording: its bytes, and one track. Older shards know nothing of pieces."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonolake.errors import AudioError, UsageError
from phonolake.store import pieces, query, schema, tracks
from phonolake.store.lake import Change, Lake
from phonolake.store.pieces import Pieces
from phonolake.store.rewrite import without
from phonolake.store.shards import describe, write_rows, writing
from phonolake.store.verify import verify

AUDIO = schema.table("audio")
SIZES = {"d:a": 10, "d:b": 3000, "d:c": 1000, "d:d": 1001, "d:e": 1}


def content(track_id: str) -> bytes:
    return np.random.default_rng(list(track_id.encode())).bytes(SIZES[track_id])


def rows(track_id: str) -> list[dict[str, Any]]:
    data = content(track_id)
    facts = {"container": "WAV", "codec": "PCM_16", "sr": 8000, "channels": 1, "n_samples": 4 * len(data)}
    levels = {"peak_dbfs": -1.0, "rms_dbfs": -9.0, "sha256": "0", "source_path": "p", "source_mtime": 0}
    row = {"track_id": track_id, "source_bytes": len(data)} | facts | levels
    return [row | {"bytes": data[part], "piece": number} for number, part in pieces.cut(len(data))]


def track(track_id: str) -> dict[str, Any]:
    row = {"track_id": track_id, "dataset": "d", "source_id": track_id[2:], "duration_seconds": 1.0}
    return row | {"config_hash": "c", "code_version": "0"}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE", 1000)


@pytest.fixture
def lake(tmp_path: Path, small: None) -> Lake:
    """All tracks in one shard, with row groups that hold several small rows, or the end of a track and the next one."""
    made = Lake.create(tmp_path / "lake")
    path = made.path("audio", "s")
    with writing(path, AUDIO.arrow, group_bytes=900) as append:
        for track_id in SIZES:
            for row in rows(track_id):
                append(row)
    shards = [write_rows(made.path("tracks", "s"), schema.table("tracks").arrow, [track(t) for t in SIZES])]
    change = Change(AUDIO, [describe(path)])
    made.commit({"audio": change, "tracks": Change(schema.table("tracks"), shards)})
    return made


def test_small_files_are_one_row_and_large_ones_are_cut(small: None) -> None:
    assert [row["piece"] for t in SIZES for row in rows(t)] == [None, 0, 1, 2, None, 0, 1, None]
    assert [len(row["bytes"]) for row in rows("d:d")] == [1000, 1]
    for track_id in SIZES:
        assert b"".join(row["bytes"] for row in rows(track_id)) == content(track_id)


def test_a_shard_gives_every_track_once_with_all_its_bytes(lake: Lake) -> None:
    path = lake.path("audio", "s")
    assert pq.ParquetFile(path).num_row_groups > 3
    found = [(track_id, data, seconds) for track_id, data, seconds in pieces.stored(path)]
    assert [track_id for track_id, *_ in found] == list(SIZES)
    for track_id, data, seconds in found:
        assert isinstance(data, bytes) == (SIZES[track_id] <= 1000)
        assert len(data) == SIZES[track_id]
        assert data[:] == data[0 : len(data)] == content(track_id)
        assert seconds == 4 * SIZES[track_id] / 8000


@pytest.mark.usefixtures("small")
@settings(max_examples=60)
@given(st.integers(-4000, 4000), st.integers(-4000, 4000))
def test_slices_are_those_of_bytes(tmp_path_factory: pytest.TempPathFactory, start: int, stop: int) -> None:
    path = tmp_path_factory.getbasetemp() / "slices.parquet"
    if not path.exists():
        write_rows(path, AUDIO.arrow, [row for t in SIZES for row in rows(t)])
    found = Pieces(path, "d:b")
    assert found[start:stop] == content("d:b")[start:stop]


def test_sql_and_python_give_the_whole_file(lake: Lake) -> None:
    with query.connect(lake) as connection:
        for track_id in SIZES:
            assert tracks.read_audio(connection, track_id).data == content(track_id)
        once = connection.execute("SELECT track_id FROM audio WHERE coalesce(piece, 0) = 0 ORDER BY ALL").fetchall()
        assert once == [(track_id,) for track_id in SIZES]
        assert len(tracks.read_audio(connection, "d:c", most_bytes=1000).data) == 1000
        with pytest.raises(AudioError, match="too-large"):
            tracks.read_audio(connection, "d:d", most_bytes=1000)
        with pytest.raises(UsageError, match="no track 'd:x'"):
            tracks.read_audio(connection, "d:x")


def test_verify_misses_a_piece(lake: Lake) -> None:
    assert verify(lake) == []
    for number, gone in ((0, {0}), (1, {1})):
        name = f"torn-{number}"
        torn = [row for t in SIZES for row in rows(t) if t != "d:b" or row["piece"] not in gone]
        shard = write_rows(lake.path("audio", name), AUDIO.arrow, torn)
        lake.commit({"audio": Change(AUDIO, [shard], [f for f in lake.shards("audio") if f != shard.file])})
        assert [(f.where, f.problem) for f in verify(lake) if f.table == "tracks"] == [
            ("d:b", "1 tracks with a piece of their audio missing")
        ]


def test_rows_taken_out_take_all_pieces_and_leave_the_others_whole(lake: Lake) -> None:
    lake.commit({"audio": without(lake, AUDIO, ["d:b", "d:e"])})
    (file,) = lake.shards("audio")
    left = {track_id: data[:] for track_id, data, _ in pieces.stored(lake.folder("audio") / file)}
    assert left == {track_id: content(track_id) for track_id in ("d:a", "d:c", "d:d")}


def test_a_lake_from_before_is_read_and_takes_new_rows(tmp_path: Path, small: None) -> None:
    lake = Lake.create(tmp_path / "lake")
    before = replace(AUDIO, columns=tuple(c for c in AUDIO.columns if c.name != pieces.NUMBER))
    old = [{k: v for k, v in row.items() if k != pieces.NUMBER} for t in ("d:a", "d:c") for row in rows(t)]
    tables = {
        "audio": Change(before, [write_rows(lake.path("audio", "old"), before.arrow, old)]),
        "tracks": Change(
            schema.table("tracks"),
            [write_rows(lake.path("tracks", "s"), schema.table("tracks").arrow, [track(t) for t in SIZES])],
        ),
    }
    lake.commit(tables)
    assert {t: data for t, data, _ in pieces.stored(lake.path("audio", "old"))} == {
        t: content(t) for t in ("d:a", "d:c")
    }
    new = [row for t in ("d:b", "d:d", "d:e") for row in rows(t)]
    lake.commit({"audio": Change(AUDIO, [write_rows(lake.path("audio", "new"), AUDIO.arrow, new)])})
    assert verify(lake) == []
    with query.connect(lake) as connection:
        for track_id in SIZES:
            assert tracks.read_audio(connection, track_id).data == content(track_id)
