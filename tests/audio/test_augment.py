"""Other takes of a recording: what changes, by how much, and that it can be repeated."""

import io

import numpy as np
import pytest
import soundfile as sf

from phonolake.audio import augment
from phonolake.audio.augment import Augmentation
from phonolake.audio.decode import decode, decode_rates, stream
from phonolake.errors import UsageError
from phonolake.records import Hertz
from phonolake.seeds import track_rng

pytestmark = pytest.mark.timeout(120)

SR = Hertz(22_050)


def sine(hertz: float = 440.0, seconds: float = 1.5) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * SR)) / SR)).astype(np.float32)


def frequency(y: np.ndarray) -> float:
    middle = y[len(y) // 4 : -len(y) // 4]
    return float(np.abs(np.fft.rfft(middle * np.hanning(len(middle)))).argmax() * SR / len(middle))


@pytest.mark.parametrize("semitones", [-2.0, 2.0, 0.5])
def test_pitch_moves_by_semitones_and_the_length_stays(semitones: float) -> None:
    y = augment.pitch_shift(sine(), sr=SR, semitones=semitones)
    assert (len(y), y.dtype) == (len(sine()), np.float32)
    assert frequency(y) == pytest.approx(440 * 2 ** (semitones / 12), rel=0.01)


@pytest.mark.parametrize("rate", [0.9, 1.1, 1.37, 2.0])
@pytest.mark.parametrize("n", [20_000, 33_333])
def test_a_stretch_has_exactly_the_length_it_should_and_the_same_pitch(rate: float, n: int) -> None:
    y = augment.time_stretch(sine(seconds=2)[:n], rate=rate)
    assert len(y) == round(n / rate)
    assert y.dtype == np.float32
    assert frequency(y) == pytest.approx(440, rel=0.01)


def test_gain_and_noise_have_the_level_they_should() -> None:
    y = sine()
    assert np.abs(augment.gain(y, decibels=-6.0206)).max() == pytest.approx(0.25, rel=1e-3)
    noise = augment.add_noise(y, snr_db=20, rng=np.random.default_rng(0)) - y
    assert 20 * np.log10(y.std() / noise.std()) == pytest.approx(20, abs=0.1)
    assert not augment.add_noise(np.zeros(100, np.float32), snr_db=20, rng=np.random.default_rng(0)).any()


def test_crops_come_from_everywhere() -> None:
    y = np.arange(100, dtype=np.float32)
    starts = {int(augment.crop(y, 98, np.random.default_rng(k))[0]) for k in range(50)}
    assert starts == {0, 1, 2}
    np.testing.assert_array_equal(augment.crop(y[:3], 7, np.random.default_rng(0)), [0, 1, 2, 0, 1, 2, 0])


WILD = Augmentation(semitones=(-2, 2), rate=(0.9, 1.1), gain_db=(-6, 6), snr_db=(10, 30), n=10_000)


def test_a_take_is_the_same_again_and_another_one_in_another_epoch_or_track() -> None:
    y = sine()
    first = WILD.take(y, sr=SR, track_id="d:1", epoch=3)
    np.testing.assert_array_equal(first, WILD.take(y.copy(), sr=SR, track_id="d:1", epoch=3))
    assert first.shape == (10_000,)
    for other in ({"epoch": 4}, {"track_id": "d:2"}, {"seed": 1}):
        assert not np.allclose(first, WILD.take(y, **({"sr": SR, "track_id": "d:1", "epoch": 3} | other)))


def test_the_default_changes_nothing() -> None:
    y = sine()
    np.testing.assert_array_equal(Augmentation().take(y, sr=SR, track_id="d:1", epoch=0), y)


def test_generators_depend_on_all_that_they_are_given_and_on_nothing_else() -> None:
    given = [(0, 0, "a", ""), (1, 0, "a", ""), (0, 1, "a", ""), (0, 0, "b", ""), (0, 0, "a", "x")]
    draws = {tuple(track_rng(*arguments).integers(1 << 30, size=3)) for arguments in given}
    assert len(draws) == len(given)
    # The same on every machine and in every process: a value written down once.
    assert track_rng(0, 0, "fma:000002").integers(1 << 30) == track_rng(0, 0, "fma:000002").integers(1 << 30)


@pytest.mark.parametrize(
    "wrong", [{"rate": (0.0, 1.0)}, {"semitones": (2.0, -2.0)}, {"gain_db": (1.0,)}, {"snr_db": (5.0, 1.0)}]
)
def test_wrong_ranges_are_refused(wrong: dict) -> None:
    with pytest.raises(UsageError, match="range"):
        Augmentation(**wrong)


# -- decoding to several rates ----------------------------------------------------------------------------------------


def test_one_pass_gives_what_several_give() -> None:
    rng = np.random.default_rng(0)
    buffer = io.BytesIO()
    sf.write(buffer, rng.normal(0, 0.1, (7 * 44_100, 2)), 44_100, format="FLAC")
    data = buffer.getvalue()
    rates = [Hertz(44_100), SR, Hertz(12_000)]
    for sr, y in decode_rates(data, rates).items():
        np.testing.assert_array_equal(y, decode(data, sr=sr))
        pieces = list(stream(data, sr=sr))
        assert len(pieces) > 1
        np.testing.assert_array_equal(np.concatenate(pieces), y)


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_channels_are_averaged_whatever_their_number(channels: int) -> None:
    x_TC = np.random.default_rng(0).normal(0, 0.1, (1000, channels)).astype(np.float32)
    buffer = io.BytesIO()
    sf.write(buffer, x_TC, SR, format="WAV", subtype="FLOAT")
    np.testing.assert_allclose(decode(buffer.getvalue(), sr=SR), x_TC.mean(axis=1), atol=1e-7)
