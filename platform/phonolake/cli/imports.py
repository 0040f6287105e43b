"""`phonolake labels import` and its like: what people keep in tables (labels, splits, predictions), in and out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from phonolake.cli import options
from phonolake.cli.output import emit
from phonolake.errors import UsageError

id_column = click.option("--id-column", metavar="NAME", help="Column that names recordings; found by itself, else.")


@click.command("import", epilog=options.example("phonolake labels import labels.csv --source mine --lake lake"))
@click.argument("file")
@click.option("--source", metavar="NAME", help="Who says so (labels.source); the name of the file by default.")
@id_column
@click.option("--label-column", "label_columns", multiple=True, metavar="NAME", help="Column with labels; repeatable.")
@click.option("--confidence-column", metavar="NAME", help="Column with confidences from 0 to 1.")
@click.option("--label-separator", "separator", metavar="TEXT", help="Between labels of a cell; '' for nothing.")
@options.dataset
@options.lake
@options.dry_run
@options.form
def import_labels(
    file: str, source: str | None, dataset: str | None, lake: str, dry_run: bool, form: str, **choice: Any
) -> None:
    """Take labels from FILE (CSV, TSV, Parquet, JSON lines) into the lake, in the place of its source's old ones.

    FILE is a path or an address. Rows name recordings by path, file name or id. Labels stand in a column, several, a
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
    """Take the labels of an imported SOURCE out of the lake."""
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
    """Take a split from FILE into the lake: a table with a column of parts or folds, or a folder of lists.

    FILE is a path or an address.
    """
    from phonolake.stages import import_splits as stage

    take_in(stage, stage.Config(lake, file, **chosen), dry_run, form)


@click.command("remove", epilog=options.example("phonolake splits remove folds --lake lake"))
@click.argument("split")
@options.lake
@options.form
def remove_split(split: str, lake: str, form: str) -> None:
    """Take an imported SPLIT out of the lake."""
    from phonolake.stages import import_splits as stage

    emit([stage.remove(lake, split)], form)


@click.group()
def predictions() -> None:
    """Take predictions of other models into a lake, and out again."""


@predictions.command("import", epilog=options.example("phonolake predictions import vgg.csv --lake lake"))
@click.argument("file")
@click.option("--model", metavar="NAME", help="What the model is called; the name of the file by default.")
@options.labels
@click.option("--split", metavar="NAME", help="Split that it learned by; without, every track counts as held out.")
@click.option("--fold", type=int, metavar="N", help="Fold that it held out; without, each in its turn.")
@click.option("--licence", metavar="TEXT", help="Under which the predictions may be used.")
@click.option("--origin", metavar="TEXT", help="Where they come from: a model, a paper, an address.")
@id_column
@click.option("--label-column", metavar="NAME", help="Column with the label of each row; found by itself, else.")
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
    """Take a model's probabilities from FILE into the lake as a run, in the place of its old ones.

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
    """Take an imported MODEL and its predictions out of the lake."""
    from phonolake.stages import import_predictions as stage

    emit([stage.remove(lake, model)], form)


def check(config: Any, labels: Sequence[str], splits: Sequence[str]) -> None:
    """Raise the `UsageError` that tables would raise after an ingest, before it takes hours."""
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
    """Import what a stage reads out of a file, or list what it would find no counterpart for."""
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
