"""What every page shares: which lake, one confined connection per run of the script, and messages for people.

A page is written inside ``with common.page(...) as view:``; whatever is missing or fails in there ends as a message
that says what to do.
"""

import argparse
import html
import os
import re
import shlex
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pandas as pd
import streamlit as st

from phonolake.analysis.collection import overview
from phonolake.analysis.collection.neighbours import Searcher
from phonolake.analysis.labels import reannotation
from phonolake.annotation import journal
from phonolake.dashboard_launcher import LAKE_VARIABLE, LICENCE_VARIABLE
from phonolake.errors import PhonolakeError, UsageError
from phonolake.lookup import licences, licensed
from phonolake.lookup.licences import ModelLicence
from phonolake.store import query
from phonolake.store.lake import Lake

EVERYBODY, MAJORITY = "all", "most of them"
RATER = "rater"
LONGEST_LABEL = 24
MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$:&^=@/])")


@dataclass(frozen=True, slots=True)
class View:
    """The lake that a page shows, for one run of its script.

    Parameters
    ----------
    snapshot : tuple
        Changes with every publication, apart from those of answers: the key of whatever is cached.
    annotated : int
        Changes whenever answers are published; a part of the key of what depends on them.
    """

    lake: Lake
    connection: duckdb.DuckDBPyConnection
    snapshot: tuple[str, tuple[tuple[str, int], ...]]
    annotated: int

    def frame(self, sql: str, parameters: list | None = None) -> pd.DataFrame:
        """Rows of a query that this dashboard wrote."""
        return self.connection.sql(sql, params=parameters or []).to_arrow_table().to_pandas()


def lake_name() -> str | None:
    """The lake that was asked for, after ``--`` on Streamlit's command line or in the environment."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--lake", nargs="?")
    return parser.parse_known_args(sys.argv[1:])[0].lake or os.environ.get(LAKE_VARIABLE)


@contextmanager
def page(title: str, about: str, *, empty_too: bool = False) -> Iterator[View]:
    """Head a page and open the lake for it; the body of the block is not run when there is nothing to show.

    Parameters
    ----------
    empty_too : bool
        Whether the page has something to say about a lake without tracks.
    """
    name = lake_name()
    label = "no lake" if name is None else Path(name).resolve().name
    st.set_page_config(page_title=f"{title} · {label} · Phonolake")
    st.logo(_banner(label), size="large")
    st.title(title, anchor=False)
    st.caption(about, help=None if name is None else f"Lake: {plain(name)}")
    if name is None:
        lacking("No lake was named: choose the one to show.", "dashboard", lake="L")
        st.stop()
    with _stopping():
        kind = os.environ.get(LICENCE_VARIABLE) or None
        lake = licensed.opened(name, kind)
        with query.connect(lake) as connection:
            if not empty_too and not connection.execute("FROM tracks SELECT 1 LIMIT 1").fetchall():
                lacking("The lake holds no music yet.", "run MUSIC")
                st.stop()
            versions = lake.versions()
            # Raters publish every few answers: what does not depend on them stays in the cache.
            annotated = versions.pop("annotations", -1) + versions.pop("comparisons", -1)
            if kind is not None:
                st.caption(f"Only models and vectors with licences of the kind {plain(kind)} are shown.")
            place = f"{lake.place} {kind}" if kind else str(lake.place)
            yield View(lake, connection, (place, tuple(sorted(versions.items()))), annotated)


def _banner(label: str) -> str:
    """Product and lake for the head of the page, as a picture whose letters follow the system's light or dark."""
    short = label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"
    width = 118 + 9 * len(short)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="32" viewBox="0 0 {width} 32">'
        "<style>text{font:600 17px system-ui,sans-serif;fill:#1c1917}.l{font-weight:400;fill:#57534e}"
        "@media(prefers-color-scheme:dark){text{fill:#fafaf9}.l{fill:#a8a29e}}</style>"
        f'<text x="0" y="22">Phonolake</text><text class="l" x="104" y="22">{html.escape(short)}</text></svg>'
    )


@contextmanager
def _stopping() -> Iterator[None]:
    """End the page with a message when its block fails."""
    try:
        yield
    except PhonolakeError as error:
        failed(error)
    except duckdb.Error as error:
        failed(query.sql_error(error))
    except OSError as error:
        failed(PhonolakeError(f"the lake cannot be read ({error})"))
    else:
        return
    st.stop()


@st.cache_resource(max_entries=4, show_spinner=False)
def _searcher(place: str, kind: str | None) -> Searcher:
    return Searcher(licensed.opened(place, kind), files=False, on_gpu=True)


def searcher(view: View) -> Searcher:
    """What answers questions about neighbours: one for all pages and visitors, which sees what is published."""
    return _searcher(str(view.lake.place), os.environ.get(LICENCE_VARIABLE) or None)


@st.cache_data(max_entries=4, show_spinner=False)
def _not_commercial(snapshot: tuple, _view: View) -> list[ModelLicence]:
    stated = licences.of_runs(_view.connection).values()
    return [found for found in stated if found.kind == licences.NON_COMMERCIAL]


def note_licences(view: View, run_ids: Collection[str] | None = None) -> None:
    """Name the runs, of some or all in the lake, whose results are not for commercial use."""
    bound = [f for f in _not_commercial(view.snapshot, view) if run_ids is None or f.run_id in run_ids]
    said = dict.fromkeys(f"{found.model} ({found.licence})" for found in bound)
    if said:
        st.caption(f"What {', '.join(map(plain, said))} gave is not for commercial use.")


def lacking(what: str, command: str, *, lake: str | None = None) -> None:
    """Say what is not there yet, and show the command that makes it on a line of its own."""
    line = f"phonolake {command} --lake {shlex.quote(lake or lake_name() or 'L')}"
    # Longer than any run of backticks that a path may hold. A block of code would have the browser load a highlighter
    # of 1.5 MB before the page is complete.
    ticks = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    st.info(f"{said(what)}\n\n{ticks} {line} {ticks}", icon=":material/info:")


def failed(error: PhonolakeError) -> None:
    """Show an error on one line."""
    st.error(said(str(error)), icon=":material/error:")


def choose(
    label: str, options: Sequence[str], *, key: str, format_func: Callable[[str], str], default: str | None = None
) -> str:
    """A list to choose from whose choice stands in the address by its name in the lake, not by how it is shown.

    What is shown without a choice does not: a step that nobody made would be in the way of Back.
    """
    wanted = st.query_params.get(key, default)
    index = options.index(wanted) if wanted in options else 0
    chosen = st.selectbox(label, options, index=index, key=key, format_func=format_func)
    if chosen != options[index]:
        st.query_params[key] = chosen
    return chosen


def choose_source(view: View, *, all_too: bool = False, default: str | None = None) -> str | None:
    """The source of the labels, if there are several; None for all of them, or if there is none."""
    sources = overview.label_sources(view.connection)
    if len(sources) < 2:
        return sources[0] if sources else None
    options = [EVERYBODY, *sources] if all_too else sources
    first = default if default in options else options[0]
    chosen = st.segmented_control(
        "Who says so", options, default=first, required=True, key="source", bind="query-params"
    )
    return None if all_too and chosen == EVERYBODY else chosen


def choose_rater(view: View) -> str | None:
    """The rater whose answers count, if there are several; None for the majority, or a single rater."""
    raters = reannotation.raters(view.connection)
    if len(raters) < 2:
        return None
    who = st.selectbox("By the answers of", [MAJORITY, *raters], key="heard_by", bind="query-params")
    return None if who == MAJORITY else who


def name_rater() -> str | None:
    """Who listens. Once that is said the box for it goes, so that keys answer questions and spell nothing."""
    known = st.query_params.get(RATER, "").strip()
    if known and not st.session_state.get("renaming"):
        with st.container(horizontal=True, vertical_alignment="center", height="content"):
            st.markdown(f"You are **{plain(known)}**", width="content")
            st.button("Not you?", type="tertiary", on_click=st.session_state.update, args=({"renaming": True},))
        return known
    with st.form("rater", border=False):
        name = st.text_input("Your name", value=known, max_chars=journal.LONGEST_NAME).strip()
        if not st.form_submit_button("Begin", type="primary"):
            return None
    try:
        st.query_params[RATER] = journal.check_rater(name)
    except PhonolakeError as error:
        failed(error)
        return None
    st.session_state.renaming = False
    st.rerun()


@contextmanager
def unless_missing() -> Iterator[None]:
    """Turn what one part of a page lacks, or what was asked wrongly, into a message; the rest of the page goes on."""
    try:
        yield
    except UsageError as error:
        failed(error)
    except PhonolakeError as error:
        st.info(said(str(error)), icon=":material/info:")


def plain(text: str) -> str:
    """Text of the collection inside Markdown: shown as it is, on one line, and never read as markup."""
    return MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def said(message: str) -> str:
    """A message inside Markdown: commands between backticks stay code, everything else is shown as it is."""
    parts = " ".join(message.split()).split("`")
    if len(parts) % 2 == 0:
        return plain(message)
    shown = "".join(f"`{part}`" if n % 2 else MARKDOWN.sub(r"\\\1", part) for n, part in enumerate(parts))
    return shown[:1].upper() + shown[1:]


def clock(seconds: float) -> str:
    """A duration as people say it: ``0:30``, ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
