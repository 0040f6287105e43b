"""`phonolake labels import` and similar commands: import labels, splits and predictions from tables; remove them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from phonolake.cli import options
from phonolake.cli.output import emit
from phonolake.errors import UsageError

id_column = click.option("--id-column", metavar="NAME", help="Column that names recordings; detected by default.")


@click.command("import", epilog=options.example("phonolake labels import labels.csv --source mine --lake lake"))
@click.argument("file")
@click.option("--source", metavar="NAME", help="Source of the labels (labels.source); the name of the file by default.")
@id_column
@click.option("--label-column", "label_columns", multiple=True, metavar="NAME", help="Column with labels; repeatable.")
@click.option("--confidence-column", metavar="NAME", help="Column with confidences from 0 to 1.")
@click.option("--label-separator", "separator", metavar="TEXT", help="Separator of labels in a cell; '' for none.")
@options.dataset
@options.lake
@options.dry_run
@options.form
def import_labels(
    file: str, source: str | None, dataset: str | None, lake: str, dry_run: bool, form: str, **choice: Any
) -> None:
    """Import labels from FILE (CSV, TSV, Parquet, JSON lines); they replace older ones of the same source.

    FILE is a path or an address. Rows name recordings by path, file name or id. Labels are in one column, several, a
    list, or a column each with 0/1.
    """
    from phonolake.sources.label_sheets import SheetColumns
    from phonolake.stages import import_labels as stage

    config = stage.Config(lake, file, source, dataset, SheetColumns(**choice))
    take_in(stage, config, dry_run, form)


@click.command("remove", epilog=options.example("phonolake labels remove mine --lake lake"))
@click.argument("source")
@options.lake
@options.form
def remove_labels(source: str, lake: str, form: str) -> None:
    """Remove the labels of an imported SOURCE from the lake."""
    from phonolake.stages import import_labels as stage

    emit([stage.remove(lake, source)], form)


@click.command("import", epilog=options.example("phonolake splits import folds.csv --lake lake"))
@click.argument("file")
@click.option("--split", metavar="NAME", help="Name of the split; that of the file or folder by default.")
@id_column
@options.dataset
@options.lake
@options.dry_run
@options.form
def import_splits(file: str, lake: str, dry_run: bool, form: str, **chosen: Any) -> None:
    """Import a split from FILE: a table with a column of parts or folds, or a folder of lists.

    FILE is a path or an address.
    """
    from phonolake.stages import import_splits as stage

    take_in(stage, stage.Config(lake, file, **chosen), dry_run, form)


@click.command("remove", epilog=options.example("phonolake splits remove folds --lake lake"))
@click.argument("split")
@options.lake
@options.form
def remove_split(split: str, lake: str, form: str) -> None:
    """Remove an imported SPLIT from the lake."""
    from phonolake.stages import import_splits as stage

    emit([stage.remove(lake, split)], form)


@click.group()
def predictions() -> None:
    """Import predictions of other models into a lake, and remove them."""


@predictions.command("import", epilog=options.example("phonolake predictions import vgg.csv --lake lake"))
@click.argument("file")
@click.option("--model", metavar="NAME", help="Name of the model; the name of the file by default.")
@options.labels
@click.option(
    "--split", metavar="NAME", help="Split that it was trained with; without, every track counts as held out."
)
@click.option("--fold", type=int, metavar="N", help="Fold that it held out; by default, each in turn.")
@click.option("--licence", metavar="TEXT", help="Licence of the predictions.")
@click.option("--origin", metavar="TEXT", help="Origin of the predictions: a model, a paper, an address.")
@id_column
@click.option("--label-column", metavar="NAME", help="Column with the label of each row; detected by default.")
@click.option("--probability-column", metavar="NAME", help="Column with its probability; likewise.")
@options.dataset
@options.lake
@options.dry_run
@options.form
def import_predictions(
    file: str,
    id_column: str | None,
    label_column: str | None,
    probability_column: str | None,
    lake: str,
    dry_run: bool,
    form: str,
    **chosen: Any,
) -> None:
    """Import a model's probabilities from FILE as a run; they replace older ones of the same model.

    FILE is a path or an address. Rows name a recording, a label and a probability; or a recording, with a column for
    each label.
    """
    from phonolake.sources.probability_sheets import ProbabilityColumns
    from phonolake.stages import import_predictions as stage

    columns = ProbabilityColumns(id_column, label_column, probability_column)
    take_in(stage, stage.Config(lake, file, columns=columns, **chosen), dry_run, form)


@predictions.command("remove", epilog=options.example("phonolake predictions remove vgg --lake lake"))
@click.argument("model")
@options.lake
@options.form
def remove_predictions(model: str, lake: str, form: str) -> None:
    """Remove an imported MODEL and its predictions from the lake."""
    from phonolake.stages import import_predictions as stage

    emit([stage.remove(lake, model)], form)


def check(config: Any, labels: Sequence[str], splits: Sequence[str]) -> None:
    """Check tables before an ingest that may take hours; raises the `UsageError` of their import."""
    from phonolake.sources import contract
    from phonolake.sources.label_sheets import SheetColumns
    from phonolake.stages import import_labels, import_splits, imported
    from phonolake.store import mirror

    for file in (*labels, *splits):
        if not mirror.is_remote(file) and not Path(file).expanduser().exists():
            raise UsageError(f"{file} is no file: of {config.source} a table of labels or splits is taken in beside it")
    if labels or splits:
        names = imported.planned(contract.get(config.source), config.root, config.options)
        for file in labels:
            import_labels.check(file, names, SheetColumns())
        for file in splits:
            import_splits.check(file, names)


def after_ingest(lake: str, labels: Sequence[str], splits: Sequence[str], dataset: str) -> list[Any]:
    """Import the tables that `phonolake ingest` was given; their outcomes."""
    from phonolake.stages import import_labels, import_splits

    outcomes = []
    for file in labels:
        outcome, report = import_labels.run(import_labels.Config(lake, file, dataset=dataset))
        _say(report)
        outcomes.append(outcome)
    for file in splits:
        outcome, report = import_splits.run(import_splits.Config(lake, file, dataset=dataset))
        _say(report)
        outcomes.append(outcome)
    return outcomes


def take_in(stage: Any, config: Any, dry_run: bool, form: str) -> None:
    """Import a file by a stage, or list the rows without a counterpart."""
    if dry_run:
        report = stage.plan(config)
        emit([(u.what, u.name, u.line or None) for u in report.unmatched], form, columns=("what", "name", "line"))
    else:
        outcome, report = stage.run(config)
        emit([outcome], form)
    _say(report)


def _say(report: Any) -> None:
    for line in report.understood:
        click.echo(line, err=True)
    if report.said:
        click.echo(f"{report.said}; --dry-run lists them.", err=True)


COMMANDS = (predictions,)
