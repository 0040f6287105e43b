"""Rules that hold for every planned collection."""

import pickle
from collections import Counter, defaultdict
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonolake.errors import UsageError
from phonolake.synthesis.damage import KINDS
from phonolake.synthesis.music import GENRES
from phonolake.synthesis.planning import ALBUM_TRACKS, ARTIST_TRACKS, Config, plan

quick = settings(max_examples=60)


@st.composite
def configs(draw):
    n_tracks = draw(st.integers(1, 400))
    return Config(
        n_tracks=n_tracks,
        seed=draw(st.integers(0, 2**40)),
        label_noise=draw(st.floats(0, 1, exclude_max=True)),
        n_corrupt=draw(st.integers(0, n_tracks)),
    )


@given(configs())
@quick
def test_ids_are_distinct_ascending_and_have_six_digits(config):
    ids = [track.track_id for track in plan(config)]
    assert len(ids) == config.n_tracks
    assert ids == sorted(set(ids))
    assert ids[0] >= 2
    assert ids[-1] < 10**6


@given(configs())
@quick
def test_classes_are_balanced_and_the_split_is_stratified(config):
    tracks = plan(config)
    per_class = Counter(track.genre for track in tracks)
    assert all(abs(per_class[genre] - config.n_tracks / 8) < 1 for genre in GENRES)
    shares = {"training": 0.8, "validation": 0.1, "test": 0.1}
    cells = Counter((track.genre, track.part) for track in tracks)
    sizes = Counter(track.part for track in tracks)
    assert set(sizes) <= set(shares)
    for part, share in shares.items():
        assert abs(sizes[part] - share * config.n_tracks) < 2
        assert all(abs(cells[genre, part] - share * per_class[genre]) < 2 for genre in GENRES)


@given(configs())
@quick
def test_no_artist_or_album_is_on_both_sides(config):
    parts, names, albums, artist_of = (defaultdict(set) for _ in range(4))
    tracks = plan(config)
    for track in tracks:
        parts[track.artist_id].add((track.part, track.genre))
        names[track.artist].add(track.artist_id)
        albums[track.album_id].add((track.album, track.year))
        artist_of[track.album_id].add(track.artist_id)
    assert all(len(found) == 1 for table in (parts, names, albums, artist_of) for found in table.values())
    assert max(Counter(track.artist_id for track in tracks).values()) <= ARTIST_TRACKS
    assert max(Counter(track.album_id for track in tracks).values()) <= ALBUM_TRACKS


@given(configs())
@quick
def test_exactly_the_promised_tracks_are_broken_or_mislabelled(config):
    tracks = plan(config)
    kinds = Counter(track.damage for track in tracks if track.damage)
    assert kinds.total() == config.n_corrupt
    assert set(kinds) <= set(KINDS)
    assert max(kinds.values(), default=0) - min((kinds[kind] for kind in KINDS), default=0) <= 1
    sound = [track for track in tracks if track.damage is None]
    assert sum(track.mislabelled for track in tracks) == round(config.label_noise * len(sound))
    assert sum(track.mislabelled for track in sound) == round(config.label_noise * len(sound))
    assert all(track.given in GENRES for track in tracks)


@given(configs())
@quick
def test_noise_and_damage_leave_the_music_alone(config):
    def music(tracks):
        return [replace(track, given=track.genre, damage=None) for track in tracks]

    assert music(plan(config)) == music(plan(replace(config, label_noise=0.0, n_corrupt=0)))


@given(configs(), st.floats(0, 1, exclude_max=True))
@quick
def test_more_noise_keeps_the_wrong_labels_of_less(config, other):
    less, more = sorted([config.label_noise, other])
    fewer = plan(replace(config, label_noise=less))
    assert all(
        track.given == noisier.given
        for track, noisier in zip(fewer, plan(replace(config, label_noise=more)), strict=True)
        if track.mislabelled
    )


def test_plan_is_deterministic_and_its_tracks_travel():
    config = Config(n_tracks=50, seed=3, label_noise=0.2, n_corrupt=6)
    tracks = plan(config)
    assert tracks == plan(config)
    assert tracks != plan(replace(config, seed=4))
    assert pickle.loads(pickle.dumps((tracks, config))) == (tracks, config)


def test_six_broken_files_show_each_kind_once():
    tracks = plan(Config(n_tracks=20, n_corrupt=6))
    assert sorted(track.damage for track in tracks if track.damage) == sorted(KINDS)


def test_wrong_labels_spread_over_the_other_classes():
    tracks = plan(Config(n_tracks=4000, label_noise=0.5))
    moves = Counter((track.genre, track.given) for track in tracks if track.mislabelled)
    assert len(moves) == 8 * 7
    assert all(10 < count < 70 for count in moves.values())  # 2,000 / 56 = 36 are expected


def test_small_collections_fill_several_folders():
    for n_tracks in (10, 100):
        assert len({track.track_id // 1000 for track in plan(Config(n_tracks=n_tracks))}) >= 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"n_tracks": 0}, "n_tracks is 0"),
        ({"n_tracks": 100_001}, "n_tracks is 100001"),
        ({"seed": -1}, "seed is -1"),
        ({"label_noise": 1.0}, r"label_noise is 1\.0"),
        ({"label_noise": -0.1}, r"label_noise is -0\.1"),
        ({"label_noise": float("nan")}, "label_noise is nan"),
        ({"n_corrupt": 11}, "n_corrupt is 11"),
        ({"n_corrupt": -1}, "n_corrupt is -1"),
        ({"duration": 0.5}, r"duration is 0\.5 s"),
        ({"duration": float("inf")}, "duration is inf"),
        ({"sr": 22000}, "sr is 22000 Hz"),
    ],
)
def test_value_out_of_range_is_named(values, message):
    with pytest.raises(UsageError, match=message):
        Config(**({"n_tracks": 10} | values))
