"""What the trained models reached, where they go wrong, and which of two is better."""

import charts
import frame
import pandas as pd
import player
import streamlit as st
from common import View, choose, lacking, page, plain, unless_missing
from evaluation_view import show_evaluation
from origin import where_from

from phonolake.analysis.results import coverage, runs
from phonolake.analysis.results.runs import TrainingRun

FIGURES = {"accuracy": "Accuracy", "macro_f1": "Macro F1", "roc_auc": "ROC-AUC", "pr_auc": "PR-AUC"}
BY_EAR = "Checked by ear"
TITLES = {"accuracy": "Accuracy", "macro-f1": "Macro F1", "roc-auc": "ROC-AUC", "pr-auc": "PR-AUC"}
PARTS = ["Classes", "Confusion", "ROC", "Curves", "Compare", BY_EAR]
EXTENTS = ["This fold", "All folds"]
MOST_LISTED = 500
CACHED = {"max_entries": 16, "show_spinner": "Counting …"}


@st.cache_data(**CACHED)
def read_runs(snapshot: tuple, _view: View) -> list[TrainingRun]:
    """Every training, once per publication."""
    return runs.training_runs(_view.connection)


@st.cache_data(**CACHED)
def read_confusion(snapshot: tuple, annotated: int, _view: View, run_id: str) -> runs.ConfusionMatrix:
    """The confusions of a run."""
    return runs.confusion(_view.connection, run_id)


@st.cache_data(**CACHED)
def read_roc(snapshot: tuple, annotated: int, _view: View, run_id: str, label: str) -> runs.RocCurve:
    """The ROC curve of one class."""
    return runs.roc(_view.connection, run_id, label)


@st.cache_data(**CACHED)
def read_comparison(
    snapshot: tuple, annotated: int, _view: View, run_a: str, run_b: str
) -> list[coverage.FigureComparison]:
    """The figures of two runs on their common test tracks."""
    return coverage.compare(_view.connection, run_a, run_b)


@st.cache_data(**CACHED)
def read_difference(snapshot: tuple, annotated: int, _view: View, run_a: str, run_b: str) -> runs.RunComparison:
    """Two runs on their common test tracks, track by track."""
    return runs.compare(_view.connection, run_a, run_b)


@st.cache_data(**CACHED)
def read_coverage(snapshot: tuple, _view: View) -> list[coverage.SplitCoverage]:
    """On which clips every run was tested."""
    return coverage.runs(_view.connection)


def describe(run: TrainingRun) -> str:
    """A run as the lists show it."""
    held_out = "" if run.test_fold is None else f", fold {run.test_fold} held out"
    return f"{run.model}, {run.finished_at:%Y-%m-%d %H:%M} UTC ({run.split}{held_out}) {run.run_id[-12:]}"


def list_runs(view: View, found: list[TrainingRun]) -> None:
    """All trainings with their figures and the clips behind them, read when it is opened."""
    title = f"All {len(found):,} trained models"
    fold = st.expander(title, icon=":material/list:", on_change="rerun", key="all-runs")
    if not fold.open:
        return
    number = {name: st.column_config.NumberColumn(title, format="%.3f") for name, title in FIGURES.items()}
    about = pd.DataFrame(read_coverage(view.snapshot, view))[["run_id", "n_clips", "share", "clips"]]
    with fold:
        st.dataframe(
            pd.DataFrame(found[:MOST_LISTED]).merge(about, on="run_id", how="left"),
            hide_index=True,
            placeholder="-",
            column_order=["model", "split", "test_fold", *FIGURES, "n_labels", "n_clips", "share", "clips",
                          "finished_at", "run_id"],
            column_config=number
            | {
                "model": "Model",
                "split": "Split",
                "test_fold": "Fold",
                "n_labels": "Labels",
                "n_clips": st.column_config.NumberColumn("Tested on", format="localized"),
                "share": st.column_config.NumberColumn(
                    "Of the published", format="percent", help="Share of the clips that the published split names"
                ),
                "clips": st.column_config.TextColumn(
                    "Clips", help="Figures with the same fingerprint were computed on the same clips"
                ),
                "finished_at": st.column_config.DatetimeColumn("Finished (UTC)", format="YYYY-MM-DD HH:mm"),
                "run_id": "Run",
            },
        )  # fmt: skip


def show_figures(view: View, run: TrainingRun) -> None:
    """The overall figures of one run, with what guessing reaches on the same tracks."""
    measured = {name: getattr(run, name) for name in FIGURES if getattr(run, name) is not None}
    if not measured:
        return
    chance = runs.chance(view.connection, run.run_id)
    for column, (name, value) in zip(st.columns(len(measured), gap="medium"), measured.items(), strict=True):
        guess = chance.get(name.replace("_", "-"))
        said = "" if guess is None else f" (chance {guess:.3f})"
        column.metric(f"{FIGURES[name]}{said}", f"{value:.3f}", border=True)


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
            frame.show(charts.curves(lines, x_title="epoch", y_title=metric), height=340, key=f"curve-{metric}")


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
        frame.show(charts.counts(found.labels, found.counts), height=180 + 28 * min(len(found.labels), 25))
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
    left, right = st.columns([2, 1], gap="large")
    with right:
        label = st.selectbox("Class", labels, key="class", bind="query-params")
        found = read_roc(view.snapshot, view.annotated, view, run.run_id, label)
    with left:
        frame.show(charts.roc(found.false_positive_rate, found.true_positive_rate), height=440, width=440)
    with right:
        st.metric("Area under the curve (chance 0.500)", f"{found.auc:.3f}", border=True)
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
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    with left:
        other = others[choose("Compare with", ordered, key="other", format_func=lambda r: describe(others[r]))]
    first, second = run.run_id, other.run_id
    if run.model != other.model and None not in (run.test_fold, other.test_fold):
        with right:
            extent = st.segmented_control(
                "On the test tracks of", EXTENTS, default=EXTENTS[0], required=True, key="extent", bind="query-params"
            )
        if extent == EXTENTS[1]:
            first, second = run.model, other.model
    names = plain(run.model), plain(other.model)
    figures = read_comparison(view.snapshot, view.annotated, view, first, second)
    for column, figure in zip(st.columns(len(figures), gap="medium"), figures, strict=True):
        column.metric(
            f"{TITLES.get(figure.metric, figure.metric)} of {other.model}",
            f"{figure.second:.3f}",
            delta=f"{figure.difference:+.3f}",
            border=True,
            help=f"{names[0]}: {figure.first:.3f}",
        )
    one = figures[0]
    st.caption(
        f"On the {one.n_clips:,} test tracks that both scored ({one.share_of_first:.0%} of those of {names[0]}, "
        f"{one.share_of_second:.0%} of {names[1]}); the arrows count from {names[0]}. Fingerprint of the tracks: "
        f"`{one.clips}`."
    )
    # With several labels to a track, no single answer is right or wrong.
    if one.metric == "accuracy":
        show_difference(read_difference(view.snapshot, view.annotated, view, first, second), *names)


def show_difference(result: runs.RunComparison, name_a: str, name_b: str) -> None:
    """Who was right where, and whether that could be chance."""
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


with page("Runs", "What each trained model reached, where it goes wrong, and which of two is better.") as view:
    found = read_runs(view.snapshot, view)
    if not found:
        lacking("No model was trained yet.", "train k2c2")
        st.stop()
    by_id = {run.run_id: run for run in found}
    run = by_id[choose("Run", list(by_id), key="run", format_func=lambda r: describe(by_id[r]))]
    show_figures(view, run)
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
        elif part == BY_EAR:
            show_evaluation(view)
        else:
            show_comparison(view, run, found)
    if part != BY_EAR:
        where_from(view, "run", ("models", "metrics", "predictions", "embeddings"), run_id=run.run_id)
    list_runs(view, found)
