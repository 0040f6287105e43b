"""The preprocessing grid, spectrograms on tensors, pictures, user configurations and masks."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from phonolake.errors import UsageError
from phonolake.features import augment, contract, device, pictures
from phonolake.features.configuration import Configuration, from_text
from phonolake.features.preprocessing import Preprocessing, a_weighting, a_weights, grid

pytestmark = pytest.mark.timeout(60)

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here"))]


def decibels(seed: int = 0, shape: tuple[int, ...] = (96, 50)) -> np.ndarray:
    return np.random.default_rng(seed).normal(-40, 12, shape).astype(np.float32)


# -- grid -------------------------------------------------------------------------------------------------------------


def test_the_grid_has_twelve_points() -> None:
    assert len(grid()) == 12
    assert "decibel/per-frequency/x10" in grid()
    assert "linear/a-weighted/x1" in grid()


@pytest.mark.parametrize("point", grid().values(), ids=lambda point: point.name)
@pytest.mark.parametrize("on", DEVICES)
def test_numpy_and_torch_agree_alone_and_in_a_batch(point: Preprocessing, on: str) -> None:
    batch = decibels(shape=(3, 96, 50))
    together = point(torch.from_numpy(batch).to(on)).cpu().numpy()
    assert together.dtype == np.float32
    for spec, result in zip(batch, together, strict=True):
        alone = point(spec)
        assert alone.dtype == np.float32
        np.testing.assert_allclose(alone, result, rtol=1e-4, atol=2e-4 * point.scale)


@pytest.mark.parametrize("point", grid().values(), ids=lambda point: point.name)
def test_every_sample_is_standardised_in_the_end(point: Preprocessing) -> None:
    result = point(decibels())
    assert result.mean() == pytest.approx(0, abs=1e-3)
    assert result.std() == pytest.approx(point.scale, rel=1e-3)


def test_each_part_does_what_it_says() -> None:
    spec = decibels() + np.linspace(0, 30, 96, dtype=np.float32)[:, None]
    flat = Preprocessing(frequency="per-frequency")(spec)
    np.testing.assert_allclose(flat.mean(axis=1), 0, atol=1e-4)
    assert np.ptp(Preprocessing()(spec).mean(axis=1)) > 1
    # Linear magnitudes have a long tail.
    assert Preprocessing(magnitude="linear")(spec).max() > 2 * Preprocessing()(spec).max()
    np.testing.assert_allclose(Preprocessing(scale=10.0)(spec), 10 * Preprocessing()(spec), rtol=1e-5)


def test_silence_stays_finite() -> None:
    for point in grid().values():
        assert not point(np.full((96, 20), -100, np.float32)).any() or point.frequency == "a-weighted"
        assert np.isfinite(point(np.full((96, 20), -100, np.float32))).all()


def test_a_weights_are_those_of_the_standard() -> None:
    # IEC 61672-1 gives weights at a tenth of a decade each, by nominal names such as 31.5 Hz.
    table = {15: -39.4, 18: -26.2, 21: -16.1, 24: -8.6, 27: -3.2, 30: 0.0, 33: 1.2, 36: 1.0, 39: -1.1}
    np.testing.assert_allclose(a_weighting(10 ** (np.array(list(table)) / 10)), list(table.values()), atol=0.1)
    assert a_weights(96, sr=12_000).shape == (96,)
    assert a_weighting(np.zeros(1))[0] == -80.0


@pytest.mark.parametrize("wrong", [{"magnitude": "db"}, {"frequency": "mel"}, {"scale": 2.0}])
def test_other_points_are_refused(wrong: dict) -> None:
    with pytest.raises(UsageError, match="must be one of"):
        Preprocessing(**wrong)


# -- on a device ------------------------------------------------------------------------------------------------------

CONFIGURATIONS = {
    "mel-96-12k": Configuration(sr=12_000, n_fft=512, hop_length=256, n_mels=96),
    "mel-128-22k-729": contract.spectrogram("mel-128-22k-729").config,
    "stft": Configuration(sr=12_000, n_fft=512, hop_length=256, ref="max", top_db=None),
    "linear": Configuration(sr=12_000, n_fft=400, hop_length=160, n_mels=20, fmin=50, fmax=5000, scale="linear"),
    "mel-96-16k-musicnn": contract.spectrogram("mel-96-16k-musicnn").config,
    "mirrored": Configuration(sr=12_000, n_fft=401, hop_length=100, n_mels=20, scale="log", pad_mode="reflect"),
    "emphasised": Configuration(sr=12_000, n_fft=512, hop_length=256, n_mels=96, pre_emphasis=0.97),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
@pytest.mark.parametrize("n", [0, 1, 2, 100, 700, 24_000])
@pytest.mark.parametrize("on", DEVICES)
def test_tensors_give_what_arrays_give(name: str, n: int, on: str) -> None:
    from phonolake.features.clip import Clip

    config = CONFIGURATIONS[name]
    assert config is not None
    y = np.random.default_rng(0).normal(0, 0.1, (2, n)).astype(np.float32)
    found = device.spectrogram(torch.from_numpy(y).to(on), config).cpu().numpy()
    for clip, result in zip(y, found, strict=True):
        tolerance = 1e-2 if on == "cuda" else 1e-3
        np.testing.assert_allclose(result, config.compute(Clip(clip, config.sr)), rtol=1e-4, atol=tolerance)


@pytest.mark.parametrize("name", CONFIGURATIONS)
@pytest.mark.parametrize("n", [0, 1, 2, 100, 700, 24_000])
def test_frames_of_one_recording_give_what_arrays_give(name: str, n: int) -> None:
    from phonolake.features.clip import Clip

    config = CONFIGURATIONS[name]
    assert config is not None
    y = np.random.default_rng(0).normal(0, 0.1, n).astype(np.float32)
    frames_BTN = torch.from_numpy(device.frames(y, config).T.copy())[None]
    found = device.of_frames(frames_BTN, config)[0].numpy()
    np.testing.assert_allclose(found, config.compute(Clip(y, config.sr)), rtol=1e-4, atol=1e-3)


def test_what_is_no_spectrogram_of_a_whole_clip_is_left_to_extraction() -> None:
    config = contract.spectrogram("mel-96-picture").config
    assert config is not None
    with pytest.raises(UsageError, match="extract them"):
        device.spectrogram(torch.zeros(1, 22_050), config)


# -- pictures ---------------------------------------------------------------------------------------------------------


def test_colours_are_those_of_matplotlib() -> None:
    from matplotlib import colormaps

    ours = pictures.jet().T
    np.testing.assert_allclose(ours, colormaps["jet"](np.arange(256))[:, :3], atol=1e-6)


def test_a_picture_is_drawn_upright_and_keeps_its_mean_colour() -> None:
    values = np.zeros((96, 431), np.float32)
    values[90:, :200] = 1.0
    picture = pictures.draw(values, 216)
    assert picture.shape == (3, 216, 216)
    red, blue = picture[0], picture[2]
    # High bands are at the top, time runs to the right: dark red for 1, dark blue for 0.
    assert red[0, 0] == pytest.approx(0.5)
    assert blue[-1, -1] == pytest.approx(0.5)
    assert red[0, -1] == 0
    share = 6 * 200 / (96 * 431)
    assert red.mean() == pytest.approx(0.5 * share, rel=1e-4)


@given(n_pixels=st.integers(1, 50), n_cells=st.integers(1, 80))
@settings(max_examples=30)
def test_every_pixel_is_covered_once(n_pixels: int, n_cells: int) -> None:
    coverage = pictures.coverage(n_pixels, n_cells)
    np.testing.assert_allclose(coverage.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(coverage.sum(axis=0), n_pixels / n_cells, rtol=1e-4)


# -- configurations ---------------------------------------------------------------------------------------------------


def test_a_configuration_is_read_from_json_and_from_one_line() -> None:
    expected = Configuration(sr=16_000, n_fft=400, hop_length=160, n_mels=64, scale="log", top_db=None)
    parameters = {"sr": 16_000, "n_fft": 400, "hop_length": 160, "n_mels": 64, "scale": "log", "top_db": None}
    assert from_text(json.dumps({"name": "speech"} | parameters)) == ("speech", expected)
    line = "speech:sr=16000,n_fft=400,hop_length=160,n_mels=64,scale=log,top_db=null"
    assert from_text(line) == ("speech", expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("x:sr=16000", "lacks n_fft, hop_length"),
        ("x:sr=16000,n_fft=512,hop_length=256,n_mel=3", "Did you mean 'n_mels'"),
        ("x:sr=16000,n_fft=512,hop_length=1024", "hop_length .* at most n_fft = 512"),
        ("x:sr=16000,n_fft=512,hop_length=256,n_mels=1000", "n_mels .* 1 ... 257"),
        ("x:sr=16000,n_fft=512,hop_length=256,fmax=9000", "at most sr / 2 = 8000"),
        ("x:sr=16000,n_fft=512,hop_length=256,scale=bel", "decibel or log or log10 or linear"),
        ("x:sr=16000,n_fft=512.5,hop_length=256", "n_fft .* whole number"),
        ("x:sr=16000,n_fft=512,hop_length=256,power=3", "power .* 1 or 2"),
        ("x:sr=16000,n_fft=512,hop_length=256,gain=much", "wrong type"),
        ("x:16000", "expected parameter=value"),
    ],
)
def test_a_configuration_that_cannot_be_right_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        from_text(text)


def test_a_part_begins_earlier_in_a_short_recording_and_is_filled_up_in_a_shorter_one() -> None:
    recipe = contract.spectrogram("mel-128x128")
    y = np.random.default_rng(0).normal(0, 0.1, 30 * recipe.sr).astype(np.float32)
    part = y[round(15.5 * recipe.sr) :][: round(3.5 * recipe.sr)]
    whole = recipe.of(y)
    np.testing.assert_array_equal(recipe.of(part), whole)
    np.testing.assert_array_equal(recipe.of(np.concatenate([y[: 14 * recipe.sr], part])), whole)
    # Where the part would not even begin, the recording's own beginning is shown.
    np.testing.assert_array_equal(recipe.of(np.concatenate([part, y[: 5 * recipe.sr]])), whole)
    short = recipe.of(y[: 2 * recipe.sr])
    assert short.shape == (128, 128)
    assert short[:, -20:].max() == pytest.approx(-80)


# -- masks and mixtures -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy])
def test_masks_blank_bands_and_frames_and_nothing_else(make: object) -> None:
    spec = decibels()
    masked = np.asarray(augment.spec_augment(make(spec), np.random.default_rng(5), fill=7.0))  # type: ignore[operator]
    changed = masked != spec
    assert changed.any()
    assert (masked[changed] == 7.0).all()
    bands, frames = changed.all(axis=1), changed.all(axis=0)
    np.testing.assert_array_equal(changed, bands[:, None] | frames[None, :])
    assert bands.sum() <= 16
    assert frames.sum() <= 80
    again = augment.spec_augment(spec, np.random.default_rng(5), fill=7.0)
    np.testing.assert_array_equal(masked, again)


def test_a_mixture_is_between_its_parts() -> None:
    x1, x2, y1, y2 = np.zeros(3), np.ones(3), np.array([1.0, 0.0]), np.array([0.0, 1.0])
    x, y, lam = augment.mixup(x1, y1, x2, y2, np.random.default_rng(0))
    np.testing.assert_allclose(x, 1 - lam)
    np.testing.assert_allclose(y, [lam, 1 - lam])
    lams = [augment.mixup(x1, y1, x2, y2, np.random.default_rng(k), alpha=1.0)[2] for k in range(400)]
    assert np.mean(lams) == pytest.approx(0.5, abs=0.05)
    with pytest.raises(UsageError, match="alpha"):
        augment.mixup(x1, y1, x2, y2, np.random.default_rng(0), alpha=0)
