"""`phonolake embeddings`: import vectors that were computed elsewhere, and export vectors."""

from typing import Any

import click

from phonolake.cli import imports, options
from phonolake.cli.output import emit


@click.group()
def embeddings() -> None:
    """Import vectors that were computed elsewhere, or export those of a lake."""


@embeddings.command(
    "import", epilog=options.example("phonolake embeddings import openl3 vectors.npz --licence MIT --lake lake")
)
@click.argument("name")
@click.argument("file")
@click.option("--ids", metavar="FILE", help="Names of the recordings in the rows of a .npy array, one a line.")
@imports.id_column
@click.option(
    "--vector-column", "vector_columns", multiple=True, metavar="NAME", help="Column of vectors or numbers; repeatable."
)
@click.option("--segments", is_flag=True, help="Allow several vectors for a recording, one for each segment.")
@click.option("--licence", metavar="TEXT", help="Licence of the vectors, such as MIT or CC-BY-NC-4.0.")
@click.option("--origin", metavar="TEXT", help="Origin of the vectors: a model, a paper, an address.")
@options.dataset
@options.lake
@options.dry_run
@options.form
def import_embeddings(
    name: str,
    file: str,
    segments: bool,
    licence: str | None,
    origin: str | None,
    dataset: str | None,
    lake: str,
    dry_run: bool,
    form: str,
    **choice: Any,
) -> None:
    """Import vectors from FILE (.npy, .npz, CSV, Parquet) into the lake as NAME; they replace earlier ones.

    FILE is a path or an address. Rows name recordings by id, path or file name. The vectors are a run like any other:
    `index`, `similar --model`, `train --embeddings NAME` and `benchmark` take them.
    """
    from phonolake.sources.vector_files import Choice
    from phonolake.stages import import_embeddings as stage

    config = stage.Config(lake, name, file, dataset, Choice(**choice), segments, licence, origin)
    imports.take_in(stage, config, dry_run, form)


@embeddings.command("remove", epilog=options.example("phonolake embeddings remove openl3 --lake lake"))
@click.argument("name")
@options.lake
@options.form
def remove_embeddings(name: str, lake: str, form: str) -> None:
    """Remove the imported vectors NAME from the lake."""
    from phonolake.stages import import_embeddings as stage

    emit([stage.remove(lake, name)], form)


@embeddings.command("export", epilog=options.example("phonolake embeddings export vectors.parquet --lake lake"))
@click.argument("file")
@click.option("--model", metavar="NAME", help="Model or run of the vectors; the newest by default.")
@options.licence
@options.dataset
@options.lake
@options.form
def export_embeddings(
    file: str, model: str | None, licence: str | None, dataset: str | None, lake: str, form: str
) -> None:
    """Write embeddings to FILE: .parquet, .npz, .npy with a .txt of ids, or .csv."""
    from phonolake.analysis.collection import embedding_files
    from phonolake.lookup import licensed
    from phonolake.lookup.licences import NON_COMMERCIAL
    from phonolake.store import query

    with query.connect(licensed.opened(lake, licence), confined=False) as connection:
        done = embedding_files.export(connection, file, model_or_run=model, dataset=dataset)
    emit([done], form)
    if done.kind == NON_COMMERCIAL:
        click.echo(f"The vectors of {done.model} are not for commercial use ({done.licence}).", err=True)


COMMANDS = (embeddings,)
