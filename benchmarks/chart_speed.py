"""Claim: the cut follows the hand within a frame, and Python's exact answer comes soon after.

Measured in headless Chromium, from a server of its own: the time from a pointer's move until the
rank, the colours, the accuracy and the size of that move are painted, the script's part of it,
and the time from letting go until the exact accuracy is on the page, for a rank seen for the
first time and for one seen before. Prints medians; nothing is asserted, for the machine may be
busy.
"""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parent.parent
MOVES = 200

DRAG = """async ([svg, moves]) => {
  const box = svg.getBoundingClientRect(), root = svg.getRootNode()
  const at = (kind, x) => svg.dispatchEvent(new PointerEvent(kind, {
    pointerId: 1, pointerType: "touch", button: 0, buttons: 1, bubbles: true,
    clientX: x, clientY: box.top + box.height / 2 }))
  const frame = () => new Promise(requestAnimationFrame)
  const capture = svg.setPointerCapture; svg.setPointerCapture = () => {}
  const script = [], painted = []
  at("pointerdown", box.left + box.width / 2)
  for (let i = 0; i < moves; i++) {
    await frame()
    const before = root.querySelector(".kept").textContent
    const start = performance.now()
    at("pointermove", box.left + box.width * (0.5 + 0.4 * Math.sin(i * 0.37)))
    const handled = performance.now()
    const { port1, port2 } = new MessageChannel()
    await new Promise(done => { port1.onmessage = done; port2.postMessage(0) })
    if (root.querySelector(".kept").textContent === before) continue
    script.push(handled - start); painted.push(performance.now() - start)
  }
  at("pointerup", box.left + box.width / 2)
  svg.setPointerCapture = capture
  return [script, painted]
}"""
"""Milliseconds of each move that changed the rank: of the script, and until it is painted.

As the browser does with a pointer's moves, each is handed over as a frame begins; a message
posted then arrives when that frame's style, layout and paint are done.
"""

RELEASE = """([svg, share]) => new Promise(done => {
  const box = svg.getBoundingClientRect(), root = svg.getRootNode()
  const at = (kind, x) => svg.dispatchEvent(new PointerEvent(kind, {
    pointerId: 1, pointerType: "touch", button: 0, buttons: 1, bubbles: true,
    clientX: x, clientY: box.top + box.height / 2 }))
  svg.setPointerCapture = () => {}
  at("pointerdown", box.left + share * box.width)
  at("pointermove", box.left + share * box.width)
  const guessed = root.querySelector(".accuracy").textContent.includes("≈")
  const start = performance.now()
  at("pointerup", box.left + share * box.width)
  const look = () => root.querySelector(".accuracy").textContent.includes("≈")
    ? requestAnimationFrame(look) : done(guessed ? performance.now() - start : null)
  look()
})"""
"""Milliseconds from letting go until the estimate is an exact figure; null where it was one."""


def main() -> None:
    """Start the app, drag, let go, print what was measured."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        words = ["-m", "streamlit", "run", "app.py", f"--server.port={port}"]
        server = subprocess.Popen(
            [sys.executable, *words, "--server.headless=true"],
            cwd=ROOT,
            env={**os.environ, "RMTVIZ_HOME": home, "OPENBLAS_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            page = browser.new_page(viewport={"width": 1440, "height": 1300})
            while not listening(port):
                time.sleep(0.05)
            visit(page, f"http://127.0.0.1:{port}")
            drag(page)
            release(page)
        finally:
            server.terminate()
            server.wait()
            browser.close()


def visit(page: Page, address: str) -> None:
    """Open Explore, and wait until the accuracy at every rank is known."""
    page.set_default_timeout(60_000)
    page.goto(f"{address}/explore")
    page.locator(".stage .grip[aria-valuetext*=Accuracy]").wait_for()
    time.sleep(5)  # the warm-up ends


def drag(page: Page) -> None:
    """Print how long a move takes, while dragging over the whole spectrum."""
    svg = page.locator(".stage svg").element_handle()
    script, painted = page.evaluate(DRAG, [svg, MOVES])
    print(f"moves that changed the rank  {len(painted):6}")
    for name, times in (("of it the script", script), ("drag to painted", painted)):
        tail = statistics.quantiles(times, n=20)[-1]
        print(f"{name:28} {statistics.median(times):6.1f} ms (95 %: {tail:.1f} ms)")


def release(page: Page) -> None:
    """Print how long the exact accuracy takes after letting go."""
    svg = page.locator(".stage svg")
    places = [0.2 + 0.031 * i for i in range(12)]
    for name in ("a new rank", "a rank seen before"):
        times = []
        for share in places:
            spent = page.evaluate(RELEASE, [svg.element_handle(), share])
            if spent is not None:
                times.append(spent)
            time.sleep(0.5)
        if times:
            print(f"let go to exact, {name:19} {statistics.median(times):6.0f} ms of {len(times)}")


def listening(port: int) -> bool:
    """Return whether something answers on a local port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    main()
