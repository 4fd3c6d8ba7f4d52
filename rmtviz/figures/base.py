"""What all figures share: the look (from the tokens) and a few small drawing parts."""

from typing import Any

import plotly.graph_objects as go

from rmtviz.tokens import FONT, MODES, Palette

CONFIG: dict[str, Any] = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
    "toImageButtonOptions": {"format": "png", "scale": 2},
}
"""The settings of the plotly toolbar, for whoever shows a figure."""


def palette(mode: str) -> Palette:
    """Return the colours of a mode, "light" or "dark"."""
    return MODES[mode]


def canvas(colours: Palette, **layout: Any) -> go.Layout:
    """Return an empty layout in the project's look."""
    look: dict[str, Any] = {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 13, "color": colours.muted},
        "margin": {"l": 54, "r": 12, "t": 44, "b": 46},
        "showlegend": False,
        "hoverlabel": {
            "bgcolor": colours.card,
            "bordercolor": colours.grid,
            "font": {"family": FONT, "color": colours.ink},
        },
        "dragmode": False,
    }
    return go.Layout({**look, **layout})


def axis(colours: Palette, title: str, **more: Any) -> dict[str, Any]:
    """Return an axis in the project's look."""
    return {
        "title": {"text": title, "font": {"size": 12}, "standoff": 8},
        "gridcolor": colours.grid,
        "linecolor": colours.grid,
        "zeroline": False,
        "ticks": "outside",
        "tickcolor": colours.grid,
        "ticklen": 4,
        "fixedrange": False,
        **more,
    }


def number(value: float) -> str:
    """Return a number to three digits, the zeros at its end kept: 1.50, 105, 7.46e-05."""
    return f"{value:#.3g}".removesuffix(".")


def line(x: float, colour: str, dash: str, xref: str = "x", width: float = 1.5) -> dict[str, Any]:
    """Return a vertical line over the whole height of the panel."""
    return {
        "type": "line",
        "x0": x,
        "x1": x,
        "xref": xref,
        "y0": 0,
        "y1": 1,
        "yref": "y domain",
        "line": {"color": colour, "dash": dash, "width": width},
    }


def label(x: float, y: float, text: str, colour: str, **more: Any) -> dict[str, Any]:
    """Return words at a point: x on the axis, y as a share of the panel's height."""
    return {
        "x": x,
        "y": y,
        "xref": "x",
        "yref": "y domain",
        "text": text,
        "showarrow": False,
        "font": {"color": colour, "size": 12.5},
        **more,
    }


def table(figure: go.Figure) -> str:
    """Return what a figure shows as CSV: a row a point, the traces by their number from 1."""
    rows = ["trace,x,y"]
    for number, trace in enumerate(figure.data, start=1):
        rows += [f"{number},{x},{y}" for x, y in zip(trace.x, trace.y, strict=True)]
    return "\n".join(rows) + "\n"
