"""One contract, kept by every feature set and every spectrogram in the registry."""

import dataclasses
import re

import numpy as np
import pytest

from phonolake import registry
from phonolake.errors import AudioError, UsageError
from phonolake.features import contract
from phonolake.features.contract import FeatureSet, Spectrogram
from phonolake.stages import products
from phonolake.store import schema

pytestmark = pytest.mark.timeout(60)

RECIPES = [*contract.feature_sets().values(), *contract.spectrograms().values()]
SETS, SPECTROGRAMS = list(contract.feature_sets().values()), list(contract.spectrograms().values())
SECONDS = [0.2, 0.5, 1.0, 3.3, 30.0]


def noise(recipe: FeatureSet | Spectrogram, seconds: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, round(seconds * recipe.sr)).astype(np.float32)


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


def test_a_recipe_is_found_by_its_name_which_is_that_of_its_module(recipe: FeatureSet | Spectrogram) -> None:
    attribute = "SPECTROGRAM" if isinstance(recipe, Spectrogram) else "FEATURES"
    module = registry.modules("phonolake.features", attribute)[recipe.name]
    assert module.__name__ == "phonolake.features." + recipe.name.replace("-", "_")
    find = contract.spectrogram if isinstance(recipe, Spectrogram) else contract.feature_set
    assert find(recipe.name) is recipe


def test_names_are_safe_in_files_tables_and_shells(recipe: FeatureSet | Spectrogram) -> None:
    # `--` separates the parts of a shard's name.
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", recipe.name)


def test_no_two_recipes_share_a_name() -> None:
    assert len({recipe.name for recipe in RECIPES}) == len(RECIPES)


def test_a_recipe_has_a_version_a_rate_and_a_source(recipe: FeatureSet | Spectrogram) -> None:
    assert recipe.version >= 1
    assert 1000 <= recipe.sr <= 192_000
    assert len(recipe.source) > 10
    assert recipe.compute.__doc__


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
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)
    assert not set(names) & {column.name for column in schema.table("features").columns}
    descriptions = [description for _, description in feature_set.columns]
    assert all(len(description) > 10 for description in descriptions)
    assert len(set(descriptions)) == len(descriptions)


def test_unit_and_shape_of_a_spectrogram_are_given(spectrogram: Spectrogram) -> None:
    assert spectrogram.unit
    assert spectrogram.n_bands > 0
    assert spectrogram.frames_per_second > 0


# -- what it computes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", SECONDS)
def test_features_are_finite_numbers_one_for_each_column(feature_set: FeatureSet, seconds: float) -> None:
    values = feature_set.compute(noise(feature_set, seconds))
    assert values.shape == (len(feature_set.columns),)
    assert values.dtype == np.float64
    assert np.isfinite(values).all()


@pytest.mark.parametrize("seconds", SECONDS)
def test_spectrograms_have_the_bands_and_frames_they_say(spectrogram: Spectrogram, seconds: float) -> None:
    spec = spectrogram.compute(noise(spectrogram, seconds))
    assert spec.dtype == np.float32
    assert spec.shape[0] == spectrogram.n_bands
    assert np.isfinite(spec).all()
    assert spec.shape[1] == pytest.approx(seconds * spectrogram.frames_per_second, abs=1)


def test_the_same_audio_gives_the_same_values(recipe: FeatureSet | Spectrogram) -> None:
    y = noise(recipe, 2)
    np.testing.assert_array_equal(recipe.compute(y), recipe.compute(y.copy()))


def test_other_audio_gives_other_values(recipe: FeatureSet | Spectrogram) -> None:
    y = noise(recipe, 2)
    assert not np.allclose(recipe.compute(y), recipe.compute(y[::-1] * np.linspace(0, 1, len(y), dtype=np.float32)))


@pytest.mark.parametrize("n", [0, 1, 2, 100, 600, 1100])
def test_short_audio_is_answered_or_refused_as_too_short(recipe: FeatureSet | Spectrogram, n: int) -> None:
    try:
        values = recipe.compute(noise(recipe, 1)[:n])
    except AudioError as error:
        refused = error.reason
    else:
        refused = None
        assert np.isfinite(values).all()
    assert refused in (None, "too-short")


@pytest.mark.parametrize("level", [0.0, 1e-6, 1.0, 100.0])
def test_any_loudness_gives_finite_values(recipe: FeatureSet | Spectrogram, level: float) -> None:
    assert np.isfinite(recipe.compute(np.float32(level) * noise(recipe, 1))).all()


# Half a unit in the last place of float16 between 64 and 128, where log-mel values of quiet music lie.
FLOAT16_BOUND_DB = 2**-5


@pytest.mark.parametrize("level", [1e-5, 1e-3, 0.1, 1.0, 10.0])
def test_storing_as_float16_costs_less_than_a_twentieth_of_a_decibel(spectrogram: Spectrogram, level: float) -> None:
    assert spectrogram.unit == "dB", "state the error of another unit here"
    spec = spectrogram.compute(np.float32(level) * 10 * noise(spectrogram, 5))
    assert np.abs(spec).max() < 128
    error = np.abs(spec.astype("<f2").astype(np.float32) - spec).max()
    assert 0 < error <= FLOAT16_BOUND_DB < 0.05
