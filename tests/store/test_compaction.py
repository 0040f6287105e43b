"""Small shards become larger ones: the rows stay, readers go on, and what others did meanwhile counts."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.object_store import using

from phonolake.lineage import digest
from phonolake.stages import forget
from phonolake.store import compaction, delta, history, query, schema
from phonolake.store.compaction import compact
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import write_rows
from phonolake.store.verify import mend, verify

STAMP = {"config_hash": "c", "code_version": "0"}


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few shards are many, and few rows fill one."""
    monkeypatch.setattr(compaction, "MOST", 3)
    monkeypatch.setattr(compaction, "FULL_ROWS", 10)


def track(number: int, dataset: str = "d") -> dict[str, Any]:
    name = f"{number:03d}"
    return {"track_id": f"{dataset}:{name}", "dataset": dataset, "source_id": name, "duration_seconds": 0.0} | STAMP


def add(lake: Lake, *shards: list[int], dataset: str = "d", stem: str = "") -> str:
    """Publish shards of some tracks each as an ingest does, with a label for each track; gives the name of the last."""
    labels_, tracks = schema.table("labels"), schema.table("tracks")
    changes = {"tracks": Change(tracks), "labels": Change(labels_)}
    for numbers in shards:
        name = stem or f"{dataset}-00000-{digest([dataset, numbers, len(changes['tracks'].add)])}"
        rows = [track(number, dataset) for number in numbers]
        labels = [{"track_id": row["track_id"], "label": "rock", "value": 1, "source": "dataset"} for row in rows]
        for table, content in ((tracks, rows), (labels_, labels)):
            changes[table.name].add.append(write_rows(lake.path(table.name, name), table.arrow, content))
    lake.commit(changes)
    return name


def rows_of(lake: Lake, table: str = "tracks") -> list[dict[str, Any]]:
    with query.connect(lake) as connection:
        return connection.sql(f"SELECT * FROM {table} ORDER BY ALL").to_arrow_table().to_pylist()


def filled(path: Path, n: int = 6) -> Lake:
    """A lake with so many shards of a track each."""
    lake = Lake.create(path)
    add(lake, *([number] for number in range(n)))
    return lake


@pytest.mark.long
@given(
    st.lists(st.tuples(st.sampled_from(["d", "e-e"]), st.integers(0, 12)), max_size=9),
    st.one_of(st.none(), st.integers(2, 5)),
)
@settings(max_examples=4, deadline=None)
def test_rows_stay_and_no_more_than_some_small_shards_are_left(sizes: list[tuple[str, int]], at_once: int) -> None:
    with TemporaryDirectory() as folder:
        lake, number = Lake.create(Path(folder) / "lake"), 0
        for dataset in ("d", "e-e"):
            of_it = [size for name, size in sizes if name == dataset]
            starts = np.cumsum([number, *of_it]).tolist()
            add(lake, [], *(list(range(*span)) for span in pairwise(starts)), dataset=dataset)
            number = starts[-1]
        kept = add(lake, [900], stem="labels--x--1")
        before = {table: rows_of(lake, table) for table in ("tracks", "labels")}
        while (versions := compact(lake.pinned(), at_once=at_once)) != lake.versions() or any(
            list(compaction._groups(lake, table, at_once)) for table in before
        ):
            assert versions == lake.versions()
        assert {table: rows_of(lake, table) for table in before} == before
        for table in before:
            shards = lake.shards(table)
            assert kept + ".parquet" in shards
            assert all(shard.rows <= 12 for shard in shards.values())
            for dataset in ("d", "e-e"):
                small = [s for s in shards.values() if s.file.startswith(dataset) and 2 * s.rows <= 10]
                # Those that were too many have become few; one more is what did not fill a shard.
                assert len(small) <= compaction.MOST
        assert verify(lake) == []


def test_few_small_shards_stay_as_they_are(tmp_path: Path) -> None:
    lake = filled(tmp_path / "lake", 3)
    before = lake.versions()
    assert compact(lake.pinned()) == before == lake.versions()


def test_readers_that_are_open_go_on(tmp_path: Path) -> None:
    lake = filled(tmp_path / "lake")
    pinned = lake.pinned()
    with query.connect(lake) as connection:
        assert compact(lake.pinned()) != pinned.versions()
        assert len(lake.shards("tracks")) == 1
        assert len(connection.sql("SELECT * FROM tracks").fetchall()) == 6
    assert len(rows_of(pinned)) == 6


def forgotten(lake: Lake) -> None:
    forget.run(forget.Config(str(lake.place), ("d:002",)))


def added(lake: Lake) -> None:
    add(lake, [50])


def compacted(lake: Lake) -> None:
    compact(lake.pinned())


@pytest.mark.parametrize("meanwhile", [forgotten, added, compacted])
def test_what_others_did_meanwhile_counts(tmp_path: Path, meanwhile: Callable[[Lake], None]) -> None:
    lake = filled(tmp_path / "lake")
    seen = lake.pinned()
    meanwhile(lake)
    before, published = rows_of(lake), lake.versions()
    assert compact(seen) in (seen.versions(), published)
    assert rows_of(lake) == before
    assert lake.versions() == published
    assert not any(finding.problem.startswith("a shard of no") for finding in verify(lake))


def test_a_forgotten_track_stays_forgotten(tmp_path: Path) -> None:
    lake = filled(tmp_path / "lake")
    forgotten(lake)
    compact(lake.pinned())
    assert [row["source_id"] for row in rows_of(lake)] == ["000", "001", "003", "004", "005"]
    # What was put together is taken apart like any other shard.
    forget.run(forget.Config(str(lake.place), ("d:004",)))
    assert [row["source_id"] for row in rows_of(lake)] == ["000", "001", "003", "005"]
    assert forget.verify(lake, ("d:002", "d:004")) == []


def test_what_is_rotten_is_not_written_anew(tmp_path: Path) -> None:
    lake = filled(tmp_path / "lake")
    stem = add(lake, [70])
    path = lake.path("tracks", stem)
    data = bytearray(path.read_bytes())
    at = data.index(b"d:070")
    data[at + 4] ^= 1
    path.write_bytes(bytes(data))
    before = lake.versions()
    assert compact(lake.pinned()) == before == lake.versions()
    assert [finding.where for finding in verify(lake)] == [path.name]


def test_doubled_tracks_are_left_to_be_mended(tmp_path: Path) -> None:
    lake = filled(tmp_path / "lake")
    add(lake, [0], stem="d-00001-0123456789ab")
    before = lake.versions()
    assert compact(lake.pinned()) == before == lake.versions()


def test_mending_puts_together_and_shortens_the_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delta, "INTERVAL", 2)
    lake = filled(tmp_path / "lake", 21)
    add(lake, [22])
    before = rows_of(lake)
    mend(lake)
    assert len(lake.shards("tracks")) == 3
    assert len(list(lake.folder("tracks").glob("*.parquet"))) == 3
    entries = [path.stem for path in (lake.folder("tracks") / history.LOG).glob("0*.json")]
    assert [int(entry) for entry in entries] == [lake.versions()["tracks"]] == [3]
    assert DeltaTable(lake.folder("tracks")).version() == lake.versions()["tracks"]
    assert rows_of(Lake.open(lake.root)) == before
    add(lake, [99])
    assert len(rows_of(Lake.open(lake.root))) == 23
    assert verify(lake) == []


@pytest.mark.long
def test_it_does_the_same_on_object_storage(objects_server: str, tmp_path: Path) -> None:
    with using(objects_server, tmp_path / "cache") as url:
        lake = Lake.create(url)
        add(lake, *([number] for number in range(5)))
        before = rows_of(lake)
        compact(lake.pinned())
        assert len(lake.shards("tracks")) == len(lake.shards("labels")) == 1
        assert rows_of(Lake.open(url)) == before
        assert len(mend(lake)) == 10
        assert rows_of(Lake.open(url)) == before
        assert verify(lake) == []
