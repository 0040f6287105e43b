"""The command `phonolake`: one-line errors, exit code 2 for an invalid request and 1 for failed work."""

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import click

from phonolake.cli import (
    annotations,
    benchmark,
    blame,
    capacity,
    datasets,
    demo,
    downloads,
    embeddings,
    imports,
    labels,
    models,
    neighbours,
    output,
    questions,
    reports,
    serve,
    signals,
    stages,
    studies,
)
from phonolake.errors import PhonolakeError
from phonolake.lineage import CODE_VERSION

INTERRUPTED = 130


class Whole(click.Group):
    """The group of all commands. Click alone prints an empty line on Ctrl-C, and exits silently on a closed pipe."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except KeyboardInterrupt as error:
            raise click.Abort from error
        except BrokenPipeError as error:
            raise PhonolakeError(blame.OUTPUT) from error


def _say_in_full(group: click.Group) -> None:
    """Show the whole first sentence in lists of commands; click cuts it at 45 letters."""
    for command in group.commands.values():
        paragraph = " ".join((command.help or "").split("\n\n")[0].split())
        command.short_help = paragraph.split(". ")[0].removesuffix(".")
        if isinstance(command, click.Group):
            _say_in_full(command)


@click.group(cls=Whole, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(CODE_VERSION, prog_name="phonolake")
def phonolake() -> None:
    """From a folder of music to tags, neighbours, SQL and a dashboard.

    Commands about a lake take --lake L (or PHONOLAKE_LAKE). What is read (music, a table, a model) is a path or an
    address such as s3://music/moods.csv. Rows are printed with --format table, csv or json; --debug shows the full
    traceback of an error.
    """


MODULES = (
    *(datasets, downloads, stages, embeddings, neighbours, questions, capacity, annotations, serve),
    *(labels, imports, reports, models, benchmark, studies, demo),
)
for command in (command for module in MODULES for command in module.COMMANDS):
    phonolake.add_command(command)
_say_in_full(phonolake)


def run(words: Sequence[str]) -> int:
    """Run the command line; returns the exit code instead of raising."""
    debug = "--debug" in words or bool(os.environ.get("PHONOLAKE_DEBUG"))
    arguments = [word for word in words if word != "--debug"]
    try:
        from phonolake import execution

        with execution.session(), output.forgiving():
            # Without standalone mode click returns the exit code of a command.
            code = phonolake.main(arguments or ["--help"], prog_name="phonolake", standalone_mode=False)
    except KeyboardInterrupt:
        return _fail(signals.SAID, INTERRUPTED)
    except Exception as error:
        if debug and not isinstance(error, click.exceptions.Exit):
            raise
        return _explain(error)
    return code if isinstance(code, int) else 0


def _explain(error: Exception) -> int:
    """Print a one-line error and choose the exit code."""
    if isinstance(error, click.Abort):
        return _fail(signals.SAID, INTERRUPTED)
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx else "phonolake"
        return _fail(f"{error.format_message().rstrip('.')}; see `{path} --help`", blame.USAGE)
    if isinstance(error, click.ClickException):
        return _fail(error.format_message(), blame.USAGE)
    if isinstance(error, PhonolakeError):
        return _fail(str(error), error.exit_code)
    return _fail(*blame.explain(error))


def _fail(message: str, code: int) -> int:
    with suppress(OSError):  # nobody is there to hear it
        click.echo("phonolake: " + " ".join(message.split()), err=True)
    return code
