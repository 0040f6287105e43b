"""The figures of the trained models, their errors, and which of two is better."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import charts
import common
import frame
import numpy as np
import pandas as pd
import player
import streamlit as st
from common import View, lacking, page, plain, unless_missing
from evaluation_view import show_evaluation
from origin import where_from

from phonolake.analysis.results import coverage, runs, trainings, triplet_agreement
from phonolake.analysis.results.trainings import FoldScore, Training
from phonolake.errors import PhonolakeError

FIGURES = {"accuracy": "Accuracy", "macro-f1": "Macro F1", "roc-auc": "ROC-AUC", "pr-auc": "PR-AUC"}
BY_EAR = "Checked by ear"
PARTS = ["Classes", "Confusion", "ROC", "Curves", "Compare", "Folds", BY_EAR]
CACHED = {"max_entries": 16, "show_spinner": "Counting …"}
RunIds = tuple[str, ...]
# Of the two trainings in the address.
NAMES = "run", "other"


@st.cache_data(**CACHED)
def read_trainings(snapshot: tuple, _view: View) -> list[Training]:
    """Every training, once per publication."""
    return trainings.trainings(_view.connection)


@st.cache_data(**CACHED)
def read_confusion(snapshot: tuple, annotated: int, _view: View, run_ids: RunIds) -> runs.ConfusionMatrix:
    """The confusions of a training."""
    return runs.confusion(_view.connection, run_ids)


@st.cache_data(**CACHED)
def read_roc(snapshot: tuple, annotated: int, _view: View, run_ids: RunIds, label: str) -> runs.RocCurve:
    """The ROC curve of one class."""
    return runs.roc(_view.connection, run_ids, label)


@st.cache_data(**CACHED)
def read_comparison(
    snapshot: tuple, annotated: int, _view: View, run_a: RunIds, run_b: RunIds
) -> list[coverage.FigureComparison]:
    """The figures of two trainings on their common test tracks."""
    return coverage.compare(_view.connection, run_a, run_b)


@st.cache_data(**CACHED)
def read_difference(snapshot: tuple, annotated: int, _view: View, run_a: RunIds, run_b: RunIds) -> runs.RunComparison:
    """Two trainings on their common test tracks, track by track."""
    return runs.compare(_view.connection, run_a, run_b)


@st.cache_data(**CACHED)
def read_coverage(snapshot: tuple, _view: View) -> list[coverage.SplitCoverage]:
    """On which clips every run was tested."""
    return coverage.runs(_view.connection)


@st.cache_data(**CACHED)
def read_heard(snapshot: tuple, annotated: int, _view: View) -> dict[str, str]:
    """By run, how far its embeddings agree with what was heard in triplets; of both ways to draw, at random first."""
    found = reversed(triplet_agreement.agreement(_view.connection))
    return {one.run_id: f"{one.agreed:.2f} ({one.low:.2f} to {one.high:.2f})" for one in found}


def describe(training: Training) -> str:
    """A training on one line."""
    labels = "" if training.label_source == "dataset" else f" on {training.label_source}"
    return f"{training.model}{labels}, {training.input}, {training.split}"


def choose_trainings(view: View, found: list[Training]) -> tuple[Training, Training | None]:
    """The table of all, a line each: the one that is ticked, and the one that it is compared with."""
    named = [next((n for n, t in enumerate(found) if st.query_params.get(key) in t.run_ids), None) for key in NAMES]
    first = [n for n in named if n is not None] or [0]
    heard = read_heard(view.snapshot, view.annotated, view)
    table = pd.DataFrame(
        {
            "training": f"{t.model}" + ("" if t.label_source == "dataset" else f" on {t.label_source}"),
            "input": t.input,
            "split": t.split,
            "folds": len(t.run_ids) if t.folds[0] is not None else None,
            "n": t.n_tracks or None,
            "chance": t.scores[t.main].chance if t.main else None,
            "seconds": t.seconds,
            "finished": t.finished_at,
            "heard": next((heard[run_id] for run_id in t.run_ids if run_id in heard), None),
        }
        | {metric: written(t.scores.get(metric)) for metric in FIGURES}
        for t in found
    )
    measured = [metric for metric in FIGURES if any(metric in t.scores for t in found)]
    chosen = st.dataframe(
        table,
        hide_index=True,
        placeholder="-",
        height=min(400, 35 * (len(found) + 1) + 2),
        column_order=[
            "training",
            *measured,
            "chance",
            "n",
            "folds",
            *(["heard"] if heard else []),
            "seconds",
            "input",
            "split",
            "finished",
        ],
        column_config={metric: st.column_config.TextColumn(title, width=105) for metric, title in FIGURES.items()}
        | {
            "training": st.column_config.TextColumn("Model", width=130),
            "input": st.column_config.TextColumn("Reads", width=150),
            "split": st.column_config.TextColumn("Split", width=130),
            "heard": st.column_config.TextColumn(
                "Triplets by ear", width=130, help="Share on which its embedding agrees with raters (page Neighbours)"
            ),
            "folds": st.column_config.NumberColumn("Folds", width=50),
            "n": st.column_config.NumberColumn("Test tracks", format="localized", width=85),
            "chance": st.column_config.NumberColumn(
                "Chance", format="%.3f", width=65, help="Chance for the first of the figures"
            ),
            "seconds": st.column_config.NumberColumn("Took (s)", format="%.0f", width=65),
            "finished": st.column_config.DatetimeColumn("Finished (UTC)", format="YYYY-MM-DD HH:mm", width=130),
        },
        on_select="rerun",
        selection_mode="multi-row",
        selection_default={"selection": {"rows": first}},
        key="trainings",
    )
    rows = [n for n in chosen.selection.rows if n < len(found)] or [0]
    both = [found[n] for n in rows[:2]]
    # What is shown without a choice stays out of the address: Back would come to this page again.
    if rows[:2] != first:
        for key, training in zip(NAMES, both, strict=False):
            st.query_params[key] = training.run_ids[0]
        if len(both) < 2:
            st.query_params.pop(NAMES[1], None)
    st.caption("The best first, by figures on unseen tracks. Tick one for details, two to compare.")
    return both[0], both[1] if len(both) == 2 else None


def written(score: FoldScore | None) -> str | None:
    """A figure with its spread over the folds."""
    if score is None:
        return None
    return f"{score.mean:.3f}" if score.std is None else f"{score.mean:.3f} ± {score.std:.3f}"


def show_folds(view: View, training: Training) -> None:
    """The figures of each fold, and the clips behind them."""
    about = {one.run_id: one for one in read_coverage(view.snapshot, view)}
    lines = {line.run_id: line for line in runs.training_runs(view.connection) if line.run_id in training.run_ids}
    table = pd.DataFrame(
        {"fold": fold, "run_id": run_id, "n": about[run_id].n_clips, "share": about[run_id].share}
        | {metric: getattr(lines[run_id], metric.replace("-", "_")) for metric in FIGURES}
        | {"clips": about[run_id].clips}
        for run_id, fold in zip(training.run_ids, training.folds, strict=True)
    )
    st.dataframe(
        table,
        hide_index=True,
        placeholder="-",
        column_order=["fold", *training.scores, "n", "share", "clips", "run_id"],
        column_config={m: st.column_config.NumberColumn(title, format="%.3f") for m, title in FIGURES.items()}
        | {
            "fold": "Fold",
            "n": st.column_config.NumberColumn("Test tracks", format="localized"),
            "share": st.column_config.NumberColumn(
                "Of the published", format="percent", help="Share of the clips that the published split names"
            ),
            "clips": st.column_config.TextColumn(
                "Clips", help="Figures with the same fingerprint were computed on the same clips"
            ),
            "run_id": "Run",
        },
    )


def show_figures(training: Training) -> None:
    """The overall figures of a training, with chance on the same tracks."""
    if not training.scores:
        st.caption(f"There are no figures of {plain(training.model)}: it was not trained here on labels of this lake.")
        return
    columns = st.columns(len(training.scores), gap="medium")
    for column, (metric, score) in zip(columns, training.scores.items(), strict=True):
        said = "" if score.chance is None else f" (chance {score.chance:.3f})"
        column.metric(f"{FIGURES[metric]}{said}", written(score), border=True)
    folds = len(training.run_ids)
    over = f"mean ± standard deviation over {folds} folds, " if folds > 1 else ""
    st.caption(f"{plain(describe(training))}: {over}{training.n_tracks:,} test tracks.")


def show_curves(view: View, training: Training) -> None:
    """Learning curves, one figure for each metric."""
    run_id = training.run_ids[0]
    if len(training.run_ids) > 1:
        fold_of = dict(zip(training.run_ids, training.folds, strict=True))
        run_id = st.segmented_control(
            "Fold", training.run_ids, default=run_id, required=True, format_func=lambda r: f"{fold_of[r]}", key="fold"
        )
    points = runs.curve(view.connection, run_id)
    if not points:
        st.info(f"{plain(training.model)} trains in one step: there is no curve.", icon=":material/info:")
        return
    metrics = list(dict.fromkeys(point.metric for point in points))
    for column, metric in zip(st.columns(len(metrics), gap="large"), metrics, strict=True):
        parts = list(dict.fromkeys(point.part for point in points if point.metric == metric))
        lines = []
        for part in parts:
            own = [point for point in points if (point.metric, point.part) == (metric, part)]
            lines.append((part, [point.epoch for point in own], [point.value for point in own]))
        with column:
            frame.show(charts.curves(lines, x_title="epoch", y_title=metric), height=340, key=f"curve-{metric}")


def show_classes(view: View, training: Training) -> None:
    """Figures of each class."""
    found = runs.per_class(view.connection, training.run_ids)
    if not found:
        st.info("Nothing was measured for single classes.", icon=":material/info:")
        return
    bar = {"format": "%.3f", "min_value": 0, "max_value": 1}
    st.dataframe(
        pd.DataFrame(found),
        hide_index=True,
        placeholder="-",
        column_config={
            "label": "Class",
            "f1": st.column_config.ProgressColumn("F1", **bar),
            "roc_auc": st.column_config.ProgressColumn("ROC-AUC", **bar),
            "pr_auc": st.column_config.ProgressColumn("PR-AUC", **bar),
        },
    )


def show_confusion(view: View, training: Training) -> None:
    """Which classes are confused, and the tracks of a cell."""
    found = read_confusion(view.snapshot, view.annotated, view, training.run_ids)
    left, right = st.columns([3, 2], gap="large")
    wrong = found.counts.copy()
    wrong[range(len(wrong)), range(len(wrong))] = 0
    row, column = divmod(int(wrong.argmax()), len(wrong))
    with left:
        figure = charts.counts(found.labels, found.counts)
        height = 180 + 28 * min(len(found.labels), 25)
        key = f"cells-{training.run_ids[0]}"
        st.echarts_chart(
            frame.lettered(figure),
            height=height,
            width="stretch",
            key=key,
            on_select=partial(take_cell, key, figure, found.labels),
        )
        st.caption("Click a cell to list its tracks.")
    with right:
        # The commonest error stands first, and is shown to begin with.
        given = st.selectbox("Given", led(found.labels, row), key="given", bind="query-params")
        called = st.selectbox("Called", led(found.labels, column), key="called", bind="query-params")
        track_ids = runs.confused_tracks(view.connection, training.run_ids, given, called)
        player.playlist(view, track_ids, key=f"confused-{training.run_ids[0]}-{given}-{called}")


def led(labels: Sequence[str], first: int) -> list[str]:
    """Labels with one of them in front."""
    return [labels[first], *(label for n, label in enumerate(labels) if n != first)]


def take_cell(key: str, figure: frame.Figure, labels: tuple[str, ...]) -> None:
    """Choose the two labels of the cell that was clicked."""
    chosen = [n for group in st.session_state[key].selection["selected"] for n in group["data_indices"]]
    if chosen:
        cells = figure["dataset"]["source"]
        st.session_state.given = labels[cells["y"][chosen[-1]].as_py()]
        st.session_state.called = labels[cells["x"][chosen[-1]].as_py()]


def show_roc(view: View, training: Training) -> None:
    """The ROC curve of one class."""
    labels = [figures.label for figures in runs.per_class(view.connection, training.run_ids)]
    if not labels:
        st.info("Nothing was measured for single classes.", icon=":material/info:")
        return
    left, right = st.columns([2, 1], gap="large")
    with right:
        label = st.selectbox("Class", labels, key="class", bind="query-params")
        found = read_roc(view.snapshot, view.annotated, view, training.run_ids, label)
    with left:
        frame.show(charts.roc(found.false_positive_rate, found.true_positive_rate), height=440, width=440)
    with right:
        st.metric("Area under the curve (chance 0.500)", f"{found.auc:.3f}", border=True)
        st.caption(f"{found.n_positive:,} test tracks with {plain(label)}, {found.n_negative:,} without.")


def show_comparison(view: View, training: Training, other: Training | None, found: list[Training]) -> None:
    """Two trainings, track by track."""
    if other is None:
        other = comparable(view, training, found)
    if other is None:
        st.info("There is no other model that was tested on the same tracks.", icon=":material/info:")
        return
    names = plain(training.model), plain(other.model)
    if training.model == other.model:
        names = plain(describe(training)), plain(describe(other))
    figures = read_comparison(view.snapshot, view.annotated, view, training.run_ids, other.run_ids)
    for column, figure in zip(st.columns(len(figures), gap="medium"), figures, strict=True):
        column.metric(
            f"{FIGURES.get(figure.metric, figure.metric)} of {other.model}",
            f"{figure.second:.3f}",
            delta=f"{figure.difference:+.3f}",
            border=True,
            help=f"{names[0]}: {figure.first:.3f}",
        )
        if np.isfinite(figure.low):
            column.caption(f"difference {figure.low:+.3f} to {figure.high:+.3f} (95 %)")
    one = figures[0]
    st.caption(
        f"On the {one.n_clips:,} test tracks that both scored ({one.share_of_first:.0%} of those of {names[0]}, "
        f"{one.share_of_second:.0%} of {names[1]}); the arrows count from {names[0]}. Fingerprint of the tracks: "
        f"`{one.clips}`."
    )
    if said := coverage.warning(figures):
        st.warning(common.said(said), icon=":material/warning:")
    # With several labels to a track, no single answer is right or wrong.
    if one.metric == "accuracy":
        show_difference(read_difference(view.snapshot, view.annotated, view, training.run_ids, other.run_ids), *names)


def comparable(view: View, training: Training, found: list[Training]) -> Training | None:
    """The best other training that scored some of the same tracks, of the same split where there is one."""
    others = [t for t in found if t is not training and t.scores and t.label_source == training.label_source]
    for other in sorted(others, key=lambda t: t.split != training.split):
        with suppress(PhonolakeError):
            read_comparison(view.snapshot, view.annotated, view, training.run_ids, other.run_ids)
            return other
    return None


def show_difference(result: runs.RunComparison, name_a: str, name_b: str) -> None:
    """Which one was right where, and whether that could be chance."""
    titles = ["Both right", "Only the first right", "Only the second right", "Neither"]
    numbers = [result.both, result.only_a, result.only_b, result.neither]
    *columns, last = st.columns(5, gap="medium")
    for column, title, n in zip(columns, titles, numbers, strict=True):
        column.metric(title, f"{n:,}", border=True)
    last.metric("p (McNemar, exact)", f"{result.p_value:.3f}", border=True)
    st.caption(
        f"First {name_a}, second {name_b}. A small p says that a difference of this size is unlikely among equally "
        "good models."
    )


with page("Runs", "How good each trained model is, where it errs, and which of two is better.") as view:
    found = read_trainings(view.snapshot, view)
    if not found:
        lacking("No model was trained yet.", "train k2c2")
        st.stop()
    training, other = choose_trainings(view, found)
    show_figures(training)
    if other is None:
        part = st.segmented_control("Show", PARTS, default=PARTS[0], required=True, key="show", bind="query-params")
    else:
        part = "Compare"
    with unless_missing():
        if part == "Curves":
            show_curves(view, training)
        elif part == "Classes":
            show_classes(view, training)
        elif part == "Confusion":
            show_confusion(view, training)
        elif part == "ROC":
            show_roc(view, training)
        elif part == "Folds":
            show_folds(view, training)
        elif part == BY_EAR:
            show_evaluation(view)
        else:
            show_comparison(view, training, other, found)
    if part != BY_EAR:
        tables = ("models", "metrics", "predictions", "embeddings")
        where_from(view, "run", tables, run_id=training.run_ids[0])
