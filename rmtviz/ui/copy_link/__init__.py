"""A button that copies the page's address, in which model, layer and choices stand."""

from pathlib import Path

import streamlit as st

from rmtviz.words import say

HERE = Path(__file__).parent

_draw = st.components.v2.component(
    "copy_link",
    html="<button></button>",
    css=(HERE / "copy_link.css").read_text("utf-8"),
    js=(HERE / "copy_link.js").read_text("utf-8"),
)


def draw() -> None:
    """Draw the button."""
    words = {name: say(f"app.copy_{name}") for name in ("link", "done", "failed")}
    _draw(key="copy_link", data=words, width="content")
