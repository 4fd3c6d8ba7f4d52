"""The picture of a layer: its singular values, the law over them, the edges, and the spikes.

The bulk has a panel of its own, so that it stays readable however far away the spikes lie;
spikes beyond 1.25 times the cut stand in a strip to the right, on a logarithmic axis.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from rmtviz.analysis import LayerAnalysis
from rmtviz.figures import base
from rmtviz.tokens import Palette, fade
from rmtviz.words import say

Array = NDArray[np.float64]

SCALES = ("singular", "eigen")
"""What the axis shows: singular values s, or eigenvalues λ = s²/n."""

STEM = 0.3
"""The height of a far spike's stem, as a share of the strip's."""

REACH = 1.25
"""The bulk's panel ends at this multiple of the cut (in singular values)."""


@dataclass(frozen=True, slots=True)
class _View:
    """A layer's numbers on the chosen scale, in ascending order.

    The bulk's panel ends at `limit`, and the strip, where one is drawn, somewhat above `top`.
    """

    values: Array
    limit: float
    top: float
    cut: float | None
    edges: tuple[float, float] | None
    width: float


def spectrum(
    layer: LayerAnalysis,
    scale: str = "singular",
    mode: str = "light",
    among: Sequence[LayerAnalysis] = (),
) -> go.Figure:
    """Return the histogram of a layer's singular values with the fitted law over it.

    The density is scaled to the p − k values of the bulk, so that curve and bars are both
    counts of values a bin. The axes fit the layers `among` which it stands as well, so that
    the frames of a film can be laid one on the other.
    """
    colours = base.palette(mode)
    views = [_view(each, scale) for each in (layer, *among)]
    fitted = [each for each in views if each.cut is not None] or views
    limit, highest = max(each.limit for each in fitted), max(each.top for each in views)
    view = replace(
        views[0],
        limit=limit,
        top=highest,
        width=bins(views[0].values, limit, views[0].cut)[1],
    )
    near = view.values[view.values <= view.limit]
    far = view.values[view.values > view.limit]
    figure = go.Figure(layout=_layout(view, scale, colours))
    _bars(figure, view, near, colours, scale)
    top = _curve(figure, layer, view, scale, colours)
    if len(far):
        _strip(figure, layer, far, view, scale, colours)
    figure.update_layout(
        shapes=_lines(view, colours), annotations=_labels(layer, view, far, colours)
    )
    heights = [_height(each, _view(each, scale), limit, scale) for each in among]
    most = 1.12 * max(top, _tallest(view, near), *heights)
    figure.layout.yaxis.update(range=[0, most], dtick=1 if most < 6 else None)
    return figure


def bins(view_values: Array, limit: float, cut: float | None) -> tuple[Array, float]:
    """Return bin edges of one width from 0 to the limit, one of them at the cut."""
    end = cut or limit
    count = int(np.clip(round(2 * len(view_values) ** 0.5), 12, 48))
    width = end / count
    return np.arange(0.0, limit + width, width), width


def reach(values: Array, cut: float | None) -> float:
    """Return where the bulk's panel ends: singular values in ascending order, and the cut."""
    limit = REACH * (cut if cut is not None else float(np.quantile(values, 0.9)))
    limit = min(limit, 1.02 * float(values[-1])) or 1.0
    return limit if cut is None else max(limit, 1.03 * cut)


def _view(layer: LayerAnalysis, scale: str) -> _View:
    values = layer.shown.values[: layer.rank][::-1]  # of a pair those that are stored
    cut, edges = layer.cut, layer.edges
    limit = reach(values, cut)
    if scale == "eigen":
        n = layer.shown.n
        values, limit = values**2 / n, limit**2 / n
        cut = None if cut is None else cut**2 / n
        edges = None if edges is None else (edges[0] ** 2 / n, edges[1] ** 2 / n)
    _, width = bins(values, limit, cut)
    return _View(values, limit, float(values[-1]), cut, edges, width)


def _bars(figure: go.Figure, view: _View, near: Array, colours: Palette, scale: str) -> None:
    grid, width = bins(view.values, view.limit, view.cut)
    counts, _ = np.histogram(near, grid)
    middle = (grid[:-1] + grid[1:]) / 2
    learnt = middle > view.cut if view.cut is not None else np.zeros(len(middle), bool)
    shade = colours.noise if view.cut is not None else colours.muted
    figure.add_bar(
        x=middle,
        y=counts,
        width=width * 0.94,
        marker={"color": np.where(learnt, colours.learnt, fade(shade, 0.62)), "line": {"width": 0}},
        customdata=np.stack([grid[:-1], grid[1:]], axis=1),
        hovertemplate=say(f"figure.hover_bin_{scale}") + "<extra></extra>",
    )


def _curve(
    figure: go.Figure, layer: LayerAnalysis, view: _View, scale: str, colours: Palette
) -> float:
    """Draw the law as counts a bin; return its greatest height within the panel."""
    x, y = _law(layer, view, scale)
    if not len(x):
        return 0.0
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines",
        line={"color": colours.theory, "width": 2.5},
        hovertemplate=say("figure.hover_law") + "<extra></extra>",
    )
    return _peak(view, y, scale)


def _law(layer: LayerAnalysis, view: _View, scale: str) -> tuple[Array, Array]:
    """Return points on the law as counts a bin; none without a bulk."""
    bulk = layer.bulk
    if bulk is None or view.edges is None:
        return np.empty(0), np.empty(0)
    low, high = view.edges
    start = low if low > 0 else high * 1e-3
    x = start + (high - start) * (1 - np.cos(np.linspace(0, np.pi, 240))) / 2
    pdf = bulk.law.pdf(x) if scale == "eigen" else bulk.law.singular(layer.shown.n).pdf(x)
    y = (layer.shown.p - bulk.spikes) * view.width * pdf
    y[[0, -1]] = 0.0 if low > 0 else y[0], 0.0
    return x, y


def _peak(view: _View, y: Array, scale: str) -> float:
    """Return how high the panel must be for the law; where it has no limit, for most of it."""
    if not len(y):
        return 0.0
    endless = view.edges is not None and view.edges[0] == 0 and scale == "eigen"
    return float(np.quantile(y, 0.95)) if endless else float(y.max())


def _height(layer: LayerAnalysis, view: _View, limit: float, scale: str) -> float:
    """Return how high a layer's bars and law stand in a panel with this limit."""
    wide = replace(view, limit=limit, width=bins(view.values, limit, view.cut)[1])
    near = wide.values[wide.values <= limit]
    return max(_peak(wide, _law(layer, wide, scale)[1], scale), _tallest(wide, near))


def _strip(
    figure: go.Figure,
    layer: LayerAnalysis,
    far: Array,
    view: _View,
    scale: str,
    colours: Palette,
) -> None:
    """Draw one stem a spike, the strongest first in its hover text."""
    reference = view.cut or view.limit
    order = np.arange(len(far), 0, -1)
    squares = far**2 if scale == "singular" else far * layer.shown.n
    share = squares / layer.shown.energy
    stems_x = np.stack([far, far, np.full(len(far), np.nan)], axis=1).ravel()
    stems_y = np.tile([0.0, STEM, np.nan], len(far))
    colour = colours.learnt if view.cut is not None else colours.muted
    shared: dict[str, Any] = {"xaxis": "x2", "yaxis": "y2"}
    figure.add_scatter(
        x=stems_x,
        y=stems_y,
        mode="lines",
        line={"color": fade(colour, 0.55), "width": 1.5},
        hoverinfo="skip",
        **shared,
    )
    figure.add_scatter(
        x=far,
        y=np.full(len(far), STEM),
        mode="markers",
        marker={"color": colour, "size": 8, "opacity": 0.85},
        customdata=np.stack([order, far / reference, share], axis=1),
        hovertemplate=say(f"figure.hover_spike_{scale}") + "<extra></extra>",
        **shared,
    )


def _layout(view: _View, scale: str, colours: Palette) -> go.Layout:
    strip = view.top > view.limit
    split = 0.72 if strip else 1.0
    axes: dict[str, Any] = {
        "xaxis": base.axis(
            colours,
            say(f"figure.axis_{scale}"),
            range=[0, view.limit],
            domain=[0, split],
            showgrid=False,
        ),
        "yaxis": base.axis(colours, say(f"figure.count_{scale}"), rangemode="tozero"),
    }
    if strip:
        axes["xaxis2"] = base.axis(
            colours,
            say("figure.axis_strip"),
            type="log",
            range=[np.log10(view.limit), np.log10(view.top) + 0.06],
            domain=[split + 0.035, 1],
            showgrid=False,
            tickvals=_ticks(view.limit, view.top),
            ticktext=[f"{tick:.3g}" for tick in _ticks(view.limit, view.top)],
            tickangle=0,
        )
        axes["yaxis2"] = {
            "range": [0, 1],
            "domain": [0, 1],
            "anchor": "x2",
            "visible": False,
            "fixedrange": True,
        }
    return base.canvas(colours, height=430, bargap=0, **axes)


def _ticks(low: float, high: float) -> list[float]:
    """Return two or three round numbers within [low, high] for a logarithmic axis."""
    if high <= 1.6 * low:
        return [float(f"{(low * high) ** 0.5:.2g}")]
    few = 2 if low < 0.01 or high >= 1000 else 3  # long numbers need room
    inner = np.geomspace(low * 1.08, high, few)
    return [float(f"{value:.2g}") for value in inner]


def _lines(view: _View, colours: Palette) -> list[dict[str, Any]]:
    if view.edges is None or view.cut is None:
        return []
    lines = [base.line(edge, colours.theory, "dot") for edge in view.edges if edge > 0]
    return [*lines, base.line(view.cut, colours.ink, "solid")]


def _labels(
    layer: LayerAnalysis, view: _View, far: Array, colours: Palette
) -> list[dict[str, Any]]:
    words: list[dict[str, Any]] = []
    if layer.spikes is not None and view.cut is not None and view.edges is not None:
        words.append(
            base.label(
                view.cut,
                1.0,
                say("figure.cut", cut=base.number(view.cut)),
                colours.ink,
                xanchor="right",
                yanchor="bottom",
                xshift=4,
            )
        )
        if view.edges[0] > 0:
            words.append(
                base.label(
                    view.edges[0],
                    1.0,
                    say("figure.lower", edge=base.number(view.edges[0])),
                    colours.theory,
                    yanchor="bottom",
                    yshift=15,
                    xanchor="left",
                    xshift=-4,
                )
            )
    if len(far):
        words.append(
            base.label(
                0.5,
                1.0,
                say(
                    "figure.far" if layer.spikes is not None else "figure.far_unfitted",
                    far=len(far),
                ),
                colours.learnt if layer.spikes is not None else colours.muted,
                xref="x2 domain",
                yref="y2 domain",
                yanchor="bottom",
                xanchor="right",
            )
        )
    return words


def _tallest(view: _View, near: Array) -> float:
    grid, _ = bins(view.values, view.limit, view.cut)
    counts, _ = np.histogram(near, grid)
    return float(counts.max(initial=1))
