"""The DuckDB of a process: asked by many at once, by forked children, and empty again after each question."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from phonolake.store import catalog, instance, schema
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import write_rows


def attached() -> set[str]:
    with instance.connection() as (connection, _):
        rows = connection.execute("SELECT database_name FROM duckdb_databases() WHERE NOT internal").fetchall()
    return {name for (name,) in rows} - {"memory"}


@pytest.fixture(scope="module")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> list[Lake]:
    """Two lakes of one track each."""
    made = []
    for name in ("a", "b"):
        lake = Lake.create(tmp_path_factory.mktemp("lakes") / name)
        row = {"track_id": f"d:{name}", "dataset": "d", "source_id": name, "duration_seconds": 1.0}
        table = schema.table("tracks")
        shard = write_rows(lake.path("tracks", name), table.arrow, [row | {"config_hash": "c", "code_version": "1"}])
        lake.commit({"tracks": Change(table, [shard])})
        made.append(lake)
    return made


def track_ids(lake: Lake) -> list[tuple]:
    with catalog.connect(lake) as connection:
        return connection.execute("SELECT track_id FROM tracks").fetchall()


def test_questions_at_once_do_not_meet(lakes: list[Lake]) -> None:
    asked = lakes * 8
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(track_ids, asked))
    assert found == [[(f"d:{lake.root.name}",)] for lake in asked]
    assert attached() == set()


def test_a_question_within_a_question(lakes: list[Lake]) -> None:
    with catalog.connect(lakes[0]) as connection:
        assert track_ids(lakes[1]) == [("d:b",)]
        assert track_ids(lakes[0]) == connection.execute("SELECT track_id FROM tracks").fetchall() == [("d:a",)]


def test_a_block_that_fails_leaves_nothing_attached(lakes: list[Lake]) -> None:
    def fail() -> None:
        with catalog.connect(lakes[0]) as connection:
            connection.begin()
            connection.execute("CREATE TEMP TABLE mine AS SELECT 1 AS a")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert attached() == set()
    with catalog.connect(lakes[0]) as connection:
        tables = connection.execute("SELECT table_name FROM duckdb_tables() WHERE table_name = 'mine'").fetchall()
    assert tables == []


def _ask(root: Path, answers: multiprocessing.SimpleQueue) -> None:
    answers.put(track_ids(Lake.open(root)))


def test_a_forked_child_has_its_own(lakes: list[Lake]) -> None:
    assert track_ids(lakes[0]) == [("d:a",)]
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=_ask, args=(lakes[1].root, answers))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert answers.get() == [("d:b",)]
    assert track_ids(lakes[0]) == [("d:a",)]
