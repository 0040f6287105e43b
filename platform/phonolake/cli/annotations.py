"""Commands about listening tests: draw a sample, import and export answers, and see how far raters agree."""

from dataclasses import asdict

import click

from phonolake.cli import options
from phonolake.cli.output import emit


@click.group()
def annotations() -> None:
    """Check labels by listening: samples, answers, agreement."""


@annotations.command(epilog=options.example("phonolake annotations sample check --positive 5 --negative 5 --lake lake"))
@click.argument("name")
@click.option("--label", "labels", multiple=True, metavar="LABEL", help="Label to ask about; all by default.")
@click.option("--positive", type=click.IntRange(0), default=10, show_default=True, metavar="N", help="With each label.")
@click.option("--negative", type=click.IntRange(0), default=10, show_default=True, metavar="N", help="Without it.")
@click.option("--source", default="dataset", show_default=True, metavar="SOURCE", help="Whose labels to check.")
@click.option("--suspects", type=click.IntRange(1), metavar="N",
              help="Instead: the first N suspect labels, among as many unsuspected ones.")  # fmt: skip
@options.licence
@options.lake
@options.seed
@options.form
def sample(
    name: str,
    labels: tuple[str, ...],
    positive: int,
    negative: int,
    source: str,
    suspects: int | None,
    licence: str | None,
    lake: str,
    seed: int,
    form: str,
) -> None:
    """Draw the sample NAME: for each label, tracks with and without it."""
    from phonolake.annotation import sampling

    if suspects is not None:
        asked = _suspects(lake, licence, source, labels, suspects)
        emit(sampling.draw(sampling.BlindCheck(lake, name, asked, source, seed)), form, of=sampling.Stratum)
        return
    emit(
        sampling.draw(sampling.Config(lake, name, labels, positive, negative, source, seed)), form, of=sampling.Stratum
    )


def _suspects(
    lake: str, licence: str | None, source: str, labels: tuple[str, ...], n: int
) -> tuple[tuple[str, str], ...]:
    """Tracks and labels that look wrong, the most doubtful first; only of the named labels if there are any."""
    from phonolake.analysis.labels import noise_rates, noise_suspects
    from phonolake.lookup import held_out, licensed
    from phonolake.store import query

    with query.connect(licensed.opened(lake, licence)) as connection:
        held = held_out.read_held_out(connection, source=source)
    found = noise_suspects.suspects(held, noise_rates.estimate(held))
    return tuple((s.track_id, s.label) for s in found if not labels or s.label in labels)[:n]


@annotations.command(epilog=options.example("phonolake annotations triplets alike --count 50 --lake lake"))
@click.argument("name")
@click.option("--count", type=click.IntRange(1), default=100, show_default=True, metavar="N", help="How many.")
@click.option(
    "--near", metavar="MODEL", help="One of the two is a near neighbour by MODEL; by default both are random."
)
@click.option(
    "-k", type=click.IntRange(1), default=10, show_default=True, metavar="K", help="How many neighbours count as near."
)
@options.licence
@options.lake
@options.seed
@options.form
def triplets(
    name: str, count: int, near: str | None, k: int, licence: str | None, lake: str, seed: int, form: str
) -> None:
    """Draw the sample NAME of triplets: which of two tracks sounds more like a third?

    The page Neighbours shows them, and `runs heard` prints how often each embedding agrees with the answers. No two
    tracks of a triplet are by one artist.
    """
    from phonolake.annotation import drawing

    emit([drawing.run(drawing.Config(lake, name, count, near, k, seed, licence))], form)


@annotations.command(epilog=options.example("phonolake annotations progress --lake lake"))
@options.lake
@options.form
def progress(lake: str, form: str) -> None:
    """Print the progress of each rater with each sample."""
    from phonolake.annotation import publication, queue, triplets
    from phonolake.store import query
    from phonolake.store.lake import Lake

    opened = Lake.open(lake)
    publication.publish(opened)
    with query.connect(opened) as connection:
        found = [*queue.progress(opened, connection), *triplets.progress(opened, connection)]
    emit(found, form, of=queue.Progress)


@annotations.command(epilog=options.example("phonolake annotations agreement --lake lake"))
@click.option("--sample", metavar="NAME", help="Only questions of this sample.")
@options.lake
@options.form
def agreement(sample: str | None, lake: str, form: str) -> None:
    """Print how far each two raters agree, with Cohen's kappa, over all labels and for each."""
    from phonolake.analysis.labels import agreement as analysis
    from phonolake.annotation import publication
    from phonolake.store import query
    from phonolake.store.lake import Lake

    opened = Lake.open(lake)
    publication.publish(opened)
    with query.connect(opened) as connection:
        emit(analysis.between_raters(connection, sample=sample), form, of=analysis.Agreement)


@annotations.command(epilog=options.example("phonolake annotations export --format csv --lake lake"))
@click.option("--triplets", "compared", is_flag=True, help="Answers to triplets; about labels by default.")
@options.lake
@options.form
def export(compared: bool, lake: str, form: str) -> None:
    """Print all current answers; `annotations import` reads the output of --format csv."""
    from phonolake.annotation import exchange, publication
    from phonolake.store.lake import Lake

    opened = Lake.open(lake)
    publication.publish(opened)
    answers = exchange.compared(opened) if compared else exchange.export(opened)
    columns = exchange.COMPARED if compared else exchange.COLUMNS
    rows = [asdict(answer) | {"annotated_at": answer.annotated_at.isoformat()} for answer in answers]
    emit([tuple(row[name] for name in columns) for row in rows], form, columns=columns)


@annotations.command("import", epilog=options.example("phonolake annotations import answers.csv --lake lake"))
@click.argument("file")
@options.lake
@options.form
@click.pass_context
def import_(context: click.Context, file: str, lake: str, form: str) -> None:
    """Import the answers of a CSV FILE, about labels or to triplets, as `annotations export` prints them.

    Prints the rejected lines, with exit code 1 if there are any.

    FILE is a path or an address.
    """
    from phonolake.annotation import exchange
    from phonolake.store.lake import Lake

    done = exchange.read_csv(Lake.open(lake), file)
    click.echo(f"{done.new} answers are new, {done.known} were known, {len(done.rejected)} rejected.", err=True)
    if done.rejected:
        emit(done.rejected, form, of=exchange.Rejected)
        context.exit(1)


COMMANDS = (annotations,)
