"""What the tests of the pages share: a visitor who clicks, uploads and reads, without a browser."""

import base64
import io
import itertools
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
import safetensors.numpy
import streamlit as st
from streamlit.testing.v1 import AppTest

from rmtviz.ui import exploring, jobs, trading
from rmtviz.ui.study import Watch
from rmtviz.words import catalogue, say, speaking

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0


class Visitor:
    """One tab of one visitor. After each act, nothing may have broken."""

    def __init__(
        self, page: str, theme: str = "light", locale: str = "en-US", **query: str
    ) -> None:
        self.at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=PATIENCE)
        self.at.context = {"theme": theme, "locale": locale}
        self.at.switch_page(str(ROOT / "rmtviz" / "ui" / "pages" / f"{page}.py"))
        self.at.query_params.update(query)
        self.run()

    def run(self) -> Self:
        with speaking(self.language):  # here the labels of choices are written, as by a browser
            self.at.run()
        assert not self.at.exception
        with speaking(self.language):
            assert say("app.failed_do") not in [do for _, do in self.errors]
        return self

    def go(self, page: str) -> Self:
        self.at.switch_page(str(ROOT / "rmtviz" / "ui" / "pages" / f"{page}.py"))
        return self.run()

    def press(self, key: str, **values: object) -> Self:
        """Press the button that carries the words of this key."""
        self.button(key, **values).click()
        return self.run()

    def button(self, key: str, **values: object) -> Any:
        label = say(key, **values)
        (found,) = [button for button in self.at.button if button.label == label]
        return found

    def buttons(self) -> set[str]:
        return {button.label for button in self.at.button}

    def choose(self, key: str, value: object) -> Self:
        """Set the widget of this key."""
        self.at.get_by_key(key).set_value(value)
        return self.run()

    def choose_by_label(self, label: str, value: object) -> Self:
        """Set the widget with this label."""
        at = self.at
        kinds = (at.selectbox, at.select_slider, at.slider, at.text_input, at.number_input)
        (found,) = [widget for kind in kinds for widget in kind if widget.label == label]
        found.set_value(value)
        return self.run()

    def upload(self, name: str, content: bytes) -> Self:
        self.at.file_uploader[0].set_value((name, content, "application/octet-stream"))
        return self.run()

    def until(self, seen: Callable[[], bool]) -> Self:
        """Look at the page again and again, as its own timer does, until something is seen."""
        end = time.monotonic() + PATIENCE
        while not seen():
            assert time.monotonic() < end, f"never seen; the page says:\n{self.words}"
            self.run()
        return self

    @property
    def words(self) -> str:
        """All that the page says outside its tables and charts, a line a thing."""
        at = self.at
        lists = (at.title, at.subheader, at.caption, at.markdown, at.warning)
        said = [item.value for each in lists for item in each]
        said += [f"{item.proto.title}\n{item.value}" for item in (*at.error, *at.info)]
        said += [f"{item.label} {item.value} {item.delta}" for item in at.metric]
        return _read("\n".join(said))

    @property
    def errors(self) -> list[tuple[str, str]]:
        """What went wrong and what to do, of each error on the page."""
        return [(_read(item.proto.title), _read(item.value)) for item in self.at.error]

    @property
    def metrics(self) -> dict[str, str]:
        return {item.label: item.value for item in self.at.metric}

    @property
    def language(self) -> str:
        """The language that the app speaks to this visitor; before it has spoken, English."""
        known = "lang" in self.at.session_state
        return str(self.at.session_state["lang"]) if known else "en"

    @property
    def model(self) -> str:
        """The key of the model that is looked at."""
        return self.at.session_state["model"]

    def figure(self, name: str) -> dict[str, Any]:
        """Return a chart as plotly gets it, its arrays as lists, gaps in them as None."""
        return _plain(json.loads(self.at.get_by_key(f"chart_{name}").proto.spec))

    @property
    def spectrum(self) -> dict[str, Any]:
        """What the spectrum chart draws, once the accuracy at every rank is known."""
        return json.loads(self.at.get_by_key("spectrum").proto.json)

    def let_go(self, rank: object) -> Self:
        """Drag the chart's cut to a rank, as the browser tells it."""
        self.at.session_state["spectrum"] = {"cut": {"of": self.spectrum["of"], "rank": rank}}
        return self.run()


def _read(markdown: str) -> str:
    """Return words as they are seen, where a backslash makes a mark a sign like others."""
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", markdown)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "bdata" in value:
        array = np.frombuffer(base64.b64decode(value["bdata"]), value["dtype"])
        shape = [int(side) for side in str(value.get("shape", array.size)).split(",")]
        gaps = np.isnan(array) if array.dtype.kind == "f" else False
        return np.where(gaps, None, array).reshape(shape).tolist()
    return {key: _plain(each) for key, each in value.items()}


@pytest.fixture(autouse=True)
def kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs go to a folder of this test, and none outlives it; nor does what is looked at."""
    monkeypatch.setenv("RMTVIZ_HOME", str(tmp_path))
    monkeypatch.setattr(exploring, "PATIENCE", PATIENCE)  # no page goes on without its numbers
    (tmp_path / "runs").mkdir()
    jobs.registry.cache_clear()
    looking = Watch()
    monkeypatch.setattr(trading, "watch", lambda: looking)
    yield
    looking.leave()
    for run in list(jobs.registry()._jobs.values()):
        run.stop()
        while not run.snapshot.over:
            time.sleep(0.01)
    jobs.registry.cache_clear()


@pytest.fixture
def visit() -> Callable[..., Visitor]:
    """Open the app at a page: `visit("prune", theme="dark", model="noisy")`."""

    def opened(
        page: str = "explore", theme: str = "light", locale: str = "en-US", **query: str
    ) -> Visitor:
        return Visitor(page, theme, locale, **query)

    return opened


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], bytes]]:
    """What each download button of the page would give, by file name."""
    offered: dict[str, Callable[[], bytes]] = {}
    draw = st.download_button

    def noted(label: str, data: Any, file_name: str, *rest: Any, **more: Any) -> Any:
        given = data if callable(data) else lambda: data
        offered[file_name] = lambda: got.encode() if isinstance(got := given(), str) else got
        return draw(label, data, file_name, *rest, **more)

    monkeypatch.setattr(st, "download_button", noted)
    return offered


@pytest.fixture
def network() -> Callable[..., dict[str, np.ndarray]]:
    """Make the weights of a chain of layers, `network(784, 32, 10)`; two spikes in each."""

    def made(*sides: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(sum(sides))
        tensors = {}
        for place, (n, m) in enumerate(itertools.pairwise(sides)):
            weight = rng.standard_normal((m, n)) / n**0.5
            for _ in range(2):
                weight += 4 * np.outer(rng.standard_normal(m), rng.standard_normal(n)) / n
            tensors[f"{place}.weight"] = weight.astype(np.float32)
            tensors[f"{place}.bias"] = np.zeros(m, np.float32)
        return tensors

    return made


@pytest.fixture
def packed() -> Callable[..., bytes]:
    """Write tensors as a file: `packed(tensors)` or `packed(tensors, "npz")`."""

    def made(tensors: dict[str, np.ndarray], form: str = "safetensors") -> bytes:
        if form == "safetensors":
            return safetensors.numpy.save(tensors)
        file = io.BytesIO()
        if form == "npz":
            np.savez(file, **tensors)
        else:
            import torch

            torch.save({name: torch.tensor(array) for name, array in tensors.items()}, file)
        return file.getvalue()

    return made


@pytest.fixture
def sentence() -> Callable[[str], re.Pattern[str]]:
    """Make a pattern of a sentence of the catalogue, its fields open."""

    def made(key: str) -> re.Pattern[str]:
        parts = re.split(r"\{[^{}]*\}", catalogue()[key])
        return re.compile(".*?".join(re.escape(part) for part in parts))

    return made
