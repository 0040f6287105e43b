"""Instruments against acoustics; pieces against their contract; genres against chance."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import jv
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score

from phonolake.errors import UsageError
from phonolake.records import Hertz, Seconds
from phonolake.synthesis import palette
from phonolake.synthesis.instruments import Drum, Fm, Harmonic, Noise, Pluck
from phonolake.synthesis.music import GENRES, Piece, compose, onsets
from phonolake.synthesis.recipe import Accents
from phonolake.synthesis.studio import Note, play, reverberate
from phonolake.synthesis.styles import STYLES

SR = Hertz(22050)
TIMBRES = {name: t for name, t in vars(palette).items() if isinstance(t, Harmonic | Pluck | Fm | Noise)}
DRUMS = {name: t for name, t in vars(palette).items() if isinstance(t, Drum)}


def spectrum(wave):
    """Magnitudes of a windowed wave at every 0.25 Hz."""
    return np.abs(np.fft.rfft(wave * np.hanning(wave.size), n=4 * SR))


def cents(measured, expected):
    return 1200 * np.log2(measured / expected)


@pytest.mark.parametrize("name", sorted(TIMBRES))
@pytest.mark.parametrize("freq", [41.2, 440.0, 1975.5])
def test_every_timbre_plays_a_note_that_ends(name, freq):
    wave = TIMBRES[name].note(freq, length=Seconds(0.8), sr=SR, bright=1.0, rng=np.random.default_rng(0))
    assert wave.dtype == np.float32
    assert wave.shape == (round(0.8 * SR),)
    assert np.isfinite(wave).all()
    assert 0.2 < np.abs(wave).max() < 1.9
    assert abs(wave[-1]) < 0.02


@pytest.mark.parametrize("name", sorted(DRUMS))
def test_every_drum_dies_away(name):
    wave = DRUMS[name].hit(sr=SR, tune=1.0, rng=np.random.default_rng(0))
    assert np.isfinite(wave).all()
    assert np.abs(wave).max() <= 1.0
    assert np.abs(wave[-20:]).max() < 0.05


@pytest.mark.parametrize("timbre", [palette.STEEL_GUITAR, palette.HARP, palette.ORGAN, palette.FLUTE], ids=str)
@pytest.mark.parametrize("freq", [110.0, 261.63, 830.61])
def test_notes_are_in_tune(timbre, freq):
    wave = timbre.note(freq, length=Seconds(1.0), sr=SR, bright=1.0, rng=np.random.default_rng(1))
    around = slice(round(4 * freq * 0.94), round(4 * freq * 1.06))
    peak = (around.start + spectrum(wave)[around].argmax()) / 4
    assert abs(cents(peak, freq)) < 8


def test_square_wave_has_odd_partials_only():
    note = Harmonic(even=0.0, sustain=1.0).note(
        200.0, length=Seconds(1.0), sr=SR, bright=1.0, rng=np.random.default_rng()
    )
    lines = spectrum(note)[800 * np.arange(1, 7)]
    assert lines[1::2].max() < 0.01 * lines[0]
    np.testing.assert_allclose(lines[::2] / lines[0], [1, 1 / 3, 1 / 5], rtol=0.05)


def test_high_note_does_not_alias():
    note = palette.SQUARE.note(3000.0, length=Seconds(1.0), sr=SR, bright=1.0, rng=np.random.default_rng())
    lines = spectrum(note)
    harmonic = np.zeros(lines.size, dtype=bool)
    for k in range(1, 4):
        harmonic[4 * 3000 * k - 400 : 4 * 3000 * k + 400] = True
    assert lines[~harmonic].max() < 0.03 * lines[harmonic].max()


def test_vowel_is_louder_at_its_formants():
    note = palette.OPEN_VOWEL.note(150.0, length=Seconds(1.0), sr=SR, bright=1.0, rng=np.random.default_rng())
    lines = spectrum(note)
    near = [lines[4 * f - 300 : 4 * f + 300].max() for f in (750, 2000)]
    assert near[0] > 4 * near[1]


def test_fm_sidebands_follow_bessel_functions():
    tone = Fm(ratio=0.5, index=1.0, index_decay=1e4, decay=1e4)
    lines = spectrum(tone.note(1000.0, length=Seconds(1.0), sr=SR, bright=1.0, rng=np.random.default_rng()))
    carrier, sideband = lines[4 * 1000], lines[4 * 1500]
    assert sideband / carrier == pytest.approx(jv(1, 1.0) / jv(0, 1.0), rel=0.02)


def test_room_rings_for_its_reverberation_time():
    click = np.zeros(2 * SR, dtype=np.float32)
    click[0] = 1
    tail = reverberate(click, wet=1.0, decay=Seconds(1.5), sr=SR, rng=np.random.default_rng(0))
    early, late = (np.sqrt(np.mean(tail[a : a + SR // 10] ** 2)) for a in (0, SR // 2))
    assert 20 * np.log10(early / late) == pytest.approx(60 * 0.5 / 1.5, abs=1.5)


def test_note_outside_the_buffer_is_cut():
    notes = [Note(-0.05, 0.1, 69, 1.0), Note(0.95, 0.5, 69, 1.0), Note(7.0, 0.1, 69, 1.0)]
    wave = play(notes, palette.ORGAN, n=SR, sr=SR, rng=np.random.default_rng(0))
    assert wave.shape == (SR,)
    assert np.abs(wave[: SR // 50]).max() > 0.1
    assert not wave[SR // 10 : 9 * SR // 10].any()
    assert np.abs(wave[-SR // 50 :]).max() > 0.1


def test_accents_place_the_onsets():
    rng = np.random.default_rng(0)
    assert onsets(Accents(1, 0, 0, 0), palette.COMMON, rng).tolist() == [0, 8]
    assert onsets(Accents(0, 1, 0, 0), palette.WALTZ, rng).tolist() == [4, 8]
    assert onsets(Accents(1, 1, 1, 0), palette.SEVEN, rng).tolist() == [0, 2, 4, 6, 8, 11]


def test_chords_belong_to_the_key():
    song = Piece(0.1, palette.COMMON, 0.0, 4, 0.0, tonic=2, scale=palette.MAJOR, progression=(0, 4, 5, 3))
    names = [[pitch % 12 for pitch in song.chord(bar, palette.TRIAD, 48)] for bar in range(4)]
    assert names == [[2, 6, 9], [9, 1, 4], [11, 2, 6], [7, 11, 2]]  # D, A, Bm, G
    assert all(48 <= song.chord(bar, palette.ROOT, 48)[0] < 60 for bar in range(4))


@given(
    genre=st.sampled_from(GENRES),
    seed=st.integers(0, 2**32),
    duration=st.floats(0.05, 3.0),
    sr=st.sampled_from([8000, 16000, 22050, 44100]),
)
@settings(max_examples=40)
def test_piece_is_finite_bounded_and_as_long_as_asked(genre, seed, duration, sr):
    wave = compose(genre, rng=np.random.default_rng(seed), duration=Seconds(duration), sr=Hertz(sr))
    assert wave.dtype == np.float32
    assert wave.shape == (round(duration * sr),)
    assert np.isfinite(wave).all()
    assert np.abs(wave).max() <= 1.0
    assert wave.any()


@pytest.mark.parametrize("genre", GENRES)
def test_same_generator_gives_the_same_piece(genre):
    first, again, other = (
        compose(genre, rng=np.random.default_rng(seed), duration=Seconds(2), sr=SR) for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_unknown_genre_is_named():
    with pytest.raises(UsageError, match=r"unknown genre 'Folkk'\. Did you mean 'Folk'"):
        compose("Folkk", rng=np.random.default_rng(), duration=Seconds(1), sr=SR)


def test_duration_without_a_sample_is_refused():
    with pytest.raises(UsageError, match="duration 0"):
        compose("Folk", rng=np.random.default_rng(), duration=Seconds(0), sr=SR)


def test_genres_are_those_of_fma_small():
    assert set(GENRES) == set(STYLES)
    assert set(GENRES) == {
        *("Electronic", "Experimental", "Folk", "Hip-Hop", "Instrumental", "International", "Pop", "Rock")
    }


def band_levels(wave):
    """Mean and spread over time of the level in 20 bands, a coarse cousin of MFCC statistics: shape (40,)."""
    frames = np.abs(np.fft.rfft(wave[: wave.size // 1024 * 1024].reshape(-1, 1024) * np.hanning(1024), axis=1)) ** 2
    edges = np.unique(np.geomspace(1, 512, 21).astype(int))
    levels = np.log10(np.add.reduceat(frames, edges[:-1], axis=1) + 1e-6)
    return np.concatenate([levels.mean(axis=0), levels.std(axis=0)])


@pytest.fixture(scope="module")
def pieces():
    waves, labels = [], []
    for label, genre in enumerate(GENRES):
        for i in range(16):
            waves.append(compose(genre, rng=np.random.default_rng([label, i]), duration=Seconds(4), sr=SR))
            labels.append(label)
    return waves, labels


@pytest.mark.long
def test_genres_can_be_told_apart_but_not_easily(pieces):
    waves, labels = pieces
    X = np.array([band_levels(wave) for wave in waves])
    accuracy = cross_val_score(RandomForestClassifier(100, random_state=0), X, labels, cv=4).mean()
    assert 0.4 < accuracy < 0.95  # chance is 0.125


def test_loudness_alone_does_not_give_the_genre_away(pieces):
    waves, labels = pieces
    X = np.array([[np.sqrt(np.mean(wave**2))] for wave in waves])
    accuracy = cross_val_score(RandomForestClassifier(50, min_samples_leaf=3, random_state=0), X, labels, cv=4).mean()
    assert accuracy < 0.4


def test_composing_is_faster_than_listening():
    start = time.perf_counter()
    for genre in GENRES:
        compose(genre, rng=np.random.default_rng(0), duration=Seconds(10), sr=SR)
    assert time.perf_counter() - start < 8  # 1 s a piece, thirty times what it takes on an idle machine
