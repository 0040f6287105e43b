"""Commands about tracks that sound alike."""

import math

import click

from phonolake.cli import options
from phonolake.cli.output import emit


@click.command(epilog=options.example('phonolake similar fma:000002 -k 5 --where "year > 2000" --lake lake'))
@click.argument("track_or_file", nargs=-1)
@click.option("--text", metavar="TEXT", help="Description of the sound, for a model with a text tower.")
@click.option("-k", "--top", "k", type=int, default=10, show_default=True, metavar="K", help="How many neighbours.")
@click.option("--unlike", multiple=True, metavar="TRACK", help="A track or file to move away from; repeatable.")
@click.option("--best", is_flag=True, help="Nearest to any of several tracks, not to their mean.")
@click.option("--from", "start", type=float, metavar="S", help="Compare it from this second on.")
@click.option("--to", "end", type=float, metavar="S", help="Compare it up to this second.")
@click.option("--per-artist", type=int, metavar="N", help="At most N tracks of one artist.")
@click.option("--where", metavar="SQL", help="Condition over the table tracks.")
@click.option("--model", metavar="NAME", help="Model or run of the embeddings; the newest by default.")
@options.licence
@options.lake
@options.form
def similar(
    track_or_file: tuple[str, ...],
    text: str | None,
    k: int,
    unlike: tuple[str, ...],
    best: bool,
    start: float | None,
    end: float | None,
    per_artist: int | None,
    where: str | None,
    model: str | None,
    licence: str | None,
    lake: str,
    form: str,
) -> None:
    """Find the tracks that sound like stored tracks, audio files, or a text."""
    from phonolake.analysis.collection.neighbours import Neighbour, Searcher, SimilarityQuestion
    from phonolake.lookup import licensed

    combine = "best" if best else "centroid"
    span = None if start is None and end is None else (start or 0.0, math.inf if end is None else end)
    with Searcher(licensed.opened(lake, licence)) as searcher:
        asked = SimilarityQuestion(track_or_file, unlike, k, where, model, combine, per_artist, span, text)
        emit(searcher.ask(asked), form, of=Neighbour)
        recall = searcher.recall(model, text=text is not None)
    if recall is not None and recall < 1:
        click.echo(f"The index finds {recall:.1%} of the 10 nearest (measured).", err=True)


@click.group()
def neighbours() -> None:
    """The neighbour graph: the nearest of every track, near-duplicates, and paths."""


@neighbours.command(epilog=options.example("phonolake neighbours graph -k 20 --lake lake"))
@click.option("-k", type=int, default=20, show_default=True, metavar="K", help="Neighbours of each track.")
@click.option("--model", metavar="NAME", help="Model or run of the embeddings; the newest by default.")
@options.licence
@options.lake
@options.workers
@options.form
def graph(k: int, model: str | None, licence: str | None, lake: str, form: str) -> None:
    """Write the nearest neighbours of every track to the table `neighbours`."""
    from phonolake.stages import neighbour_graph as stage

    emit([stage.run(stage.Config(lake, k, model, licence))], form)


@neighbours.command(epilog=options.example("phonolake neighbours duplicates --min-similarity 0.99 --lake lake"))
@click.option("--min-similarity", type=float, default=0.98, show_default=True, metavar="S", help="Cosine similarity.")
@click.option("--model", metavar="NAME", help="Model or run of the graph; all by default.")
@options.top(100)
@options.licence
@options.lake
@options.form
def duplicates(min_similarity: float, model: str | None, top: int, licence: str | None, lake: str, form: str) -> None:
    """Print pairs of the neighbour graph that are nearly identical."""
    from phonolake.lookup import licensed
    from phonolake.store import query

    with query.connect(licensed.opened(lake, licence)) as connection:
        relation = connection.sql(
            "FROM near_duplicates(min_similarity := $1, model_or_run := $2) LIMIT $3",
            params=[min_similarity, model, top],
        )
        emit(query.fetch(relation), form, columns=relation.columns)


@neighbours.command(epilog=options.example("phonolake neighbours path fma:000002 fma:000010 --lake lake"))
@click.argument("start")
@click.argument("end")
@click.option("--model", metavar="NAME", help="Model or run of the graph; the newest by default.")
@options.licence
@options.lake
@options.form
def path(start: str, end: str, model: str | None, licence: str | None, lake: str, form: str) -> None:
    """Print a path from one track to another in steps that sound alike."""
    from phonolake.analysis.collection import neighbour_paths
    from phonolake.lookup import licensed
    from phonolake.store import query

    with query.connect(licensed.opened(lake, licence)) as connection:
        emit(neighbour_paths.path(connection, start, end, model_or_run=model), form, of=neighbour_paths.PathStep)


COMMANDS = (similar, neighbours)
