"""Where a number on a page comes from: below it, folded away and read only when it is opened."""

import json

import pandas as pd
import streamlit as st
from common import View, note_licences

from phonolake.lookup import provenance

COLUMNS = {
    "table": "Table",
    "version": st.column_config.NumberColumn("Version", help="Delta version that this page shows"),
    "shard": "Shard",
    "n_rows": st.column_config.NumberColumn("Rows", format="localized"),
    "n_bytes": st.column_config.NumberColumn("Size", format="bytes"),
}


def where_from(
    view: View, key: str, tables: tuple[str, ...], *, run_id: str | None = None, sql: str | None = None
) -> None:
    """A fold that shows the run with its configuration, the shards, and the SQL behind what stands above it.

    Parameters
    ----------
    tables : tuple of str
        Tables that were read; only the shards of `run_id` where one is named.
    sql : str, optional
        A statement that gives the same numbers, for the page SQL.
    """
    if run_id is not None:
        note_licences(view, [run_id])
    fold = st.expander("Where from", icon=":material/account_tree:", on_change="rerun", key=f"from-{key}")
    if not fold.open:
        return
    with fold:
        if run_id is not None:
            _show_run(view, run_id)
        if sql is not None:
            st.code(sql, language="sql", wrap_lines=True)
        found = provenance.holdings(view.lake, tables, run_id=run_id)
        st.dataframe(pd.DataFrame(found, columns=list(COLUMNS)), hide_index=True, column_config=COLUMNS, height="auto")
        st.caption(f"{len(found):,} shards under `tables/` of the lake.")


def _show_run(view: View, run_id: str) -> None:
    origin = provenance.origin(view.connection, run_id)
    if origin is None:
        st.caption("The lake has no row about this run.")
        return
    started, seconds = origin.started_at, (origin.finished_at - origin.started_at).total_seconds()
    st.code(
        f"run       {origin.run_id}\nstage     {origin.stage}\nstarted   {started:%Y-%m-%d %H:%M:%S} UTC\n"
        f"took      {seconds:,.1f} s\ncode      {origin.code_version}\nconfig    {origin.config_hash}",
        language=None,
    )
    left, right = st.columns(2)
    left.caption("Configuration")
    left.json(json.loads(origin.config), expanded=True)
    right.caption("Versions of the tables that it read")
    right.json(json.loads(origin.snapshot), expanded=True)
