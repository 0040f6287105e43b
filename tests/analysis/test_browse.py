"""Filters, pages and facts of tracks, against tables written by hand."""

import itertools

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phonolake.errors import UsageError
from phonolake.lookup import browse, measures
from phonolake.lookup.browse import Filter
from phonolake.lookup.measures import Range
from phonolake.store import schema

TRACKS = [
    ("a:1", "a", "1", "Blue Song", "Anna", 10.0),
    ("a:2", "a", "2", None, None, 20.0),
    ("b:1", "b", "1", "50% off_", "Bert", 30.0),
    ("b:2", "b", "2", "Čas", "Anna", 40.0),
]


@pytest.fixture
def lake() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    for name in ("tracks", "audio", "labels", "splits"):
        connection.execute((schema.sql_folder() / f"{name}.sql").read_text(encoding="utf-8"))
    connection.executemany(
        "INSERT INTO tracks (track_id, dataset, source_id, title, artist, duration_seconds, config_hash, code_version) "
        "VALUES ($1, $2, $3, $4, $5, $6, '', '')",
        TRACKS,
    )
    connection.execute(
        "INSERT INTO labels (track_id, label, value, source) VALUES "
        "('a:1', 'rock', 1, 'dataset'), ('a:1', 'loud', 1, 'tags'), "
        "('b:1', 'rock', 0, 'dataset'), ('b:1', 'folk', 1, 'dataset'), ('b:1', 'acoustic', 1, 'dataset')"
    )
    connection.execute("INSERT INTO splits VALUES ('a:1', 'official', 'train', NULL), ('a:1', 'folds', NULL, 3)")
    # A large file, in two pieces.
    connection.execute(
        "INSERT INTO audio BY NAME SELECT 'a:1' AS track_id, 'x'::BLOB AS bytes, unnest([0, 1]) AS piece, "
        "'MP3' AS container, 'MPEG_LAYER_III' AS codec, 44100 AS sr, 2 AS channels, 441000 AS n_samples, "
        "-1 AS peak_dbfs, -12 AS rms_dbfs, '' AS sha256, '' AS source_path, 1 AS source_bytes, 1 AS source_mtime"
    )
    connection.execute("UPDATE tracks SET year = CASE track_id WHEN 'b:1' THEN 1995 ELSE 2005 END WHERE dataset = 'b'")
    # Of a track with several rows the mean counts.
    connection.execute("CREATE TABLE features_toy AS SELECT 'b:1' AS track_id, unnest([100, 120])::DOUBLE AS tempo")
    return connection


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Filter(), ["a:1", "a:2", "b:1", "b:2"]),
        (Filter(dataset="b"), ["b:1", "b:2"]),
        (Filter(label="rock"), ["a:1"]),
        (Filter(label="loud"), ["a:1"]),
        (Filter(label="no such"), []),
        (Filter(text="ANNA"), ["a:1", "b:2"]),
        (Filter(text="  blue song "), ["a:1"]),
        (Filter(text="a:2"), ["a:2"]),
        (Filter(text="čas"), ["b:2"]),
        (Filter(text="CAS"), ["b:2"]),
        (Filter(text="anna blue"), ["a:1"]),
        (Filter(text="anna bert"), []),
        (Filter(text="   "), ["a:1", "a:2", "b:1", "b:2"]),
        (Filter(text="0% off_"), ["b:1"]),
        (Filter(text="_%"), []),
        (Filter(text="'; DROP TABLE tracks; --"), []),
        (Filter(ranges=(Range("duration", 20, 30),)), ["a:2", "b:1"]),
        (Filter(dataset="a", text="anna", ranges=(Range("duration", high=10),)), ["a:1"]),
        (Filter(ranges=(Range("duration", 20), Range("year", 1990, 1999.5))), ["b:1"]),
        (Filter(ranges=(Range("year"),)), ["b:1", "b:2"]),
        (Filter(ranges=(Range("loudness", -12, -12),)), ["a:1"]),
        (Filter(ranges=(Range("features_toy.tempo", 100.5),)), ["b:1"]),
        (Filter(text="it's"), []),
        (Filter(where="title LIKE '%Song' OR artist IS NULL"), ["a:1", "a:2"]),
        (Filter(where="duration_seconds > 15 -- long", dataset="a"), ["a:2"]),
        (Filter(where="track_id IN (SELECT track_id FROM labels WHERE label = 'folk')"), ["b:1"]),
    ],
)
def test_filters(lake: duckdb.DuckDBPyConnection, wanted: Filter, found: list[str]) -> None:
    assert [line.track_id for line in browse.page(lake, wanted, limit=10)] == found
    assert browse.count(lake, wanted) == len(found)


def test_pages_are_disjoint_and_complete(lake: duckdb.DuckDBPyConnection) -> None:
    pages = [browse.page(lake, Filter(), limit=3, offset=offset) for offset in (0, 3, 6)]
    assert [[line.track_id for line in page] for page in pages] == [["a:1", "a:2", "b:1"], ["b:2"], []]


def test_lists_are_sorted_and_what_lacks_the_value_comes_last(lake: duckdb.DuckDBPyConnection) -> None:
    def found(order: str, *, descending: bool = False) -> list[str]:
        return [line.track_id for line in browse.page(lake, Filter(), limit=9, order=order, descending=descending)]

    assert found("duration", descending=True) == ["b:2", "b:1", "a:2", "a:1"]
    assert found("artist") == ["a:1", "b:2", "b:1", "a:2"]
    assert found("artist", descending=True) == ["b:1", "a:1", "b:2", "a:2"]
    # Of titles in any case and without accents: a track without one is called by its name in the dataset.
    assert found("title") == ["a:2", "b:1", "a:1", "b:2"]
    second = browse.page(lake, Filter(), limit=2, offset=2, order="duration", descending=True)
    assert [line.track_id for line in second] == ["a:2", "a:1"]
    with pytest.raises(UsageError, match="unknown order 'size'"):
        browse.page(lake, Filter(), limit=1, order="size")


def test_a_selection_is_taken_out(lake: duckdb.DuckDBPyConnection) -> None:
    lake.execute("UPDATE audio SET source_path = '/music/blue.mp3'")
    found = browse.table(lake, Filter(dataset="a"))
    assert found["track_id"].to_pylist() == browse.ids(lake, Filter(dataset="a")) == ["a:1", "a:2"]
    assert found["labels"].to_pylist() == ["rock", None]
    assert browse.playlist(found) == "#EXTM3U\n#EXTINF:10,Anna - Blue Song\n/music/blue.mp3\n"


def test_a_line_has_a_name_and_the_labels_of_the_dataset(lake: duckdb.DuckDBPyConnection) -> None:
    first, second, third, _ = browse.page(lake, Filter(), limit=4)
    assert (first.title, first.labels) == ("Blue Song", "rock")
    assert (second.title, second.labels) == ("2", None)
    assert third.labels == "acoustic, folk"


def test_facts_gather_what_is_said(lake: duckdb.DuckDBPyConnection) -> None:
    facts = browse.facts(lake, "a:1")
    assert (facts.title, facts.container, facts.sr, facts.channels) == ("Blue Song", "MP3", 44100, 2)
    assert facts.labels == {"dataset": ["rock"], "tags": ["loud"]}
    assert facts.splits == {"folds": "fold 3", "official": "train"}


def test_a_track_without_audio_still_has_facts(lake: duckdb.DuckDBPyConnection) -> None:
    facts = browse.facts(lake, "a:2")
    assert (facts.container, facts.labels, facts.splits) == (None, {}, {})


def test_an_unknown_track_is_refused(lake: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(UsageError, match="no track 'c:1'"):
        browse.facts(lake, "c:1")


@pytest.mark.parametrize(
    "where", ["no_such > 1", "year >", "1); DROP TABLE tracks; --", "1 = 1); DROP TABLE tracks --"]
)
def test_a_condition_that_is_none_is_one_line(lake: duckdb.DuckDBPyConnection, where: str) -> None:
    with pytest.raises(UsageError) as refusal:
        browse.check(lake, Filter(where=where))
    assert "\n" not in str(refusal.value)
    assert browse.count(lake, Filter()) == 4


def test_tracks_of_two_labels(lake: duckdb.DuckDBPyConnection) -> None:
    assert browse.of_pair(lake, "folk", "acoustic") == ["b:1"]
    assert browse.of_pair(lake, "rock", "folk", which="first") == ["a:1"]
    assert browse.of_pair(lake, "rock", "folk", which="second") == ["b:1"]
    assert browse.of_pair(lake, "rock", "folk") == []
    with pytest.raises(UsageError, match="Known: both, first, second"):
        browse.of_pair(lake, "rock", "folk", which="none")


def test_lines_of_known_tracks(lake: duckdb.DuckDBPyConnection) -> None:
    found = browse.lines(lake, ["b:1", "zzz", "a:1"])
    assert [(line.track_id, line.labels) for line in found] == [("a:1", "rock"), ("b:1", "acoustic, folk")]


def test_a_filter_is_one_condition_for_whoever_asks(lake: duckdb.DuckDBPyConnection) -> None:
    wanted = Filter(dataset="b", text="anna", ranges=(Range("duration", 40),), where="year > 2000 -- late")
    sql = f"SELECT track_id FROM tracks WHERE {browse.condition(lake, wanted)}"
    assert lake.execute(sql).fetchall() == [("b:2",)]
    assert browse.condition(lake, Filter()) == "true"


def test_lists_are_sorted_by_measures_and_show_them(lake: duckdb.DuckDBPyConnection) -> None:
    found = browse.page(lake, Filter(), limit=9, order="year", descending=True)
    assert [line.track_id for line in found] == ["b:2", "b:1", "a:1", "a:2"]
    found = browse.page(lake, Filter(), limit=9, order="features_toy.tempo")
    assert [line.track_id for line in found] == ["b:1", "a:1", "a:2", "b:2"]
    assert measures.values(lake, "features_toy.tempo", ["a:1", "b:1"]) == {"b:1": 110}


@given(
    values=st.lists(st.floats(-1e6, 1e6, width=32).map(float), min_size=1, max_size=40),
    cut=st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)).map(sorted),
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_histograms_count_every_track_once(
    lake: duckdb.DuckDBPyConnection, values: list[float], cut: list[float]
) -> None:
    lake.execute("CREATE OR REPLACE TABLE features_toy AS SELECT 't' || n AS track_id, v AS tempo FROM "
                 "(SELECT unnest($1) AS n, unnest($2::DOUBLE[]) AS v)", [list(range(len(values))), values])  # fmt: skip
    found = measures.histogram(lake, "features_toy.tempo")
    assert sum(one.n_tracks for one in found) == len(values)
    assert len(found) <= measures.MOST_BINS
    assert found[0].low <= min(values)
    assert found[-1].high >= max(values) - 1e-9 * abs(max(values))
    assert all(one.high == other.low for one, other in itertools.pairwise(found))
    inside = sum(cut[0] <= value <= cut[1] for value in values)
    condition = measures.condition(lake, Range("features_toy.tempo", *cut))
    assert lake.execute(f"SELECT count(*) FROM features_toy WHERE {condition}").fetchall() == [(inside,)]


def test_a_histogram_of_some_tracks_keeps_its_bins(lake: duckdb.DuckDBPyConnection) -> None:
    every, some = (measures.histogram(lake, "duration", among) for among in (None, "dataset = 'a'"))
    assert [(b.low, b.high) for b in every] == [(b.low, b.high) for b in some]
    assert [(b.low, b.n_tracks) for b in some if b.n_tracks] == [(10, 1), (20, 1)]
    assert measures.histogram(lake, "peak", "dataset = 'b'")[0].n_tracks == 0
    lake.execute("DELETE FROM audio")
    assert measures.histogram(lake, "peak") == []


@pytest.mark.parametrize(("first", "last"), [(2008, 2017), (1950, 2020), (2010, 2010)])
def test_years_are_never_cut_into_halves(lake: duckdb.DuckDBPyConnection, first: int, last: int) -> None:
    """And the last year has a bin of its own."""
    lake.execute("DELETE FROM tracks")
    lake.execute(
        "INSERT INTO tracks BY NAME SELECT 't' || y AS track_id, 'a' AS dataset, 't' AS source_id, y AS year, "
        "1.0 AS duration_seconds, 'c' AS config_hash, '0' AS code_version FROM range($1::INT, $2::INT + 1) AS r(y)",
        [first, last],
    )
    found = measures.histogram(lake, "year")
    width = found[0].high - found[0].low
    assert width == int(width)
    assert len(found) <= measures.MOST_BINS
    assert [one.n_tracks for one in found[1:-1]] == [width] * (len(found) - 2)
    assert found[-1].low <= last < found[-1].high
    assert sum(one.n_tracks for one in found) == last - first + 1


@pytest.mark.parametrize("wrong", [Range("no such", 1), Range("duration", float("nan")), Range("year", float("inf"))])
def test_a_range_that_is_none_is_refused(lake: duckdb.DuckDBPyConnection, wrong: Range) -> None:
    with pytest.raises(UsageError):
        browse.count(lake, Filter(ranges=(wrong,)))
