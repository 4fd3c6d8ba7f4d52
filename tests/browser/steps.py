"""The steps of which journeys are made: open, go, choose, drag, upload, start a run."""

import re

from playwright.sync_api import Locator, Page, TimeoutError, expect

from rmtviz.words import catalogue, say

CHART = ".js-plotly-plot .main-svg"
SPECTRUM = ".stage svg"
LONG = 60_000
expect.set_options(timeout=20_000)


def opened(page: Page, address: str = "/explore") -> Page:
    page.goto(address)
    shown = CHART if address.startswith("/prune") else SPECTRUM
    expect(page.locator(shown).first).to_be_visible()
    return page


def go(page: Page, name: str) -> None:
    page.get_by_role("link", name=say(f"{name}.nav"), exact=True).click()
    expect(page.get_by_role("heading", name=say(f"{name}.title"))).to_be_visible()


def button(page: Page, key: str, **values: object) -> Locator:
    return page.get_by_role("button", name=say(key, **values), exact=True)


def choose(page: Page, key: str) -> None:
    page.get_by_role("radio", name=say(key), exact=True).click()


def rule(page: Page, key: str) -> Locator:
    """Open the choice of a rule; return the one that is to be clicked."""
    page.get_by_role("combobox", name=say("choice.rule")).click()
    return page.get_by_role("option", name=say(f"choice.{key}.title"), exact=True)


def pick(page: Page, key: str, option: str) -> None:
    """Pick from a list that opens, by the keys of its label and of the option."""
    wanted = page.get_by_role("option", name=say(option), exact=True)
    opener = page.get_by_role("combobox", name=say(key))
    opener.click()
    try:
        wanted.click(timeout=3_000)
    except TimeoutError:  # the accuracy came meanwhile, and redrawing the page shuts the list
        opener.click()
        wanted.click()


def cut(page: Page) -> Locator:
    """The cut on the spectrum, once the accuracy at every rank is known."""
    grip = page.get_by_role("slider", name=say("chart.live.cut"), exact=True)
    expect(grip).to_have_attribute("aria-valuetext", re.compile("Accuracy"))
    page.locator(SPECTRUM).scroll_into_view_if_needed()
    return grip


def headline(page: Page) -> Locator:
    return page.get_by_role("heading", level=3)


def opening(page: Page, key: str) -> Locator:
    """What begins like the sentence of this key, up to its first field."""
    return page.get_by_text(catalogue()[key].split("{")[0]).first


def upload(page: Page, name: str, content: bytes) -> None:
    button(page, "app.open").click()
    file = {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    page.locator("input[type=file]").set_input_files(file)


def short_run(page: Page, epochs: int) -> None:
    """Start a run on 1,000 images from the Train page."""
    images, passes = (slider(page, key) for key in ("samples", "epochs"))
    images.press("Home")
    expect(page).to_have_url(re.compile("images=500"))  # the page has been drawn anew
    images.press("ArrowRight")
    expect(page).to_have_url(re.compile("images=1000"))
    passes.press("Home")
    expect(passes).to_have_value("1")
    for _ in range(epochs - 1):
        passes.press("ArrowRight")
    expect(passes).to_have_value(str(epochs))
    button(page, "train.start").click()


def long_run(page: Page) -> None:
    """Start a run from the Train page that goes on until it is stopped."""
    images, passes = (slider(page, key) for key in ("samples", "epochs"))
    images.press("End")
    expect(images).to_have_value("7")
    expect(page).to_have_url(re.compile("images=55000"))
    passes.press("End")
    expect(passes).to_have_value("60")
    button(page, "train.start").click()


def slider(page: Page, key: str) -> Locator:
    return page.get_by_role("slider", name=say(f"train.{key}")).first
