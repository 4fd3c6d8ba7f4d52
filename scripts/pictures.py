"""Take the README's pictures from the real app: `python scripts/pictures.py http://localhost:8501`.

Needs Chromium and the development requirements; the app must be serving.
"""

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

PICTURES = Path(__file__).parent.parent / "assets" / "pictures"
PAGES = {"explore": ("/", ".stage .grip"), "prune": ("/prune", ".js-plotly-plot")}
"""Each page's address, and the chart for which to wait."""


def main(address: str) -> None:
    """Write one picture a page, 1440 × 1180."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        for name, (path, chart) in PAGES.items():
            page = browser.new_page(viewport={"width": 1440, "height": 1180}, color_scheme="light")
            page.goto(address + path)
            page.locator(chart).first.wait_for(timeout=60_000)
            page.wait_for_timeout(5_000)
            page.screenshot(path=PICTURES / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
