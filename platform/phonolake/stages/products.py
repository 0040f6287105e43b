"""Where the rows of a feature set or a spectrogram lie, for the stage that writes them and those that read them."""

import re

from phonolake.errors import PhonolakeError, UsageError
from phonolake.features import contract
from phonolake.features.configuration import from_text
from phonolake.features.contract import FeatureSet, Spectrogram
from phonolake.features.published import from_configuration
from phonolake.lineage import digest
from phonolake.stages.derive import Product
from phonolake.store import schema
from phonolake.store.lake import Lake
from phonolake.store.schema import Column


def product(recipe: FeatureSet | Spectrogram) -> Product:
    """Where the rows of a feature set or spectrogram go."""
    version = digest(recipe.identity, length=8)
    if isinstance(recipe, Spectrogram):
        return Product(schema.table("spectrograms"), recipe.name, version)
    columns = tuple(Column(name, "DOUBLE", True, description) for name, description in recipe.columns)
    name = schema.features_table(recipe.name)
    return Product(schema.table("features").extended(name, recipe.source, columns), recipe.name, version)


def rejects(recipe: FeatureSet | Spectrogram) -> Product:
    """Where the tracks go that it has no answer for."""
    return Product(schema.table("rejects"), f"extract-{recipe.name}", product(recipe).version)


def given(text: str) -> Spectrogram:
    """The spectrogram of a user's own configuration (see `features.configuration.from_text`).

    Raises
    ------
    UsageError
        For a configuration that cannot be right, or a name that is taken or cannot be part of a file's name.
    """
    name, config = from_text(text)
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) or "-per-" in name:
        raise UsageError(f"a spectrogram's name has small letters, digits and single hyphens; received {name!r}")
    if name in contract.spectrograms():
        raise UsageError(f"there is a spectrogram called {name!r} already: give yours another name")
    return from_configuration(name, config, "a configuration of the user's own", version=0)


def recipe_of(model_input: str) -> FeatureSet | Spectrogram:
    """The recipe that a model reads: ``spectrogram:NAME`` or ``features:NAME``."""
    kind, _, name = model_input.partition(":")
    return contract.spectrogram(name) if kind == "spectrogram" else contract.feature_set(name)


def shards_of(lake: Lake, model_input: str) -> list[str]:
    """Files that a model reads, in order of their names.

    Raises
    ------
    PhonolakeError
        When nothing of the kind was extracted yet.
    """
    kind, _, name = model_input.partition(":")
    files = product(recipe_of(model_input)).published(lake)
    if not files:
        option = "--spectrogram" if kind == "spectrogram" else "--features"
        raise PhonolakeError(f"the lake has no {name} yet: run `phonolake extract {option} {name}` first")
    return files
