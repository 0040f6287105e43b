"""Ingest and extract in one pass, with each file decoded once."""

from phonolake.stages import extract, extraction, ingest
from phonolake.stages.extraction import RecipeNames
from phonolake.store.outcomes import Outcome


def run(config: ingest.Config, recipes: RecipeNames = extraction.NONE) -> list[Outcome]:
    """Ingest, and extract the requested products; the tables equal those of the two stages in sequence.

    New files are processed while they are decoded for the ingest, known tracks from the audio in the lake.

    Raises
    ------
    UsageError
        Those of the two stages; for unknown names before anything is done.
    """
    asked = bool(extraction.recipes(recipes))
    outcomes = [ingest.run(config, recipes)]
    if asked:
        wanted = (recipes.features, recipes.spectrograms, recipes.configurations, recipes.segments)
        outcomes += extract.run(extract.Config(config.lake, *wanted))
    return outcomes
