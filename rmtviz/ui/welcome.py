"""The parts of the first page: the three doors and the numbers behind their pictures."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from rmtviz.fits import BEMA
from rmtviz.site import home
from rmtviz.ui import doors, widgets
from rmtviz.ui.library import sample
from rmtviz.ui.spectrum_chart import shown
from rmtviz.words import partly, say

LAYER = "2"
"""The layer of the demo network in the first door, 256 × 512."""

NOISE = {"rows": 200, "columns": 400}
"""The size of the random matrix in the last door."""

DOORS = {"spectrum": "explore", "saved": "prune", "noise": "learn"}
"""The doors in order: a picture, and the page behind it."""


def draw() -> None:
    """Draw the doors side by side; a click on a picture opens its page, as its link does."""
    pictures = {"spectrum": _spectrum(), "saved": _saved(), "noise": NOISE}
    for (name, page), place in zip(DOORS.items(), st.columns(3, border=True), strict=True):
        with place:
            st.subheader(say(f"home.{name}.title"), anchor=False)
            _door(name, pictures[name], widgets.page(page))
            st.page_link(
                widgets.page(page), label=say(f"home.{name}.link"), icon=":material/arrow_forward:"
            )


def _door(name: str, picture: Mapping[str, Any], page: Path) -> None:
    facts = {key: value for key, value in picture.items() if isinstance(value, int)}
    words = {"reading": partly(f"home.{name}.reading", **facts), "axis": say(f"home.{name}.axis")}
    if doors.door(name, picture, words, say(f"home.{name}.alt", **facts)):
        st.switch_page(page)


def _spectrum() -> dict[str, Any]:
    """Return the layer's values under its law, in units of the noise edge."""
    drawn = shown.data(sample("clean").analysed(BEMA())[LAYER], "histogram", "edge")
    picture = {name: drawn[name] for name in ("bars", "law", "values", "cut")}
    return picture | {"limit": drawn["x"]["limit"]}


@st.cache_resource(show_spinner=False)
def _saved() -> dict[str, Any]:
    """Return the demo's accuracy against what it stores, measured beforehand."""
    record = json.loads((home() / "assets" / "models" / "clean.cuts.json").read_text("utf-8"))
    points = record["points"]
    usual = next(i for i, point in enumerate(points) if point["factor"] == 1.0)
    return {
        "points": [[point["stored"], point["accuracy"]] for point in points],
        "usual": usual,
        "samples": record["samples"],
    }
