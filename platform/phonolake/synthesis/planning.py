"""Plan the tracks of a synthetic collection: classes, artists, split, wrong labels and broken files."""

import math
from collections import defaultdict
from dataclasses import asdict, dataclass
from itertools import cycle

import numpy as np

from phonolake.errors import UsageError
from phonolake.records import Hertz, Seconds
from phonolake.synthesis.damage import KINDS
from phonolake.synthesis.music import GENRES
from phonolake.synthesis.planted import Planted

MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
MAX_TRACKS = 100_000  # FMA's file names have six digits
ARTIST_TRACKS = 5  # most tracks of one artist
ALBUM_TRACKS = 3  # most tracks of one album
COLOURS, THINGS = map(
    str.split,
    (
        "Amber Ashen Azure Black Copper Crimson Golden Green Grey Hazel Indigo Ivory Jade Olive Pale Red Silver White",
        "Anchors Antlers Bridges Canyons Compasses Ferns Foxes Gardens Harbours Herons Islands Kites Lanterns Magpies "
        "Maples Meadows Mills Mirrors Orchards Otters Pilots Rivers Sparrows Stations Tides Trains Valleys Windows",
    ),
)
DISTINCT_NAMES = len(COLOURS) * len(THINGS)


@dataclass(frozen=True, slots=True)
class Config:
    """What collection to make.

    Parameters
    ----------
    n_tracks : int
        Tracks in all, broken ones included; 1 to 100,000.
    seed : int
        Determines everything random; 0 or above.
    label_noise : float
        Fraction of the sound tracks whose written genre is wrong, in [0, 1).
    n_corrupt : int
        Broken files, at most `n_tracks`; their kinds take turns.
    duration : Seconds
        Length of each clip, 1 or above.
    sr : Hertz
        Sampling rate, one that MP3 knows.
    peaks : float
        Decibels by which a burst in each clip is louder than its music, as in `phonolake.synthesis.planted`; 0: none.

    Raises
    ------
    UsageError
        If a value is out of its range.
    """

    n_tracks: int
    seed: int = 0
    label_noise: float = 0.0
    n_corrupt: int = 0
    duration: Seconds = Seconds(30.0)  # noqa: RUF009 (a NewType call is the float itself)
    sr: Hertz = Hertz(22050)  # noqa: RUF009
    peaks: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.n_tracks <= MAX_TRACKS:
            raise UsageError(f"n_tracks is {self.n_tracks}; it must lie between 1 and {MAX_TRACKS}.")
        if self.seed < 0:
            raise UsageError(f"seed is {self.seed}; it must be 0 or above.")
        if not 0 <= self.label_noise < 1:
            raise UsageError(f"label_noise is {self.label_noise}; it must be a fraction of at least 0 and below 1.")
        if not 0 <= self.n_corrupt <= self.n_tracks:
            raise UsageError(f"n_corrupt is {self.n_corrupt}; it must lie between 0 and n_tracks ({self.n_tracks}).")
        if not 1 <= self.duration < math.inf:
            raise UsageError(f"duration is {self.duration} s; it must be 1 s or more.")
        Planted(peaks=self.peaks)  # says what is allowed
        if self.sr not in MP3_RATES:
            raise UsageError(f"sr is {self.sr} Hz; MP3 knows {', '.join(map(str, MP3_RATES))}.")


@dataclass(frozen=True, slots=True)
class PlannedTrack:
    """One track to be made.

    Parameters
    ----------
    track_id : int
        FMA's number, which names the file: 2 is ``000/000002.mp3``.
    genre : str
        What the music is: the truth.
    given : str
        What the metadata says it is.
    part : str
        ``training``, ``validation`` or ``test``, in FMA's words.
    number : int
        Place on the album, from 1.
    year : int
        When the album was released.
    damage : str or None
        How the file is broken, one of `phonolake.synthesis.damage.KINDS`.
    """

    track_id: int
    genre: str
    given: str
    part: str
    artist_id: int
    artist: str
    album_id: int
    album: str
    title: str
    number: int
    year: int
    damage: str | None

    @property
    def mislabelled(self) -> bool:
        """Whether the metadata is wrong about the genre."""
        return self.given != self.genre


@dataclass(frozen=True, slots=True)
class _Credit:
    """Where a track was published."""

    artist_id: int
    artist: str
    album_id: int
    album: str
    number: int
    year: int


def plan(config: Config) -> list[PlannedTrack]:
    """List the tracks of a collection; the same config gives the same list.

    Classes are balanced to within one track. The split is 80/10/10 inside each class, give or take a track or two,
    and no artist is in two parts. Ids, classes, split and artists depend on the seed and the number of tracks alone,
    so collections that differ in `label_noise` or `n_corrupt` hold the same music; more noise keeps the wrong labels
    of less noise and adds to them.

    Returns
    -------
    list of PlannedTrack
        `config.n_tracks` of them, in order of their ids. Of those that are not broken, exactly
        ``round(label_noise * count)`` are mislabelled, each with one of the other genres at random.
    """
    music, damages, noise = np.random.default_rng(config.seed).spawn(3)
    n = config.n_tracks
    # FMA begins with 2 and its ids have gaps. Over 6,000 numbers even a small collection fills several folders.
    gaps = music.choice(min(max(6000, 20 * n), 900_000), n - 1, replace=False)
    ids = np.concatenate([[2], 3 + np.sort(gaps)])
    genre = music.permutation(np.arange(n) % len(GENRES))
    parts = _split(genre, music)
    credits = _publish(genre, parts, music)
    broken = dict(zip(damages.permutation(n)[: config.n_corrupt].tolist(), cycle(KINDS), strict=False))
    given = _mislabel(genre, broken, config.label_noise, noise)
    return [
        PlannedTrack(
            track_id=int(ids[i]),
            genre=GENRES[genre[i]],
            given=GENRES[given[i]],
            part=parts[i],
            title=_name(int(music.integers(DISTINCT_NAMES))),
            damage=broken.get(i),
            **asdict(credits[i]),
        )
        for i in range(n)
    ]


def _split(genre: np.ndarray, rng: np.random.Generator) -> list[str]:
    """Deal the tracks, class after class, as cards: every tenth to validation, another tenth to test."""
    shuffled = rng.permutation(genre.size)
    by_class = shuffled[np.argsort(genre[shuffled], kind="stable")]
    parts = ["training"] * genre.size
    for deal, i in enumerate(by_class):
        parts[i] = {4: "validation", 9: "test"}.get(deal % 10, "training")
    return parts


def _publish(genre: np.ndarray, parts: list[str], rng: np.random.Generator) -> dict[int, _Credit]:
    """Give every track an artist and an album. An artist keeps to one class and one part, hence nothing leaks."""
    groups: dict[tuple[int, str], list[int]] = defaultdict(list)
    for i in rng.permutation(genre.size).tolist():
        groups[int(genre[i]), parts[i]].append(i)
    credits: dict[int, _Credit] = {}
    names = rng.permutation(genre.size).tolist()
    albums = 0
    for _, tracks in sorted(groups.items()):
        while tracks:
            own = [tracks.pop() for _ in range(min(int(rng.integers(1, ARTIST_TRACKS + 1)), len(tracks)))]
            artist = names.pop()
            for start in range(0, len(own), ALBUM_TRACKS):
                albums += 1
                album, year = _name(int(rng.integers(DISTINCT_NAMES))), int(rng.integers(2008, 2018))
                for number, i in enumerate(sorted(own[start : start + ALBUM_TRACKS]), start=1):
                    credits[i] = _Credit(artist + 1, f"The {_name(artist)}", albums, album, number, year)
    return credits


def _name(i: int) -> str:
    """Return the i-th made-up name, all of them different; those after `DISTINCT_NAMES` carry a number."""
    again, i = divmod(i, DISTINCT_NAMES)
    name = f"{COLOURS[i % len(COLOURS)]} {THINGS[i // len(COLOURS)]}"
    return f"{name} {again + 1}" if again else name


def _mislabel(genre: np.ndarray, broken: dict[int, str], label_noise: float, rng: np.random.Generator) -> np.ndarray:
    """Return the written classes: some of the sound tracks moved on to another class."""
    away = rng.integers(1, len(GENRES), genre.size)
    sound = [i for i in rng.permutation(genre.size).tolist() if i not in broken]
    wrong = sound[: round(label_noise * len(sound))]
    given = genre.copy()
    given[wrong] = (genre[wrong] + away[wrong]) % len(GENRES)
    return given
