"""One track on a page: its sound, its name, and the way to its own page."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st
from common import View, plain, unless_missing

from phonolake.audio.decode import decode
from phonolake.audio.players import MIME
from phonolake.errors import AudioError, PhonolakeError
from phonolake.lookup import browse
from phonolake.lookup.browse import TrackFacts
from phonolake.records import Hertz
from phonolake.store import tracks

# What is sent to a browser goes there in one piece, and stays in memory.
MOST_BYTES = 192 << 20
EXPLORE = "views/explore.py"
IN_TURN = "in-turn-"
# One sound at a time, by keys too: 1 plays the first from its beginning.
TURNS = """
export default function ({ data }) {
  const sounds = () => [...Array(data.n).keys()].map((n) => document.querySelector(`.st-key-${data.prefix}${n} audio`));
  const alone = (event) => sounds().forEach((sound) => { if (sound && sound !== event.target) sound.pause(); });
  const press = (event) => {
    const writing = event.target.closest("input, textarea, [contenteditable=true]");
    if (writing || event.ctrlKey || event.metaKey || event.altKey) return;
    const sound = sounds()[Number(event.key) - 1];
    if (sound) { sound.currentTime = 0; sound.play(); }
  };
  document.addEventListener("play", alone, true);
  document.addEventListener("keydown", press);
  return () => {
    document.removeEventListener("play", alone, true);
    document.removeEventListener("keydown", press);
  };
}
"""


def listen(view: View, track_id: str, *, autoplay: bool = False) -> None:
    """Play a track from the bytes in the lake; what browsers cannot play is decoded first."""
    with unless_missing():
        _play(view, track_id, autoplay=autoplay)


def listen_blind(view: View, track_id: str) -> None:
    """Play a track in a loop, without its name or id."""
    try:
        _play(view, track_id, autoplay=True, loop=True)
    except PhonolakeError:
        st.info("This recording cannot be played: skip it.", icon=":material/volume_off:")


def listen_in_turn(view: View, tracks: dict[str, str]) -> None:
    """Play one of several tracks at a time, by click or by the keys 1, 2, ...; only their titles here are shown."""
    for n, (column, (title, track_id)) in enumerate(zip(st.columns(len(tracks)), tracks.items(), strict=True)):
        with column, st.container(key=f"{IN_TURN}{n}"):
            st.markdown(f"**{title}** ({n + 1})")
            try:
                _play(view, track_id, autoplay=n == 0, loop=True)
            except PhonolakeError:
                st.info("This recording cannot be played: skip it.", icon=":material/volume_off:")
    turns = st.components.v2.component("phonolake-turns", html="<span></span>", js=TURNS)
    turns(data={"n": len(tracks), "prefix": IN_TURN}, key="turns")


def _play(view: View, track_id: str, *, autoplay: bool, loop: bool = False) -> None:
    audio = tracks.read_audio(view.connection, track_id, most_bytes=MOST_BYTES)
    mime = MIME.get(audio.container)
    if mime is not None:
        st.audio(audio.data, format=mime, autoplay=autoplay, loop=loop)
        return
    try:
        samples = decode(audio.data, sr=Hertz(audio.sr))
    except AudioError as error:
        raise PhonolakeError(f"the audio of {track_id} cannot be played ({error})") from error
    st.audio(samples, sample_rate=audio.sr, autoplay=autoplay, loop=loop)
    st.caption(f"Browsers cannot play {plain(audio.container)}: decoded to one channel.")


def playlist(
    view: View,
    track_ids: Sequence[str],
    *,
    key: str,
    values: dict[str, Sequence[float]] | None = None,
    height: int = 320,
    beside: bool = False,
) -> None:
    """A list of tracks; a click on a line plays it and offers the way to its page.

    Parameters
    ----------
    beside : bool
        Whether a track opens beside the list, on the page Explore itself.
    values : dict, optional
        Columns of figures to show beside the tracks, one for each.
    """
    if not track_ids:
        st.caption("No tracks.")
        return
    lines = {line.track_id: line for line in browse.lines(view.connection, track_ids)}
    shown = [track_id for track_id in track_ids if track_id in lines]
    table = pd.DataFrame([lines[track_id] for track_id in shown], columns=["track_id", "title", "artist", "labels"])
    for name, column in (values or {}).items():
        value_of = dict(zip(track_ids, column, strict=True))
        table[name] = [value_of[track_id] for track_id in shown]
    columns = ("labels",) if values else ("artist", "labels")
    chosen = st.dataframe(
        table,
        hide_index=True,
        placeholder="",
        height=min(height, 35 * (len(table) + 1) + 2),
        column_order=["title", *(c for c in columns if table[c].notna().any()), *(values or {})],
        column_config={"title": "Track", "artist": "Artist", "labels": "Labels"}
        | {name: st.column_config.NumberColumn(name.capitalize(), format="%.3f") for name in values or {}},
        on_select="rerun",
        selection_mode="single-row",
        key=key,
    )
    rows = [row for row in chosen.selection.rows if row < len(shown)]
    if not rows:
        st.caption("Pick a line to listen.")
        return
    listen(view, shown[rows[0]], autoplay=True)
    if beside:
        st.button(
            "Open", icon=":material/open_in_new:", key=f"{key}-open", on_click=open_beside, args=(shown[rows[0]],)
        )
    else:
        link(shown[rows[0]])


def open_beside(track_id: str) -> None:
    """Open a track on the page Explore that is shown: one step of the browser's history, which Back takes again."""
    st.query_params["track"] = track_id


def pair(view: View, label_i: str, label_j: str, *, key: str, source: str | None = None) -> None:
    """Tracks of two labels to listen to: with both, and with one alone; by what one source says, or all."""
    kinds = {"both": "Both", "first": f"Only {plain(label_i)}", "second": f"Only {plain(label_j)}"}
    kind = st.segmented_control(
        "Tracks with", list(kinds), default="both", required=True, format_func=kinds.__getitem__, key=f"{key}-kind"
    )
    track_ids = browse.of_pair(view.connection, label_i, label_j, which=kind, source=source)
    playlist(view, track_ids, key=f"{key}-{kind}")


def head(facts: TrackFacts) -> None:
    """Name a track: its title where it has one, and whom it is by."""
    st.subheader(plain(facts.title or facts.track_id), anchor=False)
    year = None if facts.year is None else str(facts.year)
    parts = [facts.artist, facts.album, year, facts.track_id if facts.title else None]
    if any(parts):
        st.caption(" · ".join(plain(part) for part in parts if part))


def link(track_id: str, *, label: str = "Open in Explore") -> None:
    """A link to a track on the page Explore."""
    st.page_link(EXPLORE, label=label, icon=":material/open_in_new:", query_params={"track": track_id})
