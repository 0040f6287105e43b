"""Which labels look wrong, how many are, and what people who listened again say."""

from datetime import UTC, datetime

import common
import duckdb
import frame
import interval_charts
import pandas as pd
import player
import streamlit as st
from common import (
    View,
    choose_rater,
    choose_source,
    lacking,
    name_rater,
    note_licences,
    page,
    plain,
    searcher,
    unless_missing,
)
from origin import where_from

from phonolake.analysis.collection import neighbours, overview
from phonolake.analysis.labels import ground_truth, noise_rates, noise_suspects, reannotation
from phonolake.analysis.labels.noise_suspects import LabelSuspect
from phonolake.annotation import journal, queue, sampling
from phonolake.annotation.journal import Answer
from phonolake.errors import PhonolakeError
from phonolake.lookup import browse, held_out
from phonolake.store.lake import Lake

PARTS = ["Suspects", "Noise rates", "Checked by ear"]
KINDS = {"false-positive": "May be wrong", "missing-positive": "May be missing"}
MOST_SUSPECTS = 500
MOST_BARS = 30
# The title, the key, whether what was given holds, and a sign.
ANSWERS = (
    ("Keep", "K", True, ":material/check:"),
    ("Wrong", "W", False, ":material/close:"),
    ("Unsure", "U", None, None),
)
PLACE, TROUBLE = "suspect", "suspect-trouble"
NEIGHBOURS = 10
SHARE = {"format": "percent", "width": 80}


# Matrices of all tracks are shared as they are: nobody changes them, and copies take time.
@st.cache_resource(max_entries=2, show_spinner="Reading predictions …")
def read_held_out(snapshot: tuple, _connection: duckdb.DuckDBPyConnection, source: str) -> held_out.HeldOut:
    """Given labels beside held-out probabilities, once per publication."""
    return held_out.read_held_out(_connection, source=source)


@st.cache_data(max_entries=8, show_spinner=False)
def read_labelled(snapshot: tuple, _connection: duckdb.DuckDBPyConnection, source: str) -> int:
    """How many tracks have a label of a source."""
    return overview.labelled(_connection, source=source)


@st.cache_resource(max_entries=4, show_spinner="Estimating …")
def read_noise(snapshot: tuple, _view: View, source: str) -> noise_rates.NoiseEstimate:
    """The estimated noise, once per publication."""
    return noise_rates.estimate(read_held_out(snapshot, _view.connection, source))


@st.cache_data(max_entries=16, show_spinner="Ranking …")
def read_suspects(snapshot: tuple, _view: View, source: str, kind: str, label: str | None) -> list[LabelSuspect]:
    """The labels of one source with which models disagree, once per publication."""
    held = read_held_out(snapshot, _view.connection, source)
    noise = read_noise(snapshot, _view, source)
    return noise_suspects.suspects(held, noise, kind=kind, label=label, top=MOST_SUSPECTS)


@st.cache_data(max_entries=16, show_spinner=False)
def read_headline(snapshot: tuple, _view: View, source: str, kind: str, label: str | None) -> tuple[int, str]:
    """How many labels are listed in all, and what is said of them, once per publication."""
    held, noise = read_held_out(snapshot, _view.connection, source), read_noise(snapshot, _view, source)
    n_listed = noise_suspects.count(held, noise, kind=kind, label=label)
    return n_listed, noise_suspects.headline(held, noise, kind=kind, label=label)


@st.cache_data(max_entries=8, show_spinner="Judging …")
def read_validations(
    snapshot: tuple, annotated: int, _view: View, source: str, rater: str | None
) -> list[ground_truth.Validation]:
    """How far labels hold by those who listened again, once per publication of answers."""
    answers = reannotation.read_answers(_view.connection, source=source, rater=rater)
    return ground_truth.validate_all(answers, reannotation.read_counts(_view.connection, source=source))


@st.cache_data(max_entries=64, show_spinner="Searching …")
def alike(snapshot: tuple, _view: View, track_id: str) -> list[neighbours.Neighbour]:
    """Neighbours of a suspect, once per publication."""
    return searcher(_view).similar(track_id, k=NEIGHBOURS)


def show_suspects(view: View, source: str) -> None:
    """The ranked list, the evidence about the chosen one, and a listener's answer."""
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    kind = left.segmented_control(
        "Labels that", list(KINDS), default="false-positive", required=True, format_func=KINDS.__getitem__, key="kind",
        bind="query-params",
    )  # fmt: skip
    held = read_held_out(view.snapshot, view.connection, source)
    label = right.selectbox(
        "Label", held.labels, index=None, placeholder="All labels", key="label", bind="query-params"
    )
    found = read_suspects(view.snapshot, view, source, kind, label)
    noise = read_noise(view.snapshot, view, source)
    n_listed, headline = read_headline(view.snapshot, view, source, kind, label)
    st.markdown(f"**{plain(headline)}**")
    if not found:
        return
    with st.container(width=420):
        rater = name_rater()
    said = {} if rater is None else {(a.track_id, a.label): a for a in journal.standing(view.lake, rater)}
    waiting = [s for s in found if (s.track_id, s.label) not in said]
    with st.container(horizontal=True):
        st.download_button(
            f"Download all {n_listed:,} (CSV)",
            lambda: (
                pd.DataFrame(noise_suspects.suspects(held, noise, kind=kind, label=label)).to_csv(index=False).encode()
            ),
            file_name=f"{kind}.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
        )
        show_blind_check(view, source, found, key=f"{kind}-{label}")
    if not waiting:
        st.success(f"You have answered all {len(found):,}.", icon=":material/task_alt:")
        return
    n_said = len(found) - len(waiting)
    left, right = st.columns([7, 5], gap="large")
    with left:
        place = choose_suspect(view, waiting, key=f"suspects-{kind}-{label}" + (f"-{n_said}" if n_said else ""))
        if n_said:
            st.caption(f"{n_said:,} of {len(found):,} answered.")
    with right:
        if rater is not None:
            show_answers(view, rater, waiting[place], place)
        show_suspect(view, source, waiting[place])


def show_blind_check(view: View, source: str, found: list[LabelSuspect], *, key: str) -> None:
    """Send the first suspects to a blind sample."""
    with st.popover("Send to a blind sample", icon=":material/hearing:"):
        st.markdown("*Re-annotate* then asks about the first of these labels, among as many unsuspected ones.")
        name = st.text_input(
            "Name of the sample", value=f"suspects-{len(queue.names(view.connection)) + 1}", key=f"name-{key}"
        )
        n = st.number_input(
            "How many of the first", 1, len(found), min(noise_suspects.FIRST, len(found)), key=f"n-{key}"
        )
        if not st.button("Send", type="primary", key=f"send-{key}"):
            return
        asked = tuple((suspect.track_id, suspect.label) for suspect in found[: int(n)])
        with unless_missing():
            strata = sampling.draw(sampling.BlindCheck(str(view.lake.place), name, asked, source))
            st.success(
                f"{plain(name)} has {sum(s.drawn for s in strata):,} questions: open *Re-annotate*.",
                icon=":material/task_alt:",
            )


def show_answers(view: View, rater: str, suspect: LabelSuspect, place: int) -> None:
    """Say by click or key whether what was given holds; the next one follows."""
    if TROUBLE in st.session_state:
        st.error(common.said(st.session_state.pop(TROUBLE)), icon=":material/error:")
    holds = suspect.kind == "false-positive"
    for column, (title, key, value, icon) in zip(st.columns(len(ANSWERS)), ANSWERS, strict=True):
        column.button(
            title,
            key=f"say-{title.lower()}-{suspect.track_id}-{suspect.label}",
            icon=icon,
            shortcut=key,
            on_click=answer,
            args=(view.lake, rater, suspect, None if value is None else int(value == holds), place),
            width="stretch",
        )
    st.caption("Keys: K keep it as it is, W it is wrong, U unsure. Answers are annotations.")


def answer(lake: Lake, rater: str, suspect: LabelSuspect, value: int | None, place: int) -> None:
    """Keep what was said of a suspect, and go on with the one that takes its place."""
    try:
        now = datetime.now(UTC)
        journal.reply(lake, Answer(suspect.track_id, suspect.label, value, rater, now, None), before=None)
        st.session_state[PLACE] = place
    except PhonolakeError as error:
        st.session_state[TROUBLE] = str(error)


def choose_suspect(view: View, found: list[LabelSuspect], *, key: str) -> int:
    """The ranked list; a click on a line picks the suspect, the first one to begin with. Its place is given."""
    titles = {line.track_id: line.title for line in browse.lines(view.connection, [s.track_id for s in found])}
    table = pd.DataFrame(found)
    table.insert(0, "title", [titles.get(s.track_id) for s in found])
    table["p_wrong"] *= 100
    first = min(st.session_state.get(PLACE, 0), len(found) - 1)
    shown = ["rank", "title", "label", "instead", "p_wrong", "probability", "expected"]
    chosen = st.dataframe(
        table,
        hide_index=True,
        height=min(560, 35 * (len(found) + 1) + 2),
        placeholder="-",
        column_order=[name for name in shown if table[name].notna().any()],
        column_config={
            "rank": st.column_config.NumberColumn("#", width=40),
            "title": "Track",
            "label": "Label",
            "instead": st.column_config.TextColumn("Instead", help="The most probable other class, or the given one"),
            "p_wrong": st.column_config.ProgressColumn(
                "Wrong", format="%.0f %%", min_value=0, max_value=100, width=100,
                help="Probability that the given label is wrong, corrected for the models' own errors",
            ),
            "probability": st.column_config.NumberColumn(
                "p(label)", format="%.3f", width=70, help="Held-out probability of the label"
            ),
            "expected": st.column_config.NumberColumn(
                "Expected", width=80, format="percent", help="By the other label that makes this one most likely"
            ),
        },
        on_select="rerun",
        selection_mode="single-row",
        selection_default={"selection": {"rows": [first]}},
        key=key,
    )  # fmt: skip
    rows = [row for row in chosen.selection.rows if row < len(found)]
    return rows[0] if rows else first


def show_suspect(view: View, source: str, suspect: LabelSuspect) -> None:
    """Listen to a suspect, and see the evidence against its label: neighbours, and its other labels."""
    player.head(browse.facts(view.connection, suspect.track_id))
    st.markdown(said_of(suspect))
    # Who answers by keys hears the next one at once.
    player.listen(view, suspect.track_id, autoplay=PLACE in st.session_state)
    player.link(suspect.track_id)
    if suspect.because is not None:
        st.markdown(
            f"Of the tracks with {plain(suspect.because)}, which this one has, {plain(f'{suspect.expected:.0%}')} "
            f"also have {plain(suspect.label)}."
        )
    with unless_missing():
        found = alike(view.snapshot, view, suspect.track_id)
        named = browse.labels_among(view.connection, [neighbour.track_id for neighbour in found], source=source)
        asked = [label for label in (suspect.label, suspect.instead) if label is not None]
        counted = " and ".join(f"**{named.get(label, 0)}** {plain(label)}" for label in asked)
        st.markdown(f"Of the {len(found)} most similar tracks, {counted}.")
        player.playlist(
            view,
            [neighbour.track_id for neighbour in found],
            key=f"alike-{suspect.track_id}",
            values={"similarity": [neighbour.similarity for neighbour in found]},
            height=240,
        )


def said_of(suspect: LabelSuspect) -> str:
    """The doubt in one sentence."""
    doubt = plain(f"{suspect.doubt:.3f}")
    if suspect.kind == "false-positive":
        instead = "" if suspect.instead is None else f", sounds like **{plain(suspect.instead)}**"
        return f"Labelled **{plain(suspect.label)}**{instead} (doubt {doubt})."
    instead = "" if suspect.instead is None else f" but **{plain(suspect.instead)}**"
    return f"Not labelled **{plain(suspect.label)}**{instead}, and sounds like it (doubt {doubt})."


def show_rates(view: View, source: str) -> None:
    """The estimated noise of each label."""
    noise = read_noise(view.snapshot, view, source)
    st.markdown(f"**{plain(noise.said)}**")
    table = pd.DataFrame(noise.rates)
    own = sorted(noise.rates[1:], key=lambda r: -(r.n_false + r.n_missing))[:MOST_BARS]
    bars = [
        ("have it and should not", [(r.false_rate, r.false_low, r.false_high) for r in own]),
        ("should have it and do not", [(r.missing_rate, r.missing_low, r.missing_high) for r in own]),
    ]
    figure = interval_charts.intervals([r.label or "" for r in own], bars, x_title="share of the tracks")
    frame.show(figure, height=110 + 44 * len(own), key="rates")
    table["label"] = table["label"].fillna("all labels")
    count = {"format": "%.1f", "width": 90}
    st.dataframe(
        table,
        hide_index=True,
        placeholder="-",
        column_order=["label", "n_given", "n_true", "n_false", "false_rate", "false_low", "false_high", "n_missing",
                      "missing_rate", "missing_low", "missing_high"],
        column_config={
            "label": "Label",
            "n_given": st.column_config.NumberColumn("Given", format="localized", help="Tracks with the label"),
            "n_true": st.column_config.NumberColumn("Should have it", help="Estimated", **count),
            "n_false": st.column_config.NumberColumn("False", help="Have it and should not", **count),
            "false_rate": st.column_config.NumberColumn("of the given", **SHARE),
            "false_low": st.column_config.NumberColumn("from", **SHARE),
            "false_high": st.column_config.NumberColumn("to", **SHARE),
            "n_missing": st.column_config.NumberColumn("Missing", help="Should have it and do not", **count),
            "missing_rate": st.column_config.NumberColumn("of the true", **SHARE),
            "missing_low": st.column_config.NumberColumn("from", **SHARE),
            "missing_high": st.column_config.NumberColumn("to", **SHARE),
        },
    )  # fmt: skip
    held = read_held_out(view.snapshot, view.connection, source)
    agreed = ""
    if held.single:
        agreed = f" The models agree with {(held.P_NL.argmax(axis=1) == held.classes).mean():.0%} of the given labels."
    st.caption(f"95 % intervals; corrected for the models' own errors.{agreed} *Re-annotate* a sample to know more.")


def show_validation(view: View, source: str) -> None:
    """How often labels are right, by people who listened again: Table I of Choi et al. 2018."""
    left, _ = st.columns(2)
    with left:
        rater = choose_rater(view)
    with unless_missing():
        table = pd.DataFrame(read_validations(view.snapshot, view.annotated, view, source, rater))
        shares = {
            "error_positive": "Wrong with it",
            "error_negative": "Wrong without",
            "precision": "Precision",
            "recall": "Recall",
            "recall_low": "from",
            "recall_high": "to",
            "tagability": "Tagability",
        }
        counts = {
            "n_positive": "Heard with",
            "n_negative": "Heard without",
            "n_given": "Given",
            "n_estimated": "True",
            "n_estimated_low": "at least",
            "n_estimated_high": "at most",
        }
        st.dataframe(
            table,
            hide_index=True,
            placeholder="-",
            column_order=["label", "n_positive", "error_positive", "n_negative", "error_negative", "precision",
                          "recall", "recall_low", "recall_high", "tagability", "n_given", "n_estimated",
                          "n_estimated_low", "n_estimated_high"],
            column_config={"label": "Label"}
            | {name: st.column_config.NumberColumn(title, format="percent") for name, title in shares.items()}
            | {name: st.column_config.NumberColumn(title, format="%.0f") for name, title in counts.items()},
        )  # fmt: skip
        st.caption(
            "*True*: tracks that should have the label, estimated. The listeners' answers count as true (Choi et al. "
            "2018, Table I); intervals of 95 %. `phonolake labels validate` prints all columns, and checks a second "
            "sample."
        )
    where_from(view, "validation", ("annotations", "labels"), sql="FROM annotations WHERE value IS NOT NULL")


def check_judged(view: View, source: str) -> None:
    """Stop if there are no held-out predictions."""
    try:
        judged = len(read_held_out(view.snapshot, view.connection, source).track_ids)
    except PhonolakeError as error:
        lacking(str(error), "crossval random-forest")
        st.stop()
    labelled = read_labelled(view.snapshot, view.connection, source)
    if judged < labelled:
        lacking(
            f"{judged:,} of {labelled:,} labelled tracks have held-out predictions; cross-validation gives all one.",
            "crossval random-forest",
        )


with page("Label noise", "Labels with which models that were not trained on them, or people, disagree.") as view:
    if not overview.label_sources(view.connection):
        st.info("No track has a label, so there is none to check.", icon=":material/info:")
        st.stop()
    left, right = st.columns(2)
    with left:
        part = st.segmented_control("Show", PARTS, default=PARTS[0], required=True, key="show", bind="query-params")
    with right:
        source = choose_source(view) or "dataset"
    if part == "Checked by ear":
        show_validation(view, source)
        st.stop()
    check_judged(view, source)
    with unless_missing():
        if part == "Suspects":
            show_suspects(view, source)
        else:
            show_rates(view, source)
    note_licences(view)
    where_from(view, "noise", ("predictions", "labels"), sql="FROM predictions WHERE part = 'test'")
