"""Commands that read: SQL, neighbours, status, verification, the registries and the dashboard."""

import click

from phonolake.cli import options
from phonolake.cli.output import emit


@click.command(epilog=options.example('phonolake sql "SELECT * FROM cooccurrence()" --lake lake --format csv'))
@click.argument("query")
@options.top(None)
@options.lake
@options.form
def sql(query: str, top: int | None, lake: str, form: str) -> None:
    """Answer one SELECT over the tables and macros of the lake."""
    from phonolake.store import query as reading
    from phonolake.store.lake import Lake

    with reading.connect(Lake.open(lake)) as connection:
        relation = reading.select(connection, query)
        rows = reading.fetch(relation if top is None else relation.limit(top))
        emit(rows, form, columns=relation.columns)


@click.command(epilog=options.example('phonolake similar fma:000002 -k 5 --where "year > 2000" --lake lake'))
@click.argument("track_or_file")
@click.option("-k", "--top", "k", type=int, default=10, show_default=True, metavar="K", help="How many neighbours.")
@click.option("--where", metavar="SQL", help="Condition over the table tracks.")
@click.option("--model", metavar="NAME", help="Model or run whose embeddings count; the newest by default.")
@options.lake
@options.form
def similar(track_or_file: str, k: int, where: str | None, model: str | None, lake: str, form: str) -> None:
    """Find the tracks that sound like a stored track or an audio file."""
    from phonolake.analysis import neighbours
    from phonolake.store.lake import Lake

    emit(neighbours.similar(Lake.open(lake), track_or_file, k=k, where=where, model_or_run=model), form)


@click.command(epilog=options.example("phonolake status --lake lake"))
@options.lake
@options.form
def status(lake: str, form: str) -> None:
    """Print the tables with versions, shards, rows and bytes, and the rejects by stage and reason."""
    _print_query(
        lake,
        """SELECT 'table' AS kind, "table" AS name, version, shards, n_rows, n_bytes FROM lake_tables
        UNION ALL
        SELECT 'rejects', stage || ': ' || reason, NULL, NULL, count(*), NULL FROM rejects GROUP BY stage, reason
        ORDER BY kind DESC, name""",
        form,
    )


@click.command(epilog=options.example("phonolake rejects --top 20 --lake lake"))
@options.top(20)
@options.lake
@options.form
def rejects(top: int, lake: str, form: str) -> None:
    """Print the inputs that did not make it, with stage, reason and what was measured."""
    query = (
        "SELECT track_id, stage, reason, detail, retryable, source_path FROM rejects ORDER BY stage, reason, track_id"
    )
    _print_query(lake, f"{query} LIMIT {top}", form)


def _print_query(lake: str, query: str, form: str) -> None:
    from phonolake.store import query as reading
    from phonolake.store.lake import Lake

    with reading.connect(Lake.open(lake)) as connection:
        relation = reading.select(connection, query)
        emit(reading.fetch(relation), form, columns=relation.columns)


@click.command(epilog=options.example("phonolake verify --lake lake"))
@click.option("--mend", is_flag=True, help="Remove what no reader sees and build the catalog again.")
@options.lake
@options.form
@click.pass_context
def verify(context: click.Context, mend: bool, lake: str, form: str) -> None:
    """Check every shard and account for every row; exit code 1 when something is wrong."""
    from phonolake.store import verify as checking
    from phonolake.store.lake import Lake

    opened = Lake.open(lake)
    if mend:
        removed = checking.mend(opened)
        click.echo(f"Removed {len(removed)} files that no reader sees.", err=True)
    findings = checking.verify(opened)
    if findings or form != "table":
        emit(findings, form, columns=None if findings else ("table", "where", "problem", "mend"))
    click.echo(f"{len(findings)} problems found." if findings else "Everything is in order.", err=True)
    context.exit(1 if findings else 0)


@click.group(invoke_without_command=True)
@options.form
@click.pass_context
def datasets(context: click.Context, form: str) -> None:
    """List the datasets whose layout is known."""
    from phonolake.sources import contract

    if context.invoked_subcommand is None:
        rows = [(card.name, card.summary, card.licence) for card in contract.cards()]
        emit(rows, form, columns=("dataset", "summary", "licence"))


@datasets.command(epilog=options.example("phonolake datasets show fma"))
@click.argument("name")
@options.form
def show(name: str, form: str) -> None:
    """Print the card of a dataset and the layout that is expected."""
    from dataclasses import asdict

    from phonolake.sources import contract

    emit(list(asdict(contract.get(name).CARD).items()), form, columns=("about", "text"))


@click.command(epilog=options.example("phonolake features"))
@click.argument("name", required=False)
@options.form
def features(name: str | None, form: str) -> None:
    """List feature sets and spectrograms, or the columns of the feature set NAME."""
    from phonolake.features import contract

    if name is not None:
        emit(contract.feature_set(name).columns, form, columns=("column", "meaning"))
        return
    rows = [(s.name, "features", f"{len(s.columns)} columns", s.sr, s.source) for s in contract.feature_sets().values()]
    rows += [
        (s.name, "spectrogram", f"{s.n_bands} bands, {s.frames_per_second:.2f} frames/s, {s.unit}", s.sr, s.source)
        for s in contract.spectrograms().values()
    ]
    emit(rows, form, columns=("name", "kind", "shape", "sr", "source"))


@click.command(epilog=options.example("phonolake dashboard --lake lake"))
@click.option("--port", type=click.IntRange(1, 65535), default=8501, show_default=True, metavar="P")
@click.option("--headless", is_flag=True, help="Do not open a browser.")
@options.lake
def dashboard(port: int, headless: bool, lake: str) -> None:
    """Open the dashboard in a browser; it listens on localhost only."""
    from phonolake.dashboard_launcher import launch
    from phonolake.store.lake import Lake

    click.get_current_context().exit(launch(Lake.open(lake).root, port=port, headless=headless))


COMMANDS = (sql, similar, status, rejects, verify, datasets, features, dashboard)
