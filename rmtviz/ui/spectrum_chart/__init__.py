"""The spectrum chart: a layer's values under the law, with a cut that is dragged.

A component of Streamlit: the browser draws and follows the hand, from curves computed
beforehand; Python is told the rank when it is let go (see `show`).
"""

from importlib import resources
from typing import Any

import streamlit as st

from rmtviz.tokens import FONT, MODES
from rmtviz.ui import saving
from rmtviz.ui.spectrum_chart.shown import PICTURES, SCALES
from rmtviz.words import catalogue, partly, say

__all__ = ["KEY", "PICTURES", "SCALES", "show", "told", "words"]

KEY = "spectrum"
"""The chart's key: its state is {"cut": {"of": which chart, "rank": the rank let go}}."""

PARTS = ("words", "axes", "scene", "readout", "table", "hover", "chart")
"""The files of the script, in order; only the last exports."""

LIVE = "chart.live."
"""Where the catalogue has the sentences that the browser fills in."""


def _file(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text("utf-8")


_draw = st.components.v2.component(
    "rmtviz_spectrum",
    html=_file("chart.html") + saving.HTML,
    css=_file("chart.css") + saving.CSS,
    js="\n".join([saving.SCRIPT, *(_file(f"{part}.js") for part in PARTS)]),
)


def show(data: dict[str, Any], mode: str) -> None:
    """Draw the chart: `data` as in `shown.data`, with what `rmtviz.ui.exploring` adds."""
    colours = MODES[mode]
    names = (
        "learnt",
        "noise",
        "theory",
        "ink",
        "muted",
        "grid",
        "paper",
        "card",
        "accent",
        "on_accent",
    )
    _draw(
        key=KEY,
        data={
            **data,
            "colours": {name: getattr(colours, name) for name in names},
            "font": FONT,
            "saving": saving.words(),
        },
        on_cut_change=lambda: None,
    )


def told(of: str, most: int) -> int | None:
    """Return the rank that the visitor let go in this chart; None before, or if it is none."""
    state = st.session_state.get(KEY) or {}
    cut = state.get("cut")
    if not isinstance(cut, dict) or cut.get("of") != of:
        return None
    rank = cut.get("rank")
    return rank if type(rank) is int and 1 <= rank <= most else None


def words(picture: str, scale: str) -> dict[str, str]:
    """Return the chart's sentences, their fields open, and the names of its axes."""
    names = [key.removeprefix(LIVE) for key in catalogue() if key.startswith(LIVE)]
    found = {name: partly(f"chart.live.{name}") for name in names}
    if picture == "scree":
        axis = say("chart.axis_rank")
    elif picture == "quantiles":
        axis = say(f"chart.axis_expected_{scale}")
    else:
        axis = say(f"chart.axis_{scale}")
    return found | {"axis": axis, "height": say(f"chart.height_{picture}")}
