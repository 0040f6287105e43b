"""Neighbours of an open lake: always those of what is published now, whether an index answers or exact search."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import phonolake
from phonolake.analysis.collection import neighbours
from phonolake.analysis.collection.neighbours import Neighbour, Searcher
from phonolake.errors import UsageError
from phonolake.search import index as searching
from phonolake.stages import forget
from phonolake.store.lake import Lake

from .made_vectors import add, build, nearest


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Forty tracks with an index."""
    lake = Lake.create(tmp_path / "lake")
    add(lake, range(40))
    build(lake)
    return lake


@pytest.fixture(scope="module")
def read_only(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Lake]:
    """The same tracks with an index and without."""
    lakes = {indexed: Lake.create(tmp_path_factory.mktemp("lakes") / "lake") for indexed in (True, False)}
    for lake in lakes.values():
        add(lake, range(40))
    build(lakes[True])
    return lakes


def ids(found: list[Neighbour]) -> list[str]:
    return [n.track_id for n in found]


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize(
    ("where", "numbers"),
    [
        (None, range(40)),
        ("year = 2003", range(3, 40, 10)),
        ("year > 2001 -- not the first ones", [n for n in range(40) if n % 10 > 1]),
        ("track_id IN (SELECT track_id FROM embeddings WHERE track_id = 'm:7')", [7]),
        ("false", []),
    ],
)
def test_the_nearest_of_those_that_fulfil_a_condition(
    read_only: dict[bool, Lake], where: str | None, numbers: Iterable[int], indexed: bool
) -> None:
    lake = read_only[indexed]
    with Searcher(lake) as searcher:
        for query in (0, 7):
            for k in (4, 100):
                found = searcher.similar(f"m:{query}", k=k, where=where)
                assert ids(found) == nearest(query, numbers, k)
                track_ids, similarity = searcher.nearest(f"m:{query}", k=k, where=where)
                assert track_ids == ids(found)
                assert similarity.tolist() == [n.similarity for n in found]
    assert ids(neighbours.similar(lake, "m:0", k=4, where=where)) == nearest(0, numbers, 4)


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("", "an empty condition"),
        ("yeer = 1", "SQL: Binder Error"),
        ("year = 2000 OR", "SQL: Parser Error"),
        ("true); SELECT (1", "one SQL statement at a time|SQL: Parser Error"),
        ("title::INTEGER = 1", "SQL: Conversion Error"),
    ],
)
def test_a_condition_that_is_none_is_refused_and_the_next_question_answered(
    read_only: dict[bool, Lake], where: str, said: str, indexed: bool
) -> None:
    with Searcher(read_only[indexed]) as searcher:
        with pytest.raises(UsageError, match=said):
            searcher.similar("m:0", where=where)
        assert ids(searcher.similar("m:0", k=3)) == nearest(0, range(40), 3)


def test_an_open_lake_answers_from_what_is_published_now(lake: Lake) -> None:
    opened = phonolake.open(lake.root)

    def found() -> list[str]:
        return list(opened.similar("m:0", k=60).track_id)

    assert found() == nearest(0, range(40), 60)
    add(lake, range(40, 50))
    assert found() == nearest(0, range(50), 60), "new tracks, of which no index knows"
    build(lake)
    assert found() == nearest(0, range(50), 60)
    forget.run(forget.Config(str(lake.root), ("m:5", "m:45")))
    left = sorted(set(range(50)) - {5, 45})
    assert found() == nearest(0, left, 60), "forgotten tracks, with their index"
    build(lake)
    assert found() == nearest(0, left, 60)
    forget.run(forget.Config(str(lake.root), ("m:0",)))
    with pytest.raises(UsageError, match="m:0"):
        found()


def test_what_is_open_is_read_once(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    read, load = [], searching.load

    def counted(folder: Path, **named: bool) -> searching.Index:
        read.append(folder)
        return load(folder, **named)

    monkeypatch.setattr(searching, "load", counted)
    opened = phonolake.open(lake.root)
    for query in range(5):
        assert list(opened.similar(f"m:{query}", k=3).track_id) == nearest(query, range(40), 3)
        assert list(opened.similar(f"m:{query}", k=3, where="year < 2005").track_id) == nearest(
            query, [n for n in range(40) if n % 10 < 5], 3
        )
    assert len(read) == 1
    build(lake, again=True)
    assert list(opened.similar("m:0", k=3).track_id) == nearest(0, range(40), 3)
    assert len(read) == 2, "an index that was built again is another one"


def test_a_pinned_lake_is_searched_as_it_was(lake: Lake) -> None:
    with Searcher(lake.pinned()) as searcher:
        add(lake, range(40, 50))
        assert ids(searcher.similar("m:0", k=60)) == nearest(0, range(40), 60)


def test_several_threads_ask_one_searcher(read_only: dict[bool, Lake]) -> None:
    with Searcher(read_only[True]) as searcher, ThreadPoolExecutor(4) as pool:
        asked = list(range(12))
        found = pool.map(lambda q: ids(searcher.similar(f"m:{q}", k=3, where="year >= 2000")), asked)
        assert list(found) == [nearest(q, range(40), 3) for q in asked]


def test_a_searcher_that_was_closed_opens_again(read_only: dict[bool, Lake]) -> None:
    searcher = Searcher(read_only[True])
    for _ in range(2):
        assert ids(searcher.similar("m:0", k=3)) == nearest(0, range(40), 3)
        searcher.close()


def test_an_index_whose_ids_are_damaged_is_forgotten_too(lake: Lake) -> None:
    """Nobody can say whose vectors it holds."""
    (damaged,) = (lake.root / "indexes").glob("*/*/tracks.arrow")
    damaged.write_bytes(b"damaged")
    assert forget.verify(lake, ("m:1",))
    forget.run(forget.Config(str(lake.root), ("m:1",)))
    assert not damaged.exists()
    assert forget.verify(lake, ("m:1",)) == []
