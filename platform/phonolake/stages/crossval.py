"""Cross-validation: every fold in turn is held out, so that each track gets a held-out prediction."""

from dataclasses import asdict, dataclass

import duckdb

from phonolake.errors import UsageError
from phonolake.stages import examples, score, train
from phonolake.store.lake import Lake
from phonolake.store.outcomes import Outcome
from phonolake.training.recipe import Hardware


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
    multi_label: bool | None = None
    top_labels: int | None = None
    from_audio: bool = False
    augment: tuple[str, ...] = ()
    preprocessing: str | None = None
    input: str | None = None


def run(config: Config, hardware: Hardware | None = None) -> list[Outcome]:
    """Train one model per fold and score its held-out tracks; returns the outcomes of training.

    Raises
    ------
    UsageError
        When the split has no folds.
    """
    outcomes = []
    for request in plan(config):
        trained = train.run(request, hardware)
        runs = tuple(o.run_id for o in trained if o.run_id)
        score.run(score.Config(config.lake, runs, held_out_only=True), hardware.device if hardware else "auto")
        outcomes += trained
    return outcomes


def missing_folds(connection: duckdb.DuckDBPyConnection, split: str, n_folds: int) -> str:
    """A note if the figures cover only some folds of a split; otherwise empty."""
    ((n_all,),) = connection.execute(
        "SELECT count(DISTINCT fold) FROM (SELECT split, fold FROM splits UNION ALL SELECT split, fold FROM "
        "official_splits) WHERE split = $1",
        [split],
    ).fetchall()
    if n_folds >= n_all:
        return ""
    return f"These figures cover {n_folds} of the {n_all} folds of {split}: no track of the others could be tested."


def plan(config: Config) -> list[train.Config]:
    """The trainings, one for each model."""
    lake = Lake.open(config.lake)
    split = config.split or examples.choose_split(lake, config.dataset, folds_only=True)
    folds = tuple(examples.fold_numbers(lake, split))
    if not folds:
        raise UsageError(f"split {split!r} has no folds: run `phonolake split` to make some")
    shared = {name: value for name, value in asdict(config).items() if name not in ("models", "split")}
    return [train.Config(model=model, split=split, folds=folds, **shared) for model in config.models]
