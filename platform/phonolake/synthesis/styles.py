"""One recipe for each of the eight top genres of `fma_small`.

The ranges overlap on purpose: no single trait, be it the tempo, the loudness or one instrument, gives a genre away.
"""

from phonolake.synthesis import palette as p
from phonolake.synthesis.recipe import Harmony, Mix, Percussion, PlayerPart, Rhythm, Style

ELECTRONIC = Style(
    rhythm=Rhythm(tempo=(108, 148), metres=(p.COMMON,)),
    harmony=Harmony(scales=(p.MINOR, p.DORIAN), progressions=((0, 0, 5, 6), (0, 0, 0, 0), (0, 5, 3, 4), (0, 3, 0, 6))),
    percussion=Percussion(beats=(p.FOUR_ON_THE_FLOOR, p.FOUR_ON_THE_FLOOR, p.BREAKBEAT), presence=0.9, gain=(-4, 2)),
    bass=PlayerPart((p.FM_BASS, p.SAW, p.ACID, p.SUB_BASS), (p.OFFBEATS, p.EIGHTHS, p.SIXTEENTHS), (31, 45), p.ROOT),
    chords=PlayerPart(
        (p.SAW, p.PAD, p.SQUARE, p.BELL), (p.SIXTEENTHS, p.OFFBEATS, p.HELD), (52, 66), p.TRIAD, 0.9, (-9, -2)
    ),
    lead=PlayerPart(
        (p.SAW, p.SQUARE, p.ACID, p.BELL), (p.SYNCOPATED, p.RUNNING), (62, 86), presence=0.6, gain=(-10, -3)
    ),
    mix=Mix(wet=(0.05, 0.3), decay=(0.4, 1.8), drive=(0.2, 1.2), cutoff=(7500, 10800), level=(-19, -11)),
)

EXPERIMENTAL = Style(
    rhythm=Rhythm(tempo=(45, 170), metres=(p.FIVE, p.SEVEN, p.COMMON, p.NINE), swing=(0.0, 0.3)),
    harmony=Harmony(
        scales=(p.WHOLE_TONE, p.CHROMATIC, p.LYDIAN), progressions=((0, 1, 0, 3), (0, 0, 0, 0), (0, 4, 1, 2))
    ),
    percussion=Percussion(beats=(p.SCATTERED, p.SCATTERED, p.SCATTERED, p.BREAKBEAT), presence=0.65, gain=(-8, 2)),
    bass=PlayerPart((p.METAL, p.SUB_BASS, p.WIND), (p.HELD, p.SPARSE), (28, 50), p.ROOT, 0.6, (-10, 0)),
    chords=PlayerPart(
        (p.WIND, p.METAL, p.PAD, p.WHISTLING_NOISE), (p.HELD, p.SPARSE), (45, 70), p.CLUSTER, 0.8, (-8, 0)
    ),
    lead=PlayerPart(
        (p.METAL, p.BELL, p.WHISTLING_NOISE, p.SQUARE), (p.SPARSE, p.SYNCOPATED), (50, 96), presence=0.7, gain=(-10, 0)
    ),
    mix=Mix(
        wet=(0.15, 0.6), decay=(0.8, 3.0), drive=(0.0, 1.5), cutoff=(6500, 10800), hiss=(-50, -28), level=(-28, -12)
    ),
)

FOLK = Style(
    rhythm=Rhythm(tempo=(76, 132), metres=(p.COMMON, p.WALTZ, p.JIG), swing=(0.0, 0.15)),
    harmony=Harmony(
        scales=(p.MAJOR, p.MIXOLYDIAN, p.DORIAN), progressions=((0, 3, 4, 0), (0, 4, 3, 0), (0, 6, 3, 0), (0, 5, 3, 4))
    ),
    percussion=Percussion(beats=(p.FOOT_AND_TAMBOURINE, p.SOFT_SHAKER), presence=0.35, gain=(-14, -5)),
    bass=PlayerPart((p.UPRIGHT_BASS, p.NYLON_GUITAR), (p.BEATS, p.HELD), (36, 48), p.ROOT, 0.55, (-10, -3)),
    chords=PlayerPart(
        (p.STEEL_GUITAR, p.STEEL_GUITAR, p.NYLON_GUITAR, p.BANJO),
        (p.STRUMMED, p.FINGERPICKED),
        (48, 60),
        p.TRIAD,
        gain=(-5, 0),
    ),
    lead=PlayerPart(
        (p.OPEN_VOWEL, p.FIDDLE, p.FLUTE, p.ACCORDION, p.CLOSED_VOWEL),
        (p.SINGING, p.RUNNING),
        (57, 79),
        presence=0.85,
        gain=(-9, -2),
    ),
    mix=Mix(wet=(0.03, 0.2), decay=(0.3, 1.0), cutoff=(6500, 10000), hiss=(-60, -42), level=(-26, -15)),
)

HIP_HOP = Style(
    rhythm=Rhythm(tempo=(72, 106), metres=(p.COMMON,), swing=(0.0, 0.28)),
    harmony=Harmony(scales=(p.MINOR, p.DORIAN, p.BLUES), progressions=((0, 0, 3, 0), (0, 5, 0, 4), (0, 0, 0, 0))),
    percussion=Percussion(beats=(p.BOOM_BAP, p.BOOM_BAP, p.TRAP), presence=0.95, gain=(-4, 3)),
    bass=PlayerPart((p.SUB_BASS, p.SUB_BASS, p.FINGER_BASS, p.UPRIGHT_BASS), (p.SYNCOPATED, p.BEATS), (29, 42), p.ROOT),
    chords=PlayerPart(
        (p.ELECTRIC_PIANO, p.PIANO, p.STRINGS, p.NYLON_GUITAR),
        (p.SPARSE, p.SYNCOPATED, p.HELD),
        (50, 64),
        p.SEVENTH,
        0.9,
        (-12, -4),
    ),
    lead=PlayerPart(
        (p.SPOKEN, p.SPOKEN, p.BELL, p.SQUARE), (p.RAPPING, p.RUNNING), (45, 60), presence=0.8, gain=(-9, -1)
    ),
    mix=Mix(
        wet=(0.02, 0.18), decay=(0.2, 0.9), drive=(0.2, 1.2), cutoff=(5000, 9500), hiss=(-56, -36), level=(-20, -11)
    ),
)

INSTRUMENTAL = Style(
    rhythm=Rhythm(tempo=(52, 112), metres=(p.COMMON, p.WALTZ, p.JIG)),
    harmony=Harmony(
        scales=(p.MAJOR, p.LYDIAN, p.MINOR), progressions=((0, 5, 3, 4), (0, 2, 3, 3), (0, 3, 0, 4), (0, 6, 5, 4))
    ),
    percussion=Percussion(beats=(p.SOFT_SHAKER, p.BACKBEAT), presence=0.2, gain=(-18, -10)),
    bass=PlayerPart((p.UPRIGHT_BASS, p.SUB_BASS, p.STRINGS), (p.HELD, p.BEATS), (33, 48), p.ROOT, 0.65, (-10, -3)),
    chords=PlayerPart(
        (p.PIANO, p.STRINGS, p.PAD, p.HARP), (p.RIPPLING, p.HELD, p.HELD), (50, 64), p.SEVENTH, gain=(-4, 0)
    ),
    lead=PlayerPart(
        (p.PIANO, p.STRINGS, p.FLUTE, p.BELL, p.MARIMBA),
        (p.SLOW_TUNE, p.SINGING),
        (64, 88),
        presence=0.8,
        gain=(-8, -1),
    ),
    mix=Mix(wet=(0.2, 0.55), decay=(1.0, 3.0), cutoff=(4500, 8500), hiss=(-70, -50), level=(-27, -15)),
)

INTERNATIONAL = Style(
    rhythm=Rhythm(tempo=(84, 158), metres=(p.SEVEN, p.FIVE, p.NINE, p.JIG, p.COMMON, p.COMMON), swing=(0.0, 0.1)),
    harmony=Harmony(
        scales=(p.HIJAZ, p.DOUBLE_HARMONIC, p.HARMONIC_MINOR), progressions=((0, 0, 1, 0), (0, 0, 0, 0), (0, 3, 1, 0))
    ),
    percussion=Percussion(beats=(p.DARBUKA, p.TABLAS), presence=0.85, gain=(-8, 0)),
    bass=PlayerPart((p.UPRIGHT_BASS, p.OUD, p.ORGAN), (p.BEATS, p.HELD), (36, 48), p.ROOT, 0.5, (-10, -3)),
    chords=PlayerPart(
        (p.ACCORDION, p.SITAR, p.OUD), (p.HELD, p.FINGERPICKED, p.STRUMMED), (48, 60), p.DRONE, 0.8, (-12, -4)
    ),
    lead=PlayerPart((p.OUD, p.SITAR, p.REED, p.FLUTE, p.OPEN_VOWEL), (p.RUNNING, p.SINGING), (55, 81), gain=(-6, 0)),
    mix=Mix(wet=(0.05, 0.3), decay=(0.4, 1.8), cutoff=(6000, 10200), hiss=(-60, -40), level=(-24, -13)),
)

POP = Style(
    rhythm=Rhythm(tempo=(88, 134), metres=(p.COMMON,)),
    harmony=Harmony(scales=(p.MAJOR, p.MAJOR, p.MINOR), progressions=((0, 4, 5, 3), (5, 3, 0, 4), (0, 5, 3, 4))),
    percussion=Percussion(beats=(p.POP_BEAT, p.POP_BEAT, p.FOUR_ON_THE_FLOOR), presence=0.9, gain=(-6, 0)),
    bass=PlayerPart(
        (p.FINGER_BASS, p.PICKED_BASS, p.SAW), (p.EIGHTHS, p.BEATS, p.SYNCOPATED), (31, 45), p.ROOT, gain=(-7, -1)
    ),
    chords=PlayerPart(
        (p.ELECTRIC_PIANO, p.PIANO, p.STEEL_GUITAR, p.PAD, p.SAW),
        (p.BEATS, p.EIGHTHS, p.STRUMMED, p.HELD),
        (52, 64),
        p.TRIAD,
        gain=(-9, -3),
    ),
    lead=PlayerPart((p.OPEN_VOWEL, p.CLOSED_VOWEL), (p.SINGING, p.SYNCOPATED), (57, 77), presence=0.95, gain=(-3, 2)),
    mix=Mix(
        wet=(0.08, 0.3), decay=(0.5, 1.6), drive=(0.2, 1.0), cutoff=(8000, 10800), hiss=(-70, -52), level=(-19, -11)
    ),
)

ROCK = Style(
    rhythm=Rhythm(tempo=(96, 172), metres=(p.COMMON, p.COMMON, p.COMMON, p.JIG)),
    harmony=Harmony(
        scales=(p.MINOR, p.MIXOLYDIAN, p.BLUES), progressions=((0, 6, 3, 0), (0, 5, 6, 0), (0, 3, 4, 0), (0, 0, 2, 3))
    ),
    percussion=Percussion(beats=(p.BACKBEAT, p.DRIVING, p.DRIVING), presence=0.95, gain=(-5, 1)),
    bass=PlayerPart(
        (p.PICKED_BASS, p.PICKED_BASS, p.FINGER_BASS), (p.EIGHTHS, p.BEATS), (28, 43), p.ROOT, gain=(-6, 0)
    ),
    chords=PlayerPart(
        (p.CRUNCH_GUITAR, p.FUZZ_GUITAR, p.CRUNCH_GUITAR, p.FUZZ_GUITAR, p.STEEL_GUITAR, p.ORGAN),
        (p.EIGHTHS, p.STRUMMED, p.BEATS),
        (40, 53),
        p.POWER,
        gain=(-3, 2),
    ),
    lead=PlayerPart(
        (p.OPEN_VOWEL, p.FUZZ_GUITAR, p.CLOSED_VOWEL, p.CRUNCH_GUITAR),
        (p.SINGING, p.SYNCOPATED, p.RUNNING),
        (55, 81),
        presence=0.75,
        gain=(-8, -2),
    ),
    mix=Mix(
        wet=(0.04, 0.25), decay=(0.3, 1.5), drive=(0.8, 2.0), cutoff=(6500, 10500), hiss=(-60, -42), level=(-19, -10)
    ),
)

STYLES = {
    "Electronic": ELECTRONIC,
    "Experimental": EXPERIMENTAL,
    "Folk": FOLK,
    "Hip-Hop": HIP_HOP,
    "Instrumental": INSTRUMENTAL,
    "International": INTERNATIONAL,
    "Pop": POP,
    "Rock": ROCK,
}
