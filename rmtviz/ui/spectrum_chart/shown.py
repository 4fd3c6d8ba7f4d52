"""What the spectrum chart draws: a layer's numbers in the chosen picture and scale, as plain data.

The browser only draws: bins, the law and the axes are computed here, with the binning of
`rmtviz.figures`. All lengths are on the chosen scale.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtviz import figures, spiked
from rmtviz.analysis import LayerAnalysis
from rmtviz.marchenko_pastur import MarchenkoPastur

Array = NDArray[np.float64]

PICTURES = ("histogram", "cumulative", "quantiles", "scree")
"""How the values are drawn; in all but the quantiles the cut can be dragged."""

SCALES = ("singular", "edge", "eigen", "log")
"""The values: s; s in units of the noise edge; λ = s²/n; s on a logarithmic axis."""

CURVE = 180
"""The number of points of the law's curve."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How singular values become lengths of the axis: `factor` · s^`power`."""

    factor: float
    power: int
    log: bool

    @classmethod
    def of(cls, layer: LayerAnalysis, name: str) -> "Scale":
        """Return a scale by its name, one of `SCALES`; without an edge, its unit is 1."""
        if name == "eigen":
            return cls(1 / layer.shown.n, 2, False)
        unit = layer.cut if name == "edge" and layer.cut else 1.0
        return cls(1 / unit, 1, name == "log")

    def __call__(self, s: Any) -> Any:
        """Return lengths for singular values of any shape."""
        return self.factor * s**self.power

    def back(self, x: Array) -> Array:
        """Return singular values for lengths."""
        return np.asarray((x / self.factor) ** (1 / self.power))


def data(layer: LayerAnalysis, picture: str, scale: str) -> dict[str, Any]:
    """Return all that one picture of a layer needs, as values for JSON."""
    spectrum, to = layer.shown, Scale.of(layer, scale)
    axis = _axis(layer, to, picture)
    drawn: dict[str, Any] = {"bars": [], "law": [], "points": []}
    if picture == "histogram":
        drawn |= _histogram(layer, to, axis["limit"])
    elif picture == "cumulative":
        drawn["law"] = _cumulative(layer, to)
    else:
        drawn |= _ordered(layer, to, picture)
    return {
        "picture": picture,
        "scale": scale,
        "values": to(spectrum.values).tolist(),
        "x": axis,
        "cut": None if layer.cut is None else to(layer.cut),
        "edges": None if layer.edges is None else [to(edge) for edge in layer.edges],
        "spikes": layer.spikes,
        "p": spectrum.p,
        "n": spectrum.n,
        "unit": [to.factor, to.power],
        **drawn,
    }


def spikes(layer: LayerAnalysis) -> list[dict[str, float]]:
    """Return, strongest first, each spike's share of the squared weight, strength and shares."""
    if layer.bulk is None or not layer.spikes:
        return []
    spectrum = layer.shown
    found = spiked.strengths(spectrum, layer.bulk.sigma, layer.spikes)
    energy = spectrum.values[: layer.spikes] ** 2 / spectrum.energy
    columns = (found.values, energy, found.strengths, found.near, found.far)
    names = ("value", "energy", "strength", "near", "far")
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [dict(zip(names, row, strict=True)) for row in rows]


def _axis(layer: LayerAnalysis, to: Scale, picture: str) -> dict[str, Any]:
    """Return where the axis begins, where the bulk's panel ends, and the largest value."""
    values = layer.shown.values[::-1]
    top = float(values[-1]) or 1.0
    limit = figures.reach(values, layer.cut)
    low = 0.0
    if to.log:
        positive = values[values > 1e-9 * top]
        low, limit = float(positive[0]) if len(positive) else top / 10, 1.03 * top
        low = 0.97 * min(low, layer.edges[0] if layer.edges and layer.edges[0] > 0 else low)
    return {
        "log": to.log,
        "low": to(low),
        "limit": to(limit),
        "top": to(max(top, limit)),
        "far": int((values > limit).sum()) if picture in ("histogram", "cumulative") else 0,
    }


def _histogram(layer: LayerAnalysis, to: Scale, limit: float) -> dict[str, Any]:
    """Return bars [from, to, count] and the law [x, values a bin] of the bulk."""
    values = to(layer.shown.values[::-1])
    near = values[values <= limit]
    cut = None if layer.cut is None else to(layer.cut)
    grid: Array
    if to.log:
        start = _axis(layer, to, "histogram")["low"]
        ends = float(np.log(limit / start)), cut and float(np.log(cut / start))
        logs, width = figures.bins(values, *ends)
        grid = start * np.exp(logs)
        near = values[values >= start]
        grid[-1] = max(grid[-1], values[-1])
    else:
        grid, width = figures.bins(values, limit, cut)
    counts, _ = np.histogram(near, grid)
    bars = [[*pair, int(n)] for *pair, n in zip(grid[:-1], grid[1:], counts, strict=True) if n]
    law: list[list[float]] = []
    if layer.bulk is not None and layer.edges is not None:
        s = _support(layer)
        density = _pdf(layer, to, s) * (to(s) if to.log else 1.0)
        height = (layer.shown.p - layer.bulk.spikes) * width * density
        law = _points(to(s), height)
    return {"bars": bars, "law": law}


def _pdf(layer: LayerAnalysis, to: Scale, s: Array) -> Array:
    """Return the law's density on a scale, at singular values s."""
    assert layer.bulk is not None
    density: Array = layer.bulk.law.singular(layer.shown.n).pdf(s)
    slope = to.factor * to.power * s ** (to.power - 1)
    return density / slope


def _cumulative(layer: LayerAnalysis, to: Scale) -> list[list[float]]:
    """Return the law [x, share of all values up to x]; the bulk is p − k of p."""
    if layer.bulk is None or layer.edges is None:
        return []
    s, spectrum = _support(layer), layer.shown
    share = 1 - layer.bulk.spikes / spectrum.p
    return _points(to(s), share * layer.bulk.law.singular(spectrum.n).cdf(s))


def _ordered(layer: LayerAnalysis, to: Scale, picture: str) -> dict[str, Any]:
    """Return the values by rank, or against the law's quantiles, and what the law expects."""
    spectrum = layer.shown
    values = to(spectrum.values)
    if layer.bulk is None:
        ranks = np.arange(1.0, spectrum.p + 1)
        return {"points": _points(ranks, values) if picture == "scree" else []}
    k = layer.bulk.spikes
    places = (np.arange(spectrum.p - k, 0, -1) - 0.5) / (spectrum.p - k)
    law = MarchenkoPastur(layer.bulk.law.ratio, layer.bulk.law.variance).singular(spectrum.n)
    expected = to(law.ppf(places))
    if picture == "scree":
        ranks = np.arange(1.0, spectrum.p + 1)
        return {"points": _points(ranks, values), "law": _points(ranks[k:], expected)}
    ends = np.array([expected.min(), expected.max()])
    return {"points": _points(expected, values[k:]), "law": _points(ends, ends)}


def _support(layer: LayerAnalysis) -> Array:
    """Return singular values over the law's support, closer together at its edges."""
    assert layer.edges is not None
    low, high = layer.edges
    start = low if low > 0 else high * 1e-3
    turn = (1 - np.cos(np.linspace(0, np.pi, CURVE))) / 2
    return np.asarray(start + (high - start) * turn)


def _points(x: Array, y: Array) -> list[list[float]]:
    """Return pairs, to six digits: what a screen can show."""
    pairs = np.stack([x, y], axis=1)
    return [[float(f"{a:.6g}"), float(f"{b:.6g}")] for a, b in pairs]
