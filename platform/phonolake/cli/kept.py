"""Store the results of analyses in the lake."""

from collections.abc import Iterable, Mapping
from typing import Any

import click

save = click.option(
    "--save/--no-save", default=True, show_default=True, help="Store the result in a table of the lake."
)


def keep(
    lake: str,
    table: str,
    parameters: Mapping[str, Any],
    versions: Mapping[str, int],
    rows: Iterable[Any],
    licence: str | None = None,
) -> None:
    """Write a result to its table, and print its run_id on standard error.

    `licence` is the kind of licences to which the analysis was restricted, if any: a parameter like any other.
    """
    from phonolake.stages import analyse

    parameters = parameters if licence is None else {**parameters, "licence": licence}
    outcome = analyse.run(analyse.Config(lake, table, parameters, versions), rows)
    click.echo(f"Kept in {table}, run_id = '{outcome.run_id}' ({outcome.outputs} rows).", err=True)
