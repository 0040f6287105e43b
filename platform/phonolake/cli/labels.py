"""`phonolake labels`: which labels go together, are similar, are right, or look wrong.

With a lake, each result is stored in a table of its own, with its parameters, unless ``--no-save`` is given.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from phonolake.cli import imports, label_classes, label_quality, options
from phonolake.cli.kept import keep, save
from phonolake.cli.output import emit
from phonolake.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from phonolake.lookup.label_matrix import LabelMatrix

matrix_file = click.option("--matrix", metavar="FILE", help="Labels of a .npy or sparse .npz file instead of a lake.")
names_file = click.option("--names", metavar="FILE", help="Names of the columns of --matrix, one a line.")


def said_by(default: str | None) -> Any:
    """The option ``--labels SOURCE``: the source of the labels."""
    return click.option(
        "--labels", "--source", "source", default=default, show_default=default or "all", metavar="SOURCE",
        help="Source of the labels.",
    )  # fmt: skip


@click.group()
def labels() -> None:
    """Analyse labels: which go together, are similar, are right, or look wrong."""


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
        raise UsageError("--names belongs to --matrix; a lake knows its labels")
    opened = Lake.open(lake or "")
    versions = analyse.versions(opened, "labels", "tracks")
    with query.connect(opened) as connection:
        found = label_matrix.read_labels(connection, source=source, dataset=dataset)
    label_matrix.check_some(found, source)
    return found, versions


@labels.command(epilog=options.example("phonolake labels cooccurrence --matrix test_y.npy --names tags.txt --top 20"))
@click.option("--show", default="pairs", show_default=True, metavar="WHAT", help="pairs, hierarchy or synonyms.")
@click.option("--min-count", type=click.IntRange(1), default=1, show_default=True, metavar="N",
              help="Minimum number of tracks with the first label of a pair.")  # fmt: skip
@matrix_file
@names_file
@said_by(None)
@options.dataset
@options.confidence
@options.top(20)
@options.optional_lake
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
    """Print pairs of labels by the share of tracks with the first that have the second, or relations they suggest."""
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
    help="Similar pairs; the same beside co-occurrence; or where the two differ most, with tracks to listen to.",
)  # fmt: skip
@matrix_file
@names_file
@said_by("dataset")
@options.dataset
@options.top(20)
@options.licence
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
    licence: str | None,
    lake: str | None,
    save: bool,
    form: str,
) -> None:
    """Print pairs of labels by the similarity of a network's output weights, or beside how people use them."""
    from phonolake.analysis.labels import label_vectors as analysis

    labels, W_KD, versions = _vectors_of(lake, model, licence)
    S_KK = analysis.label_vector_similarity(W_KD, kind=similarity)
    asked = {"model": model, "similarity": similarity}
    if show == "pairs":
        if save and lake is not None:
            keep(lake, "label_similarities", asked, versions, analysis.ranked_pairs(labels, S_KK), licence)
        emit(analysis.ranked_pairs(labels, S_KK, top), form, of=analysis.SimilarLabels)
        return
    found, read = _labels_of(None if matrix else lake, matrix, names, source, dataset)
    labels, S_KK, C_KK = analysis.common_labels(labels, S_KK, found)
    compared = analysis.compare(labels, S_KK, C_KK)
    rho = analysis.rank_correlation(S_KK, C_KK)
    click.echo(f"Rank correlation of similarity and co-occurrence over {len(compared)} pairs: {rho:.3f}", err=True)
    if save and lake is not None and matrix is None:
        keep(
            lake,
            "label_similarities",
            asked | {"labels": source, "dataset": dataset},
            versions | read,
            compared,
            licence,
        )
    if show == "beside":
        emit(compared[:top], form, of=analysis.VectorPair)
        return
    emit(_with_tracks(found, analysis.disagreements(compared, top)), form, columns=DISAGREEMENT)


def _vectors_of(
    lake: str | None, model: str | None, licence: str | None
) -> "tuple[tuple[str, ...], np.ndarray, dict[str, int]]":
    """Labels and output weights of a network of a lake, with the versions of its tables, or of the model home."""
    from phonolake.analysis.labels import label_vectors as analysis
    from phonolake.lookup import licences, licensed
    from phonolake.models import home
    from phonolake.stages import analyse
    from phonolake.store import query

    if lake is None:
        if model is None:
            raise UsageError("name a --lake, or a --model of the model home, such as choi-msd")
        found = analysis.label_vectors_at_home(model)
        licences.check_card(model, home.card(model), licence)
        return *found, {}
    opened = licensed.opened(lake, licence)
    versions = analyse.versions(opened, "models")
    with query.connect(opened) as connection:
        return *analysis.label_vectors(opened, connection, model), versions


@labels.command(epilog=options.example("phonolake labels networks choi-msd musicnn-msd vgg-msd"))
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option(
    "--pair", "pairs", multiple=True, nargs=2, metavar="LABEL LABEL",
    help="Pair to look up, repeatable; by default three of Choi et al. 2018 that are similar but seldom together.",
)  # fmt: skip
@click.option("--show", type=click.Choice(["pairs", "correlations"]), default="pairs", show_default=True,
              help="Ranks of pairs, or rank correlations.")  # fmt: skip
@click.option("--within", type=click.FloatRange(0, 1), default=0.05, show_default=True, metavar="SHARE",
              help="Share of all pairs in which a confirmed pair ranks.")  # fmt: skip
@matrix_file
@names_file
@said_by("dataset")
@options.dataset
@options.licence
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
    licence: str | None,
    lake: str | None,
    form: str,
) -> None:
    """Compare label vectors of several networks: do separately trained ones find the same labels similar?"""
    from phonolake.analysis.labels import network_agreement as analysis

    vectors = {model: _vectors_of(lake, model, licence)[:2] for model in models}
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


for command in (*label_quality.COMMANDS, label_classes.classes, imports.import_labels, imports.remove_labels):
    labels.add_command(command)
COMMANDS = (labels,)
