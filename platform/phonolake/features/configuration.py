"""Spectrograms by their parameters: those of the papers, and any that a user gives."""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

import numpy as np

from phonolake.errors import UsageError, unknown
from phonolake.features import pictures, spectral
from phonolake.features.clip import Clip

Scale = Literal["decibel", "log", "log10", "linear"]
Reference = Literal["one", "max"]
PadMode = Literal["constant", "reflect"]
# Later parameters: with these values a configuration has the same identity as without them.
_LATER = {"pad_mode": "constant"}


@dataclass(frozen=True, slots=True)
class Configuration:
    """Parameters of a spectrogram.

    Parameters
    ----------
    sr : int
        Sampling rate in hertz.
    n_fft, hop_length : int
        Window and hop in samples.
    n_mels : int, optional
        Number of mel bands; the bins of the Fourier transform by default.
    fmin, fmax : float
        Range of the mel bands in hertz; up to sr / 2 by default.
    power : {1.0, 2.0}
        Whether magnitudes or powers are summed up in bands.
    scale : {"decibel", "log", "log10", "linear"}
        Decibels, the natural or the decadic logarithm of 1 + gain x, or as it is.
    ref : {"one", "max"}
        What decibels are relative to: 1, or the loudest value of the recording.
    top_db : float, optional
        Floor of decibels relative to the loudest value; None for no floor.
    gain : float
        For the scales "log" and "log10".
    offset, duration : float
        A part of the recording, in seconds. It begins earlier where the recording would end before the part does, with
        the recording where that would end before the part begins (short clips are often silent towards their end), and
        is followed by zeros where the whole recording is shorter. All of the recording by default.
    pre_emphasis : float
        Part of each sample that is subtracted from the next one first.
    picture : int, optional
        Draw it in colours on a square with this many pixels to the side.
    pad_mode : {"constant", "reflect"}
        Padding of the first and last windows: zeros, or the recording mirrored at its end.
    """

    sr: int
    n_fft: int
    hop_length: int
    n_mels: int | None = None
    fmin: float = 0.0
    fmax: float | None = None
    power: float = 2.0
    scale: Scale = "decibel"
    ref: Reference = "one"
    top_db: float | None = 80.0
    gain: float = 10.0
    offset: float = 0.0
    duration: float | None = None
    pre_emphasis: float = 0.0
    picture: int | None = None
    pad_mode: PadMode = "constant"

    def __post_init__(self) -> None:
        for ok, name, want in self._rules():
            if not ok:
                raise UsageError(f"{name} of a spectrogram must be {want}; received {getattr(self, name)!r}")

    def _rules(self) -> list[tuple[bool, str, str]]:
        whole = {"sr": (1_000, 1_000_000), "n_fft": (2, 1 << 20), "hop_length": (1, 1 << 20)}
        rules = [
            (type(getattr(self, n)) is int and low <= getattr(self, n) <= high, n, f"a whole number {low} ... {high}")
            for n, (low, high) in whole.items()
        ]
        if not all(ok for ok, *_ in rules):
            return rules
        top, bins, mels, side = self.fmax, 1 + self.n_fft // 2, self.n_mels, self.picture
        return [
            *rules,
            (self.hop_length <= self.n_fft, "hop_length", f"at most n_fft = {self.n_fft}"),
            (mels is None or (type(mels) is int and 1 <= mels <= bins), "n_mels", f"a whole number 1 ... {bins}"),
            (top is None or 0 < top <= self.sr / 2, "fmax", f"above 0 and at most sr / 2 = {self.sr / 2}"),
            (0 <= self.fmin < (top or self.sr / 2), "fmin", "at least 0 and below fmax"),
            (self.power in (1.0, 2.0), "power", "1 or 2"),
            (self.scale in get_args(Scale), "scale", " or ".join(get_args(Scale))),
            (self.ref in get_args(Reference), "ref", " or ".join(get_args(Reference))),
            (self.pad_mode in get_args(PadMode), "pad_mode", " or ".join(get_args(PadMode))),
            (self.top_db is None or self.top_db > 0, "top_db", "above 0, or null"),
            (self.gain > 0, "gain", "above 0"),
            (self.offset >= 0, "offset", "at least 0 seconds"),
            (self.duration is None or self.duration * self.sr >= 1, "duration", "at least one sample, or null"),
            (0 <= self.pre_emphasis < 1, "pre_emphasis", "at least 0 and below 1"),
            (side is None or (type(side) is int and 1 <= side <= 4096), "picture", "a whole number 1 ... 4096"),
            (side is None or (self.scale == "decibel" and self.top_db is not None), "picture", "null unless decibel"),
        ]

    @property
    def identity(self) -> dict[str, Any]:
        """The parameters that identify it, without later ones at their default."""
        return {name: value for name, value in asdict(self).items() if name not in _LATER or value != _LATER[name]}

    @property
    def n_bands(self) -> int:
        """Rows of the result."""
        return self.picture or self.n_mels or 1 + self.n_fft // 2

    @property
    def n_frames(self) -> int | None:
        """Columns of the result, if fixed."""
        if self.picture:
            return self.picture
        return None if self.duration is None else spectral.frame_count(round(self.duration * self.sr), self.hop_length)

    @property
    def unit(self) -> str:
        """Unit of the values."""
        if self.picture:
            return "red, green and blue from 0 to 1"
        plain = "power" if self.power == 2.0 else "magnitude"
        return {"decibel": "dB", "linear": plain}.get(self.scale, f"{self.scale}(1 + {self.gain:g} x {plain})")

    @property
    def streams(self) -> bool:
        """Whether parts of a recording can be computed one after the other, apart from the floor (see `finish`)."""
        relative = self.scale == "decibel" and self.ref == "max"
        return not (self.picture or self.duration or self.pre_emphasis or relative)

    def compute(self, clip: Clip) -> np.ndarray:
        """Compute the spectrogram: float32 of shape (n_bands, T), or (3, n_bands, T) for a picture."""
        values_TM = self.scaled(self._part(clip))
        if self.picture:
            assert self.top_db is not None
            loudest = values_TM.max()
            return pictures.draw((values_TM.T - loudest) / np.float32(self.top_db) + 1, self.picture)
        return self.finish(values_TM.T)

    def scaled(self, clip: Clip) -> np.ndarray:
        """Compute all but the floor: float32 of shape (T, n_bands), in a new array."""
        values_TM = self._linear(clip)
        if self.scale == "decibel":
            squared = values_TM if self.power == 2.0 else np.square(values_TM)
            return spectral.decibels(squared, top_db=None, ref=None if self.ref == "max" else 1.0)
        if self.scale == "linear":
            return values_TM.copy()
        logarithm = np.log1p(np.float32(self.gain) * values_TM)
        return logarithm if self.scale == "log" else np.divide(logarithm, np.float32(np.log(10.0)), out=logarithm)

    def finish(self, values_FT: np.ndarray, loudest: float | None = None) -> np.ndarray:
        """Let decibels end `top_db` below the loudest value, in place."""
        if self.scale != "decibel" or self.top_db is None:
            return values_FT
        top = values_FT.max() if loudest is None else loudest
        return np.maximum(values_FT, values_FT.dtype.type(top - self.top_db), out=values_FT)

    def _linear(self, clip: Clip) -> np.ndarray:
        """Power or magnitude in bands: float32 of shape (T, n_bands)."""
        if self.pad_mode == "constant" or not len(clip.y):
            return self._in_bands(clip)
        # Mirrored by a whole number of hops, so that the frames are those of the recording and some more on each side.
        more = -(-self.n_fft // (2 * self.hop_length))
        n, around = len(clip.y), more * self.hop_length
        mirrored = clip.once(
            ("reflected", around), lambda: Clip(clip.y[spectral.reflected(n, around, around)], clip.sr)
        )
        return self._in_bands(mirrored)[more : more + spectral.frame_count(n, self.hop_length)]

    def _in_bands(self, clip: Clip) -> np.ndarray:
        stft = {"n_fft": self.n_fft, "hop_length": self.hop_length}
        if self.n_mels is None:
            power_TF = clip.power(**stft)
            return power_TF if self.power == 2.0 else np.sqrt(power_TF)
        mel: dict[str, Any] = {"n_mels": self.n_mels, "fmin": self.fmin, "fmax": self.fmax}
        if self.power == 2.0:
            return clip.mel_power(**stft, **mel)
        return spectral.in_bands(np.sqrt(clip.power(**stft)), sr=clip.sr, n_fft=self.n_fft, **mel)

    def _part(self, clip: Clip) -> Clip:
        """The part of a clip that is shown, with pre-emphasis."""
        if self.duration is None and not self.pre_emphasis:
            return clip

        def cut() -> Clip:
            y = clip.y
            if self.duration is not None:
                n = round(self.duration * self.sr)
                offset = round(self.offset * self.sr)
                start = max(0, min(offset, len(y) - n)) if len(y) > offset else 0
                y = y[start : start + n]
                y = np.pad(y, (0, n - len(y)))
            if self.pre_emphasis:
                y = np.append(y[:1], y[1:] - np.float32(self.pre_emphasis) * y[:-1])
            return Clip(y, clip.sr)

        return clip.once(("part", self.offset, self.duration, self.pre_emphasis), cut)


def from_text(text: str) -> tuple[str, Configuration]:
    """Read name and configuration from JSON, or from ``NAME:sr=16000,n_fft=1024,hop_length=256``.

    Raises
    ------
    UsageError
        For text that is neither, a missing or unknown parameter, or a value out of its range.
    """
    if text.lstrip().startswith("{"):
        try:
            given = json.loads(text)
        except ValueError as error:
            raise UsageError(f"a spectrogram's configuration is not JSON ({error})") from error
        name = given.pop("name", "")
    else:
        name, _, rest = text.partition(":")
        given = dict(_assignment(part) for part in rest.split(",") if part)
    known = [f.name for f in fields(Configuration)]
    for parameter in given:
        if parameter not in known:
            raise unknown("parameter of a spectrogram", parameter, known)
    missing = [n for n in ("sr", "n_fft", "hop_length") if n not in given]
    if missing:
        raise UsageError(f"the spectrogram {name!r} lacks {', '.join(missing)}")
    try:
        return name, Configuration(**given)
    except TypeError as error:
        raise UsageError(f"the spectrogram {name!r} has a value of the wrong type ({error})") from error


def as_text(name: str, config: Configuration) -> str:
    """The text that `from_text` reads as this name and configuration, without defaults."""
    required = ("sr", "n_fft", "hop_length")
    usual = Configuration(config.sr, config.n_fft, config.hop_length)
    said = {f.name: json.dumps(getattr(config, f.name)).strip('"') for f in fields(Configuration)}
    told = [n for n, text in said.items() if n in required or text != json.dumps(getattr(usual, n)).strip('"')]
    return f"{name}:{','.join(f'{n}={said[n]}' for n in told)}"


def _assignment(part: str) -> tuple[str, Any]:
    parameter, equals, value = part.partition("=")
    if not equals:
        raise UsageError(f"expected parameter=value, received {part!r}")
    try:
        return parameter, json.loads(value)
    except ValueError:
        return parameter, value
