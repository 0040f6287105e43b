"""The instruments, drum kits, figures, metres and scales that the genres' recipes share."""

from phonolake.synthesis.instruments import Drum, Fm, Harmonic, Noise, Pluck
from phonolake.synthesis.recipe import Accents, Beat, Figuration

# Held sounds.
SAW = Harmonic(tilt=1.0, attack=0.005, decay=0.2, sustain=0.5, detune=9)
SQUARE = Harmonic(tilt=1.0, even=0.05, attack=0.004, decay=0.15, sustain=0.5)
ACID = Harmonic(tilt=0.7, attack=0.003, decay=0.09, sustain=0.15)
PAD = Harmonic(tilt=1.5, attack=0.35, decay=2.0, sustain=0.9, release=0.3, detune=12)
STRINGS = Harmonic(tilt=1.25, attack=0.12, decay=1.0, sustain=0.9, release=0.12, detune=7, vibrato=12)
ORGAN = Harmonic(drawbars=(1.0, 0.8, 0.5, 0.5, 0.0, 0.25, 0.0, 0.3), attack=0.01, sustain=1.0)
ACCORDION = Harmonic(tilt=0.7, even=0.7, attack=0.03, sustain=0.95, detune=18)
REED = Harmonic(tilt=0.6, even=0.8, attack=0.03, sustain=0.9, vibrato=30, breath=0.02)
FLUTE = Harmonic(drawbars=(1.0, 0.25, 0.12, 0.04), attack=0.05, sustain=0.9, vibrato=15, breath=0.04)
FIDDLE = Harmonic(tilt=0.85, attack=0.05, sustain=0.9, vibrato=22, breath=0.01)
PIANO = Harmonic(tilt=1.6, attack=0.003, decay=0.5, sustain=0.05, detune=2)
OPEN_VOWEL = Harmonic(
    tilt=0.8, formants=((750, 130, 1.0), (1200, 150, 0.6), (2600, 250, 0.25)), attack=0.04, sustain=0.9, vibrato=25
)
CLOSED_VOWEL = Harmonic(
    tilt=0.8, formants=((400, 100, 1.0), (1900, 200, 0.35), (2700, 250, 0.25)), attack=0.04, sustain=0.9, vibrato=20
)
SPOKEN = Harmonic(
    tilt=0.6, formants=((550, 150, 1.0), (1500, 250, 0.6), (2500, 300, 0.4)), decay=0.06, sustain=0.2, breath=0.06
)
FINGER_BASS = Harmonic(tilt=1.7, attack=0.006, decay=0.35, sustain=0.3)
SUB_BASS = Harmonic(drawbars=(1.0, 0.15, 0.05), attack=0.006, decay=0.8, sustain=0.5)

# Plucked and struck sounds.
STEEL_GUITAR = Pluck(decay=0.8, damping=0.35, pick=0.15)
NYLON_GUITAR = Pluck(decay=0.5, damping=0.9, pick=0.3)
BANJO = Pluck(decay=0.22, damping=0.25, pick=0.08)
OUD = Pluck(decay=0.35, damping=0.6, pick=0.1, buzz=0.15)
SITAR = Pluck(decay=0.9, damping=0.2, pick=0.06, buzz=0.7)
HARP = Pluck(decay=1.0, damping=0.7, pick=0.45)
CRUNCH_GUITAR = Pluck(decay=0.9, damping=0.3, pick=0.15, drive=4.0)
FUZZ_GUITAR = Pluck(decay=1.2, damping=0.25, pick=0.12, drive=12.0)
PICKED_BASS = Pluck(decay=0.7, damping=0.5, pick=0.1, drive=1.5)
UPRIGHT_BASS = Pluck(decay=0.35, damping=0.9, pick=0.3)
ELECTRIC_PIANO = Fm(ratio=1.0, index=1.6, index_decay=0.25, decay=0.7)
MARIMBA = Fm(ratio=4.0, index=1.0, index_decay=0.04, decay=0.18)
BELL = Fm(ratio=3.5, index=2.5, index_decay=0.6, decay=1.0)
METAL = Fm(ratio=1.414, index=6.0, index_decay=0.5, decay=0.6, sustain=0.2)
FM_BASS = Fm(ratio=0.5, index=2.5, index_decay=0.12, decay=0.25, sustain=0.2)
WIND = Noise(q=3.0, attack=0.3)
WHISTLING_NOISE = Noise(q=25.0)

# Drums.
KICK = Drum(pitch=52, sweep=3.5, decay=0.11, noise=0.06, noise_decay=0.008)
CLUB_KICK = Drum(pitch=48, sweep=5.0, decay=0.16, noise=0.04, noise_decay=0.005)
DEEP_KICK = Drum(pitch=43, sweep=3.0, decay=0.26, noise=0.03)
SNARE = Drum(pitch=185, sweep=1.6, decay=0.06, noise=0.65, band=(1200, 9000), noise_decay=0.08)
FAT_SNARE = Drum(pitch=165, sweep=1.5, decay=0.09, noise=0.7, band=(700, 8000), noise_decay=0.14)
CLAP = Drum(noise=1.0, band=(900, 3500), noise_decay=0.06, hands=3)
HAT = Drum(noise=1.0, band=(6000, 10000), noise_decay=0.022)
OPEN_HAT = Drum(noise=1.0, band=(5500, 10000), noise_decay=0.11)
CRASH = Drum(noise=1.0, band=(3000, 10000), noise_decay=0.35)
SHAKER = Drum(noise=1.0, band=(4000, 8500), noise_decay=0.035, hands=2)
TAMBOURINE = Drum(noise=1.0, band=(5000, 9000), noise_decay=0.07, hands=2)
STOMP = Drum(pitch=70, sweep=1.4, decay=0.07, noise=0.2, band=(100, 900))
DUM = Drum(pitch=85, sweep=1.5, decay=0.16, noise=0.12, band=(300, 2000))
TEK = Drum(pitch=420, sweep=1.2, decay=0.025, noise=0.5, band=(1500, 6000))
TABLA = Drum(pitch=230, sweep=0.75, decay=0.2, noise=0.08, band=(900, 4000))
CLANG = Drum(pitch=610, sweep=1.0, decay=0.2, noise=0.4, band=(2000, 9000), noise_decay=0.15)
CRACKLE = Drum(noise=1.0, band=(2000, 7000), noise_decay=0.004)

# Beats: drum, level, accents (strong beat, weak beat, middle, elsewhere).
FOUR_ON_THE_FLOOR = Beat(
    (
        (CLUB_KICK, 1.0, Accents(1, 1, 0, 0.02)),
        (CLAP, 0.5, Accents(0, 0.9, 0, 0.02)),
        (OPEN_HAT, 0.35, Accents(0, 0, 0.95, 0)),
        (HAT, 0.25, Accents(0.3, 0.3, 0.1, 0.6)),
    )
)
BREAKBEAT = Beat(
    (
        (KICK, 1.0, Accents(0.9, 0.1, 0.3, 0.2)),
        (SNARE, 0.7, Accents(0, 0.95, 0.1, 0.15)),
        (HAT, 0.3, Accents(0.8, 0.8, 0.8, 0.6)),
    )
)
BOOM_BAP = Beat(
    (
        (DEEP_KICK, 1.0, Accents(0.85, 0.05, 0.35, 0.12)),
        (FAT_SNARE, 0.7, Accents(0, 1, 0.02, 0.03)),
        (HAT, 0.25, Accents(0.9, 0.9, 0.9, 0.12)),
    )
)
TRAP = Beat(
    (
        (DEEP_KICK, 1.0, Accents(0.7, 0.05, 0.25, 0.15)),
        (CLAP, 0.6, Accents(0, 0.95, 0, 0)),
        (HAT, 0.3, Accents(0.9, 0.9, 0.9, 0.65)),
    )
)
BACKBEAT = Beat(
    (
        (KICK, 1.0, Accents(0.95, 0.1, 0.4, 0.03)),
        (SNARE, 0.85, Accents(0.02, 1, 0.03, 0.04)),
        (HAT, 0.3, Accents(0.9, 0.9, 0.9, 0.0)),
        (CRASH, 0.25, Accents(0.15, 0.02, 0, 0)),
    )
)
DRIVING = Beat(
    (
        (KICK, 1.0, Accents(1, 0.2, 0.6, 0.05)),
        (FAT_SNARE, 0.9, Accents(0, 1, 0.05, 0.05)),
        (CRASH, 0.3, Accents(0.6, 0.5, 0.3, 0)),
    )
)
POP_BEAT = Beat(
    (
        (KICK, 1.0, Accents(1, 0.25, 0.3, 0.04)),
        (SNARE, 0.5, Accents(0, 1, 0, 0.02)),
        (CLAP, 0.35, Accents(0, 0.8, 0, 0)),
        (HAT, 0.3, Accents(0.8, 0.8, 0.8, 0.35)),
        (TAMBOURINE, 0.2, Accents(0, 0.5, 0.3, 0)),
    )
)
DARBUKA = Beat(
    (
        (DUM, 1.0, Accents(0.9, 0.15, 0.2, 0.05)),
        (TEK, 0.6, Accents(0.05, 0.85, 0.35, 0.2)),
        (TAMBOURINE, 0.2, Accents(0.3, 0.3, 0.3, 0.3)),
    )
)
TABLAS = Beat(
    (
        (DUM, 0.9, Accents(0.8, 0.2, 0.1, 0.05)),
        (TABLA, 0.7, Accents(0.3, 0.7, 0.5, 0.25)),
        (TEK, 0.4, Accents(0.1, 0.2, 0.4, 0.35)),
    )
)
FOOT_AND_TAMBOURINE = Beat(((STOMP, 1.0, Accents(0.95, 0.1, 0, 0)), (TAMBOURINE, 0.3, Accents(0, 0.8, 0.2, 0))))
SOFT_SHAKER = Beat(((SHAKER, 0.5, Accents(0.9, 0.9, 0.7, 0.3)), (STOMP, 0.6, Accents(0.5, 0, 0, 0))))
SCATTERED = Beat(
    (
        (CLANG, 0.6, Accents(0.1, 0.1, 0.08, 0.08)),
        (CRACKLE, 0.6, Accents(0.3, 0.3, 0.3, 0.3)),
        (DUM, 0.8, Accents(0.12, 0.06, 0.06, 0.04)),
    )
)

# Figures.
HELD = Figuration(Accents(0.35, 0, 0, 0), hold=1.05)
BEATS = Figuration(Accents(1, 0.7, 0.1, 0), hold=0.8)
EIGHTHS = Figuration(Accents(1, 1, 1, 0), hold=0.85)
SYNCOPATED = Figuration(Accents(0.7, 0.35, 0.5, 0.25), hold=0.7)
OFFBEATS = Figuration(Accents(0.05, 0.1, 1, 0), hold=0.5)
SIXTEENTHS = Figuration(Accents(1, 1, 0.9, 0.8), hold=0.6, broken=True)
STRUMMED = Figuration(Accents(1, 0.9, 0.6, 0.15), hold=1.2, roll=0.012)
FINGERPICKED = Figuration(Accents(1, 1, 0.9, 0.35), hold=1.8, broken=True)
RIPPLING = Figuration(Accents(1, 0.8, 0.7, 0.05), hold=2.0, broken=True)
SPARSE = Figuration(Accents(0.25, 0.12, 0.1, 0.06), hold=0.8)
SINGING = Figuration(Accents(0.75, 0.65, 0.4, 0.05), hold=0.95)
RAPPING = Figuration(Accents(0.8, 0.8, 0.75, 0.55), hold=0.7)
RUNNING = Figuration(Accents(0.9, 0.85, 0.75, 0.4), hold=0.9)
SLOW_TUNE = Figuration(Accents(0.75, 0.35, 0.1, 0), hold=1.1)

# Metres, as the lengths of their beats in sixteenths.
COMMON = (4, 4, 4, 4)
WALTZ = (4, 4, 4)
JIG = (6, 6)
FIVE = (4, 6)
SEVEN = (4, 4, 6)
NINE = (4, 4, 4, 6)

# Scales, in semitones.
MAJOR = (0, 2, 4, 5, 7, 9, 11)
MINOR = (0, 2, 3, 5, 7, 8, 10)
DORIAN = (0, 2, 3, 5, 7, 9, 10)
MIXOLYDIAN = (0, 2, 4, 5, 7, 9, 10)
LYDIAN = (0, 2, 4, 6, 7, 9, 11)
HARMONIC_MINOR = (0, 2, 3, 5, 7, 8, 11)
HIJAZ = (0, 1, 4, 5, 7, 8, 10)
DOUBLE_HARMONIC = (0, 1, 4, 5, 7, 8, 11)
BLUES = (0, 3, 5, 6, 7, 10)
WHOLE_TONE = (0, 2, 4, 6, 8, 10)
CHROMATIC = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)

# Voicings, in scale degrees above the root of the chord.
ROOT = (0,)
TRIAD = (0, 2, 4)
SEVENTH = (0, 2, 4, 6)
POWER = (0, 4, 7)
DRONE = (0, 4)
CLUSTER = (0, 1, 3, 6)
