"""Take the README's pictures from the real app: `python scripts/pictures.py http://localhost:8501`.

A picture of each page, and a short film in which the cut on the spectrum is dragged. Needs
Chromium and the development requirements; the app must be serving.
"""

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

PICTURES = Path(__file__).parent.parent / "assets" / "pictures"
PAGES = {
    "home": ("/", "svg[aria-label]", 820),
    "explore": ("/explore", ".accuracy:has-text('%')", 1180),
    "prune": ("/prune", ".js-plotly-plot", 1180),
}
"""Each page's address, what stands when all of it stands, and the picture's height."""

FRAMES = 36
"""The frames of the film, at `PACE` milliseconds each."""

PACE = 70


def main(address: str) -> None:
    """Write one picture a page, 1440 wide, and the film."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        for name, (path, shown, height) in PAGES.items():
            page = browser.new_page(
                viewport={"width": 1440, "height": height},
                color_scheme="light",
                reduced_motion="reduce",
            )
            page.goto(address + path)
            page.locator(shown).first.wait_for(timeout=120_000)
            page.wait_for_timeout(3_000)
            page.screenshot(path=PICTURES / f"{name}.png")
            if name == "explore":
                frames = list(dragged(page))
                film(frames, PICTURES / "drag.gif")
        browser.close()


def dragged(page: Page) -> Iterator[Image.Image]:
    """Yield the chart while its cut goes down to the first spikes and back, frame by frame."""
    chart = page.locator(".figures").first.evaluate_handle("it => it.getRootNode().host")
    grip = page.locator(".grip").bounding_box()
    box = page.locator(".stage svg").first.bounding_box()
    if grip is None or box is None:
        raise SystemExit("no chart is on the page")
    start = grip["x"] + grip["width"] / 2
    y = grip["y"] + grip["height"] / 2
    page.mouse.move(start, y)
    page.mouse.down()
    for phase in np.linspace(0, 2 * np.pi, FRAMES, endpoint=False):
        reach = 0.16 if np.sin(phase) > 0 else 0.34
        page.mouse.move(start + reach * box["width"] * np.sin(phase), y)
        page.wait_for_timeout(60)
        yield Image.open(io.BytesIO(chart.as_element().screenshot())).convert("RGB")
    page.mouse.move(start, y)
    page.mouse.up()


def film(frames: list[Image.Image], file: Path) -> None:
    """Write the frames as a GIF that repeats, all in the colours of the first."""
    colours = frames[0].quantize(64)
    first, *rest = (frame.quantize(palette=colours, dither=Image.Dither.NONE) for frame in frames)
    first.save(file, save_all=True, append_images=rest, duration=PACE, loop=0, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1])
