"""`phonolake labels validate`, `evaluation` and `noise`: how often given labels are right, and which look wrong."""

from typing import Any

import click

from phonolake.cli import options
from phonolake.cli.kept import keep, save
from phonolake.cli.output import emit
from phonolake.errors import UsageError


@click.command(epilog=options.example("phonolake labels validate --source dataset --annotator ann --lake lake"))
@click.option("--source", default="dataset", show_default=True, metavar="SOURCE", help="Given labels, by who says so.")
@click.option("--annotator", metavar="NAME", help="Annotator who listened again; the majority of all by default.")
@click.option("--second", metavar="NAME", help="Annotator of a second, random sample; prints the check.")
@click.option("--answers", metavar="FILE", help="CSV label,given,answer that replaces a lake's annotations.")
@click.option("--counts", metavar="FILE", help="CSV label,count: tracks with each label, with --answers.")
@click.option("--tracks", type=click.IntRange(1), metavar="T", help="Tracks of the collection, with --answers.")
@click.option("--second-answers", metavar="FILE", help="CSV label,answer of a second sample; prints the check.")
@options.dataset
@options.confidence
@options.seed
@options.optional_lake
@save
@options.form
def validate(
    source: str,
    annotator: str | None,
    second: str | None,
    answers: str | None,
    counts: str | None,
    tracks: int | None,
    second_answers: str | None,
    dataset: str | None,
    confidence: float,
    seed: int,
    lake: str | None,
    save: bool,
    form: str,
) -> None:
    """Print how often given labels are right, as heard by raters: error rates, recall, estimated true counts."""
    from phonolake.analysis.labels import ground_truth, reannotation
    from phonolake.stages import analyse
    from phonolake.store import query
    from phonolake.store.lake import Lake

    again = None
    if answers is not None:
        if counts is None or tracks is None:
            raise UsageError("--answers need --counts and --tracks: how common the labels are in the collection")
        found, given = reannotation.read_answers_csv(answers), reannotation.read_counts_csv(counts, tracks)
    elif lake is not None:
        opened = Lake.open(lake)
        versions = analyse.versions(opened, "annotations", "labels", "tracks")
        with query.connect(opened) as connection:
            found = reannotation.read_answers(connection, source=source, rater=annotator, dataset=dataset)
            given = reannotation.read_counts(connection, source=source, dataset=dataset)
            if second is not None:
                again = reannotation.read_answers(connection, source=source, rater=second, dataset=dataset)
    else:
        raise UsageError("answers come from a lake or from a file: give either --lake or --answers")
    if second_answers is not None:
        again = reannotation.read_answers_csv(second_answers)
    rows = ground_truth.validate_all(found, given, confidence=confidence, seed=seed)
    if answers is None and lake is not None and save:
        asked = {"labels": source, "annotator": annotator, "dataset": dataset, "confidence": confidence, "seed": seed}
        keep(lake, "label_validations", asked, versions, rows)
    if again is None:
        emit(rows, form, of=ground_truth.Validation)
    else:
        emit(ground_truth.check_all(rows, again, confidence=confidence), form, of=ground_truth.SecondSample)


@click.command(epilog=options.example("phonolake labels evaluation --annotator ann --lake lake"))
@click.option("--source", default="dataset", show_default=True, metavar="SOURCE", help="Given labels, by who says so.")
@click.option("--annotator", metavar="NAME", help="Annotator who listened again; the majority of all by default.")
@click.option("--run", "runs", multiple=True, metavar="RUN_ID", help="Run to evaluate; all possible ones by default.")
@options.licence
@options.lake
@save
@options.form
def evaluation(
    source: str,
    annotator: str | None,
    runs: tuple[str, ...],
    licence: str | None,
    lake: str,
    save: bool,
    form: str,
) -> None:
    """Print the ROC-AUC of runs by given and by annotated labels, and whether both rank the runs in the same order."""
    from phonolake.analysis.labels import evaluation_check, reannotation
    from phonolake.lookup import licensed
    from phonolake.stages import analyse
    from phonolake.store import query

    opened = licensed.opened(lake, licence)
    versions = analyse.versions(opened, "annotations", "labels", "predictions")
    with query.connect(opened) as connection:
        answers = reannotation.read_answers(connection, source=source, rater=annotator)
        found = evaluation_check.check_runs(connection, answers, source=source, runs=runs)
    rows = evaluation_check.as_rows(found)
    if save:
        keep(
            lake, "evaluation_checks", {"labels": source, "annotator": annotator, "runs": runs}, versions, rows, licence
        )
    for rho in (found.rho_1, found.rho_2):
        click.echo(
            f"{rho.name} ({rho.between}): {rho.value:.3f} [{rho.low:.3f}, {rho.high:.3f}], {rho.n_runs} runs", err=True
        )
    emit([tuple(row.values()) for row in rows], form, columns=tuple(rows[0]))


@click.command(epilog=options.example("phonolake labels noise --kind missing-positive --top 10 --lake lake"))
@click.option("--source", default="dataset", show_default=True, metavar="SOURCE",
              help="Source of the labels to check.")  # fmt: skip
@click.option("--kind", default="false-positive", show_default=True, metavar="KIND",
              help="false-positive (a given label) or missing-positive.")  # fmt: skip
@click.option("--label", metavar="NAME", help="Suspects of this label only.")
@click.option("--model", metavar="NAME", help="Model or run whose held-out predictions count; all by default.")
@click.option("--rates", is_flag=True, help="Print the estimated noise of every label instead of suspects.")
@click.option("--truth", metavar="FILE", help="CSV of true labels: print how accurate suspects and estimates are.")
@options.dataset
@options.top(20)
@options.licence
@options.lake
@save
@options.form
def noise(
    source: str,
    kind: str,
    label: str | None,
    model: str | None,
    rates: bool,
    truth: str | None,
    dataset: str | None,
    top: int,
    licence: str | None,
    lake: str,
    save: bool,
    form: str,
) -> None:
    """Print labels that look wrong, with the evidence, or their estimated number; needs predictions of `crossval`."""
    from phonolake.analysis.labels import noise_grading, noise_rates, noise_suspects
    from phonolake.lookup import embeddings, held_out, licensed
    from phonolake.stages import analyse
    from phonolake.store import query

    opened = licensed.opened(lake, licence)
    versions = analyse.versions(opened, "predictions", "labels", "embeddings", "tracks")
    asked: dict[str, Any] = {"labels": source, "model": model, "dataset": dataset}
    with query.connect(opened) as connection:
        held = held_out.read_held_out(connection, source=source, dataset=dataset, model=model)
        if truth is not None:
            aligned = noise_grading.align_truth(connection, held, noise_grading.read_truth(truth))
            emit(noise_grading.grade(*aligned), form, of=noise_grading.Grade)
            return
        near = None if rates else embeddings.read(connection, held.track_ids)
    noise = noise_rates.estimate(held)
    if rates:
        if save:
            keep(lake, "noise_rates", asked, versions, noise.rates, licence)
        emit(noise.rates, form, of=noise_rates.NoiseRate)
        click.echo(noise.said, err=True)
        return
    found = noise_suspects.suspects(held, noise, kind=kind, label=label, top=top, embeddings=near)
    if save:
        keep(lake, "label_suspects", asked | {"kind": kind, "label": label, "top": top}, versions, found, licence)
    emit(found, form, of=noise_suspects.LabelSuspect)
    click.echo(noise_suspects.headline(held, noise, kind=kind, label=label), err=True)


COMMANDS = (validate, evaluation, noise)
