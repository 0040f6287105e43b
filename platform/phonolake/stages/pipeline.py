"""The stages one after another: from a folder of music to neighbours, in one go."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from phonolake.models import home
from phonolake.models.importers import musicnn_weights
from phonolake.progress import say
from phonolake.stages import import_model, index, ingest, score, split, take_in, train
from phonolake.stages.extraction import RecipeNames
from phonolake.store import catalog
from phonolake.store.lake import Lake
from phonolake.store.outcomes import Outcome

NETWORK = "k2c2"
CLASSICAL = "random-forest"
EMBEDDER = "scaled-mfcc"
# The inputs of these models, computed for every recording while it is decoded.
DESCRIPTION = RecipeNames(features=("mfcc-120",), spectrograms=("mel-96-12k",))
NO_TAGGER = "none"
# Fewer tracks of a class than this cannot be dealt into train, valid and test.
LEAST_PER_CLASS = 5


@dataclass(frozen=True, slots=True)
class Config:
    """Everything `phonolake run` decides.

    Parameters
    ----------
    ingest : ingest.Config
        What to take in.
    seed : int
        Seed of the random folds and of the models.
    max_epochs : int, optional
        Instead of the network's recipe.
    pretrained : str, optional
        A tagger of the model home, whose tags and neighbours need no training.
    """

    ingest: ingest.Config
    seed: int = 0
    max_epochs: int | None = None
    pretrained: str | None = None


def run(config: Config, tell: Callable[[Sequence[Outcome]], None] | None = None) -> list[Outcome]:
    """Ingest, extract, split, train, score and index.

    For music with several labels it trains a network and a classical model; other music is embedded by the pretrained
    tagger if there is one, or by its timbre.

    Parameters
    ----------
    tell : callable, optional
        Gets the outcomes of each stage when it is finished.

    Raises
    ------
    UsageError
        When the pretrained tagger is not in the model home, before anything is done.
    """
    outcomes = []
    for finished in _stages(config):
        if tell is not None:
            tell(finished)
        outcomes += finished
    return outcomes


def _stages(config: Config) -> Iterator[list[Outcome]]:
    lake = config.ingest.lake
    if config.pretrained is not None:
        home.load(config.pretrained)
    yield take_in.run(config.ingest, DESCRIPTION)
    taggers = [import_model.of_home(config.pretrained, lake)] if config.pretrained else []
    models = choose_models(lake, config.pretrained)
    if NETWORK in models and split.can_be_split(Lake.open(lake), "dataset"):
        yield [split.run(split.Config(lake, seed=config.seed))]
    runs = [o.run_id for o in taggers if o.run_id]
    if taggers:
        yield taggers
    for model in models:
        trained = train.run(train.Config(lake, model, seed=config.seed, max_epochs=config.max_epochs))
        runs += [o.run_id for o in trained if o.run_id]
        yield trained
    yield score.run(score.Config(lake, tuple(runs)))
    yield index.run(index.Config(lake))


def tagger(named: str | None) -> str | None:
    """The chosen tagger: a name, ``none``, or by default the first network of musicnn in the model home."""
    if named is None:
        return next((name for name in musicnn_weights.NAMES if home.has(name)), None)
    return None if named == NO_TAGGER else named


def choose_models(lake: str, pretrained: str | None = None) -> tuple[str, ...]:
    """The models for the labels of a lake; the embedding that neighbours use by default comes last."""
    opened = Lake.open(lake)
    instead = f"no training, neighbours come from {pretrained or EMBEDDER}."
    with catalog.connect(opened) as connection:
        counts = connection.execute(
            "SELECT count(*) FROM labels WHERE source = 'dataset' AND value = 1 GROUP BY label"
        ).fetchall()
        ((has_split,),) = connection.execute("SELECT count(*) > 0 FROM splits").fetchall()
    if len(counts) < 2 or min(n for (n,) in counts) < LEAST_PER_CLASS:
        say(f"{len(counts)} label(s), and a model needs two or more with {LEAST_PER_CLASS} tracks each: {instead}")
    elif not (has_split or split.can_be_split(opened, "dataset")):
        say(f"All labelled tracks are of one artist, so no split can keep the artist on one side: {instead}")
    else:
        return CLASSICAL, NETWORK
    return () if pretrained else (EMBEDDER,)
