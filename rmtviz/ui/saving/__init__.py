"""The way home for every picture: PNG, SVG, CSV, and the lines of Python that make it.

The parts are shared by the pictures that the browser draws itself; `beside` offers the same
for a chart of Plotly or Vega.
"""

from importlib import resources

import streamlit as st

from rmtviz.words import say


def _file(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text("utf-8")


HTML, CSS, SCRIPT = (_file(f"saving.{kind}") for kind in ("html", "css", "js"))

_beside = st.components.v2.component(
    "rmtviz_saving", html=HTML, css=CSS, js=f"{SCRIPT}\n{_file('beside.js')}"
)


def words() -> dict[str, str]:
    """Return the words of the buttons."""
    return {name: say(f"chart.{name}") for name in ("save", "copied")}


def beside(chart: str, table: str, code: str, file: str, title: str) -> None:
    """Draw the buttons for a chart in the container of this key; `table` is its CSV."""
    given = {"chart": chart, "table": table, "code": code, "file": file, "title": title}
    _beside(key=f"save_{chart}", data={**given, "words": words()})
