"""Questions about several tracks, the neighbour graph, and paths through it, against their definitions."""

import itertools
from pathlib import Path

import duckdb
import numpy as np
import pytest

import phonolake
from phonolake.analysis.collection import neighbour_paths
from phonolake.analysis.collection.neighbours import Searcher, SimilarityQuestion
from phonolake.cli.main import main
from phonolake.errors import PhonolakeError, UsageError
from phonolake.stages import forget, neighbour_graph
from phonolake.store import query
from phonolake.store.lake import Lake

from .made_vectors import add, build, nearest, vector

N, K = 40, 4


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Tracks in two shards, one of which the index lacks."""
    lake = Lake.create(tmp_path_factory.mktemp("questions") / "lake")
    add(lake, range(30))
    build(lake)
    add(lake, range(30, N))
    return lake


@pytest.fixture(scope="module")
def graph(lake: Lake) -> Lake:
    neighbour_graph.run(neighbour_graph.Config(str(lake.root), k=K))
    return lake


def unit(number: int) -> np.ndarray:
    return np.asarray(vector(number) / np.linalg.norm(vector(number)))


def ranked(scores: dict[int, float], k: int) -> list[str]:
    return [f"m:{n}" for n in sorted(scores, key=lambda n: -scores[n])[:k]]


def ask(lake: Lake, *arguments: object, **named: object) -> list[str]:
    with Searcher(lake) as searcher:
        return [n.track_id for n in searcher.ask(SimilarityQuestion(*arguments, **named))]  # type: ignore[arg-type]


def test_several_tracks_stand_for_their_mean_direction_or_each_for_itself(lake: Lake) -> None:
    rest = [n for n in range(N) if n not in (1, 2)]
    centroid = unit(1) + unit(2)
    assert ask(lake, ("m:1", "m:2"), k=6) == ranked({n: float(unit(n) @ centroid) for n in rest}, 6)
    best = {n: float(max(unit(n) @ unit(1), unit(n) @ unit(2))) for n in rest}
    assert ask(lake, ("m:1", "m:2"), k=6, combine="best") == ranked(best, 6)


def test_what_it_should_not_sound_like_is_taken_away(lake: Lake) -> None:
    wanted = unit(1) - 0.5 * unit(2)
    rest = {n: float(unit(n) @ wanted) for n in range(N) if n not in (1, 2)}
    assert ask(lake, ("m:1",), ("m:2",), k=6) == ranked(rest, 6)


def test_many_at_once_are_as_one_by_one(lake: Lake) -> None:
    with Searcher(lake) as searcher:
        found = searcher.similar_many([f"m:{n}" for n in range(N)], k=3)
        assert [[n.track_id for n in each] for each in found] == [nearest(n, range(N), 3) for n in range(N)]
        assert found[5] == searcher.similar("m:5", k=3)
        filtered = searcher.similar_many(["m:1", "m:2"], k=3, where="year = 2003")
        assert [[n.track_id for n in each] for each in filtered] == [nearest(n, range(3, N, 10), 3) for n in (1, 2)]
        assert searcher.similar_many([]) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"like": ()}, "name a track"),
        ({"like": ("m:1",), "per_artist": 0}, "at least one track of each artist"),
        ({"like": ("m:1",), "unlike": ("m:2",), "combine": "best"}, "leave `best` out"),
        ({"like": ("m:1",), "unlike": ("m:99",)}, "no track 'm:99'"),
    ],
)
def test_questions_that_make_no_sense_are_refused(lake: Lake, wrong: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        ask(lake, **wrong)


def test_python_asks_the_same(lake: Lake) -> None:
    opened = phonolake.open(lake.root)
    assert list(opened.similar(["m:1", "m:2"], k=6).track_id) == ask(lake, ("m:1", "m:2"), k=6)
    assert list(opened.similar("m:1", unlike=["m:2"], k=6).track_id) == ask(lake, ("m:1",), ("m:2",), k=6)
    many = opened.similar_many(["m:3", "m:1"], k=2)
    assert list(many.asked) == ["m:3", "m:3", "m:1", "m:1"]
    assert list(many.track_id) == [*nearest(3, range(N), 2), *nearest(1, range(N), 2)]


def test_few_of_each_artist(tmp_path: Path) -> None:
    """The artist of a track is the last digit of its number."""
    lake = Lake.create(tmp_path / "lake")
    add(lake, range(N), artists=lambda n: f"artist {n % 4}" if n % 4 else None)
    build(lake)
    found = ask(lake, ("m:0",), k=10, per_artist=2)
    counts: dict[int, int] = {}
    expected = []
    for track_id in nearest(0, range(N), N):
        artist = int(track_id.split(":")[1]) % 4
        counts[artist] = counts.get(artist, 0) + 1
        if not artist or counts[artist] <= 2:
            expected.append(track_id)
    assert found == expected[:10]
    assert len(ask(lake, ("m:0",), k=100, per_artist=1)) == N // 4 - 1 + 3


def test_the_graph_holds_the_nearest_of_every_track(graph: Lake) -> None:
    with query.connect(graph) as connection:
        rows = connection.execute(
            "SELECT track_id, other_id, similarity FROM neighbours ORDER BY track_id, rank"
        ).fetchall()
    found = {track_id: [row[1] for row in each] for track_id, each in itertools.groupby(rows, key=lambda row: row[0])}
    assert found == {f"m:{n}": nearest(n, range(N), K) for n in range(N)}
    one, other, similarity = rows[0]
    assert similarity == pytest.approx(unit(int(one[2:])) @ unit(int(other[2:])), abs=1e-6)


def test_pairs_that_are_nearly_the_same_come_once(graph: Lake, capsys: pytest.CaptureFixture) -> None:
    wanted = {
        tuple(sorted((f"m:{n}", other)))
        for n in range(N)
        for other in nearest(n, range(N), K)
        if unit(n) @ unit(int(other[2:])) >= 0.8
    }
    assert (
        main(["neighbours", "duplicates", "--min-similarity", "0.8", "--format", "csv", "--lake", str(graph.root)]) == 0
    )
    rows = [line.split(",") for line in capsys.readouterr().out.splitlines()[1:]]
    assert sorted((one, other) for one, other, *_ in rows) == sorted(wanted)


def test_a_path_is_the_shortest_in_angles(graph: Lake) -> None:
    edges = {}
    for n in range(N):
        for other in nearest(n, range(N), K):
            angle = float(np.arccos(unit(n) @ unit(int(other[2:]))))
            edges[n, int(other[2:])] = edges[int(other[2:]), n] = angle
    distance = np.full((N, N), np.inf)
    np.fill_diagonal(distance, 0)
    for (one, other), angle in edges.items():
        distance[one, other] = angle
    for middle in range(N):  # Floyd and Warshall
        distance = np.minimum(distance, distance[:, middle, None] + distance[None, middle])
    with query.connect(graph) as connection:
        for start, end in ((0, 1), (5, 33), (7, 7)):
            found = neighbour_paths.path(connection, f"m:{start}", f"m:{end}")
            assert (found[0].track_id, found[-1].track_id) == (f"m:{start}", f"m:{end}")
            steps = [int(step.track_id[2:]) for step in found]
            assert sum(edges[pair] for pair in itertools.pairwise(steps)) == pytest.approx(distance[start, end])
            for step, (one, other) in zip(found[1:], itertools.pairwise(steps), strict=True):
                assert step.similarity == pytest.approx(unit(one) @ unit(other), abs=1e-6)
        with pytest.raises(UsageError, match="m:99"):
            neighbour_paths.path(connection, "m:0", "m:99")


def test_a_path_is_the_same_in_python_and_sql(graph: Lake) -> None:
    opened = phonolake.open(graph.root)
    for start, end in (("m:0", "m:1"), ("m:5", "m:33")):
        with query.connect(graph) as connection:
            expected = [step.track_id for step in neighbour_paths.path(connection, start, end)]
        assert list(opened.neighbour_path(start, end)["track_id"]) == expected
        found = opened.sql(f"FROM neighbour_path('{start}', '{end}') ORDER BY step").df()
        assert list(found["track_id"]) == expected
        assert found["similarity"].iloc[1:].equals(opened.neighbour_path(start, end)["similarity"].iloc[1:])
    sideways = "SELECT count(*) FROM (VALUES ('m:0')) AS picks(id), neighbour_path(picks.id, 'm:1')"
    assert opened.sql(sideways).fetchall() == [(len(opened.neighbour_path("m:0", "m:1")),)]
    with pytest.raises(duckdb.Error, match="m:99"):
        opened.sql("FROM neighbour_path('m:0', 'm:99')").fetchall()


def test_the_graph_of_python_is_that_of_its_definition(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake")
    add(lake, range(12))
    opened = phonolake.open(lake.root)
    for k in (3, 2):
        found = opened.neighbour_graph(k)
        assert found.groupby("track_id")["other_id"].agg(list).to_dict() == {
            f"m:{n}": nearest(n, range(12), k) for n in range(12)
        }


def test_without_a_graph_the_way_to_one_is_said(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake")
    add(lake, range(3))
    with query.connect(lake) as connection, pytest.raises(PhonolakeError, match="phonolake neighbours graph"):
        neighbour_paths.path(connection, "m:0", "m:1")


def test_a_graph_is_made_once_and_follows_the_lake(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake")
    add(lake, range(12))
    first = neighbour_graph.run(neighbour_graph.Config(str(lake.root), k=2))
    shards = lake.shards("neighbours")
    assert neighbour_graph.run(neighbour_graph.Config(str(lake.root), k=2)).run_id == first.run_id
    assert lake.shards("neighbours") == shards
    forget.run(forget.Config(str(lake.root), ("m:3",)))
    neighbour_graph.run(neighbour_graph.Config(str(lake.root), k=2))
    with query.connect(lake) as connection:
        rows = connection.execute("SELECT track_id, list(other_id ORDER BY rank) FROM neighbours GROUP BY 1").fetchall()
    left = [n for n in range(12) if n != 3]
    assert dict(rows) == {f"m:{n}": nearest(n, left, 2) for n in left}
