"""Which labels a network takes for alike."""

import charts
import numpy as np
import pandas as pd
import player
import streamlit as st
from common import View, choose, lacking, page
from origin import where_from

from phonolake.analysis import label_vectors, overview
from phonolake.analysis.overview import TrainedNetwork

MOST_PAIRS = 200
MOST_LABELS = 60
TITLES = {"cosine": "cosine similarity", "dot": "dot product"}


@st.cache_data(max_entries=8, show_spinner="Reading the network …")
def read(snapshot: tuple, _view: View, run_id: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Labels and output weights of a network, once per publication."""
    return label_vectors.label_vectors(_view.lake, _view.connection, run_id)


def describe(network: TrainedNetwork) -> str:
    """A network as the list shows it."""
    held_out = "" if network.test_fold is None else f", fold {network.test_fold} held out"
    return f"{network.model}, {network.finished_at:%Y-%m-%d %H:%M} UTC ({network.split}{held_out})"


def show_similarity(view: View, labels: tuple[str, ...], W_KD: np.ndarray, kind: str) -> None:
    """Heatmap and ranked pairs."""
    similarity_KK = label_vectors.label_vector_similarity(W_KD, kind=kind)
    left, right = st.columns([3, 2], gap="large")
    with left:
        shown = slice(0, MOST_LABELS)
        figure = charts.matrix(
            labels[shown],
            similarity_KK[shown, shown],
            x_title="label",
            y_title="label",
            value_title=TITLES[kind],
            signed=True,
        )
        charts.show(figure, height=240 + 20 * min(len(labels), MOST_LABELS))
        if len(labels) > MOST_LABELS:
            st.caption(f"The first {MOST_LABELS} of {len(labels):,} labels; the list holds pairs of all.")
    with right:
        pairs = label_vectors.ranked_pairs(labels, similarity_KK, MOST_PAIRS)
        chosen = st.dataframe(
            pd.DataFrame(pairs),
            hide_index=True,
            height=420,
            on_select="rerun",
            selection_mode="single-row",
            key=f"pairs-{kind}",
            column_order=["rank", "label_i", "label_j", "similarity"],
            column_config={
                "rank": st.column_config.NumberColumn("#", width=40),
                "label_i": "Label",
                "label_j": "Label",
                "similarity": st.column_config.NumberColumn(TITLES[kind].capitalize(), format="%.3f"),
            },
        )
        rows = [row for row in chosen.selection.rows if row < len(pairs)]
        if rows:
            player.pair(view, pairs[rows[0]].label_i, pairs[rows[0]].label_j, key=f"heard-{kind}-{rows[0]}")
        else:
            st.caption("Pick a pair to listen to its tracks.")


with page("Label vectors", "Which labels a network takes for alike, by the weights of its output layer.") as view:
    st.markdown(
        "Each label is one row of the output layer. Labels with similar rows are likely for the same tracks "
        "(Choi et al. 2018, Sec. VI). The paper's text says dot product; its printed table is the cosine."
    )
    found = overview.networks(view.connection)
    if not found:
        lacking("Label vectors are the output weights of a network, and none was trained yet.", "train k2c2")
        st.stop()
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    by_id = {network.run_id: network for network in found}
    with left:
        run_id = choose("Network", list(by_id), key="network", format_func=lambda r: describe(by_id[r]))
    kind = right.segmented_control(
        "Similarity", list(label_vectors.KINDS), default="cosine", required=True, key="kind", bind="query-params"
    )
    show_similarity(view, *read(view.snapshot, view, run_id), kind)
    where_from(view, "vectors", ("models",), run_id=run_id)
