"""Query the lake."""

import io
from functools import partial

import charts
import completion
import frame
import pandas as pd
import player
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import streamlit as st
from asking import Asking, where_wrong
from common import View, failed, note_licences, page

from phonolake.analysis.collection import similar_sql
from phonolake.lookup import answers
from phonolake.store.lake import Lake
from phonolake.store.schema import quote

SHOWN, DOWNLOADED, SECONDS = 1000, 100_000, 60.0
# The shown rows go to the browser in one piece.
SHOWN_MB, DOWNLOADED_MB, LONGEST_TEXT = 16, 512, 2000
REMEMBERED = 30
# Most results come before anybody could press a key.
AT_ONCE = 1.5
SHARED, EDITOR, TRACK = "sql", "sql", "track_id"
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
    "Labels and annotations": "SELECT label, count(*) AS answers, avg(given) AS given, avg(annotated) AS annotated\n"
    "FROM labels_resolved\nWHERE annotated IS NOT NULL\nGROUP BY label\nORDER BY label",
    "Why inputs were left out": "SELECT stage, reason, count(*) AS inputs, any_value(detail) AS example\n"
    "FROM rejects\nGROUP BY ALL\nORDER BY inputs DESC",
}


@st.cache_data(max_entries=4, show_spinner=False)
def columns(snapshot: tuple, _view: View) -> pd.DataFrame:
    """Every available column, once per publication."""
    return pd.DataFrame(answers.columns(_view.connection))


@st.cache_data(max_entries=4, show_spinner=False)
def words(snapshot: tuple, _view: View) -> answers.SqlWords:
    """What can be completed, once per publication."""
    with similar_sql.connecting(_view.lake, files=False) as connection:
        return answers.words(connection)


def put(sql: str) -> None:
    """Put a question into the editor."""
    st.session_state.sql, st.session_state.brought = sql, None


def take_example() -> None:
    """Put the chosen example into the editor."""
    if st.session_state.example is not None:
        put(EXAMPLES[st.session_state.example])


def take_from_history() -> None:
    """Put an earlier question into the editor."""
    if st.session_state.earlier is not None:
        put(st.session_state.earlier)


def to_insert(key: str, known: pd.DataFrame) -> None:
    """Remember the name that was clicked: only the browser has what was typed since the last question."""
    rows = st.session_state[key].selection.rows
    if rows:
        st.session_state.clicked = quote_if_needed(str(known["column"].iloc[rows[0]]))


def quote_if_needed(name: str) -> str:
    """A name as SQL takes it."""
    return name if name.isidentifier() and name.islower() else quote(name)


def rows_of(lake: Lake, sql: str) -> pa.Table:
    """The rows to download; they are asked for again, on a connection of their own."""
    with similar_sql.connecting(lake, files=False) as connection:
        return answers.ask(
            connection, sql, max_rows=DOWNLOADED, max_seconds=SECONDS, max_bytes=DOWNLOADED_MB << 20
        ).rows


def to_csv(lake: Lake, sql: str) -> bytes:
    """The rows as CSV."""
    sink = io.BytesIO()
    pyarrow.csv.write_csv(rows_of(lake, sql), sink)
    return sink.getvalue()


def to_parquet(lake: Lake, sql: str) -> bytes:
    """The rows as Parquet."""
    sink = io.BytesIO()
    pyarrow.parquet.write_table(rows_of(lake, sql), sink)
    return sink.getvalue()


KINDS = (("CSV", "text/csv", to_csv), ("Parquet", "application/vnd.apache.parquet", to_parquet))


def edit(view: View) -> None:
    """The editor; its answer stays on the page until the next one."""
    st.pills("Examples", list(EXAMPLES), key="example", on_change=take_example, wrap=True)
    # A link brings the question along; it is asked when the reader says so. It is the default of the editor, because a
    # value that is set can be lost by a browser that is asked to run it at once.
    brought = st.session_state.setdefault("brought", st.query_params.get(SHARED, ""))
    with st.form("editor", border=False):
        st.text_area("SQL", brought, key=EDITOR, height=190, placeholder="SELECT …", label_visibility="collapsed")
        completion.propose(words(view.snapshot, view), editor=EDITOR, insert=st.session_state.pop("clicked", None))
        if st.form_submit_button("Run", type="primary", icon=":material/play_arrow:", help="Ctrl+Enter"):
            asked = st.session_state.sql
            st.query_params[SHARED] = asked
            if (before := st.session_state.get("asking")) is not None:
                before.stop()
            st.session_state.asking = Asking(
                view.lake, asked, max_rows=SHOWN, max_seconds=SECONDS, max_bytes=SHOWN_MB << 20, max_text=LONGEST_TEXT
            )
            st.session_state.answer = None
            earlier = st.session_state.get("history", [])
            st.session_state.history = [asked, *(sql for sql in earlier if sql != asked)][:REMEMBERED]
    history = st.session_state.get("history", [])
    if history:
        st.selectbox(
            "Earlier",
            history,
            index=None,
            placeholder=f"Earlier questions ({len(history)})",
            format_func=lambda sql: " ".join(sql.split())[:120],
            label_visibility="collapsed",
            key="earlier",
            on_change=take_from_history,
        )


def finish() -> None:
    """Take the answer of a question that has ended."""
    asking = st.session_state.get("asking")
    if asking is None or not asking.wait(AT_ONCE):
        return
    st.session_state.asking = None
    if asking.error is not None:
        failed(asking.error)
        if (place := where_wrong(asking.error)) is not None:
            st.code(place, language=None)
        return
    st.session_state.answer = asking.sql, asking.answer, asking.seconds
    # Another answer is another list: a line that was picked in the last one is picked no more.
    st.session_state.asked = st.session_state.get("asked", 0) + 1


@st.fragment(run_every=0.5)
def watch(asking: Asking) -> None:
    """How long a question takes, with a way to stop it."""
    if asking.wait(0):
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"Asking for {asking.seconds:.0f} s …", width="content")
        st.button("Cancel", icon=":material/stop:", on_click=asking.stop)


def show_rows(view: View, answer: answers.QueryResult) -> None:
    """The rows; where they name tracks, a click plays one."""
    if TRACK not in answer.rows.column_names:
        st.dataframe(answer.rows, placeholder="NULL", hide_index=True)
        return
    chosen = st.dataframe(
        answer.rows,
        placeholder="NULL",
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key=f"rows-{st.session_state.asked}",
    )
    rows = [row for row in chosen.selection.rows if row < len(answer.rows)]
    track_id = str(answer.rows[TRACK][rows[0]].as_py()) if rows else None
    if track_id is not None:
        player.listen(view, track_id, autoplay=True)
        player.link(track_id)


def plot(answer: answers.QueryResult) -> None:
    """A figure of two columns."""
    columns = {f.name: pa.types.is_integer(f.type) or pa.types.is_floating(f.type) for f in answer.rows.schema}
    numbers = [name for name, is_number in columns.items() if is_number]
    if not numbers or len(columns) < 2:
        st.info("A plot needs two columns, one of them of numbers.", icon=":material/info:")
        return
    first, second, third = st.columns(3)
    kind = third.segmented_control("As", list(charts.PLOTS), default="bars", required=True, key="kind")
    across = [name for name in columns if kind == "bars" or columns[name]]
    x = first.selectbox("Across", across, key=f"across-{kind}")
    y = second.selectbox("Up", [n for n in numbers if n != x] or numbers, key="up")
    rows = answer.rows.slice(0, charts.PLOTS[kind])
    frame.show(charts.plot(kind, rows[x].to_pylist(), rows[y].to_pylist(), x_title=x, y_title=y), height=380)
    if len(answer.rows) > len(rows):
        st.caption(f"The first {len(rows):,} of {len(answer.rows):,} rows.")


def extent(answer: answers.QueryResult) -> str:
    """How much of the result is shown."""
    n = len(answer.rows)
    if answer.full:
        return f"The first {n:,} rows: more than {SHOWN_MB} MB are not shown. Ask for fewer columns, or for `left(…)`."
    return f"{n:,} rows" if answer.complete else f"The first {n:,} rows; the result has more. Add a LIMIT or count."


def show_answer(view: View, sql: str, answer: answers.QueryResult, seconds: float) -> None:
    """The first rows of the result."""
    if answer.rows.column_names == ["explain_key", "explain_value"]:
        st.code("\n".join(answer.rows["explain_value"].to_pylist()), language=None)
        return
    table = st.tabs(["Rows", "Plot"], on_change="rerun", key="shown")
    with table[0]:
        show_rows(view, answer)
    if table[1].open:
        with table[1]:
            plot(answer)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(f"{extent(answer)} ({seconds:.1f} s)", width="content")
        for kind, mime, make in KINDS:
            st.download_button(
                f"Download {kind}",
                partial(make, view.lake, sql),
                file_name=f"phonolake.{kind.lower()}",
                mime=mime,
                icon=":material/download:",
                help=f"At most {DOWNLOADED:,} rows, or {DOWNLOADED_MB} MB",
                on_click="ignore",
            )


def browse_schema(view: View) -> None:
    """What can be asked for."""
    known = columns(view.snapshot, view)
    tables = sorted(known["table"].unique())
    table = st.selectbox("Table", tables, index=tables.index("tracks"), label_visibility="collapsed", key="table")
    listed = known.loc[known["table"] == table, ["column", "type", "comment"]]
    key = f"schema-{table}"
    st.dataframe(
        listed,
        hide_index=True,
        placeholder="",
        height=320,
        on_select=lambda: to_insert(key, listed),
        selection_mode="single-row",
        key=key,
        column_config={
            "column": st.column_config.TextColumn("Column", width=120),
            "type": st.column_config.TextColumn("Type", width=80),
            "comment": st.column_config.TextColumn("Meaning and unit", width=420),
        },
    )
    st.caption(
        "Click a line to insert its name into the query. Macros: `neighbors(id, k := 10, model_or_run := NULL)`, "
        "`top_tags(id, k := 5, model_or_run := NULL)`, `cooccurrence()`, `labels_by('resolved')`."
    )


with page("SQL", "Query the lake with any SELECT; nothing here can change it.", empty_too=True) as view:
    editor, schema = st.container(), st.container()
    # Before the editor, which takes the name that was clicked.
    with schema, st.expander("Tables and columns", icon=":material/table:"):
        browse_schema(view)
    with editor:
        edit(view)
    finish()
    if (asking := st.session_state.get("asking")) is not None:
        watch(asking)
    if st.session_state.get("answer"):
        show_answer(view, *st.session_state.answer)
    note_licences(view)
