"""Options that mean the same in every command."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from phonolake.errors import PhonolakeError

lake = click.option(
    "--lake",
    required=True,
    envvar="PHONOLAKE_LAKE",
    show_envvar=True,
    metavar="L",
    help="Folder or address of the lake.",
)
lake_or_home = click.option(
    "--lake",
    envvar="PHONOLAKE_LAKE",
    show_envvar=True,
    metavar="L",
    help="Folder of the lake; without, the model is from the model home.",
)
optional_lake = click.option(
    "--lake", envvar="PHONOLAKE_LAKE", show_envvar=True, metavar="L", help="Folder of the lake; not with --matrix."
)
form = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    show_default=True,
    help="How rows are printed on standard output.",
)
seed = click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="S", help="Random seed.")


def _use(context: click.Context, parameter: click.Parameter, value: int | None) -> None:
    from phonolake import execution

    if value is not None:
        execution.use(value)


workers = click.option(
    "--workers",
    type=click.IntRange(0),
    metavar="N",
    expose_value=False,
    callback=_use,
    help="Cores of an embedded Ray; 0: never use Ray. By default little work runs without.",
)
dry_run = click.option("--dry-run", is_flag=True, help="Print what would be done, and do nothing.")
dataset = click.option("--dataset", metavar="NAME", help="Only tracks of this dataset.")
labels = click.option(
    "--labels",
    default="dataset",
    show_default=True,
    metavar="SOURCE",
    help="Source of the labels to learn; resolved: the dataset's, corrected by annotations.",
)
split = click.option(
    "--split", metavar="NAME", help="Split to use; by default the dataset's own, else the random folds."
)
max_epochs = click.option("--max-epochs", type=click.IntRange(1), metavar="N", help="Instead of the network's recipe.")


def _check_licence(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        from phonolake.lookup import licences

        licences.check_kind(value)
    return value


def licence(command: Any) -> Any:
    """The option ``--licence KIND``; errors then say that the command did not see everything."""

    @wraps(command)
    def restricted(*arguments: Any, licence: str | None, **others: Any) -> Any:
        try:
            return command(*arguments, licence=licence, **others)
        except PhonolakeError as error:
            if licence is not None:
                error.args = (f"{error} (only with licences of the kind {licence!r})",)
            raise

    return click.option(
        "--licence", metavar="KIND", callback=_check_licence,
        help="Use only models and vectors with licences of this kind, such as permissive.",
    )(restricted)  # fmt: skip


pretrained = click.option(
    "--pretrained",
    metavar="NAME",
    help="Tagger of the model home for tags and embeddings, or none; by default one of musicnn if it is there.",
)
confidence = click.option(
    "--confidence", type=click.FloatRange(0, 1, True, True), default=0.95, show_default=True, metavar="P",
    help="Probability that an interval covers the true value.",
)  # fmt: skip
device = click.option(
    "--device", default="auto", show_default=True, metavar="D", help="cpu, cuda, or auto: GPUs where Ray has some."
)


def recipes(command: Any) -> Any:
    """Options that name feature sets and spectrograms; the command gets them as `recipes`, a `RecipeNames`."""

    @wraps(command)
    def gathered(
        features: tuple[str, ...],
        spectrograms: tuple[str, ...],
        configurations: tuple[str, ...],
        segments: float | None,
        hop: float | None,
        **others: Any,
    ) -> None:
        from phonolake.features.contract import Segments
        from phonolake.stages.extraction import RecipeNames

        if hop is not None and segments is None:
            raise click.UsageError("--hop is the distance between --segments: give both")
        pieces = None if segments is None else Segments(round(segments * 1000), round((hop or segments) * 1000))
        texts = tuple(map(_text_of, configurations))
        command(recipes=RecipeNames(features, spectrograms, texts, pieces), **others)

    with_options: Any = gathered
    for option in reversed(
        (
            click.option("--features", multiple=True, metavar="NAME", help="Feature set; may be given several times."),
            click.option(
                "--spectrogram",
                "spectrograms",
                multiple=True,
                metavar="NAME",
                help="Spectrogram; may be given several times.",
            ),
            click.option(
                "--spectrogram-config",
                "configurations",
                multiple=True,
                metavar="FILE|NAME:sr=N,...",
                help="Spectrogram of your own: a JSON file with its name and parameters, or both inline; repeatable.",
            ),
            click.option(
                "--segments",
                type=click.FloatRange(0.001),
                metavar="SECONDS",
                help="One row for each segment of this length.",
            ),
            click.option(
                "--hop",
                type=click.FloatRange(0.001),
                metavar="SECONDS",
                help="Distance between the starts of segments.",
            ),
        )
    ):
        with_options = option(with_options)
    return with_options


def _text_of(configuration: str) -> str:
    """The text of a configuration file; one given inline has a colon after its name."""
    from phonolake.store import mirror

    if ":" in configuration and not mirror.is_remote(configuration):
        return configuration
    with mirror.brought(configuration) as path:
        return path.read_text(encoding="utf-8")


def top(default: int | None) -> Callable[..., Any]:
    """The option ``--top N``: the number of rows printed."""
    return click.option(
        "--top", type=click.IntRange(1), default=default, show_default=True, metavar="N", help="Maximum number of rows."
    )


def example(text: str) -> str:
    """Epilogue of a command's help: one example that runs as it stands."""
    return f"\b\nExample:\n  {text}"
