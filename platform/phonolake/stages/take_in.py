"""Take recordings in with their features and spectrograms: ingest and extract, while each file is decoded once."""

from phonolake.stages import extract, extraction, ingest
from phonolake.stages.extraction import RecipeNames
from phonolake.store.outcomes import Outcome


def run(config: ingest.Config, recipes: RecipeNames = extraction.NONE) -> list[Outcome]:
    """Ingest, and extract what is asked for; the tables are those of the two stages one after the other.

    What is new is described while it is decoded to be taken in, and what the lake had before from its audio.

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
