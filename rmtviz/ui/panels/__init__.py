"""Panels of points, lines and rules in one picture, which stays put while more points come.

A component of Streamlit: the axes are given beforehand, the browser draws, and says what was
clicked. A chart of Plotly would be made anew at every point that comes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any

import streamlit as st

from rmtviz.tokens import MODES
from rmtviz.ui import saving


def _file(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text("utf-8")


_draw = st.components.v2.component(
    "rmtviz_panels",
    html=_file("panels.html") + saving.HTML,
    css=_file("panels.css") + saving.CSS,
    js="\n".join([saving.SCRIPT, _file("panels.js")]),
)


@dataclass(frozen=True, slots=True)
class Axis:
    """From where to where an axis goes, and how: "linear", "log", or "asinh" in units of `unit`.

    `ticks` are pairs of a value and its words.
    """

    scale: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    label: str = ""
    unit: float = 1.0


@dataclass(frozen=True, slots=True)
class Point:
    """A mark: its place, shape and colour, a word beside it, and what is said when it is met.

    `id` is told when it is clicked; `colour` is a name of `tokens`.
    """

    x: float
    y: float
    series: str
    shape: str = "circle"
    colour: str = "ink"
    hollow: bool = False
    size: float = 4.0
    label: str = ""
    says: Sequence[str] = ()
    id: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A line through places, or the area between `low` and `high` where these are given."""

    x: Sequence[float]
    y: Sequence[float]
    series: str
    colour: str = "ink"
    dash: str = ""
    width: float = 2.0
    high: Sequence[float] | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A straight line over the whole panel, at an x or a y, with its words."""

    text: str
    x: float | None = None
    y: float | None = None
    colour: str = "muted"
    dash: str = "5 4"


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel; `id` is told when its ground is clicked."""

    x: Axis
    y: Axis
    points: Sequence[Point] = ()
    lines: Sequence[Line] = ()
    rules: Sequence[Rule] = ()
    title: str = ""
    id: str = ""


def show(
    key: str,
    panels: Sequence[Panel],
    legend: Sequence[Point],
    words: Mapping[str, str],
    mode: str,
    wide: int,
    high: int,
) -> str | None:
    """Draw panels of at least `wide` pixels, as many in a row as fit; return what was clicked.

    `legend` names each series once; `words` are its "title", "alt", "code" and "file".
    """
    colours = MODES[mode]
    names = ("learnt", "noise", "theory", "good", "ink", "muted", "grid", "paper", "card")
    result = _draw(
        key=key,
        data={
            "panels": [asdict(panel) for panel in panels],
            "legend": [asdict(point) for point in legend],
            "words": {**words, **saving.words()},
            "colours": {name: getattr(colours, name) for name in names},
            "wide": wide,
            "high": high,
        },
        on_picked_change=lambda: None,
    )
    picked: Any = result.picked
    return picked if isinstance(picked, str) else None
