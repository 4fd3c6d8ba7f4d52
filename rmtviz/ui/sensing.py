"""The part of the studio that shows what each layer alone can lose: curves over kept rank."""

from collections.abc import Mapping, Sequence

import streamlit as st

from rmtviz.analysis import Analysis, LayerAnalysis
from rmtviz.evaluation import Evaluation
from rmtviz.rules import OptimalThreshold, Rule, Shrinkage
from rmtviz.tradeoff import Curve
from rmtviz.ui import links, models, panels, session, trading, widgets
from rmtviz.ui.library import Model
from rmtviz.ui.panels import Axis, Line, Panel, Point
from rmtviz.ui.panels import Rule as Mark
from rmtviz.words import say

QUANTITIES = ("accuracy", "loss", "error")
"""What is drawn against the kept rank, as `tradeoff.Point` names it."""

LOSSES = (-10, -1, -0.1, 0, 0.1, 1, 10)
"""Where the axis of the change in loss has words, in nats."""

ERRORS = (0.01, 0.03, 0.1, 0.3, 1.0)
"""Where the axis of the outputs' error has words."""

MARKS: Mapping[str, Rule | None] = {
    "edge": None,
    "threshold": OptimalThreshold(),
    "shrinkage": Shrinkage(),
}
"""The ranks that are marked: the noise edge, and those of two rules."""


def draw(
    model: Model, analysis: Analysis, whole: Evaluation, curves: Mapping[str, Curve]
) -> str | None:
    """Draw the curves of all layers as far as they are; return the layer that was clicked."""
    quantity = links.choice(
        st.segmented_control,
        say("studio.quantity"),
        QUANTITIES,
        "quantity",
        format_func=lambda name: say(f"studio.quantity_{name}"),
        required=True,
        wrap=True,
    )
    names = widgets.short_names([layer.name for layer in analysis])
    return panels.show(
        "sensitivity",
        [
            panel(layer, names[layer.name], curves.get(layer.name), whole, quantity)
            for layer in analysis
        ],
        [],
        {
            "title": say("studio.layers_title", model=models.title(model)),
            "alt": say("studio.layers_alt", count=len(analysis.layers)),
            "code": trading.lines("layers", model),
            "file": "layers",
        },
        session.mode(),
        wide=300,
        high=260,
    )


def panel(
    layer: LayerAnalysis, name: str, curve: Curve | None, whole: Evaluation, quantity: str
) -> Panel:
    """Return the panel of a layer: its axes depend on nothing that is still to come."""
    full = max(layer.spectrum.p, 2)
    ticks = [rank for rank in (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000) if rank < full / 1.6]
    x = Axis(
        "log", 1, full, [(rank, str(rank)) for rank in (*ticks, full)], say("studio.axis_rank")
    )
    return Panel(
        x=x,
        y=_axis(quantity, whole),
        points=_points(curve, quantity) if curve else (),
        lines=_lines(curve, quantity) if curve else (),
        rules=marks(layer),
        title=say("studio.layer", name=name, shape="{} × {}".format(*layer.layer.shape)),
        id=layer.name,
    )


def marks(layer: LayerAnalysis) -> list[Mark]:
    """Return where the law of noise would cut, one mark for rules that agree on a rank."""
    ranks: dict[int, list[str]] = {}
    for name, rule in MARKS.items():
        kept = layer.spikes if rule is None else rule(layer).rank
        if layer.bulk and kept:
            ranks.setdefault(kept, []).append(say(f"studio.mark_{name}"))
    return [
        Mark(
            say("studio.mark", names=", ".join(words), rank=rank),
            x=rank,
            colour="theory",
            dash=("", "5 4", "2 3")[place],
        )
        for place, (rank, words) in enumerate(ranks.items())
    ]


def _axis(quantity: str, whole: Evaluation) -> Axis:
    if quantity == "accuracy":
        return trading.points_axis(whole)
    if quantity == "loss":
        ticks = [(each, f"{each:+g}" if each else "0") for each in LOSSES]
        return Axis("asinh", LOSSES[0], LOSSES[-1], ticks, unit=0.05)
    return Axis("log", 0.005, 2.0, [(each, f"{each:.0%}") for each in ERRORS])


def _values(curve: Curve, quantity: str) -> Sequence[float]:
    """Return what is drawn: changes to the full rank in points or nats, or the error itself."""
    found = curve.each(quantity)
    if quantity == "error":
        return [float(value) for value in found]
    scale = 100 if quantity == "accuracy" else 1
    return [float(scale * (value - found[-1])) for value in found]


def _lines(curve: Curve, quantity: str) -> list[Line]:
    name = say(f"studio.quantity_{quantity}")
    line = Line(curve.ranks, _values(curve, quantity), name)
    if quantity != "accuracy":
        return [line]
    low, high = ([float(100 * x) for x in ends] for ends in (curve.low, curve.high))
    return [Line(curve.ranks, low, say("studio.interval_name"), high=high), line]


def _points(curve: Curve, quantity: str) -> list[Point]:
    return [
        Point(
            x=point.rank,
            y=value,
            series=say(f"studio.quantity_{quantity}"),
            size=2.6,
            says=(
                say("studio.tip_rank", rank=point.rank),
                say(
                    "studio.tip_accuracy",
                    accuracy=point.accuracy,
                    low=100 * point.low,
                    high=100 * point.high,
                ),
                say("studio.tip_loss", loss=point.loss, error=point.error),
            ),
            id=curve.layer,
        )
        for point, value in zip(curve.points, _values(curve, quantity), strict=True)
    ]
