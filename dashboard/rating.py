"""Shared by pages that ask a rater one question after another: answers by click, key or file, undo, progress."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import streamlit as st
from common import View, failed, plain, said

from phonolake.annotation import exchange, journal, publication
from phonolake.annotation.journal import Reply
from phonolake.annotation.queue import Progress, Turn
from phonolake.errors import PhonolakeError
from phonolake.store.lake import Lake

# A publication costs a moment and a line in the table's log: not for every answer.
PUBLISH_EVERY = 20
UPLOAD_MB = 10
TROUBLE, ANSWERED = "trouble", "answered"
# Title, key, value and icon of a button.
Choice = tuple[str, str, int | None, str | None]


def publish_earlier(lake: Lake) -> None:
    """Publish what is not yet, such as answers before a crash, when the page is opened, and not after each answer."""
    # A view that is open shows what was there when it was opened.
    if not st.session_state.pop(ANSWERED, False) and publication.publish(lake):
        st.rerun()


def keep(lake: Lake, answer: Reply, before: Reply | None) -> None:
    """Keep the answer to the question that was shown; it is on the disk before the next question appears."""
    st.session_state[ANSWERED] = True
    try:
        journal.reply(lake, answer, before=before)
    except PhonolakeError as error:
        st.session_state[TROUBLE] = str(error)


def undo(lake: Lake, sample: str, rater: str, last: Reply) -> None:
    """Take the last answer back; its question comes again."""
    st.session_state[ANSWERED] = True
    try:
        journal.undo(lake, rater, sample, expected=last)
    except PhonolakeError as error:
        st.session_state[TROUBLE] = str(error)


def show_state(view: View, sample: str, rater: str, turn: Turn, asked: str) -> None:
    """The progress of this rater, an error of the last answer, and whether all questions are answered."""
    progress = turn.progress
    st.progress(
        progress.answered / progress.total,
        text=f"{progress.answered:,} of {progress.total:,} answered, {progress.skipped:,} of them skipped",
    )
    if TROUBLE in st.session_state:
        st.error(said(st.session_state.pop(TROUBLE)), icon=":material/error:")
    if turn.question is None:
        publication.publish(view.lake)
        st.success(f"{plain(rater)} has answered every {asked} of {plain(sample)}.", icon=":material/task_alt:")
    elif progress.answered % PUBLISH_EVERY == 0:
        publication.publish(view.lake)


def show_buttons(
    view: View, sample: str, rater: str, turn: Turn, choices: Sequence[Choice], answer: Callable[..., None]
) -> None:
    """Answers by click or key, and undo.

    A button belongs to what is shown beside it: one that is pressed twice in haste does not answer the next question.
    """
    columns = st.columns(len(choices) + 1)
    asked = 0 if turn.question is None else turn.question.position
    for column, (title, key, value, icon) in zip(columns, choices, strict=False):
        column.button(
            title,
            key=f"answer-{title.lower()}-{asked}",
            icon=icon,
            shortcut=key,
            disabled=turn.question is None,
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


def exchange_answers(lake: Lake, answers: Callable[[Lake], list], columns: Sequence[str], *, name: str) -> None:
    """Answers out as CSV, and in again.

    Parameters
    ----------
    answers : callable
        What gives the answers of one kind, with attributes of the names in `columns`.
    name : str
        Of the file.
    """
    st.subheader("Answers as CSV", anchor=False)
    st.download_button(
        "Download",
        lambda: pd.DataFrame(answers(lake), columns=list(columns)).to_csv(index=False).encode(),
        file_name=name,
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
    )
    uploaded = st.file_uploader("Take in", type="csv", max_upload_size=UPLOAD_MB, key="answers-file")
    if uploaded is None:
        return
    with TemporaryDirectory() as folder:
        path = Path(folder) / "upload.csv"
        path.write_bytes(uploaded.getvalue())
        try:
            done = exchange.read_csv(lake, path)
        except PhonolakeError as error:
            failed(PhonolakeError(str(error).replace(str(path), uploaded.name)))
            return
    st.caption(f"{done.new:,} answers are new, {done.known:,} were known, {len(done.rejected):,} lines were rejected.")
    if done.rejected:
        st.dataframe(pd.DataFrame(done.rejected), hide_index=True, column_config={"line": "Line", "problem": "Problem"})


def show_raters(begun: Sequence[Progress], asked: str) -> None:
    """The progress of all raters with a sample."""
    st.dataframe(
        pd.DataFrame(begun),
        hide_index=True,
        column_order=["rater", "answered", "skipped", "total"],
        column_config={"rater": "Rater", "answered": "Answered", "skipped": "Skipped", "total": asked},
    )
