"""The picture of a cut: accuracy against the kept rank of one layer, in three zones."""

from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from rmtviz import pruning
from rmtviz.analysis import LayerAnalysis
from rmtviz.figures import base
from rmtviz.tokens import fade
from rmtviz.words import say

if TYPE_CHECKING:
    from rmtviz.tradeoff import Curve


def tradeoff(curve: "Curve", rank: int, edge: int | None, mode: str = "light") -> go.Figure:
    """Return accuracy against kept rank, with the rank of the plan and the three zones.

    `rank` is the plan's, `edge` the number of spikes above the noise edge, if there is one.
    Zones, from the left: needed for the accuracy, learnt, can't be told from random.
    """
    colours = base.palette(mode)
    full = curve.ranks[-1]
    whole, best = float(curve.accuracy[-1]), float(curve.accuracy.max())
    floor = max(
        0.0, min(0.98 * whole, float(np.interp(curve.needed / 4, curve.ranks, curve.accuracy)))
    )
    figure = go.Figure(
        layout=base.canvas(
            colours,
            height=360,
            margin={"l": 74, "r": 12, "t": 30, "b": 46},
            xaxis=base.axis(
                colours,
                say("figure.axis_rank"),
                type="log",
                range=[-0.03, np.log10(full) + 0.03],
                tickvals=_ticks(full),
                ticktext=[str(tick) for tick in _ticks(full)],
            ),
            yaxis=base.axis(
                colours,
                say(
                    "figure.axis_accuracy",
                    samples=curve.samples,
                    unit=say(f"unit.{curve.unit}"),
                ),
                range=[floor, min(1.0, best + 0.1 * (best - floor))],
                tickformat=".1%",
            ),
            shapes=[*_zones(curve, edge, mode), base.line(rank, colours.ink, "solid")],
            annotations=_names(curve, edge, rank, mode),
        )
    )
    band = whole + np.stack([curve.low, curve.high])
    figure.add_scatter(
        x=np.concatenate([curve.ranks, curve.ranks[::-1]]),
        y=np.concatenate([band[0], band[1][::-1]]),
        fill="toself",
        fillcolor=fade(colours.ink, 0.10),
        line={"width": 0},
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=curve.ranks,
        y=curve.accuracy,
        mode="lines+markers",
        line={"color": colours.ink, "width": 2},
        marker={"size": 5},
        hovertemplate=say("figure.hover_rank") + "<extra></extra>",
    )
    figure.add_scatter(
        x=[rank],
        y=[curve.at(rank)],
        mode="markers",
        marker={"size": 13, "color": colours.paper, "line": {"color": colours.ink, "width": 3}},
        hoverinfo="skip",
    )
    return figure


def removed(layer: LayerAnalysis, rank: int, mode: str = "light") -> go.Figure:
    """Return the share of the weights' norm that a cut removes, against the kept rank."""
    colours = base.palette(mode)
    ranks = np.arange(1, layer.spectrum.p + 1)
    errors = [pruning.error(layer, int(kept)) for kept in ranks]
    figure = go.Figure(
        layout=base.canvas(
            colours,
            height=320,
            xaxis=base.axis(
                colours, say("figure.axis_rank_linear"), range=[0, 1.01 * layer.spectrum.p]
            ),
            yaxis=base.axis(colours, say("figure.axis_error"), tickformat=".0%", range=[0, 1]),
            shapes=[base.line(rank, colours.ink, "solid")],
            annotations=[
                base.label(
                    rank, 1.0, say("figure.rank_now", rank=rank), colours.ink, yanchor="bottom"
                )
            ],
        )
    )
    figure.add_scatter(
        x=ranks,
        y=errors,
        mode="lines",
        line={"color": colours.ink, "width": 2},
        hovertemplate=say("figure.hover_error") + "<extra></extra>",
    )
    return figure


def _zones(curve: "Curve", edge: int | None, mode: str) -> list[dict[str, Any]]:
    colours = base.palette(mode)
    start, full = 1, curve.ranks[-1]
    end = full if edge is None else max(edge, start)
    zones = [(start, curve.needed, colours.learnt, 0.20)]
    if curve.needed < end:
        zones.append((curve.needed, end, colours.learnt, 0.09))
    if max(end, curve.needed) < full:
        zones.append((max(end, curve.needed), full, colours.noise, 0.16))
    return [
        {
            "type": "rect",
            "x0": low,
            "x1": high,
            "y0": 0,
            "y1": 1,
            "yref": "y domain",
            "fillcolor": fade(colour, opacity),
            "line": {"width": 0},
            "layer": "below",
        }
        for low, high, colour, opacity in zones
    ]


def _names(curve: "Curve", edge: int | None, rank: int, mode: str) -> list[dict[str, Any]]:
    colours = base.palette(mode)
    names = [
        base.label(
            0.01,
            0.03,
            say("figure.zone_needed", rank=curve.needed),
            colours.learnt,
            xref="x domain",
            xanchor="left",
            yanchor="bottom",
        ),
        base.label(
            np.log10(rank), 1.0, say("figure.rank_now", rank=rank), colours.ink, yanchor="bottom"
        ),
    ]
    if edge is not None and max(edge, curve.needed) < curve.ranks[-1]:
        names.append(
            base.label(
                0.99,
                0.03,
                say("figure.zone_random"),
                colours.muted,
                xref="x domain",
                xanchor="right",
                yanchor="bottom",
            )
        )
    return names


def _ticks(full: int) -> list[int]:
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if tick < full]
    return [*[tick for tick in ticks if tick * 1.35 < full], full]
