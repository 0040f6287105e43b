"""One track on a page: its sound, its name, and the way to its own page."""

import streamlit as st
from common import View, plain, unless_missing

from phonolake.analysis.browse import TrackFacts
from phonolake.audio.decode import decode
from phonolake.errors import AudioError, PhonolakeError
from phonolake.records import Hertz
from phonolake.store import tracks

EXPLORE = "views/explore.py"
# What browsers play, by the container that the decoder named.
MIME = {
    "MP3": "audio/mpeg",
    "OGG": "audio/ogg",
    "WAV": "audio/wav",
    "WAVEX": "audio/wav",
    "FLAC": "audio/flac",
    "MP4": "audio/mp4",
    "MOV": "audio/mp4",
    "AAC": "audio/aac",
    "MATROSKA": "audio/webm",
}


def listen(view: View, track_id: str, *, autoplay: bool = False) -> None:
    """Play a track from the bytes in the lake; what browsers cannot play is decoded first."""
    with unless_missing():
        audio = tracks.read_audio(view.connection, track_id)
        mime = MIME.get(audio.container)
        if mime is not None:
            st.audio(audio.data, format=mime, autoplay=autoplay)
            return
        try:
            samples = decode(audio.data, sr=Hertz(audio.sr))
        except AudioError as error:
            raise PhonolakeError(f"the audio of {track_id} cannot be played ({error})") from error
        st.audio(samples, sample_rate=audio.sr, autoplay=autoplay)
        st.caption(f"Browsers play no {plain(audio.container)}: decoded to one channel.")


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
