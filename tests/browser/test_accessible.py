"""axe-core finds no serious fault on any page: light and dark, on a desk and on a phone."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from rmtviz.ui.shell import PAGES

SHOWN = {
    "home": "svg[aria-label]",
    "explore": ".stage svg",
    "prune": ".js-plotly-plot .main-svg",
    "studio": ".panels svg text",
    "train": "[data-testid=stSlider]",
    "learn": ".stage svg .axes",
}
"""What stands when a page does."""


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_no_serious_fault(page: Page, name: str, mode: str, width: int):
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=mode, reduced_motion="reduce")
    page.goto("/" if name == "home" else f"/{name}")
    expect(page.locator(SHOWN[name]).first).to_be_visible()
    page.wait_for_timeout(500)
    found = Axe().run(page).response["violations"]
    serious = [
        f"{fault['id']}: {node['target']} {node['failureSummary']}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]
    assert serious == []
