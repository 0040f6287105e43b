"""Every page, in light and dark, on a screen and a phone."""

import itertools
import re

import numpy as np
import pytest
from tests.in_browser import PAGES, settle, visit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


@pytest.mark.parametrize(("path", "heading"), PAGES.items())
@pytest.mark.long
def test_every_page_opens_by_its_address(tab, server: str, picture, path: str, heading: str) -> None:
    visit(tab, f"{server}/{path}")
    picture(tab, heading, full_page=True)
    assert tab.locator("h1").inner_text() == heading
    assert tab.locator("[data-testid=stException]").count() == 0
    assert tab.locator("[data-testid=stAlertContentError]").count() == 0


def test_markup_in_names_is_shown_as_text(tab, server: str, toy) -> None:
    visit(tab, f"{server}/explore?track={toy.track_id(1)}")
    assert tab.locator("h3").first.inner_text() == toy.HOSTILE
    assert tab.locator("h3 b, h3 img, h3 script").count() == 0
    visit(tab, f"{server}/cooccurrence")
    box = tab.locator("[data-testid=stEChartsChart] canvas").first.bounding_box()
    told = tab.locator("div[style*='pointer-events: none']", has_text="<b>Odd</b> →")
    for x, y in itertools.product(np.linspace(0.2, 0.8, 13), np.linspace(0.05, 0.8, 16)):
        tab.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        if told.count():
            break
    assert told.count() == 1
    assert told.locator("b").count() == 0


# Beyond the right edge of the screen, and in nothing that scrolls by itself.
OVERHANGING = """() => {
    const main = document.querySelector("[data-testid=stMain]");
    const scrolls = (part) => {
        for (let p = part.parentElement; p !== main; p = p.parentElement)
            if (getComputedStyle(p).overflowX !== "visible") return true;
        return false;
    };
    return [...main.querySelectorAll("*")]
        .filter((part) => part.getBoundingClientRect().right > innerWidth + 1 && !scrolls(part))
        .map((part) => part.outerHTML.slice(0, 200));
}"""
# Letters whose contrast with what lies below them is less than WCAG 2.2, 1.4.3 asks for.
FAINT = r"""() => {
    const parse = (colour) => { const c = colour.match(/[\d.]+/g).map(Number); return c.length < 4 ? [...c, 1] : c; };
    const over = (a, b) => a.slice(0, 3).map((x, n) => x * a[3] + b[n] * (1 - a[3]));
    const light = (c) => {
        const [r, g, b] = c.map((x) => ((x /= 255) <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4));
        return .2126 * r + .7152 * g + .0722 * b;
    };
    const texts = [];
    const gather = (root) => {
        const walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT);
        while (walk.nextNode()) {
            if (walk.currentNode.nodeType === 3) texts.push(walk.currentNode);
            else if (walk.currentNode.shadowRoot) gather(walk.currentNode.shadowRoot);
        }
    };
    gather(document.body);
    return texts.flatMap((node) => {
        const text = node.textContent.trim(), part = node.parentElement, style = getComputedStyle(part);
        const range = document.createRange();
        range.selectNodeContents(node);
        const box = range.getBoundingClientRect();
        // Numbers beside a slider lie on the page, and not on the knob that they belong to.
        const aside = part.closest("style, script, [disabled], [aria-disabled=true], [data-testid=stSliderThumbValue]");
        if (!text || aside || box.width < 2 || style.visibility === "hidden") return [];
        const layers = [];
        let opacity = 1;
        for (let p = part; p; p = p.parentElement || p.getRootNode().host) {
            opacity *= getComputedStyle(p).opacity;
            layers.push(parse(getComputedStyle(p).backgroundColor));
        }
        const below = layers.reduceRight((page, layer) => over(layer, page), [255, 255, 255]);
        const [r, g, b, a] = parse(style.color), shown = over([r, g, b, a * opacity], below);
        const [low, high] = [light(below), light(shown)].sort((a, b) => a - b);
        const large = parseFloat(style.fontSize) >= 24 || part.dataset.testid === "stIconMaterial";
        return opacity && (high + .05) / (low + .05) < (large ? 3 : 4.5) ? [`${text}: ${shown} on ${below}`] : [];
    });
}"""
# Parts of pages that do not show at once.
PARTS = (
    *("explore?track=toy:001", "explore?by=Map&track=toy:004", "explore?by=Map&colour=year", "label_noise?rater=anna"),
    *(
        "label_noise?show=Noise+rates",
        "reannotate?rater=anna",
        "runs?show=Confusion",
        "runs?show=ROC",
        "sql?sql=FROM+tracks",
    ),
)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_pages_fit_a_phone_and_the_dark(browser, server: str, picture, scheme: str, width: int) -> None:
    """Nothing is wider than the screen, letters can be read, and the head of the page names the lake."""
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    for path in (*PAGES, *PARTS):
        visit(page, f"{server}/{path}")
        heading = PAGES[path.split("?")[0]]
        picture(page, f"{(path or 'overview').replace('?', ' ')}-{scheme}-{width}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(OVERHANGING) == [], path
        assert page.evaluate(FAINT) == [], path
        assert page.title() == f"{heading} · lake · Phonolake"
    dark = page.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", dark)[:3])) < 150) == (scheme == "dark")
    context.close()


@pytest.mark.slow
def test_the_theme_follows_the_system_while_a_page_is_open(tab, server: str) -> None:
    visit(tab, f"{server}/cooccurrence")
    page = "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
    light = tab.evaluate(page)
    tab.emulate_media(color_scheme="dark")
    tab.wait_for_function(f"before => {page} !== before", arg=light)
    tab.emulate_media(color_scheme="light")
    tab.wait_for_function(f"before => {page} === before", arg=light)


@pytest.mark.slow
def test_a_phone_is_usable(browser, server: str, picture) -> None:
    """By touch: the navigation opens, a cell of a heatmap tells its number, cards and lists lie below each other."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    page = context.new_page()
    visit(page, server)
    cards = [card.bounding_box() for card in page.get_by_test_id("stMetric").all()]
    assert all(card["x"] >= 0 and card["x"] + card["width"] <= 390 for card in cards)
    page.get_by_test_id("stExpandSidebarButton").tap()
    picture(page, "phone navigation")
    page.get_by_role("link", name="Co-occurrence").tap()
    page.locator("h1", has_text="Co-occurrence").wait_for()
    settle(page)
    chart = page.locator("[data-testid=stEChartsChart] canvas").first
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    told = page.locator("div[style*='pointer-events: none']", has_text="→")
    for x, y in itertools.product(np.linspace(0.2, 0.8, 9), np.linspace(0.1, 0.8, 9)):
        page.touchscreen.tap(box["x"] + x * box["width"], box["y"] + y * box["height"])
        if told.count():
            break
    picture(page, "phone heatmap")
    where = told.bounding_box()
    assert 0 <= where["x"] <= where["x"] + where["width"] <= 390
    context.close()


@pytest.mark.slow
def test_a_link_brings_the_state_of_the_page(tab, server: str) -> None:
    visit(tab, f"{server}/explore?label=Rock&where=year%20%3E%202010&text=song")
    assert tab.get_by_role("textbox", name="Condition").input_value() == "year > 2010"
    tab.get_by_text("6 tracks", exact=True).wait_for()
    visit(tab, f"{server}/runs?show=Confusion")
    tab.get_by_label("Called").wait_for()
    tab.get_by_role("radio", name="ROC").click()
    tab.wait_for_url(re.compile("show=ROC"))


@pytest.mark.slow
def test_a_number_is_followed_to_its_run_and_shards(tab, server: str) -> None:
    visit(tab, f"{server}/runs")
    tab.get_by_text("Where from").click()
    tab.get_by_text("Versions of the tables that it read").wait_for()
    settle(tab)
    assert tab.locator("[data-testid=stException]").count() == 0


@pytest.mark.slow
def test_a_click_on_a_cell_of_confusions_lists_its_tracks(tab, server: str) -> None:
    visit(tab, f"{server}/runs?show=Confusion")
    canvas = tab.locator("[data-testid=stEChartsChart] canvas").first
    canvas.wait_for()
    tab.wait_for_timeout(500)
    box = canvas.bounding_box()
    for x, y, said in ((0.5, 0.25, "called=Folk"), (0.7, 0.5, "given=Rock")):
        tab.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
        tab.wait_for_function("said => location.search.includes(said)", arg=said)
        settle(tab)
    assert tab.locator("[data-testid=stAlertContentWarning]").count() == 0
    lines = tab.locator("[data-testid=stDataFrame] .dvn-scroller").last
    lines.click(position={"x": 18, "y": 35 + 17})
    tab.locator("audio").wait_for()
