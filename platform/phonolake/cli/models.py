"""Commands about models: the registry, published weights, tags for any file, and pictures of filters."""

from typing import Any

import click

from phonolake.cli import options
from phonolake.cli.output import emit
from phonolake.errors import UsageError

calibrate = click.option(
    "--calibrate",
    metavar="MUSIC",
    help="Lake or folder of recordings for the statistics that choi-msd needs.",
)
register = click.option(
    "--lake", envvar="PHONOLAKE_LAKE", show_envvar=True, metavar="L", help="Also add it as a run to this lake."
)
# Options of `models import` for models without a name of their own here; the others take --calibrate.
OPTIONS = {
    "onnx": ("--card", "--name"),
    "transformers": ("--name", "--layer", "--window", "--licence", "--origin", "--no-text"),
}


@click.group(invoke_without_command=True)
@options.form
@click.pass_context
def models(context: click.Context, form: str) -> None:
    """List or show models, import or fetch published weights, or draw filters."""
    if context.invoked_subcommand is None:
        _list(form)


@models.command("list", epilog=options.example("phonolake models list --format csv"))
@options.form
def list_models(form: str) -> None:
    """List the models that you can train, import or extract with."""
    _list(form)


def _list(form: str) -> None:
    from phonolake.models import registry

    rows = [(card.name, card.kind, card.input, card.summary, card.source) for card in registry.cards()]
    emit(rows, form, columns=("model", "kind", "input", "summary", "source"))


@models.command(epilog=options.example("phonolake models show k2c2"))
@click.argument("name")
@options.form
def show(name: str, form: str) -> None:
    """Print the card of model NAME: paper, input, parameters, recipe and known deviations."""
    from phonolake.models import cards

    emit(cards.rows(name), form, columns=("about", "text"))


@models.command(
    "import", epilog=options.example("phonolake models import choi-msd weights_theano.hdf5 --calibrate music")
)
@click.argument("name")
@click.argument("file", metavar="FILE")
@calibrate
@click.option("--card", metavar="CARD.json", help="Inputs, outputs and licence of an ONNX file; with onnx.")
@click.option("--name", "called", metavar="NAME", help="Name for an ONNX file or a folder.")
@click.option("--layer", type=int, metavar="N", help="Layer of a transformers encoder; the last by default.")
@click.option("--window", "seconds", type=click.FloatRange(0, min_open=True), metavar="S", help="Its window, seconds.")
@click.option("--licence", metavar="TEXT", help="Licence of such a folder; that of its README.md by default.")
@click.option("--origin", metavar="TEXT", help="Its origin, such as an address; its name by default.")
@click.option(
    "--no-text", "text", is_flag=True, flag_value=False, default=True, help="Import it without its text tower."
)
@register
@options.form
def import_model(
    name: str,
    file: str,
    calibrate: str | None,
    card: str | None,
    called: str | None,
    lake: str | None,
    form: str,
    text: bool,
    **of_folder: Any,
) -> None:
    """Import published weights from FILE into the model home.

    NAME is a model such as choi-msd, FILE the path or address of what its authors published: for musicnn's networks the
    wheel or its folder. With the NAME onnx, FILE is any ONNX file, and --card describes it. With the NAME transformers,
    FILE is a folder with a configuration and safetensors, such as of CLAP, HuBERT or AST.
    """
    given = {"--calibrate": calibrate, "--card": card, "--name": called, "--no-text": None if text else True}
    given |= {"--window" if key == "seconds" else f"--{key}": value for key, value in of_folder.items()}
    for option, value in given.items():
        if value is not None and option not in OPTIONS.get(name, ("--calibrate",)):
            raise UsageError(f"{option} does not apply to {name}: leave it out")
    if name == "onnx":
        from phonolake.stages import import_onnx

        if card is None:
            raise UsageError("an ONNX file needs --card CARD.json, which describes its inputs")
        emit(import_onnx.run(import_onnx.Config(file, card, called, lake)), form, of=import_onnx.Outcome)
    elif name == "transformers":
        from phonolake.models.importers.transformers_folder import EncoderChoice
        from phonolake.stages import import_transformers

        choice = EncoderChoice(called, text=text, **of_folder)
        emit(
            import_transformers.run(import_transformers.Config(file, choice, lake)),
            form,
            of=import_transformers.Outcome,
        )
    else:
        from phonolake.stages import import_model as stage

        emit(stage.run(stage.Config(name, file, calibrate, lake)), form, of=stage.Outcome)


@models.command(epilog=options.example("phonolake models fetch choi-msd --calibrate music"))
@click.argument("name")
@click.option("--url", metavar="URL", help="Another address of the same file.")
@calibrate
@register
@options.form
def fetch(name: str, url: str | None, calibrate: str | None, lake: str | None, form: str) -> None:
    """Download published weights and check them.

    NAME is a model such as choi-msd, musicnn-msd or vgg-msd.
    """
    from phonolake.stages import fetch_model as stage

    emit(stage.run(stage.Config(name, url, calibrate, lake)), form, of=stage.Outcome)


@models.command(epilog=options.example("phonolake models filters sample-3-9 --out filters --lake lake"))
@click.argument("model", metavar="RUN_OR_MODEL")
@click.option("--out", required=True, metavar="DIR", help="Folder for filters.png and filters.parquet.")
@click.option(
    "--steps", type=click.IntRange(1), default=30, show_default=True, metavar="N", help="Steps of gradient ascent."
)
@options.licence
@options.lake_or_home
@options.seed
@options.form
def filters(model: str, out: str, steps: int, licence: str | None, lake: str | None, seed: int, form: str) -> None:
    """Draw the spectra to which the filters of a sample-level network respond most."""
    from phonolake.stages import filters as stage

    emit(stage.run(stage.Config(model, out, lake, steps, seed, licence)), form, of=stage.LayerSummary)
    click.echo(f"Wrote {stage.FIGURE} and {stage.TABLE} to {out}.", err=True)


@click.command(epilog=options.example("phonolake tag song.ogg --top 5"))
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--model", default="choi-msd", show_default=True, metavar="NAME", help="Tagger in the model home.")
@options.top(5)
@options.licence
@options.form
def tag(files: tuple[str, ...], model: str, top: int, licence: str | None, form: str) -> None:
    """Tag audio files, given by path or address, with a pretrained tagger."""
    from phonolake.inference import tagging
    from phonolake.lookup import licences
    from phonolake.models import home

    if licence is not None:
        licences.check_card(model, home.card(model), licence)
    emit(tagging.tag(files, model=model, top=top), form, of=tagging.Tag)


COMMANDS = (models, tag)
