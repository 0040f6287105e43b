"""What is in the lake, how good the models are, and what to do next."""

import charts
import duckdb
import frame
import pandas as pd
import streamlit as st
from common import View, lacking, page, plain
from origin import where_from

from phonolake.analysis.collection import overview
from phonolake.analysis.results.evaluation import FoldSummary
from phonolake.lookup import licences

MOST_LABELS = 20


@st.cache_data(max_entries=8, show_spinner="Counting …")
def read(snapshot: tuple, _connection: duckdb.DuckDBPyConnection) -> dict:
    """Everything that this page asks the lake, once per publication."""
    sources = overview.label_sources(_connection)
    return {
        "datasets": overview.datasets(_connection),
        "durations": overview.duration_histogram(_connection),
        "labels": {s: overview.label_counts(_connection, source=s) for s in sources},
        "figures": overview.newest_figures(_connection),
        "rejects": overview.reject_reasons(_connection),
        "steps": overview.next_steps(_connection),
        "coverage": overview.coverage(_connection),
        "licences": [found for found in licences.of_runs(_connection).values() if found.licence != licences.OWN],
    }


def show_totals(found: dict) -> None:
    """Four numbers across the page."""
    datasets = found["datasets"]
    columns = st.columns(4, gap="medium")
    columns[0].metric("Tracks", f"{sum(d.n_tracks for d in datasets):,}", border=True)
    columns[1].metric("Hours of audio", f"{sum(d.hours for d in datasets):,.1f}", border=True)
    sources = {source: len(counts) for source, counts in found["labels"].items()}
    columns[2].metric(
        f"Labels by {plain(next(iter(sources)))}" if len(sources) > 1 else "Labels",
        f"{next(iter(sources.values()), 0):,}",
        border=True,
        help=", ".join(f"{n:,} by {plain(source)}" for source, n in sources.items()) if len(sources) > 1 else None,
    )
    columns[3].metric("Left out", f"{sum(r.n for r in found['rejects']):,}", border=True)


def show_datasets(found: dict) -> None:
    """Sizes of the datasets."""
    st.subheader("Datasets", anchor=False)
    st.dataframe(
        pd.DataFrame(found["datasets"]),
        hide_index=True,
        column_config={
            "dataset": "Dataset",
            "n_tracks": st.column_config.NumberColumn("Tracks", format="localized"),
            "hours": st.column_config.NumberColumn("Hours", format="%.2f"),
            "n_classes": st.column_config.NumberColumn("Labels", format="localized", help="Given by the dataset"),
        },
    )


def show_labels(found: dict) -> None:
    """The most frequent labels of one source."""
    st.subheader("Labels", anchor=False)
    sources = list(found["labels"])
    if not sources:
        st.info("No track has a label: put the files of each class into a folder of its own, or name their source.")
        return
    source = sources[0]
    if len(sources) > 1:
        source = st.segmented_control(
            "Who says so", sources, default=source, required=True, key="source", bind="query-params"
        )
    counts = found["labels"][source]
    shown = counts[:MOST_LABELS]
    figure = charts.bars([c.label for c in shown], [c.n_tracks for c in shown], x_title="tracks", unit="tracks")
    frame.show(figure, height=90 + 22 * len(shown))
    if len(counts) > len(shown):
        st.caption(f"The {len(shown)} most frequent of {len(counts):,} labels.")


def show_durations(found: dict) -> None:
    """How long the tracks are."""
    st.subheader("Durations", anchor=False)
    bins = found["durations"]
    edges = [(b.start_seconds, b.end_seconds) for b in bins]
    figure = charts.histogram(edges, [b.n_tracks for b in bins], x_title="duration (s)", y_title="tracks")
    frame.show(figure, height=260)


def show_figures(found: dict) -> None:
    """Test figures beside chance."""
    st.subheader("Models", anchor=False)
    figures = found["figures"]
    if not found["labels"]:
        st.markdown("Without labels there is nothing to measure.")
        return
    if not figures:
        lacking("No model was evaluated on a test part yet.", "train random-forest")
        return
    frame.show(
        charts.scores([(f.metric, name, f.mean, f.chance) for f, name in zip(figures, names(figures), strict=True)]),
        height=120 + 26 * len(figures),
    )
    st.caption(
        "The newest training of each model, input and split, on tracks it was not trained on. Red marks: chance on "
        "the same tracks."
    )
    with st.expander("Figures"):
        st.dataframe(
            pd.DataFrame(figures),
            hide_index=True,
            column_config={
                "model": "Model",
                "input": "Input",
                "split": "Split",
                "metric": "Metric",
                "mean": st.column_config.NumberColumn("Value", format="%.3f", help="Mean over the folds"),
                "std": st.column_config.NumberColumn("± std", format="%.3f", help="Over the folds, n - 1"),
                "chance": st.column_config.NumberColumn("Chance", format="%.3f"),
                "n_folds": "Folds",
                "n_tracks": st.column_config.NumberColumn("Test tracks", format="localized"),
            },
        )


def names(figures: list[FoldSummary]) -> list[str]:
    """Models by name, with their input and split where these tell them apart."""
    several_splits = len({f.split for f in figures}) > 1
    several_inputs = len({(f.model, f.input) for f in figures}) > len({f.model for f in figures})
    told = [[f.input] * several_inputs + [f.split] * several_splits for f in figures]
    return [f"{f.model} ({', '.join(more)})" if more else f.model for f, more in zip(figures, told, strict=True)]


def show_rejects(found: dict) -> None:
    """Rejected inputs, and why."""
    st.subheader("Left out", anchor=False)
    if not found["rejects"]:
        st.markdown("Nothing: every input became a track.")
        return
    st.caption("Inputs that did not become tracks, by stage and reason; `SELECT * FROM rejects` lists them all.")
    st.dataframe(
        pd.DataFrame(found["rejects"]),
        hide_index=True,
        column_config={
            "stage": "Stage",
            "reason": "Reason",
            "n": st.column_config.NumberColumn("Inputs", format="localized"),
            "example": "Example",
            "detail": "What was measured",
        },
    )


def show_coverage(found: dict) -> None:
    """How many tracks each step has reached."""
    st.subheader("Coverage", anchor=False)
    if not found["coverage"]:
        st.markdown("Nothing was computed yet.")
        return
    st.dataframe(
        pd.DataFrame(found["coverage"]),
        hide_index=True,
        column_config={
            "table": "What",
            "name": "Of",
            "n_tracks": st.column_config.NumberColumn("Tracks", format="localized"),
            "share": st.column_config.ProgressColumn("Share", format="percent", min_value=0, max_value=1),
        },
    )


def show_licences(found: dict) -> None:
    """Results of imported models, and their licences."""
    if not found["licences"]:
        return
    st.subheader("Licences", anchor=False)
    bound = sorted({stated.model for stated in found["licences"] if stated.kind == licences.NON_COMMERCIAL})
    if bound:
        st.warning(f"What {', '.join(plain(name) for name in bound)} gave is not for commercial use.")
    st.dataframe(
        pd.DataFrame(found["licences"]),
        hide_index=True,
        column_order=("model", "licence", "kind", "origin", "run_id"),
        column_config={
            "model": "Model or vectors",
            "licence": "Licence",
            "kind": "What it allows",
            "origin": "Origin",
            "run_id": "Run",
        },
    )


def show_tables(view: View) -> None:
    """The tables that are stored."""
    st.subheader("Tables", anchor=False)
    st.dataframe(
        view.frame("FROM lake_tables ORDER BY n_bytes DESC"),
        hide_index=True,
        placeholder="-",
        column_config={
            "table": "Table",
            "version": st.column_config.NumberColumn("Version", help="Delta version that readers see"),
            "shards": st.column_config.NumberColumn("Shards", format="localized"),
            "n_rows": st.column_config.NumberColumn("Rows", format="localized"),
            "n_bytes": st.column_config.NumberColumn("Size", format="bytes"),
        },
    )


with page("Overview", "What the collection holds, what was rejected, and how well models learn its labels.") as view:
    found = read(view.snapshot, view.connection)
    show_totals(found)
    for step in found["steps"]:
        lacking(step.lack, step.command)
    left, right = st.columns(2, gap="large")
    with left:
        show_labels(found)
        show_durations(found)
        show_datasets(found)
    with right:
        show_figures(found)
        show_coverage(found)
    show_rejects(found)
    show_licences(found)
    show_tables(view)
    where_from(view, "overview", ("tracks", "labels", "rejects", "metrics", "models", "runs"))
