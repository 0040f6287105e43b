"""Keep the answers of analyses in the lake."""

from collections.abc import Iterable, Mapping
from typing import Any

import click

save = click.option("--save/--no-save", default=True, show_default=True, help="Keep the answer in a table of the lake.")


def keep(
    lake: str,
    table: str,
    parameters: Mapping[str, Any],
    versions: Mapping[str, int],
    rows: Iterable[Any],
    licence: str | None = None,
) -> None:
    """Write an answer to its table, and say on standard error under which run it is found.

    `licence` is the kind of licences that the question kept to: it is a parameter like any other where there is one.
    """
    from phonolake.stages import analyse

    parameters = parameters if licence is None else {**parameters, "licence": licence}
    outcome = analyse.run(analyse.Config(lake, table, parameters, versions), rows)
    click.echo(f"Kept in {table}, run_id = '{outcome.run_id}' ({outcome.outputs} rows).", err=True)
