"""Decoding in a process of its own gives the same samples, and stops at its limits."""

import io

import numpy as np
import pytest
import soundfile as sf

from phonolake.audio.confined import decode_confined
from phonolake.audio.decode import decode
from phonolake.audio.waveform import outline
from phonolake.errors import AudioError
from phonolake.records import Hertz


def wav(seconds: float, sr: int = 8000) -> bytes:
    x_T = 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * sr)) / sr)
    buffer = io.BytesIO()
    sf.write(buffer, x_T, sr, format="WAV")
    return buffer.getvalue()


def test_the_samples_are_those_of_decode() -> None:
    data = wav(1.5)
    np.testing.assert_array_equal(
        decode_confined(data, sr=Hertz(12000), extension="wav"), decode(data, sr=Hertz(12000))
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "empty"), (b"<html>" * 100, "not-audio"), (wav(1.0)[:5000], "truncated")],
)
def test_what_cannot_be_used_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(AudioError) as refusal:
        decode_confined(data, sr=Hertz(8000), extension="wav")
    assert refusal.value.reason == reason


def test_too_long_and_too_slow_are_refused() -> None:
    with pytest.raises(AudioError, match="1300 s, but at most 1200 s"):
        decode_confined(wav(1300, sr=1000), sr=Hertz(1000), extension="wav")
    with pytest.raises(AudioError, match=r"longer than 0\.05 s"):
        decode_confined(wav(1), sr=Hertz(8000), seconds=0.05)


def test_too_much_memory_ends_that_process_and_not_this_one() -> None:
    with pytest.raises(AudioError, match=r"took more than 1 MiB|broke down"):
        decode_confined(wav(600), sr=Hertz(8000), memory=1 << 20)


@pytest.mark.parametrize("n", [0, 1, 3, 1000, 1001])
def test_an_outline_holds_every_sample(n: int) -> None:
    x_T = np.random.default_rng(n).normal(size=n).astype(np.float32)
    found_P2 = outline(x_T, 10)
    assert len(found_P2) == min(n, 10)
    if n:
        assert found_P2[:, 0].min() == x_T.min()
        assert found_P2[:, 1].max() == x_T.max()
        assert (found_P2[:, 0] <= found_P2[:, 1]).all()
