"""Shares with their intervals."""

from collections.abc import Sequence

import charts
from frame import TOLD, Figure, downwards, framed, name, scale, source


def intervals(
    labels: Sequence[str], groups: Sequence[tuple[str, Sequence[tuple[float, float, float]]]], *, x_title: str
) -> Figure:
    """Horizontal bars of shares with their intervals, one for each label and group, the first on top.

    Parameters
    ----------
    groups : sequence of (name, rows)
        Rows are (value, low, high), one for each label; low and high may be NaN.
    """
    series: list[Figure] = []
    datasets: list[Figure] = []
    for k, (group, rows) in enumerate(groups):
        told = [
            f"{name(label)}, {group}: {value:.1%}" + (f" ({low:.1%} to {high:.1%})" if low == low else "")
            for label, (value, low, high) in zip(labels, rows, strict=True)
        ]
        place = [n + (k - (len(groups) - 1) / 2) * 0.36 for n in range(len(labels))]
        low_high = [[value if end != end else end for end in (low, high)] for value, low, high in rows]
        datasets.append(source(place=range(len(labels)), value=[value for value, *_ in rows], **{TOLD: told}))
        series.append(
            {"type": "bar", "name": group, "datasetIndex": k, "encode": {"x": "value", "y": "place"}}
            | {"color": charts.POINTS[k], "barWidth": f"{70 // len(groups)}%"}
        )
        # A line along each interval, on a separate numeric axis.
        series += [
            {"type": "line", "yAxisIndex": 1, "data": [[low, at], [high, at]], "symbol": "rect", "symbolSize": [2, 8]}
            | {
                "color": charts.MARK,
                "lineStyle": {"width": 1.5, "color": charts.MARK, "shadowColor": charts.RIM, "shadowBlur": 2},
                "silent": True,
                "tooltip": {"show": False},
            }
            for (low, high), at in zip(low_high, place, strict=True)
        ]
    ends = {"show": False, "inverse": True}
    return framed(
        f"Bars with intervals: {x_title} by label",
        series,
        scale(x_title, 0, None, axisLabel={"formatter": "{value}"}),
        {},
        top=32,
        dataset=datasets,
        legend={"top": 0, "left": 0, "data": [group for group, _ in groups]},
    ) | {"yAxis": [downwards(labels), scale(None, -0.5, len(labels) - 0.5, **ends)]}
