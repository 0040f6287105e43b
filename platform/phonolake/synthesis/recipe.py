"""The form of a genre's recipe: which tempos, metres, harmonies, instruments and rooms its tracks draw from.

Rhythm is written in steps of a sixteenth. A metre is its beats' lengths in steps: ``(4, 4, 4, 4)`` is 4/4,
``(4, 4, 6)`` a 7/8. Pitches are MIDI numbers, levels dB, and every pair ``(low, high)`` is a range to draw from.
"""

from dataclasses import dataclass

from phonolake.synthesis.instruments import Drum, Timbre

Range = tuple[float, float]
Metre = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Accents:
    """How likely an onset is, 0 to 1, by its place in the bar: strong beat, weak beat, middle of a beat, elsewhere."""

    strong: float
    weak: float
    middle: float
    rest: float


@dataclass(frozen=True, slots=True)
class Figuration:
    """How a part moves: its onsets, how much of the time between them a note is held, and how a chord is broken.

    Parameters
    ----------
    hold : float
        Fraction of the time to the next onset, about 0.3 (staccato) to 1 and more (ringing on).
    roll : float
        Seconds between the notes of a strummed chord; 0 for a block chord.
    broken : bool
        One note of the chord at each onset instead of all of them.
    """

    accents: Accents
    hold: float = 0.9
    roll: float = 0.0
    broken: bool = False


@dataclass(frozen=True, slots=True)
class PlayerPart:
    """One player: the instruments and figures to choose from.

    Parameters
    ----------
    register : (int, int)
        Lowest and highest MIDI number; a melody wanders inside it, chords start at its lower end.
    voicing : tuple of int
        Scale degrees above the chord's root, such as ``(0, 2, 4)``; a melody has none.
    presence : float
        Probability that the part plays in a track at all.
    gain : (low, high)
        Level in dB.
    """

    timbres: tuple[Timbre, ...]
    figures: tuple[Figuration, ...]
    register: tuple[int, int]
    voicing: tuple[int, ...] = ()
    presence: float = 1.0
    gain: Range = (-6.0, 0.0)


@dataclass(frozen=True, slots=True)
class Beat:
    """A percussion pattern: what each drum of the kit strikes."""

    strokes: tuple[tuple[Drum, float, Accents], ...]


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Tempo in quarters a minute, metres (one named twice is twice as likely), swing as a fraction of a sixteenth."""

    tempo: Range
    metres: tuple[Metre, ...]
    swing: Range = (0.0, 0.05)


@dataclass(frozen=True, slots=True)
class Harmony:
    """Scales in semitones above the tonic, and progressions as scale degrees, one a bar."""

    scales: tuple[tuple[int, ...], ...]
    progressions: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Percussion:
    """The beats to choose from, with the probability that there is one and its level in dB."""

    beats: tuple[Beat, ...]
    presence: float
    gain: Range


@dataclass(frozen=True, slots=True)
class Mix:
    """Room and console.

    Parameters
    ----------
    wet : (low, high)
        Share of the reverberation, 0 to 1.
    decay : (low, high)
        Its time to fall by 60 dB, in seconds.
    drive : (low, high)
        Saturation of the sum; below 0.5 hardly any.
    cutoff : (low, high)
        Low-pass in Hz; the recording's bandwidth.
    hiss : (low, high)
        Level of the noise floor in dB below the music.
    level : (low, high)
        Root mean square in dB relative to full scale.
    """

    wet: Range = (0.05, 0.2)
    decay: Range = (0.3, 1.2)
    drive: Range = (0.0, 0.5)
    cutoff: Range = (6000.0, 10500.0)
    hiss: Range = (-65.0, -45.0)
    level: Range = (-22.0, -13.0)


@dataclass(frozen=True, slots=True)
class Style:
    """A genre: what it draws its tracks from."""

    rhythm: Rhythm
    harmony: Harmony
    percussion: Percussion
    bass: PlayerPart
    chords: PlayerPart
    lead: PlayerPart
    mix: Mix
