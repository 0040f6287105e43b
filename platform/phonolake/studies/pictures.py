"""A study as a figure: each table a panel, our figures with their spread beside the published ones."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from phonolake.errors import PhonolakeError
from phonolake.files import replacing
from phonolake.studies.contract import Row

OURS, PAPER = "#4269d0", "#ff725c"
HEIGHT_OF_ROW, WIDTH = 0.28, 9.0  # inches


def draw(rows: Sequence[Row], title: str, path: Path) -> None:
    """Write a PNG.

    Parameters
    ----------
    rows : sequence of Row
        One at least; those of a table and metric share a panel.

    Raises
    ------
    PhonolakeError
        When the file cannot be written.
    """
    from matplotlib.figure import Figure

    panels = [list(group) for _, group in groupby(rows, lambda row: (row.part, row.table, row.metric))]
    heights = [1 + len(panel) for panel in panels]
    figure = Figure(figsize=(WIDTH, HEIGHT_OF_ROW * sum(heights) + 0.8 * len(panels)), layout="constrained")
    figure.suptitle(title, fontsize=10)
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axis, panel in zip(axes, panels, strict=True):
        _panel(axis, panel)
    axes[0].legend(fontsize=8, loc="best")
    try:
        with replacing(path) as temporary:
            figure.savefig(temporary, format="png", dpi=110)
    except OSError as error:
        raise PhonolakeError(f"the figure cannot be written to {path} ({error})") from error


def _panel(axis: Any, panel: Sequence[Row]) -> None:
    places = list(range(len(panel)))[::-1]
    ours = [row.ours for row in panel]
    spread = [row.std or 0.0 for row in panel]
    axis.errorbar(ours, places, xerr=spread, fmt="o", color=OURS, capsize=2, markersize=5, label="here")
    printed = [(row.paper, place) for row, place in zip(panel, places, strict=True) if row.paper is not None]
    if printed:
        x, y = zip(*printed, strict=True)
        axis.plot(x, y, "D", color=PAPER, markersize=5, fillstyle="none", label="as printed")
    axis.set_yticks(places, [row.row for row in panel], fontsize=8)
    axis.set_ylim(-0.6, len(panel) - 0.4)
    axis.tick_params(axis="x", labelsize=8)
    axis.set_xlabel(panel[0].metric, fontsize=8)
    axis.set_title(f"{panel[0].part}: {panel[0].table}", fontsize=9, loc="left")
    axis.grid(axis="x", alpha=0.3)
