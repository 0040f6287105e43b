"""Commands about tracks that sound alike."""

import click

from phonolake.cli import options
from phonolake.cli.output import emit
from phonolake.errors import PhonolakeError


@click.command(epilog=options.example('phonolake similar fma:000002 -k 5 --where "year > 2000" --lake lake'))
@click.argument("track_or_file", nargs=-1, required=True)
@click.option("-k", "--top", "k", type=int, default=10, show_default=True, metavar="K", help="How many neighbours.")
@click.option("--unlike", multiple=True, metavar="TRACK", help="A track or file to get away from; may be repeated.")
@click.option("--best", is_flag=True, help="Most alike to any of several tracks, not to their mean.")
@click.option("--per-artist", type=int, metavar="N", help="At most N tracks of one artist.")
@click.option("--where", metavar="SQL", help="Condition over the table tracks.")
@click.option("--model", metavar="NAME", help="Model or run whose embeddings count; the newest by default.")
@options.licence
@options.lake
@options.form
def similar(
    track_or_file: tuple[str, ...],
    k: int,
    unlike: tuple[str, ...],
    best: bool,
    per_artist: int | None,
    where: str | None,
    model: str | None,
    licence: str | None,
    lake: str,
    form: str,
) -> None:
    """Find the tracks that sound like stored tracks or audio files."""
    from phonolake.analysis.collection.neighbours import Neighbour, Question, Searcher
    from phonolake.store.lake import Lake

    if licence is not None:
        model = _licensed(lake, model, licence)
    combine = "best" if best else "centroid"
    with Searcher(Lake.open(lake)) as searcher:
        found = searcher.ask(Question(track_or_file, unlike, k, where, model, combine, per_artist))
        emit(found, form, of=Neighbour)
        recall = searcher.recall(model)
    if recall is not None and recall < 1:
        click.echo(f"The index finds {recall:.1%} of the 10 nearest (measured).", err=True)


def _licensed(lake: str, model: str | None, kind: str) -> str:
    """The run whose embeddings count, of those under licences of a kind."""
    from phonolake.lookup import licences, runs
    from phonolake.store import query
    from phonolake.store.lake import Lake

    with query.connect(Lake.open(lake)) as connection:
        known, able = runs.with_embeddings(connection), licences.allowed(connection, kind)
    found = runs.find(known, model, what=f"model with embeddings under a {kind} licence", among=able)
    if found is None:
        raise PhonolakeError(f"the lake has no embeddings under a {kind} licence: `phonolake status` lists licences")
    return found.run_id


COMMANDS = (similar,)
