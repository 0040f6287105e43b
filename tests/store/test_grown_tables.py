"""A table that has gained a column: lakes from before stay readable, and take new rows."""

from dataclasses import replace
from pathlib import Path

import pytest

from phonolake.store import query, schema
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import write_rows
from phonolake.store.verify import verify

ROW = {
    "run_id": "old",
    "part": "test",
    "metric": "accuracy",
    "label": None,
    "epoch": None,
    "value": 0.5,
    "chance": 0.1,
    "n": 9,
}


@pytest.fixture
def old(tmp_path: Path) -> Lake:
    """A lake as an earlier version wrote it: no column of `metrics` that was added since."""
    lake = Lake.create(tmp_path / "lake")
    table = schema.table("metrics")
    before = replace(table, columns=tuple(c for c in table.columns if c.name != "clips"))
    lake.commit({"metrics": Change(before, [write_rows(lake.path("metrics", "old"), before.arrow, [ROW])])})
    return lake


def figures(lake: Lake) -> list[tuple]:
    with query.connect(lake) as connection:
        return connection.execute("SELECT run_id, value, clips FROM metrics ORDER BY run_id").fetchall()


def test_an_old_lake_is_read(old: Lake) -> None:
    assert figures(old) == [("old", 0.5, None)]
    assert verify(old) == []


@pytest.mark.parametrize("name", ["new", "a-new-one-that-comes-first"])
def test_an_old_lake_takes_new_rows(old: Lake, name: str) -> None:
    table = schema.table("metrics")
    row = ROW | {"run_id": name, "clips": "abc"}
    old.commit({"metrics": Change(table, [write_rows(old.path("metrics", name), table.arrow, [row])])})
    assert sorted(figures(old)) == sorted([("old", 0.5, None), (name, 0.5, "abc")])
    assert verify(old) == []
