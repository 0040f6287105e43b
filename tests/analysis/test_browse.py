"""Filters, pages and facts of tracks, against tables written by hand."""

import duckdb
import pytest

from phonolake.errors import UsageError
from phonolake.lookup import browse
from phonolake.lookup.browse import Filter
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
        (Filter(min_seconds=20, max_seconds=30), ["a:2", "b:1"]),
        (Filter(dataset="a", text="anna", max_seconds=10), ["a:1"]),
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
