"""`phonolake demo`: synthetic music with known truth, run through every stage."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from phonolake.cli import options
from phonolake.cli.output import emit

if TYPE_CHECKING:
    from phonolake.demo import Summary


@click.command(epilog=options.example("phonolake demo demo --tracks 240"))
@click.argument("folder", metavar="[DIR]", default="demo", type=click.Path(path_type=Path))
@click.option("--tracks", type=click.IntRange(80), default=256, show_default=True, metavar="N", help="Tracks.")
@click.option("--epochs", type=click.IntRange(1), default=10, show_default=True, metavar="N", help="Of the network.")
@options.pretrained
@options.seed
@options.workers
@options.form
def demo(folder: Path, tracks: int, epochs: int, pretrained: str | None, seed: int, form: str) -> None:
    """Make a synthetic corpus in DIR and run every stage on it."""
    from phonolake import demo as whole
    from phonolake.inference import tagging
    from phonolake.models import home
    from phonolake.records import Seconds
    from phonolake.stages import pipeline
    from phonolake.synthesis import fma

    corpus = fma.Config(n_tracks=tracks, seed=seed, label_noise=0.1, n_corrupt=12, duration=Seconds(8))
    summary = whole.run(whole.Config(folder, corpus, epochs, pipeline.tagger(pretrained)))
    _print(summary, form)
    lake = folder / whole.LAKE
    click.echo(
        f"\nAsk:    phonolake sql \"SELECT * FROM neighbors('{summary.track_id}', 5)\" --lake {lake}\n"
        f"Listen: phonolake dashboard --lake {lake}",
        err=True,
    )
    if home.has(tagging.TAGGER):
        name = summary.track_id.partition(":")[2] + ".mp3"
        click.echo(f"Tag:    phonolake tag {next((folder / whole.MUSIC).rglob(name))}", err=True)


def _print(summary: "Summary", form: str) -> None:
    from phonolake.analysis.collection import neighbours
    from phonolake.analysis.results import evaluation
    from phonolake.store.outcomes import Outcome

    def title(text: str) -> None:
        click.echo(f"\n{text}", err=form != "table")

    title("What each stage did (inputs = outputs + rejects)")
    emit(summary.outcomes, form, of=Outcome)
    title("Rejects")
    emit(summary.rejects, form, columns=("reason", "inputs", "example"))
    title("Test figures, beside chance")
    emit(summary.figures, form, of=evaluation.FigureOnTest)
    title(f"Tracks that sound like {summary.track_id} ({summary.label})")
    emit(summary.neighbours, form, of=neighbours.Neighbour)
    if summary.tags:
        title(f"Tags of it by a tagger that was trained on other music ({summary.tags[0][0]})")
        emit(summary.tags, form, columns=("model", "tag", "probability"))
    title(
        f"Suspected labels: of the first {summary.n_planted}, {summary.precision:.0%} are truly wrong "
        f"(of all tracks, {summary.chance:.0%})"
    )
    rows = [(s.rank, s.track_id, s.label, s.instead, s.doubt, wrong) for s, wrong in summary.suspects]
    emit(rows, form, columns=("rank", "track_id", "given", "suggested", "margin", "wrong_in_truth"))


COMMANDS = (demo,)
