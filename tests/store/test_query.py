"""SQL over a lake: it answers and changes nothing, reads no file outside the lake, and the macros calculate right."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from phonolake.errors import UsageError
from phonolake.store import query, schema
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import write_rows

N, D, K_LABELS = 40, 6, 5
rng = np.random.default_rng(20)
# Two that are equal, and one in another scale: cosine similarity does not see it.
X_ND = rng.normal(size=(N, D)).astype(np.float32)
X_ND[7], X_ND[9] = X_ND[3], 2**20 * X_ND[4]
OTHER_ND = rng.normal(size=(N, D)).astype(np.float32)
P_NL = rng.random((N, K_LABELS)).astype(np.float32)
P_NL[5, 1] = P_NL[5, 3]
Y_NL = rng.random((N, K_LABELS)) < 0.4
LABELS = ["rock", "pop", "it's", "jazz", "folk"]
# What people call files, and what must never be taken for SQL.
ODD = ["d:it's", 'd:"x"', "d:'; DROP VIEW tracks; --", "d:%", "d:\\", "d:ünï 音楽", "d:$1", "d:?", "d:", "d:a\nb"]
IDS = [f"d:{n:03}" for n in range(N - len(ODD))] + ODD
OLD, NEW = datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 6, 1, 12, 30, 15, 250_000, tzinfo=UTC)


def put(lake: Lake, table: str, rows: list[dict[str, Any]]) -> None:
    declared = schema.table(table)
    lake.commit({table: Change(declared, [write_rows(lake.path(table, "s"), declared.arrow, rows)])})


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    folder = tmp_path_factory.mktemp("query")
    made = Lake.create(folder / "lake")
    stamp = {"config_hash": "c", "code_version": "0"}
    facts = {"dataset": "d", "duration_seconds": 1.0} | stamp
    put(made, "tracks", [facts | {"track_id": t, "source_id": t[2:]} for t in IDS])
    made_by = {"model": "net", "source_shard": "s", "code_version": "0"}
    put(
        made,
        "embeddings",
        [
            made_by | {"track_id": t, "run_id": run, "model": model, "embedding": x.tolist()}
            for model, run, vectors in [("net", "net-new", X_ND), ("old", "old-1", OTHER_ND)]
            for t, x in zip(IDS, vectors, strict=True)
        ],
    )
    put(
        made,
        "predictions",
        [
            made_by | {"track_id": t, "run_id": run, "label": label, "probability": float(p), "part": part}
            for run, sign, part in [("net-old", -1, "train"), ("net-new", 1, "test")]
            for t, p_L in zip(IDS, P_NL, strict=True)
            for label, p in zip(LABELS, p_L if sign > 0 else 1 - p_L, strict=True)
        ],
    )
    run_facts = {"stage": "train", "config": "{}", "inputs": 1, "outputs": 1, "rejects": 0, "snapshot": "{}"} | stamp
    runs = {"net-new": NEW, "net-old": OLD, "old-1": OLD}
    put(made, "runs", [run_facts | {"run_id": r, "started_at": OLD, "finished_at": at} for r, at in runs.items()])
    rows = []
    for t, y_L in zip(IDS, Y_NL, strict=True):
        for label, holds in zip(LABELS, y_L, strict=True):
            rows.append({"track_id": t, "label": label, "value": int(holds), "source": "dataset"})
            if holds:
                # Said twice is said once.
                rows.append({"track_id": t, "label": label, "value": 1, "source": "tags"})
    put(made, "labels", rows)
    (folder / "secret.csv").write_text("a,b\n1,2\n")
    os.symlink(folder / "secret.csv", made.root / "link.csv")
    return made


@pytest.fixture(scope="module")
def connection(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    with query.connect(lake) as opened:
        yield opened


@pytest.fixture(scope="module")
def unconfined(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    with query.connect(lake, confined=False) as opened:
        yield opened


def answer(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple]:
    return query.fetch(query.select(connection, sql))


# -- what is answered --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM tracks",
        "select count(*) from tracks;",
        "FROM tracks SELECT count(*)",
        "-- a comment\nSELECT count(*) FROM tracks -- and one more",
        "WITH t AS (FROM tracks) SELECT count(*) FROM t",
        "SELECT count(*) FROM lake.tracks",
        "SELECT ';', count(*) FROM tracks",
    ],
)
def test_a_select_is_answered(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    assert answer(connection, sql)[0][-1] == N


@pytest.mark.parametrize(
    "sql", ["SHOW TABLES", "DESCRIBE tracks", "SUMMARIZE labels", "VALUES (1)", "TABLE runs", "EXPLAIN SELECT 1"]
)
def test_other_ways_of_looking_are_answered(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    assert answer(connection, sql)


def test_explain_analyze_carries_out_a_select(connection: duckdb.DuckDBPyConnection) -> None:
    assert "Total Time" in answer(connection, "EXPLAIN ANALYZE SELECT count(*) FROM tracks")[0][1]


def test_an_answer_without_rows_is_an_answer(connection: duckdb.DuckDBPyConnection) -> None:
    assert answer(connection, "SELECT * FROM annotations") == []


def test_times_come_back_in_utc(connection: duckdb.DuckDBPyConnection) -> None:
    rows = answer(connection, "SELECT finished_at FROM runs ORDER BY 1 DESC LIMIT 1")
    assert rows == [(NEW,)]
    assert rows[0][0].utcoffset().total_seconds() == 0
    frame = query.select(connection, "SELECT max(finished_at) AS at FROM runs").df()
    assert frame["at"][0] == NEW
    text = answer(connection, "SELECT max(finished_at)::VARCHAR FROM runs")
    assert text == [("2025-06-01 12:30:15.25+00",)]


def test_the_files_of_the_lake_may_be_read(connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    path = schema.literal(str(lake.path("tracks", "s")))
    assert answer(connection, f"SELECT count(*) FROM read_parquet({path})") == [(N,)]


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "COPY tracks TO '{target}'",
        "COPY (SELECT 1) TO '{target}'",
        "EXPORT DATABASE '{target}'",
        "ATTACH '{target}' AS x",
        "ATTACH ':memory:' AS x",
        "DETACH lake",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET threads = 1",
        "SET enable_external_access = true",
        "RESET allowed_directories",
        "SET VARIABLE a = 1",
        "USE memory",
        "PRAGMA threads = 1",
        "PRAGMA database_list",
        "CALL pragma_version()",
        "CREATE TABLE t (a INTEGER)",
        "CREATE TEMP TABLE t AS SELECT 1",
        "CREATE TABLE memory.t AS SELECT 1",
        "CREATE OR REPLACE VIEW tracks AS SELECT 1",
        "CREATE MACRO m() AS 1",
        "DROP VIEW tracks",
        "INSERT INTO tracks VALUES (1)",
        "UPDATE tracks SET title = 'x'",
        "DELETE FROM tracks",
        "ALTER VIEW tracks RENAME TO t",
        "COMMENT ON VIEW tracks IS 'x'",
        "BEGIN",
        "CHECKPOINT",
        "VACUUM",
        "PREPARE p AS SELECT 1",
        "EXPLAIN COPY (SELECT 1) TO '{target}'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{target}'",
        " explain\n analyze\n COPY (SELECT 1) TO '{target}'",
        "/* */ EXPLAIN ANALYZE COPY (SELECT 1) TO '{target}'",
        "-- x\nEXPLAIN ANALYZE COPY (SELECT 1) TO '{target}'",
        "EXPLAIN/**/ANALYZE COPY (SELECT 1) TO '{target}'",
        "EXPLAIN (ANALYZE) COPY (SELECT 1) TO '{target}'",
        "EXPLAIN EXPLAIN ANALYZE COPY (SELECT 1) TO '{target}'",
        "EXPLAIN ANALYZE CREATE TABLE memory.t AS SELECT 1",
        "SELECT * FROM query('COPY (SELECT 1) TO ''{target}''')",
        "WITH gone AS (DELETE FROM tracks RETURNING 1) SELECT * FROM gone",
    ],
)
@pytest.mark.parametrize("kind", ["connection", "unconfined"])
def test_whatever_changes_something_is_refused(
    lake: Lake, tmp_path: Path, sql: str, kind: str, request: pytest.FixtureRequest
) -> None:
    connection = request.getfixturevalue(kind)
    # Inside the lake too, where a confined connection may touch files.
    for target in (tmp_path / "out.csv", lake.root / "out.csv"):
        with pytest.raises(UsageError) as caught:
            answer(connection, sql.format(target=target))
        assert "\n" not in str(caught.value)
        assert not target.exists()
    assert answer(connection, "SELECT count(*) FROM tracks") == [(N,)]
    assert answer(connection, "SELECT count(*) FROM duckdb_tables()") == [(0,)]


def test_settings_stay_where_they_are(connection: duckdb.DuckDBPyConnection) -> None:
    """Some functions would change them in a SELECT."""
    with pytest.raises(UsageError, match="the configuration has been locked"):
        answer(connection, "SELECT * FROM enable_logging()")


def test_the_refusal_says_what_to_do(connection: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(UsageError) as caught:
        answer(connection, "COPY tracks TO 'x.csv'")
    expected = "a lake is read-only for SQL, and COPY is no SELECT: take results out with --format csv or json"
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("sql", "n"), [("", 0), (" \n", 0), ("-- only words", 0), ("EXPLAIN", 0), ("SELECT 1; SELECT 2", 2)]
)
def test_one_statement_at_a_time(connection: duckdb.DuckDBPyConnection, sql: str, n: int) -> None:
    with pytest.raises(UsageError, match=f"one SQL statement at a time; received {n}"):
        answer(connection, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_blob('/etc/passwd')",
        "SELECT * FROM read_json('/etc/passwd')",
        "SELECT * FROM read_parquet('/etc/passwd')",
        "SELECT * FROM parquet_metadata('/etc/passwd')",
        "SELECT * FROM sniff_csv('/etc/passwd')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM '{folder}/secret.csv'",
        "SELECT * FROM read_csv('{folder}/secret.csv')",
        "SELECT * FROM read_csv('{folder}/lake/../secret.csv')",
        "SELECT * FROM read_csv('{folder}/lake/link.csv')",
        "SELECT * FROM read_csv('{folder}/lake/*/../../secret.csv')",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM glob('{folder}/lake*/../*')",
        "SELECT * FROM read_csv('https://example.com/x.csv')",
        "SELECT (SELECT content FROM read_text('/etc/passwd'))",
        "EXPLAIN ANALYZE SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM query('SELECT * FROM read_text(''/etc/passwd'')')",
        "SELECT getenv('HOME')",
    ],
)
def test_no_other_file_can_be_read(connection: duckdb.DuckDBPyConnection, lake: Lake, sql: str) -> None:
    assert Path("/etc/passwd").is_file()
    with pytest.raises(UsageError, match=r"(?i)permission error|catalog error|disabled by configuration") as caught:
        answer(connection, sql.format(folder=lake.root.parent))
    assert "\n" not in str(caught.value)


def test_a_neighbour_whose_name_begins_alike_cannot_be_read(lake: Lake) -> None:
    other = Lake.create(lake.root.with_name("lake2"))
    with query.connect(lake) as connection, pytest.raises(UsageError, match="Permission Error"):
        answer(connection, f"SELECT * FROM read_text('{other.root}/lake.json')")


def test_a_lake_with_a_pattern_for_a_name_opens_no_other(lake: Lake) -> None:
    odd = Lake.create(lake.root.with_name("lak[e]"))
    with query.connect(odd) as connection:
        assert answer(connection, "SELECT count(*) FROM tracks") == [(0,)]
        with pytest.raises(UsageError, match="Permission Error"):
            answer(connection, f"SELECT * FROM read_text('{lake.root}/lake.json')")


def test_python_variables_are_no_tables(connection: duckdb.DuckDBPyConnection) -> None:
    frame = duckdb.connect().execute("SELECT 42 AS a").df()
    assert frame["a"][0] == 42
    with pytest.raises(UsageError, match="Table with name frame does not exist"):
        answer(connection, "SELECT * FROM frame")


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELEC 1", 'SQL: Parser Error: syntax error at or near "SELEC"'),
        ("SELECT 'open", "SQL: Parser Error: unterminated"),
        ("SELECT * FROM track", 'SQL: Catalog Error: Table with name track does not exist! Did you mean "tracks"?'),
        ("SELECT titel FROM tracks", 'Candidate bindings: "title"'),
        ("SELECT\n nope\n\nFROM\n tracks", 'SQL: Binder Error: Referenced column "nope" not found'),
        ("SELECT CAST('a' AS INTEGER)", "SQL: Conversion Error: Could not convert string 'a' to INT32"),
        ("SELECT error('first\nsecond')", "SQL: Invalid Input Error: first"),
        ("SELECT * FROM neighbors('d:000', k := -1)", "SQL: Binder Error"),
    ],
)
def test_a_mistake_is_explained_on_one_line(connection: duckdb.DuckDBPyConnection, sql: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        answer(connection, sql)
    message = str(caught.value)
    assert message.startswith("SQL: ")
    assert said in message
    # The complaint, and not the drawing of where it is.
    assert "\n" not in message
    assert "LINE 1" not in message


# -- macros ------------------------------------------------------------------------------------------------------------


def cosines(vectors_ND: np.ndarray, n: int) -> list[tuple[str, float]]:
    """All other tracks by similarity, equal ones by id, computed in another way."""
    v_ND = vectors_ND.astype(np.float64)
    v_ND /= np.linalg.norm(v_ND, axis=1, keepdims=True)
    similarity_N = np.round(v_ND @ v_ND[n], 12)
    others = [(IDS[m], float(similarity_N[m])) for m in range(N) if m != n]
    return sorted(others, key=lambda pair: (-pair[1], pair[0]))


@pytest.mark.parametrize("n", range(N), ids=[ascii(t) for t in IDS])
def test_neighbors_are_those_of_numpy(connection: duckdb.DuckDBPyConnection, n: int) -> None:
    """For every id, the odd ones too."""
    rows = connection.execute("FROM neighbors($1, k := 10)", [IDS[n]]).fetchall()
    expected = cosines(X_ND, n)[:10]
    assert [t for t, *_ in rows] == [t for t, _ in expected]
    np.testing.assert_allclose([s for _, s, _ in rows], [s for _, s in expected], atol=1e-6)
    assert {model for *_, model in rows} == {"net"}
    # Typed into the text, as a person does.
    assert answer(connection, f"FROM neighbors({schema.literal(IDS[n])}, k := 10)") == rows


def test_the_nearest_is_never_the_track_itself_but_may_be_its_double(connection: duckdb.DuckDBPyConnection) -> None:
    ((nearest, similarity),) = answer(connection, "SELECT track_id, similarity FROM neighbors('d:003', k := 1)")
    assert (nearest, round(similarity, 6)) == ("d:007", 1)
    ((nearest, similarity),) = answer(connection, "SELECT track_id, similarity FROM neighbors('d:004', k := 1)")
    assert (nearest, round(similarity, 6)) == ("d:009", 1)


@pytest.mark.parametrize(("k", "n"), [(0, 0), (1, 1), (N - 1, N - 1), (N, N - 1), (10**9, N - 1)])
def test_k_may_be_larger_than_there_are_tracks(connection: duckdb.DuckDBPyConnection, k: int, n: int) -> None:
    assert len(answer(connection, f"FROM neighbors('d:000', k := {k})")) == n


def test_ten_neighbors_of_the_newest_model_unless_told_otherwise(connection: duckdb.DuckDBPyConnection) -> None:
    assert answer(connection, "SELECT model, run_id FROM embedding_models") == [("net", "net-new"), ("old", "old-1")]
    assert len(answer(connection, "FROM neighbors('d:000')")) == 10
    for name in ("old", "old-1"):
        rows = answer(connection, f"FROM neighbors('d:000', model_or_run := '{name}')")
        assert [t for t, *_ in rows] == [t for t, _ in cosines(OTHER_ND, 0)[:10]]
    assert answer(connection, "FROM neighbors('d:000', model_or_run := 'none')") == []


@pytest.mark.parametrize("macro", ["neighbors", "top_tags"])
@pytest.mark.parametrize("track_id", ["d:none", "", "%", "d:_00", "D:000", "' OR 1=1 --"])
def test_an_unknown_track_has_none(connection: duckdb.DuckDBPyConnection, macro: str, track_id: str) -> None:
    assert answer(connection, f"FROM {macro}({schema.literal(track_id)})") == []


def test_a_zero_vector_is_like_nothing(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake")
    row = {"model": "m", "run_id": "r", "source_shard": "s", "code_version": "0"}
    vectors = {"a": [1.0, 0.0], "b": [0.0, 0.0], "c": [1.0, 1.0]}
    put(lake, "embeddings", [row | {"track_id": t, "embedding": v} for t, v in vectors.items()])
    with query.connect(lake) as connection:
        assert answer(connection, "SELECT track_id FROM neighbors('a', k := 1)") == [("c",)]


@pytest.mark.parametrize("n", [0, 5, N - 1])
def test_top_tags_are_those_of_numpy(connection: duckdb.DuckDBPyConnection, n: int) -> None:
    expected = sorted(zip(LABELS, P_NL[n].tolist(), strict=True), key=lambda pair: (-pair[1], pair[0]))
    track_id = schema.literal(IDS[n])
    rows = answer(connection, f"FROM top_tags({track_id}, k := 3)")
    assert rows == [(label, p, "net", "test") for label, p in expected[:3]]
    assert len(answer(connection, f"FROM top_tags({track_id}, k := 99)")) == K_LABELS
    assert answer(connection, f"SELECT label FROM top_tags({track_id})") == [(label,) for label, _ in expected]


def test_top_tags_of_an_older_run(connection: duckdb.DuckDBPyConnection) -> None:
    rows = answer(connection, "SELECT label, part FROM top_tags('d:000', k := 1, model_or_run := 'net-old')")
    assert rows == [(LABELS[int(P_NL[0].argmin())], "train")]
    # The name of a model stands for its newest run.
    newest = answer(connection, "FROM top_tags('d:000', model_or_run := 'net')")
    assert newest == answer(connection, "FROM top_tags('d:000', model_or_run := 'net-new')")


def test_cooccurrence_is_that_of_numpy(connection: duckdb.DuckDBPyConnection) -> None:
    both_LL = Y_NL.T.astype(int) @ Y_NL.astype(int)
    expected = {
        (LABELS[i], LABELS[j]): (both_LL[i, j], both_LL[i, i], both_LL[j, j], both_LL[i, j] / both_LL[i, i])
        for i in range(K_LABELS)
        for j in range(K_LABELS)
        if i != j and both_LL[i, j]
    }
    rows = answer(connection, "FROM cooccurrence()")
    assert {(i, j) for i, j, *_ in rows} == set(expected)
    assert len(rows) == len(expected)
    for i, j, *figures, _low, _high, _lift in rows:
        np.testing.assert_allclose(figures, expected[i, j], rtol=1e-12)
    assert [row[5] for row in rows] == sorted((row[5] for row in rows), reverse=True)
