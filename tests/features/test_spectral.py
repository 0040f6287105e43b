"""The arithmetic of spectra: against librosa, whose definitions it follows, and against mathematics."""

from pathlib import Path

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonolake.audio.decode import decode
from phonolake.errors import AudioError
from phonolake.features import contract, mel_96_12k, mfcc_120, spectral
from phonolake.features.spectral import cosine_basis, decibels, mel_filterbank, mel_power

pytestmark = pytest.mark.timeout(60)

SR = 12_000
DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
REAL = [*sorted((DATA / "cc_music").glob("*.ogg"))[:3], *sorted((DATA / "fma").rglob("*.mp3"))]


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, n).astype(np.float32)


def sine(hertz: float, n: int = 3 * SR, amplitude: float = 0.5) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(n) / SR)).astype(np.float32)


SIGNALS = {
    "noise": noise(60_000),
    "loud noise": 8 * noise(20_000, seed=1),
    "faint noise": 1e-4 * noise(20_000, seed=2),
    "sine": sine(440),
    "chirp": np.sin(2 * np.pi * np.cumsum(np.linspace(20, 5900, 40_000)) / SR).astype(np.float32),
    "clicks": (np.arange(50_000) % 7001 == 0).astype(np.float32),
    "burst": np.concatenate([np.zeros(20_000), noise(5000), np.zeros(20_000)]).astype(np.float32),
    "one window": noise(2048),
    "three frames": noise(1024),
}


@pytest.fixture(scope="module", params=[*SIGNALS, *(path.name for path in REAL)])
def signal(request: pytest.FixtureRequest) -> np.ndarray:
    """Half a minute of it at most."""
    if request.param in SIGNALS:
        return SIGNALS[request.param]
    path = next(path for path in REAL if path.name == request.param)
    return decode(path.read_bytes(), sr=SR)[: 30 * SR]


def test_real_recordings_are_there() -> None:
    if not REAL:
        pytest.skip(f"no recordings at {DATA}: only made-up signals are held against librosa")
    assert len(REAL) == 4


# -- against librosa --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sr", "n_fft", "n_mels"), [(12_000, 512, 96), (12_000, 2048, 128), (22_050, 2048, 128), (44_100, 1024, 40)]
)
def test_mel_filters_are_those_of_librosa(sr: int, n_fft: int, n_mels: int) -> None:
    ours = mel_filterbank(sr=sr, n_fft=n_fft, n_mels=n_mels)
    theirs = librosa.filters.mel(sr=sr, n_fft=n_fft, n_mels=n_mels)
    assert ours.shape == theirs.shape == (n_mels, 1 + n_fft // 2)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-9)


@pytest.mark.filterwarnings("ignore:n_fft=.* is too large")
def test_mirrored_ends_are_those_of_librosa(signal: np.ndarray) -> None:
    ours = contract.spectrogram("mel-96-16k-musicnn").of(signal)
    power = librosa.feature.melspectrogram(
        y=signal, sr=16_000, n_fft=512, hop_length=256, n_mels=96, pad_mode="reflect"
    )
    np.testing.assert_allclose(ours, np.log10(1 + 10_000 * power), atol=1e-4)


@given(st.integers(1, 40), st.integers(0, 100), st.integers(0, 100))
def test_a_recording_is_mirrored_as_often_as_needed(n: int, before: int, after: int) -> None:
    np.testing.assert_array_equal(
        spectral.reflected(n, before, after), np.pad(np.arange(n), (before, after), mode="reflect")
    )


@pytest.mark.filterwarnings("ignore:n_fft=.* is too large")
def test_log_mel_is_that_of_librosa(signal: np.ndarray) -> None:
    ours = mel_96_12k.SPECTROGRAM.of(signal)
    power = librosa.feature.melspectrogram(y=signal, sr=SR, n_fft=512, hop_length=256, n_mels=96, pad_mode="constant")
    theirs = librosa.power_to_db(power, ref=1.0)
    assert ours.shape == theirs.shape
    above = theirs > theirs.max() - 80
    assert above.any()
    assert np.abs(ours - theirs)[above].max() < 1e-3
    # On the floor the two are equal, or one of them is just above it.
    assert np.abs(ours - theirs).max() < 1e-3


@pytest.mark.filterwarnings("ignore:n_fft=.* is too large")
def test_mfcc_statistics_are_those_of_librosa(signal: np.ndarray) -> None:
    mfcc = librosa.feature.mfcc(y=signal, sr=SR, n_mfcc=20)
    series = [mfcc, np.diff(mfcc), np.diff(mfcc, n=2)]
    theirs = np.concatenate([statistic(s, axis=1) for s in series for statistic in (np.mean, np.std)])
    # 1e-4 of each value, which lie around 10 to 100 dB; differences that cancel out to nothing have 1e-4 dB.
    np.testing.assert_allclose(mfcc_120.FEATURES[0].of(signal), theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("top_db", [None, 20.0, 80.0])
def test_decibels_are_those_of_librosa(top_db: float | None) -> None:
    power = np.random.default_rng(0).lognormal(0, 9, (40, 50)).astype(np.float32)
    theirs = librosa.power_to_db(power, ref=1.0, top_db=top_db)
    np.testing.assert_allclose(decibels(power, top_db=top_db), theirs, atol=1e-4)


# -- against mathematics ----------------------------------------------------------------------------------------------


def centres(n_mels: int) -> np.ndarray:
    return librosa.mel_frequencies(n_mels=n_mels + 2, fmin=0, fmax=SR / 2)[1:-1]


@pytest.mark.parametrize("hertz", [60, 100, 250, 440, 1000, 2500, 5000, 5800])
def test_a_sine_peaks_in_the_band_around_its_frequency(hertz: float) -> None:
    power = mel_power(sine(hertz), sr=SR, n_fft=2048, hop_length=512, n_mels=96)
    loudest = power[:, 5:-5].mean(axis=1).argmax()
    distances = np.abs(centres(96) - hertz)
    # The nearest one or, half-way between two, its neighbour, whose triangle is as high there.
    assert loudest in np.argsort(distances)[:2]


def test_a_sine_has_the_power_that_its_window_lets_through() -> None:
    # Exactly in bin 64: |X| = amplitude / 2 * sum of the window, and half of that in the two bins beside it.
    n_fft, k, amplitude = 512, 64, 0.5
    power = mel_power(sine(k * SR / n_fft, amplitude=amplitude), sr=SR, n_fft=n_fft, hop_length=256, n_mels=96)
    peak = (amplitude / 2 * n_fft / 2) ** 2
    bins = np.zeros(1 + n_fft // 2)
    bins[[k - 1, k, k + 1]] = [peak / 4, peak, peak / 4]
    expected = mel_filterbank(sr=SR, n_fft=n_fft, n_mels=96) @ bins
    np.testing.assert_allclose(power[:, 10], expected, rtol=1e-4, atol=1e-4 * expected.max())


def test_energy_is_kept() -> None:
    # Parseval: the squared windows of hops of a quarter add up to 1.5, so the spectra hold 1.5 n_fft times the energy.
    y, n_fft = noise(50_000), 512
    flat = np.ones((1, 1 + n_fft // 2), np.float32)
    flat[0, 1:-1] = 2  # the bins that stand for a negative frequency, too
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spectral, "mel_filterbank", lambda **_: flat)
        power = mel_power(y, sr=SR, n_fft=n_fft, hop_length=n_fft // 4, n_mels=1)
    energy = float(np.square(y, dtype=np.float64).sum())
    assert power.sum(dtype=np.float64) == pytest.approx(1.5 * n_fft * energy, rel=0.01)


def test_doubling_the_amplitude_adds_six_decibels() -> None:
    y = noise(20_000)
    louder = mel_96_12k.SPECTROGRAM.of(2 * y) - mel_96_12k.SPECTROGRAM.of(y)
    np.testing.assert_allclose(louder, 20 * np.log10(2), atol=1e-4)


def test_a_shift_by_one_hop_shifts_the_frames() -> None:
    y = noise(20_000)
    late = np.concatenate([np.zeros(256, np.float32), y])
    # Away from the start, where the shifted one sees silence instead of nothing.
    np.testing.assert_allclose(mel_96_12k.SPECTROGRAM.of(late)[:, 3:], mel_96_12k.SPECTROGRAM.of(y)[:, 2:], atol=1e-4)


def test_cosine_basis_is_orthonormal() -> None:
    whole = cosine_basis(128, 128)
    np.testing.assert_allclose(whole @ whole.T, np.eye(128), atol=1e-12)
    part = cosine_basis(20, 128)
    np.testing.assert_array_equal(part, whole[:20])
    # The first coefficient is the mean, and the others do not see it.
    np.testing.assert_allclose(part @ np.ones(128), [np.sqrt(128), *np.zeros(19)], atol=1e-12)


def test_mel_filters_are_triangles_of_equal_area() -> None:
    # Fine enough for every triangle to have many bins.
    basis = mel_filterbank(sr=SR, n_fft=1 << 16, n_mels=96).astype(np.float64)
    np.testing.assert_allclose(basis.sum(axis=1) * SR / (1 << 16), 1.0, rtol=1e-3)
    assert (basis >= 0).all()
    rises = np.diff(basis, axis=1)
    for row in rises:
        signs = np.sign(row[np.abs(row) > 1e-12])
        assert (np.diff(signs) != 0).sum() == 1, "up once and down once"
    peaks = basis.argmax(axis=1) * SR / (1 << 16)
    np.testing.assert_allclose(peaks, centres(96), atol=SR / (1 << 16))


def test_mfcc_of_a_steady_sound_have_no_differences() -> None:
    # A period of 512 samples makes every frame the same, apart from those that reach beyond the ends.
    y = np.tile(noise(512), 200)
    values = mfcc_120.FEATURES[0].of(y).reshape(6, 20)
    inner = np.tile(noise(512), 400)
    longer = mfcc_120.FEATURES[0].of(inner).reshape(6, 20)
    assert np.abs(values[2]).max() < 1.0
    # The longer the sound, the less its ends matter.
    assert np.abs(longer[3:]).max() < np.abs(values[3:]).max()
    assert np.abs(longer[1]).max() < np.abs(values[1]).max()


# -- edges ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 255, 256, 12_000])
def test_silence_lies_at_the_smallest_power(n: int) -> None:
    spec = mel_96_12k.SPECTROGRAM.of(np.zeros(n, np.float32))
    assert spec.shape == (96, 1 + n // 256)
    np.testing.assert_allclose(spec, -100.0, atol=1e-4)


def test_constant_offset_is_heard_in_the_lowest_bands_only() -> None:
    # A periodic Hann window leaks into the one bin beside 0 Hz and no further.
    spec = mel_power(np.full(6000, 0.5, np.float32), sr=SR, n_fft=512, hop_length=256, n_mels=96)[:, 4:-4]
    reached = mel_filterbank(sr=SR, n_fft=512, n_mels=96)[:, :2].any(axis=1)
    assert reached.any()
    assert spec[reached].min() > 1.0
    assert spec[~reached].max() < 1e-6


@pytest.mark.parametrize("n", [1, 2, 100, 255, 256, 257, 511, 512, 513, 1023])
def test_short_inputs_have_a_frame_for_each_hop(n: int) -> None:
    spec = mel_96_12k.SPECTROGRAM.of(noise(n))
    assert spec.shape == (96, 1 + n // 256)
    assert np.isfinite(spec).all()


def test_one_sample_is_a_flat_spectrum() -> None:
    # One impulse of height a under the middle of the window: every bin holds a squared.
    power = mel_power(np.full(1, 0.5, np.float32), sr=SR, n_fft=512, hop_length=256, n_mels=96)
    np.testing.assert_allclose(power[:, 0], 0.25 * mel_filterbank(sr=SR, n_fft=512, n_mels=96).sum(axis=1), rtol=1e-5)


@pytest.mark.parametrize("n", [0, 1, 1023])
def test_mfcc_needs_three_frames(n: int) -> None:
    with pytest.raises(AudioError, match="too-short") as caught:
        mfcc_120.FEATURES[0].of(noise(n))
    assert "1024" in caught.value.detail


def test_mfcc_of_three_frames_is_finite() -> None:
    assert np.isfinite(mfcc_120.FEATURES[0].of(noise(1024))).all()


def test_other_number_types_are_taken_too() -> None:
    y = noise(5000)
    np.testing.assert_array_equal(mel_96_12k.SPECTROGRAM.of(y.astype(np.float64)), mel_96_12k.SPECTROGRAM.of(y))
    np.testing.assert_array_equal(mel_96_12k.SPECTROGRAM.of(np.repeat(y, 2)[::2]), mel_96_12k.SPECTROGRAM.of(y))


def test_input_is_left_alone() -> None:
    y = noise(5000)
    before = y.copy()
    mel_96_12k.SPECTROGRAM.of(y)
    mfcc_120.FEATURES[0].of(y)
    np.testing.assert_array_equal(y, before)


@settings(max_examples=25)
@given(n=st.integers(1, 6000), at_once=st.integers(1, 20_000))
def test_frames_at_once_change_nothing(n: int, at_once: int) -> None:
    y = noise(n)
    whole = mel_power(y, sr=SR, n_fft=512, hop_length=256, n_mels=96)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spectral, "SAMPLES_AT_ONCE", at_once)
        pieces = mel_power(y, sr=SR, n_fft=512, hop_length=256, n_mels=96)
    # Matrix products of other sizes add up in another order.
    np.testing.assert_allclose(pieces, whole, rtol=1e-5, atol=1e-9)


def test_more_frames_than_are_done_at_once() -> None:
    at_once = spectral.SAMPLES_AT_ONCE // 512
    y = noise(2 * at_once * 256 + 5000)
    whole = mel_96_12k.SPECTROGRAM.of(y)
    assert whole.shape[1] > 2 * at_once
    # A frame sees 256 samples to either side, so a part that starts on a hop has the same frames inside.
    start = at_once - 10
    part = mel_96_12k.SPECTROGRAM.of(y[start * 256 : (start + 20) * 256])
    np.testing.assert_allclose(part[:, 2:-2], whole[:, start + 2 : start + 19], atol=1e-3)
