"""The address in a browser: Back and Forward, a copied link, a page without controls."""

import re

from playwright.sync_api import Browser, Page, expect

from rmtviz.words import LANGUAGES, say, speaking
from tests.browser.steps import SPECTRUM, button, choose, cut, opened, pick


def test_back_and_forward_take_one_choice_each(page: Page):
    opened(page)
    cut(page)
    layer = page.get_by_role("combobox", name=say("choice.layer"))
    layer.click()
    page.get_by_role("option").nth(1).click()
    expect(page).to_have_url(re.compile(r"/explore\?layer=2$"))
    pick(page, "chart.scale", "chart.scale_eigen")
    expect(page).to_have_url(re.compile("layer=2&scale=eigen$"))
    page.wait_for_timeout(700)
    page.go_back()
    expect(page.get_by_text(say("chart.axis_singular"))).to_be_visible()
    expect(page).to_have_url(re.compile(r"/explore\?layer=2$"))
    page.wait_for_timeout(700)
    page.go_back()
    expect(layer).to_have_value(re.compile("^0 "))
    page.wait_for_timeout(700)
    page.go_forward()
    expect(layer).to_have_value(re.compile("^2 "))


def test_back_takes_back_a_cut_for_good(page: Page):
    opened(page)
    grip = cut(page)
    before = grip.get_attribute("aria-valuenow")
    grip.focus()
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile("rank="))
    page.wait_for_timeout(700)
    page.go_back()
    expect(grip).to_have_attribute("aria-valuenow", before)
    choose(page, "explore.view_learnt")
    choose(page, "explore.view_weights")
    expect(grip).to_have_attribute("aria-valuenow", before)


def test_back_takes_back_a_knob_of_a_lesson_for_good(page: Page):
    page.goto("/learn?step=noise")
    knob = page.get_by_role("slider", name=say("learn.noise.knob.m"))
    expect(knob).to_be_visible()
    before = knob.input_value()
    knob.focus()
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile("&m="))
    page.wait_for_timeout(700)
    page.go_back()
    expect(knob).to_have_value(before)
    page.get_by_role("radio").first.check(force=True)
    expect(page).to_have_url(re.compile(r"\?step=noise$"))
    expect(knob).to_have_value(before)


def test_a_copied_link_opens_the_same_view_for_others(page: Page, browser: Browser, server):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened(page, "/explore?layer=2&picture=scree&method=kritchman-nadler")
    button(page, "app.copy_link").click()
    expect(button(page, "app.copy_done")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == page.url
    other = browser.new_context(reduced_motion="reduce").new_page()
    try:
        other.goto(link)
        expect(other.get_by_role("combobox", name=say("choice.layer"))).to_have_value(
            re.compile("^2 ")
        )
        method = other.get_by_role("combobox", name=say("choice.method"))
        expect(method).to_have_value(say("choice.kritchman-nadler.title"))
    finally:
        other.context.close()


def test_a_page_without_controls_shows_the_picture_alone(page: Page):
    opened(page, "/explore?layer=2&controls=none")
    expect(page.get_by_role("radiogroup", name=say("app.model"))).to_have_count(0)
    expect(page.get_by_role("combobox")).to_have_count(0)
    expect(page.locator(SPECTRUM).first).to_be_visible()


def test_a_change_of_language_keeps_every_choice(page: Page):
    """Browsers send labels: that of the last language must not be taken for a value."""
    opened(page, "/prune")
    values = {"activation": say("prune.activation.relu"), "inputs": say("prune.inputs.unit")}
    page.get_by_role("button", name=say("prune.runs", **values)).click()
    pick(page, "prune.run_inputs", "prune.inputs.raw")
    for code in ("ja", "en", "ja"):
        page.keyboard.press("Escape")
        page.get_by_role("radio", name=LANGUAGES[code], exact=True).click()
        with speaking(code):
            values = {"activation": say("prune.activation.relu"), "inputs": say("prune.inputs.raw")}
            expect(page.get_by_role("heading", name=say("prune.title"))).to_be_visible()
            expect(page.get_by_role("button", name=say("prune.runs", **values))).to_be_visible()
