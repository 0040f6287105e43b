"""What figures are made of: a frame over two axes, columns of data, scales of colour.

A figure is an option object of Apache ECharts. What is told about a mark when the mouse is on it stands ready in a
column of its data, `TOLD`: names of labels come from the collection, and are text there as on the axes, never markup,
a number or a template. Labels are placed by number, so that two that look alike stay two.
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import streamlit as st

Figure = dict[str, Any]

TOLD = "told"
LONGEST_NAME, MOST_NAMES = 40, 60
# Pixels beside a heatmap, for its scale of colours; on what is narrower it lies below.
HEATMAP_RIGHT, HEATMAP_BELOW, NARROW = 120, 40, 480
# Of Streamlit's letters of figures those on light pages are too faint.
LETTERS_ON_LIGHT = "#57534e"


def show(figure: Figure, *, height: int, width: int | None = None, key: str | None = None) -> None:
    """Put a figure on the page, as wide as its place unless `width` is given (pixels)."""
    st.echarts_chart(lettered(figure), height=height, width=width or "stretch", key=key)


def lettered(figure: Figure) -> Figure:
    """A figure with letters that stand out from the page that is shown."""
    return figure if st.context.theme.type == "dark" else written_in(figure, LETTERS_ON_LIGHT)


def written_in(figure: Figure, colour: str) -> Figure:
    """A figure with letters of a colour."""

    def axis(its: Figure) -> Figure:
        return its | {"axisLabel": {"color": colour} | its.get("axisLabel", {}), "nameTextStyle": {"color": colour}}

    axes = {
        name: [axis(its) for its in figure[name]] if isinstance(figure[name], list) else axis(figure[name])
        for name in ("xAxis", "yAxis")
    }
    beside = {
        name: figure[name] | {"textStyle": {"color": colour}} for name in ("legend", "visualMap") if name in figure
    }
    return figure | axes | beside


def name(label: str) -> str:
    """A label as figures show it: on one line, cut where it is long."""
    cut = label if len(label) <= LONGEST_NAME else label[: LONGEST_NAME - 1] + "…"
    return " ".join(cut.split())


def framed(
    what: str,
    series: Sequence[Figure],
    x: Figure,
    y: Figure,
    *,
    top: int = 12,
    right: int = 16,
    tooltip: Figure | None = None,
    **more: Any,
) -> Figure:
    """A figure over two axes, of which readers of screens are told `what` it is; of a mark, its text in `TOLD` or what
    `tooltip` says, always within the figure: a phone shows nothing beyond it."""
    return {
        "animation": False,
        "aria": {"enabled": True, "label": {"description": what}},
        "grid": {"left": 8, "right": right, "top": top, "bottom": 8, "outerBoundsMode": "same"},
        "tooltip": {"confine": True, **(tooltip or {"formatter": f"{{@{TOLD}}}"})},
        "xAxis": {"nameLocation": "middle", **x},
        "yAxis": {"nameLocation": "middle", **y},
        "series": list(series),
        **more,
    }


def places(names: Sequence[str], *, title: str | None = None, **more: Any) -> Figure:
    """An axis with a place for each name."""
    return {
        "type": "category",
        "data": [name(its) for its in names],
        "name": title,
        "axisTick": {"show": False},
        "splitLine": {"show": False},
        **more,
    }


def across(names: Sequence[str], *, title: str) -> Figure:
    """An axis from left to right with a place for each name; many stand upright."""
    return places(names, title=title, axisLabel=_written(names) | {"rotate": 45 if len(names) <= 25 else 90})


def downwards(names: Sequence[str], **more: Any) -> Figure:
    """An upright axis with a place for each name, the first on top."""
    return places(names, inverse=True, axisLabel=_written(names), **more)


def _written(names: Sequence[str]) -> Figure:
    """Every name, unless there are so many that they would cover each other."""
    return {"interval": 0 if len(names) <= MOST_NAMES else "auto"}


def scale(title: str | None, least: float | None = None, most: float | None = None, **more: Any) -> Figure:
    """An axis of numbers."""
    return {"type": "value", "name": title, "min": least, "max": most, **more}


def source(**columns: Sequence[Any]) -> Figure:
    """A dataset of columns."""
    return {"source": pa.table({title: pa.array(values) for title, values in columns.items()})}


def colours(title: str, colors: Sequence[str], least: float, most: float, **more: Any) -> Figure:
    """The scale of colours beside a heatmap, whose column `value` it reads."""
    return {
        "type": "continuous",
        "dimension": "value",
        "min": least,
        "max": most,
        "inRange": {"color": list(colors)},
        "text": [f"{title}: {most:.2g}", f"{least:.2g}"],
        "precision": 2,
        "right": 0,
        "top": "middle",
        "itemWidth": 12,
        "itemHeight": 120,
        **more,
    }


def heatmap(what: str, data: Figure, x: Figure, y: Figure, visual: Figure, **series: Any) -> Figure:
    """Cells in colour; columns `x` and `y` of the data are places on the axes."""
    cells = {
        "type": "heatmap",
        "encode": {"x": "x", "y": "y", "value": "value"},
        "itemStyle": {"borderColor": "#fff", "borderWidth": 1},
        # Everything at once: in parts, a large matrix takes seconds to appear.
        "progressive": 0,
        **series,
    }
    below = {"orient": "horizontal", "left": "center", "right": None, "top": None, "bottom": 0}
    narrow = {
        "grid": {"right": 8, "bottom": HEATMAP_BELOW},
        "visualMap": below,
        "xAxis": {"axisLabel": {"rotate": 90}},
    }
    media = [{"query": {"maxWidth": NARROW}, "option": narrow}]
    return framed(what, [cells], x, y, right=HEATMAP_RIGHT, dataset=data, visualMap=visual, media=media)
