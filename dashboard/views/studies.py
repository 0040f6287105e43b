"""Published figures beside those of studies on this lake, and which claims hold."""

import charts
import frame
import pandas as pd
import streamlit as st
from common import View, choose, lacking, page

from phonolake.analysis.results import study_results
from phonolake.analysis.results.study_results import StudyRun, StudyTable

VERDICTS = {"holds": ":material/check:", "does not hold": ":material/close:", "undecided": ":material/question_mark:"}
NUMBER = st.column_config.NumberColumn(format="%.4g")
CACHED = {"max_entries": 16, "show_spinner": "Reading …"}


@st.cache_data(**CACHED)
def read_runs(snapshot: tuple, _view: View) -> list[StudyRun]:
    """Every request of a study whose rows are kept, once per publication."""
    return study_results.study_runs(_view.connection)


def describe(run: StudyRun) -> str:
    """A request as the list shows it."""
    return f"{run.study}: {', '.join(run.parts)} ({run.n_holding} of {run.n_claims} claims hold)"


def show_claims(view: View, study_run: str) -> None:
    """Each sentence with its verdict and the difference behind it."""
    found = pd.DataFrame(study_results.claims(view.connection, study_run))
    if found.empty:
        return
    counts = found["verdict"].value_counts()
    for column, (verdict, icon) in zip(st.columns(len(VERDICTS)), VERDICTS.items(), strict=True):
        column.metric(f"{icon} {verdict.capitalize()}", int(counts.get(verdict, 0)))
    st.dataframe(found, hide_index=True, column_config=dict.fromkeys(("difference", "low", "high"), NUMBER))


def show_table(table: StudyTable) -> None:
    """Ours as bars, or beside the paper's where it prints any; and the numbers."""
    st.subheader(f"{table.part}: {table.table_name}", anchor=False)
    both = [(f.row_name, f.paper, f.ours) for f in table.figures if f.paper is not None and f.ours is not None]
    known = [(f.row_name, f.ours) for f in table.figures if f.ours is not None]
    if len(both) > 1:
        figure = charts.against_diagonal(both, x_title=f"{table.metric}, as printed", y_title=f"{table.metric}, here")
        frame.show(figure, height=360)
    elif known:
        names, values = zip(*known, strict=True)
        frame.show(charts.bars(names, values, x_title=table.metric, unit=""), height=80 + 26 * len(names))
    columns = dict.fromkeys(("paper", "ours", "std"), NUMBER)
    st.dataframe(pd.DataFrame(table.figures), hide_index=True, placeholder="-", column_config=columns)


with page("Studies", "Published figures beside those on this lake, and whether the papers' claims hold") as view:
    found = {run.study_run: run for run in read_runs(view.snapshot, view)}
    if not found:
        lacking("No study was run on this lake yet.", "study robustness --size middle")
        st.stop()
    chosen = choose("Study", list(found), key="study", format_func=lambda name: describe(found[name]))
    show_claims(view, chosen)
    for table in study_results.tables(view.connection, chosen):
        show_table(table)
