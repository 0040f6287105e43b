"""Figures over the time of one track: its sound, its spectrogram, and what is heard when."""

import base64
import io
from collections.abc import Sequence

import charts
import numpy as np
from frame import HEATMAP_RIGHT, TOLD, Figure, colours, downwards, framed, heatmap, name, places, scale, source
from matplotlib import colormaps
from matplotlib.colors import to_hex
from matplotlib.image import imsave

LOUDNESS = "magma"
# More columns than a screen has pixels only cost time.
MOST_COLUMNS = 1200


def waveform(outline_P2: np.ndarray, *, seconds: float) -> Figure:
    """The outline of a sound over time: a line from the least to the largest value of each moment, and on."""
    time_P = np.linspace(0, seconds, len(outline_P2), endpoint=False)
    reach = 1.05 * max(float(np.abs(outline_P2).max(initial=0)), 1e-4)
    bare = {"axisLabel": {"show": False}, "axisTick": {"show": False}, "splitLine": {"show": False}}
    line = {"type": "line", "encode": {"x": "x", "y": "y"}, "showSymbol": False, "silent": True, "color": charts.MAIN}
    return framed(
        "Waveform",
        [{**line, "lineStyle": {"width": 0.8}}],
        scale(None, 0, seconds, **bare),
        scale(None, -reach, reach, **bare),
        dataset=source(x=np.repeat(time_P, 2), y=outline_P2.ravel()),
        tooltip={"show": False},
    )


def spectrogram(decibels_FT: np.ndarray, *, frames_per_second: float, unit: str) -> Figure:
    """A spectrogram over time, as a picture; of neighbouring frames that share a pixel the loudest is shown."""
    n_bands, n_frames = decibels_FT.shape
    step = -(-n_frames // MOST_COLUMNS)
    thinned_FT = np.maximum.reduceat(decibels_FT, np.arange(0, n_frames, step), axis=1).astype(float)
    low, high = float(thinned_FT.min()), float(thinned_FT.max())
    shades = [to_hex(shade) for shade in colormaps[LOUDNESS](np.linspace(0, 1, 16))]
    whole = {"type": "category", "data": [""], "show": False}
    # A bar that fills the frame and is drawn as the picture: a hundred thousand cells would take seconds.
    picture = {
        "type": "pictorialBar",
        "xAxisIndex": 1,
        "yAxisIndex": 1,
        "data": [1],
        "barWidth": "100%",
        "symbol": f"image://{_picture(thinned_FT, low, high)}",
        "symbolSize": ["100%", "100%"],
        "silent": True,
    }
    figure = framed(
        "Spectrogram",
        [picture],
        {},
        {},
        right=HEATMAP_RIGHT,
        visualMap=colours(unit, shades, round(low), round(high), seriesIndex=[], precision=0),
        tooltip={"show": False},
    )
    middle = {"nameLocation": "middle", "splitLine": {"show": False}}
    figure["xAxis"] = [scale("time (s)", 0, n_frames / frames_per_second, **middle), whole]
    figure["yAxis"] = [
        scale("mel band (low to high)", 0, n_bands, **middle),
        scale(None, 0, 1, show=False),
    ]
    return figure


def _picture(decibels_FT: np.ndarray, low: float, high: float) -> str:
    """The address of a picture that holds its own pixels, low bands at the bottom."""
    buffer = io.BytesIO()
    imsave(buffer, decibels_FT, vmin=low, vmax=high, cmap=LOUDNESS, origin="lower", format="png")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def tags_over_time(labels: Sequence[str], starts: Sequence[float], seconds: float, p_SK: np.ndarray) -> Figure:
    """Probabilities of labels over time, the most probable label on top."""
    piece_C, label_C = (part.ravel() for part in np.indices(p_SK.shape))
    p_C = p_SK.ravel().astype(float)
    told = [
        f"{name(labels[k])}, {starts[s]:.1f} to {starts[s] + seconds:.1f} s: {p:.3f}"
        for s, k, p in zip(piece_C, label_C, p_C, strict=True)
    ]
    return heatmap(
        "Heatmap: probabilities of labels over time",
        source(x=piece_C, y=label_C, value=p_C, **{TOLD: told}),
        places([f"{start + seconds / 2:.1f}" for start in starts], title="time (s)"),
        downwards(labels),
        colours("probability", charts.SHARES, 0, 1),
        itemStyle={"borderWidth": 0},
    )
