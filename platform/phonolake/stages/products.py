"""Where what a model reads lies, for the stage that writes it and those that read it."""

import re
from dataclasses import dataclass

import numpy as np

from phonolake.errors import PhonolakeError, UsageError, unknown
from phonolake.features import contract
from phonolake.features.configuration import from_text
from phonolake.features.contract import FeatureSet, Spectrogram
from phonolake.features.published import from_configuration
from phonolake.lineage import digest
from phonolake.models import registry
from phonolake.models.registry import ModelCard
from phonolake.records import Hertz
from phonolake.stages.derive import SEPARATOR, Product
from phonolake.stages.extractors import feature_set
from phonolake.store import catalog, schema
from phonolake.store.lake import Lake
from phonolake.store.schema import Column


@dataclass(frozen=True, slots=True)
class StoredAudio:
    """The audio that every lake holds, as samples at one rate."""

    sr: Hertz

    def of(self, y: np.ndarray) -> np.ndarray:
        """The samples as they are."""
        return y


@dataclass(frozen=True, slots=True)
class Embeddings:
    """The vectors that a run of the lake gave."""

    run_id: str


def chosen(lake: Lake, card: ModelCard, wanted: str | None) -> str:
    """What a model is to read: its card's input, or the ``features:NAME`` or ``embeddings:MODEL_OR_RUN`` of the user.

    A model's name stands for its newest run that has embeddings, and the answer names that run.

    Raises
    ------
    UsageError
        For an unknown feature set or run, a network (which reads one thing only), or vectors that no network made.
    PhonolakeError
        When the lake has no embeddings.
    """
    if wanted is None:
        return card.input
    if card.kind not in ("estimator", "embedder"):
        raise UsageError(f"{card.name} reads {card.input} only: --features and --embeddings are for estimators")
    kind, _, name = wanted.partition(":")
    if kind == "features":
        return f"features:{feature_set(name).name}"
    with catalog.connect(lake) as connection:
        rows = connection.execute("SELECT run_id, model FROM embedding_models").fetchall()
    if not rows:
        raise PhonolakeError("the lake has no embeddings yet: run `phonolake score` first")
    for run_id, model in rows:
        if name in (run_id, model):
            if registry.get(model).CARD.kind != "network":
                raise UsageError(f"{name} is no network: --embeddings takes the vectors of one")
            return f"embeddings:{run_id}"
    raise unknown("model with embeddings", name, {text for row in rows for text in row})


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


def recipe_of(model_input: str) -> FeatureSet | Spectrogram | StoredAudio | Embeddings:
    """What a model reads: ``spectrogram:NAME``, ``features:NAME``, ``audio:SR`` or ``embeddings:RUN_ID``."""
    kind, _, name = model_input.partition(":")
    if kind == "embeddings":
        return Embeddings(name)
    if kind == "audio":
        return StoredAudio(Hertz(int(name)))
    return contract.spectrogram(name) if kind == "spectrogram" else feature_set(name)


def table_of(model_input: str) -> str:
    """Name of the table whose shards a model reads."""
    recipe = recipe_of(model_input)
    if isinstance(recipe, Embeddings):
        return "embeddings"
    return "audio" if isinstance(recipe, StoredAudio) else product(recipe).table.name


def columns_of(model_input: str) -> list[str]:
    """Names of the columns of numbers that a model reads; none for spectrograms and audio."""
    recipe = recipe_of(model_input)
    if isinstance(recipe, Embeddings):
        return ["embedding"]
    return [name for name, _ in recipe.columns] if isinstance(recipe, FeatureSet) else []


def shards_of(lake: Lake, model_input: str) -> list[str]:
    """Files that a model reads, in order of their names.

    Raises
    ------
    PhonolakeError
        When nothing of the kind was ingested, extracted or scored yet.
    """
    kind, _, name = model_input.partition(":")
    recipe = recipe_of(model_input)
    if isinstance(recipe, Embeddings):
        if files := [file for file in lake.shards("embeddings") if file.startswith(name + SEPARATOR)]:
            return files
        raise PhonolakeError(f"the lake has no embeddings of {name}: run `phonolake score --run {name}` first")
    if isinstance(recipe, StoredAudio):
        if files := list(lake.shards("audio")):
            return files
        raise PhonolakeError("the lake has no audio yet: run `phonolake ingest` first")
    if files := product(recipe).published(lake):
        return files
    option = "--spectrogram" if kind == "spectrogram" else "--features"
    raise PhonolakeError(f"the lake has no {name} yet: run `phonolake extract {option} {name}` first")
