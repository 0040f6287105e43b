"""From a score to sound: playing notes and strokes into a buffer, the room, and the console."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import signal

from phonolake.records import Hertz, Seconds
from phonolake.synthesis.instruments import Drum, Timbre
from phonolake.synthesis.recipe import Mix

LONGEST_NOTE = 4.0  # seconds
CEILING = 0.98  # full scale less a margin, since an MP3 decoder overshoots


@dataclass(frozen=True, slots=True)
class Note:
    """One note of a score: onset and length in seconds, pitch as a MIDI number, velocity 0 to 1."""

    onset: float
    length: float
    pitch: int
    velocity: float


def play(notes: Iterable[Note], timbre: Timbre, *, n: int, sr: Hertz, rng: np.random.Generator) -> np.ndarray:
    """Play a part.

    Parameters
    ----------
    notes : iterable of Note
        Onsets may lie before 0 or after the end; what falls outside is cut.
    n : int
        Length of the buffer in samples.

    Returns
    -------
    np.ndarray, shape (n,), float32
        Sum of the notes, scaled to a peak of 1 (all zeros without notes).
    """
    bright = float(rng.lognormal(0.0, 0.15))
    rendered: dict[tuple[int, int], np.ndarray] = {}
    buffer = np.zeros(n, dtype=np.float32)
    for note in notes:
        length = min(note.length, LONGEST_NOTE)
        key = note.pitch, round(length * sr)
        if key not in rendered:
            freq = 440 * 2 ** ((note.pitch - 69) / 12)
            rendered[key] = timbre.note(freq, length=Seconds(length), sr=sr, bright=bright, rng=rng)
        _add(buffer, rendered[key], round(note.onset * sr), note.velocity)
    return _to_peak(buffer)


def strike(strokes: Iterable[tuple[Drum, float, float]], *, n: int, sr: Hertz, rng: np.random.Generator) -> np.ndarray:
    """Play the percussion.

    Parameters
    ----------
    strokes : iterable of (drum, onset in seconds, level)

    Returns
    -------
    np.ndarray, shape (n,), float32
        Peak 1, or all zeros.
    """
    tune = float(rng.uniform(0.8, 1.25))
    rendered: dict[Drum, np.ndarray] = {}
    buffer = np.zeros(n, dtype=np.float32)
    for drum, onset, level in strokes:
        if drum not in rendered:
            rendered[drum] = drum.hit(sr=sr, tune=tune, rng=rng)
        _add(buffer, rendered[drum], round(onset * sr), level)
    return _to_peak(buffer)


def _add(buffer: np.ndarray, sound: np.ndarray, start: int, level: float) -> None:
    first, last = max(start, 0), min(start + sound.size, buffer.size)
    if first < last:
        buffer[first:last] += np.float32(level) * sound[first - start : last - start]


def _to_peak(wave: np.ndarray) -> np.ndarray:
    return wave / max(float(np.abs(wave).max()), 1e-9)


def master(wave: np.ndarray, mix: Mix, *, sr: Hertz, rng: np.random.Generator) -> np.ndarray:
    """Send a dry mix through saturation, room and band limit, add the noise floor and set the level.

    Parameters
    ----------
    wave : np.ndarray, shape (n,), float32

    Returns
    -------
    np.ndarray, shape (n,), float32
        Within [-0.98, 0.98].
    """

    def draw(low_high: tuple[float, float]) -> float:
        return float(rng.uniform(*low_high))

    wave = np.tanh((0.5 + 2 * draw(mix.drive)) * _to_peak(wave))
    wave = reverberate(wave, wet=draw(mix.wet), decay=Seconds(draw(mix.decay)), sr=sr, rng=rng)
    cutoff = min(draw(mix.cutoff), 0.45 * sr)
    wave = signal.sosfilt(signal.butter(2, cutoff, fs=sr, output="sos"), wave)
    wave = wave / max(float(np.sqrt(np.mean(wave**2))), 1e-6)
    wave = wave + 10 ** (draw(mix.hiss) / 20) * rng.standard_normal(wave.size, dtype=np.float32)
    wave = 10 ** (draw(mix.level) / 20) * wave
    return (CEILING * np.tanh(wave / CEILING)).astype(np.float32)


def reverberate(wave: np.ndarray, *, wet: float, decay: Seconds, sr: Hertz, rng: np.random.Generator) -> np.ndarray:
    """Put a sound into a room: exponentially decaying noise as impulse response.

    Parameters
    ----------
    wave : np.ndarray, shape (n,), float32
    wet : float
        Share of the room in the sum, 0 to 1.
    decay : Seconds
        Reverberation time, in which the response falls by 60 dB.

    Returns
    -------
    np.ndarray, shape (n,), float32
    """
    t = np.arange(round(0.7 * decay * sr)) / sr  # the last 18 dB lie under the noise floor
    response = rng.standard_normal(t.size, dtype=np.float32) * np.exp(-6.9 * t / decay).astype(np.float32)
    response /= np.sqrt(np.sum(response**2))
    return (1 - wet) * wave + wet * signal.oaconvolve(wave, response)[: wave.size]
