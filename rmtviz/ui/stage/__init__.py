"""The stage: a picture whose knobs and handles redraw it in the browser while they move.

A slider of Streamlit sends nothing while it is dragged; here the browser draws random
matrices itself (maths.js), makes a picture of them (scenes.js) and shows it (stage.js).
Python hears of the knobs when they are let go.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from rmtviz.ui import saving

HERE = Path(__file__).parent

MATHS = (HERE / "maths.js").read_text("utf-8")
"""Random matrices and their spectra in the browser."""

_SCENES, _STAGE = ((HERE / f"{name}.js").read_text("utf-8") for name in ("scenes", "stage"))
SCRIPT = "\n".join([saving.SCRIPT, MATHS, _SCENES, _STAGE])
"""The whole script: the parts of one module."""

HTML = """
<div class="stage">
  <svg role="img"></svg>
  <dl></dl>
  <div class="knobs"></div>
</div>
"""

_draw = st.components.v2.component(
    "stage",
    html=HTML + saving.HTML,
    css=(HERE / "stage.css").read_text("utf-8") + saving.CSS,
    js=SCRIPT,
)


def stage(
    scene: str,
    knobs: Sequence[Mapping[str, Any]],
    values: Mapping[str, Any],
    picture: Mapping[str, Any],
    words: Mapping[str, str],
    alt: str,
    title: str,
    code: str,
) -> None:
    """Draw a scene; under its title and with its code it can be saved.

    `knobs` say what may be moved (name, kind, label, range), `values` where they stand. What
    the visitor moved them to is at `moved`.
    """
    _draw(
        key=_key(scene),
        data={
            "scene": scene,
            "knobs": [dict(knob) for knob in knobs],
            "values": dict(values),
            "picture": dict(picture),
            "words": dict(words),
            "alt": alt,
            "title": title,
            "code": code,
            "file": f"lesson-{scene}",
            "saving": saving.words(),
        },
        on_knobs_change=lambda: None,
    )


def moved(scene: str) -> Mapping[str, Any]:
    """Return the knobs as the visitor left them in this scene's picture, if it is on the page."""
    state = st.session_state.get(_key(scene)) or {}
    knobs = state.get("knobs") or {}
    return knobs if isinstance(knobs, Mapping) else {}


def _key(scene: str) -> str:
    return f"stage_{scene}"
