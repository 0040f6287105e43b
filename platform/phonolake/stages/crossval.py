"""Cross-validation: every fold in turn is held out, so that each track is judged by a model that never saw it."""

from dataclasses import dataclass

from phonolake.errors import UsageError
from phonolake.stages import examples, score, train
from phonolake.stages.common import Outcome
from phonolake.store.lake import Lake


@dataclass(frozen=True, slots=True)
class Config:
    """Which models to cross-validate, on which folds; see `train.Config` for the rest."""

    lake: str
    models: tuple[str, ...]
    dataset: str | None = None
    labels: str = "dataset"
    split: str | None = None
    seed: int = 0
    max_epochs: int | None = None


def run(config: Config) -> list[Outcome]:
    """Train one model per fold and score the tracks that it did not see; the outcomes of training.

    Raises
    ------
    UsageError
        When the split has no folds.
    """
    outcomes = []
    for request in plan(config):
        trained = train.run(request)
        score.run(score.Config(config.lake, tuple(o.run_id for o in trained if o.run_id), held_out_only=True))
        outcomes += trained
    return outcomes


def plan(config: Config) -> list[train.Config]:
    """The trainings, one for each model."""
    lake = Lake.open(config.lake)
    split = config.split or examples.choose_split(lake, config.dataset, folds_only=True)
    folds = tuple(examples.fold_numbers(lake, split))
    if not folds:
        raise UsageError(f"split {split!r} has no folds: `phonolake split` makes some")
    return [
        train.Config(config.lake, model, config.dataset, config.labels, split, folds, config.seed, config.max_epochs)
        for model in config.models
    ]
