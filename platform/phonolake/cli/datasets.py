"""Commands about published datasets: list, describe, validate and ingest them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from phonolake.cli import imports, options
from phonolake.cli.output import emit
from phonolake.errors import UsageError

if TYPE_CHECKING:
    from phonolake.stages.extraction import RecipeNames

chosen = click.option(
    "--option",
    "chosen",
    multiple=True,
    metavar="KEY=VALUE",
    help="Option of the dataset; `datasets show` lists them.",
)


def ingest_options(command: Any) -> Any:
    """Options that define usable audio."""
    for option in (
        click.option("--name", metavar="NAME", help="Name of the dataset; first half of the track ids."),
        click.option("--shard-bytes", type=click.IntRange(1), default=128 << 20, show_default=True, metavar="B"),
        click.option("--min-seconds", type=click.FloatRange(0), default=0.5, show_default=True, metavar="S"),
        click.option(
            "--max-seconds", type=click.FloatRange(0, min_open=True), metavar="S", help="Reject longer recordings."
        ),
        click.option("--silence-dbfs", type=float, default=-70.0, show_default=True, metavar="DB"),
        click.option("--max-bytes", type=click.IntRange(1), default=4 << 30, show_default=True, metavar="B"),
        click.option("--max-clipped", type=click.FloatRange(0, 1), default=0.1, show_default=True, metavar="P"),
        click.option("--follow-links", is_flag=True, help="Follow links that lead out of DIR."),
        click.option("--join", is_flag=True, help="Add the files to a dataset that was ingested from elsewhere."),
        click.option("--prune", is_flag=True, help="Remove tracks whose files no longer exist."),
        click.option("--split-genres", is_flag=True, help="Split a genre such as 'A; B / C' in file tags."),
    ):
        command = option(command)
    return command


def choices(chosen: tuple[str, ...], labels: tuple[str, ...] = (), **named: object) -> tuple[str, ...]:
    """All options of a dataset as `key=value`, including those with command line options of their own."""
    given = [f"{name.replace('_', '-')}={value}" for name, value in named.items() if value is not None]
    return (*chosen, *(f"labels={label}" for label in labels), *given)


@click.command(epilog=options.example("phonolake ingest folder music --lake lake"))
@click.argument("source")
@click.argument("folder", metavar="DIR")
@ingest_options
@options.recipes
@chosen
@click.option(
    "--labels", multiple=True, metavar="FILE", help="Table of labels to import, too; with audioset a LABEL to choose."
)
@click.option("--splits", multiple=True, metavar="FILE", help="Table of a split to import, too, or a folder of lists.")
@click.option("--per-class", type=click.IntRange(1), metavar="N", help="Number of recordings to draw for each label.")
@click.option("--seed", type=click.IntRange(0), metavar="S", help="Seed for draws and for dealing folds.")
@click.option(
    "--rule", metavar="RULE", help="Labels that a recording with several wanted ones keeps: all, or a single one."
)
@click.option("--metadata-only", is_flag=True, help="Ingest metadata only, without audio (msd).")
@options.lake
@options.workers
@options.dry_run
@options.form
def ingest(
    source: str,
    folder: str,
    name: str | None,
    chosen: tuple[str, ...],
    labels: tuple[str, ...],
    splits: tuple[str, ...],
    per_class: int | None,
    seed: int | None,
    rule: str | None,
    metadata_only: bool,
    recipes: "RecipeNames",
    lake: str,
    dry_run: bool,
    form: str,
    **usable: Any,
) -> None:
    """Copy the recordings of SOURCE (see `datasets`) under DIR into the lake.

    Requested features and spectrograms are computed while each file is decoded, exactly as `extract` would.
    """
    from phonolake.sources import contract
    from phonolake.stages import extraction, take_in
    from phonolake.stages import ingest as stage

    reader = contract.get(source)
    chooses = contract.chooses(reader, "labels")
    wanted = choices(chosen, labels if chooses else (), per_class=per_class, seed=seed, rule=rule)
    config = stage.Config(lake, folder, reader.CARD.name, name, options=wanted, **usable)
    if metadata_only:
        from phonolake.stages import ingest_metadata

        if dry_run or labels or splits or recipes != extraction.NONE:
            raise UsageError(
                "--metadata-only works without --dry-run, tables, features and spectrograms: import those afterwards"
            )
        emit([ingest_metadata.run(config)], form)
        return
    if dry_run:
        announce(config, form)
        return
    tables = () if chooses else labels
    imports.check(config, tables, splits)
    emit([*take_in.run(config, recipes), *imports.after_ingest(lake, tables, splits, config.dataset_name)], form)


def announce(config: Any, form: str) -> None:
    """Print the shards that an ingest would write."""
    from phonolake.stages import ingest as stage

    plan = stage.make_plan(config)
    rows = [(stem, len(files), sum(f.size or 0 for f in files)) for stem, files in plan.shards.items()]
    emit(rows, form, columns=("shard", "files", "bytes"))
    click.echo(f"{plan.known} files are in the lake and unchanged.", err=True)


@click.command(epilog=options.example("phonolake validate folder music"))
@click.argument("source", metavar="NAME")
@click.argument("folder", metavar="DIR")
@chosen
@options.top(10)
@options.form
@click.pass_context
def validate(context: click.Context, source: str, folder: str, chosen: tuple[str, ...], top: int, form: str) -> None:
    """Compare DIR with the layout and the published figures of a dataset; exit code 1 when something is wrong."""
    from phonolake.stages import validate as stage

    findings = stage.run(stage.Config(source, folder, chosen), top=top)
    rows = [(f.check, f.subject, f.expected, f.found, _verdict(f)) for f in findings]
    emit(rows, form, columns=("check", "subject", "expected", "found", "verdict"))
    wrong = sum(f.wrong for f in findings if f.check in ("figure", "files"))
    parts = [f"{f.found:,} of {f.expected:,} {f.subject}" for f in findings if f.check == "share" and f.wrong]
    well = f"What is there is as published: {parts[0]}." if parts else "Everything is as published."
    click.echo(f"{wrong} checks failed." if wrong else well, err=True)
    context.exit(1 if wrong else 0)


def _verdict(finding: Any) -> str:
    if finding.check == "share":
        return f"{finding.found / finding.expected:.2%} of it"
    return "wrong" if finding.wrong else "ok"


@click.group(invoke_without_command=True)
@options.form
@click.pass_context
def datasets(context: click.Context, form: str) -> None:
    """List the datasets whose layout is known."""
    if context.invoked_subcommand is None:
        _list(form)


@datasets.command("list", epilog=options.example("phonolake datasets list"))
@options.form
def list_(form: str) -> None:
    """List the datasets whose layout is known, with licence and size."""
    _list(form)


def _list(form: str) -> None:
    from phonolake.sources import contract

    rows = [(c.name, c.summary, c.tracks, _size(c.bytes), c.licence) for c in contract.cards()]
    emit(rows, form, columns=("dataset", "summary", "tracks", "size", "licence"))


@datasets.command(epilog=options.example("phonolake datasets show fma"))
@click.argument("name")
@options.form
def show(name: str, form: str) -> None:
    """Print the card of a dataset: terms, layout, labels, splits, options, files to download, known errors."""
    from phonolake.sources import contract
    from phonolake.sources import options as sources_options

    source = contract.get(name)
    card = source.CARD
    rows: list[tuple[str, object]] = [
        (about, getattr(card, about))
        for about in ("name", "summary", "homepage", "licence", "citation", "layout", "tracks", "bytes", "labels")
    ]
    rows += [("split", f"{split}: {parts}") for split, parts in card.splits]
    for choice in sources_options.listing(getattr(source, "Options", None)):
        rows.append(("option", f"{choice.name}={choice.default}: {choice.about}"))
    for file in card.downloads:
        facts = [file.about, *([_size(file.bytes)] if file.bytes else []), *([file.checksum] if file.checksum else [])]
        rows.append(("download", f"{file.url} ({', '.join(facts)})"))
    for erratum in card.errata:
        tracks = f" [{' '.join(erratum.tracks)}]" if erratum.tracks else ""
        rows.append(("erratum", f"{erratum.about}{tracks} ({erratum.source})"))
    emit(rows, form, columns=("about", "text"))


def _size(n_bytes: int | None) -> str:
    """A readable size in bytes, in powers of 1,024."""
    if n_bytes is None:
        return ""
    size, unit = float(n_bytes), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            break
        size /= 1024
    return f"{size:.3g} {unit}"


@click.command(epilog=options.example("phonolake synth fma corpus --tracks 16 --label-noise 0.1 --corrupt 6"))
@click.argument("name", metavar="NAME")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--tracks", type=int, metavar="N", help="Tracks, including broken ones; fma makes 400 by default.")
@click.option("--label-noise", type=float, metavar="P", help="Share of wrong genres (fma).")
@click.option("--corrupt", type=int, metavar="K", help="Broken files, of six kinds (fma).")
@click.option("--seconds", type=float, metavar="S", help="Duration of a track; as in the dataset by default.")
@click.option("--missing", type=float, default=0.0, metavar="P", help="Share of true tags to omit (layouts with tags).")
@click.option("--false", "false", type=float, default=0.0, metavar="P", help="Wrong tags to add for each true one.")
@click.option(
    "--together",
    type=float,
    default=1.0,
    metavar="P",
    help="Share of the tracks with one tag of a kind that also have its other tags.",
)
@click.option("--peaks", type=float, default=0.0, metavar="DB", help="Level of a burst in each clip above the music.")
@options.seed
@options.workers
@options.form
def synth(
    name: str,
    folder: Path,
    tracks: int | None,
    label_noise: float | None,
    corrupt: int | None,
    seconds: float | None,
    seed: int,
    form: str,
    **planted: float,
) -> None:
    """Write a small corpus of synthetic music with known truth to DIR, in the official layout of the dataset NAME."""
    from phonolake.stages import synthesize
    from phonolake.synthesis.planted import Planted

    config = synthesize.configure(name, tracks, seed, seconds, label_noise, corrupt, Planted(**planted))
    emit(synthesize.counts(synthesize.run(config, folder)), form, columns=("label", "file", "tracks"))


COMMANDS = (ingest, validate, datasets, synth)
