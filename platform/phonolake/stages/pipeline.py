"""The stages one after another: from a folder of music to neighbours, in one go."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from phonolake.models import registry
from phonolake.progress import say
from phonolake.stages import extract, index, ingest, score, split, train
from phonolake.stages.common import Outcome
from phonolake.store import catalog
from phonolake.store.lake import Lake

NETWORK = "k2c2"
CLASSICAL = "random-forest"
EMBEDDER = "scaled-mfcc"
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
    """

    ingest: ingest.Config
    seed: int = 0
    max_epochs: int | None = None


def run(config: Config, tell: Callable[[Sequence[Outcome]], None] | None = None) -> list[Outcome]:
    """Ingest, extract, split, train, score and index.

    Music that has labels to tell apart gets a network and a classical model; other music is embedded by its timbre.

    Parameters
    ----------
    tell : callable, optional
        Gets the outcomes of each stage when it is finished.
    """
    outcomes = []
    for finished in _stages(config):
        if tell is not None:
            tell(finished)
        outcomes += finished
    return outcomes


def _stages(config: Config) -> Iterator[list[Outcome]]:
    lake = config.ingest.lake
    yield [ingest.run(config.ingest)]
    models = choose_models(lake)
    inputs = [registry.get(model).CARD.input.partition(":") for model in models]
    features = tuple(dict.fromkeys(name for kind, _, name in inputs if kind == "features"))
    spectrograms = tuple(dict.fromkeys(name for kind, _, name in inputs if kind == "spectrogram")) or ("mel-96-12k",)
    yield extract.run(extract.Config(lake, features, spectrograms))
    if EMBEDDER not in models:
        yield [split.run(split.Config(lake, seed=config.seed))]
    runs: list[str] = []
    for model in models:
        trained = train.run(train.Config(lake, model, seed=config.seed, max_epochs=config.max_epochs))
        runs += [o.run_id for o in trained if o.run_id]
        yield trained
    yield score.run(score.Config(lake, tuple(runs)))
    yield index.run(index.Config(lake))


def choose_models(lake: str) -> tuple[str, ...]:
    """The models that the labels of a lake can carry; the embedding that neighbours use by default comes last."""
    with catalog.connect(Lake.open(lake)) as connection:
        counts = connection.execute(
            "SELECT count(*) FROM labels WHERE source = 'dataset' AND value = 1 GROUP BY label"
        ).fetchall()
    if len(counts) >= 2 and min(n for (n,) in counts) >= LEAST_PER_CLASS:
        return CLASSICAL, NETWORK
    say(
        f"{len(counts)} label(s), and a model needs two or more with {LEAST_PER_CLASS} tracks each: "
        f"no training, neighbours come from {EMBEDDER}."
    )
    return (EMBEDDER,)
