"""The lines of Python beside each picture run, and make what the page shows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from rmtviz.lessons import LESSONS
from rmtviz.ui import teaching

ROOT = Path(__file__).parents[2]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[go.Figure]:
    """The figures that lines of Python show, run from the project's folder."""
    figures: list[go.Figure] = []
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(go.Figure, "show", lambda self: figures.append(self))
    return figures


def beside(visitor, picture: str) -> dict[str, Any]:
    """What the buttons beside a chart of Plotly are given."""
    return json.loads(visitor.at.get_by_key(f"save_picture_{picture}").proto.json)


def run(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(code, names)
    return names


def points(table: str) -> np.ndarray:
    return np.genfromtxt(table.splitlines(), delimiter=",", skip_header=1)


def test_accuracy_against_rank(visit, shown):
    visitor = visit("prune", layer="2")
    given = beside(visitor, "accuracy-against-rank")
    run(given["code"])
    (figure,) = shown
    line = points(given["table"])
    second = line[line[:, 0] == 2]
    assert np.array_equal(second[:, 1], figure.data[1].x)
    assert np.allclose(second[:, 2], figure.data[1].y)


def test_what_a_cut_removes(visit, shown):
    visitor = visit("prune", model="untrained", layer="2")
    given = beside(visitor, "error-against-rank")
    run(given["code"])
    (figure,) = shown
    assert np.allclose(points(given["table"])[:, 2], figure.data[0].y)


@pytest.mark.parametrize("step", LESSONS)
def test_the_numbers_of_a_lesson(visit, step: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    visitor = visit("learn", step=step)
    given = json.loads(visitor.at.get_by_key(f"stage_{step}").proto.json)
    names = run(given["code"])
    assert names["lesson"] == LESSONS[step]()
    numbers = names["lesson"].numbers(names["given"])
    assert all(value is None or isinstance(value, (int, float, str)) for value in numbers.values())
    if step in ("labels", "edge"):
        material = teaching.cuts() if step == "labels" else names["given"]
        assert numbers == LESSONS[step]().numbers(material)
