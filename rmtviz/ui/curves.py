"""Curves over epochs: what a run's rows say, drawn small, with the cuts marked."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from rmtviz.tokens import MODES
from rmtviz.ui import saving
from rmtviz.words import say

Row = dict[str, Any]
Points = list[tuple[float, str, float]]
"""Points of lines: epoch, the line's name, value."""

HEIGHT = 200

STORED = "~s"
"""How numbers stored are written."""

ZERO = ("parameters", "start")
"""The curves whose axis begins at zero, so that a cut is seen as it is, and a share as one."""


def losses(found: Sequence[tuple[float, float]], rows: Sequence[Row]) -> Points:
    """Return the losses of batches, or of whole epochs where those of batches are not known."""
    whole = [(row["epoch"], row["train_loss"]) for row in rows if row["epoch"]]
    return [(epoch, "", value) for epoch, value in found or whole]


def accuracy(rows: Sequence[Row]) -> Points:
    """Return training and selection accuracy; not before the first step, where it guesses."""
    names = {key: say(f"train.column_{key}") for key in ("train_accuracy", "selection_accuracy")}
    return [
        (row["epoch"], name, row[key])
        for row in rows
        if row["epoch"]
        for key, name in names.items()
    ]


def gap(rows: Sequence[Row]) -> Points:
    """Return by how much training accuracy is above selection accuracy."""
    return [
        (row["epoch"], "", row["train_accuracy"] - row["selection_accuracy"])
        for row in rows
        if row["epoch"]
    ]


def parameters(rows: Sequence[Row]) -> Points:
    """Return how many numbers are stored."""
    return [(row["epoch"], "", row["parameters"]) for row in rows]


def ranks(rows: Sequence[Row]) -> Points:
    """Return the learnt rank of each layer at each look; of a cut one without a bulk what stays."""
    return [
        (row["epoch"], name, rank if found is None else found)
        for row in rows
        for name, found in row["spikes"].items()
        for rank, whole in [(row["ranks"][name], rows[0]["ranks"][name])]
        if (row["looked"] == row["epoch"] if found is not None else rank < whole)
    ]


def start(rows: Sequence[Row]) -> Points:
    """Return how much of each layer's bulk is still the initialisation, at each look."""
    return [
        (row["epoch"], name, value)
        for row in rows
        if row["looked"] == row["epoch"]
        for name, value in row["start"].items()
        if value is not None
    ]


def gone(rows: Sequence[Row]) -> str | None:
    """Return in words which layers a cut left without a bulk, and since when; None: none."""
    ends: dict[str, int] = {}
    for row in rows:
        for name, value in row["start"].items():
            if value is not None:
                ends.pop(name, None)
            elif row["ranks"][name] < rows[0]["ranks"][name]:
                ends.setdefault(name, row["epoch"])
    if not ends:
        return None
    return say("train.start_gone", epoch=min(ends.values()), layers=", ".join(ends))


CURVES: dict[str, tuple[Callable[[Sequence[Row]], Points], str]] = {
    "accuracy": (accuracy, ".0%"),
    "gap": (gap, ".1%"),
    "rank": (ranks, "d"),
    "parameters": (parameters, STORED),
    "start": (start, ".2f"),
}
"""The curves by name: their points from the rows, and how their numbers are written."""


def cuts(rows: Sequence[Row]) -> list[int]:
    """Return the epochs after which layers were cut."""
    return [row["epoch"] for row in rows if row["cut"]]


def draw(
    name: str,
    points: Points,
    form: str,
    epochs: int,
    mode: str,
    marks: Sequence[int] = (),
    height: int = HEIGHT,
    still: bool = True,
    note: str | None = None,
) -> None:
    """Draw a curve in a card; the axis of epochs is that of the whole run, so that it stands.

    One that is `still`, and does not grow any more, can be saved. A `note` stands above it.
    """
    with st.container(border=True, height="stretch", key=f"curve_{name}"):
        st.caption(say(f"train.{name}_chart"))
        if not points:
            st.skeleton(height=height)
            return
        frame = pd.DataFrame(points, columns=["epoch", "name", "value"]).astype(
            {"epoch": float, "name": str, "value": float}
        )
        if note:
            st.caption(note)
        alt, title = say(f"train.{name}_alt"), say(f"train.{name}_chart")
        st.vega_lite_chart(
            frame, _spec(points, form, name in ZERO, epochs, mode, marks, height), alt=alt
        )
        if still:
            file = f"training-{name}"
            code = say("chart.code_curve", file=repr(f"{file}.csv")).strip() + "\n"
            saving.beside(f"curve_{name}", frame.to_csv(index=False), code, file, title)


def _spec(
    points: Points, form: str, zero: bool, epochs: int, mode: str, marks: Sequence[int], height: int
) -> dict[str, Any]:
    """Return the chart: a line a name, and a dashed rule at each cut."""
    colours = MODES[mode]
    names = list(dict.fromkeys(name for _, name, _ in points))
    range_ = [colours.learnt, colours.muted, colours.ink, colours.good, colours.warn, colours.bad]
    x = {
        "type": "quantitative",
        "title": say("train.column_epoch"),
        "scale": {"domain": [0, epochs]},
        "axis": {"format": "d", "tickMinStep": 1, "tickCount": 5, "titlePadding": 4},
    }
    line = {
        "mark": {"type": "line", "strokeWidth": 2, "point": len(points) < 60, "clip": True},
        "encoding": {
            "x": {"field": "epoch", **x},
            "y": {
                "field": "value",
                "type": "quantitative",
                "title": None,
                "scale": {"zero": zero},
                "axis": {"format": form, "tickCount": 4},
            },
            "color": {
                "field": "name",
                "type": "nominal",
                "scale": {"domain": names, "range": range_},
                "legend": {
                    "orient": "top",
                    "title": None,
                    "offset": 4,
                    "columns": 2,
                    "symbolType": "stroke",
                }
                if len(names) > 1
                else None,
            },
            "strokeDash": {
                "field": "name",
                "type": "nominal",
                "scale": {"domain": names},
                "legend": None,
            },
        },
    }
    rules = {
        "data": {"values": [{"epoch": epoch, "what": say("train.cut_here")} for epoch in marks]},
        "mark": {"type": "rule", "strokeDash": [3, 3], "color": colours.theory},
        "encoding": {"x": {"field": "epoch", **x}, "tooltip": {"field": "what"}},
    }
    return {"layer": [line, rules] if marks else [line], "height": height}
