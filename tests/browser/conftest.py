"""What browser tests share: a server of the app, one Chromium, and a page that takes notes."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

ROOT = Path(__file__).parents[2]
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--force-prefers-reduced-motion",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)

PROBE = re.compile(r"/[a-z]+/_stcore/(health|host-config)$")
"""Where Streamlit's page first looks for its server when a page is opened by its own address."""


@dataclass(frozen=True)
class Server:
    """A running app: its address, and the file that holds what it printed."""

    url: str
    log: Path

    def printed(self) -> str:
        return self.log.read_text("utf-8")


@dataclass
class Notes:
    """What went wrong in a page, and what it asked of other servers."""

    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).is_file():
        sentence = f"There is no Chromium at {CHROMIUM}; install it or set CHROMIUM to its path."
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(sentence)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def server(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app on a free port; another one is tried if somebody takes it in between."""
    log = tmp_path_factory.mktemp("server") / "log.txt"
    environment = {**os.environ, "RMTVIZ_HOME": str(log.with_name("home"))}
    for _ in range(3):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless=true"]
        command += [f"--server.port={port}", "--server.address=127.0.0.1"]
        with log.open("w") as out:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT
            )
        try:
            url = f"http://127.0.0.1:{port}"
            if _healthy(url, process):
                yield Server(url, log)
                return
        finally:
            process.terminate()
            process.wait(timeout=20)
    pytest.fail(f"The app did not start:\n{log.read_text('utf-8')}")


def _healthy(url: str, process: subprocess.Popen[bytes]) -> bool:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    return False


@pytest.fixture
def notes() -> Notes:
    """The notes of this test's page; `page` fills them."""
    return Notes()


@pytest.fixture
def page(browser: Browser, server: Server, notes: Notes) -> Iterator[Page]:
    """A page of a visitor of its own, in which nothing breaks; relative addresses are the app's."""
    context = browser.new_context(
        base_url=server.url, viewport={"width": 1440, "height": 900}, reduced_motion="reduce"
    )
    opened = context.new_page()
    opened.set_default_timeout(30_000)

    def note_console(message: ConsoleMessage) -> None:
        if message.type == "error" and not PROBE.search(message.location["url"]):
            notes.errors.append(message.text)

    def note_request(url: str) -> None:
        address = urlsplit(url)
        local = address.scheme in ("data", "blob", "about")
        if not local and address.netloc != urlsplit(server.url).netloc:
            notes.outside.append(url)

    opened.on("pageerror", lambda error: notes.errors.append(str(error)))
    opened.on("console", note_console)
    opened.on("request", lambda request: note_request(request.url))
    opened.on("websocket", lambda websocket: note_request(websocket.url))
    yield opened
    context.close()
    assert notes.errors == []
    assert notes.outside == []
