"""One contract, kept by every feature set and every spectrogram in the registry."""

import dataclasses
import re

import numpy as np
import pytest

from phonolake import registry, testing
from phonolake.errors import AudioError, UsageError
from phonolake.features import contract, spectral
from phonolake.features.clip import Clip
from phonolake.features.contract import FeatureSet, Spectrogram
from phonolake.inference import products
from phonolake.store import schema

pytestmark = pytest.mark.timeout(60)

RECIPES = [*contract.feature_sets().values(), *contract.spectrograms().values()]
SETS, SPECTROGRAMS = list(contract.feature_sets().values()), list(contract.spectrograms().values())
SECONDS = [0.2, 0.5, 1.0, 3.3, 30.0]


def noise(recipe: FeatureSet | Spectrogram, seconds: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, round(seconds * recipe.sr)).astype(np.float32)


def answer(recipe: FeatureSet | Spectrogram, y: np.ndarray) -> np.ndarray | None:
    """What a recipe says to audio, or None where it refuses what is too short."""
    try:
        return recipe.of(y)
    except AudioError as error:
        if error.reason != "too-short":
            raise
        return None


@pytest.fixture(params=RECIPES, ids=lambda recipe: recipe.name)
def recipe(request: pytest.FixtureRequest) -> FeatureSet | Spectrogram:
    return request.param


@pytest.fixture(params=SETS, ids=lambda recipe: recipe.name)
def feature_set(request: pytest.FixtureRequest) -> FeatureSet:
    return request.param


@pytest.fixture(params=SPECTROGRAMS, ids=lambda recipe: recipe.name)
def spectrogram(request: pytest.FixtureRequest) -> Spectrogram:
    return request.param


# -- what a recipe says about itself ----------------------------------------------------------------------------------


def test_there_are_some() -> None:
    assert SETS
    assert SPECTROGRAMS


def test_a_recipe_is_found_by_its_name(recipe: FeatureSet | Spectrogram) -> None:
    find = contract.spectrogram if isinstance(recipe, Spectrogram) else contract.feature_set
    assert find(recipe.name) == recipe


def test_the_name_of_a_module_begins_that_of_its_recipes(recipe: FeatureSet | Spectrogram) -> None:
    attribute = "SPECTROGRAM" if isinstance(recipe, Spectrogram) else "FEATURES"
    module = registry.modules("phonolake.features", attribute)[recipe.name].__name__.rpartition(".")[2]
    assert module == "published" or recipe.name.startswith(module.replace("_", "-"))


def test_names_are_safe_in_files_tables_and_shells(recipe: FeatureSet | Spectrogram) -> None:
    # `--` separates the parts of a shard's name.
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", recipe.name)


def test_every_recipe_keeps_the_contract(recipe: FeatureSet | Spectrogram) -> None:
    (testing.check_spectrogram if isinstance(recipe, Spectrogram) else testing.check_feature_set)(recipe)  # type: ignore[arg-type]


def test_no_two_recipes_share_a_name() -> None:
    assert len({recipe.name for recipe in RECIPES}) == len(RECIPES)


def test_modules_say_what_they_are(recipe: FeatureSet | Spectrogram) -> None:
    attribute = "SPECTROGRAM" if isinstance(recipe, Spectrogram) else "FEATURES"
    assert registry.modules("phonolake.features", attribute)[recipe.name].__doc__


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"unknown feature set 'mfcc-12'\. Did you mean 'mfcc-120'\?"):
        contract.feature_set("mfcc-12")
    with pytest.raises(UsageError, match=r"unknown spectrogram 'x'.*mel-96-12k"):
        contract.spectrogram("x")


def test_a_raised_version_is_another_product(recipe: FeatureSet | Spectrogram) -> None:
    raised = dataclasses.replace(recipe, version=recipe.version + 1)
    assert raised.identity != recipe.identity
    assert products.product(raised).version != products.product(recipe).version
    assert products.product(raised).family == products.product(recipe).family


def test_columns_are_unique_named_for_sql_and_described(feature_set: FeatureSet) -> None:
    names = [name for name, _ in feature_set.columns]
    assert len(set(names)) == len(names)
    # Sets that are called by their number of values have as many.
    if number := re.search(r"-(\d+)", feature_set.name):
        assert len(names) == int(number[1])
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)
    assert not set(names) & {column.name for column in schema.table("features").columns}
    descriptions = [description for _, description in feature_set.columns]
    assert all(len(description) > 10 for description in descriptions)
    assert len(set(descriptions)) == len(descriptions)


# -- what it computes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", SECONDS)
def test_features_are_finite_numbers_one_for_each_column(feature_set: FeatureSet, seconds: float) -> None:
    values = answer(feature_set, noise(feature_set, seconds))
    if values is None:
        assert seconds <= 0.5
        return
    assert values.shape == (len(feature_set.columns),)
    assert values.dtype == np.float64
    assert np.isfinite(values).all()


@pytest.mark.parametrize("seconds", SECONDS)
def test_spectrograms_have_the_shape_they_say(spectrogram: Spectrogram, seconds: float) -> None:
    spec = spectrogram.of(noise(spectrogram, seconds))
    assert spec.dtype == np.float32
    assert spec.shape[:-1] == ((spectrogram.n_channels,) if spectrogram.n_channels > 1 else ()) + (spectrogram.n_bands,)
    assert np.isfinite(spec).all()
    if spectrogram.n_frames is not None:
        assert spec.shape[-1] == spectrogram.n_frames
    else:
        assert spec.shape[-1] == pytest.approx(seconds * spectrogram.frames_per_second, abs=1)


def test_other_audio_gives_other_values(recipe: FeatureSet | Spectrogram) -> None:
    y = noise(recipe, 2)
    assert not np.allclose(recipe.of(y), recipe.of(y[::-1] * np.linspace(0, 1, len(y), dtype=np.float32)))


@pytest.mark.parametrize("n", [0, 1, 2, 100, 600, 1100, 2048, 5000])
def test_short_audio_is_answered_or_refused_as_too_short(recipe: FeatureSet | Spectrogram, n: int) -> None:
    values = answer(recipe, noise(recipe, 1)[:n])
    assert values is None or np.isfinite(values).all()


@pytest.mark.parametrize("level", [0.0, 1e-6, 1.0, 100.0])
def test_any_loudness_gives_finite_values(recipe: FeatureSet | Spectrogram, level: float) -> None:
    assert np.isfinite(recipe.of(np.float32(level) * noise(recipe, 1))).all()


@pytest.mark.parametrize("y", [np.full(30_000, 0.25), np.eye(1, 30_000)[0], np.tile([1.0, -1.0], 15_000)])
def test_a_constant_a_click_and_the_highest_frequency_have_finite_values(
    recipe: FeatureSet | Spectrogram, y: np.ndarray
) -> None:
    values = answer(recipe, y.astype(np.float32))
    assert values is None or np.isfinite(values).all()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 1e30])
def test_what_is_no_number_is_refused(recipe: FeatureSet | Spectrogram, wrong: float) -> None:
    y = noise(recipe, 1)
    y[len(y) // 2] = wrong
    with pytest.raises(AudioError, match="not-finite"):
        recipe.of(y)


@pytest.mark.parametrize("level", [1e-5, 1e-3, 0.1, 1.0, 10.0])
def test_float16_keeps_the_values_to_half_a_unit_in_their_last_place(spectrogram: Spectrogram, level: float) -> None:
    spec = spectrogram.of(np.float32(level) * 10 * noise(spectrogram, 25))
    largest = float(np.abs(spec).max())
    # float16 has eleven significant bits: 1/32 dB between 64 and 128 dB, where quiet music lies.
    # Its smallest step is 2^-24.
    bound = max(2.0 ** (np.floor(np.log2(largest)) - 11), 2.0**-25)
    error = np.abs(spec.astype("<f2").astype(np.float32) - spec).max()
    assert error <= bound
    assert bound <= {"dB": 2**-5}.get(spectrogram.unit, 2**-8)


# -- segments and families ---------------------------------------------------------------------------------------------


def test_segments_are_told_in_the_name(recipe: FeatureSet | Spectrogram) -> None:
    find = contract.spectrogram if isinstance(recipe, Spectrogram) else contract.feature_set
    for text, segments in (("-per-3000ms", (3000, 3000)), ("-per-3000ms-by-1500ms", (3000, 1500))):
        found = find(recipe.name + text)
        assert found.segments == contract.Segments(*segments)
        assert found.name == recipe.name + text
        assert products.product(found).family != products.product(recipe).family
        assert found.of(noise(recipe, 3)).shape == recipe.of(noise(recipe, 3)).shape


@pytest.mark.parametrize("name", ["mfcc-120-per-0ms", "mfcc-120-per-100ms-by-0ms"])
def test_segments_without_length_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="at least 1 ms"):
        contract.feature_set(name)


def test_spans_cover_a_recording_in_equal_steps() -> None:
    spans = contract.Segments(300, 100).spans(1000)
    assert [next(spans) for _ in range(3)] == [(0, 300), (100, 400), (200, 500)]
    # Steps that are no whole number of samples do not drift away.
    spans = contract.Segments(1, 1).spans(44_100)
    assert [next(spans)[0] for _ in range(1001)][-1] == 44_100


@pytest.mark.parametrize("family", ["music-role", "mfcc-120"])
def test_sets_of_a_family_share_their_transforms(family: str) -> None:
    sets = [s for s in SETS if s.name.startswith(family)]
    clip = Clip(noise(sets[0], 3), sets[0].sr)
    together = {s.name: s.compute(clip) for s in sets}
    calls = []
    with pytest.MonkeyPatch.context() as patch:
        transform = spectral.power_spectrum
        patch.setattr(spectral, "power_spectrum", lambda *a, **k: calls.append(k) or transform(*a, **k))
        again = Clip(clip.y, clip.sr)
        for s in sets:
            np.testing.assert_array_equal(s.compute(again), together[s.name])
            np.testing.assert_array_equal(s.of(clip.y), together[s.name])
    # One for the shared clip, and one for each set alone.
    assert len(calls) == 1 + len(sets)
