"""Which labels are doubtful."""

import duckdb
import pandas as pd
import player
import streamlit as st
from common import View, lacking, page, plain, unless_missing
from origin import where_from

from phonolake.analysis import browse, label_noise, neighbours, overview
from phonolake.analysis.label_noise import Suspect

MOST_SUSPECTS = 500
NEIGHBOURS = 10


@st.cache_data(max_entries=8, show_spinner="Ranking …")
def read(snapshot: tuple, _connection: duckdb.DuckDBPyConnection, source: str) -> list[Suspect]:
    """The most doubtful labels of one source, once per publication."""
    return label_noise.suspects(_connection, source=source, top=MOST_SUSPECTS)


@st.cache_data(max_entries=64, show_spinner="Searching …")
def alike(snapshot: tuple, _view: View, track_id: str) -> list[neighbours.Neighbour]:
    """Neighbours of a suspect, once per publication."""
    return neighbours.similar(_view.lake, track_id, k=NEIGHBOURS)


def choose_suspect(found: list[Suspect]) -> Suspect:
    """The ranked list; a click on a line picks the suspect, the first one to begin with."""
    probability = {"format": "%.3f", "min_value": 0, "max_value": 1, "width": 100}
    chosen = st.dataframe(
        pd.DataFrame(found),
        hide_index=True,
        height=560,
        column_config={
            "rank": st.column_config.NumberColumn("#", width=40),
            "track_id": "Track",
            "given": "Given",
            "suggested": "Suggested",
            "p_given": st.column_config.ProgressColumn("p(given)", **probability),
            "p_suggested": st.column_config.ProgressColumn("p(suggested)", **probability),
            "margin": st.column_config.NumberColumn("Margin", width=70, format="%.3f", help="p(suggested) - p(given)"),
        },
        on_select="rerun",
        selection_mode="single-row",
        selection_default={"selection": {"rows": [0]}},
        key="suspects",
    )
    rows = [row for row in chosen.selection.rows if row < len(found)]
    return found[rows[0]] if rows else found[0]


def show_suspect(view: View, suspect: Suspect) -> None:
    """Listen to a suspect, and see what its neighbours are called."""
    player.head(browse.facts(view.connection, suspect.track_id))
    st.markdown(
        f"Labelled **{plain(suspect.given)}**, sounds like **{plain(suspect.suggested)}** "
        f"(margin {plain(f'{suspect.margin:+.3f}')})."
    )
    player.listen(view, suspect.track_id)
    player.link(suspect.track_id)
    with unless_missing():
        found = alike(view.snapshot, view, suspect.track_id)
        counts = view.frame(
            "SELECT label, count(DISTINCT track_id) AS n FROM labels "
            "WHERE value = 1 AND list_contains($1, track_id) GROUP BY label",
            [[neighbour.track_id for neighbour in found]],
        )
        named = dict(zip(counts["label"], counts["n"], strict=True))
        st.markdown(
            f"Of the {len(found)} tracks that sound most alike, **{named.get(suspect.given, 0)}** are labelled "
            f"{plain(suspect.given)} and **{named.get(suspect.suggested, 0)}** {plain(suspect.suggested)}."
        )
        player.playlist(
            view,
            [neighbour.track_id for neighbour in found],
            key=f"alike-{suspect.track_id}",
            values={"similarity": [neighbour.similarity for neighbour in found]},
            height=240,
        )


with page("Label noise", "Labels that models, which had not seen them, would have given otherwise.") as view:
    sources = overview.label_sources(view.connection)
    source = sources[0] if sources else "dataset"
    if len(sources) > 1:
        source = st.segmented_control(
            "Who says so", sources, default=source, required=True, key="source", bind="query-params"
        )
    judged, labelled = overview.held_out(view.connection, source=source)
    if not labelled:
        st.info("No track has a label, so there is none to doubt.", icon=":material/info:")
        st.stop()
    if not judged:
        lacking("No model has judged tracks that it had not seen.", "crossval random-forest")
        st.stop()
    st.markdown(
        "The further the most probable other label lies above the given one, the more suspect is the given one "
        "(the normalised margin of Northcutt et al. 2021). Only held-out predictions count."
    )
    if judged < labelled:
        lacking(
            f"{judged:,} of {labelled:,} labelled tracks were judged; cross-validation judges all.",
            "crossval random-forest",
        )
    left, right = st.columns([7, 4], gap="large")
    with left:
        suspect = choose_suspect(read(view.snapshot, view.connection, source))
    with right:
        show_suspect(view, suspect)
    where_from(view, "noise", ("predictions", "labels"), sql="FROM predictions WHERE part = 'test'")
