"""The Million Song Dataset on disk: an HDF5 file a song in its tree, Last.fm's tags, the 50-tag split; audio beside."""

import io
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing

import h5py
import numpy as np

from phonolake.records import Hertz
from phonolake.synthesis.layouts.contract import Config, DatasetLayout, PlannedClip, parts
from phonolake.synthesis.planted import tags

# Columns of the three tables of a song's file, as in the official ones.
METADATA = np.dtype([
    ("analyzer_version", "S32"), ("artist_7digitalid", "<i4"), ("artist_familiarity", "<f8"),
    ("artist_hotttnesss", "<f8"), ("artist_id", "S32"), ("artist_latitude", "<f8"), ("artist_location", "S1024"),
    ("artist_longitude", "<f8"), ("artist_mbid", "S40"), ("artist_name", "S1024"), ("artist_playmeid", "<i4"),
    ("genre", "S1024"), ("idx_artist_terms", "<i4"), ("idx_similar_artists", "<i4"), ("release", "S1024"),
    ("release_7digitalid", "<i4"), ("song_hotttnesss", "<f8"), ("song_id", "S32"), ("title", "S1024"),
    ("track_7digitalid", "<i4"),
])  # fmt: skip
ANALYSIS = np.dtype([
    ("analysis_sample_rate", "<i4"), ("audio_md5", "S32"), ("danceability", "<f8"), ("duration", "<f8"),
    ("end_of_fade_in", "<f8"), ("energy", "<f8"), ("key", "<i4"), ("key_confidence", "<f8"), ("loudness", "<f8"),
    ("mode", "<i4"), ("mode_confidence", "<f8"), ("start_of_fade_out", "<f8"), ("tempo", "<f8"),
    ("time_signature", "<i4"), ("time_signature_confidence", "<f8"), ("track_id", "S32"),
])  # fmt: skip
MUSICBRAINZ = np.dtype([("idx_artist_mbtags", "<i4"), ("year", "<i4")])
# Columns of the label matrices, by name and place; each kind of clip has two of them.
KINDS = (
    ("rock", 0, "guitar", 32), ("pop", 1, "catchy", 39), ("jazz", 9, "soul", 15), ("metal", 11, "heavy metal", 42),
    ("folk", 20, "acoustic", 29), ("punk", 24, "party", 35), ("ambient", 28, "chillout", 12),
    ("country", 36, "sad", 47),
)  # fmt: skip
N_TAGS = 50
COLUMN = {tag: column for kind in KINDS for tag, column in (kind[:2], kind[2:])}


def clips(config: Config) -> list[PlannedClip]:
    """Songs of the kinds in turn; half of the audio is named by track id, half by 7digital's number."""
    rng = np.random.default_rng([config.seed, 2])
    found = []
    for i in range(config.n_tracks):
        letters = "".join(chr(65 + j) for j in rng.integers(0, 26, 7))
        track = f"TR{letters}{128:03d}F{i:05X}"[:18].ljust(18, "0")
        number = 6_000_000 + i
        name = f"{track}.mp3" if i % 2 else f"{number % 10}/{number // 10 % 10}/{number}.clip.mp3"
        kind = i % len(KINDS)
        own = (KINDS[kind][0], KINDS[kind][2])
        true, given = tags(own, tuple(COLUMN), config.planted, seed=config.seed, number=i)
        said = (("track", track), ("number", number), ("tags", given), ("true", true))
        found.append(PlannedClip(f"audio/{name}", KINDS[kind][0], kind, i, "MP3", Hertz(22_050), said))
    return found


def files(clips: Sequence[PlannedClip], config: Config) -> dict[str, bytes]:
    """HDF5 files, the tag database, and lists and matrices of the split."""
    found = {}
    by_part: dict[str, list[PlannedClip]] = defaultdict(list)
    for clip in clips:
        track = clip["track"]
        found[f"data/{track[2]}/{track[3]}/{track[4]}/{track}.h5"] = _song(clip, config)
        by_part[parts(clip.number + 1)[-1]].append(clip)
    for part, members in by_part.items():
        found[f"{part}_x_msd_id.txt"] = "".join(f"{c['track']}\n" for c in members).encode()
        found[f"{part}_x_7d_id.txt"] = "".join(f"{c['number']}\n" for c in members).encode()
        found[f"{part}_y.npy"] = _matrix(members)
    return found | {"lastfm_tags.db": _tags(clips)}


def _song(clip: PlannedClip, config: Config) -> bytes:
    metadata, analysis, musicbrainz = (np.zeros(1, kind) for kind in (METADATA, ANALYSIS, MUSICBRAINZ))
    metadata["artist_name"] = f"The {clip.label} band".encode()
    metadata["artist_id"] = f"AR{clip.kind:016d}".encode()
    metadata["song_id"] = f"SO{clip.number:016d}".encode()
    metadata["title"] = f"{clip.label} song {clip.number}".encode()
    metadata["release"] = f"{clip.label} album".encode()
    metadata["track_7digitalid"] = clip["number"]
    analysis["track_id"] = clip["track"].encode()
    analysis["duration"], analysis["tempo"], analysis["time_signature"] = config.duration, 90 + clip.kind, 4
    musicbrainz["year"] = 1960 + clip.number % 50 if clip.number % 3 else 0
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, table in (("metadata", metadata), ("analysis", analysis), ("musicbrainz", musicbrainz)):
            file.create_dataset(f"{name}/songs", data=table)
        file.create_dataset("metadata/artist_terms", data=np.array([clip.label.encode()], "S256"))
        file.create_dataset("musicbrainz/artist_mbtags", data=np.array([], "S256"))
    return buffer.getvalue()


def _matrix(members: list[PlannedClip]) -> bytes:
    labels = np.zeros((len(members), N_TAGS), bool)
    for row, clip in enumerate(members):
        labels[row, [COLUMN[tag] for tag in clip["tags"]]] = True
    buffer = io.BytesIO()
    np.save(buffer, labels)
    return buffer.getvalue()


def _tags(clips: Sequence[PlannedClip]) -> bytes:
    """Last.fm's tables: weights are 100 and 60, and 30 for a tag that is too light to count."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE tids (tid TEXT PRIMARY KEY)")
        connection.execute("CREATE TABLE tags (tag TEXT PRIMARY KEY)")
        connection.execute("CREATE TABLE tid_tag (tid INT, tag INT, val FLOAT)")
        names = sorted(COLUMN.keys() | {"seen live"})
        connection.executemany("INSERT INTO tags VALUES (?)", [(name,) for name in names])
        connection.executemany("INSERT INTO tids VALUES (?)", [(clip["track"],) for clip in clips])
        rows = [
            (clip.number + 1, names.index(tag) + 1, weight) for clip in clips for tag, weight in _weighed(clip["tags"])
        ]
        connection.executemany("INSERT INTO tid_tag VALUES (?, ?, ?)", rows)
        connection.commit()
        return connection.serialize()


def _weighed(given: tuple[str, ...]) -> list[tuple[str, float]]:
    return [(tag, 60.0 if n else 100.0) for n, tag in enumerate(given)] + [("seen live", 30.0)]


LAYOUT = DatasetLayout("msd", 40, 29.0, clips, files, lambda clip: f"msd:{clip['track']}")
