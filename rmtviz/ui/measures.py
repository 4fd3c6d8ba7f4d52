"""The numbers that sum up a layer, beside those of its shuffled and of its untrained copy."""

import numpy as np
import streamlit as st

from rmtviz import metrics
from rmtviz.checkpoint import double
from rmtviz.fits import Method
from rmtviz.metrics import METRICS, Quantity, Reading
from rmtviz.ui.library import Model
from rmtviz.words import say

PARTS = 0.5
"""The aspect ratio of the parts to which the power law is fitted, so that layers compare."""


def draw(model: Model, layer: str, method: Method, view: str) -> None:
    """Draw the table of metrics of a layer, once it is asked for."""
    if not st.toggle(say("explore.metrics"), key="metrics", help=say("explore.metrics_help")):
        return
    with st.spinner(say("explore.metrics_wait")):
        readings = measured(model, layer, method, view)
    st.dataframe(
        [
            {
                "title": METRICS[reading.metric].title,
                "value": _word(reading.value),
                "shuffled": _word(reading.shuffled),
                "untrained": _word(reading.untrained),
                "reading": METRICS[reading.metric].reading,
            }
            for reading in readings
        ],
        column_config={
            name: st.column_config.TextColumn(say(f"explore.column.metric_{name}"), width=width)
            for name, width in (
                ("title", 170),
                ("value", 120),
                ("shuffled", 120),
                ("untrained", 120),
                ("reading", None),
            )
        },
        hide_index=True,
        row_height=40,
        alt=say("explore.metrics_alt", layer=layer),
    )
    st.caption(say("explore.metrics_copies", parts=PARTS))


def measured(model: Model, layer: str, method: Method, view: str) -> tuple[Reading, ...]:
    """Return the metrics of a layer, kept with the model; the same at every look."""

    def make() -> tuple[Reading, ...]:
        found = next(item.layer for item in model.view(view).layers if item.layer.name == layer)
        matrix = double(found.matrix(model.weights(view)))
        before = model.initial
        first = None if before is None else double(found.matrix(before))
        if first is not None and first.shape != matrix.shape:
            first = None
        rng = np.random.default_rng(0)
        return metrics.measure(matrix, method, rng, initial=first, aspect=PARTS)

    return model.memo(("metrics", layer, method, view), make)


def _word(quantity: Quantity | None) -> str:
    """Return a number in four digits, with its distance where a law was fitted for it."""
    if quantity is None:
        return say("explore.none")
    if quantity.distance is None:
        return f"{quantity.value:.4g}"
    return say("explore.metric_fitted", value=quantity.value, distance=quantity.distance)
