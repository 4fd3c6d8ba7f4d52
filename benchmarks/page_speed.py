"""Claim: the pages answer at once, in headless Chromium, from a server of its own.

Measured: a cold start (from the command to a readable chart), a first paint from a warm server,
a changed rule until its headline is repainted, the first live point of a run, clicks while a
run trains, and the server's memory before, during and after a visit with a large file. Prints
medians; nothing is asserted, for the machine may be busy.
"""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

from rmtviz import Checkpoint, write

ROOT = Path(__file__).parent.parent
CHART = ".js-plotly-plot .main-svg"
SPECTRUM = ".stage svg text"
PAINTED = {
    "the doors": ("/", "[data-testid=stPageLink]"),
    "a verdict": ("/explore", "h3"),
    "its chart": ("/explore", SPECTRUM),
    "Prune": ("/prune", "h1"),
    "Trade-off": ("/studio", "h1"),
    "Train": ("/train", "[data-testid=stSlider]"),
    "a lesson": ("/learn", ".stage svg .axes"),
}
"""What a new visitor waits for, by the address and the place on the page."""


def main() -> None:
    """Start the app, visit it, print what was measured."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = browser.new_page(reduced_motion="reduce")
        page.set_default_timeout(60_000)
        address = f"http://127.0.0.1:{port}"
        start = time.perf_counter()
        words = ["-m", "streamlit", "run", "app.py", f"--server.port={port}"]
        server = subprocess.Popen(
            [sys.executable, *words],
            cwd=ROOT,
            env={**os.environ, "RMTVIZ_HOME": home, "OPENBLAS_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while not listening(port):
                time.sleep(0.02)
            page.goto(f"{address}/explore")
            page.locator(SPECTRUM).first.wait_for(timeout=60_000)
            print(f"cold start to chart          {time.perf_counter() - start:6.2f} s")
            time.sleep(8)  # the warm-up ends
            for name, (path, place) in PAINTED.items():
                seconds = median(lambda at=address + path, place=place: first(browser, at, place))
                print(f"warm server to {name:13} {seconds:6.2f} s")
            prune(page, address)
            train(page, address)
            memory(browser, address, server.pid, Path(home))
        finally:
            server.terminate()
            server.wait()
            browser.close()


def first(browser: object, address: str, place: str) -> float:
    """Return the seconds until a new visitor, with nothing cached, sees a part of the page."""
    page = browser.new_page(reduced_motion="reduce")  # type: ignore[attr-defined]
    start = time.perf_counter()
    page.goto(address)
    page.locator(place).first.wait_for()
    spent = time.perf_counter() - start
    page.close()
    return spent


def prune(page: Page, address: str) -> None:
    """Print how long a changed rule takes until the headline is new."""
    page.goto(address + "/prune")
    headline = page.locator("h3").first
    page.locator(CHART).first.wait_for(timeout=60_000)
    times: list[float] = []
    for _ in range(4):
        for rule in ("Energy share", "Fixed rank", "Noise edge"):
            old = headline.inner_text()
            page.get_by_role("combobox", name="What is kept").click()
            option = page.get_by_role("option", name=rule, exact=True)
            option.wait_for()
            start = time.perf_counter()
            option.click()
            page.wait_for_function(
                "old => document.querySelector('h3').innerText !== old", arg=old, polling=10
            )
            times.append(time.perf_counter() - start)
    print(f"changed rule, seen before    {statistics.median(times[3:]):6.3f} s")
    print(f"changed rule, first time     {statistics.median(times[:3]):6.3f} s")


def train(page: Page, address: str) -> None:
    """Print when the first live point comes, and how fast clicks are answered meanwhile."""
    page.goto(address + "/train")
    button = page.get_by_role("button", name="Train", exact=True)
    button.wait_for()
    for slider in ("Training images", "Epochs"):  # a run that outlasts the clicks
        page.get_by_role("slider", name=slider).first.press("End")
        time.sleep(1)
    start = time.perf_counter()
    button.click()
    page.locator("[data-testid=stVegaLiteChart] path.mark-line, .mark-line path").first.wait_for()
    print(f"first live point             {time.perf_counter() - start:6.2f} s")
    buttons = []
    for _ in range(8):
        buttons.append(answered(page, "button", "Pause", "Go on"))
        page.get_by_role("button", name="Go on").click()
        page.get_by_role("button", name="Pause").wait_for()
        time.sleep(0.7)  # it trains again
    print(f"Pause while training         {statistics.median(buttons):6.3f} s to the new button")
    page.get_by_role("button", name="Stop").click()


ANSWER = """([option, words]) => new Promise((done, fail) => {
  const seen = () => [...document.querySelectorAll("button, .annotation-text")]
    .map(each => each.textContent).filter(text => text.includes(words)).join();
  const before = seen(), start = performance.now();
  const look = () => ["", before].includes(seen())
    ? requestAnimationFrame(look) : done((performance.now() - start) / 1000);
  setTimeout(() => fail(new Error(`no new “${words}” in 60 s`)), 60_000);
  option.click();
  look();
})"""
"""Seconds from a click until other words than before, that the server sent, are painted."""


def answered(page: Page, role: str, name: str, words: str) -> float:
    """Return the seconds until the server's answer to a click is on the page."""
    option = page.get_by_role(role, name=name, exact=True).element_handle()  # type: ignore[arg-type]
    return float(page.evaluate(ANSWER, [option, words]))


def memory(browser: object, address: str, pid: int, home: Path) -> None:
    """Print the server's memory before, with and after a visit with a 100-MB file."""
    rng = np.random.default_rng(0)
    arrays = {
        f"{i}.weight": rng.standard_normal((1250, 2000)).astype(np.float32) for i in range(10)
    }
    file = home / "large.safetensors"
    file.write_bytes(write(Checkpoint.of(arrays), "safetensors"))
    time.sleep(20)
    floor = resident(pid)
    page = browser.new_page()  # type: ignore[attr-defined]
    page.goto(f"{address}/explore")
    page.get_by_role("button", name="Open a file").click()
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_text("10 layers").first.wait_for(timeout=120_000)
    print(f"memory floor                 {floor:6.0f} MB")
    print(f"with a 100-MB file open      {resident(pid):6.0f} MB")
    page.close()
    for minutes in (2, 4, 6):
        time.sleep(120)
        print(f"{minutes} minutes after closing      {resident(pid):6.0f} MB")


def resident(pid: int) -> float:
    """Return a process's resident memory in MB."""
    for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def listening(port: int) -> bool:
    """Return whether something answers on a local port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def median(call: object, times: int = 5) -> float:
    """Return the median of some calls."""
    return statistics.median(call() for _ in range(times))  # type: ignore[operator]


if __name__ == "__main__":
    main()
