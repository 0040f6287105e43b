"""Folds: every track in one, no artist in two, classes balanced, and what was dealt stays."""

from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonolake.errors import UsageError
from phonolake.stages import split
from phonolake.stages.split import deal
from phonolake.store import catalog, schema
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import write_rows

pytestmark = pytest.mark.timeout(60)

Row = tuple[str, str, str, int | None]


@st.composite
def collections(draw: st.DrawFn, *, dealt: bool = False) -> tuple[list[Row], int, int]:
    """Tracks with labels and artists, some of which have a fold already, the number of folds and a seed."""
    n_folds = draw(st.integers(2, 6))
    n_artists = draw(st.integers(1, 12))
    tracks = draw(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, n_artists - 1)), max_size=60))
    homes = draw(st.lists(st.none() | st.integers(1, n_folds), min_size=n_artists, max_size=n_artists))
    rows: list[Row] = []
    for i, (label, artist) in enumerate(tracks):
        # Of an artist with a fold some tracks came earlier and have it, and some are new.
        fold = homes[artist] if dealt and draw(st.booleans()) else None
        rows.append((f"t{i:03d}", label, f"artist {artist}", fold))
    return rows, n_folds, draw(st.integers(0, 100))


@settings(deadline=None, max_examples=150)
@given(collections(dealt=True))
def test_every_track_without_a_fold_gets_one_and_no_other_does(given_: tuple[list[Row], int, int]) -> None:
    rows, n_folds, seed = given_
    folds = deal(rows, n_folds=n_folds, seed=seed)
    assert list(folds) == sorted(track for track, _, _, fold in rows if fold is None)
    assert all(1 <= fold <= n_folds for fold in folds.values())


@settings(deadline=None, max_examples=150)
@given(collections(dealt=True))
def test_an_artist_is_on_one_side_with_the_tracks_dealt_before(given_: tuple[list[Row], int, int]) -> None:
    rows, n_folds, seed = given_
    folds = deal(rows, n_folds=n_folds, seed=seed)
    sides = defaultdict(set)
    for track, _, artist, fold in rows:
        sides[artist].add(fold or folds[track])
    assert all(len(found) == 1 for found in sides.values())


@settings(deadline=None, max_examples=150)
@given(st.lists(st.sampled_from("abcd"), max_size=80), st.integers(2, 7), st.integers(0, 100))
def test_artists_of_one_track_leave_every_label_balanced_within_one(labels: list[str], n_folds: int, seed: int) -> None:
    rows: list[Row] = [(f"t{i:03d}", label, f"artist {i}", None) for i, label in enumerate(labels)]
    folds = deal(rows, n_folds=n_folds, seed=seed)
    for label in set(labels):
        counts = Counter(folds[track] for track, its, _, _ in rows if its == label)
        held = [counts[fold] for fold in range(1, n_folds + 1)]
        assert max(held) - min(held) <= 1
        assert sum(held) == labels.count(label)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from("ab"), min_size=1, max_size=60), st.lists(st.sampled_from("ab"), max_size=60))
def test_new_tracks_are_balanced_together_with_those_that_were_there(first: list[str], second: list[str]) -> None:
    before: list[Row] = [(f"t{i:03d}", label, f"artist {i}", None) for i, label in enumerate(first)]
    folds = deal(before, n_folds=5, seed=0)
    rows: list[Row] = [(track, label, artist, folds[track]) for track, label, artist, _ in before]
    rows += [(f"u{i:03d}", label, f"newcomer {i}", None) for i, label in enumerate(second)]
    folds |= deal(rows, n_folds=5, seed=0)
    for label in "ab":
        counts = Counter(folds[track] for track, its, _, _ in rows if its == label)
        held = [counts[fold] for fold in range(1, 6)]
        assert max(held) - min(held) <= 1


@settings(deadline=None, max_examples=50)
@given(collections(dealt=True))
def test_the_same_tracks_are_dealt_the_same_way(given_: tuple[list[Row], int, int]) -> None:
    rows, n_folds, seed = given_
    assert deal(rows, n_folds=n_folds, seed=seed) == deal(list(rows), n_folds=n_folds, seed=seed)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from("ab"), max_size=40), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(labels: list[str], random: object) -> None:
    rows: list[Row] = [(f"t{i:03d}", label, f"artist {i % 9}", None) for i, label in enumerate(labels)]
    # Apart from artists whose labels are tied, which a query that sorts its rows settles.
    rows = [(track, "ab"[int(artist[-1]) % 2], artist, fold) for track, _, artist, fold in rows]
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert deal(shuffled, n_folds=3, seed=1) == deal(rows, n_folds=3, seed=1)


def test_another_seed_deals_otherwise() -> None:
    rows: list[Row] = [(f"t{i:03d}", "ab"[i % 2], f"artist {i}", None) for i in range(50)]
    dealt = {tuple(deal(rows, n_folds=5, seed=seed).values()) for seed in range(5)}
    assert len(dealt) == 5


def test_large_artists_do_not_pile_up() -> None:
    # Ten artists of ten tracks each into five folds: two artists in each.
    rows: list[Row] = [(f"t{i:03d}", "a", f"artist {i // 10}", None) for i in range(100)]
    assert sorted(Counter(deal(rows, n_folds=5, seed=0).values()).values()) == [20] * 5


def test_small_artists_fill_what_a_large_one_left_uneven() -> None:
    rows: list[Row] = [(f"t{i:03d}", "a", "prolific" if i < 20 else f"artist {i}", None) for i in range(100)]
    assert sorted(Counter(deal(rows, n_folds=5, seed=0).values()).values()) == [20] * 5


def test_nothing_to_deal() -> None:
    assert deal([], n_folds=5, seed=0) == {}
    assert deal([("t", "a", "artist", 3)], n_folds=5, seed=0) == {}


@pytest.mark.parametrize("n_folds", [1, 0, -3])
def test_less_than_two_folds_are_no_split(n_folds: int) -> None:
    with pytest.raises(UsageError, match=f"needs 2 folds or more, received {n_folds}"):
        split.Config("lake", n_folds=n_folds)


# -- the stage, over a lake that holds nothing but names --------------------------------------------------------------


def add_tracks(lake: Lake, names: list[str], *, artist: str | None = None) -> None:
    tracks = [
        {
            "track_id": f"x:{name}",
            "dataset": "x",
            "source_id": name,
            "artist": artist,
            "duration_seconds": 1.0,
            "config_hash": "",
            "code_version": "",
        }
        for name in names
    ]
    # Two labels of one source, and a file tag that the split is not asked to balance.
    labels = [
        {"track_id": f"x:{name}", "label": label, "value": 1, "source": source}
        for name in names
        for label, source in ((name[0], "dataset"), ("z", "dataset"), ("noise", "file-tag"))
    ]
    changes = {}
    for table, rows in {"tracks": tracks, "labels": labels}.items():
        shard = write_rows(lake.path(table, f"s-{names[0]}"), schema.table(table).arrow, rows)
        changes[table] = Change(schema.table(table), [shard])
    lake.commit(changes)


def stored(lake: Lake, name: str) -> dict[str, int]:
    with catalog.connect(lake) as connection:
        return dict(connection.execute("SELECT track_id, fold FROM splits WHERE split = $1", [name]).fetchall())


def test_split_stage_deals_once_and_deals_newcomers_in(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake")
    add_tracks(lake, [f"a{i}" for i in range(9)] + [f"b{i}" for i in range(9)])
    config = split.Config(str(lake.root), n_folds=3, seed=4)
    outcome = split.run(config)
    assert (outcome.inputs, outcome.outputs, outcome.rejects) == (18, 18, 0)
    first = stored(lake, "random-3-seed-4")
    assert len(first) == 18
    for label in "ab":
        assert sorted(Counter(fold for track, fold in first.items() if track[2] == label).values()) == [3, 3, 3]

    again = split.run(config)
    assert (again.run_id, again.inputs) == (None, 0)
    assert stored(lake, "random-3-seed-4") == first

    add_tracks(lake, [f"c{i}" for i in range(6)], artist="one artist")
    assert split.run(config).inputs == 6
    second = stored(lake, "random-3-seed-4")
    assert {track: second[track] for track in first} == first
    assert len({fold for track, fold in second.items() if track[2] == "c"}) == 1

    # Another split stands beside it.
    split.run(split.Config(str(lake.root), n_folds=2))
    assert stored(lake, "random-3-seed-4") == second
    assert len(stored(lake, "random-2-seed-0")) == 24


def test_tracks_without_a_label_of_the_source_are_left_out(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake")
    add_tracks(lake, ["a1", "a2"])
    outcome = split.run(split.Config(str(lake.root), labels="tags"))
    assert (outcome.run_id, outcome.inputs) == (None, 0)
    assert split.run(split.Config(str(lake.root), labels="file-tag")).inputs == 2
