"""The doors of the first page: three small pictures of real numbers that move with the pointer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from rmtviz.ui import stage

HERE = Path(__file__).parent

_draw = st.components.v2.component(
    "doors",
    html='<svg role="img"></svg><p aria-hidden="true"></p>',
    css=(HERE / "doors.css").read_text("utf-8"),
    js=f"{stage.MATHS}\n{(HERE / 'doors.js').read_text('utf-8')}",
)


def door(name: str, picture: Mapping[str, Any], words: Mapping[str, str], alt: str) -> bool:
    """Draw a door's picture: "spectrum", "saved" or "noise"; return whether it was clicked.

    `words["reading"]` is the line below, whose fields the browser fills as the pointer moves.
    """
    result = _draw(
        key=f"door_{name}",
        data={"name": name, "picture": dict(picture), "words": dict(words), "alt": alt},
        on_open_change=lambda: None,
    )
    return bool(result.open)
