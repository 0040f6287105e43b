"""Find a track: by its names and facts, by a condition, on a map, or by a recording of your own."""

from pathlib import PurePath

import charts
import pandas as pd
import player
import streamlit as st
from common import View, page, plain, unless_missing
from origin import where_from
from track_view import NEIGHBOURS, TRACK, show_track

from phonolake.analysis.collection import embedding_map, neighbours, overview
from phonolake.lookup import browse

LINES = 12
MOST_LABELS = 1000
MOST_GROUPS = 8
UPLOAD_MB = 30
WAYS = ("List", "Map", "Recording")
PICK = {
    "List": "Pick a track from the list. The address of this page then leads straight to it.",
    "Map": "Take the lasso above the map and draw around points to list their tracks, and open one from there.",
    "Recording": "What sounds like your recording is listed; open one of the tracks from there.",
}
LAYOUTS = {"pca": "Principal components", "tsne": "t-SNE (takes seconds)"}


@st.cache_data(max_entries=8, show_spinner=False)
def choices(snapshot: tuple, _view: View) -> tuple[list[str], list[str], float, float]:
    """Datasets, the commonest labels, and the range of durations."""
    datasets = [d.dataset for d in overview.datasets(_view.connection)]
    labels = [c.label for c in overview.label_counts(_view.connection, top=MOST_LABELS)]
    bins = overview.duration_histogram(_view.connection)
    return datasets, labels, float(bins[0].start_seconds), float(bins[-1].end_seconds)


@st.cache_data(max_entries=4, show_spinner="Drawing the map …")
def read_map(snapshot: tuple, _view: View, method: str) -> embedding_map.EmbeddingMap:
    """Where the tracks lie, once per publication."""
    return embedding_map.embedding_map(_view.connection, method=method)


@st.cache_data(max_entries=8, show_spinner="Listening …")
def like_upload(snapshot: tuple, _view: View, data: bytes, extension: str) -> list[neighbours.Neighbour]:
    """Tracks that sound like a recording that was handed in."""
    return neighbours.similar_to_upload(_view.lake, data, extension=extension, k=NEIGHBOURS)


def choose_filter(view: View) -> browse.Filter:
    """The controls above the list."""
    datasets, labels, least, most = choices(view.snapshot, view)
    bound = {"bind": "query-params"}
    text = st.text_input(
        "Search", placeholder="Title, artist, album or id", icon=":material/search:", key="text", **bound
    )
    left, right = st.columns(2)
    dataset = left.selectbox("Dataset", datasets, index=None, placeholder="All", key="dataset", **bound)
    label = right.selectbox(
        "Label", labels, index=None, placeholder="Any", accept_new_options=True, key="label", **bound
    )
    where = st.text_input(
        "Condition",
        placeholder="year > 2000 AND artist IS NOT NULL",
        help="SQL over the table tracks; other tables by `track_id IN (SELECT …)`.",
        icon=":material/filter_alt:",
        key="where",
        **bound,
    )
    shortest, longest = least, most
    if most - least > 1:
        shortest, longest = st.slider(
            "Duration (s)", least, most, (least, most), step=1.0, format="%d", key=f"duration-{least}-{most}", **bound
        )
    wanted = browse.Filter(
        dataset,
        label,
        text,
        None if shortest == least else shortest,
        None if longest == most else longest,
        where.strip() or None,
    )
    browse.check(view.connection, wanted)
    return wanted


def remember(key: str, track_ids: list[str]) -> None:
    """Write the line that was clicked into the address of the page, where it can be shared from."""
    rows = st.session_state[key].selection.rows
    if rows:
        st.query_params[TRACK] = track_ids[rows[0]]


def list_tracks(view: View, wanted: browse.Filter) -> None:
    """One page of the list; a click on a line picks the track."""
    n = browse.count(view.connection, wanted)
    if not n:
        st.info("No track passes these filters.", icon=":material/filter_alt_off:")
        return
    n_pages = -(-n // LINES)
    # The numbering starts anew when the filter changes.
    place = f"page-{wanted}"
    number = min(st.session_state.get(place, 1), n_pages)
    lines = browse.page(view.connection, wanted, limit=LINES, offset=(number - 1) * LINES)
    table = pd.DataFrame(lines)
    key = f"lines-{wanted}-{number}"
    st.dataframe(
        table,
        hide_index=True,
        placeholder="",
        height=35 * (LINES + 1) + 2,
        column_order=["title", *(c for c in ("artist", "labels") if table[c].notna().any()), "duration_seconds"],
        column_config={
            "title": "Track",
            "artist": st.column_config.TextColumn("Artist", width=125),
            "labels": st.column_config.TextColumn("Labels", width=90),
            "duration_seconds": st.column_config.NumberColumn("Seconds", format="%.0f", width=60),
        },
        on_select=lambda: remember(key, [line.track_id for line in lines]),
        selection_mode="single-row",
        key=key,
    )
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(f"{n:,} tracks", width="content")
        if n_pages > 1:
            st.pagination(n_pages, key=place, max_visible_pages=5)


def show_map(view: View) -> None:
    """Tracks as points, near each other where a model takes them for alike; a lasso lists those inside it."""
    layout = st.segmented_control(
        "Laid out by", list(LAYOUTS), default="pca", required=True, format_func=LAYOUTS.__getitem__, key="layout",
        bind="query-params",
    )  # fmt: skip
    found = read_map(view.snapshot, view, layout)
    figure = charts.scatter(found.places, found.titles, found.labels, most_groups=MOST_GROUPS, titled=layout == "pca")
    chosen = charts.lasso(figure, height=560, key=f"map-{layout}-{found.run_id}")
    shown = len(found.track_ids)
    which = (
        f"{shown:,} tracks" if shown == found.n_total else f"A fixed sample of {shown:,} of {found.n_total:,} tracks"
    )
    axes = (
        "only nearness means something, not the axes nor the distance of groups"
        if found.explained is None
        else f"the two axes hold {found.explained:.0%} of what the embeddings differ in"
    )
    st.caption(
        f"{which}; {axes}. Click points, or draw around them with the lasso, to list them; shift and the wheel zoom."
    )
    if chosen:
        st.markdown(f"**{len(chosen):,} chosen**")
        player.playlist(view, [found.track_ids[n] for n in chosen if n < shown], key="lassoed")
    where_from(view, "map", ("embeddings",), run_id=found.run_id)


def show_upload(view: View) -> None:
    """What sounds like a recording that is not in the lake; it is compared and not kept."""
    uploaded = st.file_uploader(
        "A recording", max_upload_size=UPLOAD_MB, key="recording", help="It is compared, and not kept."
    )
    if uploaded is None:
        st.caption("Drop an audio file here: the lake answers with what sounds most alike.")
        return
    extension = PurePath(uploaded.name).suffix[1:]
    found = like_upload(view.snapshot, view, uploaded.getvalue(), extension)
    st.markdown(f"Most like **{plain(uploaded.name)}**:")
    values = {"similarity": [neighbour.similarity for neighbour in found]}
    player.playlist(view, [neighbour.track_id for neighbour in found], key="like-upload", values=values)


with page("Explore", "Find a track, listen to it, and see what the models make of it.") as view:
    # A map needs more room than a list.
    left, right = st.columns(
        [3, 2] if st.session_state.get("by", st.query_params.get("by")) == "Map" else [4, 5], gap="large"
    )
    with left:
        way = st.segmented_control(
            "Find by",
            WAYS,
            default=WAYS[0],
            required=True,
            key="by",
            bind="query-params",
            label_visibility="collapsed",
        )
        with unless_missing():
            if way == "List":
                list_tracks(view, choose_filter(view))
            elif way == "Map":
                show_map(view)
            else:
                show_upload(view)
    with right, unless_missing():
        chosen = st.query_params.get(TRACK)
        if chosen is None:
            st.info(PICK[way], icon=":material/info:")
        else:
            show_track(view, chosen)
