"""Composing: a genre's recipe and a random generator become a piece of music.

A track follows its genre's recipe trait by trait (rhythm, harmony, percussion, bass, chords, lead, mix), but some of
its traits come from another genre, as in real music. That, and ranges that overlap, is what keeps the task hard.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np

from phonolake.errors import UsageError, unknown
from phonolake.records import Hertz, Seconds
from phonolake.synthesis.palette import WALTZ
from phonolake.synthesis.recipe import Accents, Figuration, Harmony, Metre, Percussion, PlayerPart, Rhythm, Style
from phonolake.synthesis.studio import Note, master, play, strike
from phonolake.synthesis.styles import STYLES

GENRES = tuple(STYLES)
BORROWED = 0.05  # probability of each trait to come from any genre at all; it sets how hard the task is
HUMAN_TIMING = 0.004  # standard deviation of an onset, in seconds
PHRASE = 2  # bars after which a rhythm repeats
MOTION = (-3, -2, -1, -1, 0, 1, 1, 2, 3)  # steps of a melody along its scale


def compose(genre: str, *, rng: np.random.Generator, duration: Seconds, sr: Hertz) -> np.ndarray:
    """Compose a piece of music.

    Parameters
    ----------
    genre : str
        One of `GENRES`.
    rng : np.random.Generator
        Everything that varies inside the genre is drawn from it; the same state gives the same samples.
    duration : Seconds
        Above 0. The piece starts and ends in its middle, as FMA's clips do.
    sr : Hertz
        Sampling rate.

    Returns
    -------
    np.ndarray, shape (round(duration * sr),), float32
        Mono, within [-1, 1].

    Raises
    ------
    UsageError
        If the genre is unknown or the duration holds no sample.
    """
    if genre not in STYLES:
        raise unknown("genre", genre, GENRES)
    n = round(duration * sr)
    if n < 1:
        raise UsageError(f"duration {duration} s at {sr} Hz holds no sample. Ask for a longer piece.")
    style, song = sketch(genre, duration=duration, rng=rng)
    mixed = _percussion(style.percussion, song, n=n, sr=sr, rng=rng)
    for part in (style.bass, style.chords, style.lead):
        # The chords fall silent only where something else is heard.
        if rng.random() < part.presence or (part is style.chords and not mixed.any()):
            mixed += _level(part.gain, rng) * _part(part, song, n=n, sr=sr, rng=rng)
    return master(mixed, style.mix, sr=sr, rng=rng)


def tags(genre: str, *, rng: np.random.Generator, duration: Seconds) -> tuple[str, ...]:
    """Name what can be heard in the piece that `compose` makes of the same generator state.

    Returns
    -------
    tuple of str
        Tempo (``slow`` below 84, ``fast`` above 132 quarters a minute), metre (``waltz``, ``odd metre``) and mode
        (``major``, ``minor``: by the third of the scale), as far as the words apply.
    """
    _, song = sketch(genre, duration=duration, rng=rng)
    tempo = 15 / song.step
    words = {
        "slow": tempo < 84,
        "fast": tempo > 132,
        "waltz": song.metre == WALTZ,
        "odd metre": sum(song.metre) % 4 != 0,
        "minor": 3 in song.scale and 4 not in song.scale,
        "major": 4 in song.scale and 3 not in song.scale,
    }
    return tuple(word for word, applies in words.items() if applies)


def sketch(genre: str, *, duration: Seconds, rng: np.random.Generator) -> tuple[Style, "Piece"]:
    """What a piece is made of, before it sounds."""
    style = _borrow(STYLES[genre], rng)
    return style, Piece.draw(style.rhythm, style.harmony, duration=duration, rng=rng)


def _borrow(style: Style, rng: np.random.Generator) -> Style:
    """Take some traits from another genre."""
    others = list(STYLES.values())
    lenders = {field.name: others[rng.integers(len(others))] for field in fields(Style) if rng.random() < BORROWED}
    return replace(style, **{name: getattr(lender, name) for name, lender in lenders.items()})


def _level(gain: tuple[float, float], rng: np.random.Generator) -> np.float32:
    return np.float32(10 ** (rng.uniform(*gain) / 20))


@dataclass(frozen=True, slots=True)
class Piece:
    """What all parts of a piece agree on.

    Parameters
    ----------
    step : float
        Length of a sixteenth in seconds.
    bars : int
        Bars that cover the piece; the first begins `lead_in` seconds before it.
    tonic : int
        Pitch class, 0 (C) to 11.
    """

    step: float
    metre: Metre
    swing: float
    bars: int
    lead_in: float
    tonic: int
    scale: tuple[int, ...]
    progression: tuple[int, ...]

    @classmethod
    def draw(cls, rhythm: Rhythm, harmony: Harmony, *, duration: Seconds, rng: np.random.Generator) -> "Piece":
        """Draw tempo, metre, key and chords from a recipe."""
        metre = rhythm.metres[rng.integers(len(rhythm.metres))]
        step = 15 / rng.uniform(*rhythm.tempo)
        bar = step * sum(metre)
        progression = harmony.progressions[rng.integers(len(harmony.progressions))]
        lead_in = bar * rng.uniform(0, len(progression))
        return cls(
            step=step,
            metre=metre,
            swing=rng.uniform(*rhythm.swing),
            bars=math.ceil((duration + lead_in) / bar),
            lead_in=lead_in,
            tonic=int(rng.integers(12)),
            scale=harmony.scales[rng.integers(len(harmony.scales))],
            progression=progression,
        )

    def time(self, bar: int, step: int) -> float:
        """Return when a step of a bar sounds, in seconds; every second sixteenth waits for the swing."""
        late = self.swing if step % 2 == 1 else 0.0
        return (bar * sum(self.metre) + step + late) * self.step - self.lead_in

    def pitch(self, degree: int) -> int:
        """Return the semitones of a scale degree above the tonic; degrees beyond the scale reach other octaves."""
        octave, place = divmod(degree, len(self.scale))
        return 12 * octave + self.scale[place]

    def chord(self, bar: int, voicing: tuple[int, ...], lowest: int) -> list[int]:
        """Return the MIDI numbers of a bar's chord, its root within the octave above `lowest`."""
        degree = self.progression[bar % len(self.progression)]
        root = lowest + (self.tonic + self.pitch(degree) - lowest) % 12
        return [root + self.pitch(degree + above) - self.pitch(degree) for above in voicing]


def onsets(accents: Accents, metre: Metre, rng: np.random.Generator) -> np.ndarray:
    """Draw the steps of one bar on which something sounds.

    Strong beats are the first and every second one after it, save the last of an odd number: 3/4 and 7/8 have one.

    Returns
    -------
    np.ndarray, shape (k,), int
        Ascending steps below ``sum(metre)``.
    """
    likely: list[float] = []
    for i, beat in enumerate(metre):
        strong = i % 2 == 0 and (i == 0 or i < len(metre) - 1)
        steps = [accents.rest] * beat
        steps[beat // 2] = accents.middle
        steps[0] = accents.strong if strong else accents.weak
        likely += steps
    return np.flatnonzero(rng.random(len(likely)) < likely)


def _phrased(accents: Accents, song: Piece, rng: np.random.Generator) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (bar, onsets): a phrase that repeats, now and then with a bar of its own."""
    phrase = [onsets(accents, song.metre, rng) for _ in range(PHRASE)]
    for bar in range(song.bars):
        yield bar, onsets(accents, song.metre, rng) if rng.random() < 0.12 else phrase[bar % PHRASE]


def _percussion(percussion: Percussion, song: Piece, *, n: int, sr: Hertz, rng: np.random.Generator) -> np.ndarray:
    if rng.random() >= percussion.presence:
        return np.zeros(n, dtype=np.float32)
    beat = percussion.beats[rng.integers(len(percussion.beats))]
    strokes = [
        (drum, song.time(bar, step) + rng.normal(0, HUMAN_TIMING), level * rng.uniform(0.6, 1.0))
        for drum, level, accents in beat.strokes
        for bar, steps in _phrased(accents, song, rng)
        for step in steps
    ]
    return _level(percussion.gain, rng) * strike(strokes, n=n, sr=sr, rng=rng)


def _part(part: PlayerPart, song: Piece, *, n: int, sr: Hertz, rng: np.random.Generator) -> np.ndarray:
    timbre = part.timbres[rng.integers(len(part.timbres))]
    figure = part.figures[rng.integers(len(part.figures))]
    write = _accompaniment if part.voicing else _melody
    return play(write(part, figure, song, rng), timbre, n=n, sr=sr, rng=rng)


def _accompaniment(part: PlayerPart, figure: Figuration, song: Piece, rng: np.random.Generator) -> Iterator[Note]:
    count = 0
    for bar, steps in _phrased(figure.accents, song, rng):
        chord = song.chord(bar, part.voicing, part.register[0])
        # A chord that the figure leaves out altogether is at least touched on its first beat.
        steps = steps if steps.size else np.zeros(1, dtype=int)
        for step, gap in zip(steps, np.diff(steps, append=sum(song.metre)), strict=True):
            pitches = [chord[count % len(chord)]] if figure.broken else chord
            count += 1
            onset = song.time(bar, step) + rng.normal(0, HUMAN_TIMING)
            velocity = rng.uniform(0.6, 1.0)
            for i, pitch in enumerate(pitches):
                yield Note(onset + i * figure.roll, figure.hold * gap * song.step, pitch, velocity)


def _melody(part: PlayerPart, figure: Figuration, song: Piece, rng: np.random.Generator) -> Iterator[Note]:
    """Walk along the scale; a phrase comes back with its notes, a rest takes its place now and then."""
    low, high = part.register
    allowed = [pitch for pitch in range(low, high + 1) if (pitch - song.tonic) % 12 in song.scale]
    place = int(rng.integers(len(allowed)))
    tune: dict[tuple[int, int], int] = {}
    resting = False
    for bar, steps in _phrased(figure.accents, song, rng):
        if bar % PHRASE == 0:
            resting = rng.random() < 0.15
        for step, gap in zip(steps, np.diff(steps, append=sum(song.metre)), strict=True):
            known = (bar % (2 * PHRASE), int(step))
            if known not in tune:
                place = int(np.clip(place + rng.choice(MOTION), 0, len(allowed) - 1))
                tune[known] = allowed[place]
            if not resting:
                onset = song.time(bar, step) + rng.normal(0, HUMAN_TIMING)
                yield Note(onset, figure.hold * gap * song.step, tune[known], rng.uniform(0.6, 1.0))
