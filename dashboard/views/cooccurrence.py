"""Which labels come together."""

import charts
import duckdb
import numpy as np
import pandas as pd
import player
import streamlit as st
from common import View, page
from origin import where_from

from phonolake.analysis import cooccurrence

MOST_PAIRS = 200
MOST_LABELS = 60


@st.cache_data(max_entries=4, show_spinner="Counting pairs …")
def read(snapshot: tuple, _connection: duckdb.DuckDBPyConnection) -> cooccurrence.LabelMatrix:
    """Who has which label, once per publication."""
    return cooccurrence.read_labels(_connection)


@st.cache_data(max_entries=16, show_spinner="Counting pairs …")
def read_pairs(snapshot: tuple, _view: View, least: int) -> pd.DataFrame:
    """The pairs with the highest C whose first label has at least `least` tracks."""
    return _view.frame(
        "SELECT label_i, label_j, c, n_both, n_i, n_j FROM cooccurrence() WHERE n_i >= $1 LIMIT $2", [least, MOST_PAIRS]
    )


def show_matrix(found: cooccurrence.LabelMatrix) -> None:
    """The most frequent labels against each other."""
    n_labels = len(found.labels)
    size = 2
    if n_labels > 2:
        size = st.slider(
            "How many", 2, min(MOST_LABELS, n_labels), min(25, n_labels), key=f"size-{n_labels}", bind="query-params"
        )
    counts_L = found.Y_NL.sum(axis=0)
    frequent = np.argsort(-counts_L, kind="stable")[:size]
    C_LL = cooccurrence.normalized_cooccurrence(found.Y_NL[:, frequent])
    labels = [found.labels[k] for k in frequent]
    figure = charts.matrix(labels, C_LL, x_title="label j", y_title="label i", value_title="C(i, j)")
    charts.show(figure, height=240 + 18 * size)


with page("Co-occurrence", "Which labels come together on the same tracks.") as view:
    st.markdown(
        "**C(i, j) = #(i and j) / #i**: of the tracks that have label *i*, the share that also has label *j* "
        "(Choi et al. 2018, Eq. 1). It is not symmetric: read it along the rows."
    )
    found = read(view.snapshot, view.connection)
    if not found.labels:
        st.info("No track has a label, so there is nothing to pair.", icon=":material/info:")
        st.stop()
    if found.Y_NL.sum(axis=1).max() < 2:
        st.info(
            f"Every track has a single label (of {len(found.labels):,}), so there is nothing to pair: co-occurrence "
            "needs tracks with several tags. Label vectors and label noise also work with one label for each track.",
            icon=":material/info:",
        )
        st.stop()
    left, right = st.columns([7, 5], gap="large")
    with left:
        st.subheader("The most frequent labels", anchor=False)
        show_matrix(found)
    with right:
        st.subheader("The strongest pairs", anchor=False)
        least = st.number_input("Tracks with label i, at least", 1, value=5, key="least", bind="query-params")
        least = int(least)
        pairs = read_pairs(view.snapshot, view, least)
        chosen = st.dataframe(
            pairs,
            hide_index=True,
            height=420,
            on_select="rerun",
            selection_mode="single-row",
            key=f"pairs-{least}",
            column_config={
                "label_i": "Label i",
                "label_j": "Label j",
                "c": st.column_config.ProgressColumn("C(i, j)", format="%.3f", min_value=0, max_value=1, width=110),
                "n_both": st.column_config.NumberColumn(
                    "Both", width=50, format="localized", help="Tracks with i and j"
                ),
                "n_i": st.column_config.NumberColumn("#i", width=50, format="localized", help="Tracks with label i"),
                "n_j": st.column_config.NumberColumn("#j", width=50, format="localized", help="Tracks with label j"),
            },
        )
        if len(pairs) == MOST_PAIRS:
            st.caption(f"The first {MOST_PAIRS}; `phonolake sql 'FROM cooccurrence()'` lists them all.")
        rows = [row for row in chosen.selection.rows if row < len(pairs)]
        if rows:
            player.pair(view, *pairs.loc[rows[0], ["label_i", "label_j"]], key=f"heard-{least}-{rows[0]}")
        else:
            st.caption("Pick a pair to listen to its tracks.")
    where_from(view, "cooccurrence", ("labels",), sql=f"FROM cooccurrence() WHERE n_i >= {least}")
