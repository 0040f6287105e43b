"""Find a track, listen to it, and see what the models make of it."""

import charts
import pandas as pd
import player
import streamlit as st
from common import View, clock, lacking, page, plain, unless_missing

from phonolake.analysis import browse, neighbours, overview
from phonolake.features import contract
from phonolake.store import tracks

TRACK = "track"
LINES = 12
MOST_LABELS = 1000
MOST_BADGES = 12
TAGS = 8
NEIGHBOURS = 8


@st.cache_data(max_entries=8, show_spinner=False)
def choices(snapshot: tuple, _view: View) -> tuple[list[str], list[str], float, float]:
    """Datasets, the commonest labels, and the range of durations."""
    datasets = [d.dataset for d in overview.datasets(_view.connection)]
    labels = [c.label for c in overview.label_counts(_view.connection, top=MOST_LABELS)]
    bins = overview.duration_histogram(_view.connection)
    return datasets, labels, float(bins[0].start_seconds), float(bins[-1].end_seconds)


@st.cache_data(max_entries=64, show_spinner="Searching …")
def alike(snapshot: tuple, _view: View, track_id: str, model: str | None) -> list[neighbours.Neighbour]:
    """Neighbours of a track, once per publication."""
    return neighbours.similar(_view.lake, track_id, k=NEIGHBOURS, model_or_run=model)


def choose_filter(view: View) -> browse.Filter:
    """The controls above the list."""
    datasets, labels, least, most = choices(view.snapshot, view)
    text = st.text_input("Search", placeholder="Title, artist, album or id", icon=":material/search:", key="text")
    left, right = st.columns(2)
    dataset = left.selectbox("Dataset", datasets, index=None, placeholder="All", key="dataset")
    label = right.selectbox("Label", labels, index=None, placeholder="Any", accept_new_options=True, key="label")
    if most - least <= 1:
        return browse.Filter(dataset, label, text)
    shortest, longest = st.slider(
        "Duration (s)", least, most, (least, most), step=1.0, format="%d", key=f"duration-{least}-{most}"
    )
    return browse.Filter(
        dataset,
        label,
        text,
        None if shortest == least else shortest,
        None if longest == most else longest,
    )


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
            "artist": st.column_config.TextColumn("Artist", width=110),
            "labels": st.column_config.TextColumn("Labels", width=90),
            "duration_seconds": st.column_config.NumberColumn("Seconds", format="%.1f", width=65),
        },
        on_select=lambda: remember(key, [line.track_id for line in lines]),
        selection_mode="single-row",
        key=key,
    )
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(f"{n:,} tracks", width="content")
        if n_pages > 1:
            st.pagination(n_pages, key=place, max_visible_pages=5)


def show_labels(facts: browse.TrackFacts) -> None:
    """The labels, those of the dataset first and in colour."""
    labels = [
        (label, "primary" if source == "dataset" else "gray") for source, own in facts.labels.items() for label in own
    ]
    with st.container(horizontal=True, gap="xsmall"):
        for label, color in labels[:MOST_BADGES]:
            st.badge(plain(label), color=color)
        if len(labels) > MOST_BADGES:
            st.badge(f"{len(labels) - MOST_BADGES} more", color="gray")


def show_technical(facts: browse.TrackFacts) -> None:
    """How the recording is stored, on one line."""
    parts = [clock(facts.duration_seconds)]
    if facts.container is not None:
        channels = {1: "mono", 2: "stereo"}.get(facts.channels or 0, f"{facts.channels} channels")
        parts += [f"{facts.container} ({facts.codec})", f"{facts.sr:,} Hz", channels]
        # Adding zero turns a rounded -0.0 into 0.0.
        levels = [("peak", facts.peak_dbfs), ("RMS", facts.rms_dbfs)]
        parts += [f"{name} {round(level, 1) + 0.0:.1f} dBFS" for name, level in levels if level is not None]
    parts += [f"{split}: {part}" for split, part in facts.splits.items()]
    parts += [facts.licence] if facts.licence else []
    st.caption(" · ".join(plain(part) for part in parts))


def show_spectrogram(view: View, track_id: str) -> None:
    """The stored spectrogram."""
    names = view.frame("SELECT DISTINCT spectrogram FROM spectrograms WHERE track_id = $1 ORDER BY 1", [track_id])
    known = [name for name in names["spectrogram"] if name in contract.spectrograms()]
    if not known:
        lacking("There is no spectrogram of this track yet.", "extract --spectrogram mel-96-12k")
        return
    recipe = contract.spectrogram(known[0])
    values_FT = tracks.read_spectrogram(view.connection, track_id, recipe.name)
    assert values_FT is not None
    figure = charts.spectrogram(values_FT, frames_per_second=recipe.frames_per_second, unit=recipe.unit)
    charts.show(figure, height=230, key="spectrogram")


def choose_model(view: View, table: str, track_id: str, key: str) -> str | None:
    """The run to show, where several have something to say about the track; the newest first."""
    runs = view.frame(
        f"SELECT DISTINCT x.model, x.run_id, r.finished_at FROM {table} x LEFT JOIN runs r USING (run_id) "
        "WHERE x.track_id = $1 ORDER BY r.finished_at DESC NULLS LAST, x.run_id",
        [track_id],
    )
    if len(runs) < 2:
        return None
    names = dict(zip(runs["run_id"], runs["model"], strict=True))
    unique = len(set(names.values())) == len(names)
    return st.selectbox(
        "Model", list(names), key=key, label_visibility="collapsed", format_func=lambda r: names[r] if unique else r
    )


def show_predictions(view: View, track_id: str) -> None:
    """What a model takes the track for."""
    st.markdown("**Predicted labels**")
    model = choose_model(view, "predictions", track_id, "tagger")
    rows = view.frame("FROM top_tags($1, k := $2, model_or_run := $3)", [track_id, TAGS, model])
    if rows.empty:
        lacking("No model has predicted labels of this track yet.", "score")
        return
    st.dataframe(
        rows[["label", "probability"]],
        hide_index=True,
        column_config={
            "label": "Label",
            "probability": st.column_config.ProgressColumn(
                "Probability", format="%.3f", min_value=0, max_value=1, width=120
            ),
        },
    )
    part = rows["part"].iloc[0]
    if part == "test":
        st.caption(f"{plain(rows['model'].iloc[0])} had not seen this track.")
    elif isinstance(part, str):
        st.caption(f"{plain(rows['model'].iloc[0])} had this track in its {part} part: it may simply remember it.")


def show_neighbours(view: View, track_id: str) -> None:
    """What sounds alike, each with a play button and a way to go there."""
    st.markdown("**Sounds alike**")
    with unless_missing():
        model = choose_model(view, "embeddings", track_id, "embedder")
        with st.container(gap=None):
            for found in alike(view.snapshot, view, track_id, model):
                show_neighbour(view, found)


def show_neighbour(view: View, found: neighbours.Neighbour) -> None:
    """One line of the neighbours; its player appears below it when it is asked for."""
    title = plain(found.title or found.track_id)
    about = " · ".join(plain(part) for part in (found.artist, found.labels) if part)
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", wrap=False):
        play = st.button("", icon=":material/play_arrow:", key=f"play-{found.track_id}", help="Play", type="tertiary")
        if st.button(title, key=f"open-{found.track_id}", help="Show this track", type="tertiary"):
            st.query_params[TRACK] = found.track_id
            st.rerun()
        st.caption(f"{about} · {found.similarity:.3f}" if about else f"{found.similarity:.3f}", width="content")
    if play:
        player.listen(view, found.track_id, autoplay=True)


def show_track(view: View, track_id: str) -> None:
    """Everything about one track."""
    facts = browse.facts(view.connection, track_id)
    player.head(facts)
    show_labels(facts)
    player.listen(view, track_id)
    show_spectrogram(view, track_id)
    show_technical(facts)
    left, right = st.columns([2, 3], gap="medium")
    with left:
        show_predictions(view, track_id)
    with right:
        show_neighbours(view, track_id)


with page("Explore", "Find a track, listen to it, and see what the models make of it.") as view:
    left, right = st.columns([2, 3], gap="large")
    with left:
        list_tracks(view, choose_filter(view))
    with right, unless_missing():
        chosen = st.query_params.get(TRACK)
        if chosen is None:
            st.info("Pick a track from the list. The address of this page then leads straight to it.")
        else:
            show_track(view, chosen)
