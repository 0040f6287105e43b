"""Figures in one style: horizontal bars, histograms, matrices of labels, points, curves.

Names of labels come from the collection: they are placed by number and written as text, so that two that look alike
stay two, and none is read as markup or as a number.
"""

import html
from collections import Counter
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import streamlit as st

MAIN, MARK = "#0f766e", "#1c1917"
# Light enough for a dark mark to stand out.
MODELS = ("#58aea2", "#f0a84f", "#a79bc7", "#84b1d6", "#bfc36b", "#e39a9a", "#c8a27c", "#a3aab5")
# Told apart on white, neighbours also in lightness.
POINTS = ("#0f766e", "#d97706", "#4f46e5", "#be123c", "#0284c7", "#65a30d", "#9333ea", "#78716c")
SHARES = [[0, "#f5f5f4"], [0.05, "#d5ebe7"], [0.5, "#3aa394"], [1, "#084c46"]]
SIGNED = [[0, "#9a3412"], [0.25, "#f3a667"], [0.5, "#fafaf9"], [0.75, "#5fb3a8"], [1, "#084c46"]]
# How rows of an answer can be drawn, and how many of them.
PLOTS = {"bars": 60, "lines": 1000, "points": 1000}
BARE = {"displaylogo": False, "displayModeBar": False}
LONGEST_NAME = 40
FEWEST_BINS = 9


def show(figure: go.Figure, *, height: int, key: str | None = None) -> None:
    """Put a figure on the page."""
    _style(figure, height)
    st.plotly_chart(figure, key=key, config=BARE)


def lasso(figure: go.Figure, *, height: int, key: str) -> list[int]:
    """Put a figure on the page whose points can be chosen; the numbers (`customdata`) of those that are."""
    _style(figure, height)
    chosen = st.plotly_chart(
        figure,
        key=key,
        on_select="rerun",
        selection_mode=("points", "box", "lasso"),
        config={"displaylogo": False, "modeBarButtons": [["lasso2d", "select2d", "pan2d", "resetScale2d"]]},
    )
    return sorted({int(np.ravel(point["customdata"])[0]) for point in chosen.selection.points})


def _style(figure: go.Figure, height: int) -> None:
    figure.update_layout(height=height, margin={"l": 8, "r": 8, "t": 12, "b": 8}, hoverlabel={"align": "left"})
    figure.update_xaxes(automargin=True)
    figure.update_yaxes(automargin=True)


def name(label: str) -> str:
    """A label as Plotly shows it: its text, cut where it is long."""
    cut = label if len(label) <= LONGEST_NAME else label[: LONGEST_NAME - 1] + "…"
    return html.escape(" ".join(cut.split()), quote=False)


def bars(labels: Sequence[str], values: Sequence[float], *, x_title: str, unit: str) -> go.Figure:
    """Horizontal bars, the first on top."""
    places = list(range(len(labels)))
    figure = go.Figure(
        go.Bar(
            x=list(values),
            y=places,
            orientation="h",
            marker_color=MAIN,
            customdata=[name(label) for label in labels],
            hovertemplate="%{customdata}: %{x:,} " + unit + "<extra></extra>",
        )
    )
    figure.update_xaxes(title=x_title, rangemode="tozero")
    figure.update_yaxes(tickvals=places, ticktext=[name(label) for label in labels], autorange="reversed")
    return figure


def histogram(edges: Sequence[tuple[float, float]], counts: Sequence[int], *, x_title: str, y_title: str) -> go.Figure:
    """Bars between given edges."""
    figure = go.Figure(
        go.Bar(
            x=[(start + end) / 2 for start, end in edges],
            y=list(counts),
            width=[end - start for start, end in edges],
            marker={"color": MAIN, "line": {"color": "white", "width": 1}},
            customdata=list(edges),
            hovertemplate="%{customdata[0]:,} to %{customdata[1]:,} s: %{y:,}<extra></extra>",
        )
    )
    # A single bin across the whole axis would look like a great deal.
    (first, width), last = (edges[0][0], edges[0][1] - edges[0][0]), edges[-1][1]
    padding = max(0, FEWEST_BINS - len(edges)) // 2 * width
    figure.update_xaxes(title=x_title, range=[max(0, first - padding), last + padding])
    figure.update_yaxes(title=y_title, rangemode="tozero")
    return figure


def matrix(
    labels: Sequence[str],
    values_LL: np.ndarray,
    *,
    x_title: str,
    y_title: str,
    value_title: str,
    signed: bool = False,
) -> go.Figure:
    """A heatmap over pairs of labels, row by column; the diagonal, which says nothing, is left blank.

    Parameters
    ----------
    signed : bool
        Whether values lie around zero; otherwise they are shares in [0, 1].
    """
    shown_LL = np.where(np.eye(len(labels), dtype=bool), np.nan, values_LL)
    reach = float(np.nanmax(np.abs(shown_LL))) if np.isfinite(shown_LL).any() else 1.0
    scale = {"zmin": -reach, "zmax": reach, "colorscale": SIGNED} if signed else {"zmin": 0, "colorscale": SHARES}
    names, places = [name(label) for label in labels], list(range(len(labels)))
    figure = go.Figure(
        go.Heatmap(
            z=shown_LL,
            customdata=[[(row, column) for column in names] for row in names],
            hovertemplate="%{customdata[0]} → %{customdata[1]}: %{z:.3f}<extra></extra>",
            hoverongaps=False,
            xgap=1,
            ygap=1,
            colorbar={"title": {"text": value_title, "side": "right"}, "thickness": 12},
            **scale,
        )
    )
    figure.update_xaxes(title=x_title, tickvals=places, ticktext=names, tickangle=-45, showgrid=False, zeroline=False)
    figure.update_yaxes(
        title=y_title, tickvals=places, ticktext=names, autorange="reversed", showgrid=False, zeroline=False
    )
    return figure


def scores(rows: Sequence[tuple[str, str, float, float | None]]) -> go.Figure:
    """Bars of figures in [0, 1] by metric, one colour per model, with a mark where chance is.

    Parameters
    ----------
    rows : sequence of (metric, model, value, chance)
    """
    metrics = list(dict.fromkeys(metric for metric, *_ in rows))
    models = list(dict.fromkeys(model for _, model, *_ in rows))
    figure = go.Figure()
    thickness = 0.8 / len(models)
    for n, model in enumerate(models):
        own = [(metrics.index(metric), value, chance) for metric, its, value, chance in rows if its == model]
        places, values, chances = zip(*own, strict=True)
        y = [place + (n - (len(models) - 1) / 2) * thickness for place in places]
        figure.add_bar(
            x=values,
            y=y,
            width=thickness * 0.9,
            orientation="h",
            name=name(model),
            marker_color=MODELS[n % len(MODELS)],
            text=[f"{value:.3f}" for value in values],
            textposition="outside",
            textfont_size=12,
            cliponaxis=False,
            hovertemplate="%{x:.3f}",
        )
        figure.add_trace(_marks(chances, y, size=max(22 * thickness, 6), in_legend=n == 0))
    figure.update_xaxes(title="value on the test part (0 to 1)", range=[0, 1.08], tickvals=[0, 0.25, 0.5, 0.75, 1])
    figure.update_yaxes(tickvals=list(range(len(metrics))), ticktext=metrics, autorange="reversed", showgrid=False)
    figure.update_layout(legend={"orientation": "h", "y": 1.15, "x": 0})
    return figure


def _marks(chances: Sequence[float | None], y: Sequence[float], *, size: float, in_legend: bool) -> go.Scatter:
    """Upright marks at the chance levels."""
    return go.Scatter(
        x=chances,
        y=y,
        mode="markers",
        name="chance",
        showlegend=in_legend,
        legendrank=2000,
        marker={"symbol": "line-ns", "size": size, "line": {"width": 3, "color": MARK}},
        hovertemplate="chance %{x:.3f}<extra></extra>",
    )


def scatter(
    places_N2: np.ndarray, names: Sequence[str], groups: Sequence[str | None], *, most_groups: int, titled: bool
) -> go.Figure:
    """Points in the plane that can be lassoed, coloured by group; `customdata` holds the number of each point.

    Parameters
    ----------
    titled : bool
        Whether the axes mean something: the first and the second component.
    """
    counts = Counter(group for group in groups if group is not None)
    coloured = [group for group, _ in counts.most_common(most_groups)]
    figure = go.Figure()
    for k, group in enumerate([*coloured, None]):
        own = [n for n, its in enumerate(groups) if (its if its in coloured else None) == group]
        if not own:
            continue
        figure.add_scatter(
            x=places_N2[own, 0],
            y=places_N2[own, 1],
            mode="markers",
            name="other" if group is None else name(group),
            marker={"size": 7, "opacity": 0.75, "color": "#a8a29e" if group is None else POINTS[k % len(POINTS)]},
            customdata=own,
            text=[f"{name(names[n])}<br>{name(groups[n] or 'no label')}" for n in own],
            hovertemplate="%{text}<extra></extra>",
        )
    titles = ("first component", "second component") if titled else (None, None)
    low_2, high_2 = places_N2.min(axis=0), places_N2.max(axis=0)
    # Room for whole points at the edges, and for the lasso around them.
    room_2 = 0.06 * np.maximum(high_2 - low_2, 1e-3)
    (left, bottom), (right, top) = (low_2 - room_2).tolist(), (high_2 + room_2).tolist()
    figure.update_xaxes(title=titles[0], range=[left, right], showticklabels=titled, zeroline=False, showgrid=False)
    figure.update_yaxes(title=titles[1], range=[bottom, top], showticklabels=titled, zeroline=False, showgrid=titled)
    legend = {"itemsizing": "constant", "orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
    figure.update_layout(legend=legend, dragmode="lasso")
    return figure


def curves(lines: Sequence[tuple[str, Sequence[float], Sequence[float]]], *, x_title: str, y_title: str) -> go.Figure:
    """Lines over a common axis.

    Parameters
    ----------
    lines : sequence of (name, x, y)
    """
    figure = go.Figure()
    for k, (title, x, y) in enumerate(lines):
        figure.add_scatter(
            x=list(x),
            y=list(y),
            mode="lines+markers" if len(x) < 30 else "lines",
            name=name(title),
            line={"width": 2, "color": POINTS[k % len(POINTS)]},
            hovertemplate="%{y:.4f}",
        )
    figure.update_xaxes(title=x_title)
    figure.update_yaxes(title=y_title)
    figure.update_layout(hovermode="x unified", legend={"orientation": "h", "y": 1.12, "x": 0}, showlegend=True)
    return figure


def roc(title: str, false_positive_rate: np.ndarray, true_positive_rate: np.ndarray) -> go.Figure:
    """A ROC curve above the diagonal of chance."""
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", name="chance", line={"dash": "dot", "color": "#a8a29e"}, hoverinfo="skip"
    )
    figure.add_scatter(
        x=false_positive_rate,
        y=true_positive_rate,
        mode="lines",
        name=name(title),
        line={"color": MAIN, "width": 2.5},
        fill="tozeroy",
        fillcolor="rgba(15, 118, 110, 0.08)",
        hovertemplate="false %{x:.3f}, true %{y:.3f}<extra></extra>",
    )
    figure.update_xaxes(title="false positive rate", range=[0, 1], constrain="domain")
    figure.update_yaxes(title="true positive rate", range=[0, 1.01], scaleanchor="x", scaleratio=1)
    figure.update_layout(showlegend=False)
    return figure


def counts(labels: Sequence[str], n_KK: np.ndarray) -> go.Figure:
    """A confusion matrix: shares of each row in colour, numbers in the cells."""
    share_KK = n_KK / np.maximum(n_KK.sum(axis=1, keepdims=True), 1)
    names, places = [name(label) for label in labels], list(range(len(labels)))
    figure = go.Figure(
        go.Heatmap(
            z=share_KK,
            text=[[str(n) if n else "" for n in row] for row in n_KK.tolist()],
            texttemplate="%{text}" if len(labels) <= 25 else None,
            customdata=[[(a, b, int(n_KK[i, j])) for j, b in enumerate(names)] for i, a in enumerate(names)],
            hovertemplate="%{customdata[0]}, called %{customdata[1]}: %{customdata[2]:,} (%{z:.1%})<extra></extra>",
            zmin=0,
            zmax=1,
            xgap=1,
            ygap=1,
            colorscale=SHARES,
            colorbar={"title": {"text": "share of the row", "side": "right"}, "thickness": 12, "tickformat": ".0%"},
        )
    )
    figure.update_xaxes(title="called", tickvals=places, ticktext=names, tickangle=-45, showgrid=False, zeroline=False)
    figure.update_yaxes(
        title="given", tickvals=places, ticktext=names, autorange="reversed", showgrid=False, zeroline=False
    )
    return figure


def plot(kind: str, x: Sequence[object], y: Sequence[float | None], *, x_title: str, y_title: str) -> go.Figure:
    """Two columns of an answer; `kind` is one of `PLOTS`."""
    figure = go.Figure()
    if kind == "bars":
        places = list(range(len(x)))
        figure.add_bar(x=places, y=list(y), marker_color=MAIN, hovertemplate="%{y:,}<extra></extra>")
        figure.update_xaxes(tickvals=places, ticktext=[name(str(value)) for value in x])
    else:
        mode = "markers" if kind == "points" else "lines"
        figure.add_scatter(x=list(x), y=list(y), mode=mode, marker_color=MAIN, line_color=MAIN)
    figure.update_xaxes(title=name(x_title))
    figure.update_yaxes(title=name(y_title))
    return figure


def against_diagonal(points: Sequence[tuple[str, float, float]], *, x_title: str, y_title: str) -> go.Figure:
    """Points of two figures of the same thing, with the line on which both are equal.

    Parameters
    ----------
    points : sequence of (name, x, y)
    """
    figure = beside(points, x_title=x_title, y_title=y_title)
    figure.update_traces(marker={"size": 11, "opacity": 0.85})
    values = [value for _, *both in points for value in both]
    room = 0.1 * (max(values) - min(values)) or 0.02
    ends = [min(values) - room, max(values) + room]
    line = {"dash": "dot", "color": "#a8a29e"}
    figure.add_scatter(x=ends, y=ends, mode="lines", line=line, hoverinfo="skip")
    figure.update_xaxes(range=ends, constrain="domain")
    figure.update_yaxes(range=ends, rangemode="normal", scaleanchor="x", scaleratio=1)
    figure.update_layout(showlegend=False)
    return figure


def beside(pairs: Sequence[tuple[str, float, float]], *, x_title: str, y_title: str) -> go.Figure:
    """Points of pairs of labels.

    Parameters
    ----------
    pairs : sequence of (name, x, y)
    """
    figure = go.Figure(
        go.Scatter(
            x=[x for _, x, _ in pairs],
            y=[y for *_, y in pairs],
            mode="markers",
            marker={"size": 6, "opacity": 0.6, "color": MAIN},
            text=[name(title) for title, *_ in pairs],
            hovertemplate="%{text}: %{x:.3f}, %{y:.3f}<extra></extra>",
        )
    )
    figure.update_xaxes(title=x_title)
    figure.update_yaxes(title=y_title, rangemode="tozero")
    return figure
