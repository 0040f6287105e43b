"""The summary of `phonolake run`: ingested and rejected files with reasons, test figures, next commands."""

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import duckdb

    from phonolake.analysis.results.evaluation import FigureOnTest
    from phonolake.store.outcomes import Outcome

METRICS = ("accuracy", "roc-auc")


def tell_stage(outcomes: "Sequence[Outcome]") -> None:
    """One line for each outcome of a stage; for logs."""
    for o in outcomes:
        note = f" ({o.note})" if o.note else ""
        click.echo(f"{o.stage}{note}: {o.inputs} in, {o.outputs} out, {o.rejects} left out", err=True)


def tell(lake: str, outcomes: "Sequence[Outcome]") -> None:
    """Print the summary on standard error, so that it does not mix with rows."""
    from phonolake.store import query
    from phonolake.store.lake import Lake

    with query.connect(Lake.open(lake)) as connection:
        for line in (*_taken(connection, outcomes), *_learned(connection, outcomes), *_next(connection, lake)):
            click.echo(line, err=True)


def _taken(connection: "duckdb.DuckDBPyConnection", outcomes: "Sequence[Outcome]") -> Iterator[str]:
    new = sum(o.outputs for o in outcomes if o.stage == "ingest")
    ((tracks,),) = connection.execute("SELECT count(*) FROM tracks").fetchall()
    yield f"\nTaken in: {new} recordings now, {tracks} are in the lake."
    rows = connection.execute(
        "SELECT stage, reason, count(*) AS n, arg_min(detail, track_id), min(track_id) FROM rejects "
        "GROUP BY stage, reason ORDER BY n DESC, stage, reason"
    ).fetchall()
    if not rows:
        yield "Left out: nothing."
    for stage, reason, n, detail, track_id in rows:
        yield f"Left out at {stage}: {n} {reason}, such as {track_id} ({detail})."


def _learned(connection: "duckdb.DuckDBPyConnection", outcomes: "Sequence[Outcome]") -> Iterator[str]:
    from phonolake.analysis.results import evaluation

    runs = [o.run_id for o in outcomes if o.stage == "train" and o.run_id]
    figures = [figure for figure in evaluation.on_test(connection, runs) if figure.metric in METRICS]
    if not figures:
        yield "Learned: no labels; neighbours are by timbre."
    for figure in figures:
        yield f"Learned: {_said(figure)}"


def _said(figure: "FigureOnTest") -> str:
    from phonolake.metrics.intervals import wilson

    interval = ""
    if figure.metric == "accuracy":
        low, high = wilson(round(figure.value * figure.n_tracks), figure.n_tracks)
        interval = f" (95 %: {float(low):.2f} to {float(high):.2f})"
    chance = "" if figure.chance is None else f"; chance is {figure.chance:.2f}"
    return f"{figure.model}, {figure.metric} {figure.value:.2f}{interval} on {figure.n_tracks} test tracks{chance}."


def _next(connection: "duckdb.DuckDBPyConnection", lake: str) -> Iterator[str]:
    ((track_id,),) = connection.execute("SELECT min(track_id) FROM tracks").fetchall()
    where = f"--lake {shlex.quote(lake)}"
    yield "Next:"
    if track_id is not None:
        yield f"  phonolake similar {shlex.quote(track_id)} -k 5 {where}"
    yield f"  phonolake rejects --by reason {where}"
    yield f"  phonolake dashboard {where}"
