"""`phonolake download` and `phonolake ledger`: downloads and their states."""

from typing import Any

import click

from phonolake.cli import options
from phonolake.cli.output import emit


@click.command(epilog=options.example("phonolake download fma music --file fma_metadata"))
@click.argument("name")
@click.argument("folder", metavar="DIR")
@click.option("--file", "files", multiple=True, metavar="WORD", help="Only published files with WORD in their name.")
@click.option("--mirror", metavar="URL", help="Download published files from below this address instead.")
@click.option("--unpack/--no-unpack", default=True, show_default=True, help="Unpack archives into DIR.")
@click.option("--clips", is_flag=True, help="Download the clips of videos that the dataset names; needs --lake.")
@click.option("--labels", "labels", multiple=True, metavar="LABEL", help="Clips with this label or one below it only.")
@click.option("--per-class", type=click.IntRange(0), metavar="N", help="Draw N clips for each label.")
@click.option("--option", "-o", "chosen", multiple=True, metavar="KEY=VALUE", help="Another option of the dataset.")
@click.option("--retry", is_flag=True, help="Retry clips whose fault may be temporary.")
@click.option("--url-template", metavar="URL", help="Address of a clip's video, with {ytid}; YouTube's by default.")
@click.option("--rate", type=float, default=1.0, show_default=True, metavar="R", help="Video requests per second.")
@click.option("--at-once", type=click.IntRange(1), default=4, show_default=True, metavar="N", help="Clips in parallel.")
@click.option("--timeout", type=click.FloatRange(0.1), default=30.0, show_default=True, metavar="S")
@click.option("--tries", type=click.IntRange(1), default=3, show_default=True, metavar="N", help="Attempts in a row.")
@click.option("--min-seconds", type=click.FloatRange(0), default=0.5, show_default=True, metavar="S")
@click.option("--silence-dbfs", type=float, default=-70.0, show_default=True, metavar="DB")
@click.option("--seed", type=click.IntRange(0), metavar="S", help="Seed of the draws; 0 by default.")
@click.option("--lake", envvar="PHONOLAKE_LAKE", show_envvar=True, metavar="L", help="Lake with the ledger.")
@options.workers
@options.dry_run
@options.form
def download(name: str, folder: str, lake: str | None, clips: bool, dry_run: bool, form: str, **choices: Any) -> None:
    """Download the files of dataset NAME into DIR, or with --clips the parts of videos that it names."""
    asked = clips or any(choices[key] for key in ("labels", "per_class", "retry", "url_template"))
    if asked and not lake:
        raise click.UsageError("the ledger of clips is in a lake: name it with --lake")
    if asked and lake:
        _clips(name, folder, lake, dry_run, form, choices)
    else:
        _files(name, folder, dry_run, form, choices)


def _files(name: str, folder: str, dry_run: bool, form: str, choices: dict[str, Any]) -> None:
    from phonolake.acquisition import download as stage
    from phonolake.transfer.http import Patience

    patience = Patience(tries=choices["tries"], timeout=choices["timeout"])
    config = stage.Config(name, folder, choices["files"], choices["mirror"], choices["unpack"], patience)
    if dry_run:
        rows = [(d.url, d.bytes, d.checksum, d.about) for d in stage.plan(config)]
        emit(rows, form, columns=("url", "bytes", "checksum", "about"))
        return
    emit(stage.run(config), form, of=stage.Fetched)


def _clips(name: str, folder: str, lake: str, dry_run: bool, form: str, choices: dict[str, Any]) -> None:
    from phonolake.acquisition import clips as stage
    from phonolake.transfer.http import Patience

    config = stage.Config(
        lake,
        folder,
        name,
        choices["retry"],
        choices["url_template"] or stage.TEMPLATE,
        choices["rate"],
        choices["at_once"],
        choices["min_seconds"],
        choices["silence_dbfs"],
        Patience(tries=choices["tries"], longest_wait=60.0, timeout=choices["timeout"]),
    )
    given = {"per-class": choices["per_class"], "seed": choices["seed"]}
    texts = [f"labels={label}" for label in choices["labels"]]
    texts += [f"{key}={value}" for key, value in given.items() if value is not None]
    wanted, available = stage.wanted(config, (*texts, *choices["chosen"]))
    if dry_run:
        found = stage.plan(config, wanted)
        emit(
            [(c.track_id, c.start, c.end) for c in found.todo],
            form,
            columns=("track_id", "start_seconds", "end_seconds"),
        )
        click.echo(f"{found.known} clips are known, {len(found.lying_there)} are in DIR already.", err=True)
        return
    emit([stage.run(config, wanted, available)], form)


@click.command(epilog=options.example("phonolake ledger --lake lake"))
@click.option(
    "--by", type=click.Choice(["label", "state"]), default="label", show_default=True, help="What to count by."
)
@options.lake
@options.form
def ledger(by: str, lake: str, form: str) -> None:
    """Print the states of the wanted clips, for each label: wanted = fetched + all others."""
    from phonolake.acquisition import answers as analysis
    from phonolake.store import query
    from phonolake.store.lake import Lake

    with query.connect(Lake.open(lake)) as connection:
        if by == "state":
            columns = ("state", "meaning", "may_heal", "clips", "example")
            emit(analysis.by_state(connection), form, columns=columns)
        else:
            names, rows = analysis.by_label(connection)
            emit(rows, form, columns=names)
        wanted = connection.execute("SELECT count(*) FROM wanted").fetchall()[0][0]
    if not wanted:
        click.echo("No clips were requested yet: run `phonolake download audioset DIR --clips --lake L`.", err=True)


COMMANDS = (download, ledger)
