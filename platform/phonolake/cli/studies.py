"""Commands that compare figures: the studies of papers, ablations, and ensembles of runs."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from phonolake.cli import options
from phonolake.cli.output import emit, emit_parts
from phonolake.files import here

if TYPE_CHECKING:
    from phonolake.studies.contract import ClaimRow, Deviation, Row
    from phonolake.studies.grid import Session

SIZES = ("tiny", "middle", "full")


@click.group(invoke_without_command=True)
@options.form
@click.pass_context
def study(context: click.Context, form: str) -> None:
    """List the studies; each repeats a paper's experiments beside its published figures."""
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
    help="As published, its confusion matrices, on repeated splits, our best, with VGG16; or all deviations.",
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
@click.option(
    "--probabilities", metavar="FILE", help="Probabilities of the authors' VGG16 for clips and roles: for Table 7."
)
@options.seed
@options.workers
@options.form
def music_role(
    features: str, part: str, models: tuple[str, ...], probabilities: str | None, form: str, **numbers: int
) -> None:
    """Tables 3 and 5 to 7 of Korosteleva and Gerstner's music roles, as published and without leakage."""
    from phonolake.store import mirror

    with ExitStack() as stack:
        said = None if probabilities is None else stack.enter_context(mirror.brought(probabilities)).absolute()
        folder = stack.enter_context(mirror.brought(features, folder=True)).absolute()
        _print_study("music-role", part, form, features=folder, models=models, probabilities=said, **numbers)


def _print_study(name: str, part: str, form: str, **choices: Any) -> None:
    """Print the tables of a study as they are done, and their deviations from the paper on standard error."""
    from phonolake.studies import contract

    found = contract.get(name)
    if part == "deviations":
        emit(found.DEVIATIONS, form, of=contract.Deviation)
        return
    rows = emit_parts(found.run(found.Config(part=part, **choices)), form)
    for deviation in contract.deviations_of(rows, found.DEVIATIONS):
        click.echo(f"{deviation.key}: {deviation.text}", err=True)


def _with(chosen: tuple[Any, ...]) -> Callable[[Any], Any]:
    def with_options(command: Any) -> Any:
        for option in reversed(chosen):
            command = option(command)
        return command

    return with_options


def _study_options(names: tuple[str, ...]) -> Callable[[Any], Any]:
    """Options of the studies that vary trainings on a lake; `names` are their parts."""
    part = click.option(
        "--part",
        type=click.Choice([*names, "deviations", "all"]),
        default="all",
        show_default=True,
        help="Part of the study; or all its deviations.",
    )
    return _with((part, *_common_options()))


def _path(_: click.Context, __: click.Parameter, given: str | None) -> Path | None:
    return here(given) if given else None


def _common_options() -> tuple[Any, ...]:
    return (
        click.option(
            "--size",
            type=click.Choice(SIZES),
            default="full",
            show_default=True,
            help="tiny: only tests whether it runs; middle: an hour or two on two cores; full: as published.",
        ),
        click.option("--repeats", type=click.IntRange(1), metavar="N", help="Seeds of every training; 3 by default."),
        options.dataset,
        options.labels,
        click.option("--truth", metavar="SOURCE", help="Labels for evaluation; those of training by default."),
        options.split,
        click.option("--top-labels", type=click.IntRange(2), metavar="N", help="Only the N labels with most tracks."),
        options.max_epochs,
        options.seed,
        options.device,
        options.workers,
        options.dry_run,
        click.option("--claims", is_flag=True, help="Print whether the claims hold, without the tables."),
        click.option("--figure", metavar="FILE.png", callback=_path, help="Draw the tables there."),
        options.form,
    )


def _run_session(
    session: "Session",
    deviations: "tuple[Deviation, ...]",
    form: str,
    *,
    dry_run: bool,
    claims: bool,
    figure: Path | None,
) -> None:
    from phonolake.studies import contract

    if dry_run:
        emit(session.plan(), form, of=contract.PartPlan)
        return
    rows = [row for table in session.tables() for row in table] if claims else emit_parts(session.tables(), form)
    _tell(rows, session.claims, deviations, form, claims=claims)
    if figure and rows:
        from phonolake.studies import pictures

        pictures.draw(rows, session.study.card.paper, figure)


def _tell(
    rows: "list[Row]", claims_found: "list[ClaimRow]", deviations: "tuple[Deviation, ...]", form: str, *, claims: bool
) -> None:
    """The claims, and deviations of the rows from the paper on standard error."""
    from phonolake.studies import contract

    if claims or (form == "table" and claims_found):
        emit(claims_found, form, of=contract.ClaimRow)
    for deviation in contract.deviations_of(rows, deviations):
        click.echo(f"{deviation.key}: {deviation.text}", err=True)


def _grid_study(
    name: str, part: str, form: str, *, dry_run: bool, claims: bool, figure: Path | None, **choices: Any
) -> None:
    """Run a study of trainings; print its tables as they are done, then its claims."""
    from phonolake.studies import contract, grid

    found: Any = contract.get(name)
    if part == "deviations":
        emit(found.DEVIATIONS, form, of=contract.Deviation)
        return
    session = grid.Session(found.GRID, grid.Config(part=part, **choices))
    _run_session(session, found.DEVIATIONS, form, dry_run=dry_run, claims=claims, figure=figure)


ROBUSTNESS = (
    "labels",
    "ground-truth",
    "evaluation",
    "initialisation",
    "representation",
    "compression",
    "preprocessing",
    "label-vectors",
    "noise",
)


@study.command("robustness", epilog=options.example("phonolake study robustness --part compression --lake lake"))
@click.option("--lake", envvar="PHONOLAKE_LAKE", show_envvar=True, metavar="L", help="Folder of the lake.")
@click.option("--matrix", metavar="FILE", help="Instead of a lake: label matrix, .npy or .npz.")
@click.option("--names", metavar="FILE", help="Names of its columns, one a line.")
@_study_options(ROBUSTNESS)
def robustness(lake: str | None, matrix: str | None, names: str | None, part: str, form: str, **choices: Any) -> None:
    """Labels, initial weights, data, magnitudes and noise: Choi et al.'s experiments, and which claims hold."""
    from phonolake.studies import robustness as found

    if part == "deviations" or lake is not None:
        if matrix is not None:
            raise click.UsageError("--matrix replaces --lake: give one of them")
        _grid_study("robustness", part, form, lake=lake, **choices)
        return
    if matrix is None and part != "ground-truth":
        raise click.UsageError("name a lake with --lake, or a matrix of labels with --matrix")
    import numpy as np

    from phonolake.lookup.label_matrix import LabelMatrix, read_matrix

    labels = read_matrix(matrix, names) if matrix else LabelMatrix((), (), np.zeros((0, 0)))
    rows, claims = found.of_matrix(part, labels, Path(matrix or "").name)
    if not choices["claims"]:
        emit_parts([rows], form)
    _tell(rows, claims, found.DEVIATIONS, form, claims=choices["claims"])


@study.command("fma-genres", epilog=options.example("phonolake study fma-genres --size middle --lake lake"))
@options.lake
@_study_options(("classical", "networks", "per-class", "augmentation", "artists"))
def fma_genres(part: str, form: str, **choices: Any) -> None:
    """Genres of FMA: nearest neighbours, SVM and networks of the KTH project, as executed and described."""
    _grid_study("fma-genres", part, form, **choices)


@study.command("random-networks", epilog=options.example("phonolake study random-networks --part small --lake lake"))
@options.lake
@_study_options(("small", "large", "optimism", "slip", "trained", "reference"))
def random_networks(part: str, form: str, **choices: Any) -> None:
    """Untrained CNNs as features: Pons and Serra's front ends before SVM and ELM, as published and nested."""
    _grid_study("random-networks", part, form, **choices)


@study.command("sample-level", epilog=options.example("phonolake study sample-level --part depth --lake lake"))
@options.lake
@_study_options(("parameters", "depth", "input", "datasets", "cost", "filters"))
def sample_level(part: str, form: str, **choices: Any) -> None:
    """Networks over waveforms: Lee et al.'s depths, inputs and filters, with their cost."""
    _grid_study("sample-level", part, form, **choices)


@study.command(epilog=options.example("phonolake study ablate grid.toml --lake lake"))
@click.argument("configuration", metavar="CONFIG")
@options.lake
@_with(_common_options())
def ablate(configuration: str, form: str, dry_run: bool, claims: bool, figure: Path | None, **choices: Any) -> None:
    """Train a grid of your own: CONFIG (TOML) says what to vary; every arm is compared with the first."""
    from phonolake.store import mirror
    from phonolake.studies import ablation, grid

    with mirror.brought(configuration) as path:
        found = ablation.read(path)
    session = grid.Session(found, grid.Config(**choices))
    _run_session(session, found.deviations, form, dry_run=dry_run, claims=claims, figure=figure)


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
@options.licence
@options.lake
@options.form
def ensemble(members: tuple[str, ...], method: str, labels: str, licence: str | None, lake: str, form: str) -> None:
    """Combine runs, or all runs of models, on the tracks that each held out; print the result beside its members."""
    from phonolake.analysis.results import ensembles
    from phonolake.lookup import licensed
    from phonolake.store import query

    with query.connect(licensed.opened(lake, licence)) as connection:
        common = ensembles.common_clips(connection, members, source=labels)
    emit(ensembles.compare(common, method), form, of=ensembles.Member)
    counts = ", ".join(f"{n} by {member}" for member, n in zip(common.members, common.n_each, strict=True))
    click.echo(f"{len(common.track_ids)} tracks were held out by all: {counts}.", err=True)


COMMANDS = (study, ensemble)
