"""The studio in a browser, as somebody who must decide uses it."""

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from rmtviz import formats
from rmtviz.words import say
from tests.browser.steps import button, go, headline, opening

MINUTES = 180_000
"""Everything is tried in the background; on a slow machine it takes its time."""


def test_a_manager_names_a_budget_tests_the_answer_and_takes_it_home(page: Page, tmp_path: Path):
    page.goto("/studio")
    expect(headline(page).first).to_contain_text("times smaller", timeout=MINUTES)
    page.get_by_role("radio", name=say("studio.budget_bytes"), exact=True).click()
    amount = page.get_by_role("spinbutton", name=say("studio.amount_bytes"))
    amount.fill("0.3")
    amount.press("Enter")
    expect(page).to_have_url(re.compile(r"budget=bytes&amount=0.3"))
    expect(page.get_by_text(say("studio.rule_most"))).to_have_count(0)
    page.get_by_role("radio", name=say("studio.cost_bytes"), exact=True).click()
    expect(page.get_by_text(say("studio.rule_most"))).to_be_visible()
    test = button(page, "studio.test")
    expect(test).to_be_enabled(timeout=MINUTES)
    expect(page.get_by_text(say("studio.to_wrong"))).to_have_count(0)
    test.click()
    expect(page.get_by_text(say("studio.to_wrong"))).to_be_visible(timeout=MINUTES)
    with page.expect_download() as download:
        button(page, "studio.download").click()
    download.value.save_as(tmp_path / "small.safetensors")
    assert formats.read(tmp_path / "small.safetensors").bytes <= 300_000
    go(page, "explore")
    go(page, "studio")
    expect(headline(page).first).to_contain_text("times smaller")
    button(page, "studio.use").click()
    expect(page.get_by_role("heading", name=say("prune.title"))).to_be_visible()
    expect(opening(page, "prune.adopted_data")).to_be_visible()


def test_a_mark_tells_what_it_is_and_is_looked_at(page: Page):
    page.goto("/studio")
    marks = page.locator(".panels svg [data-series]")
    expect(marks.nth(8)).to_be_visible(timeout=MINUTES)
    marks.nth(4).hover(force=True)
    expect(page.locator(".tip").first).to_contain_text("points (95 %)")
    marks.nth(4).click(force=True)
    expect(button(page, "studio.back")).to_be_visible()
    entry = page.locator(".panels .entry", has_text=say("studio.family.noise-edge"))
    entry.hover()
    faded = page.locator('.panels svg [data-series][opacity="0.12"]')
    expect(faded.first).to_be_attached()
