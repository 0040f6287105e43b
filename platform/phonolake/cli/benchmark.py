"""`phonolake benchmark`: compare vectors on your own labels."""

from typing import Any

import click

from phonolake.cli import options
from phonolake.cli.output import emit


def _list_protocols(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from phonolake.lookup.protocols import PROTOCOLS

        rows = [(p.name, p.dataset, p.split, p.summary, len(p.published)) for p in PROTOCOLS]
        emit(rows, "table", columns=("protocol", "dataset", "split", "summary", "published"))
        context.exit()


@click.command(epilog=options.example("phonolake benchmark --quick --lake lake"))
@click.option("--protocol", metavar="NAME", help="A known benchmark: its dataset, split and published figures.")
@click.option("--protocols", is_flag=True, is_eager=True, expose_value=False, callback=_list_protocols,
              help="List the known benchmarks.")  # fmt: skip
@click.option("--row", "rows", multiple=True, metavar="NAME", help="Vectors to compare; all by default. Repeatable.")
@click.option("--probe", "probes", multiple=True, metavar="NAME", help="logistic-regression, knn or mlp; likewise.")
@click.option("--model", "models", multiple=True, metavar="NAME", help="Also compare this network of the model home.")
@click.option("--quick", is_flag=True, help="400 tracks, one fold, one probe, one untrained network.")
@click.option("--doubt", is_flag=True, help="Also measure without relatives, with corrected labels, on deformed audio.")
@click.option("--per-class", is_flag=True, help="Figures of every label.")
@click.option("--top-labels", type=click.IntRange(2), metavar="N", help="Only the N labels with the most tracks.")
@options.licence
@options.labels
@options.split
@options.dataset
@options.lake
@options.workers
@options.form
def benchmark(lake: str, protocol: str | None, per_class: bool, form: str, **choices: Any) -> None:
    """Compare all vectors of a lake by training small models on them: figures, intervals, cost.

    Rows are feature sets, networks' embeddings, imported vectors, untrained networks, label prior and chance.
    Hyper-parameters are chosen on validation tracks. Results are stored: a second call continues.
    """
    from phonolake.analysis.results import benchmark as results
    from phonolake.lookup import protocols
    from phonolake.stages import benchmark as stage
    from phonolake.store import query
    from phonolake.store.lake import Lake

    known = None if protocol is None else protocols.get(protocol)
    if known is not None:
        choices |= {"split": choices["split"] or known.split, "dataset": choices["dataset"] or known.dataset}
    done = stage.run(stage.Config(lake, **choices))
    facts = {r.text: results.RowFacts(r.name, r.licence, done.bytes_per_track.get(r.text)) for r in done.rows}
    with query.connect(Lake.open(lake)) as connection:
        found = results.Comparison(connection, done.cells, facts, classes=done.classes, many=done.many)
        if per_class:
            emit(found.per_class(), form, of=results.ClassLine)
            return
        if form == "table" or not choices["doubt"]:
            stated = known.published if known is not None else ()
            emit([*found.lines(), *results.published(stated)], form, of=results.BenchmarkLine)
            for figure in stated:
                click.echo(f"{figure.system} ({figure.metric} {figure.value:g}): {figure.source}", err=True)
        if choices["doubt"]:
            emit(found.doubts(), form, of=results.DoubtLine)


COMMANDS = (benchmark,)
