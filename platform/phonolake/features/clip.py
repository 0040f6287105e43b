"""One clip of audio with its transforms, each computed once for all recipes."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from phonolake.errors import AudioError
from phonolake.features import spectral

Value = TypeVar("Value")
LOUDEST = 1e12  # the power of louder samples might be more than float32 can hold


class Clip:
    """Mono audio at one sampling rate, with its transforms computed on demand and shared by all recipes.

    Do not write into the arrays that it returns. Frames come first in them, shape (T, ...): one frame lies together
    in memory.

    Parameters
    ----------
    y : np.ndarray, shape (n,)
        Samples, nominally in [-1, 1].
    sr : int
        Sampling rate in hertz.

    Raises
    ------
    AudioError
        ``not-finite`` for NaN, infinite or absurdly large samples.
    """

    def __init__(self, y: np.ndarray, sr: int) -> None:
        assert y.ndim == 1
        self.y = np.ascontiguousarray(y, dtype=np.float32)
        self.sr = sr
        self._known: dict[tuple, object] = {}
        if len(self.y) and not max(-self.y.min(), self.y.max()) < LOUDEST:
            raise AudioError("not-finite", "the recording contains NaN, infinite or absurdly large samples")

    def once(self, key: tuple[Any, ...], compute: Callable[[], Value]) -> Value:
        """The result of `compute`, computed at the first request for `key`."""
        if key not in self._known:
            self._known[key] = compute()
        return self._known[key]  # type: ignore[return-value]

    def require(self, n: int) -> None:
        """Raise ``too-short`` for fewer than `n` samples."""
        if len(self.y) < n:
            raise AudioError("too-short", f"{len(self.y)} samples at {self.sr} Hz, and {n} are needed")

    def power(self, *, n_fft: int, hop_length: int, offset: float = 0.0) -> np.ndarray:
        """Power spectrum of y + `offset`: float32 of shape (1 + n // hop_length, 1 + n_fft // 2)."""
        if offset:
            key = ("power", n_fft, hop_length, offset)
            return self.once(key, lambda: self._offset_power(n_fft, hop_length, offset))
        return self._stft(n_fft, hop_length)[0]

    def mel_power(
        self, *, n_fft: int, hop_length: int, n_mels: int, fmin: float = 0.0, fmax: float | None = None
    ) -> np.ndarray:
        """Power in mel bands: float32 of shape (1 + n // hop_length, n_mels)."""
        options: dict[str, Any] = {"n_fft": n_fft, "n_mels": n_mels, "fmin": fmin, "fmax": fmax}
        return self.once(
            ("mel", hop_length, *options.values()),
            lambda: spectral.in_bands(self.power(n_fft=n_fft, hop_length=hop_length), sr=self.sr, **options),
        )

    def mel_decibels(self, *, n_fft: int, hop_length: int, n_mels: int) -> np.ndarray:
        """`mel_power` in decibels relative to 1, at most 80 below the loudest value."""
        return self.once(
            ("decibels", n_fft, hop_length, n_mels),
            lambda: spectral.decibels(self.mel_power(n_fft=n_fft, hop_length=hop_length, n_mels=n_mels)),
        )

    def _stft(self, n_fft: int, hop_length: int) -> tuple[np.ndarray, np.ndarray]:
        key = ("stft", n_fft, hop_length)
        return self.once(key, lambda: spectral.power_spectrum(self.y, n_fft=n_fft, hop_length=hop_length))

    def _offset_power(self, n_fft: int, hop_length: int, offset: float) -> np.ndarray:
        """The transform is linear, and a Hann window lets a constant through in the lowest two bins only.

        The frames that reach beyond the ends see the constant begin or end, and are transformed again.
        """
        power_TF, low_T2 = self._stft(n_fft, hop_length)
        shifted_TF = power_TF.copy()
        constant = np.array([n_fft / 2, -n_fft / 4], np.float32) * np.float32(offset)
        shifted_TF[:, :2] = np.abs(low_T2 + constant) ** 2
        half, n, n_frames = n_fft // 2, len(self.y), len(power_TF)
        inside = (np.arange(n_frames) * hop_length >= half) & (np.arange(n_frames) * hop_length + n_fft - half <= n)
        for t in np.flatnonzero(~inside).tolist():
            start = t * hop_length - half
            frame = np.zeros(n_fft, np.float32)
            first, last = max(0, start), min(n, start + n_fft)
            frame[first - start : last - start] = self.y[first:last] + np.float32(offset)
            shifted_TF[t] = np.abs(np.fft.rfft(frame * spectral.hann(n_fft))) ** 2
        return shifted_TF
