"""Commands that set figures side by side: the studies of papers, and ensembles of runs."""

from pathlib import Path
from typing import Any

import click

from phonolake.cli import options
from phonolake.cli.output import emit, emit_parts


@click.group(invoke_without_command=True)
@options.form
@click.pass_context
def study(context: click.Context, form: str) -> None:
    """List the studies, each of which repeats a paper's experiments beside its printed figures."""
    from phonolake.studies import contract

    if context.invoked_subcommand is None:
        emit(contract.cards(), form, of=contract.StudyCard)


@study.command(
    "music-role", epilog=options.example("phonolake study music-role --features music_role --part published")
)
@click.option("--features", required=True, metavar="DIR", help="Folder of the authors' CSV files.")
@click.option(
    "--part",
    type=click.Choice(["published", "confusion", "honest", "tuned", "ensemble", "deviations", "all"]),
    default="all",
    show_default=True,
    help="As published, its confusion matrices, on repeated splits, our best, with VGG16; or all deviations in words.",
)
@click.option(
    "--repeats",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    metavar="N",
    help="Seeds of a model, or splits of the clips.",
)
@click.option("--models", multiple=True, metavar="NAME", help="Classifier of Table 6; may be given several times.")
@click.option("--probabilities", metavar="FILE", help="What the authors' VGG16 said of clips and roles: for Table 7.")
@options.seed
@options.workers
@options.form
def music_role(
    features: str, part: str, models: tuple[str, ...], probabilities: str | None, form: str, **numbers: int
) -> None:
    """Tables 3 and 5 to 7 of Korosteleva and Gerstner's music roles, as published and honestly."""
    said = None if probabilities is None else Path(probabilities).absolute()
    folder = Path(features).absolute()
    _print_study("music-role", part, form, features=folder, models=models, probabilities=said, **numbers)


def _print_study(name: str, part: str, form: str, **choices: Any) -> None:
    """Print the tables of a study as they are done, and on standard error what sets them apart from the paper."""
    from phonolake.studies import contract

    found = contract.get(name)
    if part == "deviations":
        emit(found.DEVIATIONS, form, of=contract.Deviation)
        return
    rows = emit_parts(found.run(found.Config(part=part, **choices)), form)
    for deviation in contract.deviations_of(rows, found.DEVIATIONS):
        click.echo(f"{deviation.key}: {deviation.text}", err=True)


@click.command(epilog=options.example("phonolake ensemble k2c2 random-forest --method mean --lake lake"))
@click.argument("members", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--method",
    type=click.Choice(["mean", "vote"]),
    default="mean",
    show_default=True,
    help="Mean probability, or majority vote with ties broken by it.",
)
@options.labels
@options.lake
@options.form
def ensemble(members: tuple[str, ...], method: str, labels: str, lake: str, form: str) -> None:
    """Join runs, or all runs of models, on the tracks that each held out; print it beside its members."""
    from phonolake.analysis.results import ensembles
    from phonolake.store import query
    from phonolake.store.lake import Lake

    with query.connect(Lake.open(lake)) as connection:
        common = ensembles.common_clips(connection, members, source=labels)
    emit(ensembles.compare(common, method), form, of=ensembles.Member)
    counts = ", ".join(f"{n} by {member}" for member, n in zip(common.members, common.n_each, strict=True))
    click.echo(f"{len(common.track_ids)} tracks were held out by all: {counts}.", err=True)


COMMANDS = (study, ensemble)
