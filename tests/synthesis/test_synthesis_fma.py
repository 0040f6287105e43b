"""The tree on disk: its bytes, FMA's layout and tables, and files that are broken in the way they claim."""

import ast
import hashlib
import io
import pickle
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from phonolake.errors import UsageError
from phonolake.records import Hertz, Seconds
from phonolake.synthesis import fma, music
from phonolake.synthesis.damage import KINDS, damage

CONFIG = fma.Config(n_tracks=30, seed=7, label_noise=0.25, n_corrupt=6, duration=Seconds(1.5))
OFFICIAL = """
album,comments album,date_created album,date_released album,engineer album,favorites album,id album,information
album,listens album,producer album,tags album,title album,tracks album,type artist,active_year_begin
artist,active_year_end artist,associated_labels artist,bio artist,comments artist,date_created artist,favorites
artist,id artist,latitude artist,location artist,longitude artist,members artist,name artist,related_projects
artist,tags artist,website artist,wikipedia_page set,split set,subset track,bit_rate track,comments track,composer
track,date_created track,date_recorded track,duration track,favorites track,genre_top track,genres track,genres_all
track,information track,interest track,language_code track,license track,listens track,lyricist track,number
track,publisher track,tags track,title
"""


def write_collection(config, root):
    tracks = fma.plan(config)
    sizes = {track.track_id: fma.write_track(track, config, root) for track in tracks}
    fma.write_metadata(tracks, config, root)
    return tracks, sizes


def digests(root):
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    root = tmp_path_factory.mktemp("fma")
    return root, *write_collection(CONFIG, root)


def test_layout_is_that_of_fma(collection):
    root, tracks, sizes = collection
    expected = {f"fma_small/{t.track_id // 1000:03d}/{t.track_id:06d}.mp3" for t in tracks}
    assert set(digests(root)) == expected | {"fma_metadata/tracks.csv", "fma_metadata/genres.csv", "truth.csv"}
    for track in tracks:
        path = root / "fma_small" / f"{track.track_id:06d}"[:3] / f"{track.track_id:06d}.mp3"
        assert path.stat().st_size == sizes[track.track_id]


def test_same_config_gives_the_same_bytes_and_another_seed_others(collection, tmp_path):
    root, tracks, _ = collection
    write_collection(CONFIG, tmp_path)
    assert digests(tmp_path) == digests(root)
    other = replace(CONFIG, seed=8)
    sound = next(track for track in tracks if track.damage is None)
    assert fma.render(sound, other) != fma.render(sound, CONFIG)


def test_track_does_not_depend_on_the_order_or_on_pickling(collection):
    root, tracks, _ = collection
    for track in reversed(tracks[:4]):
        again, config = pickle.loads(pickle.dumps((track, CONFIG)))
        name = f"{track.track_id:06d}"
        assert fma.render(again, config) == (root / "fma_small" / name[:3] / f"{name}.mp3").read_bytes()


def test_sound_track_decodes_to_what_was_asked(collection):
    root, tracks, _ = collection
    for track in tracks:
        if track.damage is None:
            name = f"{track.track_id:06d}"
            wave, sr = sf.read(root / "fma_small" / name[:3] / f"{name}.mp3")
            assert sr == CONFIG.sr
            assert wave.shape == (round(CONFIG.duration * CONFIG.sr),)
            assert np.sqrt(np.mean(wave**2)) > 0.005


def test_header_has_the_official_columns_in_their_order(collection):
    root, _, _ = collection
    first, second, third, *_ = (root / "fma_metadata" / "tracks.csv").read_text().splitlines()
    columns = list(zip(first.split(",")[1:], second.split(",")[1:], strict=True))
    assert columns == [tuple(name.split(",")) for name in OFFICIAL.split()]
    assert len(columns) == 52
    assert third == "track_id" + 52 * ","


def test_tracks_table_reads_as_the_official_one(collection):
    root, tracks, _ = collection
    table = pd.read_csv(root / "fma_metadata" / "tracks.csv", index_col=0, header=[0, 1])
    genres = pd.read_csv(root / "fma_metadata" / "genres.csv", index_col=0)
    assert table.index.name == "track_id"
    assert table.index.tolist() == [track.track_id for track in tracks]
    assert table["track", "genre_top"].tolist() == [track.given for track in tracks]
    assert table["set", "split"].tolist() == [track.part for track in tracks]
    assert set(table["set", "subset"]) == {"small"}
    assert table["artist", "name"].tolist() == [track.artist for track in tracks]
    assert table["track", "title"].notna().all()
    for column in [("track", "genres"), ("track", "genres_all")]:
        ids = table[column].map(ast.literal_eval)
        assert [genres.title[row[0]] for row in ids] == table["track", "genre_top"].tolist()
    for column in [("album", "tags"), ("artist", "tags")]:
        assert all(ast.literal_eval(row) == [] for row in table[column])


def test_tags_name_the_tempo_and_metre_of_the_very_piece(collection):
    root, tracks, _ = collection
    table = pd.read_csv(root / "fma_metadata" / "tracks.csv", index_col=0, header=[0, 1])
    given = table["track", "tags"].map(ast.literal_eval)
    for track in tracks:
        rng = np.random.default_rng([CONFIG.seed, track.track_id])
        style, song = music.sketch(track.genre, duration=CONFIG.duration, rng=rng)
        assert ("fast" in given[track.track_id]) == (15 / song.step > 132)
        assert ("waltz" in given[track.track_id]) == (len(song.metre) == 3 and set(song.metre) == {4})
        assert not {"major", "minor"} <= set(given[track.track_id])
        assert song.metre in style.rhythm.metres


def test_albums_count_their_tracks(collection):
    root, _, _ = collection
    table = pd.read_csv(root / "fma_metadata" / "tracks.csv", index_col=0, header=[0, 1])
    assert table["album", "tracks"].tolist() == table["album", "id"].map(Counter(table["album", "id"])).tolist()


def test_genres_table_has_the_official_ids(collection):
    root, _, _ = collection
    table = pd.read_csv(root / "fma_metadata" / "genres.csv")
    assert table.columns.tolist() == ["genre_id", "#tracks", "parent", "title", "top_level"]
    assert dict(zip(table.title, table.genre_id, strict=True)) == {
        **{"International": 2, "Pop": 10, "Rock": 12, "Electronic": 15, "Folk": 17, "Hip-Hop": 21},
        **{"Experimental": 38, "Instrumental": 1235},
    }
    assert table["#tracks"].sum() == CONFIG.n_tracks
    assert (table.parent == 0).all()
    assert (table.top_level == table.genre_id).all()


def test_truth_agrees_with_the_plan_and_with_the_metadata(collection):
    root, tracks, _ = collection
    truth = pd.read_csv(root / "truth.csv", index_col=0)
    table = pd.read_csv(root / "fma_metadata" / "tracks.csv", index_col=0, header=[0, 1])
    assert truth.columns.tolist() == ["genre_true", "genre_given", "mislabelled", "damage"]
    assert truth.genre_true.tolist() == [track.genre for track in tracks]
    assert truth.genre_given.tolist() == table["track", "genre_top"].tolist()
    assert truth.mislabelled.dtype == bool
    assert (truth.mislabelled == (truth.genre_true != truth.genre_given)).all()
    assert truth.mislabelled.sum() == round(0.25 * (30 - 6))
    assert truth.damage.fillna("").tolist() == [track.damage or "" for track in tracks]


def test_no_unfinished_file_stays_when_the_disk_fails(tmp_path, monkeypatch):
    def fail(source, target):
        raise OSError("no space left")

    monkeypatch.setattr("phonolake.files.os.replace", fail)
    with pytest.raises(OSError, match="no space left"):
        fma.write_track(fma.plan(CONFIG)[0], CONFIG, tmp_path)
    assert digests(tmp_path) == {}


@pytest.fixture(scope="module")
def broken():
    """The six broken files that come of three seconds of noise, by kind."""
    wave = np.random.default_rng(0).uniform(-0.5, 0.5, 3 * 22050).astype(np.float32)
    return {kind: damage(kind, wave, Hertz(22050), fma.encode_mp3) for kind in KINDS}, wave


def test_empty_and_text_are_no_audio(broken):
    files, _ = broken
    assert files["empty"] == b""
    assert "404" in files["text"].decode("ascii")
    for kind in ("empty", "text"):
        with pytest.raises(sf.LibsndfileError):
            sf.read(io.BytesIO(files[kind]))


def test_truncated_file_holds_fewer_frames_than_its_header_promises(broken):
    files, wave = broken
    with sf.SoundFile(io.BytesIO(files["truncated"])) as file:
        assert file.frames == wave.size
        assert 0.2 * wave.size < len(file.read()) < 0.6 * wave.size
    assert fma.encode_mp3(wave, Hertz(22050)).startswith(files["truncated"])


def test_wrong_extension_is_a_sound_wave_file(broken):
    files, wave = broken
    with sf.SoundFile(io.BytesIO(files["wrong-extension"])) as file:
        assert file.format == "WAV"
        np.testing.assert_allclose(file.read(), wave, atol=2**-15)


def test_silent_file_is_a_sound_mp3_of_zeros(broken):
    files, wave = broken
    with sf.SoundFile(io.BytesIO(files["silent"])) as file:
        decoded = file.read()
        assert file.format == "MP3"
    assert decoded.shape == wave.shape
    assert not decoded.any()


def test_too_short_file_is_a_sound_mp3_of_50_ms(broken):
    files, _ = broken
    with sf.SoundFile(io.BytesIO(files["too-short"])) as file:
        assert file.format == "MP3"
        assert file.read().size / file.samplerate == pytest.approx(0.05, abs=0.001)


def test_unknown_damage_is_named():
    with pytest.raises(UsageError, match="unknown damage 'truncatd'"):
        damage("truncatd", np.zeros(10, dtype=np.float32), Hertz(22050), fma.encode_mp3)
