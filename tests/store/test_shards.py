"""A shard is there as a whole or not at all, the same rows give the same bytes, and one track costs one row group."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from phonolake.errors import PhonolakeError
from phonolake.files import replacing
from phonolake.store import schema
from phonolake.store.shards import Shard, describe, write_rows, writing

TRACKS = schema.table("tracks").arrow
AUDIO = schema.table("audio").arrow
BLOB = 64 << 10


def track(number: int, **values: Any) -> dict[str, Any]:
    row = {"track_id": f"d:{number:04}", "dataset": "d", "source_id": str(number), "duration_seconds": 1.0}
    return row | {"config_hash": "c", "code_version": "0"} | values


def audio(number: int, data: bytes) -> dict[str, Any]:
    row = {"track_id": f"d:{number:04}", "bytes": data, "container": "MP3", "codec": "MP3", "sr": 44_100, "channels": 2}
    facts = {"n_samples": 1, "peak_dbfs": -1.0, "rms_dbfs": -9.0, "sha256": "0", "source_path": "p"}
    return row | facts | {"source_bytes": len(data), "source_mtime": 0}


def random_bytes(seed: int, n: int) -> bytes:
    return np.random.default_rng(seed).bytes(n)


# -- all or nothing ----------------------------------------------------------------------------------------------------


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    rows = [track(1, title="Ünï 'q'", year=1999), track(2)]
    shard = write_rows(tmp_path / "new" / "s.parquet", TRACKS, rows)
    path = tmp_path / "new" / "s.parquet"
    assert shard == describe(path) == Shard("s.parquet", 2, path.stat().st_size)
    missing = dict.fromkeys(TRACKS.names)
    assert pq.read_table(path).to_pylist() == [missing | row for row in rows]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_in_the_block_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def fill() -> None:
        with writing(tmp_path / "s.parquet", TRACKS, group_rows=1) as append:
            append(track(1))
            raise error("half-way")

    with pytest.raises(error, match="half-way"):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_the_block_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    write_rows(path, TRACKS, [track(1)])
    before = path.read_bytes()

    def fill() -> None:
        with writing(path, TRACKS) as append:
            append(track(2))
            raise ValueError("half-way")

    with pytest.raises(ValueError, match="half-way"):
        fill()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_appears_only_when_the_block_ends_and_no_glob_sees_it_before(tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    with replacing(path) as temporary:
        temporary.write_bytes(b"half")
        # DuckDB's and pathlib's globs match names that begin with a dot too.
        assert list(tmp_path.iterdir()) == [temporary]
        assert not list(tmp_path.glob("*.parquet"))
        assert temporary.suffix != ".parquet"
        assert temporary.name.startswith(".")
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"half"


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    with replacing(path) as first, replacing(path) as second:
        assert first != second
        first.write_bytes(b"1")
        second.write_bytes(b"2")
    assert path.read_bytes() == b"1"
    assert list(tmp_path.iterdir()) == [path]


# -- the same rows, the same bytes -------------------------------------------------------------------------------------


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    rows = [audio(n, random_bytes(n, BLOB)) for n in range(5)]
    for name in "ab":
        with writing(tmp_path / name / "s.parquet", AUDIO, group_bytes=2 * BLOB) as append:
            for row in rows:
                append(row)
    assert (tmp_path / "a" / "s.parquet").read_bytes() == (tmp_path / "b" / "s.parquet").read_bytes()


def test_other_rows_give_other_bytes(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.parquet", TRACKS, [track(1), track(2)])
    write_rows(tmp_path / "b.parquet", TRACKS, [track(2), track(1)])
    assert (tmp_path / "a.parquet").read_bytes() != (tmp_path / "b.parquet").read_bytes()


# -- row groups --------------------------------------------------------------------------------------------------------


def groups_that_may_hold(path: Path, track_id: str) -> list[int]:
    """Row groups that a reader cannot leave out by the smallest and largest track id in the footer."""
    metadata = pq.read_metadata(path)
    column = AUDIO.names.index("track_id")
    statistics = [metadata.row_group(g).column(column).statistics for g in range(metadata.num_row_groups)]
    return [g for g, s in enumerate(statistics) if s is None or s.min <= track_id <= s.max]


def test_one_track_is_read_without_the_audio_of_the_others(tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    rows = [audio(n, random_bytes(n, BLOB)) for n in range(24)]
    with writing(path, AUDIO, group_bytes=2 * BLOB) as append:
        for row in rows:
            append(row)
    file = pq.ParquetFile(path)
    assert file.num_row_groups == 12
    (group,) = groups_that_may_hold(path, "d:0013")
    found = file.read_row_group(group, columns=["track_id", "bytes"]).to_pylist()
    assert {row["track_id"]: row["bytes"] for row in found}["d:0013"] == rows[13]["bytes"]
    assert file.metadata.row_group(group).total_byte_size < path.stat().st_size / 8


def test_the_usual_group_holds_a_few_megabytes_of_audio(tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    write_rows(path, AUDIO, [audio(n, bytes([n]) * (1 << 20)) for n in range(10)])
    sizes = [pq.read_metadata(path).row_group(g).num_rows for g in range(pq.read_metadata(path).num_row_groups)]
    assert sizes == [4, 4, 2]


def test_audio_is_stored_as_it_is_and_without_its_bytes_in_the_footer(tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    write_rows(path, AUDIO, [audio(1, b"x" * BLOB)])
    column = pq.read_metadata(path).row_group(0).column(AUDIO.names.index("bytes"))
    assert column.compression == "UNCOMPRESSED"
    assert column.statistics is None
    assert pq.read_metadata(path).row_group(0).column(0).compression == "ZSTD"
    assert pq.read_metadata(path).serialized_size < BLOB / 4


def test_long_lists_end_a_group_too(tmp_path: Path) -> None:
    table = schema.table("embeddings").arrow
    row = {"model": "m", "run_id": "r", "embedding": [0.5] * 100, "source_shard": "s", "code_version": "0"}
    with writing(tmp_path / "s.parquet", table, group_bytes=4000) as append:
        for n in range(25):
            append(row | {"track_id": f"d:{n}"})
    metadata = pq.read_metadata(tmp_path / "s.parquet")
    assert [metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)] == [10, 10, 5]


def test_many_small_rows_end_a_group_too(tmp_path: Path) -> None:
    with writing(tmp_path / "s.parquet", TRACKS, group_rows=4) as append:
        for n in range(9):
            append(track(n))
    metadata = pq.read_metadata(tmp_path / "s.parquet")
    assert [metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)] == [4, 4, 1]


# -- edges -------------------------------------------------------------------------------------------------------------


def test_a_shard_without_rows_is_a_shard(tmp_path: Path) -> None:
    shard = write_rows(tmp_path / "s.parquet", TRACKS, [])
    assert (shard.file, shard.rows) == ("s.parquet", 0)
    table = pq.read_table(tmp_path / "s.parquet")
    assert table.num_rows == 0
    assert schema.shape(table.schema) == schema.shape(TRACKS)


def test_comments_and_not_null_travel_with_the_file(tmp_path: Path) -> None:
    write_rows(tmp_path / "s.parquet", TRACKS, [track(1)])
    stored = pq.read_schema(tmp_path / "s.parquet")
    assert stored.field("duration_seconds").metadata[b"comment"].startswith(b"Decoded duration in seconds")
    assert [f.name for f in stored if not f.nullable] == [f.name for f in TRACKS if not f.nullable]


@pytest.mark.parametrize("hole", ["track_id", "duration_seconds"])
@pytest.mark.parametrize("gone", [True, False])
def test_null_where_none_may_be_is_refused_and_leaves_nothing(tmp_path: Path, hole: str, gone: bool) -> None:
    row = track(2) | {hole: None}
    if gone:
        del row[hole]
    with pytest.raises(pa.ArrowInvalid, match=hole):
        write_rows(tmp_path / "s.parquet", TRACKS, [track(1), row])
    assert list(tmp_path.iterdir()) == []


def test_a_value_of_another_type_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises((pa.ArrowInvalid, pa.ArrowTypeError)):
        write_rows(tmp_path / "s.parquet", TRACKS, [track(1, year="nineteen")])
    assert list(tmp_path.iterdir()) == []


def test_checksums_tell_of_a_flipped_byte_in_the_audio(tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    data = random_bytes(0, BLOB)
    write_rows(path, AUDIO, [audio(1, data)])
    rotten = bytearray(path.read_bytes())
    rotten[rotten.index(data) + BLOB // 2] ^= 0x01
    path.write_bytes(rotten)
    # Without looking at the checksum the wrong audio is handed out, so it is the checksum that tells.
    assert pq.ParquetFile(path).read()["bytes"][0].as_py() != data
    with pytest.raises(OSError, match=r"(?i)crc|checksum"):
        pq.ParquetFile(path, page_checksum_verification=True).read()


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet at all, but long enough to be looked at"])
def test_a_file_that_is_no_shard_is_named_with_the_way_out(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "s.parquet"
    path.write_bytes(content)
    with pytest.raises(PhonolakeError, match=r"s\.parquet is not a readable shard .*verify --mend"):
        describe(path)


def test_a_missing_shard_is_named_too(tmp_path: Path) -> None:
    with pytest.raises(PhonolakeError, match=r"gone\.parquet is not a readable shard"):
        describe(tmp_path / "gone.parquet")
