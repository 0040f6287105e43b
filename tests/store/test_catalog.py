"""The catalog: every table as a view that says what it holds, for any DuckDB client, from anywhere, at any time."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from phonolake.store import catalog, schema, views
from phonolake.store.catalog import FILE
from phonolake.store.lake import Change, Lake
from phonolake.store.schema import Column
from phonolake.store.shards import write_rows

TRACKS = schema.table("tracks")
ARROW = TRACKS.arrow
# What another program does with the catalog: it knows DuckDB and nothing of Phonolake.
CLIENT = """
import sys
sys.modules["phonolake"] = None
import duckdb
path, mode = sys.argv[1:]
connection = duckdb.connect(path, read_only=mode == "read")
for line in sys.stdin:
    print(connection.execute(line).fetchall(), flush=True)
"""


def commit(lake: Lake, stem: str) -> None:
    row = {"track_id": f"d:{stem}", "dataset": "d", "source_id": stem, "duration_seconds": 1.0}
    row |= {"config_hash": "c", "code_version": "0"}
    lake.commit({"tracks": Change(TRACKS, [write_rows(lake.path("tracks", stem), ARROW, [row])])})


def features(lake: Lake, name: str, *columns: Column, stem: str = "a") -> None:
    table = schema.table("features").extended(f"features_{name}", "A set", columns)
    row = {"track_id": "d:a", "feature_set": name, "source_shard": "s", "config_hash": "c", "code_version": "0"}
    row |= {column.name: 0.5 for column in columns}
    lake.commit({table.name: Change(table, [write_rows(lake.path(table.name, stem), table.arrow, [row])])})


def track_ids(connection: duckdb.DuckDBPyConnection) -> list[str]:
    return [t for (t,) in connection.execute("SELECT track_id FROM tracks ORDER BY ALL").fetchall()]


def uses_the_file(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether the views come from a copy of catalog.duckdb, and not from a file made for this connection."""
    rows = connection.execute("SELECT path FROM duckdb_databases() WHERE database_name = current_database()").fetchall()
    ((path,),) = rows
    return Path(path).name == catalog.COPY


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake.create(tmp_path / "lake")
    commit(made, "a")
    return made


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Callable[..., Callable[[str], str]]]:
    """Start another program on a catalog; what it returns sends one query and gives the answer as text."""
    started: list[subprocess.Popen[str]] = []

    def start(lake: Lake, mode: str = "read") -> Callable[[str], str]:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir(exist_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, lake.root / FILE, mode],
            **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": elsewhere},
        )
        started.append(process)

        def ask(sql: str) -> str:
            print(sql, file=process.stdin, flush=True)
            return process.stdout.readline().strip()

        assert ask("SELECT 1") == "[(1,)]"
        return ask

    yield start
    for process in started:
        process.communicate()


# -- views -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("filled", [False, True])
def test_every_table_is_a_view_with_the_declared_types(tmp_path: Path, filled: bool) -> None:
    lake = Lake.create(tmp_path / "lake")
    if filled:
        commit(lake, "a")
    declared = duckdb.connect()
    for name in schema.tables():
        declared.execute((schema.sql_folder() / f"{name}.sql").read_text(encoding="utf-8"))
    with catalog.connect(lake) as connection:
        for name in schema.tables():
            expected = [row[:2] for row in declared.execute(f"DESCRIBE {name}").fetchall()]
            assert [row[:2] for row in connection.execute(f"DESCRIBE {name}").fetchall()] == expected
            rows = connection.execute(f"SELECT * FROM {name}").fetchall()
            assert len(rows) == (filled and name == "tracks")


def test_comments_are_on_the_views_and_their_columns(lake: Lake) -> None:
    features(lake, "x", Column("loudness", "DOUBLE", True, "Loudness in dB; it's 'relative'"))
    expected = {(name, column.name): column.comment for name, t in schema.tables().items() for column in t.columns}
    expected[("features", "loudness")] = expected[("features_x", "loudness")] = "Loudness in dB; it's 'relative'"
    with duckdb.connect(lake.root / FILE, read_only=True) as connection:
        found = connection.execute("SELECT table_name, column_name, comment FROM duckdb_columns()").fetchall()
        assert {(t, c): comment for t, c, comment in found if (t, c) in expected} == expected
        views = dict(connection.execute("SELECT view_name, comment FROM duckdb_views()").fetchall())
    assert {name: views[name] for name in schema.tables()} == {n: t.comment for n, t in schema.tables().items()}


def test_feature_sets_are_views_of_their_own_and_together_one(lake: Lake) -> None:
    features(lake, "x", Column("centroid", "DOUBLE", True, "Hz"), Column('odd "name', "DOUBLE", True, "-"))
    features(lake, "y", Column("centroid", "DOUBLE", True, "Hz"), Column("tempo", "DOUBLE", True, "beats per minute"))
    with catalog.connect(lake) as connection:
        rows = connection.execute('SELECT feature_set, centroid, tempo, "odd ""name" FROM features ORDER BY 1')
        assert rows.fetchall() == [("x", 0.5, None, 0.5), ("y", 0.5, 0.5, None)]
        assert connection.execute("SELECT centroid FROM features_x").fetchall() == [(0.5,)]
        types = {name: type_ for name, type_, *_ in connection.execute("DESCRIBE features").fetchall()}
    assert types["tempo"] == "DOUBLE"


def test_the_summary_counts_without_opening_a_shard(lake: Lake) -> None:
    commit(lake, "b")
    sizes = [lake.path("tracks", stem).stat().st_size for stem in "ab"]
    for stem in "ab":
        lake.path("tracks", stem).unlink()
    with catalog.connect(lake) as connection:
        rows = connection.execute('SELECT * FROM lake_tables ORDER BY "table"').fetchall()
    assert ("tracks", lake.versions()["tracks"], 2, 2, sum(sizes)) in rows
    assert ("labels", None, 0, 0, 0) in rows


# -- other programs ----------------------------------------------------------------------------------------------------


def test_any_duckdb_opens_it_from_any_folder(lake: Lake, client: Any) -> None:
    ask = client(lake)
    assert ask("SELECT track_id FROM tracks") == "[('d:a',)]"
    assert ask("SELECT count(*) FROM neighbors('d:a')") == "[(0,)]"


def test_a_reader_and_commits_do_not_stop_each_other(lake: Lake, client: Any) -> None:
    early = client(lake)
    assert early("SELECT track_id FROM tracks") == "[('d:a',)]"
    commit(lake, "b")
    # The one that was there keeps its version, the one that comes sees the new one.
    assert early("SELECT track_id FROM tracks ORDER BY 1") == "[('d:a',)]"
    late = client(lake)
    assert late("SELECT track_id FROM tracks ORDER BY 1") == "[('d:a',), ('d:b',)]"
    commit(lake, "c")
    assert early("SELECT count(*) FROM tracks") == "[(1,)]"
    with catalog.connect(lake) as connection:
        assert track_ids(connection) == ["d:a", "d:b", "d:c"]
        assert uses_the_file(connection)


def test_a_writer_that_holds_the_catalog_stops_nobody(lake: Lake, client: Any) -> None:
    """Another program opened it for writing, as DuckDB does when it is not told otherwise."""
    hold = client(lake, "write")
    with pytest.raises(duckdb.IOException, match="lock"):
        duckdb.connect(lake.root / FILE, read_only=True)
    with catalog.connect(lake) as connection:
        assert track_ids(connection) == ["d:a"]
        comment = connection.execute("SELECT comment FROM duckdb_columns() WHERE column_name = 'duration_seconds'")
        ((said,),) = comment.fetchall()
        assert said.startswith("Decoded duration in seconds")
        assert connection.execute("SELECT * FROM cooccurrence()").fetchall() == []
    commit(lake, "b")
    with catalog.connect(lake) as connection:
        assert track_ids(connection) == ["d:a", "d:b"]
        assert uses_the_file(connection)
    assert hold("SELECT count(*) FROM tracks") == "[(1,)]"


# -- healing -----------------------------------------------------------------------------------------------------------


def test_a_new_connection_in_the_same_process_sees_the_commit(lake: Lake) -> None:
    with catalog.connect(lake) as before:
        commit(lake, "b")
        with catalog.connect(lake) as after:
            assert track_ids(after) == ["d:a", "d:b"]
            assert uses_the_file(after)
        assert track_ids(before) == ["d:a"]


def test_a_lake_that_was_moved_reads_its_own_files(lake: Lake, tmp_path: Path, client: Any) -> None:
    moved = Lake.open(shutil.move(lake.root, tmp_path / "moved to"))
    with catalog.connect(moved) as connection:
        assert track_ids(connection) == ["d:a"]
        assert uses_the_file(connection)
    # From now on it is right for the others too.
    assert client(moved)("SELECT track_id FROM tracks") == "[('d:a',)]"


def test_a_copy_reads_its_own_files(lake: Lake, tmp_path: Path) -> None:
    copy = Lake.open(shutil.copytree(lake.root, tmp_path / "copy"))
    commit(copy, "b")
    with catalog.connect(lake) as first, catalog.connect(copy) as second:
        assert (track_ids(first), track_ids(second)) == (["d:a"], ["d:a", "d:b"])


def test_a_catalog_that_was_deleted_is_built_again(lake: Lake) -> None:
    (lake.root / FILE).unlink()
    with catalog.connect(lake) as connection:
        assert track_ids(connection) == ["d:a"]
    assert (lake.root / FILE).is_file()


def test_a_catalog_that_is_no_database_stops_nobody(lake: Lake) -> None:
    (lake.root / FILE).write_bytes(b"not a database")
    with catalog.connect(lake) as connection:
        assert track_ids(connection) == ["d:a"]


def test_a_catalog_of_an_older_version_is_built_again(lake: Lake) -> None:
    old = (lake.root / FILE).read_bytes()
    commit(lake, "b")
    (lake.root / FILE).write_bytes(old)
    with catalog.connect(lake) as connection:
        assert track_ids(connection) == ["d:a", "d:b"]
    assert (lake.root / FILE).read_bytes() != old


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"rotten")])
def test_a_damaged_shard_closes_its_table_and_no_other(lake: Lake, tmp_path: Path, damage: Any) -> None:
    features(lake, "x", Column("loudness", "DOUBLE", True, "dB"))
    path = lake.path("features_x", "a")
    good = path.read_bytes()
    damage(path)
    commit(lake, "b")
    moved = Lake.open(shutil.move(lake.root, tmp_path / "moved"))
    with catalog.connect(moved) as connection:
        assert track_ids(connection) == ["d:a", "d:b"]
        assert connection.execute("SELECT count(*) FROM labels").fetchall() == [(0,)]
        assert ("loudness", "DOUBLE") in [row[:2] for row in connection.execute("DESCRIBE features_x").fetchall()]
        for view in ("features_x", "features"):
            with pytest.raises(duckdb.Error, match=r"features_x cannot be read \(.*\): `phonolake verify` names"):
                connection.execute(f"SELECT count(*) FROM {view}")
    moved.path("features_x", "a").write_bytes(good)
    with catalog.connect(moved) as connection:
        assert connection.execute("SELECT loudness FROM features").fetchall() == [(0.5,)]
        assert uses_the_file(connection)


def test_a_lake_that_cannot_be_written_to_is_read_all_the_same(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Moved to a read-only disk. Root may write anywhere, so the disk's refusal is played."""
    (lake.root / FILE).unlink()

    def refuse(*_: Any) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(catalog, "replacing", refuse)
    with catalog.connect(lake) as connection:
        assert track_ids(connection) == ["d:a"]
    assert not (lake.root / FILE).exists()


def test_all_views_show_one_moment(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made in memory beside a job that commits, they are still those of one version."""
    (lake.root / FILE).unlink()
    original = views.let_read
    interrupted = []

    def slow(connection: Any, table: Any, select: str) -> None:
        original(connection, table, select)
        if not interrupted and "read_parquet" in select:
            interrupted.append(table.name)
            monkeypatch.setattr(views, "let_read", original)
            commit(lake, "b")

    monkeypatch.setattr(views, "let_read", slow)
    monkeypatch.setattr(catalog, "attach", lambda *_: (_ for _ in ()).throw(OSError("no catalog")))
    with catalog.connect(lake) as connection:
        assert len(interrupted) == 1
        assert track_ids(connection) == ["d:a"]
        summary = connection.execute("SELECT shards FROM lake_tables WHERE \"table\" = 'tracks'").fetchall()
    assert summary == [(1,)]


def everything(path: Path) -> list[list[tuple]]:
    """What a catalog says: its views, their columns and what is in them."""
    with duckdb.connect(str(path), read_only=True) as connection:
        views = "SELECT view_name, sql, comment FROM duckdb_views() WHERE NOT internal ORDER BY view_name"
        columns = (
            "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() WHERE NOT internal ORDER BY ALL"
        )
        # The rows of the summary stand in its text, in the order in which tables came.
        listed = [row for row in connection.execute(views).fetchall() if row[0] != "lake_tables"]
        macros = "SELECT function_name, macro_definition FROM duckdb_functions() WHERE NOT internal ORDER BY ALL"
        summary = connection.execute("FROM lake_tables ORDER BY ALL").fetchall()
        return [listed, connection.execute(columns).fetchall(), connection.execute(macros).fetchall(), summary]


def test_a_catalog_that_goes_on_from_the_last_is_the_one_that_is_made_anew(lake: Lake) -> None:
    features(lake, "x", Column("loudness", "DOUBLE", True, "dB"))
    commit(lake, "b")
    features(lake, "y", Column("tempo", "DOUBLE", True, "BPM"))
    features(lake, "x", Column("loudness", "DOUBLE", True, "dB"), Column("flux", "DOUBLE", True, "change"))
    lake.commit({"tracks": Change(TRACKS, remove=["a.parquet"])})
    went_on = everything(lake.root / FILE)
    lake.build_catalog()
    assert went_on == everything(lake.root / FILE)


def test_views_of_tables_that_did_not_change_are_not_made_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    features(lake, "x", Column("loudness", "DOUBLE", True, "dB"))
    read, made = [], []
    let_read, create_view = views.let_read, views.create_view
    monkeypatch.setattr(views, "let_read", lambda c, table, s: (read.append(table.name), let_read(c, table, s)))
    monkeypatch.setattr(views, "create_view", lambda c, table: (made.append(table.name), create_view(c, table)))
    commit(lake, "b")
    assert (read, made) == (["tracks"], [])
    # Nor are comments, unless the columns are others.
    features(lake, "x", Column("loudness", "DOUBLE", True, "dB"), stem="b")
    assert (read, made) == (["tracks", "features_x"], [])
    features(lake, "x", Column("loudness", "DOUBLE", True, "dB"), Column("flux", "DOUBLE", True, "change"))
    assert made == ["features_x", "features"]


def test_building_leaves_nothing_else(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {p.name for p in lake.root.iterdir()}
    assert names == {"lake.json", FILE, "tables", ".lock"}
    before = (lake.root / FILE).read_bytes()
    monkeypatch.setattr(schema, "macros_sql", lambda: "CREATE NONSENSE")
    monkeypatch.setattr(schema, "fingerprint", lambda: "nonsense")
    with pytest.raises(duckdb.Error):
        lake.build_catalog()
    assert {p.name for p in lake.root.iterdir()} == names
    assert (lake.root / FILE).read_bytes() == before


def test_a_catalog_of_another_version_of_the_schema_is_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a lake from before a table was thought of would not have it."""
    lake = Lake.create(tmp_path / "lake")
    older = {name: table for name, table in schema.tables().items() if name != "forgotten"}
    with monkeypatch.context() as patch:
        patch.setattr(schema, "fingerprint", lambda: "older")
        patch.setattr(schema, "tables", lambda: older)
        lake.build_catalog()
        with catalog.connect(lake) as connection, pytest.raises(duckdb.CatalogException):
            connection.execute("FROM forgotten")
    with catalog.connect(lake) as connection:
        assert connection.execute("SELECT count(*) FROM forgotten").fetchall() == [(0,)]
