"""Which of two sounds more like a third? Blind, and how far embeddings agree with what was heard."""

from datetime import UTC, datetime

import pandas as pd
import player
import streamlit as st
from common import View, failed, name_rater, page, plain, said
from origin import where_from

from phonolake.analysis.results import triplet_agreement
from phonolake.annotation import drawing, journal, publication, triplets
from phonolake.annotation.journal import Comparison
from phonolake.annotation.triplets import Turn
from phonolake.errors import PhonolakeError
from phonolake.lookup import runs
from phonolake.store.lake import Lake

# As on the page Re-annotate.
PUBLISH_EVERY = 20
ANSWERS = (("A", "A", 1), ("B", "B", 0), ("Skip", "S", None))
AT_RANDOM = "at random"
TROUBLE = "trouble"
DRAWN = {triplet_agreement.RANDOM: "at random", triplet_agreement.NEIGHBOURS: "around its neighbours"}


def answer(lake: Lake, sample: str, rater: str, turn: Turn, value: int | None) -> None:
    """Keep the answer to the triplet that was shown; it is on the disk before the next one appears."""
    assert turn.triplet is not None
    try:
        said = Comparison(*turn.triplet.key, value, rater, datetime.now(UTC), sample)
        journal.reply(lake, said, before=turn.before)
    except PhonolakeError as error:
        st.session_state[TROUBLE] = str(error)


def undo(lake: Lake, sample: str, rater: str, last: Comparison) -> None:
    """Take the last answer back; its triplet comes again."""
    try:
        journal.undo(lake, rater, sample, expected=last)
    except PhonolakeError as error:
        st.session_state[TROUBLE] = str(error)


def draw(view: View) -> None:
    """The form that draws triplets."""
    models = {run.run_id: run.model for run in runs.with_embeddings(view.connection)}
    with st.form("draw", border=False):
        name = st.text_input("Name", value=f"triplets-{len(triplets.names(view.connection)) + 1}")
        near = st.selectbox(
            "Tracks",
            [AT_RANDOM, *models],
            format_func=lambda run_id: f"around the neighbours of {models[run_id]}" if run_id in models else run_id,
            help="At random: the answers measure every embedding. Around neighbours: what the list of one is worth.",
        )
        left, right = st.columns(2)
        count = left.number_input("Triplets", 1, 5000, 100)
        seed = right.number_input("Seed", 0, None, 0)
        if not st.form_submit_button("Draw", type="primary", icon=":material/casino:"):
            return
    by = None if near == AT_RANDOM else near
    try:
        drawing.run(drawing.Config(str(view.lake.place), name, int(count), by, seed=int(seed)))
    except PhonolakeError as error:
        failed(error)
    else:
        st.session_state.sample = name
        st.rerun()


def ask(view: View, sample: str, rater: str) -> None:
    """The three sounds and the answers."""
    turn = triplets.turn(view.lake, view.connection, sample, rater)
    progress = turn.progress
    st.progress(
        progress.answered / progress.total,
        text=f"{progress.answered:,} of {progress.total:,} answered, {progress.skipped:,} of them skipped",
    )
    if TROUBLE in st.session_state:
        st.error(said(st.session_state.pop(TROUBLE)), icon=":material/error:")
    if turn.triplet is None:
        publication.publish(view.lake)
        st.success(f"{plain(rater)} has answered every triplet of {plain(sample)}.", icon=":material/task_alt:")
    else:
        if progress.answered % PUBLISH_EVERY == 0:
            publication.publish(view.lake)
        with st.container(border=True):
            st.markdown(f"Triplet {turn.triplet.position} of {progress.total}: which of the two sounds more like this?")
            # Neither names nor ids are shown: an artist's gives away what to say.
            player.listen_in_turn(view, dict(zip(("This", "A", "B"), turn.triplet.key, strict=True)))
    show_buttons(view, sample, rater, turn)


def show_buttons(view: View, sample: str, rater: str, turn: Turn) -> None:
    """Answers by click or key, and the way back; a button belongs to the triplet that is shown."""
    columns = st.columns(len(ANSWERS) + 1)
    asked = 0 if turn.triplet is None else turn.triplet.position
    for column, (title, key, value) in zip(columns, ANSWERS, strict=False):
        column.button(
            title,
            key=f"answer-{title.lower()}-{asked}",
            shortcut=key,
            disabled=turn.triplet is None,
            on_click=answer,
            args=(view.lake, sample, rater, turn, value),
            width="stretch",
        )
    columns[-1].button(
        "Undo",
        key="undo-none" if turn.last is None else f"undo-{turn.last.annotated_at.isoformat()}",
        icon=":material/undo:",
        shortcut="U",
        disabled=turn.last is None,
        on_click=undo,
        args=(view.lake, sample, rater, turn.last),
        width="stretch",
    )


def show_agreement(view: View) -> None:
    """How far each embedding agrees with what was heard, by all samples."""
    st.subheader("Embeddings by ear", anchor=False)
    found = triplet_agreement.agreement(view.connection)
    if not found:
        st.caption("Figures appear with the first answers: the share of triplets where embedding and raters agree.")
        return
    table = pd.DataFrame(found)
    table["drawn"] = table["drawn"].map(DRAWN)
    table["share"] = [f"{one.agreed:.0%} ({one.low:.0%} to {one.high:.0%})" for one in found]
    st.dataframe(
        table,
        hide_index=True,
        placeholder="-",
        column_order=["model", "share", "n_triplets", "drawn", "n_raters", "raters_agreed"],
        column_config={
            "model": "Embedding",
            "share": st.column_config.TextColumn("Agrees", width=125, help="With a 95 % interval over triplets"),
            "n_triplets": st.column_config.NumberColumn("Triplets", format="localized", width=60),
            "drawn": "Drawn",
            "n_raters": st.column_config.NumberColumn("Raters", width=50),
            "raters_agreed": st.column_config.NumberColumn(
                "Each other", format="percent", help="Of every two answers to one triplet, the share that are the same"
            ),
        },
    )
    st.caption("An embedding takes the track with the greater cosine similarity for nearer. Guessing reaches 50 %.")
    where_from(
        view,
        "heard",
        ("comparisons", "triplets", "embeddings"),
        sql="FROM comparisons JOIN triplets USING (sample, track_id, first_id, second_id)",
    )


def show_raters(view: View, sample: str) -> None:
    """How far everybody is."""
    begun = [p for p in triplets.progress(view.lake, view.connection) if p.sample == sample]
    if begun:
        st.subheader("Raters", anchor=False)
        st.dataframe(
            pd.DataFrame(begun),
            hide_index=True,
            column_order=["rater", "answered", "skipped", "total"],
            column_config={"rater": "Rater", "answered": "Answered", "skipped": "Skipped", "total": "Triplets"},
        )


with page("Neighbours", "Do embeddings hear what people hear? Which of two tracks sounds more like a third?") as view:
    if publication.publish(view.lake):
        st.rerun()
    samples = triplets.names(view.connection)
    left, right = st.columns([3, 2], gap="large")
    with left:
        if not samples:
            st.markdown(
                "Draw triplets to begin with: a track and two others, by three artists. Every rater is asked the same, "
                "and sees no names."
            )
            draw(view)
        else:
            one, two = st.columns(2, vertical_alignment="bottom")
            several = len(samples) > 1
            sample = one.selectbox(
                "Sample", samples, index=None if several else 0, key="sample", bind="query-params",
                placeholder="Choose one",
            )  # fmt: skip
            with two:
                rater = name_rater()
            if sample is None:
                st.info("Choose a sample to listen to.", icon=":material/info:")
            elif rater:
                ask(view, sample, rater)
            else:
                st.info(
                    "Say who you are, so that answers of several people can be told apart.", icon=":material/person:"
                )
            st.caption(
                "Keys: 1 plays this, 2 plays A, 3 plays B; A and B answer, S skips, U takes back. Every answer is kept "
                "at once."
            )
    with right:
        show_agreement(view)
        if samples and sample is not None:
            show_raters(view, sample)
        if samples:
            with st.expander("Draw other triplets", icon=":material/casino:"):
                draw(view)
