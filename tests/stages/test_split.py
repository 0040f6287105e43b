"""Folds: every track in one, no artist in two, classes balanced, and what was dealt stays."""

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonolake.analysis.collection import splits
from phonolake.errors import PhonolakeError, UsageError
from phonolake.lineage import digest
from phonolake.lookup import kinship
from phonolake.stages import pipeline, split
from phonolake.stages.split import deal
from phonolake.stages.stratify import stratify
from phonolake.store import catalog, query, schema
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


@settings(max_examples=150)
@given(collections(dealt=True))
def test_every_track_without_a_fold_gets_one_and_no_other_does(given_: tuple[list[Row], int, int]) -> None:
    rows, n_folds, seed = given_
    folds = deal(rows, n_folds=n_folds, seed=seed)
    assert list(folds) == sorted(track for track, _, _, fold in rows if fold is None)
    assert all(1 <= fold <= n_folds for fold in folds.values())


@settings(max_examples=150)
@given(collections(dealt=True))
def test_an_artist_is_on_one_side_with_the_tracks_dealt_before(given_: tuple[list[Row], int, int]) -> None:
    rows, n_folds, seed = given_
    folds = deal(rows, n_folds=n_folds, seed=seed)
    sides = defaultdict(set)
    for track, _, artist, fold in rows:
        sides[artist].add(fold or folds[track])
    assert all(len(found) == 1 for found in sides.values())


@settings(max_examples=150)
@given(st.lists(st.sampled_from("abcd"), max_size=80), st.integers(2, 7), st.integers(0, 100))
def test_artists_of_one_track_leave_every_label_balanced_within_one(labels: list[str], n_folds: int, seed: int) -> None:
    rows: list[Row] = [(f"t{i:03d}", label, f"artist {i}", None) for i, label in enumerate(labels)]
    folds = deal(rows, n_folds=n_folds, seed=seed)
    for label in set(labels):
        counts = Counter(folds[track] for track, its, _, _ in rows if its == label)
        held = [counts[fold] for fold in range(1, n_folds + 1)]
        assert max(held) - min(held) <= 1
        assert sum(held) == labels.count(label)


@settings(max_examples=50)
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


@settings(max_examples=50)
@given(collections(dealt=True))
def test_the_same_tracks_are_dealt_the_same_way(given_: tuple[list[Row], int, int]) -> None:
    rows, n_folds, seed = given_
    assert deal(rows, n_folds=n_folds, seed=seed) == deal(list(rows), n_folds=n_folds, seed=seed)


@settings(max_examples=50)
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
    add_tracks(lake, ["a1", "a2", "a3"])
    with pytest.raises(UsageError, match="unknown label source 'tags'"):
        split.run(split.Config(str(lake.root), labels="tags"))
    table, rows = schema.table("labels"), [{"track_id": f"x:a{n}", "label": "calm", "value": 1} for n in (1, 2)]
    shard = write_rows(lake.path("labels", "tags"), table.arrow, [row | {"source": "tags"} for row in rows])
    lake.commit({"labels": Change(table, [shard])})
    assert split.run(split.Config(str(lake.root), labels="tags")).inputs == 2
    assert split.run(split.Config(str(lake.root), labels="file-tag")).inputs == 1  # the third is dealt in


# -- who belongs together ---------------------------------------------------------------------------------------------


def put(lake: Lake, **tables: list[dict]) -> None:
    stamp = {"config_hash": "", "code_version": ""}
    filled = {
        "tracks": {"dataset": "x", "source_id": "", "duration_seconds": 1.0} | stamp,
        "labels": {"value": 1, "source": "dataset"},
        "metadata": {"attributes": "{}", "metadata_hash": ""},
        "duplicates": {"similarity": 0.9, "offset_seconds": 0.0} | stamp,
    }
    changes = {}
    for name, rows in tables.items():
        table = schema.table(name)
        path = lake.path(name, f"s-{digest(rows)}")
        changes[name] = Change(table, [write_rows(path, table.arrow, [filled[name] | row for row in rows])])
    lake.commit(changes)


def leaks(lake: Lake) -> list[splits.Leak]:
    with query.connect(lake) as connection:
        return [leak for leak in splits.check(connection) if leak.kind != "album"]


def test_lakes_in_which_nobody_is_related_anew_are_dealt_as_ever(tmp_path: Path) -> None:
    """Bit for bit: by the raw names of artists, which is what the folds of old lakes were dealt by."""
    lake = Lake.create(tmp_path / "lake")
    artists = [None if n % 5 == 0 else f"{'zYxÉb'[n % 5]} {n % 7}" for n in range(60)]
    rows: list[Row] = [(f"x:{n:02}", "abc"[n % 7 % 3], artist or f"x:{n:02}", None) for n, artist in enumerate(artists)]
    numbers = {name: str(n) for n, name in enumerate(sorted({a for a in artists if a}, key=lambda a: a[::-1]))}
    put(
        lake,
        tracks=[{"track_id": row[0], "artist": artist} for row, artist in zip(rows, artists, strict=True)],
        labels=[{"track_id": track, "label": label} for track, label, *_ in rows],
        # Numbers that say the same as the names, and a copy of a track within its artist.
        metadata=[{"track_id": r[0], "artist_id": numbers.get(a)} for r, a in zip(rows, artists, strict=True)],
        duplicates=[{"track_id": "x:01", "other_id": "x:36", "kind": "near"}],
    )
    folds = {}
    for seed in range(2):
        split.run(split.Config(str(lake.root), n_folds=4, seed=seed))
        folds[seed] = stored(lake, f"random-4-seed-{seed}")
        assert folds[seed] == deal(rows, n_folds=4, seed=seed)
    assert digest([list(folds[seed].items()) for seed in range(2)]) == "2b8c45e05bae"


def test_what_split_deals_splits_check_finds_clean(tmp_path: Path) -> None:
    """Spellings, numbers and copies, and chains of them, over two datasets."""
    lake = Lake.create(tmp_path / "lake")
    spelt = ["The Band", "the band", " THE  BAND ", "Beyonce\u0301", "Beyonc\u00e9", "BEYONCE", "Björk", "bjork"]
    rng = np.random.default_rng(0)
    ids = [f"{'xy'[n % 2]}:{n:03}" for n in range(120)]
    artists = [spelt[n % 8] if n % 3 else (f"other {n}" if n % 2 else None) for n in range(120)]
    pairs = [sorted(rng.choice(ids, 2, replace=False)) for _ in range(25)]
    put(
        lake,
        tracks=[{"track_id": i, "artist": a, "dataset": i[0]} for i, a in zip(ids, artists, strict=True)],
        labels=[{"track_id": i, "label": "ab"[n % 2]} for n, i in enumerate(ids)],
        metadata=[{"track_id": i, "artist_id": str(n % 9) if n % 4 == 0 else None} for n, i in enumerate(ids)],
        duplicates=[{"track_id": a, "other_id": b, "kind": ("near", "exact")[n % 2]} for n, (a, b) in enumerate(pairs)],
    )
    for seed in range(2):
        split.run(split.Config(str(lake.root), n_folds=3, seed=seed))
    assert leaks(lake) == []
    with query.connect(lake) as connection:
        assert len(set(kinship.groups(connection).values())) > 10


def test_marks_that_are_letters_tell_names_apart() -> None:
    assert kinship.folded("ガ") != kinship.folded("カ")
    assert kinship.folded("कि") != kinship.folded("का")
    assert kinship.folded("Straße") == kinship.folded("STRASSE")


def test_without_labels_there_is_nothing_to_split_by(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake")
    put(lake, tracks=[{"track_id": f"x:{n}", "artist": f"{n}"} for n in range(4)])
    with pytest.raises(PhonolakeError, match="no track has a dataset label to split by: bring some with"):
        split.run(split.Config(str(lake.root)))
    assert not lake.versions().get("splits")


def test_one_artist_alone_cannot_be_split(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake")
    put(
        lake,
        tracks=[{"track_id": f"x:{n}", "artist": ("Solo", "solo ", None)[n % 3]} for n in range(12)],
        labels=[{"track_id": f"x:{n}", "label": "ab"[n % 2]} for n in range(12)],
        duplicates=[{"track_id": "x:0", "other_id": f"x:{n}", "kind": "exact"} for n in (2, 5, 8, 11)],
    )
    with pytest.raises(UsageError, match="no split is possible: all 12 tracks"):
        split.run(split.Config(str(lake.root)))
    assert not lake.versions().get("splits")
    # `phonolake run` goes on without training.
    assert pipeline.choose_models(str(lake.root), "tagger") == ()


def test_copies_that_were_found_too_late_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = Lake.create(tmp_path / "lake")
    put(
        lake,
        tracks=[{"track_id": f"x:{n}"} for n in range(4)],
        labels=[{"track_id": f"x:{n}", "label": "a"} for n in range(4)],
    )
    split.run(split.Config(str(lake.root), n_folds=4))
    before = stored(lake, "random-4-seed-0")
    put(lake, duplicates=[{"track_id": "x:0", "other_id": "x:1", "kind": "near"}])
    assert len(leaks(lake)) == 1
    split.run(split.Config(str(lake.root), n_folds=4))
    assert "1 artist(s) or sets of copies are on two sides of random-4-seed-0" in capsys.readouterr().err
    assert stored(lake, "random-4-seed-0") == before


# -- several labels a track -------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sets(st.sampled_from("abcdef"), min_size=1), st.integers(0, 20)), max_size=60),
    st.lists(st.none() | st.integers(1, 4), min_size=21, max_size=21),
    st.integers(0, 9),
)
def test_groups_with_several_labels_stay_together(tracks: list, homes: list[int | None], seed: int) -> None:
    # Of a group with a fold every second track is new.
    rows = [(f"t{n:02}", sorted(of), f"{g}", homes[g] if n % 2 else None) for n, (of, g) in enumerate(tracks)]
    folds = stratify(rows, n_folds=4, seed=seed)
    assert list(folds) == [track for track, _, _, fold in rows if fold is None]
    sides = defaultdict(set)
    for track, _, group, fold in rows:
        sides[group].add(fold or folds[track])
    assert all(len(found) == 1 for found in sides.values())
    assert stratify(rows[::-1], n_folds=4, seed=seed) == folds


def test_every_fold_gets_every_tag_that_enough_artists_have(tmp_path: Path) -> None:
    """60 tags from common to rare over 400 artists of up to four tracks, into 10 folds; as in collections of tags."""
    rng = np.random.default_rng(3)
    lake = Lake.create(tmp_path / "lake")
    shares = np.geomspace(0.3, 0.03, 60)
    groups = [f"artist {a:03}" for a in range(400) for _ in range(rng.integers(1, 5))]
    tags = [np.flatnonzero(rng.random(60) < shares) for _ in groups]
    put(
        lake,
        tracks=[{"track_id": f"x:{n:04}", "artist": artist} for n, artist in enumerate(groups)],
        labels=[{"track_id": f"x:{n:04}", "label": f"tag {k:02}"} for n, of in enumerate(tags) for k in of],
    )
    split.run(split.Config(str(lake.root), n_folds=10))
    folds = stored(lake, "random-10-seed-0")
    cells = np.zeros((10, 60))
    for n, of in enumerate(tags):
        for k in of:
            cells[folds[f"x:{n:04}"] - 1, k] += 1
    assert (cells > 0).all()
    # And about its tenth of it: artists thrown into folds at random miss that more than twice as far.
    at_random = dict(zip(sorted(set(groups)), rng.integers(0, 10, 400), strict=True))
    thrown = np.zeros((10, 60))
    for artist, of in zip(groups, tags, strict=True):
        thrown[at_random[artist], of] += 1
    missed, missed_at_random = (abs(found - found.mean(axis=0)).sum() for found in (cells, thrown))
    assert missed < 0.5 * missed_at_random
    sizes = Counter(folds.values())
    assert max(sizes.values()) - min(sizes.values()) <= 0.1 * len(folds) / 10 + 4
    split.run(split.Config(str(lake.root), n_folds=10, seed=1))
    assert stored(lake, "random-10-seed-1") != folds
