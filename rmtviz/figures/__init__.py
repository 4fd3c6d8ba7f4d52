"""Pictures: each function maps a value to a plotly Figure."""

from plotly.graph_objects import Figure

from rmtviz.figures.base import CONFIG, table
from rmtviz.figures.spectrum import SCALES, bins, reach, spectrum
from rmtviz.figures.tradeoff import removed, tradeoff

__all__ = [
    "CONFIG",
    "SCALES",
    "Figure",
    "bins",
    "reach",
    "removed",
    "spectrum",
    "table",
    "tradeoff",
]
