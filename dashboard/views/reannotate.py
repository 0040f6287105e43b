"""Listen and decide whether a label is right, without seeing the given label."""

from datetime import UTC, datetime

import pandas as pd
import player
import rating
import streamlit as st
from common import View, failed, name_rater, page, plain
from origin import where_from

from phonolake.analysis.collection import overview
from phonolake.analysis.labels import agreement
from phonolake.annotation import exchange, queue, sampling
from phonolake.annotation.journal import Answer
from phonolake.annotation.queue import Question, Turn
from phonolake.errors import PhonolakeError
from phonolake.store.lake import Lake

ANSWERS = (("Yes", "Y", 1, ":material/check:"), ("No", "N", 0, ":material/close:"), ("Skip", "S", None, None))


def answer(lake: Lake, sample: str, rater: str, turn: Turn[Question, Answer], value: int | None) -> None:
    """Keep the answer to the question that was shown."""
    assert turn.question is not None
    about = turn.question.track_id, turn.question.label
    rating.keep(lake, Answer(*about, value, rater, datetime.now(UTC), sample), turn.before)


def draw(view: View) -> None:
    """The form that draws a sample."""
    sources = overview.label_sources(view.connection)
    if not sources:
        st.info("No track has a label, so there is none to check.", icon=":material/info:")
        return
    with st.form("draw", border=False):
        name = st.text_input("Name", value=f"sample-{len(queue.names(view.connection)) + 1}")
        source = st.selectbox("Whose labels", sources)
        known = [c.label for c in overview.label_counts(view.connection, top=1000)]
        labels = st.multiselect("Labels", known, placeholder="All of them")
        left, middle, right = st.columns(3)
        n_positive = left.number_input("With each label", 0, 1000, 10)
        n_negative = middle.number_input("Without it", 0, 1000, 10)
        seed = right.number_input("Seed", 0, None, 0)
        if not st.form_submit_button("Draw", type="primary", icon=":material/casino:"):
            return
    try:
        config = sampling.Config(
            str(view.lake.place), name, tuple(labels), int(n_positive), int(n_negative), source, int(seed)
        )
        sampling.draw(config)
    except PhonolakeError as error:
        failed(error)
    else:
        st.session_state.sample = name
        st.rerun()


def ask(view: View, sample: str, rater: str) -> None:
    """The question, its sound and the answers."""
    again = st.session_state.get("again", False)
    turn = queue.turn(view.lake, view.connection, sample, rater, skipped_again=again)
    rating.show_state(view, sample, rater, turn, "question")
    question = turn.question
    if question is not None:
        with st.container(border=True):
            st.markdown(f"Question {question.position} of {turn.progress.total}: does this sound like")
            st.subheader(plain(question.label), anchor=False)
            # Neither the name nor the id is shown: the name of a folder or an artist would give the label away.
            player.listen_blind(view, question.track_id)
    rating.show_buttons(view, sample, rater, turn, ANSWERS, answer)
    if turn.progress.skipped:
        st.toggle(f"Ask what was skipped ({turn.progress.skipped:,}) again at the end", key="again")


def show_everyone(view: View, sample: str) -> None:
    """The progress of all raters, and their agreement."""
    st.subheader("Raters", anchor=False)
    begun = [p for p in queue.progress(view.lake, view.connection) if p.sample == sample]
    if not begun:
        st.caption("Nobody has answered yet.")
        return
    rating.show_raters(begun, "Questions")
    found = agreement.between_raters(view.connection, sample=sample)
    if not found:
        st.caption("Agreement appears when two raters have answered the same questions.")
        return
    table = pd.DataFrame(found)
    table["label"] = table["label"].fillna("all labels")
    st.dataframe(
        table,
        hide_index=True,
        placeholder="-",
        column_config={
            "rater_a": st.column_config.TextColumn("Rater", width=55),
            "rater_b": st.column_config.TextColumn("and", width=55),
            "label": "Label",
            "n": st.column_config.NumberColumn("Both", format="localized", width=50, help="Questions answered by both"),
            "agreed": st.column_config.NumberColumn("Same", format="percent", width=70, help="The same answer"),
            "kappa": st.column_config.NumberColumn(
                "Kappa",
                format="%.2f",
                width=60,
                help="Cohen's kappa: 1 always the same, 0 as often as by chance",
            ),
        },
    )
    where_from(view, "agreement", ("annotations", "samples"), sql="FROM annotations WHERE value IS NOT NULL")


with page("Re-annotate", "Check labels by listening, without seeing the given ones.") as view:
    rating.publish_earlier(view.lake)
    samples = queue.names(view.connection)
    left, right = st.columns([3, 2], gap="large")
    with left:
        if not samples:
            st.markdown(
                "Draw a sample to begin with: for each label some tracks that have it and some that do not. "
                "Every rater gets the same questions in the same order."
            )
            draw(view)
            st.stop()
        one, two = st.columns(2, vertical_alignment="bottom")
        # Where there are several none is the first choice, so that the address always names the one that is shown.
        several = len(samples) > 1
        sample = one.selectbox(
            "Sample", samples, index=None if several else 0, key="sample", bind="query-params", placeholder="Choose one"
        )
        with two:
            rater = name_rater()
        if sample is None:
            st.info("Choose a sample to listen to.", icon=":material/info:")
        elif rater:
            ask(view, sample, rater)
        else:
            st.info("Say who you are, so that answers of several people can be told apart.", icon=":material/person:")
        st.caption("Keys: Y yes, N no, S skip, U undo. Every answer is saved at once; a reload loses nothing.")
    with right:
        if sample is not None:
            show_everyone(view, sample)
        with st.expander("Draw another sample", icon=":material/casino:"):
            draw(view)
        rating.exchange_answers(view.lake, exchange.export, exchange.COLUMNS, name="annotations.csv")
