"""Neighbours in SQL: what a query finds is what a searcher finds."""

import pytest

import phonolake
from phonolake.analysis.collection import similar_sql
from phonolake.analysis.collection.neighbours import Searcher, SimilarityQuestion
from phonolake.cli.main import main
from phonolake.errors import UsageError
from phonolake.store import query
from phonolake.store.lake import Lake

from .made_vectors import RUN, add, build, nearest

N = 40


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake.create(tmp_path_factory.mktemp("sql") / "lake")
    add(lake, range(N))
    build(lake)
    return lake


@pytest.fixture(scope="module")
def opened(lake: Lake) -> phonolake.api.OpenLake:
    return phonolake.open(lake.root)


def ids(opened: phonolake.api.OpenLake, sql: str) -> list[str]:
    return [track_id for (track_id,) in opened.sql(sql).fetchall()]


@pytest.mark.parametrize(
    ("call", "numbers", "k"),
    [
        ("similar('m:3')", range(N), 10),
        ("similar('m:3', k := 4)", range(N), 4),
        ("similar('m:3', 4)", range(N), 4),
        ("similar('m:3', k := 4, where := 'year = 2003')", range(3, N, 10), 4),
        ("similar('m:3', WHERE  := 'year = 2003' -- where := 'no'\n, k := 4)", range(3, N, 10), 4),
        (f"similar('m:3', k := 4, model := '{RUN}')", range(N), 4),
        ("similar((SELECT track_id FROM tracks WHERE title = 'title 3'), k := 4)", range(N), 4),
    ],
)
def test_one_track(opened: phonolake.api.OpenLake, call: str, numbers: range, k: int) -> None:
    assert ids(opened, f"SELECT track_id FROM {call} ORDER BY rank") == nearest(3, numbers, k)


def test_a_text_with_where_in_it_stays_as_it_is(opened: phonolake.api.OpenLake) -> None:
    assert opened.sql("SELECT 'ünï where := 1', k FROM (SELECT 1 AS k) WHERE k = 1").fetchall() == [
        ("ünï where := 1", 1)
    ]


def test_each_track_of_a_table(opened: phonolake.api.OpenLake) -> None:
    rows = opened.sql(
        "SELECT p.track_id, s.track_id, s.title, s.similarity FROM tracks AS p, similar(p.track_id, k := 3) AS s "
        "WHERE p.year = 2003 ORDER BY p.track_id, s.rank"
    ).fetchall()
    for number in range(3, N, 10):
        assert [found for asked, found, *_ in rows if asked == f"m:{number}"] == nearest(number, range(N), 3)
    assert all(title == f"title {found.split(':')[1]}" for _, found, title, _ in rows)


def test_several_tracks_and_none(opened: phonolake.api.OpenLake, lake: Lake) -> None:
    with Searcher(lake) as searcher:
        for combine in ("centroid", "best"):
            found = searcher.ask(SimilarityQuestion(("m:1", "m:2"), k=5, combine=combine))
            sql = f"SELECT track_id FROM similar_to_all(['m:1', 'm:2'], k := 5, combine := '{combine}') ORDER BY rank"
            assert ids(opened, sql) == [n.track_id for n in found]
        found = searcher.ask(SimilarityQuestion(("m:1",), ("m:2",), k=5))
    sql = "SELECT track_id FROM similar_to_all(['m:1'], unlike := ['m:2'], k := 5) ORDER BY rank"
    assert ids(opened, sql) == [n.track_id for n in found]
    assert ids(opened, "SELECT track_id FROM similar(NULL)") == []


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("similar('m:99')", "no track 'm:99' in the lake.*; and no file of that name"),
        ("similar('m:1', k := 0)", "k is the number of neighbours"),
        ("similar('m:1', where := 'yeer = 1')", "Referenced column .yeer. not found"),
        ("similar('m:1', model := 'other')", "unknown model with embeddings 'other'"),
        ("similar_to_all(['m:1'], combine := 'x')", "unknown way to combine"),
        ("similar_to_file('no.wav')", "no.wav"),
    ],
)
def test_what_cannot_be_asked_is_said_on_one_line(
    lake: Lake, call: str, said: str, capsys: pytest.CaptureFixture
) -> None:
    assert main(["sql", f"FROM {call}", "--lake", str(lake.root)]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    with query.connect(lake) as connection, Searcher(lake) as searcher:
        similar_sql.install(connection, searcher)
        with pytest.raises(UsageError, match=said) as caught:
            query.fetch(query.select(connection, f"FROM {call}"))
    assert "UDF" not in str(caught.value)


def test_files_can_be_left_out(lake: Lake) -> None:
    with query.connect(lake) as connection, Searcher(lake, files=False) as searcher:
        similar_sql.install(connection, searcher)
        with pytest.raises(UsageError, match="files cannot be read here"):
            query.fetch(query.select(connection, "FROM similar_to_file('a.wav')"))


def test_the_command_prints_neighbours(lake: Lake, capsys: pytest.CaptureFixture) -> None:
    sql = "SELECT track_id FROM similar('m:3', k := 2, where := 'year > 2000') ORDER BY rank"
    assert main(["sql", sql, "--lake", str(lake.root), "--format", "csv"]) == 0
    expected = nearest(3, [n for n in range(N) if n % 10 > 0], 2)
    assert capsys.readouterr().out.split() == ["track_id", *expected]
