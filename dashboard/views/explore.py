"""Find a track: by its names and facts, by a condition, on a map, by a recording of your own, or by a description."""

import io
from functools import partial
from pathlib import PurePath
from typing import Any

import colouring
import map_view
import pandas as pd
import player
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import selection
import streamlit as st
from colouring import Colouring
from common import View, choose, note_licences, page, plain, searcher, unless_missing
from origin import where_from
from track_view import NEIGHBOURS, TRACK, show_track

from phonolake.analysis.collection import embedding_map, neighbours
from phonolake.lookup import browse, measures
from phonolake.store import query
from phonolake.store.lake import Lake

LINES = 100
UPLOAD_MB = 30
WAYS = ("List", "Map", "Recording", "Words")
CLICKED = "clicked"
PICK = {
    "List": "Pick a track from the list. The address of this page then leads straight to it.",
    "Map": "Click a point, or draw around some to list their tracks, and open one from there.",
    "Recording": "The list has tracks that sound like your recording; open one from there.",
    "Words": "The list has tracks that match your description; open one from there.",
}
LAYOUTS = {"pca": "Principal components", "tsne": "t-SNE (slow)"}
COLUMNS = {"title": "Track", "artist": "Artist", "album": "Album", "year": "Year", "labels": "Labels",
           "duration_seconds": "Seconds", "track_id": "Id"}  # fmt: skip
SHOWN = [name for name in COLUMNS if name != "track_id"]
SQL = "views/sql.py"
EXPORTS = {"CSV": "text/csv", "Parquet": "application/vnd.apache.parquet", "M3U playlist": "audio/x-mpegurl"}


@st.cache_data(max_entries=32, show_spinner=False)
def count(snapshot: tuple, _view: View, wanted: browse.Filter) -> int:
    """How many tracks pass a filter, once per publication."""
    return browse.count(_view.connection, wanted)


# Maps and their colours are shared as they are: nobody changes them, and copies of 100,000 titles take time.
@st.cache_resource(max_entries=4, show_spinner="Drawing the map …")
def read_map(snapshot: tuple, _view: View, method: str) -> embedding_map.EmbeddingMap:
    """Where the tracks lie, once per publication."""
    return embedding_map.embedding_map(_view.connection, method=method)


@st.cache_data(max_entries=8, show_spinner=False)
def read_offered(snapshot: tuple, _view: View) -> dict[str, str]:
    """What a map can be coloured by, once per publication."""
    return colouring.offered(_view.connection)


@st.cache_resource(max_entries=8, show_spinner="Colouring …")
def read_colours(snapshot: tuple, _view: View, method: str, by: str) -> Colouring:
    """Colours of all tracks on a map: they stay the same, whatever is selected."""
    track_ids = read_map(snapshot, _view, method).track_ids
    return colouring.of(_view.connection, by, track_ids, read_offered(snapshot, _view))


@st.cache_resource(max_entries=8, show_spinner=False)
def read_points(
    snapshot: tuple, _view: View, method: str, by: str, wanted: browse.Filter
) -> tuple[list[int], dict[str, Any]]:
    """Which of the tracks on a map pass a filter, by their numbers, and the figure of them."""
    found = read_map(snapshot, _view, method)
    shown = list(range(len(found.track_ids)))
    if wanted != browse.Filter():
        passing = set(browse.ids(_view.connection, wanted))
        shown = [n for n in shown if found.track_ids[n] in passing]
    if not shown:
        return [], {}
    colours = read_colours(snapshot, _view, method, by).of(shown)
    return shown, map_view.figure(found.places[shown], [found.titles[n] for n in shown], colours)


@st.cache_data(max_entries=8, show_spinner="Listening …")
def like_upload(snapshot: tuple, _view: View, data: bytes, extension: str) -> list[neighbours.Neighbour]:
    """Tracks that sound like a recording that was handed in."""
    return neighbours.similar_to_upload(_view.lake, data, extension=extension, k=NEIGHBOURS)


@st.cache_data(max_entries=32, show_spinner="Reading …")
def like_words(snapshot: tuple, _view: View, text: str, where: str | None) -> list[neighbours.Neighbour]:
    """Tracks that sound as a text says, among those that fulfil a condition."""
    return searcher(_view).ask(neighbours.SimilarityQuestion(text=text, k=NEIGHBOURS, where=where))


def remember(key: str, track_ids: list[str]) -> None:
    """Write the line that was clicked into the address of the page, where it can be shared from."""
    rows = st.session_state[key].selection.rows
    if rows:
        st.query_params[TRACK] = track_ids[rows[0]]


def list_tracks(view: View, wanted: browse.Filter) -> None:
    """One page of the list, sorted as asked; a click on a line picks the track."""
    n = count(view.snapshot, view, wanted)
    if not n:
        st.info("No track passes these filters.", icon=":material/filter_alt_off:")
        return
    known = selection.choices(view.snapshot, view)[2]
    left, middle, right = st.columns([3, 2, 2], vertical_alignment="bottom")
    with middle.popover("Columns", icon=":material/view_column:", width="stretch"):
        columns = st.multiselect(
            "Columns",
            [*COLUMNS, *(name for name in known if name not in browse.ORDERS)],
            default=SHOWN,
            format_func=lambda name: COLUMNS.get(name) or known[name].title,
            key="columns",
            bind="query-params",
        )
    numbers = [name for name in columns if name in known and name not in COLUMNS]
    order = left.selectbox(
        "Sort by", [*browse.ORDERS, *numbers], key="sort", bind="query-params",
        format_func=lambda name: name if name in browse.ORDERS else known[name].title,
    )  # fmt: skip
    descending = right.toggle("Down", key="down", bind="query-params", help="The largest or last first")
    n_pages = -(-n // LINES)
    # The numbering starts anew when the filter or the order changes.
    place = f"page-{wanted}-{order}-{descending}"
    number = min(st.session_state.get(place, 1), n_pages)
    lines = browse.page(
        view.connection, wanted, limit=LINES, offset=(number - 1) * LINES, order=order, descending=descending
    )
    table = pd.DataFrame(lines)
    for name in numbers:
        table[name] = table["track_id"].map(measures.values(view.connection, name, table["track_id"].tolist()))
    key = f"lines-{wanted}-{order}-{descending}-{number}"
    st.dataframe(
        table,
        hide_index=True,
        placeholder="",
        height=min(600, 35 * (len(lines) + 1) + 2),
        column_order=[name for name in columns if columns != SHOWN or table[name].notna().any()],
        column_config={name: st.column_config.TextColumn(title, width=85) for name, title in COLUMNS.items()}
        | {
            "title": "Track",
            "year": st.column_config.NumberColumn("Year", format="%d", width=45),
            "duration_seconds": st.column_config.NumberColumn("Seconds", format="%.0f", width=55),
        }
        | {name: st.column_config.NumberColumn(known[name].title, format="%.4g", width=85) for name in numbers},
        on_select=lambda: remember(key, [line.track_id for line in lines]),
        selection_mode="single-row",
        key=key,
    )
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(f"{n:,} tracks", width="content")
        if n_pages > 1:
            st.pagination(n_pages, key=place, max_visible_pages=5)
    take_out(view, wanted, n)


def take_out(view: View, wanted: browse.Filter, n: int) -> None:
    """The selection as a file."""
    with st.popover(f"Export {n:,} tracks", icon=":material/download:"):
        for kind, mime in EXPORTS.items():
            st.download_button(
                kind,
                partial(exported, view.lake, wanted, kind),
                file_name=f"phonolake.{'m3u8' if kind.startswith('M3U') else kind.lower()}",
                mime=mime,
                on_click="ignore",
                width="stretch",
            )
        condition = browse.condition(view.connection, wanted)
        st.page_link(
            SQL, label="Ask more in SQL", icon=":material/database:",
            query_params={"sql": f"SELECT track_id, title, artist\nFROM tracks\nWHERE {condition}\nORDER BY track_id"},
        )  # fmt: skip
        name = st.text_input("A label for all of them", placeholder="to listen again", key="export-label").strip()
        st.download_button(
            "Label file (CSV)",
            partial(exported, view.lake, wanted, "labels", name),
            file_name="labels.csv",
            mime="text/csv",
            disabled=not name,
            on_click="ignore",
            width="stretch",
            help="`phonolake labels import FILE` imports it.",
        )


def exported(lake: Lake, wanted: browse.Filter, kind: str, label: str = "") -> bytes:
    """The tracks that pass a filter, as a file of a kind."""
    with query.connect(lake) as connection:
        found = browse.table(connection, wanted)
    if kind.startswith("M3U"):
        return browse.playlist(found).encode()
    sink = io.BytesIO()
    if kind == "Parquet":
        pyarrow.parquet.write_table(found, sink)
    elif kind == "labels":
        names = pa.table({"track_id": found["track_id"], "label": [label] * len(found)})
        pyarrow.csv.write_csv(names, sink)
    else:
        pyarrow.csv.write_csv(found, sink)
    return sink.getvalue()


def show_map(view: View, wanted: browse.Filter) -> None:
    """Tracks of the selection as points; similar ones are near each other. Drawing around some lists them."""
    left, right = st.columns(2, vertical_alignment="bottom")
    layout = left.segmented_control(
        "Laid out by", list(LAYOUTS), default="pca", required=True, format_func=LAYOUTS.__getitem__, key="layout",
        bind="query-params",
    )  # fmt: skip
    found = read_map(view.snapshot, view, layout)
    known = read_offered(view.snapshot, view)
    with right:
        by = choose("Colour by", list(known), key="colour", format_func=known.__getitem__)
    shown, points = read_points(view.snapshot, view, layout, by, wanted)
    if not shown:
        st.info("No track on the map passes these filters.", icon=":material/filter_alt_off:")
        return
    n_chosen, numbers = map_view.show(
        points, marked=opened(found, shown), height=560, key=f"{layout}-{found.run_id}-{wanted}", colouring=by
    )
    n = len(found.track_ids)
    which = f"{n:,} tracks" if n == found.n_total else f"A fixed sample of {n:,} of {found.n_total:,} tracks"
    if len(shown) < n:
        which = f"{len(shown):,} of {which[0].lower()}{which[1:]}"
    axes = (
        "only nearness has a meaning, not the axes or the distance of groups"
        if found.explained is None
        else f"the two axes explain {found.explained:.0%} of what the embeddings differ in"
    )
    st.caption(
        f"{which}; {axes}. Click a point to open its track, or draw around some to list them; shift and the wheel "
        "zoom, shift and the mouse move."
    )
    track_ids = [found.track_ids[shown[k]] for k in numbers]
    if len(track_ids) == 1:
        # One that was clicked plays, and opens beside the map; what is opened from there later stays open.
        if st.session_state.get(CLICKED) != track_ids[0]:
            st.query_params[TRACK] = st.session_state[CLICKED] = track_ids[0]
        player.listen(view, track_ids[0], autoplay=True)
    else:
        st.session_state[CLICKED] = None
    if len(track_ids) > 1:
        listed = "" if n_chosen == len(track_ids) else f", the first {len(track_ids):,} are listed"
        st.markdown(f"**{n_chosen:,} chosen**{listed}")
        player.playlist(view, track_ids, key="lassoed", beside=True)
    where_from(view, "map", ("embeddings",), run_id=found.run_id)


def opened(found: embedding_map.EmbeddingMap, shown: list[int]) -> int | None:
    """The place of the open track among the points that are shown."""
    track_id = st.query_params.get(TRACK)
    if track_id is None:
        return None
    return next((k for k, n in enumerate(shown) if found.track_ids[n] == track_id), None)


def show_upload(view: View) -> None:
    """Tracks that sound like a recording outside the lake, which is compared but not kept."""
    uploaded = st.file_uploader(
        "A recording", max_upload_size=UPLOAD_MB, key="recording", help="It is compared, but not kept."
    )
    if uploaded is None:
        st.caption("Drop an audio file here to find the most similar tracks.")
        return
    extension = PurePath(uploaded.name).suffix[1:]
    found = like_upload(view.snapshot, view, uploaded.getvalue(), extension)
    show_found(view, uploaded.name, found, key="like-upload")


def show_words(view: View, wanted: browse.Filter) -> None:
    """Tracks of the selection that match a description."""
    text = st.text_input(
        "It sounds like", placeholder="slow piano at night", icon=":material/hearing:", key="words", bind="query-params"
    ).strip()
    if not text:
        st.caption("Describe a sound in words: a model with a text tower finds the nearest tracks.")
        return
    show_found(view, text, like_words(view.snapshot, view, text, selection.condition(view, wanted)), key="like-words")


def show_found(view: View, asked: str, found: list[neighbours.Neighbour], *, key: str) -> None:
    """Neighbours of what is no track, with a player."""
    st.markdown(f"Most similar to **{plain(asked)}**:")
    values = {"similarity": [neighbour.similarity for neighbour in found]}
    player.playlist(view, [neighbour.track_id for neighbour in found], key=key, values=values, beside=True)
    note_licences(view)


with page("Explore", "Find a track, listen to it, and see what the models predict.") as view:
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
        wanted = browse.Filter()
        with unless_missing():
            if way == "List":
                wanted = selection.choose(view)
            else:
                with st.expander("Selection", icon=":material/filter_alt:"):
                    wanted = selection.choose(view)
            if way == "List":
                list_tracks(view, wanted)
            elif way == "Map":
                show_map(view, wanted)
            elif way == "Recording":
                show_upload(view)
            else:
                show_words(view, wanted)
    with right, unless_missing():
        chosen = st.query_params.get(TRACK)
        if chosen is None:
            st.info(PICK[way], icon=":material/info:")
        else:
            show_track(view, chosen, wanted, narrow=way == "Map")
