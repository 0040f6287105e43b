"""Which labels a network finds similar, beside how people use them."""

import charts
import frame
import numpy as np
import pandas as pd
import player
import streamlit as st
from common import View, choose, choose_source, lacking, page, unless_missing
from origin import where_from

from phonolake.analysis.collection import overview
from phonolake.analysis.collection.overview import TrainedNetwork
from phonolake.analysis.labels import label_vectors
from phonolake.analysis.labels.label_vectors import VectorPair
from phonolake.analysis.results import runs
from phonolake.lookup import label_matrix

MOST_PAIRS = 200
MOST_LABELS = 60
MOST_POINTS = 2000
TITLES = {"cosine": "cosine similarity", "dot": "dot product"}
PARTS = ["Similar", "Beside co-occurrence", "Disagreements"]
DISAGREEMENTS = {"alike": "Alike, but seldom together", "together": "Together, but not alike"}


@st.cache_data(max_entries=8, show_spinner="Reading the network …")
def read(snapshot: tuple, _view: View, run_id: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Labels and output weights of a network, once per publication."""
    return label_vectors.label_vectors(_view.lake, _view.connection, run_id)


@st.cache_data(max_entries=8, show_spinner="Counting pairs …")
def read_beside(
    snapshot: tuple, _view: View, run_id: str, kind: str, source: str | None
) -> tuple[float, list[VectorPair]]:
    """Rank correlation of similarity and co-occurrence, and both for every pair, once per publication."""
    labels, W_KD = read(snapshot, _view, run_id)
    matrix = label_matrix.read_labels(_view.connection, source=source)
    similarity_KK = label_vectors.label_vector_similarity(W_KD, kind=kind)
    names, similarity_KK, C_KK = label_vectors.common_labels(labels, similarity_KK, matrix)
    return label_vectors.rank_correlation(similarity_KK, C_KK), label_vectors.compare(names, similarity_KK, C_KK)


def describe(network: TrainedNetwork) -> str:
    """A network as the list shows it."""
    held_out = "" if network.test_fold is None else f", fold {network.test_fold} held out"
    return f"{network.model}, {network.finished_at:%Y-%m-%d %H:%M} UTC ({network.split}{held_out})"


def show_similarity(view: View, run_id: str, kind: str) -> None:
    """Heatmap and ranked pairs."""
    labels, W_KD = read(view.snapshot, view, run_id)
    similarity_KK = label_vectors.label_vector_similarity(W_KD, kind=kind)
    left, right = st.columns([3, 2], gap="large")
    with left:
        shown = slice(0, MOST_LABELS)
        figure = charts.matrix(
            labels[shown],
            similarity_KK[shown, shown],
            x_title="label",
            y_title="label",
            value_title=kind,
            signed=True,
        )
        frame.show(figure, height=240 + 20 * min(len(labels), MOST_LABELS))
        if len(labels) > MOST_LABELS:
            st.caption(f"The first {MOST_LABELS} of {len(labels):,} labels; the list holds pairs of all.")
    with right:
        pairs = label_vectors.ranked_pairs(labels, similarity_KK, MOST_PAIRS)
        table = pd.DataFrame(pairs, columns=list(label_vectors.SimilarLabels.__dataclass_fields__))
        pick_pair(view, table, kind, source=None, columns=["rank", "label_i", "label_j", "similarity"])


def pick_pair(view: View, table: pd.DataFrame, kind: str, *, source: str | None, columns: list[str]) -> None:
    """A list of pairs, and the tracks of the one that is picked."""
    key = f"{kind}-{source}-{columns[0]}-{len(columns)}"
    chosen = st.dataframe(
        table,
        hide_index=True,
        height=min(420, 35 * (len(table) + 1) + 2),
        on_select="rerun",
        selection_mode="single-row",
        key=f"pairs-{key}",
        column_order=columns,
        column_config={
            "rank": st.column_config.NumberColumn("#", width=40, help="Rank by similarity"),
            "label_i": "Label",
            "label_j": "Label",
            "similarity": st.column_config.NumberColumn(TITLES[kind].capitalize(), format="%.3f"),
            "cooccurrence": st.column_config.NumberColumn(
                "Co-occurrence", format="%.3f", help="The greater of C(i, j) and C(j, i)"
            ),
            "cooccurrence_rank": st.column_config.NumberColumn("its rank", format="%.1f"),
            "surplus": st.column_config.NumberColumn(
                "Surplus", format="%+.2f", help="How many doublings of rank the pair is higher by sound than by use"
            ),
        },
    )
    rows = [row for row in chosen.selection.rows if row < len(table)]
    if rows:
        labels = table.loc[rows[0], ["label_i", "label_j"]]
        player.pair(view, *labels, source=source, key=f"heard-{key}-{rows[0]}")
    else:
        st.caption("Pick a pair to listen to its tracks.")


def show_beside(view: View, run_id: str, kind: str, source: str | None) -> None:
    """Every pair by similarity and by use, and how far both agree."""
    rho, compared = read_beside(view.snapshot, view, run_id, kind, source)
    left, right = st.columns([4, 5], gap="large")
    with left:
        if np.isnan(rho):
            st.info(
                "No two of these labels come together on a track, or all equally often: there is no order to compare. "
                "Choose labels of which tracks have several.",
                icon=":material/info:",
            )
        else:
            # Evenly from the ranking, where there are more points than anyone tells apart.
            drawn = compared[:: -(-len(compared) // MOST_POINTS)]
            pairs = [(f"{pair.label_i}, {pair.label_j}", pair.similarity, pair.cooccurrence) for pair in drawn]
            frame.show(charts.beside(pairs, x_title=TITLES[kind], y_title="co-occurrence"), height=440, key="beside")
    with right:
        shown = "-" if np.isnan(rho) else f"{rho:.3f}"
        st.metric(
            f"Rank correlation over {len(compared):,} pairs",
            shown,
            border=True,
            help="Spearman; Choi et al. 2018 print 0.580 for 50 tags",
        )
        columns = ["rank", "label_i", "label_j", "similarity", "cooccurrence", "cooccurrence_rank"]
        pick_pair(view, pd.DataFrame(compared[:MOST_PAIRS]), kind, source=source, columns=columns)


def show_disagreements(view: View, run_id: str, kind: str, source: str | None) -> None:
    """Where the network and people differ most."""
    which = st.segmented_control(
        "Which", list(DISAGREEMENTS), default="alike", required=True, format_func=DISAGREEMENTS.__getitem__,
        key="which", bind="query-params",
    )  # fmt: skip
    _, compared = read_beside(view.snapshot, view, run_id, kind, source)
    alike, together = label_vectors.disagreements(compared, MOST_PAIRS)
    pairs = alike if which == "alike" else together
    if not pairs:
        st.caption("No such pair.")
        return
    columns = ["surplus", "label_i", "label_j", "similarity", "rank", "cooccurrence", "cooccurrence_rank"]
    pick_pair(view, pd.DataFrame(pairs), kind, source=source, columns=columns)


with page("Label vectors", "Which labels a network finds similar, by the weights of its output layer.") as view:
    st.markdown(
        "Each label is one row of the output layer. Labels with similar rows are likely for the same tracks "
        "(Choi et al. 2018, Sec. VI). The paper's text says dot product; its printed table is the cosine."
    )
    found = overview.networks(view.connection)
    if not found:
        lacking("Label vectors are the output weights of a network, but none was trained yet.", "train k2c2")
        st.stop()
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    by_id = {network.run_id: network for network in found}
    with left:
        run_id = choose("Network", list(by_id), key="network", format_func=lambda r: describe(by_id[r]))
    kind = right.segmented_control(
        "Similarity", list(label_vectors.KINDS), default="cosine", required=True, key="kind", bind="query-params"
    )
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    part = left.segmented_control("Show", PARTS, default=PARTS[0], required=True, key="show", bind="query-params")
    with unless_missing():
        if part == "Similar":
            show_similarity(view, run_id, kind)
        else:
            with right:
                source = choose_source(view, default=runs.label_source(view.connection, run_id))
            (show_beside if part == PARTS[1] else show_disagreements)(view, run_id, kind, source)
    where_from(view, "vectors", ("models",), run_id=run_id)
