"""The app on a live module: served from this process, judged by a function that stands here."""

import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import torch
from playwright.sync_api import Browser, expect
from torch import nn

import rmtviz
from rmtviz.errors import BadOption
from rmtviz.live import Live
from rmtviz.rules import NoiseEdge
from rmtviz.ui import session
from rmtviz.words import say

ROOT = Path(__file__).parents[2]


def module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(60, 50), nn.Tanh(), nn.Linear(50, 40), nn.Tanh(), nn.Linear(40, 3)
    )


def unlikeness(network: nn.Module) -> float:
    """Say what no accuracy is: the mean of the outputs' squares."""
    with torch.inference_mode():
        return float(network(torch.linspace(-1, 1, 600).view(10, 60)).square().mean())


def broken(network: nn.Module) -> float:
    raise ValueError("no *luck*")


def test_a_metric_is_measured_on_a_press_and_is_that_of_python(browser: Browser) -> None:
    own = module()
    opened = rmtviz.studio(own, evaluate=unlikeness, open=False, name="mine")
    try:
        live = Live(own, unlikeness)
        cut = live.judge(rmtviz.plan(live.analysis, NoiseEdge())).value
        whole = live.whole.value
        torch.nn.init.zeros_(own[0].weight)  # its owner trains on: what is shown stays
        page, asked = browser.new_page(), []
        page.on("request", lambda request: asked.append(urlsplit(request.url).netloc))
        page.goto(opened.url)
        expect(page.get_by_text("mine", exact=True).first).to_be_visible()
        press = page.get_by_role("button", name=say("live.measure", name="unlikeness"), exact=True)
        press.click()
        card = page.get_by_test_id("stMetric").filter(has_text="unlikeness")
        expect(card).to_contain_text(f"{cut:.5g}")
        expect(card).to_contain_text(f"{cut - whole:+.4g}".lstrip("+-"))
        expect(press).to_have_count(0)
        page.get_by_role("button", name=re.compile("at the ranks of 0$")).click()
        expect(page.get_by_test_id("stDataFrame")).to_have_count(2)
        assert {*asked} <= {urlsplit(opened.url).netloc, ""}
        page.close()
    finally:
        opened.stop()


def test_a_function_that_fails_is_a_refusal_with_its_message(browser: Browser) -> None:
    opened = rmtviz.studio(module(), evaluate=broken, open=False)
    try:
        page = browser.new_page()
        page.goto(opened.url)
        page.get_by_role("button", name=say("live.measure", name="broken"), exact=True).click()
        sentence = say("error.metric_failed.what", problem="ValueError: no *luck*")
        expect(page.get_by_text(sentence)).to_be_visible()
        expect(page.get_by_text("Traceback")).to_have_count(0)
        page.close()
    finally:
        opened.stop()


def test_one_app_is_open_at_a_time_and_nothing_is_left_of_it() -> None:
    main, kept = sys.modules["__main__"], len(session.library())
    opened = rmtviz.studio(module(), open=False)
    address, _, key = opened.url.partition("/prune?model=")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", address)
    assert re.fullmatch(r"[\w-]{16}", key)
    assert opened.url in opened._repr_html_()
    model = session.library().get(key)
    assert model is not None
    assert (model.title, model.live) == ("Sequential", None)
    with pytest.raises(BadOption) as refusal:
        rmtviz.studio(module(), open=False)
    assert refusal.value.key == "studio_open"
    opened.stop()
    assert (sys.modules["__main__"], len(session.library())) == (main, kept)
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{address}/_stcore/health", timeout=5)
    again = rmtviz.studio(module(), open=False, port=int(address.rpartition(":")[2]))
    assert again.url.startswith(address)
    again.stop()


@pytest.mark.parametrize("port", [-1, 2**17])
def test_a_port_that_cannot_be_had_is_refused_and_the_model_let_go(port: int) -> None:
    kept = len(session.library())
    with pytest.raises(BadOption) as refusal:
        rmtviz.studio(module(), open=False, port=port)
    assert refusal.value.key == "port_taken"
    assert len(session.library()) == kept


def test_naming_the_studio_loads_nothing_heavy() -> None:
    program = "import sys\nfrom rmtviz import *\nimport rmtviz\nrmtviz.studio\nprint(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"torch", "streamlit", "plotly"} & set(loaded.stdout.split()) == set()
