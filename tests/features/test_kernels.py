"""The compiled loops against their twins in numpy, and both against what the quantities mean."""

import numpy as np
import pytest

from phonolake.features import descriptors, harmony, kernels, rhythm, spectral
from phonolake.features.clip import Clip
from phonolake.features.statistics import seven, standardised

from . import plain_kernels

pytestmark = pytest.mark.timeout(60)

SR = 22_050


def power(seed: int = 0, n_frames: int = 37, n_bins: int = 129) -> np.ndarray:
    return np.random.default_rng(seed).lognormal(0, 3, (n_frames, n_bins)).astype(np.float32)


def sine(hertz: float, seconds: float = 2.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * SR)) / SR)).astype(np.float32)


def noise(seconds: float = 4.0) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 0.1, round(seconds * SR)).astype(np.float32)


# -- twins ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [8, 9])
@pytest.mark.parametrize("n", [1, 3, 8, 100])
def test_windows_of_a_recording(n: int, length: int) -> None:
    y, window = np.arange(1, n + 1, dtype=np.float32), np.linspace(1, 2, length)
    hop, n_frames = 3, 1 + n // 3
    padded = np.pad(y, (length // 2, 2 * length))
    whole = np.stack([window * padded[t * hop : t * hop + length] for t in range(n_frames)])
    for function in (kernels.windowed, plain_kernels.windowed):
        for start in {0, 1, n_frames // 2, n_frames - 1} & set(range(n_frames)):
            out = np.full((min(4, n_frames - start), length), np.nan)
            function(y, start, hop, window, out)
            np.testing.assert_allclose(out, whole[start : start + len(out)])


def test_power_of_a_spectrum() -> None:
    rng = np.random.default_rng(0)
    for dtype in (np.complex64, np.complex128):
        spectrum = (rng.normal(size=(7, 33)) + 1j * rng.normal(size=(7, 33))).astype(dtype)
        for function in (kernels.power, plain_kernels.power):
            out = np.empty(spectrum.shape, np.float32)
            function(spectrum, out)
            np.testing.assert_allclose(out, np.abs(spectrum) ** 2, rtol=1e-6)


@pytest.mark.parametrize("n_frames", [1, 7, 8, 9, 100])
def test_bands(n_frames: int) -> None:
    values = power(n_frames=n_frames)
    compiled = spectral.in_bands(values, sr=8000, n_fft=256, n_mels=40)
    basis = spectral.mel_filterbank(sr=8000, n_fft=256, n_mels=40)
    np.testing.assert_allclose(compiled, values.astype(np.float64) @ basis.T.astype(np.float64), rtol=1e-5)
    plain = np.empty_like(compiled)
    plain_kernels.bands(values, basis, np.zeros((40, 2), np.int64), plain)
    np.testing.assert_allclose(compiled, plain, rtol=1e-5)


@pytest.mark.parametrize("silent", [False, True])
def test_shape(silent: bool) -> None:
    values = power() * (0 if silent else 1)
    found = []
    for function in (kernels.shape, plain_kernels.shape):
        out = np.empty((len(values), 5))
        function(values, 0.85, out)
        found.append(out)
    np.testing.assert_allclose(*found, rtol=1e-9, atol=1e-9)
    if silent:
        assert not found[0].any()


def test_pitches() -> None:
    for values in (power(), power() * 0, power(n_bins=20)):
        compiled, plain = kernels.pitches(values, 3, 15, 0.1), plain_kernels.pitches(values, 3, 15, 0.1)
        np.testing.assert_allclose(compiled[0], plain[0], rtol=1e-9)
        np.testing.assert_allclose(compiled[1], plain[1], rtol=1e-9)


def test_moments() -> None:
    import scipy.stats

    y = np.random.default_rng(3).gamma(2, 0.1, 5000).astype(np.float32) - np.float32(0.1)
    compiled = kernels.moments(y)
    np.testing.assert_allclose(compiled, plain_kernels.moments(y), rtol=1e-9)
    for row, values in zip(compiled, (y.astype(np.float64), np.abs(y).astype(np.float64)), strict=True):
        skew, kurtosis = standardised(row)
        assert row[0] == pytest.approx(values.mean())
        assert row[1] == pytest.approx(values.var())
        assert skew == pytest.approx(scipy.stats.skew(values))
        assert kurtosis == pytest.approx(scipy.stats.kurtosis(values))


# -- mathematics ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hertz", [440.0, 1000.0, 5000.0])
def test_centroid_and_rolloff_of_a_sine_are_its_frequency(hertz: float) -> None:
    shape = descriptors.shape(Clip(sine(hertz), SR), n_fft=2048, hop_length=512)
    inside = slice(3, -3)
    assert shape.centroid[inside].mean() == pytest.approx(hertz, rel=0.01)
    assert shape.rolloff[inside].mean() == pytest.approx(hertz, abs=2 * SR / 2048)
    assert shape.bandwidth_2[inside].max() < 100


def test_white_noise_is_flat() -> None:
    shape = descriptors.shape(Clip(noise(), SR), n_fft=2048, hop_length=512)
    # A flat spectrum has its centre in the middle, 85 % of it below 85 %, and the deviation of an even distribution.
    assert shape.centroid.mean() == pytest.approx(SR / 4, rel=0.02)
    assert shape.rolloff.mean() == pytest.approx(0.85 * SR / 2, rel=0.02)
    assert shape.bandwidth_2.mean() == pytest.approx(SR / 2 / np.sqrt(12), rel=0.02)
    mel = Clip(noise(), SR).mel_power(n_fft=2048, hop_length=512, n_mels=40).mean(axis=0)
    assert mel[5:].max() / mel[5:].min() < 1.6


def test_zero_crossings_of_a_sine_are_two_a_period() -> None:
    rate = descriptors.zero_crossing_rate(Clip(sine(441.0), SR), frame_length=2048, hop_length=512)
    assert rate[4:-4].mean() == pytest.approx(2 * 441 / SR, rel=0.01)


def test_rms_of_a_sine_is_its_amplitude_over_the_root_of_two() -> None:
    level = descriptors.rms(Clip(sine(440.0), SR), frame_length=2048, hop_length=512)
    np.testing.assert_allclose(level[4:-4], 0.5 / np.sqrt(2), rtol=0.01)


@pytest.mark.parametrize("bpm", [60.0, 90.0, 120.0, 150.0])
def test_tempo_of_a_train_of_clicks(bpm: float) -> None:
    y = np.zeros(12 * SR, np.float32)
    for beat in np.arange(0.2, 11.9, 60 / bpm):
        y[round(beat * SR) :][:200] = np.hanning(200) * 0.8
    found = rhythm.tempo(Clip(y, SR))
    # Lags are whole frames, and beats of every second click are no mistake.
    assert min(abs(found / bpm - factor) for factor in (0.5, 1.0, 2.0)) < 0.03


def test_silence_has_the_tempo_that_is_expected_beforehand() -> None:
    assert rhythm.tempo(Clip(np.zeros(3 * SR, np.float32), SR)) == pytest.approx(120, abs=3)


@pytest.mark.parametrize(("hertz", "pitch_class"), [(261.63, 0), (440.0, 9), (493.88, 11)])
def test_chroma_of_a_tone_is_its_pitch_class(hertz: float, pitch_class: int) -> None:
    values = Clip(sine(hertz), SR).power(n_fft=2048, hop_length=512)
    chroma = harmony.chroma(values, sr=SR, n_fft=2048)
    assert (chroma[4:-4].argmax(axis=1) == pitch_class).all()
    assert chroma.max() == 1.0


@pytest.mark.parametrize("cents", [-30, 0, 20])
def test_tuning_is_that_of_the_tones(cents: int) -> None:
    tones = sum(sine(440 * 2 ** ((k + cents / 100) / 12)) for k in (0, 4, 7))
    values = Clip(tones / 3, SR).power(n_fft=8192, hop_length=512)
    assert harmony.tuning(values, sr=SR, n_fft=8192) == pytest.approx(cents / 100, abs=0.03)


@pytest.mark.parametrize("offset", [1e-4, 0.01, 0.5])
@pytest.mark.parametrize("n", [1, 1000, 2048, 5000, 30_000])
def test_an_offset_is_added_to_the_spectrum_as_it_would_be_to_the_samples(n: int, offset: float) -> None:
    y = noise()[:n]
    quick = Clip(y, SR).power(n_fft=2048, hop_length=512, offset=offset)
    direct, _ = spectral.power_spectrum(y + np.float32(offset), n_fft=2048, hop_length=512)
    np.testing.assert_allclose(quick, direct, rtol=1e-3, atol=1e-6 * direct.max())


def test_seven_statistics() -> None:
    import scipy.stats

    x = np.random.default_rng(4).gamma(2, size=(200, 3))
    found = seven(x)
    assert list(found) == sorted(found)
    np.testing.assert_allclose(found["skew"], scipy.stats.skew(x), rtol=1e-9)
    np.testing.assert_allclose(found["kurtosis"], scipy.stats.kurtosis(x), rtol=1e-9)
    np.testing.assert_array_equal(found["median"], np.median(x, axis=0))
    constant = seven(np.full((10, 1), 0.1))
    assert (constant["skew"][0], constant["kurtosis"][0]) == (0.0, -3.0)
