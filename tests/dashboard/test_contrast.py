"""Colours stand out from light and dark pages (WCAG 2.2, 1.4.3 and 1.4.11)."""

import sys
from itertools import pairwise

import pytest

from phonolake import dashboard_launcher
from phonolake.dashboard_launcher import OPTIONS

sys.path.insert(0, str(dashboard_launcher.app().parent))
import charts
import colouring
import frame

# Streamlit's own colours of pages.
LIGHT, DARK = "#ffffff", "#171614"
LETTERS, MARKS = 4.5, 3.0


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb."""
    parts = (int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def ratio(*colours: str) -> float:
    """Contrast of two colours, from 1 to 21."""
    low, high = sorted(map(luminance, colours))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("theme", "page"), [("light", LIGHT), ("dark", DARK)])
def test_letters_and_marks_of_pages_stand_out(theme: str, page: str) -> None:
    chosen = dict(option.removeprefix("--theme.").split("=") for option in OPTIONS if "Color=" in option)
    primary = chosen[f"{theme}.primaryColor"]
    assert ratio(primary, "#ffffff") >= LETTERS, "letters of a button"
    assert ratio(primary, page) >= MARKS, "a mark on the page"
    assert ratio(chosen.get(f"{theme}.linkColor", primary), page) >= LETTERS, "a link"


@pytest.mark.parametrize("page", [LIGHT, DARK])
def test_colours_of_figures_stand_out(page: str) -> None:
    shades = colouring.by_number("n", charts.np.arange(9.0)).colors
    for colour in (charts.MAIN, charts.MARK, charts.PALE, *charts.POINTS, *shades):
        assert ratio(colour, page) >= MARKS, colour


def test_a_mark_on_bars_stands_out_by_its_rim() -> None:
    assert all(ratio(charts.RIM, colour) >= MARKS for colour in (charts.MARK, charts.MAIN, *charts.POINTS))


def test_scales_grow_lighter_or_darker_all_the_way() -> None:
    """So that they can be read without seeing colours apart."""
    shares, numbers = (list(map(luminance, scale)) for scale in (charts.SHARES, charts.NUMBERS))
    assert shares == sorted(shares, reverse=True)
    assert numbers == sorted(numbers)
    assert all(ratio(a, b) >= 1.2 for a, b in pairwise(charts.SHARES))
    assert ratio(charts.SIGNED[0], charts.SIGNED[2]) >= MARKS <= ratio(charts.SIGNED[-1], charts.SIGNED[2])


def test_letters_of_figures_stand_out_from_light_pages() -> None:
    """Those of dark pages are Streamlit's own."""
    assert ratio(frame.LETTERS_ON_LIGHT, LIGHT) >= LETTERS
    figure = frame.written_in(charts.bars(["a"], [1], x_title="tracks", unit="tracks"), frame.LETTERS_ON_LIGHT)
    for axis in ("xAxis", "yAxis"):
        assert figure[axis]["axisLabel"]["color"] == figure[axis]["nameTextStyle"]["color"] == frame.LETTERS_ON_LIGHT
