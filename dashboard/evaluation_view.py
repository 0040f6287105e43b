"""Whether figures on noisy labels can be trusted: runs by given labels beside the same runs by raters' answers."""

import charts
import frame
import numpy as np
import pandas as pd
import streamlit as st
from common import View, choose_rater, choose_source, plain
from origin import where_from

from phonolake.analysis.labels import evaluation_check, reannotation
from phonolake.analysis.labels.evaluation_check import EvaluationCheck, RunCorrelation, ScoredRuns

# Bounds the work of a page; `phonolake labels evaluation` measures on all tracks.
MOST_TRACKS = 10_000
FEWEST_RUNS = 3
AUC = {"auc_given": "As given", "auc_annotated": "As re-annotated", "auc_all": "All labels, as given"}
RHO_1 = "Near 1: the given labels rank the models correctly, although many labels are wrong."
RHO_2 = "Near 1: the few labels that people checked are representative of all labels."


@st.cache_data(max_entries=8, show_spinner="Measuring …")
def read_check(
    snapshot: tuple, annotated: int, _view: View, source: str, rater: str | None, runs: tuple[str, ...]
) -> EvaluationCheck:
    """The runs by given and by annotated labels, once per publication."""
    answers = reannotation.read_answers(_view.connection, source=source, rater=rater)
    return evaluation_check.check_runs(_view.connection, answers, source=source, runs=runs, most=MOST_TRACKS)


@st.cache_data(max_entries=8, show_spinner=False)
def read_scored(snapshot: tuple, annotated: int, _view: View, source: str, rater: str | None) -> list[ScoredRuns]:
    """What can be measured, once per publication."""
    answers = reannotation.read_answers(_view.connection, source=source, rater=rater)
    return evaluation_check.scored(_view.connection, answers)


def choose_runs(found: list[ScoredRuns]) -> tuple[str, ...]:
    """Runs to measure: to begin with those that were tested on most of the annotated tracks, where these are enough."""
    most = max(one.n_annotated for one in found)
    wide = [one.name for one in found if one.n_annotated > most / 2]
    n_annotated = {one.name: one.n_annotated for one in found}
    chosen = st.multiselect(
        "Runs",
        list(n_annotated),
        default=wide if len(wide) >= FEWEST_RUNS else list(n_annotated),
        format_func=lambda name: f"{name} ({n_annotated[name]:,} tracks)",
        help="All are evaluated on the tracks on which every one of them was tested: fewer runs, more tracks.",
        key="measured",
        bind="query-params",
    )
    return tuple(chosen)


def show_evaluation(view: View) -> None:
    """Fig. 2 of Choi et al. 2018 for the runs of this lake."""
    st.markdown(
        "Every run with test tracks that people listened to again, measured twice on those tracks: by the labels as "
        "they were given, and by what the listeners said (Choi et al. 2018, Fig. 2)."
    )
    left, right = st.columns(2)
    with left:
        source = choose_source(view) or "dataset"
    with right:
        rater = choose_rater(view)
    runs = choose_runs(read_scored(view.snapshot, view.annotated, view, source, rater))
    if not runs:
        st.info("Choose the runs to measure.", icon=":material/info:")
        return
    found = read_check(view.snapshot, view.annotated, view, source, rater, runs)
    left, right = st.columns([2, 3], gap="large")
    with left:
        show_points(found)
    with right:
        one, two = st.columns(2, gap="medium")
        show_correlation(one, "ρ₁: as given and as re-annotated", found.rho_1, RHO_1)
        show_correlation(two, "ρ₂: checked and all labels", found.rho_2, RHO_2)
        show_runs(found)
    st.caption(
        f"Mean ROC-AUC over labels (chance: 0.5), on {found.n_tracks:,} tracks that all of these runs were tested on "
        f"(at most {MOST_TRACKS:,} beside those heard); labels of which one kind only was heard are left out. "
        "`phonolake labels evaluation` measures on all tracks and keeps the figures in `evaluation_checks`."
    )
    where_from(view, "evaluation", ("annotations", "predictions", "labels"), sql="FROM evaluation_checks")


def show_points(found: EvaluationCheck) -> None:
    """Each run as a point; on the line both measures are equal."""
    points = [(run.run_id, run.auc_given, run.auc_annotated) for run in found.runs]
    defined = [point for point in points if np.isfinite(point[1:]).all()]
    if not defined:
        st.info(
            "The answers about the test tracks are all yes, or all no, for every label: there is no ROC-AUC yet. "
            "Draw a sample with tracks that have a label and tracks that do not.",
            icon=":material/info:",
        )
        return
    figure = charts.against_diagonal(defined, x_title="ROC-AUC, as given", y_title="ROC-AUC, as re-annotated")
    frame.show(figure, height=400, width=400, key="evaluation-points")


def show_correlation(place: st.delta_generator.DeltaGenerator, title: str, rho: RunCorrelation, about: str) -> None:
    """A correlation with its interval."""
    with place:
        shown = f"{rho.value:.3f}" if rho.n_runs >= FEWEST_RUNS and np.isfinite(rho.value) else "-"
        st.metric(title, shown, border=True, help=f"Pearson correlation over {rho.n_runs:,} runs. {about}")
        if shown == "-":
            st.caption(f"Needs {FEWEST_RUNS} runs that differ in both; there are {rho.n_runs:,} to compare.")
        elif np.isfinite(rho.low):
            st.caption(f"95 % interval {rho.low:.3f} to {rho.high:.3f}, {rho.n_runs:,} runs")


def show_runs(found: EvaluationCheck) -> None:
    """Figures of every run, and of each label for the one that is picked."""
    number = {name: st.column_config.NumberColumn(title, format="%.3f") for name, title in AUC.items()}
    chosen = st.dataframe(
        pd.DataFrame(found.runs),
        hide_index=True,
        placeholder="-",
        column_order=["run_id", *AUC],
        column_config=number | {"run_id": "Run"},
        on_select="rerun",
        selection_mode="single-row",
        selection_default={"selection": {"rows": [0]}},
        key="evaluation-runs",
    )
    rows = [row for row in chosen.selection.rows if row < len(found.runs)]
    run = found.runs[rows[0] if rows else 0]
    st.markdown(f"Label by label, {plain(run.run_id)}:")
    st.dataframe(
        pd.DataFrame([tag for tag in found.tags if tag.run_id == run.run_id]),
        hide_index=True,
        placeholder="-",
        height=min(400, 35 * (len(found.tags) // len(found.runs) + 1) + 2),
        column_order=["label", "auc_given", "auc_annotated", "n"],
        column_config=number | {"label": "Label", "n": st.column_config.NumberColumn("Answers", format="localized")},
    )
