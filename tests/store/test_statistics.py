"""What a table's log knows of its shards: a question for one track opens few of them, and counting opens none."""

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from phonolake.store import catalog, outcomes, schema, views
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import COUNTED, HIGHEST, bounds, describe, write_rows

AWKWARD = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=6)


def track(track_id: str) -> dict:
    own = {"track_id": track_id, "dataset": "d", "source_id": track_id, "config_hash": "", "code_version": ""}
    return own | {"duration_seconds": 1.0}


def publish(lake: Lake, shards: list[list[str]]) -> None:
    table = schema.table("tracks")
    added = [
        write_rows(lake.path("tracks", f"{n:03d}"), table.arrow, [track(i) for i in ids])
        for n, ids in enumerate(shards)
    ]
    lake.commit({"tracks": Change(table, added)})


@settings(max_examples=5)
@given(st.lists(st.lists(AWKWARD, max_size=4), min_size=1, max_size=12))
def test_every_track_is_found_whatever_shards_hold_it(
    tmp_path_factory: pytest.TempPathFactory, shards: list[list[str]]
) -> None:
    lake = Lake.create(tmp_path_factory.mktemp("lake") / "l")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(views, "LEAST_IN_PART", 2)
        publish(lake, shards)
    every = [track_id for ids in shards for track_id in ids]
    with catalog.connect(lake) as connection:
        found = connection.execute("SELECT track_id FROM tracks").fetchall()
        assert sorted(i for (i,) in found) == sorted(every)
        for track_id in [*dict.fromkeys(every), "nobody"]:
            rows = connection.execute("SELECT track_id FROM tracks WHERE track_id = $1", [track_id]).fetchall()
            assert rows == [(track_id,)] * every.count(track_id)


# A dataset alone is no track, and has no name to halve.
@given(st.lists(AWKWARD.filter(lambda track_id: track_id.find(":") != len(track_id) - 1), min_size=1))
def test_bounds_hold_all_ids_and_name_none(ids: list[str]) -> None:
    low, high = bounds(min(ids), max(ids))
    assert all(low <= track_id <= high for track_id in ids)
    assert not {low, high} & set(ids) - {HIGHEST * len(high)}


def test_a_question_for_one_track_opens_the_shards_of_one_part(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake")
    publish(lake, [[f"d:{n:03d}-{k}" for k in range(3)] for n in range(100)])
    with catalog.connect(lake) as connection:
        sql = "EXPLAIN ANALYZE SELECT * FROM tracks WHERE track_id = 'd:050-1'"
        ((_, told),) = connection.execute(sql).fetchall()
        assert told.upper().count("FUNCTION: READ_PARQUET") == 1
        # All but the first of the other parts, which tell its columns, may as well be broken.
        for n in (*range(1, 20), *range(80, 90)):
            lake.path("tracks", f"{n:03d}").write_bytes(b"no shard")
        rows = connection.execute("SELECT source_id FROM tracks WHERE track_id = 'd:050-1'").fetchall()
        assert rows == [("d:050-1",)]


def test_statistics_stand_in_the_log_as_delta_has_them(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake")
    publish(lake, [["d:b", "d:a'", "d:é"], []])
    log = DeltaTable(str(lake.folder("tracks")))
    facts = {row["path"]: row for row in pa.table(log.get_add_actions(flatten=True)).to_pylist()}
    first = facts["000.parquet"]
    assert (first["min.track_id"], first["max.track_id"], first["num_records"]) == ("d:a", f"d:{HIGHEST}", 3)
    assert (first["null_count.title"], first["null_count.year"]) == (3, 3)
    assert facts["001.parquet"]["min.track_id"] is None
    for file, shard in lake.shards("tracks").items():
        seen = describe(lake.folder("tracks") / file)
        assert (shard, shard.first, shard.last, shard.nulls) == (seen, seen.first, seen.last, seen.nulls)


def test_no_table_about_tracks_has_columns_that_are_not_counted() -> None:
    """What a shard lacks is seen in the log alone."""
    for table in schema.tables().values():
        if "track_id" in {column.name for column in table.columns}:
            assert len(table.columns) <= COUNTED, table.name


def test_tracks_are_counted_without_opening_a_shard_where_the_log_knows(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake")
    table = schema.table("spectrograms")
    row = {"spectrogram": "x", "n_bands": 1, "n_frames": 1, "data": b"ab", "source_shard": "s"}
    row |= {"config_hash": "", "code_version": "", "n_channels": 1}
    whole = [row | {"track_id": f"{n}"} for n in range(5)]
    segments = [row | {"track_id": "a", "start_seconds": float(n)} for n in range(7)]
    added = [
        write_rows(lake.path("spectrograms", name), table.arrow, listed)
        for name, listed in (("whole", whole), ("segments", segments))
    ]
    lake.commit({"spectrograms": Change(table, added)})
    lake.path("spectrograms", "whole").unlink()
    assert outcomes.count_tracks(lake, "spectrograms", ["whole.parquet", "segments.parquet"]) == 6
