"""A synthetic collection on disk in FMA's own layout: its audio, its metadata, and beside them the truth.

::

    root/fma_small/000/000002.mp3
    root/fma_metadata/tracks.csv, genres.csv
    root/truth.csv

The layout, the columns and the ids of the genres are those of the official archives [1]_.

References
----------
.. [1] M. Defferrard, K. Benzi, P. Vandergheynst, X. Bresson, "FMA: A Dataset for Music Analysis", ISMIR, 2017.
"""

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile as sf

from phonolake.files import write
from phonolake.records import Hertz
from phonolake.synthesis.damage import damage
from phonolake.synthesis.music import compose, tags
from phonolake.synthesis.planning import Config, PlannedTrack, plan
from phonolake.synthesis.planted import with_burst

__all__ = ["Config", "PlannedTrack", "audio_path", "encode_mp3", "plan", "render", "write_metadata", "write_track"]

GENRE_IDS = {
    "International": 2,
    "Pop": 10,
    "Rock": 12,
    "Electronic": 15,
    "Folk": 17,
    "Hip-Hop": 21,
    "Experimental": 38,
    "Instrumental": 1235,
}
COLUMNS = {
    "album": "comments date_created date_released engineer favorites id information listens producer tags title "
    "tracks type",
    "artist": "active_year_begin active_year_end associated_labels bio comments date_created favorites id latitude "
    "location longitude members name related_projects tags website wikipedia_page",
    "set": "split subset",
    "track": "bit_rate comments composer date_created date_recorded duration favorites genre_top genres genres_all "
    "information interest language_code license listens lyricist number publisher tags title",
}
LICENCE = "CC0 1.0 Universal"
INFORMATION = "Synthetic: composed by Phonolake, no recording of the Free Music Archive."


def encode_mp3(samples: np.ndarray, sr: Hertz) -> bytes:
    """Encode samples as MP3.

    Parameters
    ----------
    samples : np.ndarray, shape (n,)
        Mono, within [-1, 1].
    sr : Hertz
        Sampling rate, one that MP3 knows.
    """
    buffer = io.BytesIO()
    sf.write(buffer, samples, sr, format="MP3")
    return buffer.getvalue()


def render(track: PlannedTrack, config: Config) -> bytes:
    """Make the bytes of a track's file: an MP3, or what is left of it.

    The music depends on the seed and the track alone, so tracks may be rendered in any order and anywhere.
    """
    rng = _rng(track, config)
    samples = compose(track.genre, rng=rng, duration=config.duration, sr=config.sr)
    if config.peaks:
        samples = with_burst(samples, config.sr, config.peaks, rng)
    if track.damage is None:
        return encode_mp3(samples, config.sr)
    return damage(track.damage, samples, config.sr, encode_mp3)


def write_track(track: PlannedTrack, config: Config, root: Path) -> int:
    """Render a track and write it to its place under `root`, whole or not at all.

    Returns
    -------
    int
        Bytes written.
    """
    data = render(track, config)
    write(audio_path(track, root), data)
    return len(data)


def audio_path(track: PlannedTrack, root: Path) -> Path:
    """Where FMA keeps a track, such as ``root/fma_small/000/000002.mp3``."""
    name = f"{track.track_id:06d}"
    return root / "fma_small" / name[:3] / f"{name}.mp3"


def _rng(track: PlannedTrack, config: Config) -> np.random.Generator:
    return np.random.default_rng([config.seed, track.track_id])


def write_metadata(tracks: Sequence[PlannedTrack], config: Config, root: Path) -> None:
    """Write `tracks.csv` and `genres.csv` as FMA does, and `truth.csv`.

    `tracks.csv` has the 52 official columns under two header rows, and a third row that only names the index; read it
    with ``pd.read_csv(path, index_col=0, header=[0, 1])``. What a made-up track has not (a biography, a composer) is
    left empty. `truth.csv` has the columns `track_id`, `genre_true`, `genre_given`, `mislabelled` and `damage` (empty
    for a sound file).
    """
    _write_csv(root / "fma_metadata" / "tracks.csv", _tracks_table(tracks, config))
    _write_csv(root / "fma_metadata" / "genres.csv", _genres_table(tracks))
    _write_csv(root / "truth.csv", _truth_table(tracks))


def _tracks_table(tracks: Sequence[PlannedTrack], config: Config) -> pd.DataFrame:
    on_album = Counter(track.album_id for track in tracks)
    columns = pd.MultiIndex.from_tuples([(group, name) for group, names in COLUMNS.items() for name in names.split()])
    index = pd.Index([track.track_id for track in tracks], name="track_id")
    rows = [_row(track, config, on_album[track.album_id]) for track in tracks]
    return pd.DataFrame(rows, index=index).reindex(columns=columns)


def _row(track: PlannedTrack, config: Config, on_album: int) -> dict[tuple[str, str], object]:
    released = f"{track.year}-01-01 00:00:00"
    counts = {(group, name): 0 for group in ("album", "artist", "track") for name in ("comments", "favorites")}
    return counts | {
        ("album", "date_created"): released,
        ("album", "date_released"): released,
        ("album", "id"): track.album_id,
        ("album", "listens"): 0,
        ("album", "tags"): "[]",
        ("album", "title"): track.album,
        ("album", "tracks"): on_album,
        ("album", "type"): "Album",
        ("artist", "id"): track.artist_id,
        ("artist", "name"): track.artist,
        ("artist", "tags"): "[]",
        ("set", "split"): track.part,
        ("set", "subset"): "small",
        ("track", "date_created"): released,
        ("track", "duration"): round(config.duration),
        ("track", "genre_top"): track.given,
        ("track", "genres"): f"[{GENRE_IDS[track.given]}]",
        ("track", "genres_all"): f"[{GENRE_IDS[track.given]}]",
        ("track", "information"): INFORMATION,
        ("track", "interest"): 0,
        ("track", "license"): LICENCE,
        ("track", "listens"): 0,
        ("track", "number"): track.number,
        ("track", "tags"): repr(list(tags(track.genre, rng=_rng(track, config), duration=config.duration))),
        ("track", "title"): track.title,
    }


def _genres_table(tracks: Sequence[PlannedTrack]) -> pd.DataFrame:
    """List the top genres, which are their own top level and have no parent, with their tracks in this collection."""
    given = Counter(track.given for track in tracks)
    rows = [(number, given[title], 0, title, number) for title, number in GENRE_IDS.items()]
    return pd.DataFrame(rows, columns=["genre_id", "#tracks", "parent", "title", "top_level"]).set_index("genre_id")


def _truth_table(tracks: Sequence[PlannedTrack]) -> pd.DataFrame:
    rows = [(track.track_id, track.genre, track.given, track.mislabelled, track.damage) for track in tracks]
    columns = ["track_id", "genre_true", "genre_given", "mislabelled", "damage"]
    return pd.DataFrame(rows, columns=columns).set_index("track_id")


def _write_csv(path: Path, table: pd.DataFrame) -> None:
    write(path, table.to_csv(lineterminator="\n").encode())
