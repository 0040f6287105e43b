"""`phonolake labels classes`: which classes spoil a classification, and why."""

from typing import TYPE_CHECKING, Any

import click

from phonolake.cli import options
from phonolake.cli.kept import keep, save
from phonolake.cli.output import emit

if TYPE_CHECKING:
    from phonolake.lookup.held_out import HeldOut

source = click.option("--source", default="dataset", show_default=True, metavar="SOURCE", help="Source of the classes.")
model = click.option("--model", metavar="NAME", help="Model or run with held-out predictions; all by default.")
feature_set = click.option(
    "--features", "feature_set", default="mfcc-120", show_default=True, metavar="NAME", help="Feature set to use."
)


@click.group()
def classes() -> None:
    """Find the classes that spoil a classification."""


def _held_out(
    lake: str, source: str, dataset: str | None, model: str | None, licence: str | None, *, single: bool = True
) -> "tuple[HeldOut, dict[str, int]]":
    from phonolake.lookup import held_out, licensed
    from phonolake.stages import analyse
    from phonolake.store import query

    opened = licensed.opened(lake, licence)
    versions = analyse.versions(opened, "predictions", "labels", "tracks")
    with query.connect(opened) as connection:
        held = held_out.read_held_out(connection, source=source, dataset=dataset, model=model)
    if single:
        held_out.check_single(held, source)
    return held, versions


@classes.command(epilog=options.example("phonolake labels classes confusion --top 10 --lake lake"))
@source
@model
@options.dataset
@options.top(50)
@options.licence
@options.lake
@save
@options.form
def confusion(
    source: str, model: str | None, dataset: str | None, top: int, licence: str | None, lake: str, save: bool, form: str
) -> None:
    """Print which classes are confused with which, most frequent first."""
    from phonolake.analysis.results import problem_classes

    held, versions = _held_out(lake, source, dataset, model, licence)
    found = problem_classes.confusions(held.labels, held.classes, held.P_NL)
    if save:
        keep(lake, "confusions", {"labels": source, "model": model, "dataset": dataset}, versions, found, licence)
    emit(found[:top], form, of=problem_classes.ConfusedPair)


@classes.command(epilog=options.example("phonolake labels classes removal --without Pop,Experimental --lake lake"))
@click.option("--without", metavar="A,B", help="Suspected classes, with commas; the three with the lowest F1 if none.")
@click.option("--retrain", is_flag=True, help="Train on the features again instead of restricting old probabilities.")
@click.option("--folds", type=click.IntRange(2), default=5, show_default=True, metavar="N", help="With --retrain.")
@feature_set
@source
@model
@options.dataset
@options.seed
@options.licence
@options.lake
@save
@options.form
def removal(
    without: str | None,
    retrain: bool,
    folds: int,
    feature_set: str,
    source: str,
    model: str | None,
    dataset: str | None,
    seed: int,
    licence: str | None,
    lake: str,
    save: bool,
    form: str,
) -> None:
    """Print how well classes are told apart when each subset of the suspected ones is left out."""
    from phonolake.analysis.results import class_features, problem_classes
    from phonolake.stages import analyse
    from phonolake.store.lake import Lake

    held, versions = _held_out(lake, source, dataset, model, licence)
    suspected = [name.strip() for name in without.split(",")] if without else None
    if suspected is None:
        suspected = problem_classes.suspected_classes(held.labels, held.classes, held.P_NL)
    asked: dict[str, Any] = {"labels": source, "model": model, "dataset": dataset, "without": suspected}
    if retrain:
        asked |= {"features": feature_set, "folds": folds, "seed": seed, "classifier": "logistic-regression"}
        opened = Lake.open(lake)
        versions |= analyse.versions(opened, class_features.table_of(feature_set))
        found = class_features.retrain(opened, held, feature_set, suspected, folds=folds, seed=seed)
    else:
        found = problem_classes.rescore_without(held.labels, held.classes, held.P_NL, suspected)
    if save:
        keep(lake, "class_removals", asked, versions, found, licence)
    emit(found, form, of=problem_classes.Removal)


@classes.command(epilog=options.example("phonolake labels classes roc --format csv --lake lake"))
@click.option("--points", type=click.IntRange(2), default=50, show_default=True, metavar="N", help="Of each curve.")
@source
@model
@options.dataset
@options.licence
@options.lake
@save
@options.form
def roc(
    points: int,
    source: str,
    model: str | None,
    dataset: str | None,
    licence: str | None,
    lake: str,
    save: bool,
    form: str,
) -> None:
    """Print the ROC curve of each label against the rest."""
    from phonolake.analysis.results import problem_classes

    held, versions = _held_out(lake, source, dataset, model, licence, single=False)
    found = problem_classes.roc_curves(held.labels, held.Y_NL, held.P_NL, points=points)
    if save:
        asked = {"labels": source, "model": model, "dataset": dataset, "points": points}
        keep(lake, "roc_points", asked, versions, found, licence)
    emit(found, form, of=problem_classes.RocPoint)


@classes.command("map", epilog=options.example("phonolake labels classes map --of mfcc-120 --format csv --lake lake"))
@click.option("--of", metavar="NAME", help="Feature set, or model with embeddings; the newest model by default.")
@click.option("--method", default="tsne", show_default=True, metavar="KIND", help="tsne, umap or pca.")
@click.option("--perplexity", type=click.FloatRange(1), default=30.0, show_default=True, metavar="P",
              help="Approximate number of neighbours that count.")  # fmt: skip
@click.option("--tracks", type=click.IntRange(4), default=5000, show_default=True, metavar="N",
              help="Maximum number of tracks, drawn at random.")  # fmt: skip
@source
@options.dataset
@options.seed
@options.top(None)
@options.licence
@options.lake
@save
@options.form
def map_(
    of: str | None,
    method: str,
    perplexity: float,
    tracks: int,
    source: str,
    dataset: str | None,
    seed: int,
    top: int | None,
    licence: str | None,
    lake: str,
    save: bool,
    form: str,
) -> None:
    """Map tracks to two dimensions by features or embeddings, so that similar ones are near."""
    from phonolake.analysis.results import class_features
    from phonolake.lookup import licensed
    from phonolake.stages import analyse

    opened = licensed.opened(lake, licence)
    versions = analyse.versions(opened, "labels", "tracks", "embeddings", *class_features.tables_like(opened, of))
    found = class_features.track_map(
        opened, of, source=source, dataset=dataset, most=tracks, method=method, perplexity=perplexity, seed=seed
    )
    if save:
        asked = {"of": of, "method": method, "perplexity": perplexity, "tracks": tracks, "labels": source,
                 "dataset": dataset, "seed": seed}  # fmt: skip
        keep(lake, "track_maps", asked, versions, found, licence)
    emit(found[:top], form, of=class_features.MapPoint)


@classes.command(epilog=options.example("phonolake labels classes importance --top 10 --lake lake"))
@feature_set
@source
@options.dataset
@options.seed
@options.top(20)
@options.lake
@save
@options.form
def importance(
    feature_set: str, source: str, dataset: str | None, seed: int, top: int, lake: str, save: bool, form: str
) -> None:
    """Print features by permutation importance: the accuracy that a random forest loses without them."""
    from phonolake.analysis.results import class_features
    from phonolake.stages import analyse
    from phonolake.store.lake import Lake

    opened = Lake.open(lake)
    versions = analyse.versions(opened, "labels", "tracks", class_features.table_of(feature_set))
    found = class_features.importance(opened, feature_set, source=source, dataset=dataset, seed=seed)
    if save:
        asked = {"features": feature_set, "labels": source, "dataset": dataset, "seed": seed}
        keep(lake, "feature_importances", asked, versions, found)
    emit(found[:top], form, of=class_features.Importance)
