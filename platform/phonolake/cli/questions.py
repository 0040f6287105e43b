"""Commands that read: SQL, neighbours, status, verification, the registries and the dashboard."""

import os
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

import click

from phonolake.cli import options, signals
from phonolake.cli.output import emit
from phonolake.errors import unknown

if TYPE_CHECKING:
    from phonolake.features.contract import Spectrogram
    from phonolake.lookup.licences import ModelLicence


@click.command(epilog=options.example('phonolake sql "SELECT * FROM cooccurrence()" --lake lake --format csv'))
@click.argument("query")
@options.top(None)
@click.option("--timeout", type=click.FloatRange(0, min_open=True), metavar="S", help="Time limit in seconds.")
@options.licence
@options.lake
@options.form
def sql(query: str, top: int | None, timeout: float | None, licence: str | None, lake: str, form: str) -> None:
    """Run one SELECT over the tables and macros of the lake."""
    from phonolake.analysis.collection import similar_sql
    from phonolake.lookup import licensed
    from phonolake.store import query as reading

    with similar_sql.connecting(licensed.opened(lake, licence)) as connection:
        with signals.calling(connection.interrupt), reading.limited(connection, timeout):
            relation = reading.select(connection, query)
            rows = reading.fetch(relation if top is None else relation.limit(top))
        emit(rows, form, columns=relation.columns)


@click.command(epilog=options.example("phonolake status --lake lake"))
@click.option("--all", "every", is_flag=True, help="Also empty tables.")
@options.lake
@options.form
def status(every: bool, lake: str, form: str) -> None:
    """Print tables with versions, shards, rows and bytes, rejects, skipped files, indexes, licences."""
    from phonolake.lookup import indexed, licences
    from phonolake.store import query as reading
    from phonolake.store.lake import Lake

    opened = Lake.open(lake)
    with reading.connect(opened) as connection:
        relation = reading.select(
            connection,
            f"""SELECT 'table' AS kind, "table" AS name, version, shards, n_rows, n_bytes FROM lake_tables
            WHERE {str(every).lower()} OR n_rows > 0
            UNION ALL
            SELECT 'rejects', stage || ': ' || reason, NULL, NULL, count(*), NULL FROM rejects GROUP BY stage, reason
            UNION ALL
            SELECT 'passed over', dataset || ': ' || coalesce(nullif(ending, ''), 'no ending'), NULL, NULL, files, NULL
            FROM passed_over
            ORDER BY kind DESC, name""",
        )
        rows = reading.fetch(relation)
        stated = [found for found in licences.of_runs(connection).values() if found.licence != licences.OWN]
        rows += [("index", *row) for row in indexed.states(opened)]
        rows += [("licence", _said(found), None, None, None, None) for found in stated]
        emit(rows, form, columns=relation.columns)
    for model in dict.fromkeys(found.model for found in stated if found.kind == licences.NON_COMMERCIAL):
        click.echo(f"Results of {model} are not for commercial use; --licence permissive leaves them out.", err=True)


def _said(found: "ModelLicence") -> str:
    kind = f" ({found.kind})" if found.licence and found.kind not in found.licence else ""
    return f"{found.run_id}: {found.licence or 'not stated'}{kind}"


@click.command(epilog=options.example("phonolake rejects --by reason --lake lake"))
@click.option(
    "--by", type=click.Choice(["reason", "dataset"]), help="Count by stage and this, with an example of each."
)
@options.top(50)
@options.lake
@options.form
def rejects(by: str | None, top: int, lake: str, form: str) -> None:
    """Print the rejected inputs with stage, reason and measured value."""
    query = (
        "SELECT track_id, stage, reason, detail, retryable, source_path FROM rejects ORDER BY stage, reason, track_id"
    )
    if by:
        keys = "stage, reason" if by == "reason" else "dataset, stage, reason"
        query = (
            f"SELECT {keys}, count(*) AS inputs, count(*) FILTER (retryable) AS retryable, min(track_id) AS example, "
            f"arg_min(detail, track_id) AS measured FROM rejects GROUP BY {keys} ORDER BY inputs DESC, {keys}"
        )
    print_query(lake, f"{query} LIMIT {top}", form)


def print_query(lake: str, query: str, form: str) -> None:
    """Print the result of a SELECT."""
    from phonolake.store import query as reading
    from phonolake.store.lake import Lake

    with reading.connect(Lake.open(lake)) as connection:
        relation = reading.select(connection, query)
        emit(reading.fetch(relation), form, columns=relation.columns)


@click.command(epilog=options.example("phonolake verify --lake lake"))
@click.option(
    "--mend",
    is_flag=True,
    help="Repair duplicated tracks and dropped shards; merge small shards; delete unneeded files.",
)
@click.option(
    "--since",
    type=click.DateTime(),
    metavar="TIME",
    help="Read only shards published since then (UTC); all rows count.",
)
@click.option(
    "--sample",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="P",
    help="Read only this share of the shards, each time others; all rows count.",
)
@options.lake
@options.form
@click.pass_context
def verify(
    context: click.Context, mend: bool, since: datetime | None, sample: float | None, lake: str, form: str
) -> None:
    """Check every shard and account for every row; exit code 1 when something is wrong.

    If it was stopped within the last day, it continues where it was.
    """
    from phonolake import execution
    from phonolake.store import inspection
    from phonolake.store import verify as checking
    from phonolake.store.lake import Lake

    opened = Lake.open(lake)
    if mend:
        for what in checking.put_right(opened):
            click.echo(f"Put right: {what}.", err=True)
        removed = checking.mend(opened)
        click.echo(f"Removed {len(removed)} files that the published version does not need.", err=True)
    # The nodes of a cluster read in parallel; on one machine threads do it with less overhead.
    is_cluster = execution.all_cores() > (os.cpu_count() or 1)
    over = partial(execution.imap, forks=opened.forks) if is_cluster else inspection.by_threads
    findings = checking.verify(opened, since=since.replace(tzinfo=UTC) if since else None, sample=sample, over=over)
    for table, shards in groupby(checking.kept(opened), key=lambda shard: shard.table):
        versions = [shard.version for shard in shards]
        last = f"{len(versions)} shards kept for readers of version {max(versions)}"
        click.echo(f"{table}: {last} and before; `phonolake verify --mend` removes them.", err=True)
    if findings or form != "table":
        emit(findings, form, columns=None if findings else ("table", "where", "problem", "mend"))
    click.echo(f"{len(findings)} problems found." if findings else "Everything is in order.", err=True)
    context.exit(1 if findings else 0)


@click.group(invoke_without_command=True, epilog=options.example("phonolake features list"))
@options.form
@click.pass_context
def features(context: click.Context, form: str) -> None:
    """List feature sets and spectrograms."""
    if context.invoked_subcommand is None:
        _list_recipes(form)


@features.command("list", epilog=options.example("phonolake features list --format csv"))
@options.form
def list_features(form: str) -> None:
    """List feature sets and spectrograms."""
    _list_recipes(form)


@features.command("show", epilog=options.example("phonolake features show music-role-97"))
@click.argument("name")
@options.form
def show_features(name: str, form: str) -> None:
    """Print the columns of a feature set with their units, or the parameters of a spectrogram."""
    from phonolake.features import contract

    sets, spectrograms = contract.feature_sets(), contract.spectrograms()
    if name in spectrograms:
        found = spectrograms[name]
        facts = {"unit": found.unit, "shape": _shape(found), "source": found.source, **found.parameters}
        emit(list(facts.items()), form, columns=("about", "value"))
    elif name in sets:
        emit(sets[name].columns, form, columns=("column", "meaning"))
    else:
        raise unknown("feature set or spectrogram", name, [*sets, *spectrograms])


def _list_recipes(form: str) -> None:
    from phonolake.features import contract

    rows = [(s.name, "features", f"{len(s.columns)} columns", s.sr, s.source) for s in contract.feature_sets().values()]
    rows += [(s.name, "spectrogram", _shape(s), s.sr, s.source) for s in contract.spectrograms().values()]
    emit(rows, form, columns=("name", "kind", "shape", "sr", "source"))


def _shape(spectrogram: "Spectrogram") -> str:
    channels = f"{spectrogram.n_channels} x " if spectrogram.n_channels > 1 else ""
    if spectrogram.n_frames is not None:
        return f"{channels}{spectrogram.n_bands} x {spectrogram.n_frames}, {spectrogram.unit}"
    return f"{channels}{spectrogram.n_bands} bands, {spectrogram.frames_per_second:.2f} frames/s, {spectrogram.unit}"


@click.command(epilog=options.example("phonolake dashboard --lake lake"))
@click.option("--port", type=click.IntRange(1, 65535), default=8501, show_default=True, metavar="P")
@click.option("--headless", is_flag=True, help="Do not open a browser.")
@options.licence
@options.lake
def dashboard(port: int, headless: bool, licence: str | None, lake: str) -> None:
    """Open the dashboard in a browser; it listens on localhost only."""
    from phonolake.dashboard_launcher import launch
    from phonolake.lookup import licensed

    place = licensed.opened(lake, licence).place
    click.get_current_context().exit(launch(place, port=port, headless=headless, licence=licence))


COMMANDS = (sql, status, rejects, verify, features, dashboard)
