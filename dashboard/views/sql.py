"""Ask the lake anything."""

import io

import pandas as pd
import pyarrow.csv
import streamlit as st
from common import View, failed, page

from phonolake.analysis import answers
from phonolake.errors import PhonolakeError
from phonolake.store import query
from phonolake.store.lake import Lake

SHOWN, DOWNLOADED, SECONDS = 1000, 100_000, 60.0
EXAMPLES = {
    "Tracks with their labels": "SELECT t.track_id, t.title, t.artist, l.label, t.duration_seconds\n"
    "FROM tracks t JOIN labels l USING (track_id)\nWHERE l.value = 1\nORDER BY t.track_id",
    "Hours by label": "SELECT l.label, count(*) AS tracks, round(sum(t.duration_seconds) / 3600, 2) AS hours\n"
    "FROM labels l JOIN tracks t USING (track_id)\nWHERE l.value = 1\nGROUP BY l.label\nORDER BY tracks DESC",
    "What sounds alike": "FROM neighbors((SELECT min(track_id) FROM tracks), k := 10)",
    "What a model hears": "FROM top_tags((SELECT min(track_id) FROM tracks), k := 5)",
    "Figures beside chance": "SELECT m.model, x.metric, x.value, x.chance\n"
    "FROM metrics x JOIN models m USING (run_id)\n"
    "WHERE x.part = 'test' AND x.label IS NULL AND x.epoch IS NULL\nORDER BY m.model, x.metric",
    "Most confused labels": "SELECT l.label AS given, p.label AS predicted, count(*) AS tracks\n"
    "FROM labels l JOIN predictions p USING (track_id)\n"
    "WHERE l.source = 'dataset' AND p.part = 'test' AND p.label <> l.label AND p.probability > 0.5\n"
    "GROUP BY ALL\nORDER BY tracks DESC",
    "Why inputs were left out": "SELECT stage, reason, count(*) AS inputs, any_value(detail) AS example\n"
    "FROM rejects\nGROUP BY ALL\nORDER BY inputs DESC",
}


@st.cache_data(max_entries=4, show_spinner=False)
def columns(snapshot: tuple, _view: View) -> pd.DataFrame:
    """Every column that can be asked for, once per publication."""
    return pd.DataFrame(answers.columns(_view.connection))


def take_example() -> None:
    """Put the chosen example into the editor."""
    if st.session_state.example is not None:
        st.session_state.sql = EXAMPLES[st.session_state.example]


def to_csv(lake: Lake, sql: str) -> bytes:
    """The rows to download; they are asked for again, on a connection of their own."""
    with query.connect(lake) as connection:
        answer = answers.ask(connection, sql, max_rows=DOWNLOADED, max_seconds=SECONDS)
    sink = io.BytesIO()
    pyarrow.csv.write_csv(answer.rows, sink)
    return sink.getvalue()


def edit(view: View) -> None:
    """The editor; its answer stays on the page until the next one."""
    st.pills("Examples", list(EXAMPLES), key="example", on_change=take_example, wrap=True)
    with st.form("editor", border=False):
        st.text_area("SQL", key="sql", height=150, placeholder="SELECT …", label_visibility="collapsed")
        if st.form_submit_button("Run", type="primary", icon=":material/play_arrow:", help="Ctrl+Enter"):
            asked = st.session_state.sql
            try:
                with st.spinner("Asking …"):
                    answer = answers.ask(view.connection, asked, max_rows=SHOWN, max_seconds=SECONDS)
            except PhonolakeError as error:
                st.session_state.answer = None
                failed(error)
            else:
                st.session_state.answer = asked, answer


def show_answer(view: View, sql: str, answer: answers.Answer) -> None:
    """The first rows of the result."""
    if answer.rows.column_names == ["explain_key", "explain_value"]:
        st.code("\n".join(answer.rows["explain_value"].to_pylist()), language=None)
        return
    st.dataframe(answer.rows, placeholder="NULL", hide_index=True)
    left, right = st.columns([3, 1], vertical_alignment="center")
    n = len(answer.rows)
    left.caption(
        f"{n:,} rows" if answer.complete else f"The first {n:,} rows; the result has more. Add a LIMIT or count."
    )
    right.download_button(
        "Download CSV",
        lambda: to_csv(view.lake, sql),
        file_name="phonolake.csv",
        mime="text/csv",
        icon=":material/download:",
        help=f"At most {DOWNLOADED:,} rows",
        on_click="ignore",
    )


def browse_schema(view: View) -> None:
    """What can be asked for."""
    st.subheader("Tables", anchor=False)
    known = columns(view.snapshot, view)
    tables = sorted(known["table"].unique())
    table = st.selectbox("Table", tables, index=tables.index("tracks"), label_visibility="collapsed", key="table")
    st.dataframe(
        known.loc[known["table"] == table, ["column", "type", "comment"]],
        hide_index=True,
        placeholder="",
        height=420,
        column_config={
            "column": st.column_config.TextColumn("Column", width=140),
            "type": st.column_config.TextColumn("Type", width=90),
            "comment": st.column_config.TextColumn("Meaning and unit", width=420),
        },
    )
    st.caption(
        "Macros: `neighbors(id, k := 10, model_or_run := NULL)`, `top_tags(id, k := 5, model_or_run := NULL)`, "
        "`cooccurrence()`."
    )


with page("SQL", "Ask the lake anything that a SELECT can answer; nothing here can change it.", empty_too=True) as view:
    left, right = st.columns([3, 2], gap="large")
    with left:
        edit(view)
        if st.session_state.get("answer"):
            show_answer(view, *st.session_state.answer)
    with right:
        browse_schema(view)
