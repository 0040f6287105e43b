"""Figures in one style: horizontal bars, histograms, matrices of labels, points, curves."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from frame import TOLD, Figure, across, colours, downwards, framed, heatmap, name, places, scale, source

# All of these stand out from light and dark pages. The mark lies on bars, and has a rim.
MAIN, MARK, RIM, PALE = "#13897f", "#c2255c", "#ffffff", "#918b86"
POINTS = ("#13897f", "#d97706", "#6366f1", "#e11d48", "#0284c7", "#65a30d", "#a855f7", "#9a5b33")
# From the lowest to the highest.
NUMBERS = ("#4f5bd5", "#9243d4", "#c2378f", "#dc4a48", "#e8710a")
# At equal distances; small shares are told apart from none.
SHARES = ("#f5f5f4", "#bfe0db", "#8bc9c0", "#5fb3a8", "#3a9d92", "#22877c", "#0f6f66", "#0a5a53", "#084c46")
SIGNED = ("#9a3412", "#f3a667", "#fafaf9", "#5fb3a8", "#084c46")
# How rows of an answer can be drawn, and how many of them.
PLOTS = {"bars": 60, "lines": 1000, "points": 1000}
FEWEST_BINS = 9
# So many have room for numbers in their cells.
FEW_CLASSES = 25


def bars(labels: Sequence[str], values: Sequence[float], *, x_title: str, unit: str) -> Figure:
    """Horizontal bars, the first on top."""
    told = [f"{name(label)}: {value:,} {unit}" for label, value in zip(labels, values, strict=True)]
    return framed(
        f"Bars: {x_title} by label",
        [{"type": "bar", "encode": {"x": "value", "y": "place"}, "color": MAIN, "barCategoryGap": "20%"}],
        scale(x_title),
        downwards(labels),
        dataset=source(place=range(len(labels)), value=values, **{TOLD: told}),
    )


def histogram(edges: Sequence[tuple[float, float]], counts: Sequence[int], *, x_title: str, y_title: str) -> Figure:
    """Bars between given edges, which are equally far from each other."""
    told = [f"{start:,} to {end:,} s: {n:,}" for (start, end), n in zip(edges, counts, strict=True)]
    (first, width), last = (edges[0][0], edges[0][1] - edges[0][0]), edges[-1][1]
    # A single bin across the whole axis would look like a great deal, and its neighbours tell ECharts how wide it is.
    padding = max(2, FEWEST_BINS - len(edges)) // 2 * width
    around = [first - width / 2, last + width / 2]
    return framed(
        f"Histogram: {y_title} by {x_title}",
        [{"type": "bar", "encode": {"x": "middle", "y": "n"}, "color": MAIN, "barWidth": "96%"}],
        scale(x_title, max(0, first - padding), last + padding, splitLine={"show": False}),
        scale(y_title),
        dataset=source(
            middle=[*((start + end) / 2 for start, end in edges), *around],
            n=[*counts, 0, 0],
            **{TOLD: [*told, "", ""]},
        ),
    )


def filter_histogram(bins: Sequence[tuple[float, float, int]], low: float, high: float, *, title: str) -> Figure:
    """Bars (start, end, number of tracks) that can be clicked; those between two numbers stand out."""
    shades = [
        {"value": n, "itemStyle": {"color": MAIN if start < high and end > low else PALE}} for start, end, n in bins
    ]
    names = [f"{start:g}" for start, _, _ in bins]
    hidden = {"show": False}
    return framed(
        f"Histogram: tracks by {title}",
        [{"type": "bar", "data": shades, "barWidth": "94%", "barMinHeight": 2, "selectedMode": "multiple"}],
        {"type": "category", "data": names, "axisTick": hidden, "splitLine": hidden},
        {"type": "value", "axisLabel": hidden, "splitLine": hidden},
        tooltip={"formatter": "{b}: {c} tracks"},
    )


def matrix(
    labels: Sequence[str],
    values_LL: np.ndarray,
    *,
    x_title: str,
    y_title: str,
    value_title: str,
    signed: bool = False,
) -> Figure:
    """A heatmap over pairs of labels, row by column; the diagonal, which says nothing, is left blank.

    Parameters
    ----------
    signed : bool
        Whether values lie around zero; otherwise they are shares in [0, 1].
    """
    row_P, column_P = np.nonzero(np.isfinite(values_LL) & ~np.eye(len(labels), dtype=bool))
    value_P = values_LL[row_P, column_P].astype(float)
    reach = float(np.abs(value_P).max(initial=0)) or 1.0
    pairs = zip(row_P, column_P, value_P, strict=True)
    told = [f"{name(labels[i])} → {name(labels[j])}: {value:.3f}" for i, j, value in pairs]
    visual = colours(value_title, SIGNED, -reach, reach) if signed else colours(value_title, SHARES, 0, reach)
    return heatmap(
        f"Heatmap: {value_title} by {y_title} and {x_title}",
        source(x=column_P, y=row_P, value=value_P, **{TOLD: told}),
        across(labels, title=x_title),
        downwards(labels, title=y_title),
        visual,
    )


def scores(rows: Sequence[tuple[str, str, float, float | None]]) -> Figure:
    """Bars of figures in [0, 1], those of a metric together and of a model in one colour, with a mark where chance is.

    Parameters
    ----------
    rows : sequence of (metric, model, value, chance)
    """
    metrics = list(dict.fromkeys(metric for metric, *_ in rows))
    models = list(dict.fromkeys(model for _, model, *_ in rows))
    lines: list[Figure] = []
    bar: list[Figure] = []
    marks: list[list[float]] = []
    for metric in metrics:
        lines.append({"value": metric, "textStyle": {"fontWeight": "bold"}})
        bar.append({"value": None})
        for _, model, value, chance in (row for row in rows if row[0] == metric):
            if chance is not None:
                marks.append([chance, len(lines)])
            lines.append({"value": name(model)})
            color = POINTS[models.index(model) % len(POINTS)]
            # Written out, since a template would show .5 for .500.
            label = {"show": True, "position": "right", "formatter": f"{value:.3f}"}
            bar.append({"value": value, "itemStyle": {"color": color}, "label": label})
    chances = {"type": "scatter", "name": "chance", "data": marks, "symbol": "rect", "symbolSize": [5, 20], "z": 3}
    return framed(
        "Bars: figures by metric and model",
        [
            {"type": "bar", "data": bar, "barCategoryGap": "15%"},
            {
                **chances,
                "color": MARK,
                "itemStyle": {"borderColor": RIM, "borderWidth": 1},
                "tooltip": {"formatter": "chance {@[0]}"},
            },
        ],
        scale("value on the test part (0 to 1)", 0, 1.08, axisLabel={"showMaxLabel": False}),
        {**downwards([]), "data": lines},
        tooltip={"formatter": "{b}: {c}"},
    )


def curves(lines: Sequence[tuple[str, Sequence[float], Sequence[float]]], *, x_title: str, y_title: str) -> Figure:
    """Lines over a common axis.

    Parameters
    ----------
    lines : sequence of (name, x, y)
    """
    series = [
        {
            "type": "line",
            "name": name(title),
            "data": [list(point) for point in zip(x, y, strict=True)],
            "showSymbol": len(x) < 30,
            "color": POINTS[k % len(POINTS)],
        }
        for k, (title, x, y) in enumerate(lines)
    ]
    return framed(
        f"Curves: {y_title} by {x_title}",
        series,
        scale(x_title, scale=True, minInterval=1, splitLine={"show": False}, axisPointer={"label": {"precision": 0}}),
        scale(y_title, scale=True),
        top=40,
        tooltip={"trigger": "axis", "valueFormatter": "%.4f"},
        legend={"top": 0, "left": 0},
    )


def roc(false_positive_rate: np.ndarray, true_positive_rate: np.ndarray) -> Figure:
    """A ROC curve above the diagonal of chance."""
    told = [f"false {x:.3f}, true {y:.3f}" for x, y in zip(false_positive_rate, true_positive_rate, strict=True)]
    curve = {
        "type": "line",
        "encode": {"x": "x", "y": "y"},
        "showSymbol": False,
        "color": MAIN,
        "areaStyle": {"opacity": 0.08},
    }
    return framed(
        "ROC curve",
        [curve, _diagonal(0, 1)],
        scale("false positive rate", 0, 1),
        scale("true positive rate", 0, 1),
        dataset=source(x=false_positive_rate, y=true_positive_rate, **{TOLD: told}),
        tooltip={"trigger": "axis", "formatter": f"{{@{TOLD}}}"},
    )


def counts(labels: Sequence[str], n_KK: np.ndarray) -> Figure:
    """A confusion matrix: shares of each row in colour, numbers in the cells."""
    share_KK = n_KK / np.maximum(n_KK.sum(axis=1, keepdims=True), 1)
    # Of many classes only cells that hold something: hundreds of thousands would take seconds to draw.
    row_C, column_C = np.nonzero((n_KK > 0) | (len(labels) <= FEW_CLASSES))
    n_C, share_C = n_KK[row_C, column_C], share_KK[row_C, column_C]
    told = [
        f"{name(labels[i])}, called {name(labels[j])}: {n:,} ({share:.1%})"
        for i, j, n, share in zip(row_C, column_C, n_C, share_C, strict=True)
    ]
    return heatmap(
        "Confusion matrix",
        source(x=column_C, y=row_C, value=share_C, text=[str(n) if n else "" for n in n_C], **{TOLD: told}),
        across(labels, title="called"),
        downwards(labels, title="given"),
        colours("row share", SHARES, 0, 1),
        label={"show": len(labels) <= FEW_CLASSES, "formatter": "{@text}"},
        selectedMode="single",
    )


def plot(kind: str, x: Sequence[Any], y: Sequence[float | None], *, x_title: str, y_title: str) -> Figure:
    """Two columns of an answer; `kind` is one of `PLOTS`."""
    told = [f"{name(str(a))}: {b}" for a, b in zip(x, y, strict=True)]
    bar = kind == "bars"
    mark = {
        "type": "bar" if bar else "line" if kind == "lines" else "scatter",
        "encode": {"x": "x", "y": "y"},
        "color": MAIN,
        "showSymbol": True,
    }
    return framed(
        f"Plot: {y_title} by {x_title}",
        [mark],
        places([str(value) for value in x], title=name(x_title)) if bar else scale(name(x_title), scale=True),
        scale(name(y_title), scale=not bar),
        dataset=source(x=range(len(x)) if bar else _numbers(x), y=_numbers(y), **{TOLD: told}),
    )


def _numbers(values: Sequence[Any]) -> list[float | None]:
    """What can be drawn of a column; a gap where there is no finite number."""
    return [float(value) if value is not None and np.isfinite(float(value)) else None for value in values]


def against_diagonal(points: Sequence[tuple[str, float, float]], *, x_title: str, y_title: str) -> Figure:
    """Points of two figures of the same thing, with the line on which both are equal.

    Parameters
    ----------
    points : sequence of (name, x, y)
    """
    values = [value for _, *both in points for value in both]
    room = 0.1 * (max(values) - min(values)) or 0.02
    ends = min(values) - room, max(values) + room
    # The ends are no round numbers.
    inner = {"axisLabel": {"showMinLabel": False, "showMaxLabel": False}}
    return framed(
        f"Points: {y_title} by {x_title}",
        [_points(size=11, opacity=0.85), _diagonal(*ends)],
        scale(x_title, *ends, **inner),
        scale(y_title, *ends, **inner),
        dataset=_named(points),
    )


def beside(pairs: Sequence[tuple[str, float, float]], *, x_title: str, y_title: str) -> Figure:
    """Points of pairs of labels.

    Parameters
    ----------
    pairs : sequence of (name, x, y)
    """
    return framed(
        f"Points: {y_title} by {x_title}",
        [_points(size=6, opacity=0.6)],
        scale(x_title, scale=True),
        scale(y_title),
        dataset=_named(pairs),
    )


def _named(points: Sequence[tuple[str, float, float]]) -> Figure:
    """Columns of points with names."""
    told = [f"{name(title)}: {x:.3f}, {y:.3f}" for title, x, y in points]
    return source(x=[x for _, x, _ in points], y=[y for *_, y in points], **{TOLD: told})


def _points(*, size: float, opacity: float) -> Figure:
    return {
        "type": "scatter",
        "encode": {"x": "x", "y": "y"},
        "symbolSize": size,
        "itemStyle": {"opacity": opacity, "color": MAIN},
    }


def _diagonal(start: float, end: float) -> Figure:
    """A dotted line from corner to corner, of which nothing is told."""
    return {
        "type": "line",
        "data": [[start, start], [end, end]],
        "showSymbol": False,
        "silent": True,
        "color": PALE,
        "lineStyle": {"type": "dotted"},
        "tooltip": {"show": False},
    }
