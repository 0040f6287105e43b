"""Which of two sounds more like a third? Blind, and how often embeddings agree with raters."""

from datetime import UTC, datetime

import pandas as pd
import player
import rating
import streamlit as st
from common import View, failed, name_rater, page
from origin import where_from

from phonolake.analysis.results import triplet_agreement
from phonolake.annotation import drawing, exchange, triplets
from phonolake.annotation.journal import TripletAnswer
from phonolake.annotation.queue import Turn
from phonolake.annotation.triplets import Triplet
from phonolake.errors import PhonolakeError
from phonolake.lookup import runs
from phonolake.store.lake import Lake

ANSWERS = (("A", "A", 1, None), ("B", "B", 0, None), ("Skip", "S", None, None))
AT_RANDOM = "at random"
DRAWN = {triplet_agreement.RANDOM: "at random", triplet_agreement.NEIGHBOURS: "around its neighbours"}


def answer(lake: Lake, sample: str, rater: str, turn: Turn[Triplet, TripletAnswer], value: int | None) -> None:
    """Keep the answer to the triplet that was shown."""
    assert turn.question is not None
    rating.keep(lake, TripletAnswer(*turn.question.key, value, rater, datetime.now(UTC), sample), turn.before)


def draw(view: View) -> None:
    """The form that draws triplets."""
    models = {run.run_id: run.model for run in runs.with_embeddings(view.connection)}
    with st.form("draw", border=False):
        name = st.text_input("Name", value=f"triplets-{len(triplets.names(view.connection)) + 1}")
        near = st.selectbox(
            "Tracks",
            [AT_RANDOM, *models],
            format_func=lambda run_id: f"around the neighbours of {models[run_id]}" if run_id in models else run_id,
            help="At random: the answers measure every embedding. Around neighbours: how good the list of one is.",
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
    rating.show_state(view, sample, rater, turn, "triplet")
    triplet = turn.question
    if triplet is not None:
        with st.container(border=True):
            st.markdown(f"Triplet {triplet.position} of {turn.progress.total}: which of the two sounds more like this?")
            # Neither names nor ids are shown: an artist's name would give away the answer.
            player.listen_in_turn(view, dict(zip(("This", "A", "B"), triplet.key, strict=True)))
    rating.show_buttons(view, sample, rater, turn, ANSWERS, answer)


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
                "Each other", format="percent", help="Share of equal answers among each two answers to one triplet"
            ),
        },
    )
    st.caption("The track with the greater cosine similarity counts as nearer. Chance is 50 %.")
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
        rating.show_raters(begun, "Triplets")


with page("Neighbours", "Do embeddings agree with people? Which of two tracks sounds more like a third?") as view:
    rating.publish_earlier(view.lake)
    samples = triplets.names(view.connection)
    left, right = st.columns([3, 2], gap="large")
    with left:
        if not samples:
            st.markdown(
                "Draw triplets to begin with: a track and two others, by three artists. Every rater gets the same, "
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
                "Keys: 1 plays this, 2 plays A, 3 plays B; A and B answer, S skips, U undoes. Every answer is saved "
                "at once."
            )
    with right:
        show_agreement(view)
        if samples and sample is not None:
            show_raters(view, sample)
        if samples:
            with st.expander("Draw other triplets", icon=":material/casino:"):
                draw(view)
        rating.exchange_answers(view.lake, exchange.compared, exchange.COMPARED, name="comparisons.csv")
