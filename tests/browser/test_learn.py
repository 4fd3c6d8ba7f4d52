"""A student's way through Learn: guesses, drags, keys, and a teacher's link."""

import json
import re
import time

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from rmtviz.lessons import LESSONS
from rmtviz.words import say

expect.set_options(timeout=20_000)


def opened(page: Page, query: str) -> Page:
    page.goto(f"/learn?{query}")
    step = (re.search(r"step=([\w-]+)", query) or ["", "singular"])[1]
    expect(picture(page, step)).to_be_visible()
    return page


def picture(page: Page, step: str) -> Locator:
    begins = re.escape(say(f"learn.{step}.alt", test_samples=10_000))
    return page.get_by_role("img", name=re.compile(f"^{begins}$"))


def knob(page: Page, step: str, name: str) -> Locator:
    return page.get_by_role("slider", name=say(f"learn.{step}.knob.{name}"))


def button(page: Page, key: str) -> Locator:
    return page.get_by_role("button", name=say(key), exact=True)


def fact(page: Page, label: str) -> str:
    pair = page.locator("dl div").filter(has=page.get_by_text(label, exact=True))
    return pair.locator("dd").inner_text()


def drag_handle(page: Page, handle: Locator, dx: float, dy: float = 0.0) -> None:
    """Take a handle, move it in ten steps, and let it go."""
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx, y + dy, steps=10)


def test_a_student_walks_through_all_steps(page: Page):
    opened(page, "")
    names = list(LESSONS)
    for place, name in enumerate(names):
        expect(page.get_by_role("heading", name=say(f"learn.{name}.sentence"))).to_be_visible()
        expect(picture(page, name)).to_be_visible()
        expect(picture(page, name).locator("rect, polyline, circle").first).to_be_attached()
        expect(page.get_by_text(say("learn.guess"))).to_be_visible()
        page.get_by_text(say(f"learn.{name}.answer.{LESSONS[name].answers[1]}"), exact=True).click()
        expect(page.get_by_text(say("learn.guess"))).to_have_count(0)
        expect(page.locator(".katex").first).to_be_visible()
        if place < len(names) - 1:
            button(page, "learn.next").click()
            expect(page).to_have_url(re.compile(f"step={names[place + 1]}"))
    expect(button(page, "learn.next")).to_be_disabled()
    page.get_by_role("link", name=say("learn.explore")).click()
    expect(page.get_by_role("heading", name=say("explore.title"))).to_be_visible()


def test_the_picture_follows_the_hand_and_the_link_follows_when_it_lets_go(page: Page):
    opened(page, "step=spike")
    before = float(fact(page, say("learn.spike.picture.predicted")))
    drag_handle(page, picture(page, "spike").locator(".handle"), -150)
    held = float(fact(page, say("learn.spike.picture.predicted")))
    assert held < before - 0.3
    assert "x=" not in page.url
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"[?&]x=[01]\.\d+"))
    x = re.search(r"x=([\d.]+)", page.url)
    assert x
    page.reload()
    expect(knob(page, "spike", "x")).to_have_value(x[1])
    assert float(fact(page, say("learn.spike.picture.predicted"))) == pytest.approx(held, abs=0.01)


def test_a_slider_redraws_the_histogram_by_keys_alone(page: Page):
    opened(page, "step=noise")
    rows = knob(page, "noise", "m")
    rows.focus()
    edge = fact(page, say("learn.noise.picture.edge"))
    for _ in range(20):
        rows.press("ArrowRight")
    expect(rows).to_have_value("120")
    expect(rows).to_have_attribute("aria-valuetext", "120")
    assert fact(page, say("learn.noise.picture.edge")) != edge
    expect(page).to_have_url(re.compile("m=120"))


def test_play_runs_to_its_end_at_once_where_motion_is_not_wanted(page: Page):
    opened(page, "step=tracy-widom")
    assert fact(page, say("learn.tracy-widom.picture.drawn")) == "10"
    time.sleep(0.5)
    assert fact(page, say("learn.tracy-widom.picture.drawn")) == "10"  # nothing moves by itself
    button(page, "learn.play").click()
    expect(page).to_have_url(re.compile("draws=1000"))
    assert fact(page, say("learn.tracy-widom.picture.drawn")) == "1000"


def test_play_builds_the_histogram_where_motion_is_wanted(browser: Browser, server):
    context = browser.new_context(base_url=server.url, reduced_motion="no-preference")
    page = context.new_page()
    opened(page, "step=tracy-widom")
    button(page, "learn.play").click()
    time.sleep(1)
    button(page, "learn.stop").click()
    assert 10 < int(fact(page, say("learn.tracy-widom.picture.drawn"))) < 1000
    context.close()


def test_a_choice_in_the_picture_changes_its_knobs(page: Page):
    opened(page, "step=spike")
    page.get_by_role("radio", name=say("learn.spike.knob.matrix_network")).check(force=True)
    expect(knob(page, "spike", "t")).to_be_visible()
    expect(knob(page, "spike", "x")).to_have_count(0)
    expect(page).to_have_url(re.compile("matrix=network"))
    button(page, "learn.play").click()
    expect(page).to_have_url(re.compile(r"[?&]t=1\b"))
    assert int(fact(page, say("learn.spike.picture.above"))) > 10


def test_a_teachers_link_shows_the_step_without_controls(page: Page):
    opened(page, "step=noise&m=150&sigma=1.5&controls=none")
    expect(page.get_by_role("heading", name=say("learn.noise.title"))).to_be_visible()
    expect(page.get_by_role("slider")).to_have_count(0)
    expect(page.get_by_role("combobox")).to_have_count(0)
    expect(button(page, "learn.next")).to_have_count(0)
    assert fact(page, say("learn.noise.picture.edge")) == "38.5"
    expect(page).to_have_url(re.compile("controls=none"))
    expect(page).to_have_url(re.compile("m=150"))


@pytest.mark.parametrize("step", LESSONS)
def test_nothing_is_wider_than_a_telephone(page: Page, step: str):
    page.set_viewport_size({"width": 390, "height": 844})
    opened(page, f"step={step}")
    wide = "e => [e.scrollWidth, e.clientWidth]"
    scroll, client = page.get_by_test_id("stMain").evaluate(wide)
    assert scroll <= client


def test_the_scenes_have_no_words_of_their_own(page: Page):
    opened(page, "step=noise")
    said = json.dumps(page.locator(".stage text, .stage dt").all_inner_texts())
    assert "undefined" not in said


CLIPPED = """() => [...document.querySelectorAll("[data-testid=stMarkdownContainer] .katex")]
  .filter(each => each.getBoundingClientRect().right > document.documentElement.clientWidth)
  .map(each => each.textContent)"""
"""The formulas that reach beyond the window."""


@pytest.mark.parametrize("step", LESSONS)
def test_no_formula_is_clipped_on_a_phone(page: Page, step: str):
    page.set_viewport_size({"width": 390, "height": 844})
    opened(page, f"step={step}")
    if step == "own":
        page.locator(".st-key-guess_own label").nth(1).click()
    expect(page.locator(".katex").first).to_be_attached()
    assert page.evaluate(CLIPPED) == []
