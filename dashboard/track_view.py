"""Everything about one track: sound, waveform and spectrogram, labels, predictions, and similar tracks."""

from typing import TYPE_CHECKING

import numpy as np
import player
import selection
import sound_view
import streamlit as st
from common import View, clock, lacking, note_licences, plain, searcher, unless_missing
from origin import where_from

from phonolake.analysis.collection import neighbours
from phonolake.analysis.results import trainings
from phonolake.analysis.results.trainings import Training
from phonolake.audio.decode import decode
from phonolake.audio.waveform import outline
from phonolake.errors import AudioError, PhonolakeError
from phonolake.features import contract
from phonolake.lookup import browse
from phonolake.records import Hertz
from phonolake.store import tracks
from phonolake.store.schema import literal

if TYPE_CHECKING:
    from phonolake.analysis.collection.taggrams import TrackTaggram

TRACK = "track"
MOST_BADGES = 12
TAGS = 8
NEIGHBOURS = 8
# A waveform is as wide as a screen, and is drawn for music of a length that is decoded in a moment.
PIECES = 1000
LONGEST_DRAWN = 900.0


@st.cache_data(max_entries=64, show_spinner="Searching …")
def alike(
    snapshot: tuple, _view: View, track_id: str, model: str | None, where: str | None
) -> list[neighbours.Neighbour]:
    """Neighbours of a track among those that fulfil a condition, once per publication."""
    return searcher(_view).similar(track_id, k=NEIGHBOURS, model_or_run=model, where=where)


@st.cache_data(max_entries=64, show_spinner=False)
def read_predictors(snapshot: tuple, _view: View, track_id: str) -> list[tuple[str, Training]]:
    """Who predicted labels of a track, the best first, once per publication."""
    return trainings.best_for(_view.connection, track_id)


@st.cache_data(max_entries=64, show_spinner=False)
def read_outline(snapshot: tuple, _view: View, track_id: str) -> np.ndarray:
    """The waveform of a track."""
    try:
        audio = tracks.read_audio(_view.connection, track_id, most_bytes=player.MOST_BYTES)
        return outline(decode(audio.data, sr=Hertz(audio.sr)), PIECES)
    except AudioError as error:
        raise PhonolakeError(f"the audio of {track_id} cannot be drawn ({error})") from error


@st.cache_data(max_entries=64, show_spinner="Listening …")
def read_taggram(snapshot: tuple, _view: View, track_id: str) -> "TrackTaggram":
    """The newest network's labels over time."""
    from phonolake.analysis.collection import taggrams  # late: it brings torch, which the rest of the page does without

    return taggrams.of_track(_view.lake, _view.connection, track_id)


def show_track(view: View, track_id: str, wanted: browse.Filter, *, narrow: bool) -> None:
    """Everything about one track; neighbours can be kept to a selection.

    Parameters
    ----------
    narrow : bool
        Whether there is no room for two lists beside each other.
    """
    facts = browse.facts(view.connection, track_id)
    player.head(facts)
    show_labels(facts)
    with st.container(key=sound_view.PLAYER):
        player.listen(view, track_id)
    show_sound(view, facts)
    show_technical(facts)
    left, right = (st.container(), st.container()) if narrow else st.columns([2, 3], gap="medium")
    with left:
        show_predictions(view, track_id)
    with right:
        show_neighbours(view, track_id, selection.condition(view, wanted))
    where_from(view, "track", ("tracks", "audio", "labels", "predictions"), sql=sql_of(track_id))


def sql_of(track_id: str) -> str:
    """What is asked about a track, to be asked again."""
    return f"FROM tracks JOIN labels USING (track_id) WHERE track_id = {literal(track_id)}"


def show_sound(view: View, facts: browse.TrackFacts) -> None:
    """The outline of the sound, the stored spectrogram, and when asked for labels over time, on one axis."""
    outline_P2 = None
    pictures = []
    if facts.container is not None and facts.duration_seconds <= LONGEST_DRAWN:
        with unless_missing():
            outline_P2 = read_outline(view.snapshot, view, facts.track_id)
    names = view.frame("SELECT DISTINCT spectrogram FROM spectrograms WHERE track_id = $1 ORDER BY 1", [facts.track_id])
    known = [name for name in names["spectrogram"] if name in contract.spectrograms()]
    if known:
        recipe = contract.spectrogram(known[0])
        values_FT = tracks.read_spectrogram(view.connection, facts.track_id, recipe.name)
        assert values_FT is not None
        # Of several channels the first is the sound itself, the others are made from it.
        pictures.append(sound_view.spectrogram(values_FT if values_FT.ndim == 2 else values_FT[0], recipe))
    else:
        lacking("There is no spectrogram of this track yet.", "extract --spectrogram mel-96-12k")
    over_time = st.session_state.get("taggram", False)
    shown = None
    if over_time:
        with unless_missing():
            shown = read_taggram(view.snapshot, view, facts.track_id)
            found = shown.taggram
            order = np.argsort(-found.probabilities.mean(axis=0), kind="stable")[:TAGS]
            labels = [found.labels[k] for k in order]
            pictures.append(
                sound_view.labels(
                    labels, found.starts, found.piece_seconds, facts.duration_seconds, found.probabilities[:, order]
                )
            )
    if outline_P2 is not None or pictures:
        sound_view.show(facts.duration_seconds, outline_P2=outline_P2, pictures=pictures)
    st.toggle("Labels over time", key="taggram", help="Computed when you open it")
    if shown is not None:
        st.caption(
            f"{plain(shown.model)}, one prediction for each {shown.taggram.piece_seconds:.1f} s. It was trained on "
            "longer pieces: treat single predictions with care."
        )
        where_from(view, "taggram", ("models",), run_id=shown.run_id)


def show_labels(facts: browse.TrackFacts) -> None:
    """The labels, those of the dataset first and in colour."""
    labels = [
        (label, "green" if source == "dataset" else "gray") for source, own in facts.labels.items() for label in own
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


def choose_embedder(view: View, track_id: str) -> str | None:
    """The run whose embeddings count, of those that have one of the track, the newest first; None where none has."""
    runs = view.frame(
        "SELECT DISTINCT x.model, x.run_id, r.finished_at FROM embeddings x LEFT JOIN runs r USING (run_id) "
        "WHERE x.track_id = $1 ORDER BY r.finished_at DESC NULLS LAST, x.run_id",
        [track_id],
    )
    if len(runs) < 2:
        return None if runs.empty else str(runs["run_id"].iloc[0])
    names = dict(zip(runs["run_id"], runs["model"], strict=True))
    unique = len(set(names.values())) == len(names)
    return st.selectbox(
        "Model", list(names), key="embedder", label_visibility="collapsed",
        format_func=lambda r: names[r] if unique else r,
    )  # fmt: skip


def show_predictions(view: View, track_id: str) -> None:
    """Predictions by a model; by default the best one by its figures on unseen tracks."""
    st.markdown("**Predicted labels**")
    found = dict(read_predictors(view.snapshot, view, track_id))
    if not found:
        lacking("No model has predicted labels of this track yet.", "score")
        return
    run_id = next(iter(found))
    if len(found) > 1:
        run_id = st.selectbox(
            "Model", list(found), key="tagger", label_visibility="collapsed", format_func=lambda r: predictor(found[r])
        )
    rows = view.frame("FROM top_tags($1, k := $2, model_or_run := $3)", [track_id, TAGS, run_id])
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
    note_licences(view, [run_id])
    part = rows["part"].iloc[0]
    if part == "test":
        st.caption(f"{plain(rows['model'].iloc[0])} was not trained on this track.")
    elif isinstance(part, str):
        st.caption(f"{plain(rows['model'].iloc[0])} had this track in its {part} part: it may simply remember it.")


def predictor(training: Training) -> str:
    """A training with the figure that it is ranked by."""
    if training.main is None:
        return f"{training.model}, {training.input}, not measured here"
    score = training.scores[training.main]
    return f"{training.model}, {training.input}, {training.main} {score.mean:.3f} ({training.n_tracks:,} tracks)"


def show_neighbours(view: View, track_id: str, where: str | None) -> None:
    """Similar tracks, each with a play button and a link."""
    st.markdown("**Sounds alike** (cosine similarity)")
    with unless_missing():
        model = choose_embedder(view, track_id)
        if where is not None and not st.toggle("Only in the selection", key="within", bind="query-params"):
            where = None
        with st.container(gap=None):
            for found in alike(view.snapshot, view, track_id, model, where):
                show_neighbour(view, found)
        note_licences(view, [model] if model else [])


def show_neighbour(view: View, found: neighbours.Neighbour) -> None:
    """One line of the neighbours; its player appears below it when it is asked for."""
    title = plain(found.title or found.track_id)
    about = " · ".join(plain(part) for part in (found.artist, found.labels) if part)
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", wrap=False):
        play = st.button("", icon=":material/play_arrow:", key=f"play-{found.track_id}", help="Play", type="tertiary")
        # First what is always short: names may be cut.
        st.caption(f"{found.similarity:.3f}", width="content")
        if st.button(title, key=f"open-{found.track_id}", help="Show this track", type="tertiary"):
            st.query_params[TRACK] = found.track_id
            st.rerun()
        if about:
            st.caption(about, width="content")
    if play:
        player.listen(view, found.track_id, autoplay=True)
