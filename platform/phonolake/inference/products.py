"""The place of the rows of a feature set or spectrogram, for the stage that writes them and those that read them."""

from phonolake.features.contract import FeatureSet, Spectrogram
from phonolake.lineage import digest
from phonolake.store import schema
from phonolake.store.product import Product
from phonolake.store.schema import Column


def product(recipe: FeatureSet | Spectrogram) -> Product:
    """The place for the rows of a feature set or spectrogram."""
    version = digest(recipe.identity, length=8)
    if isinstance(recipe, Spectrogram):
        return Product(schema.table("spectrograms"), recipe.name, version)
    columns = tuple(Column(name, "DOUBLE", True, description) for name, description in recipe.columns)
    name = schema.features_table(recipe.name)
    return Product(schema.table("features").extended(name, recipe.source, columns), recipe.name, version)


def rejects(recipe: FeatureSet | Spectrogram) -> Product:
    """The place for the tracks without a result."""
    return Product(schema.table("rejects"), f"extract-{recipe.name}", product(recipe).version)
