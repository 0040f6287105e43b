"""Figures: what is told of each mark, against the numbers that they are drawn from.

Shape suffixes: L labels, K classes, N points.
"""

import base64
import io
import json
import math
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from phonolake import dashboard_launcher
from phonolake.features import contract

sys.path.insert(0, str(dashboard_launcher.app().parent))
import charts
import colouring
import interval_charts
import map_view
import sound_view
from frame import Figure

NAMES = ["<b>Odd</b>", "12", "{b} {@told}", "jazz", "jazz", "two\nlines", "x" * 60]


def columns(figure: Figure) -> dict[str, list]:
    return figure["dataset"]["source"].to_pydict()


def axis_names(axis: Figure) -> list[str]:
    return axis["data"]


def test_names_are_text_on_the_axis_and_in_what_is_told():
    figure = charts.bars(NAMES, [7000, 6, 5, 4, 3, 2, 1], x_title="tracks", unit="tracks")
    expected = ["<b>Odd</b>", "12", "{b} {@told}", "jazz", "jazz", "two lines", "x" * 39 + "…"]
    assert axis_names(figure["yAxis"]) == expected
    assert figure["yAxis"]["inverse"]
    assert columns(figure)["value"] == [7000, 6, 5, 4, 3, 2, 1]
    assert columns(figure)["told"][:2] == ["<b>Odd</b>: 7,000 tracks", "12: 6 tracks"]
    assert figure["aria"]["label"]["description"] == "Bars: tracks by label"
    # A template that names the column: what a name holds is never one.
    assert figure["tooltip"]["formatter"] == "{@told}"


@pytest.mark.parametrize(("n_bins", "least", "most"), [(1, 10, 100), (4, 30, 110), (12, 40, 180)])
def test_a_histogram_leaves_room_around_few_bins(n_bins, least, most):
    edges = [(50.0 + 10 * n, 60.0 + 10 * n) for n in range(n_bins)]
    figure = charts.histogram(edges, list(range(1, n_bins + 1)), x_title="duration (s)", y_title="tracks")
    assert (figure["xAxis"]["min"], figure["xAxis"]["max"]) == (least, most)
    drawn = {middle: n for middle, n in zip(columns(figure)["middle"], columns(figure)["n"], strict=True) if n}
    assert drawn == {55.0 + 10 * n: n + 1 for n in range(n_bins)}


@pytest.mark.parametrize("signed", [False, True])
def test_a_matrix_shows_every_pair_but_the_diagonal(signed):
    values_LL = np.random.default_rng(0).normal(size=(7, 7)) if signed else np.random.default_rng(0).random((7, 7))
    values_LL[2, 3] = np.nan
    figure = charts.matrix(NAMES, values_LL, x_title="j", y_title="i", value_title="C", signed=signed)
    found = columns(figure)
    again_LL = np.full((7, 7), np.nan)
    again_LL[found["y"], found["x"]] = found["value"]
    shown_LL = np.where(np.eye(7, dtype=bool), np.nan, values_LL)
    np.testing.assert_array_equal(again_LL, shown_LL)
    largest = np.nanmax(np.abs(shown_LL))
    assert (figure["visualMap"]["min"], figure["visualMap"]["max"]) == (-largest if signed else 0, largest)
    assert found["told"][0] == f"<b>Odd</b> → 12: {values_LL[0, 1]:.3f}"


def test_a_matrix_without_a_number_is_still_a_figure():
    figure = charts.matrix(["a"], np.ones((1, 1)), x_title="j", y_title="i", value_title="C")
    assert columns(figure)["value"] == []
    assert figure["visualMap"]["max"] > 0


def test_scores_stand_by_metric_with_a_mark_where_chance_is():
    rows = [("accuracy", "k2c2", 0.5, 0.1), ("accuracy", "elm", 0.4, None), ("f1", "k2c2", 0.3, 0.2)]
    figure = charts.scores(rows)
    lines = [line["value"] for line in figure["yAxis"]["data"]]
    assert lines == ["accuracy", "k2c2", "elm", "f1", "k2c2"]
    bar, chances = figure["series"]
    assert [item["value"] for item in bar["data"]] == [None, 0.5, 0.4, None, 0.3]
    assert [item["label"]["formatter"] for item in bar["data"] if "label" in item] == ["0.500", "0.400", "0.300"]
    colors = [item["itemStyle"]["color"] for item in bar["data"] if "itemStyle" in item]
    assert colors[0] == colors[2] != colors[1]
    assert chances["data"] == [[0.1, 1], [0.2, 4]]


def test_what_is_told_of_a_mark_stays_within_its_figure():
    """Whatever it says: a phone shows nothing beyond the figure."""
    curve = np.linspace(0, 1, 5)
    figures = [
        charts.bars(NAMES, [1] * len(NAMES), x_title="tracks", unit="tracks"),
        charts.filter_histogram([(0.0, 1.0, 3)], 0, 1, title="year"),
        charts.scores([("accuracy", "k2c2", 0.5, 0.1)]),
        charts.curves([("a", [0, 1], [1, 2])], x_title="epoch", y_title="loss"),
        charts.roc(curve, curve),
    ]
    assert [figure["tooltip"]["confine"] for figure in figures] == [True] * len(figures)
    assert len({str(figure["tooltip"].get("formatter")) for figure in figures}) > 2


def test_points_on_a_map_lie_in_the_unit_square_with_their_colours():
    places_N2 = np.arange(14.0).reshape(7, 2)
    colours = colouring.by_group(pa.array(["a", "b", "a", None, "a", "b", "a"]), lacking="no label")
    figure = map_view.figure(places_N2, NAMES, colours)
    found_N2 = np.frombuffer(base64.b64decode(figure["places"]), "<f4").reshape(-1, 2)
    np.testing.assert_allclose(found_N2, (places_N2 - places_N2.min(axis=0)) / 12, atol=1e-6)
    assert list(base64.b64decode(figure["groups"])) == [0, 1, 0, 3, 0, 1, 0]
    assert figure["titles"] == NAMES
    which = np.frombuffer(base64.b64decode(figure["which"]), "<i4")
    assert [figure["said"][k] for k in which] == ["a", "b", "a", "no label", "a", "b", "a"]


def test_confusions_are_counted_in_the_cells_and_coloured_by_row():
    n_KK = np.array([[3, 1], [0, 0]])
    found = columns(charts.counts(["a", "b"], n_KK))
    cells = list(zip(found["y"], found["x"], found["text"], found["value"], strict=True))
    assert cells == [(0, 0, "3", 0.75), (0, 1, "1", 0.25), (1, 0, "", 0.0), (1, 1, "", 0.0)]
    assert found["told"][1] == "a, called b: 1 (25.0%)"


def test_of_many_classes_only_cells_that_hold_something_are_drawn():
    n_KK = np.zeros((527, 527), int)
    n_KK[[0, 5, 526], [3, 5, 0]] = 2, 7, 1
    figure = charts.counts([f"class {k}" for k in range(527)], n_KK)
    found = columns(figure)
    assert list(zip(found["y"], found["x"], found["text"], strict=True)) == [(0, 3, "2"), (5, 5, "7"), (526, 0, "1")]
    assert figure["yAxis"]["axisLabel"]["interval"] == "auto"


@given(st.lists(st.none() | st.floats() | st.integers(), min_size=1, max_size=20))
def test_any_numbers_can_be_plotted_and_those_that_are_none_leave_a_gap(values):
    for kind in charts.PLOTS:
        figure = charts.plot(kind, values, values, x_title="x", y_title="y")
        expected = [float(v) if v is not None and math.isfinite(v) else None for v in values]
        assert columns(figure)["y"] == expected
        json.dumps({key: value for key, value in figure.items() if key != "dataset"}, allow_nan=False)


def test_the_diagonal_goes_from_corner_to_corner():
    figure = charts.against_diagonal([("one", 0.6, 0.8), ("two", 0.7, 0.5)], x_title="x", y_title="y")
    (least, same), (most, as_well) = figure["series"][1]["data"]
    assert least == same < 0.5 < 0.8 < most == as_well
    assert {figure[axis][end] for axis in ("xAxis", "yAxis") for end in ("min", "max")} == {least, most}


def test_curves_may_have_gaps():
    figure = charts.curves([("train", [1, 2], [0.5, 0.25]), ("valid", [1, 2], [0.75, None])], x_title="", y_title="")
    assert [series["data"] for series in figure["series"]] == [[[1, 0.5], [2, 0.25]], [[1, 0.75], [2, None]]]


def test_shares_stand_with_their_intervals():
    rows = [(0.1, 0.05, 0.2), (0.3, math.nan, math.nan)]
    figure = interval_charts.intervals(["a", "b"], [("false", rows), ("missing", rows)], x_title="share")
    bars = [series for series in figure["series"] if series["type"] == "bar"]
    assert [series["name"] for series in bars] == ["false", "missing"]
    assert figure["dataset"][0]["source"]["told"].to_pylist() == ["a, false: 10.0% (5.0% to 20.0%)", "b, false: 30.0%"]
    ends = [[x for x, _ in series["data"]] for series in figure["series"] if series["type"] == "line"]
    # Where an interval is not known, its line is a point.
    assert ends == [[0.05, 0.2], [0.3, 0.3]] * 2


# -- sound -------------------------------------------------------------------------------------------------------------

MEL = contract.spectrogram("mel-96-12k")


def picture_of(shown: dict) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(shown["address"].removeprefix("data:image/png;base64,"))))


def test_a_spectrogram_is_a_picture_with_low_bands_at_the_bottom():
    decibels_FT = np.full((4, 6), -80.0)
    decibels_FT[0, 2] = 0.0
    decibels_FT[3, 5] = -40.0
    shown = sound_view.spectrogram(decibels_FT, MEL)
    pixels = np.asarray(picture_of(shown).convert("RGB"))
    assert pixels.shape == (4, 6, 3)
    # The darkest and the lightest of Magma.
    np.testing.assert_allclose(pixels[3, 2], (252, 253, 191), atol=1)
    np.testing.assert_allclose(pixels[0, 0], (0, 0, 4), atol=1)
    assert (0, 0, 4) < tuple(pixels[0, 5]) < (252, 253, 191)
    assert shown["about"] == "Spectrogram mel-96-12k, -80 to 0 dB"


def test_of_frames_that_share_a_pixel_the_loudest_is_shown():
    decibels_FT = np.zeros((2, 5_000))
    decibels_FT[1, 4_999] = 9.0
    image = picture_of(sound_view.spectrogram(decibels_FT, MEL))
    assert image.size == (1_000, 2)
    assert np.argwhere(np.asarray(image.convert("L")) > 128).tolist() == [[0, 999]]


def test_a_silent_spectrogram_is_a_picture():
    assert picture_of(sound_view.spectrogram(np.zeros((3, 1)), MEL)).size == (1, 3)


def test_hertz_stand_beside_the_band_that_a_tone_is_in():
    time = np.arange(12_000) / 12_000
    for text, place in sound_view.hertz(MEL):
        tone = np.sin(2 * np.pi * int(text.removesuffix(" Hz").replace(",", "")) * time).astype(np.float32)
        loudest = MEL.of(tone).mean(axis=1).argmax()
        assert 1 - place == pytest.approx((loudest + 0.5) / 96, abs=1.5 / 96), text


def test_labels_over_time_lie_where_their_pieces_do():
    """The first label on top; where two pieces overlap the mean of both."""
    p_SK = np.array([[1.0, 0.0], [0.0, 1.0]])
    shown = sound_view.labels(["a", "b"], [0.0, 5.0], 10.0, 20.0, p_SK)
    grey = np.asarray(picture_of(shown).convert("L")).astype(int)
    assert grey.shape == (2, sound_view.MOST_COLUMNS)
    first, both, second, nothing = (grey[:, int(s / 20 * grey.shape[1])] for s in (2, 7, 12, 18))
    # Dark is probable.
    assert first[0] < both[0] < second[0] == nothing[0] == first[1]
    assert second[1] == first[0] < both[1] < nothing[1]
    assert shown["ticks"] == [("a", 0.25), ("b", 0.75)]
