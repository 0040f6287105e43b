"""Explore: lists, maps and histograms choose tracks; they play, open, and Back goes to the one before."""

import re
from pathlib import Path

import numpy as np
import pytest
from tests.in_browser import settle, visit

from phonolake.analysis.collection import embedding_map
from phonolake.store import query
from phonolake.store.lake import Lake

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


@pytest.mark.slow
def test_tracks_inside_a_lasso_are_listed(tab, server: str, picture) -> None:
    # The mouse cannot leave the window.
    tab.set_viewport_size({"width": 1280, "height": 1200})
    visit(tab, f"{server}/explore?by=Map")
    settle(tab)
    box = tab.locator("canvas[aria-label^='Map of 30 tracks']").bounding_box()
    corners = [(0.995, 0.995), (0.005, 0.995), (0.005, 0.005), (0.995, 0.005), (0.995, 0.99)]
    (x, y), *rest = [(box["x"] + a * box["width"], box["y"] + b * box["height"]) for a, b in corners]
    tab.mouse.move(x, y)
    tab.mouse.down()
    for x, y in rest:
        tab.mouse.move(x, y, steps=8)
    tab.mouse.up()
    tab.get_by_text("30 chosen").wait_for()
    settle(tab)
    picture(tab, "map")
    lines = tab.locator("[data-testid=stDataFrame] .dvn-scroller")
    lines.click(position={"x": 18, "y": 35 + 17})
    tab.locator("audio").wait_for()
    tab.locator(".st-key-lassoed-open").get_by_role("button").click()
    tab.locator("h3", has_text="Song 0").wait_for()
    tab.get_by_text("30 chosen").wait_for()


@pytest.mark.slow
def test_a_click_on_bars_chooses_their_tracks(tab, server: str, picture) -> None:
    """Of a histogram, in the list and on the map; the address keeps it."""
    visit(tab, f"{server}/explore?dataset=toy")
    tab.get_by_text("More conditions").click()
    settle(tab)
    chart = tab.get_by_test_id("stEChartsChart").first
    chart.locator("canvas").wait_for()
    box = chart.bounding_box()
    # 15 bins of 2 s, one of them after the other.
    for n in (3, 5):
        tab.mouse.click(box["x"] + 8 + (box["width"] - 24) * (n + 0.5) / 15, box["y"] + box["height"] - 32)
        settle(tab)
    tab.wait_for_url(re.compile(r"ranges=duration%3A6%3A12"))
    tab.get_by_text("7 tracks", exact=True).wait_for()
    picture(tab, "explore histograms", full_page=True)
    tab.get_by_text("Map", exact=True).click()
    settle(tab)
    tab.get_by_text(re.compile("7 of 30 tracks")).wait_for()


@pytest.mark.slow
def test_a_point_of_the_map_plays_and_back_closes_its_track_again(tab, server: str, own_lake: Path, toy) -> None:
    """Each page and each track is one step of the browser's history; a copied address shows the same."""
    with query.connect(Lake.open(own_lake)) as connection:
        found = embedding_map.embedding_map(connection)
    # The first point is the one that lies farthest to the right: no other hides it.
    n = int(found.places[:, 0].argmax())
    x, y = ((found.places[n] - found.places.min(axis=0)) / np.ptp(found.places, axis=0)).tolist()
    # The mouse cannot leave the window.
    tab.set_viewport_size({"width": 1280, "height": 1200})
    visit(tab, server)
    tab.get_by_role("link", name="Explore").first.click()
    tab.get_by_role("radio", name="Map").click()
    canvas = tab.locator("canvas[aria-label^='Map of']")
    canvas.wait_for()
    settle(tab)
    box, gap = canvas.bounding_box(), 14
    at = box["x"] + gap + x * (box["width"] - 2 * gap), box["y"] + gap + (1 - y) * (box["height"] - 2 * gap)
    tab.mouse.move(*at)
    tab.locator(".told", has_text=re.compile(f"^{found.titles[n]}: {toy.CLASSES[n % 3]}$")).wait_for()
    long = "(told) => { told.textContent = 'x'.repeat(200); return told.getBoundingClientRect().right; }"
    assert tab.locator(".told").evaluate(long) <= box["x"] + box["width"], "sticks out of the map"
    tab.mouse.click(*at)
    tab.locator("h3", has_text=re.compile(f"^{found.titles[n]}$")).wait_for()
    settle(tab)
    playing = "[...document.querySelectorAll('audio')].some(sound => sound.autoplay)"
    assert tab.evaluate(playing)
    linked = tab.url
    assert "by=Map" in linked
    assert f"track={found.track_ids[n].replace(':', '%3A')}" in linked
    tab.go_back()
    tab.get_by_text("Click a point").first.wait_for()
    settle(tab)
    assert tab.locator("h3").count() == 0
    assert canvas.count() == 1
    tab.go_back()
    tab.locator("h1", has_text="Overview").wait_for()
    visit(tab, linked)
    tab.locator("h3", has_text=re.compile(f"^{found.titles[n]}$")).wait_for()
    assert canvas.count() == 1


@pytest.mark.slow
def test_back_goes_to_the_track_before(tab, server: str) -> None:
    visit(tab, f"{server}/explore?track=toy:004")
    tab.locator("[class*=st-key-open-]").first.get_by_role("button").click()
    tab.wait_for_url(lambda url: "toy%3A004" not in url and "toy:004" not in url)
    settle(tab)
    tab.go_back()
    tab.locator("h3", has_text="Song 4").wait_for()
    assert "explore" in tab.url


@pytest.mark.slow
def test_a_click_on_a_line_opens_the_track_and_names_it_in_the_address(tab, server: str, picture) -> None:
    visit(tab, f"{server}/explore")
    lines = tab.locator("[data-testid=stDataFrame] .dvn-scroller").first
    # The box before the third line: the table is drawn, and has no element for it.
    lines.click(position={"x": 18, "y": 35 * 3 + 17})
    tab.locator("[data-testid=stAudio]").wait_for()
    settle(tab)
    picture(tab, "track")
    assert tab.url == f"{server}/explore?track=toy%3A002"
    visit(tab, tab.url)
    assert tab.locator("h3").first.inner_text() == "Song 2"


@pytest.mark.slow
def test_a_neighbour_is_played_and_opened(tab, server: str) -> None:
    visit(tab, f"{server}/explore?track=toy:004")
    tab.locator("[class*=st-key-play-]").first.get_by_role("button").click()
    tab.locator("[data-testid=stAudio]").nth(1).wait_for()
    neighbour = tab.locator("[class*=st-key-open-]").first
    name = neighbour.inner_text()
    neighbour.get_by_role("button").click()
    tab.locator("h3", has_text=name).wait_for()
    settle(tab)
    assert tab.url != f"{server}/explore?track=toy:004"
    assert tab.locator("[data-testid=stException]").count() == 0


@pytest.mark.long
def test_sound_reaches_the_browser(tab, server: str) -> None:
    visit(tab, f"{server}/explore?track=toy:000")
    tab.locator("audio").wait_for()
    seconds = tab.evaluate(
        """async () => {
            const audio = document.querySelector('audio');
            if (!(audio.duration > 0)) await new Promise(done => audio.onloadedmetadata = done);
            return audio.duration;
        }"""
    )
    assert seconds == pytest.approx(1.0, abs=0.1)


@pytest.mark.slow
def test_a_click_on_the_spectrogram_goes_to_that_moment(tab, server: str) -> None:
    visit(tab, f"{server}/explore?track=toy:000")
    picture = tab.get_by_role("img", name=re.compile("Spectrogram"))
    picture.wait_for()
    box = picture.bounding_box()
    tab.evaluate("document.querySelector('.st-key-track-player audio').muted = true")
    tab.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 20)
    at = tab.evaluate("document.querySelector('.st-key-track-player audio').currentTime")
    assert at == pytest.approx(0.75, abs=0.2)
    assert tab.locator(".axis span", has_text="1,000 Hz").count() == 1


@pytest.mark.slow
def test_an_upload_finds_what_sounds_alike(tab, server: str, toy) -> None:
    visit(tab, f"{server}/explore?by=Recording")
    file = {"name": "<b>mine</b>.wav", "mimeType": "audio/wav", "buffer": toy.wav(5)}
    tab.locator("input[type=file]").set_input_files(file)
    tab.get_by_text("Most similar to <b>mine</b>.wav").wait_for()
    settle(tab)
    assert tab.locator("[data-testid=stDataFrame]").count() == 1
    tab.locator("input[type=file]").set_input_files(file | {"name": "x.wav", "buffer": b"RIFF no audio at all"})
    tab.get_by_text("The upload cannot be used").wait_for()
