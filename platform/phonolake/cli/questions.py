"""Commands that read: SQL, neighbours, labels, status, verification, the registries and the dashboard."""

from typing import TYPE_CHECKING

import click

from phonolake.cli import options
from phonolake.cli.output import emit
from phonolake.errors import UsageError, unknown

if TYPE_CHECKING:
    from phonolake.features.contract import Spectrogram


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


@click.group()
def labels() -> None:
    """Ask which labels go together, are alike, or are doubtful."""


@labels.command(epilog=options.example("phonolake labels cooccurrence --top 10 --lake lake"))
@options.top(20)
@options.lake
@options.form
def cooccurrence(top: int, lake: str, form: str) -> None:
    """Print pairs of labels by the share of tracks with the first that have the second."""
    from phonolake.analysis import cooccurrence as analysis
    from phonolake.store import query
    from phonolake.store.lake import Lake

    with query.connect(Lake.open(lake)) as connection:
        emit(analysis.top_pairs(connection, top), form)


@labels.command(epilog=options.example("phonolake labels vectors --similarity cosine --top 10 --lake lake"))
@click.option("--model", metavar="NAME", help="Network or run; the newest by default.")
@click.option("--similarity", default="cosine", show_default=True, metavar="KIND", help="cosine or dot.")
@options.top(20)
@options.lake_or_home
@options.form
def vectors(model: str | None, similarity: str, top: int, lake: str | None, form: str) -> None:
    """Print pairs of labels by the similarity of a network's output weights."""
    from phonolake.analysis import label_vectors as analysis
    from phonolake.store import query
    from phonolake.store.lake import Lake

    if lake is None:
        if model is None:
            raise UsageError("name a --lake, or a --model of the model home, such as choi-msd")
        names, W_KD = analysis.label_vectors_at_home(model)
    else:
        opened = Lake.open(lake)
        with query.connect(opened) as connection:
            names, W_KD = analysis.label_vectors(opened, connection, model)
    emit(analysis.ranked_pairs(names, analysis.label_vector_similarity(W_KD, kind=similarity), top), form)


@labels.command(epilog=options.example("phonolake labels noise --top 10 --lake lake"))
@click.option(
    "--source", default="dataset", show_default=True, metavar="SOURCE", help="Labels to doubt, by who says so."
)
@options.top(20)
@options.lake
@options.form
def noise(source: str, top: int, lake: str, form: str) -> None:
    """Print labels in order of doubt; needs held-out predictions from `crossval`."""
    from phonolake.analysis import label_noise as analysis
    from phonolake.store import query
    from phonolake.store.lake import Lake

    with query.connect(Lake.open(lake)) as connection:
        emit(analysis.suspects(connection, source=source, top=top), form)


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
@options.lake
def dashboard(port: int, headless: bool, lake: str) -> None:
    """Open the dashboard in a browser; it listens on localhost only."""
    from phonolake.dashboard_launcher import launch
    from phonolake.store.lake import Lake

    click.get_current_context().exit(launch(Lake.open(lake).root, port=port, headless=headless))


COMMANDS = (sql, similar, labels, status, rejects, verify, datasets, features, dashboard)
