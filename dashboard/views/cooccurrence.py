"""Which labels occur together, and what that says about them."""

import charts
import frame
import numpy as np
import pandas as pd
import player
import streamlit as st
from common import View, choose_source, page
from origin import where_from

from phonolake.analysis.labels import cooccurrence, relations
from phonolake.analysis.labels.cooccurrence import PairCounts

MOST_PAIRS = 200
MOST_LABELS = 60
LISTS = {"pairs": "Pairs", "hierarchy": "Hierarchy", "synonyms": "Synonyms"}
ABOUT = {
    "hierarchy": "Label i may be a kind of label j: most tracks with i have j, but not the reverse.",
    "synonyms": "Two labels that may be synonyms, by their tracks or by their spelling.",
}


@st.cache_data(max_entries=4, show_spinner="Counting pairs …")
def read(snapshot: tuple, _view: View, source: str | None) -> PairCounts:
    """Counts of all pairs, once per publication."""
    return cooccurrence.read_counts(_view.connection, source=source)


@st.cache_data(max_entries=16, show_spinner="Ranking …")
def read_list(snapshot: tuple, _view: View, source: str | None, kind: str, least: int) -> pd.DataFrame:
    """The first pairs of a list, once per publication."""
    counted = read(snapshot, _view, source)
    if kind == "pairs":
        return pd.DataFrame(
            cooccurrence.ranked_pairs(*_of(counted), min_count=least, top=MOST_PAIRS),
            columns=list(cooccurrence.LabelPair.__dataclass_fields__),
        )
    return pd.DataFrame(
        relations.suggest(*_of(counted), kind=kind)[:MOST_PAIRS], columns=list(relations.Relation.__dataclass_fields__)
    )


def _of(counted: PairCounts) -> tuple[tuple[str, ...], np.ndarray, int]:
    return counted.labels, counted.pairs, counted.n_tracks


def show_matrix(counted: PairCounts) -> None:
    """The most frequent labels against each other."""
    n_labels = len(counted.labels)
    size = 2
    if n_labels > 2:
        size = st.slider(
            "How many", 2, min(MOST_LABELS, n_labels), min(25, n_labels), key=f"size-{n_labels}", bind="query-params"
        )
    frequent = np.argsort(-counted.tracks, kind="stable")[:size]
    C_LL = cooccurrence.normalize(counted.pairs[np.ix_(frequent, frequent)])
    labels = [counted.labels[k] for k in frequent]
    figure = charts.matrix(labels, C_LL, x_title="label j", y_title="label i", value_title="C(i, j)")
    frame.show(figure, height=240 + 18 * size)


def show_pairs(view: View, source: str | None) -> int:
    """A ranked list, and the tracks of the pair that is picked; the fewest tracks that label i has."""
    kind = st.segmented_control(
        "List", list(LISTS), default="pairs", required=True, format_func=LISTS.__getitem__, key="list",
        bind="query-params",
    )  # fmt: skip
    least = 1
    if kind == "pairs":
        least = int(st.number_input("Tracks with label i, at least", 1, value=5, key="least", bind="query-params"))
    else:
        st.caption(ABOUT[kind])
    pairs = read_list(view.snapshot, view, source, kind, least)
    if pairs.empty:
        st.caption("No such pair.")
        return least
    share = {"format": "%.2f", "width": 50}
    count = {"format": "localized", "width": 50}
    chosen = st.dataframe(
        pairs,
        hide_index=True,
        height=min(420, 35 * (len(pairs) + 1) + 2),
        on_select="rerun",
        selection_mode="single-row",
        key=f"{kind}-{source}-{least}",
        column_order=["label_i", "label_j", "c", "c_low", "c_high", "c_ij", "c_ji", "lift", "reason", "n_both", "n_i",
                      "n_j"],
        column_config={
            "label_i": "Label i",
            "label_j": "Label j",
            "c": st.column_config.ProgressColumn("C(i, j)", format="%.3f", min_value=0, max_value=1, width=85),
            "c_low": st.column_config.NumberColumn("from", help="95 % interval of C(i, j) (Wilson)", **share),
            "c_high": st.column_config.NumberColumn("to", help="95 % interval of C(i, j) (Wilson)", **share),
            "c_ij": st.column_config.NumberColumn("C(i, j)", **share),
            "c_ji": st.column_config.NumberColumn("C(j, i)", **share),
            "lift": st.column_config.NumberColumn(
                "Lift", format="%.1f", width=50, help="Times more frequent j is among tracks with i than among all"
            ),
            "reason": st.column_config.TextColumn("Because of", width=80),
            "n_both": st.column_config.NumberColumn("Both", help="Tracks with i and j", **count),
            "n_i": st.column_config.NumberColumn("#i", help="Tracks with label i", **count),
            "n_j": st.column_config.NumberColumn("#j", help="Tracks with label j", **count),
        },
    )  # fmt: skip
    if len(pairs) == MOST_PAIRS:
        st.caption(f"The first {MOST_PAIRS}; `phonolake labels cooccurrence` lists them all.")
    rows = [row for row in chosen.selection.rows if row < len(pairs)]
    if rows:
        labels = pairs.loc[rows[0], ["label_i", "label_j"]]
        player.pair(view, *labels, source=source, key=f"heard-{kind}-{least}-{rows[0]}")
    else:
        st.caption("Pick a pair to listen to its tracks.")
    return least


with page("Co-occurrence", "Which labels occur together on the same tracks.") as view:
    left, right = st.columns([7, 5], gap="large", vertical_alignment="bottom")
    left.markdown(
        "**C(i, j) = #(i and j) / #i**: of the tracks that have label *i*, the share that also has label *j* "
        "(Choi et al. 2018, Eq. 1). It is not symmetric: read it along the rows."
    )
    with right:
        source = choose_source(view, all_too=True)
    counted = read(view.snapshot, view, source)
    if not counted.labels:
        st.info("No track has a label, so there is nothing to pair.", icon=":material/info:")
        st.stop()
    if counted.pairs.sum() == counted.tracks.sum():
        st.info(
            f"Every track has a single label (of {len(counted.labels):,}), so there is nothing to pair: co-occurrence "
            "needs tracks with several tags. Label vectors and label noise also work with one label for each track.",
            icon=":material/info:",
        )
        st.stop()
    left, right = st.columns([5, 7], gap="medium")
    with left:
        st.subheader("The most frequent labels", anchor=False)
        show_matrix(counted)
    with right:
        st.subheader("The strongest pairs", anchor=False)
        least = show_pairs(view, source)
    where_from(view, "cooccurrence", ("labels",), sql=f"FROM cooccurrence() WHERE n_i >= {least}")
