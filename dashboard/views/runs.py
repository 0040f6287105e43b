"""What the trained models reached, where they go wrong, and which of two is better."""

import charts
import pandas as pd
import player
import streamlit as st
from common import View, choose, lacking, page, plain, unless_missing
from origin import where_from

from phonolake.analysis import runs
from phonolake.analysis.runs import TrainingRun

FIGURES = {"accuracy": "Accuracy", "macro_f1": "Macro F1", "roc_auc": "ROC-AUC", "pr_auc": "PR-AUC"}
PARTS = ["Curves", "Classes", "Confusion", "ROC", "Compare"]
MOST_LISTED = 500
CACHED = {"max_entries": 16, "show_spinner": "Counting …"}


@st.cache_data(**CACHED)
def read_runs(snapshot: tuple, _view: View) -> list[TrainingRun]:
    """Every training, once per publication."""
    return runs.training_runs(_view.connection)


@st.cache_data(**CACHED)
def read_confusion(snapshot: tuple, annotated: int, _view: View, run_id: str) -> runs.Confusion:
    """The confusions of a run."""
    return runs.confusion(_view.connection, run_id)


@st.cache_data(**CACHED)
def read_roc(snapshot: tuple, annotated: int, _view: View, run_id: str, label: str) -> runs.RocCurve:
    """The ROC curve of one class."""
    return runs.roc(_view.connection, run_id, label)


@st.cache_data(**CACHED)
def read_comparison(snapshot: tuple, annotated: int, _view: View, run_a: str, run_b: str) -> runs.Comparison:
    """Two runs on their common test tracks."""
    return runs.compare(_view.connection, run_a, run_b)


def describe(run: TrainingRun) -> str:
    """A run as the lists show it."""
    held_out = "" if run.test_fold is None else f", fold {run.test_fold} held out"
    return f"{run.model}, {run.finished_at:%Y-%m-%d %H:%M} UTC ({run.split}{held_out}) {run.run_id[-12:]}"


def list_runs(found: list[TrainingRun]) -> None:
    """All trainings with their figures."""
    with st.expander(f"All {len(found):,} trained models", icon=":material/list:"):
        number = {name: st.column_config.NumberColumn(title, format="%.3f") for name, title in FIGURES.items()}
        st.dataframe(
            pd.DataFrame(found[:MOST_LISTED]),
            hide_index=True,
            placeholder="-",
            column_order=["model", "split", "test_fold", *FIGURES, "n_labels", "finished_at", "run_id"],
            column_config=number
            | {
                "model": "Model",
                "split": "Split",
                "test_fold": "Fold",
                "n_labels": "Labels",
                "finished_at": st.column_config.DatetimeColumn("Finished (UTC)", format="YYYY-MM-DD HH:mm"),
                "run_id": "Run",
            },
        )


def show_figures(run: TrainingRun) -> None:
    """The overall figures of one run."""
    for column, (name, title) in zip(st.columns(4, gap="medium"), FIGURES.items(), strict=True):
        value = getattr(run, name)
        column.metric(title, "-" if value is None else f"{value:.3f}", border=True)


def show_curves(view: View, run: TrainingRun) -> None:
    """Learning curves, one figure for each metric."""
    points = runs.curve(view.connection, run.run_id)
    if not points:
        st.info(f"{plain(run.model)} learns in one go: there is no curve.", icon=":material/info:")
        return
    metrics = list(dict.fromkeys(point.metric for point in points))
    for column, metric in zip(st.columns(len(metrics), gap="large"), metrics, strict=True):
        parts = list(dict.fromkeys(point.part for point in points if point.metric == metric))
        lines = []
        for part in parts:
            own = [point for point in points if (point.metric, point.part) == (metric, part)]
            lines.append((part, [point.epoch for point in own], [point.value for point in own]))
        with column:
            charts.show(charts.curves(lines, x_title="epoch", y_title=metric), height=340, key=f"curve-{metric}")


def show_classes(view: View, run: TrainingRun) -> None:
    """Figures of each class."""
    found = runs.per_class(view.connection, run.run_id)
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


def show_confusion(view: View, run: TrainingRun) -> None:
    """Who is taken for whom, and the tracks behind a cell."""
    found = read_confusion(view.snapshot, view.annotated, view, run.run_id)
    left, right = st.columns([3, 2], gap="large")
    with left:
        charts.show(charts.counts(found.labels, found.counts), height=180 + 28 * min(len(found.labels), 25))
    with right:
        wrong = found.counts.copy()
        wrong[range(len(wrong)), range(len(wrong))] = 0
        row, column = divmod(int(wrong.argmax()), len(wrong))
        given = st.selectbox("Given", found.labels, index=row, key="given", bind="query-params")
        called = st.selectbox("Called", found.labels, index=column, key="called", bind="query-params")
        track_ids = runs.confused_tracks(view.connection, run.run_id, given, called)
        player.playlist(view, track_ids, key=f"confused-{run.run_id}-{given}-{called}")


def show_roc(view: View, run: TrainingRun) -> None:
    """The ROC curve of one class."""
    labels = [figures.label for figures in runs.per_class(view.connection, run.run_id)]
    if not labels:
        st.info("Nothing was measured for single classes.", icon=":material/info:")
        return
    label = st.selectbox("Class", labels, key="class", bind="query-params")
    found = read_roc(view.snapshot, view.annotated, view, run.run_id, label)
    left, right = st.columns([2, 1], gap="large")
    with left:
        charts.show(charts.roc(label, found.false_positive_rate, found.true_positive_rate), height=440)
    with right:
        st.metric("Area under the curve", f"{found.auc:.3f}", border=True)
        st.caption(f"{found.n_positive:,} test tracks with {plain(label)}, {found.n_negative:,} without.")


def show_comparison(view: View, run: TrainingRun, found: list[TrainingRun]) -> None:
    """Two runs, track by track."""
    others = {other.run_id: other for other in found if other.run_id != run.run_id}
    if not others:
        st.info("There is no other run to compare with.", icon=":material/info:")
        return
    # The same fold first: only there do two runs share test tracks.
    same = [r for r, other in others.items() if (other.split, other.test_fold) == (run.split, run.test_fold)]
    ordered = same + [r for r in others if r not in same]
    other = choose("Compare with", ordered, key="other", format_func=lambda r: describe(others[r]))
    result = read_comparison(view.snapshot, view.annotated, view, run.run_id, other)
    first, second, third = st.columns(3, gap="medium")
    right_a, right_b = result.both + result.only_a, result.both + result.only_b
    first.metric(f"{run.model}, right", f"{right_a / result.n:.1%}", border=True)
    second.metric(
        f"{others[other].model}, right",
        f"{right_b / result.n:.1%}",
        delta=f"{100 * (right_b - right_a) / result.n:+.1f} points",
        border=True,
    )
    third.metric("p (McNemar, exact)", f"{result.p_value:.3f}", border=True)
    st.caption(
        f"On the {result.n:,} test tracks that both scored: both right {result.both:,}, only {plain(run.model)} "
        f"{result.only_a:,}, only {plain(others[other].model)} {result.only_b:,}, neither {result.neither:,}. "
        "A small p says that a difference of this size is unlikely among equally good models."
    )


with page("Runs", "What each trained model reached, where it goes wrong, and which of two is better.") as view:
    found = read_runs(view.snapshot, view)
    if not found:
        lacking("No model was trained yet.", "train k2c2")
        st.stop()
    by_id = {run.run_id: run for run in found}
    run = by_id[choose("Run", list(by_id), key="run", format_func=lambda r: describe(by_id[r]))]
    show_figures(run)
    part = st.segmented_control("Show", PARTS, default=PARTS[0], required=True, key="show", bind="query-params")
    with unless_missing():
        if part == "Curves":
            show_curves(view, run)
        elif part == "Classes":
            show_classes(view, run)
        elif part == "Confusion":
            show_confusion(view, run)
        elif part == "ROC":
            show_roc(view, run)
        else:
            show_comparison(view, run, found)
    where_from(view, "run", ("models", "metrics", "predictions", "embeddings"), run_id=run.run_id)
    list_runs(found)
