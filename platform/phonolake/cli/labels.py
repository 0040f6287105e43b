"""`phonolake labels`: which labels go together, are alike, hold, or are doubtful.

With a lake each answer is kept in a table of its own, with its parameters, unless ``--no-save`` is given.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from phonolake.cli import imports, label_classes, options
from phonolake.cli.kept import keep, save
from phonolake.cli.output import emit
from phonolake.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from phonolake.lookup.label_matrix import LabelMatrix

optional_lake = click.option(
    "--lake", envvar="PHONOLAKE_LAKE", show_envvar=True, metavar="L", help="Folder of the lake; not with --matrix."
)
matrix_file = click.option("--matrix", metavar="FILE", help="Labels of a .npy or sparse .npz file instead of a lake.")
names_file = click.option("--names", metavar="FILE", help="Names of the columns of --matrix, one a line.")
confidence = click.option(
    "--confidence", type=click.FloatRange(0, 1, True, True), default=0.95, show_default=True, metavar="P",
    help="Chance that an interval holds the true value.",
)  # fmt: skip


def said_by(default: str | None) -> Any:
    """The option ``--labels SOURCE``: whose labels are meant."""
    return click.option(
        "--labels", "--source", "source", default=default, show_default=default or "all", metavar="SOURCE",
        help="Labels to ask about, by who says so.",
    )  # fmt: skip


@click.group()
def labels() -> None:
    """Ask which labels go together, are alike, hold, or are doubtful."""


def _labels_of(
    lake: str | None, matrix: str | None, names: str | None, source: str | None, dataset: str | None
) -> "tuple[LabelMatrix, dict[str, int]]":
    """The labels of files, or of a lake with the versions of its tables."""
    from phonolake.lookup import label_matrix
    from phonolake.stages import analyse
    from phonolake.store import query
    from phonolake.store.lake import Lake

    if (matrix is None) == (lake is None):
        raise UsageError("labels come from a lake or from a file: give either --lake or --matrix")
    if matrix is not None:
        return label_matrix.read_matrix(matrix, names), {}
    if names is not None:
        raise UsageError("--names are those of the columns of --matrix; a lake knows its labels")
    opened = Lake.open(lake or "")
    versions = analyse.versions(opened, "labels", "tracks")
    with query.connect(opened) as connection:
        found = label_matrix.read_labels(connection, source=source, dataset=dataset)
    label_matrix.check_some(found, source)
    return found, versions


@labels.command(epilog=options.example("phonolake labels cooccurrence --matrix test_y.npy --names tags.txt --top 20"))
@click.option("--show", default="pairs", show_default=True, metavar="WHAT", help="pairs, hierarchy or synonyms.")
@click.option("--min-count", type=click.IntRange(1), default=1, show_default=True, metavar="N",
              help="Tracks that the first label of a pair must have.")  # fmt: skip
@matrix_file
@names_file
@said_by(None)
@options.dataset
@confidence
@options.top(20)
@optional_lake
@save
@options.form
def cooccurrence(
    show: str,
    min_count: int,
    matrix: str | None,
    names: str | None,
    source: str | None,
    dataset: str | None,
    confidence: float,
    top: int,
    lake: str | None,
    save: bool,
    form: str,
) -> None:
    """Print pairs of labels by the share of tracks with the first that have the second, or what they suggest."""
    from phonolake.analysis.labels import cooccurrence as analysis
    from phonolake.analysis.labels import relations
    from phonolake.errors import unknown

    if show not in ("pairs", *relations.KINDS):
        raise unknown("answer", show, ("pairs", *relations.KINDS))
    found, versions = _labels_of(lake if matrix is None else None, matrix, names, source, dataset)
    both, n_tracks = analysis.cooccurrence_counts(found.Y_NL), found.Y_NL.shape[0]
    if lake is not None and matrix is None and save:
        pairs = analysis.ranked_pairs(found.labels, both, n_tracks, min_count=min_count, confidence=confidence)
        asked = {"labels": source, "dataset": dataset, "min_count": min_count, "confidence": confidence}
        keep(lake, "cooccurrences", asked, versions, pairs)
    if show == "pairs":
        emit(
            analysis.ranked_pairs(found.labels, both, n_tracks, min_count=min_count, confidence=confidence, top=top),
            form,
            of=analysis.LabelPair,
        )
    else:
        emit(
            relations.suggest(found.labels, both, n_tracks, kind=show, confidence=confidence)[:top],
            form,
            of=relations.Relation,
        )


@labels.command(epilog=options.example("phonolake labels vectors --similarity cosine --top 10 --lake lake"))
@click.option("--model", metavar="NAME", help="Network or run; the newest by default.")
@click.option("--similarity", default="cosine", show_default=True, metavar="KIND", help="cosine or dot.")
@click.option(
    "--show", type=click.Choice(["pairs", "beside", "disagreements"]), default="pairs", show_default=True,
    help="Similar pairs; the same beside co-occurrence; or where the two differ most, with tracks to hear.",
)  # fmt: skip
@matrix_file
@names_file
@said_by("dataset")
@options.dataset
@options.top(20)
@options.lake_or_home
@save
@options.form
def vectors(
    model: str | None,
    similarity: str,
    show: str,
    matrix: str | None,
    names: str | None,
    source: str,
    dataset: str | None,
    top: int,
    lake: str | None,
    save: bool,
    form: str,
) -> None:
    """Print pairs of labels by the similarity of a network's output weights, or beside how people use them."""
    from phonolake.analysis.labels import label_vectors as analysis

    labels, W_KD, versions = _vectors_of(lake, model)
    S_KK = analysis.label_vector_similarity(W_KD, kind=similarity)
    asked = {"model": model, "similarity": similarity}
    if show == "pairs":
        if save and lake is not None:
            keep(lake, "label_similarities", asked, versions, analysis.ranked_pairs(labels, S_KK))
        emit(analysis.ranked_pairs(labels, S_KK, top), form, of=analysis.SimilarLabels)
        return
    found, read = _labels_of(None if matrix else lake, matrix, names, source, dataset)
    labels, S_KK, C_KK = analysis.common_labels(labels, S_KK, found)
    compared = analysis.compare(labels, S_KK, C_KK)
    rho = analysis.rank_correlation(S_KK, C_KK)
    click.echo(f"Rank correlation of similarity and co-occurrence over {len(compared)} pairs: {rho:.3f}", err=True)
    if save and lake is not None and matrix is None:
        keep(lake, "label_similarities", asked | {"labels": source, "dataset": dataset}, versions | read, compared)
    if show == "beside":
        emit(compared[:top], form, of=analysis.VectorPair)
        return
    emit(_with_tracks(found, analysis.disagreements(compared, top)), form, columns=DISAGREEMENT)


def _vectors_of(lake: str | None, model: str | None) -> "tuple[tuple[str, ...], np.ndarray, dict[str, int]]":
    """Labels and output weights of a network of a lake, with the versions of its tables, or of the model home."""
    from phonolake.analysis.labels import label_vectors as analysis
    from phonolake.stages import analyse
    from phonolake.store import query
    from phonolake.store.lake import Lake

    if lake is None:
        if model is None:
            raise UsageError("name a --lake, or a --model of the model home, such as choi-msd")
        return *analysis.label_vectors_at_home(model), {}
    opened = Lake.open(lake)
    versions = analyse.versions(opened, "models")
    with query.connect(opened) as connection:
        return *analysis.label_vectors(opened, connection, model), versions


@labels.command(epilog=options.example("phonolake labels networks choi-msd musicnn-msd vgg-msd"))
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option(
    "--pair", "pairs", multiple=True, nargs=2, metavar="LABEL LABEL",
    help="Pair to look up, which may be repeated; by default three of Choi et al. 2018: alike, seldom together.",
)  # fmt: skip
@click.option("--show", type=click.Choice(["pairs", "correlations"]), default="pairs", show_default=True,
              help="Ranks of pairs, or how far the rankings agree.")  # fmt: skip
@click.option("--within", type=click.FloatRange(0, 1), default=0.05, show_default=True, metavar="SHARE",
              help="First part of all pairs that a pair which holds is in.")  # fmt: skip
@matrix_file
@names_file
@said_by("dataset")
@options.dataset
@options.lake_or_home
@options.form
def networks(
    models: tuple[str, ...],
    pairs: tuple[tuple[str, str], ...],
    show: str,
    within: float,
    matrix: str | None,
    names: str | None,
    source: str,
    dataset: str | None,
    lake: str | None,
    form: str,
) -> None:
    """Compare label vectors of several networks: whether those trained apart take the same labels for alike."""
    from phonolake.analysis.labels import network_agreement as analysis

    vectors = {model: _vectors_of(lake, model)[:2] for model in models}
    used = _labels_of(None if matrix else lake, matrix, names, source, dataset)[0] if matrix or lake else None
    rankings = analysis.align(vectors, used)
    found = analysis.correlations(rankings)
    if show == "correlations":
        emit(found, form, of=analysis.RankCorrelation)
        return
    for c in found:
        click.echo(
            f"Rank correlation over {c.pairs} pairs, {c.first} and {c.second}: {c.rank_correlation:.3f}", err=True
        )
    rows = analysis.places(rankings, pairs, share=within)
    ranked = [*models, *([analysis.USE] if used else [])]
    emit(
        [(row.label_i, row.label_j, *(row.ranks[name] for name in ranked), row.pairs, row.holds) for row in rows],
        form,
        columns=("label_i", "label_j", *ranked, "pairs", "holds"),
    )


DISAGREEMENT = ("kind", "label_i", "label_j", "similarity", "rank", "cooccurrence", "cooccurrence_rank", "surplus",
                "hear_both", "hear_only_i", "hear_only_j")  # fmt: skip


def _with_tracks(found: "LabelMatrix", pairs: tuple[list, list]) -> Iterable[tuple]:
    from dataclasses import astuple

    from phonolake.analysis.labels.label_vectors import tracks_to_hear

    for kind, compared in zip(("alike, seldom together", "together, not alike"), pairs, strict=True):
        for pair in compared:
            hear = tracks_to_hear(found, pair.label_i, pair.label_j)
            yield (kind, *astuple(pair), *(" ".join(hear[name]) for name in ("both", "only_i", "only_j")))


@labels.command(epilog=options.example("phonolake labels validate --source dataset --annotator ann --lake lake"))
@click.option("--source", default="dataset", show_default=True, metavar="SOURCE", help="Given labels, by who says so.")
@click.option("--annotator", metavar="NAME", help="Who listened again; the majority of all by default.")
@click.option("--second", metavar="NAME", help="Who annotated a second sample, drawn at random; prints the check.")
@click.option("--answers", metavar="FILE", help="CSV label,given,answer instead of a lake's annotations.")
@click.option("--counts", metavar="FILE", help="CSV label,count: tracks with each label, with --answers.")
@click.option("--tracks", type=click.IntRange(1), metavar="T", help="Tracks of the collection, with --answers.")
@click.option("--second-answers", metavar="FILE", help="CSV label,answer of a second sample; prints the check.")
@options.dataset
@confidence
@options.seed
@optional_lake
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
    """Print how far given labels hold, by people who listened again: error rates, recall, estimated true counts."""
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


@labels.command(epilog=options.example("phonolake labels evaluation --annotator ann --lake lake"))
@click.option("--source", default="dataset", show_default=True, metavar="SOURCE", help="Given labels, by who says so.")
@click.option("--annotator", metavar="NAME", help="Who listened again; the majority of all by default.")
@click.option("--run", "runs", multiple=True, metavar="RUN_ID", help="Run to measure; all that can be by default.")
@options.lake
@save
@options.form
def evaluation(source: str, annotator: str | None, runs: tuple[str, ...], lake: str, save: bool, form: str) -> None:
    """Print the ROC-AUC of runs by given and by annotated labels, and whether they put the runs in the same order."""
    from phonolake.analysis.labels import evaluation_check, reannotation
    from phonolake.stages import analyse
    from phonolake.store import query
    from phonolake.store.lake import Lake

    opened = Lake.open(lake)
    versions = analyse.versions(opened, "annotations", "labels", "predictions")
    with query.connect(opened) as connection:
        answers = reannotation.read_answers(connection, source=source, rater=annotator)
        found = evaluation_check.check_runs(connection, answers, source=source, runs=runs)
    rows = evaluation_check.as_rows(found)
    if save:
        keep(lake, "evaluation_checks", {"labels": source, "annotator": annotator, "runs": runs}, versions, rows)
    for rho in (found.rho_1, found.rho_2):
        click.echo(
            f"{rho.name} ({rho.between}): {rho.value:.3f} [{rho.low:.3f}, {rho.high:.3f}], {rho.n_runs} runs", err=True
        )
    emit([tuple(row.values()) for row in rows], form, columns=tuple(rows[0]))


@labels.command(epilog=options.example("phonolake labels noise --kind missing-positive --top 10 --lake lake"))
@click.option("--source", default="dataset", show_default=True, metavar="SOURCE",
              help="Labels to doubt, by who says so.")  # fmt: skip
@click.option("--kind", default="false-positive", show_default=True, metavar="KIND",
              help="false-positive (a label that is there) or missing-positive.")  # fmt: skip
@click.option("--label", metavar="NAME", help="Suspects of this label only.")
@click.option("--model", metavar="NAME", help="Model or run whose held-out predictions count; all by default.")
@click.option("--rates", is_flag=True, help="Print the estimated noise of every label instead of suspects.")
@click.option("--truth", metavar="FILE", help="CSV of true labels: print how good suspects and estimates are.")
@options.dataset
@options.top(20)
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
    lake: str,
    save: bool,
    form: str,
) -> None:
    """Print the labels that models doubt, with the evidence, or how many are wrong; needs predictions of `crossval`."""
    from phonolake.analysis.labels import noise_grading, noise_rates, noise_suspects
    from phonolake.lookup import embeddings, held_out
    from phonolake.stages import analyse
    from phonolake.store import query
    from phonolake.store.lake import Lake

    opened = Lake.open(lake)
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
            keep(lake, "noise_rates", asked, versions, noise.rates)
        emit(noise.rates, form, of=noise_rates.NoiseRate)
        click.echo(noise.said, err=True)
        return
    found = noise_suspects.suspects(held, noise, kind=kind, label=label, embeddings=near)
    if save:
        keep(lake, "label_suspects", asked | {"kind": kind, "label": label, "top": top}, versions, found[:top])
    emit(found[:top], form, of=noise_suspects.LabelSuspect)
    click.echo(noise_suspects.headline(held, noise, found, kind=kind), err=True)


for command in (label_classes.classes, imports.import_labels, imports.remove_labels):
    labels.add_command(command)
COMMANDS = (labels,)
