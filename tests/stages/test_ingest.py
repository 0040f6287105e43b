"""Ingest end to end: what goes in comes out as a track or as a reject, once, whatever happens in between."""

import dataclasses
import hashlib
import itertools
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mutagen
import numpy as np
import pytest
import soundfile as sf

from phonolake.errors import UsageError
from phonolake.files import TEMPORARY, temporary_beside
from phonolake.records import Recording, Seconds
from phonolake.stages import extract, ingest, ingest_plan, ingest_rows
from phonolake.stages.ingest import Config
from phonolake.stages.ingest_files import File
from phonolake.store import catalog, jobs
from phonolake.store.lake import Lake
from phonolake.store.verify import kept, verify
from phonolake.synthesis import fma

from .in_process import dead_files

pytestmark = [pytest.mark.timeout(120), pytest.mark.usefixtures("ray_session")]

CORPUS = fma.Config(n_tracks=32, seed=3, n_corrupt=12, duration=Seconds(1.5))
REASONS = {
    "empty": "empty",
    "truncated": "truncated",
    "text": "not-audio",
    "wrong-extension": "wrong-extension",
    "silent": "silent",
    "too-short": "too-short",
}
# What a run wrote, apart from when it ran.
TABLES = ("tracks", "audio", "labels", "splits", "rejects")


def query(lake: Path | Lake, sql: str) -> list[tuple[Any, ...]]:
    with catalog.connect(lake if isinstance(lake, Lake) else Lake.open(lake)) as connection:
        return connection.execute(sql).fetchall()


def contents(lake: Path, *, without: tuple[str, ...] = ()) -> dict[str, list[tuple[Any, ...]]]:
    left_out = f"EXCLUDE ({', '.join(without)})" if without else ""
    return {table: query(lake, f"SELECT * {left_out} FROM {table} ORDER BY ALL") for table in TABLES}


def write_tone(path: Path, hertz: float = 440, *, seconds: float = 0.6, level: float = 0.5) -> None:
    """A wave file that differs with its frequency."""
    path.parent.mkdir(parents=True, exist_ok=True)
    y = level * np.sin(2 * np.pi * hertz * np.arange(round(8000 * seconds)) / 8000)
    with open(path, "wb") as file:
        sf.write(file, y, 8000, format="WAV")


def touch_later(path: Path) -> None:
    """Move the modification time on, for file systems whose clock is coarse."""
    facts = path.stat()
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1_000_000_000))


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """Four sound files of two labels, and one that is too short."""
    root = tmp_path / "music"
    for i, name in enumerate(("jazz/a", "jazz/b", "rock/c", "rock/d")):
        write_tone(root / f"{name}.wav", 300 + 50 * i)
    write_tone(root / "rock" / "short.wav", seconds=0.2)
    return root


@pytest.fixture
def config(music: Path, tmp_path: Path) -> Config:
    return Config(lake=str(tmp_path / "lake"), root=str(music))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[fma.PlannedTrack]]:
    root = tmp_path_factory.mktemp("corpus")
    tracks = fma.plan(CORPUS)
    for track in tracks:
        fma.write_track(track, CORPUS, root)
    fma.write_metadata(tracks, CORPUS, root)
    return root, tracks


@pytest.fixture(scope="module")
def taken_in(
    ray_session: None, corpus: tuple[Path, list[fma.PlannedTrack]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, ingest.Outcome]]:
    lake = tmp_path_factory.mktemp("ingested") / "lake"
    yield lake, ingest.run(Config(str(lake), str(corpus[0]), "fma"))
    # No test of this module may have changed it.
    assert verify(Lake.open(lake)) == []


# -- a whole corpus ---------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_inputs_are_tracks_and_rejects(taken_in: tuple[Path, ingest.Outcome]) -> None:
    lake, outcome = taken_in
    assert (outcome.inputs, outcome.outputs, outcome.rejects) == (32, 20, 12)
    assert query(lake, "SELECT count(*), count(DISTINCT track_id) FROM tracks") == [(20, 20)]
    assert query(lake, "SELECT count(*), count(DISTINCT track_id) FROM rejects") == [(12, 12)]
    assert query(lake, "SELECT stage, inputs, outputs, rejects FROM runs") == [("ingest", 32, 20, 12)]
    assert verify(Lake.open(lake)) == []


def test_each_kind_of_damage_has_its_reason(
    taken_in: tuple[Path, ingest.Outcome], corpus: tuple[Path, list[fma.PlannedTrack]]
) -> None:
    root, tracks = corpus
    expected = {f"fma:{t.track_id:06d}": REASONS[t.damage] for t in tracks if t.damage}
    rows = query(taken_in[0], "SELECT track_id, reason, detail, retryable, stage, dataset, source_path FROM rejects")
    assert {track_id: reason for track_id, reason, *_ in rows} == expected
    assert Counter(expected.values()) == dict.fromkeys(REASONS.values(), 2)
    for track_id, _, detail, retryable, stage, dataset, path in rows:
        assert detail
        assert (retryable, stage, dataset) == (False, "ingest", "fma")
        assert Path(path).stem == track_id.removeprefix("fma:")
        assert Path(path).is_relative_to(root)


def test_bytes_are_kept_as_received(taken_in: tuple[Path, ingest.Outcome]) -> None:
    rows = query(taken_in[0], "SELECT bytes, sha256, source_path, source_bytes, source_mtime FROM audio")
    assert len(rows) == 20
    for data, sha256, path, size, mtime in rows:
        received = Path(path).read_bytes()
        assert data == received
        assert sha256 == hashlib.sha256(received).hexdigest()
        assert size == len(received)
        assert mtime == Path(path).stat().st_mtime_ns


def test_decoded_facts_are_those_of_the_music(taken_in: tuple[Path, ingest.Outcome]) -> None:
    rows = query(
        taken_in[0],
        "SELECT container, codec, sr, channels, n_samples, peak_dbfs, rms_dbfs, duration_seconds "
        "FROM audio JOIN tracks USING (track_id)",
    )
    for container, codec, sr, channels, n_samples, peak, rms, duration in rows:
        assert (container, codec, sr, channels) == ("MP3", "MPEG_LAYER_III", 22_050, 1)
        assert n_samples == round(1.5 * 22_050)
        assert duration == n_samples / sr
        assert -70 < rms < peak < 3


def test_what_the_dataset_says_is_kept(
    taken_in: tuple[Path, ingest.Outcome], corpus: tuple[Path, list[fma.PlannedTrack]]
) -> None:
    lake, _ = taken_in
    sound = {f"fma:{t.track_id:06d}": t for t in corpus[1] if t.damage is None}
    tracks = query(lake, "SELECT track_id, dataset, source_id, title, artist, album, year, licence FROM tracks")
    assert {row[0] for row in tracks} == set(sound)
    for track_id, *row in tracks:
        t = sound[track_id]
        assert row == ["fma", f"{t.track_id:06d}", t.title, t.artist, t.album, t.year, fma.LICENCE]
    genres = query(lake, "SELECT track_id, label, value FROM labels WHERE source = 'dataset'")
    assert sorted(genres) == sorted((track_id, t.given, 1) for track_id, t in sound.items())
    parts = {"training": "train", "validation": "valid", "test": "test"}
    splits = query(lake, "SELECT * FROM splits")
    assert sorted(splits) == sorted((i, "official", parts[t.part], None) for i, t in sound.items())
    from_source = ingest.contract.get("fma").recordings(corpus[0])
    tags = sorted((f"fma:{r.source_id}", tag) for r in from_source for tag in r.tags if f"fma:{r.source_id}" in sound)
    assert tags
    assert sorted(query(lake, "SELECT track_id, label FROM labels WHERE source = 'tags'")) == tags


def test_title_and_genre_come_from_the_file_where_the_source_has_none(tmp_path: Path) -> None:
    path = tmp_path / "music" / "shelf" / "song.flac"
    path.parent.mkdir(parents=True)
    sf.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 8000), 8000)
    file = mutagen.File(path, easy=True)
    file.update({"title": ["Ünder"], "artist": ["Her"], "album": ["LP"], "date": ["1999-01-01"], "genre": ["Dub"]})
    file.save()
    ingest.run(Config(str(tmp_path / "lake"), str(tmp_path / "music"), dataset="mine"))
    lake = tmp_path / "lake"
    assert query(lake, "SELECT track_id, title, artist, album, year, licence FROM tracks") == [
        ("mine:shelf/song.flac", "Ünder", "Her", "LP", 1999, None)
    ]
    labels = query(lake, "SELECT label, source FROM labels ORDER BY ALL")
    assert labels == [("Dub", "file-tag"), ("shelf", "dataset")]


def test_every_genre_of_a_file_is_a_label_and_lists_of_them_are_split_on_request(tmp_path: Path) -> None:
    path = tmp_path / "music" / "shelf" / "song.flac"
    path.parent.mkdir(parents=True)
    sf.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 8000), 8000)
    file = mutagen.File(path)
    file["genre"] = ["Dub", "Rock; Pop / Indie", "Dub"]
    file.save()
    genres = "SELECT label FROM labels WHERE source = 'file-tag' ORDER BY ALL"
    config = Config(str(tmp_path / "lake"), str(tmp_path / "music"), dataset="mine")
    ingest.run(config)
    assert query(tmp_path / "lake", genres) == [("Dub",), ("Rock; Pop / Indie",)]
    apart = dataclasses.replace(config, lake=str(tmp_path / "split"), split_genres=True)
    ingest.run(apart)
    assert query(tmp_path / "split", genres) == [("Dub",), ("Indie",), ("Pop",), ("Rock",)]
    # What is known is not read again: a track keeps what its file said when it was taken in.
    again = ingest.run(dataclasses.replace(config, split_genres=True))
    assert again.note == "nothing new: 1 known"


# -- again and again --------------------------------------------------------------------------------------------------


def test_a_second_run_does_nothing(config: Config) -> None:
    first = ingest.run(config)
    assert (first.inputs, first.outputs, first.rejects) == (5, 4, 1)
    lake = Lake.open(config.lake)
    versions, before = lake.versions(), contents(lake.root)
    files = {p: p.stat().st_mtime_ns for p in lake.root.rglob("*.parquet")}
    second = ingest.run(config)
    assert (second.run_id, second.inputs, second.note) == (None, 0, "nothing new: 5 known")
    assert lake.versions() == versions
    assert contents(lake.root) == before
    assert {p: p.stat().st_mtime_ns for p in lake.root.rglob("*.parquet")} == files


def test_a_new_file_is_all_that_is_taken_in(config: Config, music: Path) -> None:
    ingest.run(config)
    lake = Lake.open(config.lake)
    shards, before = lake.shards("audio"), query(lake, "SELECT * FROM audio ORDER BY track_id")
    write_tone(music / "rock" / "e.wav", 900)
    outcome = ingest.run(config)
    assert (outcome.inputs, outcome.outputs, outcome.note) == (1, 1, "5 known before")
    after = query(lake, "SELECT * FROM audio ORDER BY track_id")
    assert [row for row in after if row[0] != "music:rock/e.wav"] == before
    added = lake.shards("audio").keys() - shards.keys()
    assert lake.shards("audio").keys() >= shards.keys()
    assert [lake.shards("audio")[file].rows for file in added] == [1]
    assert query(lake, "SELECT inputs FROM runs ORDER BY started_at") == [(5,), (1,)]
    assert verify(lake) == []


def test_a_changed_file_takes_the_place_of_its_rows(config: Config, music: Path) -> None:
    ingest.run(config)
    before = contents(Path(config.lake))
    write_tone(music / "jazz" / "a.wav", 777, seconds=0.9)
    touch_later(music / "jazz" / "a.wav")
    outcome = ingest.run(config)
    assert (outcome.inputs, outcome.outputs, outcome.rejects) == (1, 1, 0)
    after = contents(Path(config.lake))
    for table in TABLES:
        others = [row for row in before[table] if row[0] != "music:jazz/a.wav"]
        assert [row for row in after[table] if row[0] != "music:jazz/a.wav"] == others
        assert len(after[table]) == len(before[table])
    lake = Lake.open(config.lake)
    ((data, duration),) = query(
        lake,
        "SELECT bytes, duration_seconds FROM audio JOIN tracks USING (track_id) WHERE track_id = 'music:jazz/a.wav'",
    )
    assert data == (music / "jazz" / "a.wav").read_bytes()
    assert duration == pytest.approx(0.9)
    # The shards without that row are new files; the old ones are kept for readers of the version before.
    assert verify(lake) == []
    assert {shard.table for shard in kept(lake)} >= {"tracks", "audio"}


def test_a_file_that_changes_back_is_found_again(config: Config, music: Path) -> None:
    path = music / "jazz" / "a.wav"
    shutil.copy2(path, music.parent / "kept.wav")
    ingest.run(config)
    before = contents(Path(config.lake))
    write_tone(path, 777)
    touch_later(path)
    assert ingest.run(config).inputs == 1
    assert contents(Path(config.lake)) != before
    # With its old modification time, as a backup restores it.
    shutil.copy2(music.parent / "kept.wav", path)
    assert ingest.run(config).inputs == 1
    assert contents(Path(config.lake)) == before
    assert ingest.run(config).run_id is None


def test_a_track_that_is_broken_later_becomes_a_reject(config: Config, music: Path) -> None:
    ingest.run(config)
    (music / "jazz" / "a.wav").write_bytes(b"")
    assert ingest.run(config).rejects == 1
    for table in ("tracks", "audio", "labels", "splits"):
        assert query(Path(config.lake), f"SELECT * FROM {table} WHERE track_id = 'music:jazz/a.wav'") == []
    reasons = query(Path(config.lake), "SELECT track_id, reason FROM rejects ORDER BY ALL")
    assert reasons == [("music:jazz/a.wav", "empty"), ("music:rock/short.wav", "too-short")]


def test_a_reject_that_is_repaired_heals(config: Config, music: Path) -> None:
    ingest.run(config)
    assert query(Path(config.lake), "SELECT track_id, reason FROM rejects") == [("music:rock/short.wav", "too-short")]
    write_tone(music / "rock" / "short.wav", seconds=2)
    outcome = ingest.run(config)
    assert (outcome.inputs, outcome.outputs, outcome.rejects) == (1, 1, 0)
    assert query(Path(config.lake), "SELECT * FROM rejects") == []
    assert query(Path(config.lake), "SELECT count(*) FROM tracks") == [(5,)]


def test_a_file_that_is_gone_from_the_source_stays_in_the_lake(config: Config, music: Path) -> None:
    ingest.run(config)
    before = contents(Path(config.lake))
    (music / "jazz" / "a.wav").unlink()
    (music / "rock" / "short.wav").unlink()
    assert ingest.run(config).run_id is None
    assert contents(Path(config.lake)) == before


def test_a_track_that_fma_names_but_that_is_gone_stays_too(
    corpus: tuple[Path, list[fma.PlannedTrack]], tmp_path: Path
) -> None:
    root = tmp_path / "corpus"
    shutil.copytree(corpus[0], root)
    sound = [t for t in corpus[1] if t.damage is None]
    fma.audio_path(sound[0], root).unlink()
    config = Config(str(tmp_path / "lake"), str(root), "fma")
    assert ingest.run(config).outputs == 19
    lost = f"fma:{sound[0].track_id:06d}"
    rows = query(tmp_path / "lake", "SELECT track_id, retryable, source_bytes FROM rejects WHERE reason = 'missing'")
    assert rows == [(lost, True, None)]
    # Still missing: nothing new. And a file that vanishes after it was taken in is not lost.
    fma.audio_path(sound[1], root).unlink()
    assert ingest.run(config).run_id is None
    assert query(tmp_path / "lake", "SELECT count(*) FROM tracks") == [(19,)]
    # Found again: it comes in.
    shutil.copy2(fma.audio_path(sound[0], corpus[0]), fma.audio_path(sound[0], root))
    assert ingest.run(config).outputs == 1
    assert query(tmp_path / "lake", "SELECT count(*) FROM rejects WHERE reason = 'missing'") == [(0,)]


def test_other_thresholds_look_at_rejects_again_and_leave_tracks_alone(config: Config, music: Path) -> None:
    ingest.run(config)
    before = query(Path(config.lake), "SELECT * FROM tracks ORDER BY track_id")
    strict = dataclasses.replace(config, min_seconds=5.0)
    outcome = ingest.run(strict)
    # Looked at again, rejected again, and counted once.
    assert (outcome.inputs, outcome.rejects) == (1, 1)
    assert query(Path(config.lake), "SELECT track_id, detail FROM rejects") == [
        ("music:rock/short.wav", "0.200 s, and the least is 5 s")
    ]
    assert ingest.run(strict).run_id is None
    lenient = dataclasses.replace(config, min_seconds=0.1)
    assert ingest.run(lenient).outputs == 1
    assert query(Path(config.lake), "SELECT * FROM rejects") == []
    tracks = query(Path(config.lake), "SELECT * FROM tracks ORDER BY track_id")
    assert [row for row in tracks if row[0] != "music:rock/short.wav"] == before
    assert ingest.run(strict).run_id is None


def test_silence_and_size_have_thresholds(config: Config, music: Path) -> None:
    write_tone(music / "faint.wav", level=1e-3)
    size = (music / "jazz" / "a.wav").stat().st_size
    write_tone(music / "long.wav", seconds=1.5)
    ingest.run(dataclasses.replace(config, silence_dbfs=-40.0, max_bytes=size))
    reasons = dict(query(Path(config.lake), "SELECT track_id, reason FROM rejects"))
    assert reasons["music:faint.wav"] == "silent"
    assert reasons["music:long.wav"] == "too-large"
    assert ingest.run(config).outputs == 2


# -- names ------------------------------------------------------------------------------------------------------------

ODD = [
    "with space.wav",
    'it\'s "quoted".wav',
    "two\nlines.wav",
    "naïve ☃ 音楽.wav",
    "x'; DROP TABLE tracks; --.wav",
    "$(reboot);`ls`|&>.wav",
    "*?[a]{b}%25#c=d.wav",
    "back\\slash.wav",
    "-rf.wav",
    "colon:in:name.wav",
    "a" * 150 + ".wav",
]


def test_odd_names_survive_end_to_end(tmp_path: Path) -> None:
    root = tmp_path / "odd; names' & [more] *"
    for i, name in enumerate(ODD):
        write_tone(root / f"it's {i}" / name, 300 + i)
    latin = Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9/\xff\xfe.wav"))
    write_tone(latin, 999)
    config = Config(str(tmp_path / "la'ke"), str(root))
    outcome = ingest.run(config)
    assert (outcome.outputs, outcome.rejects) == (len(ODD) + 1, 0)
    lake = Lake.open(config.lake)
    expected = {
        f"{root.name}:it's {i}/{name}".replace("\\", r"\\"): root / f"it's {i}" / name for i, name in enumerate(ODD)
    }
    expected[rf"{root.name}:caf\xe9/\xff\xfe.wav"] = latin
    stored = dict(query(lake, "SELECT track_id, bytes FROM audio"))
    assert stored == {track_id: path.read_bytes() for track_id, path in expected.items()}
    labels = dict(query(lake, "SELECT track_id, label FROM labels WHERE source = 'dataset'"))
    assert labels[rf"{root.name}:caf\xe9/\xff\xfe.wav"] == r"caf\xe9"
    assert labels[f"{root.name}:it's 2/two\nlines.wav"] == "it's 2"
    assert verify(lake) == []
    assert ingest.run(config).run_id is None
    # And the names are no trouble further on.
    (features,) = extract.run(extract.Config(config.lake, ("mfcc-120",)))
    assert features.outputs == len(ODD) + 1


def test_a_path_that_is_no_utf_8_can_be_the_root(tmp_path: Path) -> None:
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9/music"))
    write_tone(root / "a.wav")
    assert ingest.run(Config(str(tmp_path / "lake"), str(root))).outputs == 1
    ((config,),) = query(tmp_path / "lake", "SELECT config FROM runs")
    assert r"caf\\xe9/music" in config
    assert ingest.run(Config(str(tmp_path / "lake"), str(root))).run_id is None


@pytest.mark.parametrize("name", ["a:b", "two\nlines", "\udce9", "tab\t"])
def test_dataset_names_that_would_spoil_ids_are_refused(config: Config, name: str) -> None:
    with pytest.raises(UsageError, match="must not contain colons or control characters: use --name"):
        ingest.run(dataclasses.replace(config, dataset=name))
    assert not Path(config.lake).exists()


def test_two_datasets_share_a_lake(config: Config, music: Path) -> None:
    ingest.run(config)
    outcome = ingest.run(dataclasses.replace(config, dataset="other"))
    assert outcome.outputs == 4
    assert query(Path(config.lake), "SELECT dataset, count(*) FROM tracks GROUP BY ALL ORDER BY ALL") == [
        ("music", 4),
        ("other", 4),
    ]


# -- shards -----------------------------------------------------------------------------------------------------------


def test_two_lakes_of_one_folder_are_the_same(config: Config, tmp_path: Path) -> None:
    other = dataclasses.replace(config, lake=str(tmp_path / "elsewhere" / "lake"))
    ingest.run(config)
    ingest.run(other)
    assert contents(Path(config.lake)) == contents(Path(other.lake))

    def files(lake: str) -> dict[str, bytes]:
        found = Lake.open(lake).root.glob("tables/*/*.parquet")
        return {f"{p.parent.name}/{p.name}": p.read_bytes() for p in found if p.parent.name != "runs"}

    assert files(config.lake) == files(other.lake)
    runs = [query(Path(c.lake), "SELECT run_id, config, config_hash, inputs FROM runs") for c in (config, other)]
    assert runs[0] == runs[1]


def test_how_files_are_grouped_changes_no_row(config: Config, tmp_path: Path) -> None:
    (tmp_path / "music" / "jazz" / "empty.wav").touch()
    one_each = dataclasses.replace(config, lake=str(tmp_path / "fine"), shard_bytes=1)
    assert ingest.run(config).outputs == ingest.run(one_each).outputs == 4
    assert contents(Path(one_each.lake)) == contents(Path(config.lake))
    assert len(Lake.open(config.lake).shards("tracks")) == 1
    shards = Lake.open(one_each.lake).shards("tracks").values()
    # Rejects have shards of their own, too: that one marks them as done.
    assert sorted(shard.rows for shard in shards) == [0, 0, 1, 1, 1, 1]


def test_no_shard_holds_more_bytes_than_asked_unless_one_file_does(
    corpus: tuple[Path, list[fma.PlannedTrack]], tmp_path: Path
) -> None:
    limit = 20_000
    plan = ingest.make_plan(Config(str(tmp_path / "lake"), str(corpus[0]), "fma", shard_bytes=limit))
    groups = list(plan.shards.values())
    assert sum(map(len, groups)) == 32
    assert len(groups) > 5
    for group in groups:
        assert sum(file.size or 0 for file in group) <= limit or len(group) == 1
    # As few as that allows: two neighbours never fit into one.
    for left, right in itertools.pairwise(groups):
        assert sum(file.size or 0 for file in left) + (right[0].size or 0) > limit


def test_a_file_larger_than_a_shard_has_one_of_its_own() -> None:
    sizes = [10, 500, 10, 10]
    files = [File(Recording(str(i), Path(f"{i}.mp3")), size, 1, "said") for i, size in enumerate(sizes)]
    plan = ingest_plan.make(files, None, "x", "fingerprint", 100)
    assert [[f.size for f in group] for group in plan.shards.values()] == [[10], [500], [10, 10]]


def test_small_collections_are_cut_so_that_cores_can_share_them() -> None:
    files = [File(Recording(f"{i:04d}", Path(f"{i}.mp3")), 1 << 20, 1, "said") for i in range(320)]
    plan = ingest_plan.make(files, None, "x", "fingerprint", 128 << 20)
    assert len(plan.shards) == 20
    assert len(ingest_plan.make(files[:160], None, "x", "fingerprint", 128 << 20).shards) == 16
    # But not into crumbs.
    assert len(ingest_plan.make(files[:5], None, "x", "fingerprint", 128 << 20).shards) == 2


def test_names_of_shards_depend_on_the_files_alone(music: Path, tmp_path: Path) -> None:
    def names(**options: Any) -> list[str]:
        return list(ingest.make_plan(Config(str(tmp_path / "lake"), str(music), **options)).shards)

    assert names() == names()
    assert names(dataset="other") != names()
    assert names(min_seconds=1.0) != names()
    moved = tmp_path / "mu" / "sic"
    shutil.copytree(music, moved)
    assert list(ingest.make_plan(Config(str(tmp_path / "lake"), str(moved), dataset="music")).shards) == names()
    touch_later(music / "jazz" / "a.wav")
    assert list(ingest.make_plan(Config(str(tmp_path / "lake"), str(moved), dataset="music")).shards) != names()


# -- what cannot be read ----------------------------------------------------------------------------------------------


def test_a_folder_without_audio_makes_no_lake(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").touch()
    with pytest.raises(UsageError, match=r"no audio in \S+empty"):
        ingest.run(Config(str(tmp_path / "lake"), str(tmp_path / "empty")))
    assert not (tmp_path / "lake").exists()


def test_a_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    write_tone(tmp_path / "song.wav")
    with pytest.raises(UsageError, match=r"song\.wav is no folder"):
        ingest.run(Config(str(tmp_path / "lake"), str(tmp_path / "song.wav")))


def test_links_into_nothing_are_missing_until_something_is_there(config: Config, music: Path) -> None:
    (music / "link.wav").symlink_to(music.parent / "later.wav")
    (music / "loop.wav").symlink_to("loop.wav")
    (music / "pipe.wav.d").mkdir()
    os.mkfifo(music / "pipe.wav")
    ingest.run(config)
    missing = "SELECT track_id, retryable FROM rejects WHERE reason = 'missing' ORDER BY ALL"
    assert query(Path(config.lake), missing) == [(f"music:{name}.wav", True) for name in ("link", "loop", "pipe")]
    assert ingest.run(config).run_id is None
    write_tone(music.parent / "later.wav")
    assert ingest.run(config).outputs == 1
    assert query(Path(config.lake), missing) == [(f"music:{name}.wav", True) for name in ("loop", "pipe")]


def test_a_folder_in_the_place_of_a_file_is_missing(
    corpus: tuple[Path, list[fma.PlannedTrack]], tmp_path: Path
) -> None:
    shutil.copytree(corpus[0] / "fma_metadata", tmp_path / "corpus" / "fma_metadata")
    folder, there = (
        fma.audio_path(corpus[1][0], tmp_path / "corpus"),
        next(t for t in corpus[1][1:] if t.damage is None),
    )
    folder.mkdir(parents=True)
    # One of the others is there: of a dataset without any, nothing is taken in.
    shutil.copy(fma.audio_path(there, corpus[0]), fma.audio_path(there, tmp_path / "corpus"))
    outcome = ingest.run(Config(str(tmp_path / "lake"), str(tmp_path / "corpus"), "fma"))
    assert (outcome.outputs, outcome.rejects) == (1, 31)
    assert query(tmp_path / "lake", "SELECT DISTINCT reason FROM rejects") == [("missing",)]
    assert verify(Lake.open(tmp_path / "lake")) == []


def test_a_file_that_could_not_be_read_is_tried_again(config: Config, music: Path) -> None:
    path = music / "jazz" / "a.wav"
    # The disk fails after the file was listed: this worker finds nothing there.
    task = next(iter(tasks(config)))
    aside = path.rename(music.parent / "aside.wav")
    ingest.ingest_shard(task)
    aside.rename(path)
    assert ingest.run(config).rejects == 2
    unreadable = "SELECT track_id, retryable FROM rejects WHERE reason = 'unreadable'"
    assert query(Path(config.lake), unreadable) == [("music:jazz/a.wav", True)]
    # Nothing about the file has changed, and yet it is worth another try.
    outcome = ingest.run(config)
    assert (outcome.inputs, outcome.outputs, outcome.rejects) == (1, 1, 0)
    assert query(Path(config.lake), unreadable) == []
    assert ingest.run(config).run_id is None
    assert query(Path(config.lake), "SELECT count(*) FROM tracks") == [(4,)]


def test_a_file_that_stays_unreadable_is_tried_each_time_and_counted_once(config: Config, music: Path) -> None:
    for path in music.rglob("*.wav"):
        path.unlink()
    write_tone(music / "a.wav")
    for _ in range(2):
        (task,) = tasks(config)
        aside = (music / "a.wav").rename(music.parent / "aside.wav")
        ingest.ingest_shard(task)
        aside.rename(music / "a.wav")
        assert ingest.run(config).rejects == 1
        assert query(Path(config.lake), "SELECT track_id, reason FROM rejects") == [("music:a.wav", "unreadable")]
    assert ingest.run(config).outputs == 1
    assert query(Path(config.lake), "SELECT * FROM rejects") == []


# -- runs that were cut short -----------------------------------------------------------------------------------------


def tasks(config: Config) -> list[ingest.Task]:
    """The work that a run would hand to its workers."""
    lake = Lake.create(config.lake)
    plan = ingest.make_plan(config)
    return [ingest.Task(lake.root, config, stem, files) for stem, files in plan.shards.items()]


def expected_contents(config: Config, folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    ingest.run(dataclasses.replace(config, lake=str(folder)))
    return contents(folder)


@pytest.mark.parametrize("written", [("rejects",), ("rejects", "labels", "audio")])
def test_an_unfinished_shard_is_done_again(config: Config, tmp_path: Path, written: tuple[str, ...]) -> None:
    (task,) = tasks(config)
    ingest.ingest_shard(task)
    lake = Lake.open(config.lake)
    for table in TABLES:
        if table not in written:
            lake.path(table, task.stem).unlink(missing_ok=True)
    # What is there of it may be damaged, too.
    lake.path(written[-1], task.stem).write_bytes(b"PAR1 half")
    assert ingest.run(config).outputs == 4
    assert contents(Path(config.lake)) == expected_contents(config, tmp_path / "undisturbed")
    assert verify(lake) == []


def test_what_an_unfinished_attempt_saw_is_forgotten(config: Config, music: Path, tmp_path: Path) -> None:
    (task,) = tasks(config)
    (music / "rock").rename(tmp_path / "aside")
    (music / "rock").mkdir()
    ingest.ingest_shard(task)
    lake = Lake.open(config.lake)
    lake.path("tracks", task.stem).unlink()
    (music / "rock").rmdir()
    (tmp_path / "aside").rename(music / "rock")
    # The first attempt rejected all of rock; the second one takes it in, all but the one that is too short.
    assert ingest.run(config).outputs == 4
    assert contents(Path(config.lake)) == expected_contents(config, tmp_path / "undisturbed")
    assert verify(lake) == []


def test_rejects_of_an_unfinished_attempt_are_forgotten_when_there_are_none(music: Path, tmp_path: Path) -> None:
    (music / "rock" / "short.wav").unlink()
    config = Config(str(tmp_path / "lake"), str(music))
    (task,) = tasks(config)
    aside = (music / "jazz" / "a.wav").rename(tmp_path / "aside.wav")
    ingest.ingest_shard(task)
    Lake.open(config.lake).path("tracks", task.stem).unlink()
    aside.rename(music / "jazz" / "a.wav")
    assert ingest.run(config).outputs == 4
    assert query(Path(config.lake), "SELECT * FROM rejects") == []
    assert verify(Lake.open(config.lake)) == []


def test_a_finished_shard_is_not_done_again(config: Config) -> None:
    (task,) = tasks(config)
    ingest.ingest_shard(task)
    lake = Lake.open(config.lake)
    finished = {table: lake.path(table, task.stem).stat().st_mtime_ns for table in ("tracks", "audio")}
    outcome = ingest.run(config)
    assert (outcome.inputs, outcome.outputs, outcome.rejects) == (5, 4, 1)
    assert {t: lake.path(t, task.stem).stat().st_mtime_ns for t in ("tracks", "audio")} == finished


def test_stray_temporary_files_are_cleaned(config: Config) -> None:
    (task,) = tasks(config)
    lake = Lake.open(config.lake)
    strays = dead_files(lake, *(lake.path(table, task.stem) for table in TABLES))
    # Of a lake from before there were jobs: nobody knows whose it is.
    unknown = lake.folder("audio") / f".another-shard.parquet.0123abcd{TEMPORARY}"
    unknown.write_bytes(b"half")
    with jobs.working(lake.root, "extract"):
        living = temporary_beside(lake.path("audio", "living"))
        living.write_bytes(b"half")
        ingest.run(config)
        assert not any(path.exists() for path in strays)
        assert living.exists()
        assert [finding.where for finding in verify(lake)] == [unknown.name]
    os.utime(unknown, (0, 0))
    ingest.run(dataclasses.replace(config, silence_dbfs=-60.0))
    assert verify(lake) == []


def test_a_worker_that_fails_leaves_nothing_behind(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    (task,) = tasks(config)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(ingest_rows, "track_row", fail)
    with pytest.raises(OSError, match="disk full"):
        ingest.ingest_shard(task)
    assert [path for path in Path(config.lake, "tables").rglob("*") if path.is_file()] == []


def test_a_shard_of_rejects_alone_has_no_audio(tmp_path: Path) -> None:
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "empty.mp3").touch()
    outcome = ingest.run(Config(str(tmp_path / "lake"), str(tmp_path / "music")))
    assert (outcome.inputs, outcome.outputs, outcome.rejects) == (1, 0, 1)
    lake = Lake.open(tmp_path / "lake")
    assert lake.shards("audio") == {}
    assert query(lake, "SELECT * FROM tracks") == []
    assert verify(lake) == []


def test_formats_of_all_kinds_are_taken_in_together(tmp_path: Path) -> None:
    root = tmp_path / "music"
    root.mkdir()
    writers: dict[str, Callable[[Path], None]] = {
        ending: lambda path: sf.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 16_000), 16_000)
        for ending in ("wav", "flac", "ogg", "mp3", "aiff", "au")
    }
    for ending, write in writers.items():
        write(root / f"a.{ending}")
    ingest.run(Config(str(tmp_path / "lake"), str(root)))
    found = dict(query(tmp_path / "lake", "SELECT track_id, container FROM audio"))
    assert found == {f"music:a.{ending}": ending.upper() for ending in writers}
