"""Commands that report faults of a corpus, and remove tracks."""

import click

from phonolake.cli import imports, options
from phonolake.cli.output import emit


@click.command(epilog=options.example("phonolake duplicates --lake lake"))
@click.option("--min-similarity", type=click.FloatRange(0.5, 1), default=0.65, show_default=True, metavar="P")
@click.option("--min-seconds", type=click.FloatRange(0), default=0.15, show_default=True, metavar="S")
@options.top(None)
@options.lake
@options.workers
@options.dry_run
@options.form
def duplicates(min_similarity: float, min_seconds: float, top: int | None, lake: str, dry_run: bool, form: str) -> None:
    """Find tracks with the same recording, within and across datasets."""
    from phonolake.cli.questions import print_query
    from phonolake.stages import duplicates as stage

    config = stage.Config(lake, min_similarity, min_seconds)
    if dry_run:
        emit([(task.source,) for task in stage.plan(config)], form, columns=("audio_shard",))
        return
    outcome = stage.run(config)
    click.echo(outcome.note, err=True)
    limit = "" if top is None else f" LIMIT {top}"
    columns = "track_id, other_id, kind, similarity, offset_seconds, overlap_seconds"
    print_query(lake, f"SELECT {columns} FROM duplicates ORDER BY similarity DESC, track_id, other_id{limit}", form)


@click.group()
def splits() -> None:
    """List the splits, and check that nothing is on both sides of one."""


@splits.command("list", epilog=options.example("phonolake splits list --lake lake"))
@options.lake
@options.form
def splits_list(lake: str, form: str) -> None:
    """Print every split with its sides and a fingerprint of its rows."""
    from phonolake.analysis.collection import splits as analysis
    from phonolake.store import query
    from phonolake.store.lake import Lake

    opened = Lake.open(lake)
    with query.connect(opened) as connection:
        emit(analysis.listing(connection, opened.versions().get("splits")), form, of=analysis.SplitFacts)


@splits.command(epilog=options.example("phonolake splits check --split official --lake lake"))
@click.option("--split", metavar="NAME", help="Only this split; all by default.")
@options.lake
@options.form
@click.pass_context
def check(context: click.Context, split: str | None, lake: str, form: str) -> None:
    """Find artists, albums and duplicates on both sides of a split; exit code 1 when there are any."""
    from phonolake.analysis.collection import splits as analysis
    from phonolake.store import query
    from phonolake.store.lake import Lake

    opened = Lake.open(lake)
    with query.connect(opened) as connection:
        leaks = analysis.check(connection, split)
        nameless = analysis.unknown_artists(connection, split)
    names = ("split", "kind", "what", "sides", "n_tracks", "track_id", "other_id")
    if leaks or form != "table":
        emit(leaks, form, columns=None if leaks else names)
    said = f"{len(leaks)} leaks found." if leaks else "Nothing is on both sides."
    if nameless:
        said += f" {nameless} tracks have no known artist."
    if "duplicates" not in opened.versions():
        said += " Duplicates were not searched yet: run `phonolake duplicates` first."
    click.echo(said, err=True)
    context.exit(1 if leaks else 0)


@click.group(invoke_without_command=True)
@click.option("--metric", default="accuracy", show_default=True, metavar="NAME", help="Figure to show.")
@options.licence
@click.option("--lake", envvar="PHONOLAKE_LAKE", show_envvar=True, metavar="L", help="Folder of the lake.")
@options.form
@click.pass_context
def runs(context: click.Context, metric: str, licence: str | None, lake: str | None, form: str) -> None:
    """List trained runs with their test figure and the clips it was computed on."""
    from phonolake.analysis.results import coverage
    from phonolake.lookup import licensed
    from phonolake.store import query

    if context.invoked_subcommand is not None:
        return
    if not lake:
        raise click.UsageError("Missing option '--lake'")
    with query.connect(licensed.opened(lake, licence)) as connection:
        emit(coverage.runs(connection, metric=metric), form, of=coverage.SplitCoverage)


@runs.command(epilog=options.example("phonolake runs compare random-forest svm-rbf --lake lake"))
@click.argument("first")
@click.argument("second")
@options.licence
@options.lake
@options.form
def compare(first: str, second: str, licence: str | None, lake: str, form: str) -> None:
    """Compare two runs, or two cross-validated models, on the clips that both were tested on."""
    from phonolake.analysis.results import coverage
    from phonolake.lookup import licensed
    from phonolake.store import query

    with query.connect(licensed.opened(lake, licence)) as connection:
        found = coverage.compare(connection, first, second)
    emit(found, form, of=coverage.FigureComparison)
    if said := coverage.warning(found):
        click.echo(said, err=True)


@runs.command(epilog=options.example("phonolake runs heard --lake lake"))
@click.option("--model", metavar="NAME", help="Model or run; all with embeddings by default.")
@click.option("--sample", metavar="NAME", help="Only answers to this sample of triplets.")
@options.confidence
@options.licence
@options.lake
@options.form
def heard(model: str | None, sample: str | None, confidence: float, licence: str | None, lake: str, form: str) -> None:
    """Print how often each embedding agrees with what people heard: which of two tracks sounds more like a third.

    Chance is 0.5. `annotations triplets` draws the questions.
    """
    from phonolake.analysis.results import triplet_agreement
    from phonolake.annotation import publication
    from phonolake.lookup import licensed
    from phonolake.store import query
    from phonolake.store.lake import Lake

    publication.publish(Lake.open(lake))
    with query.connect(licensed.opened(lake, licence)) as connection:
        found = triplet_agreement.agreement(connection, model, sample=sample, confidence=confidence)
    emit(found, form, of=triplet_agreement.TripletAgreement)


@click.command(epilog=options.example("phonolake licences --lake lake"))
@click.option("--licence", "pattern", metavar="TEXT", help="Instead: list the tracks whose licence contains TEXT.")
@options.dataset
@options.lake
@options.form
def licences(pattern: str | None, dataset: str | None, lake: str, form: str) -> None:
    """Count tracks by licence, or list the tracks under one."""
    from phonolake.analysis.collection import licences as analysis
    from phonolake.store import query
    from phonolake.store.lake import Lake

    with query.connect(Lake.open(lake)) as connection:
        if pattern is None:
            emit(analysis.listing(connection, dataset=dataset), form, of=analysis.LicenceCount)
        else:
            found = analysis.tracks(connection, pattern, dataset=dataset)
            emit(found, form, columns=("track_id", "title", "artist", "licence"))


@click.command(epilog=options.example('phonolake forget fma:000002 --why "asked by the artist" --lake lake'))
@click.argument("track_ids", nargs=-1, required=True, metavar="TRACK_ID...")
@click.option("--why", default="not stated", show_default=True, metavar="TEXT", help="Reason to store with the id.")
@options.lake
@options.dry_run
@options.form
@click.pass_context
def forget(context: click.Context, track_ids: tuple[str, ...], why: str, lake: str, dry_run: bool, form: str) -> None:
    """Remove tracks from every table, model list and index, and keep them out; run it when no job writes."""
    from phonolake.stages import forget as stage
    from phonolake.store.lake import Lake

    config = stage.Config(lake, track_ids, why)
    columns = ("where", "rows", "files")
    if dry_run:
        emit([(r.where, r.rows, r.files) for r in stage.plan(config)], form, columns=columns)
        return
    removed = stage.run(config)
    emit([(r.where, r.rows, r.files) for r in removed], form, columns=columns)
    left = stage.verify(Lake.open(lake), track_ids)
    for path in left:
        click.echo(f"{path} still holds rows of these tracks.", err=True)
    click.echo("Weights of models that were trained on them stay as they are." if not left else "", err=True)
    context.exit(1 if left else 0)


for command in (imports.import_splits, imports.remove_split):
    splits.add_command(command)
COMMANDS = (duplicates, splits, runs, licences, forget)
