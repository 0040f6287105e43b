"""Figures over the time of one track: its sound, its spectrogram, and what is heard when."""

from collections.abc import Sequence

import charts
import numpy as np
import plotly.graph_objects as go

# Streamlit's theme takes some of Magma's darkest colours for its own placeholders; these are near them.
LOUDNESS = [
    *([0, "#03020c"], [0.15, "#1d1147"], [0.3, "#51127c"], [0.45, "#822681"]),
    *([0.6, "#b73779"], [0.75, "#e75263"], [0.87, "#fc8961"], [0.95, "#fec488"], [1, "#fcfdbf"]),
]
# More columns than a screen has pixels only cost time.
MOST_COLUMNS = 1200


def waveform(outline_P2: np.ndarray, *, seconds: float) -> go.Figure:
    """The outline of a sound over time."""
    time_P = np.linspace(0, seconds, len(outline_P2), endpoint=False)
    figure = go.Figure()
    for column, fill in ((0, None), (1, "tonexty")):
        figure.add_scatter(
            x=time_P,
            y=outline_P2[:, column],
            mode="lines",
            line={"width": 0.6, "color": charts.MAIN},
            fill=fill,
            fillcolor="rgba(15, 118, 110, 0.55)",
            hoverinfo="skip",
            showlegend=False,
        )
    figure.update_xaxes(range=[0, seconds], showgrid=False, showticklabels=False, zeroline=False)
    reach = 1.05 * max(float(np.abs(outline_P2).max(initial=0)), 1e-4)
    figure.update_yaxes(range=[-reach, reach], showgrid=False, showticklabels=False, zeroline=True, fixedrange=True)
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


def tags_over_time(labels: Sequence[str], starts: Sequence[float], seconds: float, p_SK: np.ndarray) -> go.Figure:
    """Probabilities of labels over time, the most probable label on top."""
    places = list(range(len(labels)))
    figure = go.Figure(
        go.Heatmap(
            z=p_SK.T,
            x=[start + seconds / 2 for start in starts],
            y=places,
            customdata=[[charts.name(label)] * len(starts) for label in labels],
            hovertemplate="%{customdata}, %{x:.1f} s: %{z:.3f}<extra></extra>",
            zmin=0,
            zmax=1,
            colorscale=charts.SHARES,
            colorbar={"title": {"text": "probability", "side": "right"}, "thickness": 12},
        )
    )
    figure.update_xaxes(title="time (s)", showgrid=False, rangemode="tozero")
    figure.update_yaxes(
        tickvals=places, ticktext=[charts.name(label) for label in labels], autorange="reversed", showgrid=False
    )
    return figure
