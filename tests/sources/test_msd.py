"""The Million Song Dataset: real files, tags out of both forms, the 50-tag split, audio of the user's own."""

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from phonolake.errors import UsageError
from phonolake.sources import contract, msd, msd_files, msd_tags
from phonolake.sources.msd import Options, recordings

pytestmark = pytest.mark.timeout(60)


def test_the_real_files_say_what_h5py_shows(real) -> None:
    paths = sorted(real("msd/h5").rglob("*.h5"))
    assert len(paths) == 29
    for path in paths:
        (song,) = msd_files.songs(path)
        with h5py.File(path) as file:
            row = file["metadata/songs"][0]
            assert song.title.encode() == row["title"]
            assert song.artist.encode() == row["artist_name"]
            assert song.number_7digital == row["track_7digitalid"]
            assert song.duration == file["analysis/songs"][0]["duration"]
            assert (song.year or 0) == file["musicbrainz/songs"][0]["year"]
        assert song.track_id == path.stem
        assert 0 <= song.facts["key"] <= 11
        assert 30 < song.facts["tempo"] < 300 or song.facts["tempo"] == 0


def test_a_famous_song_is_there(real) -> None:
    (song,) = msd_files.songs(real("msd/h5/A/A/A/TRAAABD128F429CF47.h5"))
    assert (song.title, song.artist, song.album, song.year) == ("Soul Deep", "The Box Tops", "Dimensions", 1969)


def test_aggregate_files_hold_the_same_songs(real, tmp_path: Path) -> None:
    paths = sorted(real("msd/h5").rglob("*.h5"))
    whole = tmp_path / "msd_summary_file.h5"
    with h5py.File(whole, "w") as out:
        for group in msd_files.GROUPS:
            rows = []
            for path in paths:
                with h5py.File(path) as file:
                    rows.append(file[group][:])
            out.create_dataset(group, data=np.concatenate(rows))
    expected = [song for path in paths for song in msd_files.songs(path)]
    assert list(msd_files.songs(whole)) == expected


def test_of_a_summary_file_only_the_songs_that_are_owned_are_read(make_tree) -> None:
    root = make_tree("msd", 20)
    before = list(recordings(root))
    with h5py.File(root / "msd_summary_file.h5", "w") as out:
        paths = sorted(root.glob("data/**/*.h5"))
        for group in msd_files.GROUPS:
            rows = []
            for path in paths:
                with h5py.File(path) as file:
                    rows.append(file[group][:])
            out.create_dataset(group, data=np.concatenate(rows))
    shutil.rmtree(root / "data")
    assert list(recordings(root)) == before
    names = {before[0].source_id, str(dict(before[1].attributes)["track_7digitalid"]), "nobody"}
    found = [song.track_id for song in msd_files.songs(root / "msd_summary_file.h5", names)]
    assert sorted(found) == [before[0].source_id, before[1].source_id]


def test_files_of_songs_that_nobody_asks_for_are_not_opened(make_tree) -> None:
    """A million of them take hours; here one that cannot be opened lies among them."""
    root = make_tree("msd", 20)
    other = "TRZZZZZ128F0000000"
    (root / "data" / f"{other}.h5").write_text("no HDF5")
    assert len(list(recordings(root))) == 20
    # A number that nothing knows so far may be that of any of them.
    for path in root.glob("*_x_7d_id.txt"):
        path.unlink()
    found = list(recordings(root))
    assert len(found) == 21
    assert [(r.source_id, "is no HDF5 file" in r.fault) for r in found if r.fault] == [(other, True)]


def test_a_file_that_holds_another_song_than_its_name_says_is_no_end_of_the_others(make_tree) -> None:
    root = make_tree("msd", 20)
    one, other = sorted(root.glob("data/**/*.h5"))[:2]
    shutil.copy(one, other)
    found = list(recordings(root, Options(weight=50)))
    assert len(found) == 20
    (faulty,) = [r for r in found if r.fault]
    assert (faulty.source_id, faulty.path) == (other.stem, other)
    assert "its name and its content differ" in faulty.fault


def test_the_catalogue_has_every_track_with_and_without_audio(make_tree) -> None:
    root = make_tree("msd", 20)
    known = {r.source_id: r for r in recordings(root)}
    broken = sorted(root.glob("data/**/*.h5"))[3]
    with h5py.File(broken, "w") as file:
        file.create_group("metadata")
    shutil.rmtree(root / "audio")
    found = {r.source_id: r for r in msd.catalogue(root)}
    assert set(found) == set(known)
    assert "metadata/songs has no 'song_id'" in found[broken.stem].fault
    del known[broken.stem]
    for track, recording in known.items():
        assert replace(found[track], path=recording.path) == recording
    fact = msd.share(root)
    assert (fact.published, fact.found) == (1_000_000, len(list(root.glob("data/**/*.h5"))))


@pytest.mark.long
def test_the_real_catalogue_is_the_split_and_the_songs(real) -> None:
    found = list(msd.catalogue(real("msd")))
    assert len(found) == len({r.source_id for r in found})
    assert sum(bool(r.splits) for r in found) == 28_540
    assert sum(r.title is not None for r in found) == 29


def test_the_real_split_has_its_published_size_and_labels(real) -> None:
    (part,) = msd_tags.read_split(real("msd"))
    assert (part.name, len(part.tracks), len(part.numbers)) == ("test", 28_540, 28_540)
    assert list(msd_tags.TAGS_50) == (real("msd") / "tags.txt").read_text().split("\n")[:50]
    matrix = np.load(real("msd") / "test_y.npy")
    for row in (0, 1, 28_539):
        assert part.labels(row) == tuple(msd_tags.TAGS_50[i] for i in range(50) if matrix[row, i])
    facts = contract.facts(contract.get("msd"), real("msd"))
    assert (facts[0].published, facts[0].found) == (28_540, 28_540)


def test_real_metadata_meet_audio_of_the_users_own(real, tmp_path: Path) -> None:
    shutil.copytree(real("msd/h5"), tmp_path / "data")
    (tmp_path / "audio" / "mine").mkdir(parents=True)
    (tmp_path / "audio" / "mine" / "TRAAABD128F429CF47.mp3").touch()
    (tmp_path / "audio" / "5678648.clip.mp3").touch()
    found = {r.source_id: r for r in recordings(tmp_path)}
    assert set(found) == {"TRAAABD128F429CF47", "TRBDAYU128F9342A51"}
    assert found["TRAAABD128F429CF47"].year == 1969
    assert found["TRBDAYU128F9342A51"].year is None
    assert dict(found["TRAAABD128F429CF47"].attributes)["tempo"] == pytest.approx(121.274)


# -- a made tree -------------------------------------------------------------------------------------------------------


def test_audio_is_found_by_track_id_and_by_number(make_tree) -> None:
    root = make_tree("msd", 20)
    found = list(recordings(root))
    by_id = [r for r in found if msd_tags.TRACK_ID.fullmatch(r.path.stem)]
    assert len(found) == 20
    assert len(by_id) == 10
    assert [r.source_id for r in found] == sorted(r.source_id for r in found)


def test_tags_above_the_weight_count(make_tree) -> None:
    root = make_tree("msd", 20)
    assert all(len(r.tags) == 2 and "seen live" not in r.tags for r in recordings(root))
    assert all(r.tags[2] == "seen live" for r in recordings(root, Options(weight=20)))
    assert all(r.tags == () for r in recordings(root, Options(weight=100)))


def test_both_forms_of_lastfm_say_the_same(make_tree) -> None:
    root = make_tree("msd", 20)
    before = list(recordings(root))
    with closing(sqlite3.connect(root / "lastfm_tags.db")) as connection:
        rows = connection.execute(
            "SELECT t.tid, g.tag, x.val FROM tid_tag x JOIN tids t ON t.ROWID = x.tid JOIN tags g ON g.ROWID = x.tag"
        ).fetchall()
    (root / "lastfm_tags.db").unlink()
    tree = {}
    for track, tag, weight in rows:
        tree.setdefault(track, []).append([tag, str(int(weight))])  # weights are texts in the JSON
    for i, (track, tags) in enumerate(tree.items()):
        part = ("lastfm_train", "lastfm_test")[i % 2]
        path = root / part / track[2] / track[3] / track[4] / f"{track}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"track_id": track, "tags": tags, "similars": []}))
    assert list(recordings(root)) == before


def test_labels_are_the_matrix_and_without_one_the_tags(make_tree) -> None:
    root = make_tree("msd", 20)
    before = {r.source_id: r.labels for r in recordings(root)}
    assert all(len(labels) == 2 for labels in before.values())
    for path in root.glob("*_y.npy"):
        path.unlink()
    assert {r.source_id: set(r.labels) for r in recordings(root)} == {k: set(v) for k, v in before.items()}


def test_only_what_the_user_owns_is_wanted(make_tree) -> None:
    root = make_tree("msd", 20)
    next(iter(recordings(root))).path.unlink()
    assert len(list(recordings(root))) == 19


def test_without_audio_it_is_said_plainly_that_none_is_shipped(make_tree) -> None:
    root = make_tree("msd")
    shutil.move(root / "audio", root.parent / "mine")
    with pytest.raises(UsageError, match=r"which ships none: put recordings that you own"):
        list(recordings(root))
    assert len(list(recordings(root, Options(audio=str(root.parent / "mine"))))) == 26


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("audio/unknown.mp3", b"", "named neither by a track id nor by a number"),
        ("audio/TRZZZZZ999Z9999999.mp3", b"", "no file of the dataset in"),
        ("data/X.h5", b"not HDF5", "X.h5 is no HDF5 file of the Million Song Dataset"),
        ("test_x_msd_id.txt", b"../../etc/passwd\n", "is not a list of track ids"),
        ("test_x_7d_id.txt", b"1\n", "has 1 lines, and test_x_msd_id.txt has"),
        ("test_x_7d_id.txt", b"", "has 0 lines, and test_x_msd_id.txt has"),
        ("test_y.npy", b"\x93NUMPY\x01\x00", "is not a NumPy array of labels"),
        ("lastfm_tags.db", b"SQLite format 3\0" + bytes(100), "is not Last.fm's tag database"),
        ("lastfm_tags.db", b"tags", "is not Last.fm's tag database"),
    ],
)
def test_damaged_files_are_refused_by_name(make_tree, name: str, content: bytes, says: str) -> None:
    root = make_tree("msd", 20)
    (root / name).write_bytes(content)
    with pytest.raises(UsageError, match=says) as caught:
        list(recordings(root))
    assert Path(name).name in str(caught.value)


@pytest.mark.parametrize("array", [np.zeros((3, 50)), np.full((4, 50), 2), np.zeros((4, 49)), np.full((4, 50), np.nan)])
def test_a_matrix_of_something_else_is_refused(make_tree, array: np.ndarray) -> None:
    root = make_tree("msd", 20)
    assert len((root / "test_x_msd_id.txt").read_text().split()) == 4
    np.save(root / "test_y.npy", array)
    with pytest.raises(UsageError, match=r"test_y\.npy"):
        list(recordings(root))


def test_a_matrix_with_pickled_objects_is_never_unpickled(make_tree, tmp_path: Path) -> None:
    root = make_tree("msd", 20)
    np.save(root / "test_y.npy", np.array([Trap(tmp_path / "sprung")], dtype=object), allow_pickle=True)
    with pytest.raises(UsageError, match=r"test_y\.npy is not a NumPy array"):
        list(recordings(root))
    assert not (tmp_path / "sprung").exists()


def test_two_files_of_one_track_are_named(make_tree) -> None:
    root = make_tree("msd", 20)
    path = next(r.path for r in recordings(root) if r.path.stem == r.source_id)
    path.with_suffix(".flac").touch()
    with pytest.raises(UsageError, match="both stand for"):
        list(recordings(root))


def test_nothing_is_written_beside_the_users_database(make_tree) -> None:
    root = make_tree("msd", 20)
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*")}
    list(recordings(root))
    assert {p: p.stat().st_mtime_ns for p in root.rglob("*")} == before


class Trap:
    """What a malicious pickle does when it is unpickled: here it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_hdf5_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("metadata/songs", data=np.zeros(3))
    with pytest.raises(UsageError, match="metadata/songs has no 'song_id'"):
        list(msd_files.songs(path))
    assert msd.CARD.name == "msd"
