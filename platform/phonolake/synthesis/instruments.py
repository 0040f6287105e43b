"""Sound generators: one note or one drum hit as an array, from a few parameters with a physical meaning.

Every generator is a frozen dataclass, so that a style can name it and a worker can pickle it. Pitches are in Hz
and times in seconds.

References
----------
.. [1] K. Karplus and A. Strong, "Digital synthesis of plucked-string and drum timbres", Computer Music Journal, 1983.
.. [2] J. Chowning, "The synthesis of complex audio spectra by means of frequency modulation", JAES, 1973.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import signal

from phonolake.records import Hertz, Seconds

TABLE_SIZE = 1024  # samples of one stored period; a power of two, so that a phase wraps with a bit mask
MAX_HARMONICS = 48
FADE = 0.004  # seconds over which a note that is cut short fades out, so that it does not click


class Timbre(Protocol):
    """What can play a note."""

    def note(self, freq: float, *, length: Seconds, sr: Hertz, bright: float, rng: np.random.Generator) -> np.ndarray:
        """Render one note.

        Parameters
        ----------
        freq : float
            Fundamental in Hz, below sr / 2.
        length : Seconds
            Time until the note ends, release included.
        bright : float
            Weight of the upper partials relative to the instrument's own, about 0.5 to 2.
        rng : np.random.Generator
            Source of the noise in the sound (a pick, a breath).

        Returns
        -------
        np.ndarray, shape (round(length * sr),), float32
            Peak near 1, less where the note ends before its attack does.
        """
        ...


def seconds(length: float, sr: Hertz) -> np.ndarray:
    """Return the times of the samples of a note: float64, shape (round(length * sr),), in seconds."""
    return np.arange(max(round(length * sr), 1)) / sr


def envelope(t: np.ndarray, *, attack: float, decay: float, sustain: float, release: float) -> np.ndarray:
    """Shape a note: a linear attack, an exponential decay (s) to `sustain` (0 to 1) and a linear release at its end."""
    body = sustain + (1 - sustain) * np.exp(-t / decay)
    return np.minimum(t / attack, 1.0) * body * np.minimum((t[-1] - t) / release, 1.0)


@dataclass(frozen=True, slots=True)
class Harmonic:
    """A held sound with a fixed spectrum: a synthesiser wave, an organ, a reed, a flute, strings or a sung vowel.

    Parameters
    ----------
    tilt : float
        Partial k has amplitude ``k ** -tilt``.
    even : float
        Weight of the even partials, 0 (square, clarinet) to 1 (saw, strings).
    drawbars : tuple of float
        Amplitudes of the first partials, if given, instead of `tilt` and `even`.
    formants : tuple of (centre in Hz, bandwidth in Hz, gain)
        Resonances of a vocal tract; none for an instrument.
    detune : float
        Distance in cents between two copies of the sound; 0 for a single copy.
    vibrato : float
        Depth in cents.
    breath : float
        Level of the noise that comes with the tone.
    """

    tilt: float = 1.0
    even: float = 1.0
    drawbars: tuple[float, ...] = ()
    formants: tuple[tuple[float, float, float], ...] = ()
    attack: float = 0.01
    decay: float = 0.3
    sustain: float = 0.7
    release: float = 0.05
    detune: float = 0.0
    vibrato: float = 0.0
    breath: float = 0.0

    def note(self, freq: float, *, length: Seconds, sr: Hertz, bright: float, rng: np.random.Generator) -> np.ndarray:
        """Render one note; see `Timbre.note`."""
        t = seconds(length, sr)
        table = self._period(freq, sr, bright)
        wave = self._read(table, freq, t)
        if self.detune:
            wave = 0.5 * (wave + self._read(table, freq * 2 ** (self.detune / 1200), t))
        if self.breath:
            wave = wave + self.breath * rng.standard_normal(t.size, dtype=np.float32)
        shape = envelope(t, attack=self.attack, decay=self.decay, sustain=self.sustain, release=self.release)
        return (wave * shape).astype(np.float32)

    def _period(self, freq: float, sr: Hertz, bright: float) -> np.ndarray:
        """Build one period from its partials, none of them above the band, so that nothing aliases."""
        k = np.arange(1, max(min(int(0.45 * sr / freq), MAX_HARMONICS), 1) + 1)
        if self.drawbars:
            amplitude = np.pad(np.asarray(self.drawbars), (0, MAX_HARMONICS))[: k.size]
        else:
            amplitude = k ** (-self.tilt / bright) * np.where(k % 2, 1.0, self.even)
        if self.formants:
            amplitude = amplitude * sum(
                gain / (1 + ((k * freq - centre) / width) ** 2) for centre, width, gain in self.formants
            )
        # Phases that grow with the square of k keep the crest factor low, as in a real sound.
        spectrum = np.zeros(TABLE_SIZE // 2 + 1, dtype=complex)
        spectrum[1 : k.size + 1] = amplitude * np.exp(1j * np.pi * k**2 / k.size)
        table = np.fft.irfft(spectrum)
        return (table / np.abs(table).max()).astype(np.float32)

    def _read(self, table: np.ndarray, freq: float, t: np.ndarray) -> np.ndarray:
        phase = freq * t
        if self.vibrato:
            rate = 5.5  # Hz, the usual vibrato of voices and strings
            depth = freq * (2 ** (self.vibrato / 1200) - 1) / (2 * np.pi * rate)
            phase = phase + depth * np.sin(2 * np.pi * rate * t)
        return table[(phase * TABLE_SIZE).astype(np.int64) & (TABLE_SIZE - 1)]


@dataclass(frozen=True, slots=True)
class Pluck:
    """A plucked string: Karplus and Strong's loop [1]_, solved period by period in the frequency domain.

    Parameters
    ----------
    decay : float
        Time in seconds in which the fundamental falls to 1/e.
    damping : float
        How much faster the upper partials die, 0 (steel, wire) to 1 and more (nylon, muted).
    pick : float
        Place of the pick as a fraction of the string, 0 to 0.5.
    buzz : float
        Strength of the bridge's rattle, 0 (guitar) to 1 (sitar).
    drive : float
        Overdrive of the amplifier; 0 for none.
    """

    decay: float = 0.6
    damping: float = 0.6
    pick: float = 0.2
    buzz: float = 0.0
    drive: float = 0.0

    def note(self, freq: float, *, length: Seconds, sr: Hertz, bright: float, rng: np.random.Generator) -> np.ndarray:
        """Render one note; see `Timbre.note`."""
        t = seconds(length, sr)
        period = max(round(sr / freq), 4)
        string = self._string(period, t.size, freq, bright, rng)
        # The loop has a whole number of samples; reading it a little faster or slower puts it in tune.
        wave = np.interp(t * freq * period, np.arange(string.size), string)
        if self.buzz:
            wave = wave + self.buzz * (np.abs(wave) - np.abs(wave).mean())
        if self.drive:
            wave = np.tanh(self.drive * wave)
        shape = np.minimum((t[-1] - t) / FADE, 1.0)
        return (wave * shape).astype(np.float32)

    def _string(self, period: int, n: int, freq: float, bright: float, rng: np.random.Generator) -> np.ndarray:
        k = np.arange(period // 2 + 1)
        burst = np.fft.rfft(rng.uniform(-1, 1, period)) * np.abs(np.sin(np.pi * k * self.pick))
        burst[0] = 0
        loss = 1 / (self.decay * freq) + self.damping / bright * (1 - np.cos(2 * np.pi * k / period))
        turns = np.arange(n // period + 3)[:, None]
        string = np.fft.irfft(burst * np.exp(-loss * turns), n=period, axis=1).ravel()
        return string / max(np.abs(string[: 2 * period]).max(), 1e-9)


@dataclass(frozen=True, slots=True)
class Fm:
    """Frequency modulation with one modulator [2]_: electric pianos, bells, metallic and growling sounds.

    Parameters
    ----------
    ratio : float
        Modulator over carrier frequency; whole numbers sound harmonic, others like bells or metal.
    index : float
        Modulation index at the onset; it dies with `index_decay` (s), the tone with `decay` (s) to `sustain`.
    """

    ratio: float = 1.0
    index: float = 2.0
    index_decay: float = 0.2
    attack: float = 0.003
    decay: float = 0.8
    sustain: float = 0.0
    release: float = 0.05

    def note(self, freq: float, *, length: Seconds, sr: Hertz, bright: float, rng: np.random.Generator) -> np.ndarray:
        """Render one note; see `Timbre.note`."""
        t = seconds(length, sr).astype(np.float32)
        omega = np.float32(2 * np.pi * freq)
        index = np.float32(self.index * bright) * np.exp(-t / np.float32(self.index_decay))
        wave = np.sin(omega * t + index * np.sin(omega * np.float32(self.ratio) * t))
        shape = envelope(t, attack=self.attack, decay=self.decay, sustain=self.sustain, release=self.release)
        return (wave * shape).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Noise:
    """Noise through a resonance at the note's pitch: wind, steam, radio, machines.

    Parameters
    ----------
    q : float
        Sharpness of the resonance; 1 is a wash, 30 nearly a tone.
    """

    q: float = 4.0
    attack: float = 0.08

    def note(self, freq: float, *, length: Seconds, sr: Hertz, bright: float, rng: np.random.Generator) -> np.ndarray:
        """Render one note; see `Timbre.note`."""
        t = seconds(length, sr)
        b, a = signal.iirpeak(min(freq * 2 * bright, 0.45 * sr), self.q, fs=sr)
        wave = signal.lfilter(b, a, rng.standard_normal(t.size))
        shape = envelope(t, attack=self.attack, decay=1.0, sustain=0.6, release=0.05)
        return (wave / np.abs(wave).max() * shape).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Drum:
    """One stroke: a falling sine (a skin) and a burst of band-passed noise (wires, metal, hands).

    Parameters
    ----------
    pitch : float
        Where the sine ends, in Hz; it starts at ``pitch * sweep``.
    decay, noise_decay : float
        Times in seconds in which skin and noise fall to 1/e.
    noise : float
        Level of the noise beside a skin of ``1 - noise``, 0 to 1.
    band : (float, float)
        Edges of the noise in Hz.
    hands : int
        Bursts that make up one stroke, 12 ms apart; several for a clap.
    """

    pitch: float = 60.0
    sweep: float = 3.0
    decay: float = 0.12
    noise: float = 0.05
    band: tuple[float, float] = (1000.0, 8000.0)
    noise_decay: float = 0.03
    hands: int = 1

    def hit(self, *, sr: Hertz, tune: float, rng: np.random.Generator) -> np.ndarray:
        """Render one stroke.

        Parameters
        ----------
        tune : float
            Factor on the pitch, about 0.8 to 1.25: no two drummers tune alike.

        Returns
        -------
        np.ndarray, shape (n,), float32
            Until both parts have died; peak at most 1.
        """
        t = seconds(5 * max(self.decay * (self.noise < 1), self.noise_decay), sr)
        pitch, glide = self.pitch * tune, 0.03
        skin = np.sin(2 * np.pi * pitch * (t + (self.sweep - 1) * glide * (1 - np.exp(-t / glide))))
        high = 0.45 * sr
        low, high = min(self.band[0], high / 2), min(self.band[1], high)
        rattle = signal.sosfilt(signal.butter(2, (low, high), "bandpass", fs=sr, output="sos"), rng.normal(size=t.size))
        starts = t[:, None] - 0.012 * np.arange(self.hands)
        strokes = np.where(starts >= 0, np.exp(-np.maximum(starts, 0) / self.noise_decay), 0).max(axis=1)
        rattle = rattle / np.abs(rattle).max() * strokes
        return ((1 - self.noise) * skin * np.exp(-t / self.decay) + self.noise * rattle).astype(np.float32)
