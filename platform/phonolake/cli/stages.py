"""Commands that change a lake: one for each stage, and `run` for all of them."""

from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from phonolake.cli import datasets, options, run_summary
from phonolake.cli.output import emit

if TYPE_CHECKING:
    from phonolake.stages.extraction import RecipeNames
    from phonolake.training.recipe import Hardware

INDEX_KINDS = "auto, flat, ivf-sq8, ivf-pq-refine, rabitq or hnsw; by default the index's own, auto for a new one."

# The stages import Ray, PyTorch and DuckDB: they are imported when a command runs, so that help is instant.


@click.command(epilog=options.example("phonolake run music --lake lake"))
@click.argument("folder", metavar="DIR")
@click.option("--source", default="folder", show_default=True, metavar="NAME", help="Layout of DIR; see `datasets`.")
@datasets.ingest_options
@options.lake
@options.seed
@options.max_epochs
@options.pretrained
@options.workers
@options.dry_run
@options.form
def run(
    folder: str,
    source: str,
    name: str | None,
    lake: str,
    seed: int,
    max_epochs: int | None,
    pretrained: str | None,
    dry_run: bool,
    form: str,
    **usable: Any,
) -> None:
    """Do everything for a folder of music: ingest, extract, train, score, index."""
    from phonolake import progress
    from phonolake.stages import ingest as stage
    from phonolake.stages import pipeline

    tagger = pipeline.tagger(pretrained)
    config = pipeline.Config(stage.Config(lake, folder, source, name, **usable), seed, max_epochs, tagger)
    if dry_run:
        datasets.announce(config.ingest, form)
        return
    if progress.watched():
        outcomes = pipeline.run(config)
    else:
        with progress.narrated():
            outcomes = pipeline.run(config, run_summary.tell_stage)
    emit(outcomes, form, of=pipeline.Outcome)
    run_summary.tell(lake, outcomes)


@click.command(epilog=options.example("phonolake extract --features mfcc-120 --spectrogram mel-96-12k --lake lake"))
@options.recipes
@options.lake
@options.workers
@options.dry_run
@options.form
def extract(recipes: "RecipeNames", lake: str, dry_run: bool, form: str) -> None:
    """Compute feature sets and spectrograms for tracks that have none yet."""
    from phonolake.stages import extract as stage

    config = stage.Config(lake, recipes.features, recipes.spectrograms, recipes.configurations, recipes.segments)
    if dry_run:
        rows = [(task.source, ", ".join(stage.names(task))) for task in stage.plan(config)]
        emit(rows, form, columns=("audio_shard", "missing"))
        return
    emit(stage.run(config), form, of=stage.Outcome)


@click.command(epilog=options.example("phonolake split --folds 5 --seed 0 --lake lake"))
@click.option("--folds", type=int, default=5, show_default=True, metavar="N", help="Number of folds.")
@options.labels
@options.lake
@options.seed
@options.form
def split(folds: int, labels: str, lake: str, seed: int, form: str) -> None:
    """Deal tracks into folds with balanced classes and no artist on two sides."""
    from phonolake.stages import split as stage

    emit([stage.run(stage.Config(lake, folds, seed, labels))], form)


READ = (
    click.option("--features", metavar="NAME", help="Feature set that an estimator reads instead of its own."),
    click.option(
        "--embeddings", metavar="NAME", help="Vectors of a network (model or run) that an estimator reads instead."
    ),
    click.option("--spectrogram", metavar="NAME", help="Spectrogram that a network reads instead of its own."),
    click.option(
        "--from-audio", is_flag=True, help="Compute a network's spectrograms from the stored audio as it is read."
    ),
    click.option(
        "--augment",
        multiple=True,
        metavar="NAME",
        help="Augmentation, repeatable: pitch-shift, time-stretch, gain, noise, spec-augment, mixup.",
    ),
    click.option(
        "--preprocessing",
        metavar="NAME",
        help="For decibel spectrograms: (decibel|linear)/(bypass|a-weighted|per-frequency)/(x1|x10).",
    ),
)
LEARNED = (
    options.dataset,
    options.labels,
    options.split,
    click.option(
        "--multi-label/--single-label",
        default=None,
        help="Several labels per track, or one; by default several if a track has several (networks only).",
    ),
    click.option("--top-labels", type=click.IntRange(2), metavar="N", help="Only the N labels with the most tracks."),
)
WHERE = (
    click.option(
        "--workers",
        type=click.IntRange(0),
        metavar="N",
        help="Processes that share each batch of a network; 0: never use Ray.",
    ),
    options.device,
    click.option("--compile", is_flag=True, help="Compile networks with torch.compile first."),
)


def learning_options(command: Any) -> Any:
    """Options for labels, inputs and hardware of a training; the command gets them as `input` and `hardware`."""

    @wraps(command)
    def gathered(
        features: str | None,
        embeddings: str | None,
        spectrogram: str | None,
        workers: int | None,
        device: str,
        compile: bool,
        licence: str | None,
        **others: Any,
    ) -> None:
        from phonolake import execution
        from phonolake.stages import input_choice
        from phonolake.training.recipe import Hardware

        if workers == 0:
            execution.use(0)
        read = _input(features=features, embeddings=embeddings, spectrogram=spectrogram)
        read = input_choice.restricted(others["lake"], read, licence)
        command(input=read, hardware=Hardware(workers or None, device, compile=compile), **others)

    with_options: Any = gathered
    own = (options.licence, options.lake, options.seed, options.max_epochs)
    # The option that is applied last comes first in the help.
    for option in reversed((*READ, *LEARNED, *own, *WHERE, options.dry_run, options.form)):
        with_options = option(with_options)
    return with_options


def _input(**named: str | None) -> str | None:
    given = [f"{kind}:{name}" for kind, name in named.items() if name is not None]
    if len(given) > 1:
        raise click.UsageError("--features, --embeddings and --spectrogram exclude each other: give one")
    return given[0] if given else None


@click.command(epilog=options.example("phonolake train random-forest --lake lake"))
@click.argument("model")
@click.option("--fold", type=int, metavar="N", help="Fold to hold out for the test, if the split has folds.")
@learning_options
def train(
    model: str,
    fold: int | None,
    input: str | None,
    hardware: "Hardware",
    dry_run: bool,
    form: str,
    **choices: Any,
) -> None:
    """Train MODEL (see `models`) and print its test figures beside chance."""
    from phonolake.analysis.results import evaluation
    from phonolake.stages import train as stage
    from phonolake.store import query
    from phonolake.store.lake import Lake

    config = stage.Config(model=model, folds=() if fold is None else (fold,), input=input, **choices)
    if dry_run:
        emit(
            [(task.run_id, len(task.examples.track_ids), len(task.files)) for task in stage.plan(config)],
            form,
            columns=("run_id", "tracks", "shards"),
        )
        return
    runs = [o.run_id or "" for o in stage.run(config, hardware)]
    with query.connect(Lake.open(config.lake)) as connection:
        emit(evaluation.on_test(connection, runs), form, of=evaluation.FigureOnTest)


@click.command(epilog=options.example("phonolake crossval random-forest --lake lake"))
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@learning_options
def crossval(
    models: tuple[str, ...],
    input: str | None,
    hardware: "Hardware",
    dry_run: bool,
    form: str,
    **choices: Any,
) -> None:
    """Cross-validate models over the folds of a split; print mean and standard deviation of each."""
    from phonolake.analysis.results import evaluation
    from phonolake.stages import crossval as stage
    from phonolake.store import query
    from phonolake.store.lake import Lake

    config = stage.Config(models=models, input=input, **choices)
    if dry_run:
        rows = [(request.model, request.split, fold) for request in stage.plan(config) for fold in request.folds]
        emit(rows, form, columns=("model", "split", "test_fold"))
        return
    runs = [o.run_id or "" for o in stage.run(config, hardware)]
    with query.connect(Lake.open(config.lake)) as connection:
        summaries = evaluation.over_folds(connection, runs)
        emit(summaries, form, of=evaluation.FoldSummary)
        for said in {stage.missing_folds(connection, s.split, s.n_folds) for s in summaries} - {""}:
            click.echo(said, err=True)


@click.command(epilog=options.example("phonolake score --lake lake"))
@click.option("--run", "runs", multiple=True, metavar="RUN_ID", help="Trained model; the newest of each by default.")
@click.option("--layer", metavar="NAME", help="Also store this layer of the networks, in the table activations.")
@click.option("--segments", is_flag=True, help="Store activations of each window instead of each track.")
@options.licence
@options.lake
@options.device
@options.workers
@options.dry_run
@options.form
def score(lake: str, device: str, dry_run: bool, form: str, **choices: Any) -> None:
    """Give every track predictions and an embedding."""
    from phonolake.stages import score as stage

    config = stage.Config(lake, **choices)
    if dry_run:
        emit([(t.run_id, t.source) for t in stage.plan(config)], form, columns=("run_id", "shard"))
        return
    emit(stage.run(config, device), form, of=stage.Outcome)


@click.command(epilog=options.example("phonolake index --lake lake"))
@click.option("--again", is_flag=True, help="Also rebuild indexes that are up to date.")
@click.option("--kind", metavar="KIND", help=INDEX_KINDS)
@click.option("--recall", type=float, metavar="R", help="Required share of the 10 nearest; .98 for a new one.")
@click.option("--seed", type=click.IntRange(0), metavar="S", help="Random seed; 0 for a new one.")
@click.option("--partition", type=click.IntRange(1), metavar="N", help="Most tracks of a segment (ten million).")
@options.workers
@options.licence
@options.lake
@options.form
def index(lake: str, form: str, **choices: Any) -> None:
    """Build the FAISS indexes that are missing or out of date; new vectors are added to existing ones."""
    from phonolake.stages import index as stage

    emit(stage.run(stage.Config(lake, **choices)), form, of=stage.Outcome)


COMMANDS = (run, extract, split, train, crossval, score, index)
