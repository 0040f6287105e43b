"""The selection of tracks on the page Explore, stored in its address: list, map, neighbours, SQL and files share it."""

import math
from collections.abc import Sequence

import charts
import frame
import streamlit as st
from common import View, plain

from phonolake.analysis.collection import overview
from phonolake.lookup import browse, measures
from phonolake.lookup.measures import Bin, Measure, Range

MOST_LABELS = 1000
RANGES, WHERE = "ranges", "where"
FIRST = ["duration", "year"]
HEIGHT = 130
# Of a bin, what the ends of a range can be moved by.
FINER = 10


@st.cache_data(max_entries=8, show_spinner=False)
def choices(snapshot: tuple, _view: View) -> tuple[dict[str, int], dict[str, int], dict[str, Measure]]:
    """Datasets and the commonest labels with their tracks, and what tracks can be measured by."""
    datasets = {d.dataset: d.n_tracks for d in overview.datasets(_view.connection)}
    labels = {c.label: c.n_tracks for c in overview.label_counts(_view.connection, top=MOST_LABELS)}
    return datasets, labels, measures.measures(_view.connection)


@st.cache_data(max_entries=64, show_spinner=False)
def read_bins(snapshot: tuple, _view: View, name: str, among: str) -> list[Bin]:
    """Tracks that meet a condition by a measure, once per publication."""
    return measures.histogram(_view.connection, name, among)


def choose(view: View) -> browse.Filter:
    """Words, facets, a condition and ranges; a wrong condition or range ends in a `UsageError`."""
    datasets, labels, known = choices(view.snapshot, view)
    bound = {"bind": "query-params"}
    text = st.text_input(
        "Search", placeholder="Words of title, artist, album or id", icon=":material/search:", key="text", **bound
    )
    left, right = st.columns(2)
    with left:
        dataset = facet("Dataset", datasets, key="dataset", placeholder="All")
    with right:
        label = facet("Label", labels, key="label", placeholder="Any")
    ranges = told()
    begun = bool(ranges) or WHERE in st.query_params
    fold = st.expander("More conditions", expanded=begun, on_change="rerun", key="conditions")
    with fold:
        where = st.text_input(
            "Condition",
            placeholder="year > 2000 AND artist IS NOT NULL",
            help="SQL over the table tracks; other tables by `track_id IN (SELECT …)`.",
            icon=":material/filter_alt:",
            key=WHERE,
            **bound,
        )
    wanted = browse.Filter(dataset, label, text.strip() or None, tuple(ranges.values()), where.strip() or None)
    browse.check(view.connection, wanted)
    if fold.open:
        with fold:
            show_histograms(view, wanted, known)
    elif ranges:
        st.caption(" · ".join(plain(said(one)) for one in ranges.values()))
    return wanted


def condition(view: View, wanted: browse.Filter) -> str | None:
    """A selection as an SQL condition over `tracks`; None where it is all of them."""
    return None if wanted == browse.Filter() else browse.condition(view.connection, wanted)


def facet(title: str, counts: dict[str, int], *, key: str, placeholder: str) -> str | None:
    """A choice with the number of tracks beside each; it stands in the address by its name alone."""
    wanted = st.query_params.get(key)
    # A rare label is not among the commonest.
    names = [*counts, *([wanted] if wanted and wanted not in counts else [])]
    chosen = st.selectbox(
        title,
        names,
        index=names.index(wanted) if wanted else None,
        placeholder=placeholder,
        key=key,
        format_func=lambda name: f"{name} ({counts[name]:,})" if name in counts else name,
        accept_new_options=len(counts) >= MOST_LABELS,
    )
    if chosen is None:
        st.query_params.pop(key, None)
    elif chosen != wanted:
        st.query_params[key] = chosen
    return chosen


# -- ranges -----------------------------------------------------------------------------------------------------------


def told() -> dict[str, Range]:
    """The ranges in the address, by measure: ``duration:10:15;year:1990:``. What is no number is no bound."""
    found = {}
    for part in st.query_params.get(RANGES, "").split(";"):
        name, *ends = part.rsplit(":", 2)
        if name and len(ends) == 2:
            low, high = map(_number, ends)
            found[name] = Range(name, low, high)
    return found


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def tell(name: str, low: float | None, high: float | None) -> None:
    """Write a range into the address; one without ends is taken out."""
    ranges = told() | {name: Range(name, low, high)}
    parts = [
        f"{one.measure}:{'' if one.low is None else f'{one.low:.10g}'}:{'' if one.high is None else f'{one.high:.10g}'}"
        for one in ranges.values()
        if (one.low, one.high) != (None, None)
    ]
    if parts:
        st.query_params[RANGES] = ";".join(parts)
    else:
        st.query_params.pop(RANGES, None)


def said(one: Range) -> str:
    """A range on one line."""
    low, high = (None if end is None else f"{end:g}" for end in (one.low, one.high))
    if low is None or high is None:
        return f"{one.measure} {'at least ' + low if high is None else 'at most ' + str(high)}"
    return f"{one.measure} {low} to {high}"


def show_histograms(view: View, wanted: browse.Filter, known: dict[str, Measure]) -> None:
    """A histogram with a slider for each measure that is asked for; each counts what passes all other conditions."""
    active = [one.measure for one in wanted.ranges if one.measure in known]
    chosen = st.multiselect(
        "Histograms",
        list(known),
        default=list(dict.fromkeys([*FIRST, *active])),
        format_func=lambda name: known[name].title,
        key="histograms",
        help="Click bars, or move the ends, to choose tracks. You can add any column of a feature set.",
    )
    for name in dict.fromkeys([*chosen, *active]):
        others = browse.Filter(
            wanted.dataset,
            wanted.label,
            wanted.text,
            tuple(one for one in wanted.ranges if one.measure != name),
            wanted.where,
        )
        bins = read_bins(view.snapshot, view, name, browse.condition(view.connection, others))
        if bins:
            show_histogram(known[name], bins)
        else:
            st.caption(f"No track has a value of {known[name].title}.")


def show_histogram(measure: Measure, bins: Sequence[Bin]) -> None:
    """Bars that can be clicked, above a slider of the same width; both write the range into the address."""
    # Of whole numbers the end of a bin belongs to the next one.
    beyond = 1.0 if measure.whole else 0.0
    least, most = bins[0].low, bins[-1].high - beyond
    now = told().get(measure.name, Range(measure.name))
    low = min(max(least if now.low is None else now.low, least), most)
    high = min(max(most if now.high is None else now.high, least), most)
    bars, ends = f"bars-{measure.name}", f"ends-{measure.name}-{least:g}-{most:g}"

    def write(low: float, high: float) -> None:
        tell(measure.name, None if low <= least else low, None if high >= most else high)

    def take_bars() -> None:
        taken = [n for group in st.session_state[bars].selection["selected"] for n in group["data_indices"]]
        taken = [n for n in taken if n < len(bins)]
        low, high = (bins[min(taken)].low, bins[max(taken)].high - beyond) if taken else (least, most)
        st.session_state[ends] = low, high
        write(low, high)

    st.caption(measure.title)
    counts = [(b.low, b.high, b.n_tracks) for b in bins]
    figure = charts.filter_histogram(counts, low, high + beyond, title=measure.title)
    st.echarts_chart(frame.lettered(figure), height=HEIGHT, width="stretch", key=bars, on_select=take_bars)
    if least == most:
        return
    st.session_state.setdefault(ends, (low, high))
    st.slider(
        measure.title,
        least,
        most,
        step=1.0 if measure.whole else (bins[0].high - bins[0].low) / FINER,
        format="%.6g",
        label_visibility="collapsed",
        key=ends,
        on_change=lambda: write(*st.session_state[ends]),
    )
