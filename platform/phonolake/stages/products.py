"""Where what a model reads lies, for the stage that writes it and those that read it."""

from phonolake.errors import PhonolakeError
from phonolake.features.contract import FeatureSet, Spectrogram
from phonolake.lineage import digest
from phonolake.stages.derive import Product
from phonolake.store import schema
from phonolake.store.lake import Lake
from phonolake.store.schema import Column
from phonolake.store.shards import SEPARATOR
from phonolake.training.model_inputs import Embeddings, StoredAudio, recipe_of


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


def table_of(model_input: str) -> str:
    """Name of the table whose shards a model reads."""
    recipe = recipe_of(model_input)
    if isinstance(recipe, Embeddings):
        return "embeddings"
    return "audio" if isinstance(recipe, StoredAudio) else product(recipe).table.name


def shards_of(lake: Lake, model_input: str) -> list[str]:
    """Files that a model reads, in order of their names.

    Raises
    ------
    PhonolakeError
        When nothing of the kind was ingested, extracted or scored yet.
    """
    name = model_input.partition(":")[2]
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
    if isinstance(recipe, Spectrogram):
        option = "--spectrogram" if recipe.version else "--spectrogram-config"
        raise PhonolakeError(
            f"the lake has no {recipe.name} yet: run `phonolake extract {option} {name}` first, or train a network "
            "with --from-audio"
        )
    raise PhonolakeError(f"the lake has no {name} yet: run `phonolake extract --features {name}` first")
