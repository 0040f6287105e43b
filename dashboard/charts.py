"""Figures in one style: horizontal bars, histograms, matrices of labels, spectrograms.

Names of labels come from the collection: they are placed by number and written as text, so that two that look alike
stay two, and none is read as markup or as a number.
"""

import html
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import streamlit as st

MAIN, MARK = "#0f766e", "#1c1917"
# Light enough for a dark mark to stand out.
MODELS = ("#58aea2", "#f0a84f", "#a79bc7", "#84b1d6", "#bfc36b")
SHARES = [[0, "#f5f5f4"], [0.05, "#d5ebe7"], [0.5, "#3aa394"], [1, "#084c46"]]
# Streamlit's theme takes some of Magma's darkest colours for its own placeholders; these are near them.
LOUDNESS = [
    *([0, "#03020c"], [0.15, "#1d1147"], [0.3, "#51127c"], [0.45, "#822681"]),
    *([0.6, "#b73779"], [0.75, "#e75263"], [0.87, "#fc8961"], [0.95, "#fec488"], [1, "#fcfdbf"]),
]
SIGNED = [[0, "#9a3412"], [0.25, "#f3a667"], [0.5, "#fafaf9"], [0.75, "#5fb3a8"], [1, "#084c46"]]
LONGEST_NAME = 40
FEWEST_BINS = 9
# More columns than a screen has pixels only cost time.
MOST_COLUMNS = 1200


def show(figure: go.Figure, *, height: int, key: str | None = None) -> None:
    """Put a figure on the page."""
    figure.update_layout(height=height, margin={"l": 8, "r": 8, "t": 12, "b": 8}, hoverlabel={"align": "left"})
    figure.update_xaxes(automargin=True)
    figure.update_yaxes(automargin=True)
    st.plotly_chart(figure, key=key, config={"displaylogo": False, "displayModeBar": False})


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


def spectrogram(decibels_FT: np.ndarray, *, frames_per_second: float, unit: str) -> go.Figure:
    """A spectrogram over time; of neighbouring frames that share a pixel the loudest is shown."""
    step = -(-decibels_FT.shape[1] // MOST_COLUMNS)
    thinned_FT = np.maximum.reduceat(decibels_FT, np.arange(0, decibels_FT.shape[1], step), axis=1)
    figure = go.Figure(
        go.Heatmap(
            z=np.round(thinned_FT).astype(np.int16),
            x0=0,
            dx=step / frames_per_second,
            colorscale=LOUDNESS,
            hovertemplate="%{x:.2f} s, band %{y}: %{z} " + unit + "<extra></extra>",
            colorbar={"title": {"text": unit, "side": "right"}, "thickness": 12},
        )
    )
    figure.update_xaxes(title="time (s)", showgrid=False)
    figure.update_yaxes(title="mel band (low to high)", showgrid=False)
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
        figure.add_trace(_marks(chances, y, size=22 * thickness, in_legend=n == 0))
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
